/* SPDX-License-Identifier: MIT */

/* What one step writes; see steps.h. Concurrency: no state. */

#include "steps.h"

#include "document.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

struct steps steps_begin(struct swm_session *session, struct swm_str owner, int64_t lease_ms)
{
	struct steps steps = {.documents = session->documents,
		.owner = owner,
		.lease_ms = lease_ms,
		.earliest_ms = clock_earliest_ms(&session->clock),
		.latest_ms = clock_latest_ms(&session->clock)};

	bson_oid_init(&steps.token, NULL);
	return steps;
}

int64_t steps_after(int64_t now_ms, int64_t ms)
{
	return ms < STORE_TIME_MAX - now_ms ? now_ms + ms : STORE_TIME_MAX;
}

static size_t instance_bytes(const struct swm_commit *item)
{
	const struct swm_commit alone = {.next = item->next};

	return swm_store_item_bytes(&alone);
}

size_t step_bytes(const struct swm_commit *item)
{
	return swm_store_item_bytes(item) + item->event_count * STORE_EVENT_OVERHEAD +
	       item->outbox_count * STORE_ROW_OVERHEAD;
}

size_t step_kept_bytes(const struct swm_commit *item)
{
	return step_bytes(item) - instance_bytes(item);
}

/* --- Rows --- */

/* A row as it is stored; *at_ms is when it can be claimed, 0: never. */
static struct swm_outbox_row stored_row(
	const struct steps *steps, const struct swm_outbox_row *row, int64_t *at_ms)
{
	struct swm_outbox_row stored = *row;

	stored.claims = 0;
	stored.lease_until_ms = 0;
	stored.created_ms = steps->earliest_ms;
	stored.due_ms = row->delay_ms == 0 ? steps->earliest_ms
					   : steps_after(steps->latest_ms, row->delay_ms);
	*at_ms = row->state == SWM_OUTBOX_PENDING ? stored.due_ms : 0;
	if (row->state == SWM_OUTBOX_PENDING && row->delay_ms == 0 && steps->owner.ptr) {
		stored.lease_until_ms = steps_after(steps->latest_ms, steps->lease_ms);
		*at_ms = stored.lease_until_ms;
	}
	return stored;
}

static void put_row_state(struct put *put, const char *name, const struct steps *steps,
	const struct swm_outbox_row *row)
{
	int64_t at_ms = 0;
	struct swm_outbox_row stored = stored_row(steps, row, &at_ms);
	bson_t child;
	struct put inner = {&child, false};

	bson_append_document_begin(put->bson, name, -1, &child);
	put_fields(&inner, "", &row_state, &stored);
	if (at_ms > 0) {
		bson_append_date_time(&child, "at", -1, at_ms);
	}
	if (stored.lease_until_ms > 0) {
		put_bytes(&inner, "owner", steps->owner);
	}
	bson_append_int64(
		&child, "bytes", -1, (int64_t)swm_store_row_bytes(row) + STORE_ROW_OVERHEAD);
	bson_append_document_end(put->bson, &child);
	put->bad = put->bad || inner.bad;
}

static void put_headers(bson_t *out, const struct swm_outbox_row *row)
{
	size_t bytes = swm_store_headers_bytes(row->headers, row->header_count);
	uint8_t *packed = bytes > 0 ? bson_malloc(bytes) : NULL;

	if (packed) {
		swm_store_headers_pack(row->headers, row->header_count, packed);
		bson_append_binary(
			out, "headers", -1, BSON_SUBTYPE_BINARY, packed, (uint32_t)bytes);
		bson_free(packed);
	}
}

static void put_row_payload(struct put *put, const char *name, const struct swm_outbox_row *row)
{
	bson_t child;
	struct put inner = {&child, false};

	bson_append_document_begin(put->bson, name, -1, &child);
	put_fields(&inner, "", &row_payload, row);
	put_headers(&child, row);
	bson_append_document_end(put->bson, &child);
	put->bad = put->bad || inner.bad;
}

/* When the first of the rows can be claimed; INT64_MAX: never. */
static int64_t first_at(
	const struct steps *steps, const struct swm_outbox_row *rows, size_t count)
{
	int64_t first_ms = INT64_MAX;

	for (size_t i = 0; i < count; i++) {
		int64_t at_ms = 0;

		(void)stored_row(steps, &rows[i], &at_ms);
		if (at_ms > 0 && at_ms < first_ms) {
			first_ms = at_ms;
		}
	}
	return first_ms;
}

static bool any_dead(const struct swm_outbox_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].state == SWM_OUTBOX_DEAD) {
			return true;
		}
	}
	return false;
}

void put_rows(struct put *put, const struct steps *steps, const struct swm_outbox_row *rows,
	size_t count)
{
	int64_t first_ms = first_at(steps, rows, count);
	bson_t child;
	struct put inner = {&child, false};

	bson_append_document_begin(put->bson, "outbox", -1, &child);
	for (size_t i = 0; i < count; i++) {
		put_row_state(&inner, row_key_of(rows[i].id).text, steps, &rows[i]);
	}
	bson_append_document_end(put->bson, &child);
	bson_append_document_begin(put->bson, "payload", -1, &child);
	for (size_t i = 0; i < count; i++) {
		put_row_payload(&inner, row_key_of(rows[i].id).text, &rows[i]);
	}
	bson_append_document_end(put->bson, &child);
	bson_append_int64(put->bson, "rev", -1, 1);
	if (first_ms != INT64_MAX) {
		bson_append_date_time(put->bson, "due", -1, first_ms);
	}
	if (any_dead(rows, count)) {
		bson_append_bool(put->bson, "parked", -1, true);
	}
	put->bad = put->bad || inner.bad;
}

/* --- Steps --- */

static void put_events(struct put *put, const char *name, const struct swm_commit *item)
{
	bson_t list, child;
	char number[16];

	bson_append_array_begin(put->bson, name, -1, &list);
	for (size_t i = 0; i < item->event_count; i++) {
		const char *key = NULL;
		size_t len = bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		struct put inner = {&child, false};

		bson_append_document_begin(&list, key, (int)len, &child);
		put_text(&inner, "id", item->events[i].id);
		put_fields(&inner, "", &event_fields, &item->events[i]);
		bson_append_document_end(&list, &child);
		put->bad = put->bad || inner.bad;
	}
	bson_append_array_end(put->bson, &list);
}

static void put_token(bson_t *out, const char *name, const bson_oid_t *token)
{
	bson_t list;

	bson_append_array_begin(out, name, -1, &list);
	bson_append_oid(&list, "0", 1, token);
	bson_append_array_end(out, &list);
}

void step_document(const struct steps *steps, const struct swm_commit *item, struct put *out)
{
	bson_t child;
	struct put ours = {&child, false};
	bson_oid_t life;
	bool data = false;

	bson_oid_init(&life, NULL);
	put_text(out, "_id", item->next.id);
	put_fields(out, "", &instance_fields, &item->next);
	(void)document_append(steps->documents, &item->next, out->bson, &data);
	bson_append_document_begin(out->bson, OUR, -1, &child);
	put_fields(&ours, "", &instance_state, &item->next);
	bson_append_oid(&child, "life", -1, &life);
	put_token(&child, "tokens", &steps->token);
	bson_append_int64(&child, "bytes", -1, (int64_t)step_kept_bytes(item));
	put_events(&ours, "events", item);
	if (item->event_count > 0) {
		bson_append_bool(&child, "unmoved", -1, true);
	}
	put_rows(&ours, steps, item->outbox, item->outbox_count);
	bson_append_document_end(out->bson, &child);
	out->bad = out->bad || ours.bad;
}

/* Whether the readable form is among the fields, and whether it has data. */
struct readable {
	bool appended;
	bool data;
};

static struct readable put_set(
	struct put *update, const struct steps *steps, const struct swm_commit *item)
{
	struct readable readable = {.data = false};
	bson_t child;
	struct put set = {&child, false};

	bson_append_document_begin(update->bson, "$set", -1, &child);
	put_fields(&set, "", &instance_fields, &item->next);
	put_fields(&set, OUR ".", &instance_state, &item->next);
	for (size_t i = 0; i < item->outbox_count; i++) {
		const struct row_key key = row_key_of(item->outbox[i].id);

		put_row_state(&set, path_of(ROWS, &key, NULL).text, steps, &item->outbox[i]);
		put_row_payload(&set, path_of(PAYLOADS, &key, NULL).text, &item->outbox[i]);
	}
	if (item->event_count > 0) {
		bson_append_bool(&child, UNMOVED, -1, true);
	}
	if (any_dead(item->outbox, item->outbox_count)) {
		bson_append_bool(&child, PARKED, -1, true);
	}
	readable.appended =
		document_append(steps->documents, &item->next, &child, &readable.data);
	bson_append_document_end(update->bson, &child);
	update->bad = update->bad || set.bad;
	return readable;
}

/* A path may stand in an update only once. */
static bool is_cancelled_before(const struct swm_commit *item, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (compare_bytes(item->cancel[i], item->cancel[at]) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_owed_anew(const struct swm_commit *item, struct swm_str id)
{
	for (size_t i = 0; i < item->outbox_count; i++) {
		struct swm_str own = item->outbox[i].id;

		if (own.len == id.len && memcmp(own.ptr, id.ptr, id.len) == 0) {
			return true;
		}
	}
	return false;
}

/* Of the readable form, too, so that none is left of an earlier step. */
static void put_unset(
	struct put *update, const struct swm_commit *item, const struct readable *readable)
{
	bson_t unset = BSON_INITIALIZER;

	put_absent(&unset, "", &instance_fields, &item->next);
	put_absent(&unset, OUR ".", &instance_state, &item->next);
	for (size_t i = 0; i < item->cancel_count; i++) {
		const struct row_key key = row_key_of(item->cancel[i]);

		if (item->cancel[i].ptr && !is_owed_anew(item, item->cancel[i]) &&
			!is_cancelled_before(item, i)) {
			bson_append_utf8(&unset, path_of(ROWS, &key, NULL).text, -1, "", 0);
			bson_append_utf8(&unset, path_of(PAYLOADS, &key, NULL).text, -1, "", 0);
		}
	}
	document_unset(readable->appended, readable->data, &unset);
	/* Before MongoDB 5.0 an operator without fields is an error. */
	if (!bson_empty(&unset)) {
		bson_append_document(update->bson, "$unset", -1, &unset);
	}
	bson_destroy(&unset);
}

static void put_push(
	struct put *update, const struct steps *steps, const struct swm_commit *item)
{
	bson_t push, child;
	struct put inner = {&child, false};

	bson_append_document_begin(update->bson, "$push", -1, &push);
	bson_append_document_begin(&push, TOKENS, -1, &child);
	put_token(&child, "$each", &steps->token);
	bson_append_int32(&child, "$slice", -1, -STORE_TOKENS);
	bson_append_document_end(&push, &child);
	if (item->event_count > 0) {
		bson_append_document_begin(&push, EVENTS, -1, &child);
		put_events(&inner, "$each", item);
		bson_append_document_end(&push, &child);
	}
	bson_append_document_end(update->bson, &push);
	update->bad = update->bad || inner.bad;
}

static void put_counts(bson_t *update, const struct steps *steps, const struct swm_commit *item)
{
	int64_t first_ms = first_at(steps, item->outbox, item->outbox_count);
	bson_t child;

	bson_append_document_begin(update, "$inc", -1, &child);
	bson_append_int64(&child, KEPT, -1, (int64_t)step_kept_bytes(item));
	if (item->outbox_count > 0) {
		bson_append_int64(&child, REV, -1, 1);
	}
	bson_append_document_end(update, &child);
	if (first_ms != INT64_MAX) {
		bson_append_document_begin(update, "$min", -1, &child);
		bson_append_date_time(&child, DUE, -1, first_ms);
		bson_append_document_end(update, &child);
	}
}

void step_update(const struct steps *steps, const struct swm_commit *item, int64_t kept_max,
	struct put *filter, struct put *update)
{
	bson_t child;

	put_text(filter, "_id", item->next.id);
	bson_append_int64(filter->bson, VERSION, -1, item->expected_version);
	bson_append_document_begin(filter->bson, KEPT, -1, &child);
	bson_append_int64(&child, "$lte", -1, kept_max);
	bson_append_document_end(filter->bson, &child);
	const struct readable readable = put_set(update, steps, item);
	put_unset(update, item, &readable);
	put_push(update, steps, item);
	put_counts(update->bson, steps, item);
}
