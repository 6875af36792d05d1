/* SPDX-License-Identifier: MIT */

/*
 * See must.h.
 */

#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ITEMS 8

static void *must(void *memory)
{
	if (!memory) {
		(void)fputs("the simulator is out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *sim_must_alloc(size_t bytes)
{
	return must(calloc(1, bytes > 0 ? bytes : 1));
}

void *sim_must_realloc(void *old, size_t bytes)
{
	return must(realloc(old, bytes > 0 ? bytes : 1));
}

char *sim_must_copy(struct swm_str text)
{
	char *copy = must(malloc(text.len + 1));
	if (text.len > 0) {
		memcpy(copy, text.ptr, text.len);
	}
	copy[text.len] = '\0';
	return copy;
}

void *sim_must_grow(void *items, size_t *cap, size_t count, size_t item_bytes)
{
	if (count <= *cap) {
		return items;
	}
	size_t more = *cap > 0 ? *cap * 2 : FIRST_ITEMS;
	*cap = more > count ? more : count;
	return sim_must_realloc(items, *cap * item_bytes);
}
