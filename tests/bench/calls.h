/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_CALLS_H
#define SWM_BENCH_CALLS_H

/*
 * What the engine asks of the store on its hot path, counted between the two.
 *
 * Concurrency: any thread counts; reset and read while nothing goes on.
 */

#include <swm/store.h>

struct calls {
	int64_t loads;
	int64_t commits;       /* calls that bring steps: batches that commit */
	int64_t marks_commits; /* calls that bring marks alone */
	int64_t steps;
	int64_t unloaded; /* commits with no load since the one before */
	int64_t failures; /* calls that did not end well: their statements ran, or not */
};

/* The store's own operations, with counters before load and commit. One at a time. */
const struct swm_store_ops *calls_count(const struct swm_store_ops *ops);

void calls_reset(void);
struct calls calls_now(void);

#endif
