/* SPDX-License-Identifier: MIT */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

/*
 * Goes through all runs of a simulated world without beginning each of them anew. All
 * memory of the world, the stacks of its coroutines included, lies in one block of this
 * module's; where the world asks what is to come, the block is copied, and for the next
 * answer copied back. The executable is linked so that malloc() and its kin of everything
 * that is linked into it, and those of jansson, are the ones here.
 *
 * Concurrency: one exploration per process, by one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_run {
	/* One run of the world, which ends by returning. */
	void (*run)(void *arg);

	/* A run has ended; on the thread's own stack, with the world's memory as the run left
	 * it. False: enough. */
	bool (*ended)(void *arg);
	void *arg;
	bool backwards; /* the last answer first, for a second process that comes towards */
};

/* Sends jansson here. Before anything of the world is there. */
void snapshot_init(void);

/* All runs. */
void snapshot_explore(const struct snapshot_run *run);

/* By the world: one of 0 ... n - 1, and later every other one. */
uint32_t snapshot_ask(uint32_t n);

/* The greatest depth so far, and the bytes of the largest copy. */
size_t snapshot_depth_max(void);
size_t snapshot_bytes_max(void);

/* Memory that is not the world's: never copied, never freed, all zero bits. `shared`: with
 * the processes that fork() makes. NULL: there is none. */
void *snapshot_aside(size_t bytes, bool shared);

#endif
