/* SPDX-License-Identifier: MIT */

/*
 * Workflow definitions: put once, never changed, read by id or newest first.
 *
 * Concurrency: putting takes the file's write lock, reading none.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <assert.h>
#include <string.h>

static swm_status insert_template(struct swm_session *session,
	const struct swm_template_row *item, int64_t *inserted, struct swm_error *err)
{
	struct params params = params_of(session, STMT_TEMPLATE_INSERT);

	put_text(&params, item->id);
	put_text(&params, item->workflow);
	put_text(&params, item->component);
	put_text(&params, item->author);
	put_text(&params, item->comment);
	put_text(&params, item->sha256);
	put_int(&params, item->version);
	put_int(&params, item->created_ms);
	put_blob(&params, item->body);
	return run(&params, "insert a template", inserted, err);
}

/* There is one of this id: the same one? */
static swm_status compare(
	struct swm_session *session, const struct swm_template_row *item, struct swm_error *err)
{
	struct swm_set found = {0};
	swm_status status = store_template_get(session, item->id, &found, err);

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
	int64_t inserted = 0;

	if (!item->id.ptr || !item->component.ptr || item->body.len > STORE_ITEM_BYTES_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a template needs an id, a component and a body of at most %d bytes",
			STORE_ITEM_BYTES_MAX);
	}
	swm_status status = swm_db_begin(&session->db, err);
	if (status != SWM_OK) {
		return status;
	}
	status = insert_template(session, item, &inserted, err);
	if (status == SWM_OK && inserted == 0) {
		status = compare(session, item, err);
	}
	if (status != SWM_OK) {
		swm_db_rollback(&session->db);
		return status;
	}
	return swm_db_commit(&session->db, err);
}

swm_status store_template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	struct params params = params_of(session, STMT_TEMPLATE_GET);
	struct swm_set found = {0};

	put_text(&params, id);
	swm_status status = take_page(&params, 1, take_template,
		sizeof(struct swm_template_row), "read a template", &found, err);
	if (status != SWM_OK) {
		return status;
	}
	if (found.count == 0) {
		found.release(&found);
		return swm_fail(err, SWM_E_NOT_FOUND, 0, "there is no template %.*s",
			(int)id.len, id.ptr ? id.ptr : "");
	}
	*out = found;
	return SWM_OK;
}

swm_status store_template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct params params =
		params_of(session, component.ptr ? STMT_TEMPLATE_LIST_OF : STMT_TEMPLATE_LIST);
	int64_t after = 0;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (page->after.ptr && !swm_store_number(page->after, &after)) {
		return swm_store_bad_token(err);
	}
	put_int(&params, after);
	put_int(&params, (int64_t)page->limit + 1);
	if (component.ptr) {
		put_text(&params, component);
	}
	return take_page(&params, page->limit, take_template, sizeof(struct swm_template_row),
		"list templates", out, err);
}
