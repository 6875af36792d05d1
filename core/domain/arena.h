/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_ARENA_H
#define SWM_DOMAIN_ARENA_H

/*
 * Memory that lives as long as a batch: taken piece by piece, given back all at
 * once. After the first batches a reset arena serves the hot path without
 * calling malloc.
 *
 * Concurrency: an arena belongs to one thread.
 */

#include <swm/types.h>

struct swm_arena_chunk;

struct swm_arena {
	struct swm_arena_chunk *chunks; /* the newest first */
	size_t used;                    /* of the newest */
	size_t total;                   /* of all, for the next size and for metrics */
};

/* An arena that is all zero bits is empty and ready. */
void swm_arena_init(struct swm_arena *arena);

/* Gives back all memory; the arena is empty and ready again. NULL is allowed. */
void swm_arena_finish(struct swm_arena *arena);

/* Forgets what was taken, keeps the largest chunk for the next batch. */
void swm_arena_reset(struct swm_arena *arena);

/* `size` bytes, aligned for any type, of undefined contents; NULL: out of memory.
 * Size 0 gives a valid pointer. */
void *swm_arena_take(struct swm_arena *arena, size_t size);

/* A copy of `text`, terminated beyond its length. False: out of memory. */
bool swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out);

#endif
