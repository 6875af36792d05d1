/* SPDX-License-Identifier: MIT */

/* Moving events; see events.h. Concurrency: confined to the session's thread. */

#include "events.h"

#include "fields.h"
#include "status.h"
#include "steps.h"

#include <string.h>

bson_t *events_projection(int64_t limit)
{
	return BCON_NEW("projection", "{", "_id", BCON_INT32(1), LIFE, BCON_INT32(1), EVENTS,
		BCON_INT32(1), "}", "limit", BCON_INT64(limit));
}

/* Where the events of a document begin; false: it has none. */
static bool begin_events(const bson_t *doc, bson_iter_t *out)
{
	bson_iter_t events;

	return find_value(doc, EVENTS, &events) && BSON_ITER_HOLDS_ARRAY(&events) &&
	       bson_iter_recurse(&events, out);
}

/* The event as a document of the collection. */
static bool put_moved(
	bson_t *out, const bson_oid_t *life, struct swm_str instance, const bson_iter_t *event)
{
	bson_t id;
	bson_iter_t field;
	struct put put = {&id, false};

	if (!bson_iter_recurse(event, &field) || !bson_iter_find(&field, "id")) {
		return false;
	}
	bson_append_document_begin(out, "_id", -1, &id);
	bson_append_oid(&id, "life", -1, life);
	put_text(&put, "id", bytes_of(&field));
	bson_append_document_end(out, &id);
	put = (struct put){out, put.bad};
	put_text(&put, "instance", instance);
	if (!bson_iter_recurse(event, &field)) {
		return false;
	}
	while (bson_iter_next(&field)) {
		if (strcmp(bson_iter_key(&field), "id") != 0) {
			bson_append_iter(out, NULL, 0, &field);
		}
	}
	return !put.bad;
}

/* A list of writes that is run when it is full. */
struct writes {
	struct swm_session *session;
	enum store_collection collection;
	mongoc_bulk_operation_t *bulk;
	size_t count;
	size_t bytes;
	const char *what;
};

static swm_status run_writes(struct writes *writes, struct swm_error *err)
{
	struct written written;

	if (writes->count == 0) {
		return SWM_OK;
	}
	swm_status status = wire_write(&writes->session->wire, writes->bulk, WIRE_HARMLESS,
		writes->what, &written, err);
	if (status == SWM_OK) {
		status = written_check(&writes->session->wire, &written, writes->what, err);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(writes->bulk);
	writes->bulk = NULL;
	writes->count = 0;
	writes->bytes = 0;
	return status;
}

static swm_status begin_write(struct writes *writes, size_t bytes, struct swm_error *err)
{
	swm_status status = SWM_OK;

	if (writes->count + 2 > WIRE_WRITES_MAX || writes->bytes + bytes > WIRE_BYTES_MAX) {
		status = run_writes(writes, err);
	}
	if (!writes->bulk) {
		writes->bulk = store_bulk(writes->session, writes->collection,
			writes->collection == COLLECTION_INSTANCE);
	}
	writes->bytes += bytes;
	return status;
}

static swm_status copy_events(struct writes *writes, const bson_t *doc, struct swm_error *err)
{
	bson_iter_t events, id;
	bson_oid_t life;
	swm_status status = SWM_OK;

	if (!begin_events(doc, &events) || !find_oid(doc, LIFE, &life) ||
		!bson_iter_init_find(&id, doc, "_id")) {
		return SWM_OK;
	}
	while (status == SWM_OK && bson_iter_next(&events)) {
		bson_t moved = BSON_INITIALIZER;

		if (!put_moved(&moved, &life, bytes_of(&id), &events)) {
			status = swm_fail(err, SWM_E_CORRUPT, 0, "a stored event has no id");
		} else {
			status = begin_write(writes, moved.len, err);
			mongoc_bulk_operation_insert(writes->bulk, &moved);
			writes->count++;
		}
		bson_destroy(&moved);
	}
	return status;
}

/* As events have been counted when they came. */
static int64_t kept_bytes_of(const bson_iter_t *event)
{
	struct swm_event_row row = {.sequence = 0};
	struct swm_commit item = {.events = &row, .event_count = 1};
	bson_iter_t field;

	(void)take_fields(event, &event_fields, &row);
	if (bson_iter_recurse(event, &field) && bson_iter_find(&field, "id")) {
		row.id = bytes_of(&field);
	}
	return (int64_t)step_kept_bytes(&item);
}

/* Takes out of the document what is in the collection. The ids are of this document's life,
 * or the filter fits none. */
static swm_status remove_events(struct writes *writes, const bson_t *doc, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, pull, of, ids;
	bson_t *emptied = NULL, *forget = BCON_NEW("$unset", "{", UNMOVED, "", "}");
	bson_iter_t events, id, event;
	int64_t bytes = 0;
	uint32_t count = 0;
	swm_status status = SWM_OK;

	if (!begin_events(doc, &events) || !bson_iter_init_find(&id, doc, "_id")) {
		bson_destroy(forget);
		return SWM_OK;
	}
	bson_append_iter(&filter, "_id", 3, &id);
	if (find_value(doc, LIFE, &event)) {
		bson_append_iter(&filter, LIFE, -1, &event);
	}
	emptied = bson_copy(&filter);
	bson_append_array_begin(emptied, EVENTS, -1, &ids);
	bson_append_array_end(emptied, &ids);
	/* When another session has just removed them, they are not counted twice. */
	if (find_value(doc, EVENTS ".0.id", &event)) {
		bson_append_iter(&filter, EVENTS ".id", -1, &event);
	}
	bson_append_document_begin(&update, "$pull", -1, &pull);
	bson_append_document_begin(&pull, EVENTS, -1, &of);
	bson_t in;
	bson_append_document_begin(&of, "id", -1, &in);
	bson_append_array_begin(&in, "$in", -1, &ids);
	while (bson_iter_next(&events)) {
		char number[16];
		const char *key = NULL;
		size_t len = bson_uint32_to_string(count++, &key, number, sizeof(number));

		if (bson_iter_recurse(&events, &event) && bson_iter_find(&event, "id")) {
			bson_append_iter(&ids, key, (int)len, &event);
		}
		bytes += kept_bytes_of(&events);
	}
	bson_append_array_end(&in, &ids);
	bson_append_document_end(&of, &in);
	bson_append_document_end(&pull, &of);
	bson_append_document_end(&update, &pull);
	BCON_APPEND(&update, "$inc", "{", KEPT, BCON_INT64(-bytes), "}", "$set", "{", MOVED,
		BCON_BOOL(true), "}");
	status = begin_write(writes, filter.len + update.len, err);
	mongoc_bulk_operation_update_one(writes->bulk, &filter, &update, false);
	mongoc_bulk_operation_update_one(writes->bulk, emptied, forget, false);
	writes->count += 2;
	bson_destroy(forget);
	bson_destroy(emptied);
	bson_destroy(&update);
	bson_destroy(&filter);
	return status;
}

static swm_status for_each(const struct docs *docs, struct writes *writes,
	swm_status (*add)(struct writes *, const bson_t *, struct swm_error *),
	struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < docs->count && status == SWM_OK; i++) {
		status = add(writes, docs->items[i], err);
	}
	if (status == SWM_OK) {
		status = run_writes(writes, err);
	}
	if (writes->bulk) {
		mongoc_bulk_operation_destroy(writes->bulk);
	}
	return status;
}

swm_status events_move(
	struct swm_session *session, const struct docs *docs, struct swm_error *err)
{
	struct writes copies = {.session = session,
		.collection = COLLECTION_EVENT,
		.what = "copy events into their collection"};
	struct writes removals = {.session = session,
		.collection = COLLECTION_INSTANCE,
		.what = "take events out of their instance"};
	swm_status status = for_each(docs, &copies, copy_events, err);

	return status == SWM_OK ? for_each(docs, &removals, remove_events, err) : status;
}
