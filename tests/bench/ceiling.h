/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_CEILING_H
#define SWM_BENCH_CEILING_H

/*
 * What the machine could do at best with SQLite: one thread writes the very rows that
 * the pizza workflow leaves in store and queue, into the plugins' own files, with the
 * same syncs and the same number of rows a transaction, from prepared statements.
 * No JSON, no engine, no ports, no locks, no reading of instances or of the log.
 */

#include <stddef.h>
#include <stdint.h>

struct ceiling_result {
	double events_per_second;
	double rows_per_event; /* inserted, updated or deleted */
	int64_t syncs;
};

#define CEILING_STORE 1U
#define CEILING_QUEUE 2U

/* `folder` has a store and a queue file that the plugins have created, as far as they are
 * among the parts. `batch`: rows of one kind a transaction. */
void ceiling_measure(unsigned parts, const char *folder, int64_t instances, int64_t batch,
	struct ceiling_result *out);

#endif
