/* SPDX-License-Identifier: MIT */

/*
 * Lists for people and for replay: instances, the events of one, the outbox. Pages are
 * found by where the last one ended, not by counting, so that rows that come or go move
 * nothing.
 *
 * Concurrency: take no lock; what is written meanwhile is in the list or not.
 */

#include "sets.h"
#include "store.h"

#include "status.h"
#include "store_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives the set out with a token, if there are more rows than it has. */
static swm_status finish_page(struct swm_set *set, bool more, int64_t number, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	char text[32];
	int len = snprintf(text, sizeof(text), id.ptr ? "%lld:" : "%lld", (long long)number);
	const struct swm_str parts[] = {{text, len > 0 ? (size_t)len : 0}, id};
	swm_status status = more ? set_next(set, parts, 2, err) : SWM_OK;

	if (status != SWM_OK) {
		set->release(set);
		return status;
	}
	*out = *set;
	return SWM_OK;
}

/* --- Instances --- */

static void put_statuses(bson_t *filter, uint32_t mask)
{
	bson_t status, list;
	char number[16];
	uint32_t count = 0;

	if (mask == 0) {
		return;
	}
	bson_append_document_begin(filter, OUR_("status"), -1, &status);
	bson_append_array_begin(&status, "$in", -1, &list);
	for (int32_t i = 0; i < 32; i++) {
		const char *key = NULL;

		if (mask & UINT32_C(1) << i) {
			bson_uint32_to_string(count++, &key, number, sizeof(number));
			bson_append_int32(&list, key, -1, i);
		}
	}
	bson_append_array_end(&status, &list);
	if (mask < 1U << 4) {
		/* So that the index of those serves. */
		bson_append_int32(&status, "$lt", -1, 4);
	}
	bson_append_document_end(filter, &status);
}

static void put_updated(bson_t *filter, const struct swm_instance_filter *wanted)
{
	bson_t range;

	if (wanted->updated_from_ms == 0 && wanted->updated_to_ms == 0) {
		return;
	}
	bson_append_document_begin(filter, "updated_at", -1, &range);
	if (wanted->updated_from_ms != 0) {
		bson_append_date_time(&range, "$gte", -1, wanted->updated_from_ms);
	}
	if (wanted->updated_to_ms != 0) {
		bson_append_date_time(&range, "$lte", -1, wanted->updated_to_ms);
	}
	bson_append_document_end(filter, &range);
}

static void put_after(bson_t *filter, int64_t created_ms, struct swm_str id)
{
	bson_t list, one, than;
	struct put put = {&than, false};

	bson_append_array_begin(filter, "$or", -1, &list);
	bson_append_document_begin(&list, "0", -1, &one);
	bson_append_document_begin(&one, "created_at", -1, &than);
	bson_append_date_time(&than, "$lt", -1, created_ms);
	bson_append_document_end(&one, &than);
	bson_append_document_end(&list, &one);
	bson_append_document_begin(&list, "1", -1, &one);
	bson_append_date_time(&one, "created_at", -1, created_ms);
	bson_append_document_begin(&one, "_id", -1, &than);
	put_text(&put, "$gt", id);
	bson_append_document_end(&one, &than);
	bson_append_document_end(&list, &one);
	bson_append_array_end(filter, &list);
}

static void put_filter(bson_t *filter, const struct swm_instance_filter *wanted)
{
	struct put put = {filter, false};

	put_text(&put, "workflow_name", wanted->workflow);
	put_text(&put, "component_name", wanted->component);
	put_text(&put, "business_ref_no", wanted->business_ref);
	put_text(&put, OUR_("stage"), wanted->stage);
	put_text(&put, OUR_("template_id"), wanted->template_id);
	put_statuses(filter, wanted->status_mask);
	put_updated(filter, wanted);
	BCON_APPEND(filter, PURGED, "{", "$exists", BCON_BOOL(false), "}");
}

static swm_status give_instances(
	struct docs *found, uint32_t limit, struct swm_set *out, struct swm_error *err)
{
	bool more = found->count > limit;
	size_t count = more ? limit : found->count;
	bson_t **docs = NULL;
	struct swm_set set = {0};
	swm_status status =
		set_create(found, count, sizeof(struct swm_instance_row), 0, &set, err);

	if (status != SWM_OK) {
		return status;
	}
	struct swm_instance_row *rows = set_items(&set);
	docs = set_docs(&set);
	for (size_t i = 0; i < count; i++) {
		if (!take_instance(docs[i], &rows[i])) {
			set.release(&set);
			return set_corrupt(err);
		}
	}
	return finish_page(&set, more, more ? rows[count - 1].created_ms : 0,
		more ? rows[count - 1].id : (struct swm_str){NULL, 0}, out, err);
}

swm_status store_instance_list(struct swm_session *session,
	const struct swm_instance_filter *filter, const struct swm_page *page,
	struct swm_set *out, struct swm_error *err)
{
	const struct swm_instance_filter wanted = swm_store_filter(filter);
	struct docs found = {0};
	struct swm_str after_id;
	int64_t after_ms;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (!swm_store_instance_token(page->after, &after_ms, &after_id)) {
		return swm_store_bad_token(err);
	}
	wire_begin(&session->wire);
	bson_t query = BSON_INITIALIZER;
	put_filter(&query, &wanted);
	if (page->after.ptr) {
		put_after(&query, after_ms, after_id);
	}
	bson_t *opts = BCON_NEW("sort", "{", "created_at", BCON_INT32(-1), "_id", BCON_INT32(1),
		"}", "limit", BCON_INT64((int64_t)page->limit + 1), "projection", "{", EVENTS,
		BCON_INT32(0), ROWS, BCON_INT32(0), PAYLOADS, BCON_INT32(0), "stages",
		BCON_INT32(0), "data", BCON_INT32(0), "}");
	status = wire_find(&session->wire, session->collections[COLLECTION_INSTANCE], &query,
		opts, "list instances", &found, err);
	bson_destroy(opts);
	bson_destroy(&query);
	if (status != SWM_OK) {
		docs_finish(&found);
		return status;
	}
	return give_instances(&found, page->limit, out, err);
}

/* --- Events --- */

/* The number in page->after; 0: the first page. */
static swm_status begin_page(const struct swm_page *page, int64_t *after, struct swm_error *err)
{
	swm_status status = swm_store_check_page(page, err);

	*after = 0;
	if (status == SWM_OK && page->after.ptr && !swm_store_number(page->after, after)) {
		return swm_store_bad_token(err);
	}
	return status;
}

/* The instance with what its document has of the log, as the first of `docs`; no document
 * when there is none. */
static swm_status find_log(struct swm_session *session, struct swm_str id, struct docs *docs,
	struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER;
	struct put put = {&filter, false};
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), LIFE, BCON_INT32(1),
		EVENTS, BCON_INT32(1), "}");

	put_text(&put, "_id", id);
	BCON_APPEND(&filter, PURGED, "{", "$exists", BCON_BOOL(false), "}");
	swm_status status =
		!id.ptr || put.bad
			? SWM_OK
			: wire_find(&session->wire, session->collections[COLLECTION_INSTANCE],
				  &filter, opts, "list events", docs, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

static swm_status find_moved(struct swm_session *session, int64_t after, uint32_t limit,
	struct docs *docs, struct swm_error *err)
{
	bson_oid_t life;

	if (docs->count == 0 || !find_oid(docs->items[0], LIFE, &life)) {
		return SWM_OK;
	}
	bson_t *filter = BCON_NEW(
		"_id.life", BCON_OID(&life), "sequence", "{", "$gt", BCON_INT64(after), "}");
	bson_t *opts = BCON_NEW("sort", "{", "sequence", BCON_INT32(1), "}", "limit",
		BCON_INT64((int64_t)limit + 1));
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_EVENT],
		filter, opts, "list events", docs, err);
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

/* The events of a page and one more, in no order and perhaps twice. */
struct log {
	struct swm_event_row *rows;
	size_t count;
};

static bool take_kept(const bson_t *doc, int64_t after, struct log *log)
{
	bson_iter_t events, event, id;

	if (!find_value(doc, EVENTS, &events) || !bson_iter_recurse(&events, &event)) {
		return true;
	}
	while (bson_iter_next(&event)) {
		struct swm_event_row row = {.sequence = 0};

		if (!take_fields(&event, &event_fields, &row) ||
			!bson_iter_recurse(&event, &id) || !bson_iter_find(&id, "id")) {
			return false;
		}
		row.id = bytes_of(&id);
		if (row.sequence > after) {
			log->rows[log->count++] = row;
		}
	}
	return true;
}

static bool take_moved(const bson_t *doc, struct log *log)
{
	struct swm_event_row *row = &log->rows[log->count++];
	bson_iter_t id;

	*row = (struct swm_event_row){.sequence = 0};
	if (!take_document(doc, &event_fields, row) || !find_value(doc, "_id.id", &id)) {
		return false;
	}
	row->id = bytes_of(&id);
	return true;
}

static size_t count_kept(const bson_t *doc)
{
	bson_iter_t events, event;
	size_t count = 0;

	if (find_value(doc, EVENTS, &events) && bson_iter_recurse(&events, &event)) {
		while (bson_iter_next(&event)) {
			count++;
		}
	}
	return count;
}

static int by_sequence(const void *a, const void *b)
{
	const struct swm_event_row *left = a, *right = b;

	return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

/* What is in both places is the same event. */
static void sort_log(struct log *log)
{
	size_t kept = 0;

	if (log->count > 1) {
		qsort(log->rows, log->count, sizeof(*log->rows), by_sequence);
	}
	for (size_t i = 0; i < log->count; i++) {
		if (kept == 0 || log->rows[kept - 1].sequence != log->rows[i].sequence) {
			log->rows[kept++] = log->rows[i];
		}
	}
	log->count = kept;
}

static swm_status give_events(struct docs *docs, int64_t after, uint32_t limit,
	struct swm_set *out, struct swm_error *err)
{
	size_t room = docs->count + (docs->count > 0 ? count_kept(docs->items[0]) : 0);
	struct swm_set set = {0};
	swm_status status = set_create(docs, room, sizeof(struct swm_event_row), 0, &set, err);
	bool ok = true;

	if (status != SWM_OK) {
		return status;
	}
	struct log log = {.rows = set_items(&set)};
	bson_t **items = set_docs(&set);
	for (size_t i = 0; i < set_doc_count(&set) && ok; i++) {
		ok = i == 0 ? take_kept(items[i], after, &log) : take_moved(items[i], &log);
	}
	if (!ok) {
		set.release(&set);
		return set_corrupt(err);
	}
	sort_log(&log);
	bool more = log.count > limit;
	set.count = more ? limit : log.count;
	return finish_page(&set, more, more ? log.rows[set.count - 1].sequence : 0,
		(struct swm_str){NULL, 0}, out, err);
}

swm_status store_event_list(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct docs docs = {0};
	int64_t after;
	swm_status status = begin_page(page, &after, err);

	if (status != SWM_OK) {
		return status;
	}
	wire_begin(&session->wire);
	status = find_log(session, id, &docs, err);
	if (status == SWM_OK) {
		status = find_moved(session, after, page->limit, &docs, err);
	}
	if (status != SWM_OK) {
		docs_finish(&docs);
		return status;
	}
	return give_events(&docs, after, page->limit, out, err);
}

/* --- The outbox --- */

static int oldest_first(const void *a, const void *b)
{
	const struct found_row *left = a, *right = b;

	if (left->row.created_ms != right->row.created_ms) {
		return left->row.created_ms > right->row.created_ms ? 1 : -1;
	}
	return compare_bytes(left->row.id, right->row.id);
}

/* The documents that owe something, without what it is. */
static swm_status find_owing(struct swm_session *session, enum store_collection collection,
	bool dead_only, struct docs *docs, struct swm_error *err)
{
	bson_t *filter = dead_only ? BCON_NEW(PARKED, "{", "$exists", BCON_BOOL(true), "}")
				   : BCON_NEW("$or", "[", "{", DUE, "{", "$exists",
					     BCON_BOOL(true), "}", "}", "{", PARKED, "{",
					     "$exists", BCON_BOOL(true), "}", "}", "]");
	bson_t *opts =
		BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS, BCON_INT32(1), "}");
	swm_status status = wire_find(&session->wire, session->collections[collection], filter,
		opts, "list the outbox", docs, err);

	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

/* Keeps the rows of the page, and one more if there is. */
static void cut_page(
	struct found_rows *rows, bool dead_only, const struct found_row *after, uint32_t limit)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->count; i++) {
		const struct found_row *row = &rows->items[i];

		if ((!dead_only || row->row.state == SWM_OUTBOX_DEAD) &&
			(!after || oldest_first(row, after) > 0)) {
			rows->items[kept++] = *row;
		}
	}
	if (kept > 1) {
		qsort(rows->items, kept, sizeof(*rows->items), oldest_first);
	}
	rows->count = kept > (size_t)limit + 1 ? (size_t)limit + 1 : kept;
}

/* Reads the documents of those rows again, with all that they hold. */
static swm_status read_whole(struct swm_session *session, enum store_collection collection,
	const struct found_rows *rows, size_t count, struct docs *docs, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, in, list;
	uint32_t asked = 0;
	char number[16];
	swm_status status = SWM_OK;

	bson_append_document_begin(&filter, "_id", 3, &in);
	bson_append_array_begin(&in, "$in", 3, &list);
	for (size_t i = 0; i < count; i++) {
		const struct found_row *row = &rows->items[i];
		bool of_instance = row->row.instance_id.ptr != NULL;
		const char *key = NULL;
		bson_iter_t id;

		if (of_instance == (collection == COLLECTION_INSTANCE) &&
			bson_iter_init_find(&id, row->doc, "_id")) {
			bson_uint32_to_string(asked++, &key, number, sizeof(number));
			bson_append_iter(&list, key, -1, &id);
		}
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(&filter, &in);
	if (asked > 0) {
		bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS,
			BCON_INT32(1), PAYLOADS, BCON_INT32(1), "}");

		status = wire_find(&session->wire, session->collections[collection], &filter,
			opts, "list the outbox", docs, err);
		bson_destroy(opts);
	}
	bson_destroy(&filter);
	return status;
}

/* Of the documents' rows, those that were chosen and are still there. */
static swm_status give_rows(struct docs *docs, const struct found_rows *chosen, size_t count,
	struct swm_set *out, struct swm_error *err)
{
	struct found_rows rows = {0};
	swm_status status = SWM_OK;
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < docs->count && status == SWM_OK; i++) {
		status = found_rows_add(&rows, docs->items[i], err);
	}
	if (rows.count > 1) {
		qsort(rows.items, rows.count, sizeof(*rows.items), oldest_first);
	}
	struct found_row **kept_rows = calloc(rows.count + 1, sizeof(void *));
	if (!kept_rows) {
		found_rows_finish(&rows);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		while (at < rows.count &&
			oldest_first(&rows.items[at], &chosen->items[i]) < 0) {
			at++;
		}
		if (at < rows.count && oldest_first(&rows.items[at], &chosen->items[i]) == 0) {
			kept_rows[kept++] = &rows.items[at];
		}
	}
	if (status == SWM_OK) {
		status = set_of_rows(docs, kept_rows, kept, out, err);
	}
	free(kept_rows);
	found_rows_finish(&rows);
	return status;
}

static swm_status list_rows(struct swm_session *session, const struct found_rows *rows,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	bool more = rows->count > page->limit;
	size_t count = more ? page->limit : rows->count;
	struct docs docs = {0};
	struct swm_set set = {0};
	swm_status status = read_whole(session, COLLECTION_INSTANCE, rows, count, &docs, err);

	if (status == SWM_OK) {
		status = read_whole(session, COLLECTION_OUTBOX, rows, count, &docs, err);
	}
	if (status == SWM_OK) {
		status = give_rows(&docs, rows, count, &set, err);
	}
	docs_finish(&docs);
	if (status != SWM_OK) {
		return status;
	}
	return finish_page(&set, more, more ? rows->items[count - 1].row.created_ms : 0,
		more ? rows->items[count - 1].row.id : (struct swm_str){NULL, 0}, out, err);
}

swm_status store_outbox_list(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct docs docs = {0};
	struct found_rows rows = {0};
	struct found_row after = {.place = 0};
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (!swm_store_instance_token(page->after, &after.row.created_ms, &after.row.id) ||
		(page->after.ptr && !after.row.id.ptr)) {
		return swm_store_bad_token(err);
	}
	wire_begin(&session->wire);
	status = find_owing(session, COLLECTION_INSTANCE, dead_only, &docs, err);
	if (status == SWM_OK) {
		status = find_owing(session, COLLECTION_OUTBOX, dead_only, &docs, err);
	}
	for (size_t i = 0; i < docs.count && status == SWM_OK; i++) {
		status = found_rows_add(&rows, docs.items[i], err);
	}
	if (status == SWM_OK) {
		cut_page(&rows, dead_only, page->after.ptr ? &after : NULL, page->limit);
		status = list_rows(session, &rows, page, out, err);
	}
	found_rows_finish(&rows);
	docs_finish(&docs);
	return status;
}
