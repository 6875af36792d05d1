/* SPDX-License-Identifier: MIT */
#ifndef SIM_MUST_H
#define SIM_MUST_H

/*
 * Memory of the simulator's own. It has nothing to save when there is none left, so that
 * its code need not say at every step what would happen then.
 *
 * Concurrency: none of its own.
 */

#include <swm/types.h>

/* Ends the process when there is no memory. The caller frees. */
void *sim_must_alloc(size_t bytes); /* zeroed */
void *sim_must_realloc(void *old, size_t bytes);

/* A copy of the bytes with a terminator behind. */
char *sim_must_copy(struct swm_str text);

/* The array, moved when it has room for fewer than `count` items; *cap says for how many. */
void *sim_must_grow(void *items, size_t *cap, size_t count, size_t item_bytes);

#define SIM_MUST_GROW(items, cap, count) \
	((items) = sim_must_grow((items), &(cap), (count), sizeof(*(items))))

#endif
