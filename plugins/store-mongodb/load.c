/* SPDX-License-Identifier: MIT */

/*
 * The hot path's first call: instances by id, and which events they have seen. First the
 * documents are read and then, only for those of which events have been moved, the
 * collection of events: events.h tells why none is missed in between. A commit on the
 * version that was read succeeds only if no other has come since.
 *
 * Concurrency: takes no lock; sees what a majority has.
 */

#include "sets.h"
#include "store.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

/* An item and the document that was found for it; the documents are sorted by id. */
struct loading {
	struct swm_session *session;
	struct swm_load *items;
	size_t count;
	const bson_t **docs; /* of each item, or NULL */
	uint8_t *seen;       /* of all items, one after the other */
	struct docs found;
};

static swm_status find_documents(struct loading *loading, struct swm_error *err)
{
	struct swm_session *session = loading->session;
	bson_t filter = BSON_INITIALIZER, id, ids;
	struct put put = {&ids, false};
	char number[16];

	bson_append_document_begin(&filter, "_id", 3, &id);
	bson_append_array_begin(&id, "$in", 3, &ids);
	for (size_t i = 0; i < loading->count; i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		put_text(&put, key, loading->items[i].id);
	}
	bson_append_array_end(&id, &ids);
	bson_append_document_end(&filter, &id);
	/* What stands in the document for people may be large. */
	bson_t *opts = BCON_NEW("projection", "{", "workflow_name", BCON_INT32(1),
		"component_name", BCON_INT32(1), "business_ref_no", BCON_INT32(1),
		"business_status", BCON_INT32(1), "created_at", BCON_INT32(1), "updated_at",
		BCON_INT32(1), VERSION, BCON_INT32(1), OUR_("sequence"), BCON_INT32(1),
		OUR_("status"), BCON_INT32(1), OUR_("template_id"), BCON_INT32(1),
		OUR_("stage"), BCON_INT32(1), OUR_("body"), BCON_INT32(1), LIFE, BCON_INT32(1),
		MOVED, BCON_INT32(1), PURGED, BCON_INT32(1), EVENTS ".id", BCON_INT32(1), "}");
	swm_status status =
		put.bad ? swm_fail(err, SWM_E_INVALID, 0, "an id is not UTF-8")
			: wire_find(&session->wire, session->collections[COLLECTION_INSTANCE],
				  &filter, opts, "load instances", &loading->found, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

static struct swm_str id_of(const bson_t *doc)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, "_id") ? bytes_of(&iter)
						      : (struct swm_str){NULL, 0};
}

static int by_id(const void *a, const void *b)
{
	bson_t *const *left = a, *const *right = b;

	return compare_bytes(id_of(*left), id_of(*right));
}

static int id_against(const void *id, const void *doc)
{
	const struct swm_str *wanted = id;
	bson_t *const *other = doc;

	return compare_bytes(*wanted, id_of(*other));
}

static void match(struct loading *loading)
{
	struct docs *found = &loading->found;

	if (found->count > 1) {
		qsort(found->items, found->count, sizeof(void *), by_id);
	}
	for (size_t i = 0; i < loading->count; i++) {
		bson_iter_t purged;
		bson_t **doc = found->count > 0
				       ? bsearch(&loading->items[i].id, found->items,
						 found->count, sizeof(void *), id_against)
				       : NULL;

		if (doc && !find_value(*doc, PURGED, &purged)) {
			loading->docs[i] = *doc;
		}
	}
}

/* Which of the item's events the document holds. */
static void look_into(const bson_t *doc, const struct swm_load *item, uint8_t *seen)
{
	bson_iter_t events, event, id;

	if (item->event_count == 0 || !find_value(doc, EVENTS, &events) ||
		!bson_iter_recurse(&events, &event)) {
		return;
	}
	while (bson_iter_next(&event)) {
		if (!bson_iter_recurse(&event, &id) || !bson_iter_find(&id, "id")) {
			continue;
		}
		struct swm_str known = bytes_of(&id);
		for (size_t k = 0; k < item->event_count; k++) {
			if (compare_bytes(known, item->event_ids[k]) == 0) {
				seen[k] = 1;
			}
		}
	}
}

/* Events that may be in the collection, as a list of _id. */
struct asked {
	bson_t *list;
	uint32_t count;
};

static void ask_for(struct asked *asked, const bson_oid_t *life, struct swm_str event)
{
	char number[16];
	const char *key = NULL;
	bson_t id;
	struct put put = {&id, false};

	bson_uint32_to_string(asked->count++, &key, number, sizeof(number));
	bson_append_document_begin(asked->list, key, -1, &id);
	bson_append_oid(&id, "life", -1, life);
	put_text(&put, "id", event);
	bson_append_document_end(asked->list, &id);
}

static void ask_for_moved(const struct loading *loading, struct asked *asked)
{
	const uint8_t *seen = loading->seen;

	for (size_t i = 0; i < loading->count; i++) {
		const struct swm_load *item = &loading->items[i];
		bson_iter_t moved;
		bson_oid_t life;

		if (loading->docs[i] && find_value(loading->docs[i], MOVED, &moved) &&
			find_oid(loading->docs[i], LIFE, &life)) {
			for (size_t k = 0; k < item->event_count; k++) {
				if (!seen[k]) {
					ask_for(asked, &life, item->event_ids[k]);
				}
			}
		}
		seen += item->event_count;
	}
}

static void mark_seen(const struct loading *loading, const bson_t *event)
{
	uint8_t *seen = loading->seen;
	bson_oid_t life, own;
	bson_iter_t id;

	if (!find_oid(event, "_id.life", &life) || !find_value(event, "_id.id", &id)) {
		return;
	}
	struct swm_str known = bytes_of(&id);
	for (size_t i = 0; i < loading->count; i++) {
		const struct swm_load *item = &loading->items[i];
		bool same = loading->docs[i] && find_oid(loading->docs[i], LIFE, &own) &&
			    bson_oid_equal(&life, &own);

		for (size_t k = 0; same && k < item->event_count; k++) {
			if (compare_bytes(known, item->event_ids[k]) == 0) {
				seen[k] = 1;
			}
		}
		seen += item->event_count;
	}
}

static swm_status look_for_moved(struct loading *loading, struct swm_error *err)
{
	struct swm_session *session = loading->session;
	bson_t filter = BSON_INITIALIZER, in, list;
	struct asked asked = {.list = &list};
	struct docs events = {0};
	swm_status status = SWM_OK;

	bson_append_document_begin(&filter, "_id", 3, &in);
	bson_append_array_begin(&in, "$in", 3, &list);
	ask_for_moved(loading, &asked);
	bson_append_array_end(&in, &list);
	bson_append_document_end(&filter, &in);
	if (asked.count > 0) {
		bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), "}");

		status = wire_find(&session->wire, session->collections[COLLECTION_EVENT],
			&filter, opts, "look for events", &events, err);
		bson_destroy(opts);
	}
	for (size_t i = 0; i < events.count && status == SWM_OK; i++) {
		mark_seen(loading, events.items[i]);
	}
	docs_finish(&events);
	bson_destroy(&filter);
	return status;
}

static swm_status hand_over(
	struct loading *loading, struct swm_set *backing, struct swm_error *err)
{
	const uint8_t *seen = loading->seen;
	struct swm_set set = {0};
	swm_status status = set_create(
		&loading->found, loading->count, sizeof(struct swm_instance_row), 0, &set, err);

	if (status != SWM_OK) {
		return status;
	}
	struct swm_instance_row *rows = set_items(&set);
	for (size_t i = 0; i < loading->count; i++) {
		if (loading->docs[i] && !take_instance(loading->docs[i], &rows[i])) {
			set.release(&set);
			return set_corrupt(err);
		}
	}
	for (size_t i = 0; i < loading->count; i++) {
		struct swm_load *item = &loading->items[i];

		item->instance = loading->docs[i] ? &rows[i] : NULL;
		if (item->event_count > 0) {
			memcpy(item->seen, seen, item->event_count);
		}
		seen += item->event_count;
	}
	*backing = set;
	return SWM_OK;
}

static swm_status load(struct loading *loading, struct swm_set *backing, struct swm_error *err)
{
	swm_status status = find_documents(loading, err);

	if (status != SWM_OK) {
		return status;
	}
	match(loading);
	uint8_t *seen = loading->seen;
	for (size_t i = 0; i < loading->count; i++) {
		if (loading->docs[i]) {
			look_into(loading->docs[i], &loading->items[i], seen);
		}
		seen += loading->items[i].event_count;
	}
	status = look_for_moved(loading, err);
	return status == SWM_OK ? hand_over(loading, backing, err) : status;
}

swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	struct loading loading = {.session = session, .items = items, .count = count};
	size_t events = 0;
	swm_status status = SWM_E_NOMEM;

	for (size_t i = 0; i < count; i++) {
		if (!items[i].id.ptr) {
			return swm_fail(err, SWM_E_INVALID, 0, "an instance without an id");
		}
		events += items[i].event_count;
	}
	wire_begin(&session->wire);
	loading.docs = calloc(count + 1, sizeof(void *));
	loading.seen = calloc(events + 1, 1);
	if (loading.docs && loading.seen) {
		status = load(&loading, backing, err);
	} else {
		(void)swm_fail(err, status, 0, "out of memory");
	}
	docs_finish(&loading.found);
	free(loading.docs);
	free(loading.seen);
	return status;
}
