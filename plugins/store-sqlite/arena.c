/* SPDX-License-Identifier: MIT */

/* The memory of result sets; see arena.h. Concurrency: confined to one thread. */

#include "arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct piece {
	struct piece *next;
	size_t used;
	size_t room;
	alignas(max_align_t) char bytes[];
};

struct arena {
	struct piece *newest;
	size_t next_room; /* doubles, so that pieces stay few */
};

enum {
	PIECE_MIN_BYTES = 2048
};

static struct piece *piece_create(size_t room)
{
	if (room > SIZE_MAX - sizeof(struct piece)) {
		return NULL;
	}
	struct piece *piece = malloc(sizeof(*piece) + room);

	if (!piece) {
		return NULL;
	}
	piece->next = NULL;
	piece->used = 0;
	piece->room = room;
	return piece;
}

struct arena *arena_create(size_t bytes)
{
	size_t room = bytes < PIECE_MIN_BYTES ? PIECE_MIN_BYTES : bytes;

	static_assert(sizeof(struct arena) % alignof(max_align_t) == 0, "keeps the alignment");
	if (room > SIZE_MAX / 4) {
		return NULL;
	}
	struct piece *first = piece_create(room + sizeof(struct arena));

	if (!first) {
		return NULL;
	}
	struct arena *arena = (struct arena *)(void *)first->bytes;
	first->used = sizeof(*arena);
	arena->newest = first;
	arena->next_room = room;
	return arena;
}

void arena_destroy(struct arena *arena)
{
	/* The arena itself lies in the piece that is last in the list. */
	struct piece *piece = arena ? arena->newest : NULL;

	while (piece) {
		struct piece *next = piece->next;

		free(piece);
		piece = next;
	}
}

static char *cut(struct arena *arena, size_t bytes, size_t alignment)
{
	struct piece *piece = arena->newest;
	size_t start = (piece->used + alignment - 1) / alignment * alignment;

	if (start > piece->room || bytes > piece->room - start) {
		if (arena->next_room <= SIZE_MAX / 4) {
			arena->next_room *= 2;
		}
		piece = piece_create(bytes > arena->next_room ? bytes : arena->next_room);
		if (!piece) {
			return NULL;
		}
		piece->next = arena->newest;
		arena->newest = piece;
		start = 0;
	}
	piece->used = start + bytes;
	return piece->bytes + start;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	void *ptr = cut(arena, bytes, alignof(max_align_t));

	if (ptr) {
		memset(ptr, 0, bytes);
	}
	return ptr;
}

const char *arena_copy(struct arena *arena, const void *ptr, size_t len)
{
	char *copy = cut(arena, len, 1);

	if (copy && len > 0) {
		memcpy(copy, ptr, len);
	}
	return copy;
}

static void release(struct swm_set *set)
{
	arena_destroy(set->owner);
	memset(set, 0, sizeof(*set));
}

void arena_give(struct arena *arena, struct swm_set *set, const void *items, size_t count)
{
	memset(set, 0, sizeof(*set));
	set->items = items;
	set->count = count;
	set->owner = arena;
	set->release = release;
}
