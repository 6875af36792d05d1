/* SPDX-License-Identifier: MIT */

/*
 * See shrink.h: first all answers to one question, then halves, quarters ... down to single
 * answers, then smaller values; and again from the start while that helps.
 */

#include "shrink.h"

#include "must.h"

#include <stdlib.h>
#include <string.h>

struct work {
	const struct sim_shrinking *shrinking;
	struct sim_given *list;
	size_t count;
	struct sim_given *trial;
	uint32_t runs;
};

/* Tries what is in `trial`; when that fails, too, it is the list. */
static bool try_it(struct work *work, size_t count)
{
	if (work->runs >= work->shrinking->runs_max) {
		return false;
	}
	work->runs++;
	if (!work->shrinking->fails(work->shrinking->ctx, work->trial, &count)) {
		return false;
	}
	memcpy(work->list, work->trial, count * sizeof(*work->list));
	work->count = count;
	return true;
}

static bool drop_question(struct work *work, const char *what)
{
	size_t count = 0;
	for (size_t i = 0; i < work->count; i++) {
		if (strcmp(work->list[i].what, what) != 0) {
			work->trial[count] = work->list[i];
			count++;
		}
	}
	return try_it(work, count);
}

static bool drop_questions(struct work *work)
{
	bool better = false;
	size_t i = 0;
	while (i < work->count) {
		const char *what = work->list[i].what;
		bool first = true;
		for (size_t j = 0; j < i; j++) {
			first = first && strcmp(work->list[j].what, what) != 0;
		}
		if (first && drop_question(work, what)) {
			better = true;
		} else {
			i++;
		}
	}
	return better;
}

static bool drop_parts(struct work *work, size_t size)
{
	bool better = false;
	size_t from = 0;
	while (from < work->count) {
		size_t cut = work->count - from < size ? work->count - from : size;
		memcpy(work->trial, work->list, from * sizeof(*work->list));
		memcpy(work->trial + from, work->list + from + cut,
			(work->count - from - cut) * sizeof(*work->list));
		if (try_it(work, work->count - cut)) {
			better = true;
		} else {
			from += cut;
		}
	}
	return better;
}

static bool lower_values(struct work *work)
{
	bool better = false;
	for (size_t i = 0; i < work->count; i++) {
		for (uint32_t value = 1; i < work->count && value < work->list[i].value;
			value++) {
			memcpy(work->trial, work->list, work->count * sizeof(*work->list));
			work->trial[i].value = value;
			if (try_it(work, work->count)) {
				better = true;
				break;
			}
			if (value > 2) {
				break;
			}
		}
	}
	return better;
}

uint32_t sim_shrink(
	const struct sim_shrinking *shrinking, struct sim_given *list, size_t *count)
{
	struct work work = {
		.shrinking = shrinking,
		.list = list,
		.count = *count,
		.trial = sim_must_alloc((*count + 1) * sizeof(*list)),
	};
	bool better = true;
	while (better && work.runs < shrinking->runs_max) {
		better = drop_questions(&work);
		for (size_t size = work.count / 2; size > 0; size /= 2) {
			better = drop_parts(&work, size) || better;
		}
		better = lower_values(&work) || better;
	}
	free(work.trial);
	*count = work.count;
	return work.runs;
}
