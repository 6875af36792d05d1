/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_PROCESS_H
#define SWM_BENCH_PROCESS_H

/*
 * `swm run` as a process of its own: how fast it is there, and what it costs while
 * nothing happens. And how fast one process wakes another.
 */

#include <stddef.h>

struct process_result {
	double ready_ms; /* from fork to READY=1 */
	double idle_rss_mib;
	double idle_cpu_ms;   /* per idle minute */
	double idle_switches; /* per idle minute, voluntary and not */
};

/* Starts it on the folder's configuration, watches it for idle_ms, stops it. */
void process_measure(
	const char *swm, const char *folder, int idle_ms, struct process_result *out);

/* Milliseconds from before a publish in another process to the return of a waiting
 * receive here, `count` times. `self` is this program. */
void wake_measure(const char *self, const char *folder, double *out_ms, size_t count);

/* The other process: publishes `count` messages, one every 10 ms. */
int wake_publish(const char *folder, size_t count);

#endif
