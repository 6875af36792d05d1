/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_STOP_H
#define SWM_HOST_STOP_H

/*
 * "Please end": SIGTERM and SIGINT become one flag that a main thread waits for,
 * so that no code of ours ever runs inside a signal handler.
 *
 * Concurrency: opened by the main thread before any other starts, since it blocks the
 * signals in the calling thread and threads inherit that. Waiting, asking and
 * requesting are for any thread; closing for the main one.
 */

#include <swm/types.h>

struct swm_stop;

/* Blocks SIGTERM and SIGINT, ignores SIGPIPE (a broken connection is a status, not the
 * end). A second signal after the first was seen ends the process at once.
 * SWM_E_INTERNAL, SWM_E_NOMEM. */
swm_status swm_stop_open(struct swm_stop **out, struct swm_error *err);

/* Waits at most timeout_ms (-1: for ever) for the flag; true when it is set. */
bool swm_stop_wait(struct swm_stop *stop, int64_t timeout_ms);

/* Sets the flag from inside; wakes who waits. */
void swm_stop_request(struct swm_stop *stop);

/* A descriptor that is readable once the flag is to be looked at with
 * swm_stop_wait(stop, 0), for a poll() over other things as well. */
int swm_stop_fd(const struct swm_stop *stop);

/* To be called in a child between fork and exec: signals as they were. Safe there. */
void swm_stop_child(void);

/* Restores the signals. NULL is allowed. */
void swm_stop_close(struct swm_stop *stop);

#endif
