/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_METRICS_H
#define SWM_HOST_METRICS_H

/*
 * Named counters, made at their first use, so that a plugin counts what only it
 * knows without registering anything.
 *
 * Concurrency: lock-free. Any thread may add and look at any time; a snapshot is
 * exact for each counter, not across them.
 */

#include <stdatomic.h>
#include <swm/types.h>

/* Names are literals of the code, so there are as many as somebody typed in;
 * beyond this a new one is not counted, and swm_metrics_lost says so. */
#define SWM_METRICS_MAX 256

struct swm_metric_slot {
	_Atomic(const char *) name; /* NULL: free */
	_Atomic int64_t value;
};

/* All zero bits is ready for use. */
struct swm_metrics {
	struct swm_metric_slot slots[SWM_METRICS_MAX];
	_Atomic int64_t lost;
};

struct swm_metric {
	const char *name;
	int64_t value;
};

/* Adds to the counter of that name; `name` must stay where it is for ever. */
void swm_metrics_add(struct swm_metrics *metrics, const char *name, int64_t delta);

/* The value of one counter; 0 when nobody has used it. */
int64_t swm_metrics_get(const struct swm_metrics *metrics, const char *name);

/* Fills `out` with all counters in the order of their names; returns how many. */
size_t swm_metrics_snapshot(
	const struct swm_metrics *metrics, struct swm_metric out[SWM_METRICS_MAX]);

/* How many additions found no room for their counter. */
int64_t swm_metrics_lost(const struct swm_metrics *metrics);

#endif
