/* SPDX-License-Identifier: MIT */

/*
 * Bump allocation in chunks that double, so that a batch of any size costs few
 * calls of malloc, and none once a chunk has grown to what a batch needs.
 */

#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK_BYTES ((size_t)16 * 1024)

struct swm_arena_chunk {
	struct swm_arena_chunk *older;
	size_t size; /* of bytes */
	max_align_t bytes[];
};

void swm_arena_init(struct swm_arena *arena)
{
	*arena = (struct swm_arena){0};
}

static void free_from(struct swm_arena_chunk *chunk)
{
	while (chunk) {
		struct swm_arena_chunk *older = chunk->older;
		free(chunk);
		chunk = older;
	}
}

void swm_arena_finish(struct swm_arena *arena)
{
	if (arena) {
		free_from(arena->chunks);
		*arena = (struct swm_arena){0};
	}
}

void swm_arena_reset(struct swm_arena *arena)
{
	/* Chunks grow, so the newest is the largest. */
	struct swm_arena_chunk *newest = arena->chunks;
	arena->used = 0;
	if (newest) {
		free_from(newest->older);
		newest->older = NULL;
		arena->total = newest->size;
	}
}

static bool grow(struct swm_arena *arena, size_t size)
{
	size_t chunk_size = arena->total ? arena->total : FIRST_CHUNK_BYTES;
	if (chunk_size < size) {
		chunk_size = size;
	}
	struct swm_arena_chunk *chunk = malloc(sizeof(*chunk) + chunk_size);
	if (!chunk) {
		return false;
	}
	chunk->older = arena->chunks;
	chunk->size = chunk_size;
	arena->chunks = chunk;
	arena->used = 0;
	arena->total += chunk_size;
	return true;
}

void *swm_arena_take(struct swm_arena *arena, size_t size)
{
	const size_t mask = alignof(max_align_t) - 1;
	if (size > SIZE_MAX / 4) {
		return NULL;
	}
	size_t rounded = (size + mask) & ~mask;
	if (!arena->chunks || arena->chunks->size - arena->used < rounded) {
		if (!grow(arena, rounded)) {
			return NULL;
		}
	}
	void *taken = (char *)arena->chunks->bytes + arena->used;
	arena->used += rounded;
	return taken;
}

bool swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out)
{
	char *copy = swm_arena_take(arena, text.len + 1);
	if (!copy) {
		return false;
	}
	if (text.len) {
		memcpy(copy, text.ptr, text.len);
	}
	copy[text.len] = '\0';
	*out = (struct swm_str){copy, text.len};
	return true;
}
