/* SPDX-License-Identifier: MIT */

/*
 * See pool.h. A block begins with its class; free ones hang in a list by class. Memory goes
 * back to nobody: a process that runs many worlds needs it again.
 */

#include "pool.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BYTES ((size_t)32)
#define CLASSES ((size_t)16) /* larger ones are malloc()'s */
#define CHUNK_BYTES ((size_t)256 * 1024)

/* As long as the strictest alignment, so that what follows has it as well. */
union head {
	size_t class;
	max_align_t align;
};

static struct {
	void *idle[CLASSES];
	char *chunk;
	size_t left; /* of the chunk */
} pool;

static void *carve(size_t bytes)
{
	if (pool.left < bytes) {
		pool.chunk = malloc(CHUNK_BYTES);
		pool.left = pool.chunk ? CHUNK_BYTES : 0;
	}
	if (pool.left < bytes) {
		return NULL;
	}
	void *block = pool.chunk;
	pool.chunk += bytes;
	pool.left -= bytes;
	return block;
}

static void *take(size_t size)
{
	size_t class = (size + STEP_BYTES - 1) / STEP_BYTES;
	union head *head = NULL;
	if (class >= CLASSES) {
		class = CLASSES;
		head = malloc(sizeof(*head) + size);
	} else if (pool.idle[class]) {
		head = (union head *)pool.idle[class] - 1;
		memcpy(&pool.idle[class], head + 1, sizeof(pool.idle[class]));
	} else {
		head = carve(sizeof(*head) + class * STEP_BYTES);
	}
	if (!head) {
		return NULL;
	}
	head->class = class;
	return head + 1;
}

static void give_back(void *block)
{
	if (!block) {
		return;
	}
	union head *head = (union head *)block - 1;
	if (head->class == CLASSES) {
		free(head);
		return;
	}
	memcpy(block, &pool.idle[head->class], sizeof(void *));
	pool.idle[head->class] = block;
}

void pool_use(void)
{
	json_set_alloc_funcs(take, give_back);
}
