/* SPDX-License-Identifier: MIT */

/*
 * The hot path's second call: many instances' steps in one statement, which is one
 * transaction with one flush. Each item is written only if its compare-and-set was won;
 * statements.c says how.
 *
 * Concurrency: other sessions may write the same rows at the same time; the server makes
 * them wait, in the order of the items, which are sorted for that.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* A cancelled row, as the statement wants it. */
struct cancelled {
	int64_t item;
	struct swm_str id;
	struct swm_str instance_id;
};

/* A row that was put off or parked. */
struct put_off {
	const struct swm_outbox_mark *mark;
	uint32_t state;
};

/* How much of everything a call brings. */
struct totals {
	size_t items;
	size_t events;
	size_t owed;
	size_t cancelled;
	size_t marks;
	size_t headers_bytes;
};

/* The call as the statement's rows, in one piece of scratch memory. */
struct batch {
	struct swm_session *session;
	struct swm_commit *items;
	swm_status *results;      /* of `items`, in their order */
	const void **sorted;      /* struct swm_commit: those that are sent, by id */
	const void **events;      /* struct swm_event_row */
	const void **event_items; /* int64_t: of each event, the number of its item */
	const void **pointers;    /* of whatever is being put, for the longest of them */
	const void **sent;        /* struct swm_outbox_mark */
	int64_t *numbers;         /* of `sorted`, from 1 */
	struct store_owed *owed;
	struct cancelled *cancelled;
	struct put_off *put_off;
	struct totals count; /* of what is sent; marks: those put off */
	size_t sent_count;
};

static struct totals sum_up(const struct swm_commit *items, size_t count, size_t mark_count)
{
	struct totals total = {.items = count, .marks = mark_count};

	for (size_t i = 0; i < count; i++) {
		total.events += items[i].event_count;
		total.owed += items[i].outbox_count;
		total.cancelled += items[i].cancel_count;
		for (size_t k = 0; k < items[i].outbox_count; k++) {
			total.headers_bytes += swm_store_headers_bytes(
				items[i].outbox[k].headers, items[i].outbox[k].header_count);
		}
	}
	return total;
}

static size_t longest(const struct totals *total)
{
	const size_t counts[] = {total->items, total->owed, total->cancelled, total->marks};
	size_t most = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		most = counts[i] > most ? counts[i] : most;
	}
	return most;
}

/* Cuts `count` elements of `bytes` each off the memory at *at. */
static void *cut(char **at, size_t count, size_t bytes)
{
	size_t room = (count * bytes + alignof(max_align_t) - 1) / alignof(max_align_t) *
		      alignof(max_align_t);
	void *piece = *at;

	*at += room;
	return piece;
}

enum {
	BATCH_PIECES = 11
};

static bool make_room(struct batch *batch, const struct totals *total, void **headers)
{
	size_t most = longest(total);
	size_t bytes = BATCH_PIECES * alignof(max_align_t) +
		       total->items * (sizeof(swm_status) + sizeof(void *) + sizeof(int64_t)) +
		       2 * total->events * sizeof(void *) + most * sizeof(void *) +
		       total->owed * sizeof(struct store_owed) +
		       total->cancelled * sizeof(struct cancelled) +
		       total->marks * (sizeof(struct put_off) + sizeof(void *)) +
		       total->headers_bytes;
	char *at = store_scratch(batch->session, bytes);

	if (!at) {
		return false;
	}
	batch->results = cut(&at, total->items, sizeof(*batch->results));
	batch->sorted = cut(&at, total->items, sizeof(*batch->sorted));
	batch->numbers = cut(&at, total->items, sizeof(*batch->numbers));
	batch->events = cut(&at, total->events, sizeof(*batch->events));
	batch->event_items = cut(&at, total->events, sizeof(*batch->event_items));
	batch->pointers = cut(&at, most, sizeof(*batch->pointers));
	batch->owed = cut(&at, total->owed, sizeof(*batch->owed));
	batch->cancelled = cut(&at, total->cancelled, sizeof(*batch->cancelled));
	batch->put_off = cut(&at, total->marks, sizeof(*batch->put_off));
	batch->sent = cut(&at, total->marks, sizeof(*batch->sent));
	*headers = cut(&at, total->headers_bytes, 1);
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct swm_commit *const *left = a, *const *right = b;
	struct swm_str one = (*left)->next.id, other = (*right)->next.id;
	size_t len = one.len < other.len ? one.len : other.len;
	int order = memcmp(one.ptr, other.ptr, len);

	return order != 0 ? order : (one.len > other.len) - (one.len < other.len);
}

/*
 * Which items are sent. One that is too large never is. What is more than a statement
 * carries waits: it is reported as a conflict, so that the caller brings it again, and a
 * call always gets its first item done. No batch of ordinary messages comes near that.
 */
static void choose_items(struct batch *batch, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		size_t item = swm_store_item_bytes(&batch->items[i]);

		batch->results[i] = SWM_E_CONFLICT;
		if (item > STORE_ITEM_BYTES_MAX) {
			batch->results[i] = SWM_E_TOO_LARGE;
		} else if (bytes + item <= STORE_CALL_BYTES_MAX) {
			bytes += item;
			batch->sorted[batch->count.items++] = &batch->items[i];
		}
	}
	if (batch->count.items > 1) {
		qsort(batch->sorted, batch->count.items, sizeof(*batch->sorted), by_id);
	}
}

/* The rows of item `number` of those sent; *headers is where packed ones go. */
static void add_rows(struct batch *batch, size_t number, char **headers)
{
	const struct swm_commit *item = batch->sorted[number];
	int64_t *place = &batch->numbers[number];

	*place = (int64_t)number + 1;
	for (size_t i = 0; i < item->event_count; i++) {
		batch->events[batch->count.events] = &item->events[i];
		batch->event_items[batch->count.events++] = place;
	}
	for (size_t i = 0; i < item->cancel_count; i++) {
		batch->cancelled[batch->count.cancelled++] =
			(struct cancelled){*place, item->cancel[i], item->next.id};
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		const struct swm_outbox_row *row = &item->outbox[i];
		size_t bytes = swm_store_headers_bytes(row->headers, row->header_count);
		struct swm_str packed = {bytes > 0 ? *headers : NULL, bytes};

		swm_store_headers_pack(row->headers, row->header_count, *headers);
		*headers += bytes;
		batch->owed[batch->count.owed++] =
			(struct store_owed){row, item->next.id, packed, *place};
	}
}

static void add_marks(
	struct batch *batch, const struct swm_outbox_mark *marks, size_t mark_count)
{
	for (size_t i = 0; i < mark_count; i++) {
		if (marks[i].action == SWM_MARK_SENT) {
			batch->sent[batch->sent_count++] = &marks[i];
		} else {
			batch->put_off[batch->count.marks++] = (struct put_off){&marks[i],
				marks[i].action == SWM_MARK_RETRY ? SWM_OUTBOX_PENDING
								  : SWM_OUTBOX_DEAD};
		}
	}
}

/* Points batch->pointers at `count` structs of `bytes` each. */
static const void *const *point_at(
	struct batch *batch, const void *structs, size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++) {
		batch->pointers[i] = (const char *)structs + i * bytes;
	}
	return batch->pointers;
}

/* The parameters of STMT_COMMIT, in its order. */
static void put_items(struct batch *batch, struct params *params)
{
	const struct totals *count = &batch->count;

	for (size_t i = 0; i < row_instance.column_count; i++) {
		params_column(params, row_instance.columns[i].type, batch->sorted, count->items,
			offsetof(struct swm_commit, next) + row_instance.columns[i].offset);
	}
	params_column(params, COLUMN_INT8, batch->event_items, count->events, 0);
	params_columns(params, row_event.columns, row_event.column_count, batch->events,
		count->events);
	const void *const *cancelled =
		point_at(batch, batch->cancelled, count->cancelled, sizeof(*batch->cancelled));
	params_column(params, COLUMN_INT8, cancelled, count->cancelled,
		offsetof(struct cancelled, item));
	params_column(params, COLUMN_TEXT, cancelled, count->cancelled,
		offsetof(struct cancelled, id));
	params_column(params, COLUMN_TEXT, cancelled, count->cancelled,
		offsetof(struct cancelled, instance_id));
	const void *const *owed =
		point_at(batch, batch->owed, count->owed, sizeof(*batch->owed));
	params_column(
		params, COLUMN_INT8, owed, count->owed, offsetof(struct store_owed, item));
	store_put_owed(params, batch->owed, count->owed, batch->pointers);
}

static void put_marks(struct batch *batch, struct params *params)
{
	const size_t count = batch->count.marks;

	params_column(params, COLUMN_TEXT, batch->sent, batch->sent_count,
		offsetof(struct swm_outbox_mark, id));
	for (size_t i = 0; i < count; i++) {
		batch->pointers[i] = batch->put_off[i].mark;
	}
	params_column(params, COLUMN_TEXT, batch->pointers, count,
		offsetof(struct swm_outbox_mark, id));
	params_column(params, COLUMN_TEXT, batch->pointers, count,
		offsetof(struct swm_outbox_mark, reason));
	params_column(params, COLUMN_INT8, batch->pointers, count,
		offsetof(struct swm_outbox_mark, delay_ms));
	params_column(params, COLUMN_INT4,
		point_at(batch, batch->put_off, count, sizeof(*batch->put_off)), count,
		offsetof(struct put_off, state));
}

/* Item by item, what the statement's answer says of those that were sent. */
static swm_status read_answer(
	struct batch *batch, const PGresult *answer, struct swm_error *err)
{
	bool ok = true;

	for (int i = 0; i < PQntuples(answer) && ok; i++) {
		int64_t number = row_int8(answer, i, 0, &ok);

		ok = ok && number >= 1 && number <= (int64_t)batch->count.items;
		if (ok) {
			const struct swm_commit *item = batch->sorted[number - 1];

			batch->results[item - batch->items] = SWM_OK;
		}
	}
	return ok ? SWM_OK
		  : swm_fail(err, SWM_E_INTERNAL, 0,
			    "%s: the answer to a commit is not one to what was sent",
			    batch->session->store->target.where);
}

/* Gives the results out and sums them up. */
static swm_status report(const struct batch *batch, size_t count, struct swm_error *err)
{
	size_t conflicts = 0, too_large = 0;

	for (size_t i = 0; i < count; i++) {
		batch->items[i].result = batch->results[i];
		conflicts += batch->results[i] == SWM_E_CONFLICT;
		too_large += batch->results[i] == SWM_E_TOO_LARGE;
	}
	if (too_large > 0) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"%zu of %zu steps are larger than %d bytes", too_large, count,
			STORE_ITEM_BYTES_MAX);
	}
	if (conflicts > 0) {
		return swm_fail(err, SWM_E_CONFLICT, 0,
			"%zu of %zu steps were computed from a version that is not the stored "
			"one",
			conflicts, count);
	}
	return SWM_OK;
}

/* Nobody knows what became of the items that were sent. */
static void report_doubt(const struct batch *batch, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		batch->items[i].result = batch->results[i];
	}
	for (size_t i = 0; i < batch->count.items; i++) {
		const struct swm_commit *item = batch->sorted[i];

		batch->items[item - batch->items].result = SWM_E_INDOUBT;
	}
}

static swm_status send_batch(struct batch *batch, struct swm_str owner, int64_t lease_ms,
	PGresult **answer, struct swm_error *err)
{
	struct params *params = &batch->session->params;

	store_begin(batch->session);
	put_items(batch, params);
	params_text(params, owner);
	params_int8(params, lease_ms);
	put_marks(batch, params);
	return store_run(batch->session, STMT_COMMIT, WIRE_COUNTS, "commit", answer, err);
}

swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	struct batch batch = {.session = session, .items = items};
	struct totals total = sum_up(items, count, mark_count);
	void *headers = NULL;
	PGresult *answer = NULL;
	swm_status status =
		swm_store_check_commit(lease_ms, items, count, marks, mark_count, err);

	if (status != SWM_OK || count + mark_count == 0) {
		return status;
	}
	if (!make_room(&batch, &total, &headers)) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	choose_items(&batch, count);
	char *at = headers;
	for (size_t i = 0; i < batch.count.items; i++) {
		add_rows(&batch, i, &at);
	}
	add_marks(&batch, marks, mark_count);
	if (batch.count.items + mark_count == 0) {
		return report(&batch, count, err);
	}
	status = send_batch(&batch, owner, lease_ms, &answer, err);
	if (status == SWM_OK) {
		status = read_answer(&batch, answer, err);
		PQclear(answer);
	}
	if (status == SWM_E_INDOUBT) {
		report_doubt(&batch, count);
	}
	return status == SWM_OK ? report(&batch, count, err) : status;
}
