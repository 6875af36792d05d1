/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_MARKS_H
#define SWM_ENGINE_MARKS_H

/*
 * What became of outbox rows since the last commit: confirmed, put off, or dead. They
 * ride along with the next commit and cost no round trip of their own; those of a
 * failed commit are still here for the one after.
 *
 * Concurrency: belongs to one thread.
 */

#include "arena.h"

#include <swm/store.h>

struct swm_marks {
	struct swm_arena arena; /* the ids and reasons */
	struct swm_outbox_mark *items;
	size_t count;
	size_t cap;
	int64_t oldest_ms; /* monotonic, of the first; while count > 0 */
};

/* All zero bits is an empty list. */
void swm_marks_finish(struct swm_marks *marks);

/* Makes room for `count` more. False: out of memory. */
bool swm_marks_reserve(struct swm_marks *marks, size_t count);

/* Copies what the mark points to. False: out of memory; the row's lease runs out then,
 * and it is sent again. */
bool swm_marks_add(struct swm_marks *marks, const struct swm_outbox_mark *mark, int64_t now_ms);

/* They are settled. */
void swm_marks_clear(struct swm_marks *marks);

#endif
