/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_WORKLOAD_H
#define SWM_BENCH_WORKLOAD_H

/*
 * What the pizza workflow makes a machine do, without a workflow manager: the rows and
 * messages that the ceilings write.
 */

#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_EVENTS 6

/* Of one instance: its start, and each task and the answer to it. */
#define WORKLOAD_TASKS 5
#define WORKLOAD_MESSAGES (1 + 2 * WORKLOAD_TASKS)

#define WORKLOAD_ID_BYTES 33

/* How many StartTasks each event brings about. */
extern const int workload_tasks_of[WORKLOAD_EVENTS];

/* Bodies as long as the real ones, terminated. */
extern const char workload_message[];
extern const char workload_instance[];

/* As even as the digits of a hash, so that index pages are hit as with real ids. */
void workload_id(char out[WORKLOAD_ID_BYTES], int64_t number);

/* Ends the program. */
_Noreturn void workload_fail(const char *what, const char *why);

#endif
