/* SPDX-License-Identifier: MIT */

/*
 * Workflow definitions: put once, never changed, read by id or newest first.
 *
 * Concurrency: of two that put the same id at once, one inserts and the other compares.
 */

#include "sets.h"
#include "store.h"

#include "status.h"
#include "store_rules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Within a call. */
static swm_status get(struct swm_session *session, struct swm_str id, struct swm_set *out,
	struct swm_error *err)
{
	struct docs found = {0};
	bson_t filter = BSON_INITIALIZER;
	struct put put = {&filter, false};

	put_text(&put, "_id", id);
	swm_status status =
		put.bad || !id.ptr
			? SWM_OK
			: wire_find(&session->wire, session->collections[COLLECTION_DEFINITION],
				  &filter, NULL, "read a template", &found, err);
	bson_destroy(&filter);
	if (status == SWM_OK && found.count == 0) {
		status = swm_fail(err, SWM_E_NOT_FOUND, 0, "there is no template %.*s",
			(int)id.len, id.ptr ? id.ptr : "");
	}
	if (status != SWM_OK) {
		docs_finish(&found);
		return status;
	}
	return set_of_documents(&found, 1, &template_fields, out, err);
}

/* There is one of this id: the same one? */
static swm_status compare(
	struct swm_session *session, const struct swm_template_row *item, struct swm_error *err)
{
	struct swm_set found = {0};
	swm_status status = get(session, item->id, &found, err);

	if (status != SWM_OK) {
		return status;
	}
	const struct swm_template_row *stored = found.items;
	assert(stored);
	bool same = stored->body.len == item->body.len;
	if (same && item->body.len > 0) {
		same = memcmp(stored->body.ptr, item->body.ptr, item->body.len) == 0;
	}
	found.release(&found);
	if (same) {
		return SWM_OK;
	}
	return swm_fail(err, SWM_E_EXISTS, 0,
		"template %.*s is stored with another body: templates are never changed",
		(int)item->id.len, item->id.ptr);
}

swm_status store_template_put(
	struct swm_session *session, const struct swm_template_row *item, struct swm_error *err)
{
	struct written written;
	bson_t doc = BSON_INITIALIZER;
	struct put put = {&doc, false};

	if (!item->id.ptr || !item->component.ptr || item->body.len > STORE_ITEM_BYTES_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a template needs an id, a component and a body of at most %d bytes",
			STORE_ITEM_BYTES_MAX);
	}
	wire_begin(&session->wire);
	put_fields(&put, "", &template_fields, item);
	if (put.bad) {
		bson_destroy(&doc);
		return swm_fail(err, SWM_E_INVALID, 0, "a text of a template is not UTF-8");
	}
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_DEFINITION, true);
	mongoc_bulk_operation_insert(bulk, &doc);
	swm_status status = wire_write(
		&session->wire, bulk, WIRE_HARMLESS, "put a template", &written, err);
	bool known = status == SWM_OK && written_fate(&written, 0) == WRITE_DUPLICATE;
	if (status == SWM_OK) {
		status = written_check(&session->wire, &written, "put a template", err);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	bson_destroy(&doc);
	return status == SWM_OK && known ? compare(session, item, err) : status;
}

swm_status store_template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	wire_begin(&session->wire);
	return get(session, id, out, err);
}

/* Where a page ended: "VERSION:LENGTH:" and component and id. */
struct token {
	int64_t version;
	struct swm_str component;
	struct swm_str id;
};

/* Cuts the number before the first colon off. */
static bool cut_number(struct swm_str *text, int64_t *out)
{
	const char *colon = text->len > 0 ? memchr(text->ptr, ':', text->len) : NULL;

	if (!colon || !swm_store_number(
			      (struct swm_str){text->ptr, (size_t)(colon - text->ptr)}, out)) {
		return false;
	}
	text->len -= (size_t)(colon - text->ptr) + 1;
	text->ptr = colon + 1;
	return true;
}

static bool read_token(struct swm_str text, struct token *out)
{
	int64_t len = 0;

	if (!cut_number(&text, &out->version) || !cut_number(&text, &len) ||
		len > (int64_t)text.len) {
		return false;
	}
	out->component = (struct swm_str){text.ptr, (size_t)len};
	out->id = (struct swm_str){text.ptr + len, text.len - (size_t)len};
	return true;
}

/* What comes after a page, in the order of the list. */
static void put_after(bson_t *filter, const struct token *token)
{
	bson_t list, one, than;
	struct put put = {NULL, false};

	bson_append_array_begin(filter, "$or", -1, &list);
	bson_append_document_begin(&list, "0", -1, &one);
	bson_append_document_begin(&one, "component_name", -1, &than);
	put.bson = &than;
	put_text(&put, "$gt", token->component);
	bson_append_document_end(&one, &than);
	bson_append_document_end(&list, &one);

	bson_append_document_begin(&list, "1", -1, &one);
	put.bson = &one;
	put_text(&put, "component_name", token->component);
	bson_append_document_begin(&one, "version", -1, &than);
	bson_append_int64(&than, "$lt", -1, token->version);
	bson_append_document_end(&one, &than);
	bson_append_document_end(&list, &one);

	bson_append_document_begin(&list, "2", -1, &one);
	put_text(&put, "component_name", token->component);
	bson_append_int64(&one, "version", -1, token->version);
	bson_append_document_begin(&one, "_id", -1, &than);
	put.bson = &than;
	put_text(&put, "$gt", token->id);
	bson_append_document_end(&one, &than);
	bson_append_document_end(&list, &one);
	bson_append_array_end(filter, &list);
}

static swm_status give_next(
	struct swm_set *set, const struct swm_template_row *last, struct swm_error *err)
{
	char numbers[64];
	int len = snprintf(numbers, sizeof(numbers), "%lld:%zu:", (long long)last->version,
		last->component.len);
	const struct swm_str parts[] = {
		{numbers, len > 0 ? (size_t)len : 0}, last->component, last->id};

	return set_next(set, parts, 3, err);
}

swm_status store_template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct token token = {0};
	struct docs found = {0};
	struct swm_set set = {0};
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (page->after.ptr && !read_token(page->after, &token)) {
		return swm_store_bad_token(err);
	}
	wire_begin(&session->wire);
	bson_t filter = BSON_INITIALIZER;
	struct put put = {&filter, false};
	put_text(&put, "component_name", component);
	if (page->after.ptr) {
		put_after(&filter, &token);
	}
	bson_t *opts = BCON_NEW("sort", "{", "component_name", BCON_INT32(1), "version",
		BCON_INT32(-1), "_id", BCON_INT32(1), "}", "limit",
		BCON_INT64((int64_t)page->limit + 1));
	status = wire_find(&session->wire, session->collections[COLLECTION_DEFINITION], &filter,
		opts, "list templates", &found, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	if (status != SWM_OK) {
		docs_finish(&found);
		return status;
	}
	bool more = found.count > page->limit;
	size_t count = more ? page->limit : found.count;
	status = set_of_documents(&found, count, &template_fields, &set, err);
	if (status == SWM_OK && more) {
		status = give_next(
			&set, (const struct swm_template_row *)set.items + count - 1, err);
		if (status != SWM_OK) {
			set.release(&set);
		}
	}
	if (status == SWM_OK) {
		*out = set;
	}
	return status;
}
