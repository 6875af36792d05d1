/* SPDX-License-Identifier: MIT */

/* See problems.h: the list of what is wrong. */

#include "problems.h"

#include "json_read.h"
#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A page of mistakes is enough to work on; more is the work of a program. */
#define PROBLEMS_MAX 200

static bool grow(struct swm_problems *list)
{
	if (list->count < list->capacity) {
		return true;
	}
	if (list->count >= PROBLEMS_MAX) {
		return false;
	}
	size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
	struct swm_problem *items = realloc(list->items, capacity * sizeof(*items));
	if (items == NULL) {
		return false;
	}
	list->items = items;
	list->capacity = capacity;
	return true;
}

void swm_problems_add(struct swm_problems *list, enum swm_severity severity,
	const char *pointer, const char *fmt, ...)
{
	if (severity == SWM_SEVERITY_ERROR) {
		list->error_count++;
	}
	char message[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	swm_text_clean(message);

	char *kept_pointer = strdup(pointer);
	char *kept_message = strdup(message);
	if (kept_pointer == NULL || kept_message == NULL || !grow(list)) {
		free(kept_pointer);
		free(kept_message);
		list->incomplete = true;
		return;
	}
	list->items[list->count++] = (struct swm_problem){
		.severity = severity,
		.pointer = kept_pointer,
		.message = kept_message,
	};
}

void swm_problems_locate(struct swm_problems *list, struct swm_str text)
{
	for (size_t i = 0; i < list->count; i++) {
		struct swm_problem *problem = &list->items[i];
		if (problem->line == 0) {
			problem->line = swm_json_line(text, problem->pointer);
		}
	}
}

void swm_problems_print(const struct swm_problems *list, const char *file, FILE *to)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct swm_problem *problem = &list->items[i];
		if (file != NULL) {
			(void)fprintf(to, "%s:", file);
		}
		if (problem->line > 0) {
			(void)fprintf(to, "%d:", problem->line);
		}
		(void)fprintf(to, "%s%s: ", file != NULL || problem->line > 0 ? " " : "",
			problem->severity == SWM_SEVERITY_ERROR ? "error" : "warning");
		if (problem->pointer[0] != '\0') {
			(void)fprintf(to, "%s: ", problem->pointer);
		}
		(void)fprintf(to, "%s\n", problem->message);
	}
	if (list->incomplete) {
		(void)fputs("error: there is more than could be listed\n", to);
	}
}

void swm_problems_finish(struct swm_problems *list)
{
	if (list == NULL) {
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].pointer);
		free(list->items[i].message);
	}
	free(list->items);
	*list = (struct swm_problems){0};
}
