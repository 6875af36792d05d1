/* SPDX-License-Identifier: MIT */
#ifndef STORE_SQLITE_ARENA_H
#define STORE_SQLITE_ARENA_H

/*
 * The memory behind one struct swm_set: everything that a call returns is cut from
 * a few large pieces that release() frees together, so that a batch costs one
 * malloc and not one for each column.
 *
 * Concurrency: an arena belongs to one thread at a time.
 */

#include <swm/store.h>

struct arena;

/* An arena whose first piece holds about `bytes`. NULL: no memory. */
struct arena *arena_create(size_t bytes);

/* NULL is allowed. */
void arena_destroy(struct arena *arena);

/* Zeroed, aligned for any type. NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* A copy of `len` bytes, never NULL but for want of memory; not aligned. */
const char *arena_copy(struct arena *arena, const void *ptr, size_t len);

/* Hands the arena over to a set: its release() destroys it. */
void arena_give(struct arena *arena, struct swm_set *set, const void *items, size_t count);

#endif
