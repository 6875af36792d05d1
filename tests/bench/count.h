/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_COUNT_H
#define SWM_BENCH_COUNT_H

/*
 * What a stretch of the benchmark cost this process, plugins and client libraries
 * included: allocations and syncs are counted by standing in for malloc and fsync.
 *
 * Concurrency: any thread.
 */

#include <stdint.h>

struct count {
	int64_t wall_ns;
	int64_t cpu_ns;
	int64_t allocations;
	int64_t syncs;
	int64_t voluntary_switches;
};

/* The counts since the process began. */
struct count count_now(void);

/* later - earlier. */
struct count count_since(const struct count *earlier);

/* The most memory that this process ever held, bytes. */
int64_t count_peak_rss_bytes(void);

#endif
