/* SPDX-License-Identifier: MIT */

/*
 * Workflow definitions: put once, never changed, read by id or newest first.
 *
 * Concurrency: of two that put the same id at once, one inserts and the other compares.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <assert.h>
#include <string.h>

/* Within an operation. */
static swm_status get(struct swm_session *session, struct swm_str id, struct swm_set *out,
	struct swm_error *err)
{
	const struct swm_page page = {.limit = 1};
	PGresult *answer = NULL;

	params_clear(&session->params);
	params_text(&session->params, id);
	swm_status status = store_run(
		session, STMT_TEMPLATE_GET, WIRE_READS, "read a template", &answer, err);
	if (status != SWM_OK) {
		return status;
	}
	if (PQntuples(answer) == 0) {
		PQclear(answer);
		return swm_fail(err, SWM_E_NOT_FOUND, 0, "there is no template %.*s",
			(int)id.len, id.ptr ? id.ptr : "");
	}
	return rows_take_page(answer, &page, &row_template, out, err);
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
	const void *rows[] = {item};
	PGresult *answer = NULL;

	if (!item->id.ptr || !item->component.ptr || item->body.len > STORE_ITEM_BYTES_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a template needs an id, a component and a body of at most %d bytes",
			STORE_ITEM_BYTES_MAX);
	}
	store_begin(session);
	params_columns(
		&session->params, row_template.columns, row_template.column_count, rows, 1);
	swm_status status = store_run(
		session, STMT_TEMPLATE_INSERT, WIRE_HARMLESS, "put a template", &answer, err);
	if (status != SWM_OK) {
		return status;
	}
	bool inserted = strcmp(PQcmdTuples(answer), "1") == 0;
	PQclear(answer);
	return inserted ? SWM_OK : compare(session, item, err);
}

swm_status store_template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	store_begin(session);
	return get(session, id, out, err);
}

swm_status store_template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	PGresult *answer = NULL;
	int64_t after = 0;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (page->after.ptr && !swm_store_number(page->after, &after)) {
		return swm_store_bad_token(err);
	}
	store_begin(session);
	params_int8(&session->params, after);
	params_int8(&session->params, (int64_t)page->limit + 1);
	if (component.ptr) {
		params_text(&session->params, component);
	}
	status = store_run(session, component.ptr ? STMT_TEMPLATE_LIST_OF : STMT_TEMPLATE_LIST,
		WIRE_READS, "list templates", &answer, err);
	return status == SWM_OK ? rows_take_page(answer, page, &row_template, out, err)
				: status;
}
