/* SPDX-License-Identifier: MIT */

/*
 * See marks.h.
 */

#include "marks.h"

#include <stdlib.h>

#define FIRST_MARKS 256

void swm_marks_finish(struct swm_marks *marks)
{
	swm_arena_finish(&marks->arena);
	free(marks->items);
	*marks = (struct swm_marks){0};
}

bool swm_marks_reserve(struct swm_marks *marks, size_t count)
{
	size_t cap = marks->cap > 0 ? marks->cap : FIRST_MARKS;
	while (cap - marks->count < count) {
		cap *= 2;
	}
	if (cap == marks->cap) {
		return true;
	}
	struct swm_outbox_mark *items = realloc(marks->items, cap * sizeof(*items));
	if (!items) {
		return false;
	}
	marks->items = items;
	marks->cap = cap;
	return true;
}

bool swm_marks_add(struct swm_marks *marks, const struct swm_outbox_mark *mark, int64_t now_ms)
{
	struct swm_outbox_mark copy = *mark;
	if (!swm_marks_reserve(marks, 1) ||
		!swm_arena_copy(&marks->arena, mark->id, &copy.id) ||
		!swm_arena_copy(&marks->arena, mark->instance_id, &copy.instance_id) ||
		!swm_arena_copy(&marks->arena, mark->reason, &copy.reason)) {
		return false;
	}
	if (mark->instance_id.len == 0) {
		copy.instance_id = (struct swm_str){0};
	}
	if (marks->count == 0) {
		marks->oldest_ms = now_ms;
	}
	marks->items[marks->count] = copy;
	marks->count++;
	return true;
}

void swm_marks_clear(struct swm_marks *marks)
{
	marks->count = 0;
	swm_arena_reset(&marks->arena);
}
