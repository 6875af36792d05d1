/* SPDX-License-Identifier: MIT */

/*
 * What is done when nothing else is: events are moved out of their instances; and the
 * deletion of instances that finished long ago.
 *
 * A purged instance is first marked, which empties its document, so that it is gone for
 * everybody; then its events are deleted, and then the document. Whoever finds a mark
 * without the rest done does it.
 *
 * Concurrency: any number of sessions may do any of this at the same time.
 */

#include "events.h"
#include "sets.h"

#include "status.h"

#include <string.h>

/* --- Deleting --- */

/* A bulk of one or more writes that can be repeated. */
static swm_status run(struct swm_session *session, mongoc_bulk_operation_t *bulk,
	const char *what, struct swm_error *err)
{
	struct written written;
	swm_status status =
		wire_write(&session->wire, bulk, WIRE_HARMLESS, what, &written, err);

	if (status == SWM_OK) {
		status = written_check(&session->wire, &written, what, err);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

static swm_status find(struct swm_session *session, const bson_t *filter, const bson_t *opts,
	struct docs *out, struct swm_error *err)
{
	return wire_find(&session->wire, session->collections[COLLECTION_INSTANCE], filter,
		opts, "look for what is to be tidied up", out, err);
}

/* Deletes the events of marked instances, and then their documents. */
static swm_status delete_marked(
	struct swm_session *session, const struct docs *docs, struct swm_error *err)
{
	static const char what[] = "delete finished instances";
	mongoc_bulk_operation_t *events = NULL, *instances = NULL;
	swm_status status;

	if (docs->count == 0) {
		return SWM_OK;
	}
	events = store_bulk(session, COLLECTION_EVENT, false);
	instances = store_bulk(session, COLLECTION_INSTANCE, false);
	for (size_t i = 0; i < docs->count; i++) {
		bson_t of = BSON_INITIALIZER, one = BSON_INITIALIZER;
		bson_iter_t id, life;

		if (bson_iter_init_find(&id, docs->items[i], "_id") &&
			find_value(docs->items[i], LIFE, &life)) {
			bson_append_iter(&of, "_id.life", -1, &life);
			mongoc_bulk_operation_remove(events, &of);
			bson_append_iter(&one, "_id", 3, &id);
			bson_append_iter(&one, LIFE, -1, &life);
			mongoc_bulk_operation_remove_one(instances, &one);
		}
		bson_destroy(&one);
		bson_destroy(&of);
	}
	status = run(session, events, what, err);
	if (status != SWM_OK) {
		mongoc_bulk_operation_destroy(instances);
		return status;
	}
	return run(session, instances, what, err);
}

static bson_t *identity(int64_t limit)
{
	return BCON_NEW("projection", "{", "_id", BCON_INT32(1), LIFE, BCON_INT32(1), VERSION,
		BCON_INT32(1), REV, BCON_INT32(1), "}", "limit", BCON_INT64(limit));
}

swm_status store_purge_rest(
	struct swm_session *session, struct swm_str id, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER;
	bson_t *opts = identity(1);
	struct put put = {&filter, false};
	struct docs docs = {0};

	put_text(&put, "_id", id);
	BCON_APPEND(&filter, PURGED, "{", "$exists", BCON_BOOL(true), "}");
	swm_status status = find(session, &filter, opts, &docs, err);
	if (status == SWM_OK) {
		status = delete_marked(session, &docs, err);
	}
	docs_finish(&docs);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

/* Those that may be purged now. */
static swm_status find_finished(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, struct docs *docs, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, status_in, list;
	bson_t *opts = identity(limit);
	char number[16];
	uint32_t count = 0;

	bson_append_document_begin(&filter, OUR_("status"), -1, &status_in);
	bson_append_array_begin(&status_in, "$in", -1, &list);
	for (int32_t i = 0; i < 32; i++) {
		const char *key = NULL;

		if (status_mask & UINT32_C(1) << i) {
			bson_uint32_to_string(count++, &key, number, sizeof(number));
			bson_append_int32(&list, key, -1, i);
		}
	}
	bson_append_array_end(&status_in, &list);
	bson_append_document_end(&filter, &status_in);
	BCON_APPEND(&filter, "updated_at", "{", "$lt", BCON_DATE_TIME(before_ms), "}", PURGED,
		"{", "$exists", BCON_BOOL(false), "}");
	swm_status status = find(session, &filter, opts, docs, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

/* Marks those whose version is still the one that was found: a step that comes first has
 * made them young, one that comes later finds another version. Of an id that was purged and
 * born again meanwhile it is another life. */
static swm_status mark(struct swm_session *session, const struct docs *docs, const char *token,
	struct swm_error *err)
{
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_INSTANCE, false);

	for (size_t i = 0; i < docs->count; i++) {
		bson_t filter = BSON_INITIALIZER;
		bson_t *update = BCON_NEW("$set", "{", PURGED, BCON_UTF8(token), "}", "$inc",
			"{", VERSION, BCON_INT64(1), "}", "$unset", "{", DUE, "", ROWS, "",
			PAYLOADS, "", EVENTS, "", PARKED, "", UNMOVED, "", "}");
		bson_iter_t iter, life;
		int64_t version = 0;

		if (bson_iter_init_find(&iter, docs->items[i], "_id") &&
			find_value(docs->items[i], LIFE, &life) &&
			find_int64(docs->items[i], VERSION, &version)) {
			bson_append_iter(&filter, "_id", 3, &iter);
			bson_append_iter(&filter, LIFE, -1, &life);
			bson_append_int64(&filter, VERSION, -1, version);
			mongoc_bulk_operation_update_one(bulk, &filter, update, false);
		}
		bson_destroy(update);
		bson_destroy(&filter);
	}
	return run(session, bulk, "mark finished instances", err);
}

static swm_status purge_slice(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, size_t *found, size_t *purged, struct swm_error *err)
{
	struct docs docs = {0}, marked = {0};
	bson_oid_t id;
	char token[25];
	swm_status status = find_finished(session, status_mask, before_ms, limit, &docs, err);

	*found = docs.count;
	bson_oid_init(&id, NULL);
	bson_oid_to_string(&id, token);
	if (status == SWM_OK && docs.count > 0) {
		status = mark(session, &docs, token, err);
	}
	if (status == SWM_OK && docs.count > 0) {
		bson_t *filter = BCON_NEW(PURGED, BCON_UTF8(token));
		bson_t *opts = identity(limit);

		status = find(session, filter, opts, &marked, err);
		bson_destroy(opts);
		bson_destroy(filter);
	}
	if (status == SWM_OK) {
		status = delete_marked(session, &marked, err);
	}
	*purged = marked.count;
	docs_finish(&marked);
	docs_finish(&docs);
	return status;
}

swm_status store_purge(struct swm_session *session, uint32_t status_mask, int64_t before_ms,
	uint32_t limit, int64_t *purged, struct swm_error *err)
{
	const int64_t begun_ms = wire_now_ms();
	uint32_t left = limit;

	while (left > 0) {
		uint32_t slice = left < STORE_SLICE ? left : STORE_SLICE;
		size_t found = 0, count = 0;

		wire_begin(&session->wire);
		swm_status status = purge_slice(
			session, status_mask, before_ms, slice, &found, &count, err);
		if (status != SWM_OK) {
			return status;
		}
		left -= (uint32_t)count;
		/* What is left when the time is over is for the next call. */
		if (found < slice ||
			(wire_now_ms() - begun_ms) * 2 > session->store->timeout_ms) {
			break;
		}
	}
	*purged = (int64_t)limit - (int64_t)left;
	return SWM_OK;
}

/* --- Moving events --- */

/* One slice of each kind of work; *found: how much there was. */
static swm_status move_some(struct swm_session *session, size_t *found, struct swm_error *err)
{
	bson_t *filter = BCON_NEW(UNMOVED, "{", "$exists", BCON_BOOL(true), "}");
	bson_t *opts = events_projection(STORE_SLICE);
	struct docs docs = {0};
	swm_status status = find(session, filter, opts, &docs, err);

	if (status == SWM_OK) {
		status = events_move(session, &docs, err);
	}
	*found += docs.count;
	docs_finish(&docs);
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

/* What a purge that was broken off has left. */
static swm_status finish_purges(
	struct swm_session *session, size_t *found, struct swm_error *err)
{
	bson_t *filter = BCON_NEW(PURGED, "{", "$exists", BCON_BOOL(true), "}");
	bson_t *opts = identity(STORE_SLICE);
	struct docs docs = {0};
	swm_status status = find(session, filter, opts, &docs, err);

	if (status == SWM_OK) {
		status = delete_marked(session, &docs, err);
	}
	*found += docs.count;
	docs_finish(&docs);
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

/* Documents that are no longer found among those with parked rows; a row that is parked
 * meanwhile has raised `rev`. */
static swm_status forget_parked(struct swm_session *session, struct swm_error *err)
{
	bson_t *filter = BCON_NEW(PARKED, "{", "$exists", BCON_BOOL(true), "}");
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS, BCON_INT32(1),
		REV, BCON_INT32(1), "}", "limit", BCON_INT64(STORE_SLICE));
	bson_t *update = BCON_NEW("$unset", "{", PARKED, "", "}");
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_INSTANCE, false);
	struct docs docs = {0};
	size_t added = 0;
	swm_status status = find(session, filter, opts, &docs, err);

	for (size_t i = 0; i < docs.count && status == SWM_OK; i++) {
		struct found_rows rows = {0};
		bson_t one = BSON_INITIALIZER;
		bson_iter_t id;
		int64_t rev = 0;
		bool dead = false;

		status = found_rows_add(&rows, docs.items[i], err);
		for (size_t k = 0; k < rows.count; k++) {
			dead = dead || rows.items[k].row.state == SWM_OUTBOX_DEAD;
		}
		if (!dead && bson_iter_init_find(&id, docs.items[i], "_id") &&
			find_int64(docs.items[i], REV, &rev)) {
			bson_append_iter(&one, "_id", 3, &id);
			bson_append_int64(&one, REV, -1, rev);
			mongoc_bulk_operation_update_one(bulk, &one, update, false);
			added++;
		}
		bson_destroy(&one);
		found_rows_finish(&rows);
	}
	if (status == SWM_OK && added > 0) {
		status = run(session, bulk, "tidy up", err);
	} else {
		mongoc_bulk_operation_destroy(bulk);
	}
	docs_finish(&docs);
	bson_destroy(update);
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

swm_status store_maintain(struct swm_session *session, int64_t budget_ms, struct swm_error *err)
{
	const int64_t until_ms = wire_now_ms() + budget_ms;

	for (;;) {
		size_t found = 0;

		wire_begin(&session->wire);
		swm_status status = move_some(session, &found, err);
		if (status == SWM_OK) {
			status = finish_purges(session, &found, err);
		}
		if (status != SWM_OK) {
			return status;
		}
		if (found == 0) {
			return forget_parked(session, err);
		}
		if (wire_now_ms() >= until_ms) {
			return swm_fail(err, SWM_E_TIMEOUT, 0, "there is more to be tidied up");
		}
	}
}
