/* SPDX-License-Identifier: MIT */
#ifndef SIM_COROUTINE_H
#define SIM_COROUTINE_H

/*
 * Flows of control with stacks of their own, all in one thread: the threads of simulated
 * orchestrators. A switch costs a few nanoseconds and no system call.
 *
 * Concurrency: a pool and all that comes from it belong to one thread.
 */

#include <swm/types.h>

/* Stacks, and coroutines that are idle, kept for the next world. */
struct sim_stacks;
struct sim_coroutine;

struct sim_stacks *sim_stacks_create(void);

/* NULL is allowed. All its coroutines are idle. */
void sim_stacks_destroy(struct sim_stacks *stacks);

/* The one that the thread itself runs on. */
struct sim_coroutine *sim_stacks_main(struct sim_stacks *stacks);

/* An idle coroutine, which will run run(arg) when it is first switched to. run() ends by
 * returning the coroutine to go on with, and the one that ran is idle again. */
struct sim_coroutine *sim_coroutine_take(
	struct sim_stacks *stacks, struct sim_coroutine *(*run)(void *arg), void *arg);

/* Leaves the running coroutine, `from`, and goes on with `to`; returns when somebody
 * switches to `from`. Ends the process when the stack of `from` has overflowed. */
void sim_coroutine_switch(struct sim_coroutine *from, struct sim_coroutine *to);

#endif
