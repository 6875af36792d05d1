/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_PROBLEMS_H
#define SWM_HOST_PROBLEMS_H

/*
 * Everything that is wrong with a configuration, at once. A reader who fixes a
 * file wants the whole list, each entry with its place, not the first of it; so
 * the checks collect, and whoever started them prints.
 *
 * Concurrency: a list belongs to one thread.
 */

#include <stdio.h>
#include <swm/types.h>

enum swm_severity {
	SWM_SEVERITY_ERROR,
	SWM_SEVERITY_WARNING
};

struct swm_problem {
	enum swm_severity severity;
	int32_t line;  /* from 1; 0 when not known */
	char *pointer; /* JSON pointer; "" for the whole document */
	char *message; /* one line */
};

/* All zero bits is an empty list. */
struct swm_problems {
	struct swm_problem *items;
	size_t count;
	size_t capacity;
	size_t error_count;
	bool incomplete; /* out of memory: more was found than is kept */
};

/* Adds one. Never fails: without memory the list says so by `incomplete`, and the
 * error is counted all the same. */
void swm_problems_add(struct swm_problems *list, enum swm_severity severity,
	const char *pointer, const char *fmt, ...) SWM_PRINTF(4, 5);

/* Looks up the line of each entry that has none in the text they are about. */
void swm_problems_locate(struct swm_problems *list, struct swm_str text);

/* One line each, "FILE:LINE: error: POINTER: MESSAGE"; `file` may be NULL. */
void swm_problems_print(const struct swm_problems *list, const char *file, FILE *to);

/* Frees the entries; the list is empty and ready again. NULL is allowed. */
void swm_problems_finish(struct swm_problems *list);

#endif
