/* SPDX-License-Identifier: MIT */
#ifndef SWM_FAKE_MEMORY_H
#define SWM_FAKE_MEMORY_H

/*
 * The fakes stand for services that do not fail because the engine's process runs out
 * of memory: a test that makes allocations fail leaves theirs alone. Included last, by
 * the files of the two ports.
 */

#include <stdlib.h>
#include <string.h>

/* Above 0: this thread is allocating for a fake. */
extern _Thread_local int fake_memory_exempt;

static inline void *fake_calloc(size_t count, size_t size)
{
	fake_memory_exempt++;
	void *memory = calloc(count, size);
	fake_memory_exempt--;
	return memory;
}

static inline void *fake_realloc(void *old, size_t size)
{
	fake_memory_exempt++;
	void *memory = realloc(old, size);
	fake_memory_exempt--;
	return memory;
}

static inline void *fake_malloc(size_t size)
{
	return fake_realloc(NULL, size);
}

static inline char *fake_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = fake_malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}

#define calloc fake_calloc
#define realloc fake_realloc
#define malloc fake_malloc
#define strdup fake_strdup

#endif
