/* SPDX-License-Identifier: MIT */

/*
 * The hot path's first call: instances by id, and which events they have seen, in one
 * statement, so that both belong to the same version.
 *
 * Concurrency: takes no lock; sees what was committed before it began.
 */

#include "rows.h"

#include "status.h"

#include <string.h>

/* The columns of the answer: which item, which of all event ids (NULL for an instance),
 * and the instance. */
enum {
	ANSWER_ITEM,
	ANSWER_EVENT,
	ANSWER_INSTANCE
};

/* What is asked for, in one piece of scratch memory. */
struct question {
	const void **items;  /* struct swm_load */
	const void **events; /* struct swm_str */
	const void **owners; /* of each event, its place in `numbers` */
	int64_t *numbers;    /* of items, from 1 */
	size_t event_count;
};

static bool prepare(struct swm_session *session, const struct swm_load *items, size_t count,
	struct question *out)
{
	size_t events = 0, at = 0;

	for (size_t i = 0; i < count; i++) {
		events += items[i].event_count;
	}
	char *memory = store_scratch(
		session, (count + 2 * events) * sizeof(void *) + count * sizeof(int64_t));
	if (!memory) {
		return false;
	}
	out->items = (const void **)(void *)memory;
	out->events = out->items + count;
	out->owners = out->events + events;
	out->numbers = (int64_t *)(void *)(out->owners + events);
	out->event_count = events;
	for (size_t i = 0; i < count; i++) {
		out->items[i] = &items[i];
		out->numbers[i] = (int64_t)i + 1;
		for (size_t k = 0; k < items[i].event_count; k++) {
			out->events[at] = &items[i].event_ids[k];
			out->owners[at] = &out->numbers[i];
			at++;
		}
	}
	return true;
}

/* The rows for instances come first; *instances is how many. False: not an answer to
 * what was asked. */
static bool check_answer(
	const PGresult *answer, size_t count, size_t event_count, size_t *instances)
{
	bool ok = PQnfields(answer) > ANSWER_INSTANCE;

	*instances = 0;
	for (int i = 0; i < PQntuples(answer) && ok; i++) {
		int64_t item = row_int8(answer, i, ANSWER_ITEM, &ok);

		ok = ok && item >= 1 && item <= (int64_t)count;
		if (PQgetisnull(answer, i, ANSWER_EVENT)) {
			ok = ok && *instances == (size_t)i;
			(*instances)++;
		} else {
			int64_t event = row_int8(answer, i, ANSWER_EVENT, &ok);

			ok = ok && event >= 1 && event <= (int64_t)event_count;
		}
	}
	return ok;
}

/* `numbers` says where the event ids of each item begin. */
static void hand_over(const PGresult *answer, size_t instances, struct swm_load *items,
	size_t count, const struct swm_instance_row *rows, int64_t *begins)
{
	size_t begin = 0;
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		items[i].instance = NULL;
		if (items[i].event_count > 0) {
			memset(items[i].seen, 0, items[i].event_count);
		}
		begins[i] = (int64_t)begin;
		begin += items[i].event_count;
	}
	for (int i = 0; i < PQntuples(answer); i++) {
		size_t item = (size_t)row_int8(answer, i, ANSWER_ITEM, &ok) - 1;

		if ((size_t)i < instances) {
			items[item].instance = &rows[i];
		} else {
			int64_t event = row_int8(answer, i, ANSWER_EVENT, &ok) - 1;

			items[item].seen[event - begins[item]] = 1;
		}
	}
}

static swm_status ask(struct swm_session *session, const struct question *question,
	size_t count, PGresult **answer, struct swm_error *err)
{
	struct params *params = store_begin(session);

	params_column(
		params, COLUMN_TEXT, question->items, count, offsetof(struct swm_load, id));
	params_column(params, COLUMN_INT8, question->items, count,
		offsetof(struct swm_load, have_version));
	params_column(params, COLUMN_INT8, question->owners, question->event_count, 0);
	params_column(params, COLUMN_TEXT, question->events, question->event_count, 0);
	return store_run(session, STMT_LOAD, WIRE_READS, "load instances", answer, err);
}

swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	struct question question;
	struct swm_set found = {0};
	PGresult *answer = NULL;
	size_t instances = 0;

	for (size_t i = 0; i < count; i++) {
		if (!items[i].id.ptr) {
			return swm_fail(err, SWM_E_INVALID, 0, "an instance without an id");
		}
	}
	if (!prepare(session, items, count, &question)) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status status = ask(session, &question, count, &answer, err);
	if (status != SWM_OK) {
		return status;
	}
	if (!check_answer(answer, count, question.event_count, &instances)) {
		PQclear(answer);
		return swm_fail(err, SWM_E_INTERNAL, 0,
			"%s: the answer to a load is not one to what was asked",
			session->store->target.where);
	}
	status = rows_take(answer, instances, ANSWER_INSTANCE, &row_instance, &found, err);
	if (status != SWM_OK) {
		return status;
	}
	hand_over(answer, instances, items, count, found.items, question.numbers);
	*backing = found;
	return SWM_OK;
}
