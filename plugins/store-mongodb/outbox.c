/* SPDX-License-Identifier: MIT */

/*
 * Rows without an instance, and what people do with parked ones.
 *
 * The rows of one call are put together, into one document: a carrier. Its list of their
 * ids is unique over all carriers, so an id that is there already shows in the insert.
 *
 * Concurrency: a session's calls are its own; rows are shared in the server.
 */

#include "marks.h"
#include "sets.h"
#include "steps.h"

#include "status.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* How often an insert is tried that meets ids of others. */
	PUT_TRIES = 4
};

static swm_status check_rows(
	const struct swm_outbox_row *rows, size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t bytes = 0;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = swm_store_check_row(&rows[i], err);
		bytes += swm_store_row_bytes(&rows[i]) + STORE_ROW_OVERHEAD;
	}
	if (status == SWM_OK && bytes > STORE_ITEM_BYTES_MAX) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"%zu outbox rows are larger than %d bytes together", count,
			STORE_ITEM_BYTES_MAX);
	}
	return status;
}

static void put_ids(
	bson_t *out, const char *name, const struct swm_outbox_row *rows, size_t count)
{
	bson_t list;
	struct put put = {&list, false};
	char number[16];

	bson_append_array_begin(out, name, -1, &list);
	for (size_t i = 0; i < count; i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		put_text(&put, key, rows[i].id);
	}
	bson_append_array_end(out, &list);
}

static bool is_among(const struct swm_outbox_row *rows, size_t count, struct swm_str id)
{
	for (size_t i = 0; i < count; i++) {
		if (compare_bytes(rows[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

/* Keeps the first row of each id. */
static size_t drop_repeated(struct swm_outbox_row *rows, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_among(rows, kept, rows[i].id)) {
			rows[kept++] = rows[i];
		}
	}
	return kept;
}

static void drop_id(struct swm_outbox_row *rows, size_t *count, struct swm_str id)
{
	for (size_t i = 0; i < *count; i++) {
		if (compare_bytes(rows[i].id, id) == 0) {
			memmove(&rows[i], &rows[i + 1], (*count - i - 1) * sizeof(*rows));
			(*count)--;
			return;
		}
	}
}

/* Leaves those out that are in a carrier already. */
static swm_status drop_known(struct swm_session *session, struct swm_outbox_row *rows,
	size_t *count, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, any, in;
	bson_t *opts = BCON_NEW("projection", "{", IDS, BCON_INT32(1), "}");
	struct docs found = {0};

	bson_append_document_begin(&filter, IDS, -1, &any);
	bson_append_document_begin(&any, "$elemMatch", -1, &in);
	put_ids(&in, "$in", rows, *count);
	bson_append_document_end(&any, &in);
	bson_append_document_end(&filter, &any);
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_OUTBOX],
		&filter, opts, "look for known messages", &found, err);
	for (size_t i = 0; i < found.count && status == SWM_OK; i++) {
		bson_iter_t ids, id;

		if (bson_iter_init_find(&ids, found.items[i], IDS) &&
			bson_iter_recurse(&ids, &id)) {
			while (bson_iter_next(&id)) {
				drop_id(rows, count, bytes_of(&id));
			}
		}
	}
	docs_finish(&found);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

/* *known: an id of these is there already, and nothing was done. */
static swm_status insert_carrier(struct swm_session *session, const struct steps *steps,
	const struct swm_outbox_row *rows, size_t count, bool *known, struct swm_error *err)
{
	static const char what[] = "put messages into the outbox";
	bson_t doc = BSON_INITIALIZER, ours;
	struct put put = {&ours, false};
	bson_oid_t id;
	struct written written = {.reply = NULL};
	swm_status status = SWM_OK;

	bson_oid_init(&id, NULL);
	bson_append_oid(&doc, "_id", 3, &id);
	put_ids(&doc, IDS, rows, count);
	bson_append_document_begin(&doc, OUR, -1, &ours);
	put_rows(&put, steps, rows, count);
	bson_append_document_end(&doc, &ours);
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_OUTBOX, true);
	mongoc_bulk_operation_insert(bulk, &doc);
	status = put.bad ? swm_fail(err, SWM_E_INVALID, 0, "a text of a row is not UTF-8")
			 : wire_write(&session->wire, bulk, WIRE_COUNTS, what, &written, err);
	*known = status == SWM_OK && written_fate(&written, 0) == WRITE_DUPLICATE;
	if (status == SWM_OK) {
		status = written_check(&session->wire, &written, what, err);
	}
	if (status == SWM_OK && written.undurable) {
		status = swm_fail(err, SWM_E_INDOUBT, 0,
			"%s: cannot %s: a majority has not confirmed it", session->store->where,
			what);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	bson_destroy(&doc);
	return status;
}

static swm_status put_new(struct swm_session *session, struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	struct steps steps = steps_begin(session, (struct swm_str){NULL, 0}, 0);
	swm_status status = SWM_OK;
	bool known = true;

	for (int i = 0; i < PUT_TRIES && known && status == SWM_OK; i++) {
		/* Hardly ever is one there, so that is only looked at when it shows. */
		status = i > 0 ? drop_known(session, rows, &count, err) : SWM_OK;
		known = false;
		if (status == SWM_OK && count > 0) {
			status = insert_carrier(session, &steps, rows, count, &known, err);
		}
	}
	if (status == SWM_OK && known) {
		return swm_fail(err, SWM_E_THROTTLED, 0,
			"%s: the same messages are being put by others", session->store->where);
	}
	return status;
}

swm_status store_outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	swm_status status = check_rows(rows, count, err);

	if (status != SWM_OK || count == 0) {
		return status;
	}
	struct swm_outbox_row *own = calloc(count, sizeof(*own));
	if (!own) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	memcpy(own, rows, count * sizeof(*own));
	count = drop_repeated(own, count);
	wire_begin(&session->wire);
	status = clock_set(&session->clock, &session->wire, NULL, err);
	if (status == SWM_OK) {
		status = put_new(session, own, count, err);
	}
	free(own);
	return status;
}

/* --- What people do --- */

/* Finds the DEAD rows of those ids: documents that may have such are few. */
static swm_status find_dead(struct swm_session *session, enum store_collection collection,
	struct docs *docs, struct found_rows *rows, struct swm_error *err)
{
	bson_t *filter = BCON_NEW(PARKED, "{", "$exists", BCON_BOOL(true), "}");
	bson_t *opts =
		BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS, BCON_INT32(1), "}");
	size_t first = docs->count;
	swm_status status = wire_find(&session->wire, session->collections[collection], filter,
		opts, "look for parked messages", docs, err);

	for (size_t i = first; i < docs->count && status == SWM_OK; i++) {
		status = found_rows_add(rows, docs->items[i], err);
	}
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

static void add_change(mongoc_bulk_operation_t *bulk, const struct found_row *found,
	uint32_t action, int64_t now_ms)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, child;
	bson_iter_t id;

	if (bson_iter_init_find(&id, found->doc, "_id")) {
		bson_append_iter(&filter, "_id", 3, &id);
	}
	bson_append_int32(
		&filter, path_of(ROWS, &found->key, "state").text, -1, SWM_OUTBOX_DEAD);
	if (action == SWM_OUTBOX_REQUEUE) {
		bson_append_document_begin(&update, "$set", -1, &child);
		bson_append_int32(&child, path_of(ROWS, &found->key, "state").text, -1,
			SWM_OUTBOX_PENDING);
		bson_append_date_time(
			&child, path_of(ROWS, &found->key, "due").text, -1, now_ms);
		bson_append_date_time(
			&child, path_of(ROWS, &found->key, "at").text, -1, now_ms);
		bson_append_document_end(&update, &child);
		BCON_APPEND(&update, "$min", "{", DUE, BCON_DATE_TIME(now_ms), "}", "$inc", "{",
			REV, BCON_INT64(1), "}");
		bson_append_document_begin(&update, "$unset", -1, &child);
		bson_append_utf8(&child, path_of(ROWS, &found->key, "reason").text, -1, "", 0);
	} else {
		bson_append_document_begin(&update, "$unset", -1, &child);
		bson_append_utf8(&child, path_of(ROWS, &found->key, NULL).text, -1, "", 0);
		bson_append_utf8(&child, path_of(PAYLOADS, &found->key, NULL).text, -1, "", 0);
	}
	bson_append_document_end(&update, &child);
	mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	bson_destroy(&update);
	bson_destroy(&filter);
}

static bool is_wanted(const struct found_row *row, const struct swm_str *ids, size_t count)
{
	bool wanted = false;

	for (size_t i = 0; i < count && !wanted; i++) {
		wanted = row->row.state == SWM_OUTBOX_DEAD && ids[i].ptr &&
			 compare_bytes(row->row.id, ids[i]) == 0;
	}
	return wanted;
}

/* Changes those of the rows that are named, in one collection. */
static swm_status change(struct swm_session *session, enum store_collection collection,
	const struct found_rows *rows, const struct swm_str *ids, size_t count, uint32_t action,
	size_t *changed, struct swm_error *err)
{
	static const char what[] = "change parked messages";
	int64_t now_ms = clock_earliest_ms(&session->clock);
	swm_status status = SWM_OK;

	for (size_t i = 0; i < rows->count && status == SWM_OK;) {
		mongoc_bulk_operation_t *bulk = store_bulk(session, collection, false);
		struct written written = {.reply = NULL};
		size_t added = 0;

		for (; i < rows->count && added < WIRE_WRITES_MAX; i++) {
			if (is_wanted(&rows->items[i], ids, count)) {
				add_change(bulk, &rows->items[i], action, now_ms);
				added++;
			}
		}
		if (added > 0) {
			status = wire_write(
				&session->wire, bulk, WIRE_HARMLESS, what, &written, err);
		}
		if (status == SWM_OK && added > 0) {
			*changed += (size_t)written.matched;
			status = written_check(&session->wire, &written, what, err);
		}
		written_finish(&written);
		mongoc_bulk_operation_destroy(bulk);
	}
	return status;
}

static swm_status update_instances(struct swm_session *session,
	enum store_collection collection, const struct swm_str *ids, size_t count,
	uint32_t action, size_t *changed, struct swm_error *err)
{
	struct docs docs = {0};
	struct found_rows rows = {0};
	swm_status status = find_dead(session, collection, &docs, &rows, err);

	if (status == SWM_OK) {
		status = change(session, collection, &rows, ids, count, action, changed, err);
	}
	found_rows_finish(&rows);
	docs_finish(&docs);
	return status;
}

swm_status store_outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err)
{
	size_t total = 0, of_carriers = 0;

	if (action != SWM_OUTBOX_REQUEUE && action != SWM_OUTBOX_DROP) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown outbox action %u", action);
	}
	wire_begin(&session->wire);
	swm_status status = clock_set(&session->clock, &session->wire, NULL, err);
	if (status == SWM_OK && count > 0) {
		status = update_instances(
			session, COLLECTION_INSTANCE, ids, count, action, &total, err);
	}
	if (status == SWM_OK && count > 0 && action == SWM_OUTBOX_REQUEUE) {
		status = update_instances(
			session, COLLECTION_OUTBOX, ids, count, action, &total, err);
	}
	if (status == SWM_OK && count > 0 && action == SWM_OUTBOX_DROP) {
		status = carriers_remove(session, ids, count, true, &of_carriers, err);
	}
	if (status == SWM_OK) {
		*changed = total + of_carriers;
	}
	return status;
}
