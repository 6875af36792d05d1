/* SPDX-License-Identifier: MIT */

/* Documents as result sets; see sets.h. Concurrency: no state. */

#include "sets.h"

#include "status.h"
#include "store_rules.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* What a set owns; the items follow. */
struct held {
	struct docs docs;
	char *next;
	alignas(max_align_t) char items[];
};

static void release(struct swm_set *set)
{
	struct held *held = set->owner;

	docs_finish(&held->docs);
	free(held->next);
	free(held);
	memset(set, 0, sizeof(*set));
}

swm_status set_corrupt(struct swm_error *err)
{
	return swm_fail(err, SWM_E_CORRUPT, 0, "a stored document cannot be understood");
}

swm_status set_create(struct docs *docs, size_t count, size_t item_bytes, size_t extra,
	struct swm_set *out, struct swm_error *err)
{
	struct held *held = calloc(1, sizeof(*held) + count * item_bytes + extra);

	if (!held) {
		docs_finish(docs);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	held->docs = *docs;
	*docs = (struct docs){0};
	*out = (struct swm_set){
		.items = held->items, .count = count, .owner = held, .release = release};
	return SWM_OK;
}

void *set_items(const struct swm_set *set)
{
	return ((struct held *)set->owner)->items;
}

bson_t **set_docs(const struct swm_set *set)
{
	return ((struct held *)set->owner)->docs.items;
}

size_t set_doc_count(const struct swm_set *set)
{
	return ((struct held *)set->owner)->docs.count;
}

swm_status set_next(
	struct swm_set *set, const struct swm_str *parts, size_t count, struct swm_error *err)
{
	struct held *held = set->owner;
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		len += parts[i].len;
	}
	held->next = malloc(len + 1);
	if (!held->next) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	char *at = held->next;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > 0) {
			memcpy(at, parts[i].ptr, parts[i].len);
		}
		at += parts[i].len;
	}
	set->next = (struct swm_str){held->next, len};
	return SWM_OK;
}

swm_status set_of_documents(struct docs *docs, size_t count, const struct fields *fields,
	struct swm_set *out, struct swm_error *err)
{
	struct swm_set set = {0};
	swm_status status = set_create(docs, count, fields->item_bytes, 0, &set, err);

	if (status != SWM_OK) {
		return status;
	}
	const struct held *held = set.owner;
	assert(held);
	for (size_t i = 0; i < count; i++) {
		char *item = (char *)set_items(&set) + i * fields->item_bytes;

		if (!take_document(held->docs.items[i], fields, item)) {
			release(&set);
			return set_corrupt(err);
		}
	}
	*out = set;
	return SWM_OK;
}

bool take_instance(const bson_t *doc, struct swm_instance_row *row)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&iter)) {
		return false;
	}
	row->id = bytes_of(&iter);
	return take_document(doc, &instance_fields, row) &&
	       bson_iter_init_find(&iter, doc, OUR) && take_fields(&iter, &instance_state, row);
}

/* --- The outbox --- */

void found_rows_finish(struct found_rows *rows)
{
	free(rows->items);
	*rows = (struct found_rows){0};
}

static struct found_row *add(struct found_rows *rows)
{
	if (rows->count == rows->room) {
		size_t room = rows->room > 0 ? rows->room * 2 : 32;
		struct found_row *items = realloc(rows->items, room * sizeof(*items));

		if (!items) {
			return NULL;
		}
		rows->items = items;
		rows->room = room;
	}
	struct found_row *row = &rows->items[rows->count++];
	memset(row, 0, sizeof(*row));
	return row;
}

/* The id of the instance that owes; absent for a carrier. */
static struct swm_str owing_instance(const bson_t *doc)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, doc, "_id") ? bytes_of(&iter)
						      : (struct swm_str){NULL, 0};
}

static bool take_row(const bson_iter_t *iter, const bson_t *doc, struct found_row *out)
{
	const char *key = bson_iter_key(iter);
	bson_iter_t fields;

	if (strlen(key) >= sizeof(out->key.text) || !take_fields(iter, &row_state, &out->row) ||
		!out->row.id.ptr) {
		return false;
	}
	memcpy(out->key.text, key, strlen(key) + 1);
	out->doc = doc;
	out->row.instance_id = owing_instance(doc);
	if (bson_iter_recurse(iter, &fields) && bson_iter_find(&fields, "at") &&
		BSON_ITER_HOLDS_DATE_TIME(&fields)) {
		out->at_ms = bson_iter_date_time(&fields);
	}
	if (bson_iter_recurse(iter, &fields) && bson_iter_find(&fields, "claim")) {
		out->claim = bytes_of(&fields);
	}
	return true;
}

swm_status found_rows_add(struct found_rows *rows, const bson_t *doc, struct swm_error *err)
{
	bson_iter_t outbox, iter;

	if (!find_value(doc, ROWS, &outbox)) {
		return SWM_OK;
	}
	if (!BSON_ITER_HOLDS_DOCUMENT(&outbox) || !bson_iter_recurse(&outbox, &iter)) {
		return set_corrupt(err);
	}
	while (bson_iter_next(&iter)) {
		struct found_row *row = add(rows);

		if (!row) {
			return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
		if (!take_row(&iter, doc, row)) {
			return set_corrupt(err);
		}
	}
	return SWM_OK;
}

/* What a row sends; *headers are packed. */
static bool take_payload(struct found_row *found, struct swm_str *headers)
{
	struct path path = path_of(PAYLOADS, &found->key, NULL);
	bson_iter_t payload, fields;

	*headers = (struct swm_str){NULL, 0};
	if (!find_value(found->doc, path.text, &payload) ||
		!take_fields(&payload, &row_payload, &found->row)) {
		return false;
	}
	if (bson_iter_recurse(&payload, &fields) && bson_iter_find(&fields, "headers")) {
		*headers = bytes_of(&fields);
	}
	return swm_store_headers_count(*headers, &found->row.header_count);
}

swm_status set_of_rows(struct docs *docs, struct found_row *const *rows, size_t count,
	struct swm_set *out, struct swm_error *err)
{
	struct swm_set set = {0};
	struct swm_str packed;
	size_t headers = 0;

	for (size_t i = 0; i < count; i++) {
		if (!take_payload(rows[i], &packed)) {
			docs_finish(docs);
			return set_corrupt(err);
		}
		headers += rows[i]->row.header_count;
	}
	swm_status status = set_create(docs, count, sizeof(struct swm_outbox_row),
		headers * sizeof(struct swm_header), &set, err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_outbox_row *items = set_items(&set);
	struct swm_header *next = (struct swm_header *)(void *)(items + count);
	static_assert(sizeof(struct swm_outbox_row) % alignof(struct swm_header) == 0,
		"headers follow rows");
	for (size_t i = 0; i < count; i++) {
		size_t own = rows[i]->row.header_count;

		(void)take_payload(rows[i], &packed);
		items[i] = rows[i]->row;
		if (own > 0) {
			swm_store_headers_unpack(packed, next, own);
			items[i].headers = next;
			next += own;
		}
	}
	*out = set;
	return SWM_OK;
}
