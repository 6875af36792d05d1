/* SPDX-License-Identifier: MIT */

/*
 * Lists for people and for replay: instances, the events of one, the outbox. Pages are
 * found by where the last one ended, not by counting, so that a page in the middle costs
 * what the first one does and rows that come or go move nothing.
 *
 * Concurrency: take no lock; each page is a snapshot of its own.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

/* Runs a list whose parameters stand but for its limit. */
static swm_status list(struct swm_session *session, enum store_statement statement,
	const struct swm_page *page, const struct row_kind *kind, const char *what,
	struct swm_set *out, struct swm_error *err)
{
	PGresult *answer = NULL;

	params_int8(&session->params, (int64_t)page->limit + 1);
	swm_status status = store_run(session, statement, WIRE_READS, what, &answer, err);
	return status == SWM_OK ? rows_take_page(answer, page, kind, out, err) : status;
}

swm_status store_instance_list(struct swm_session *session,
	const struct swm_instance_filter *filter, const struct swm_page *page,
	struct swm_set *out, struct swm_error *err)
{
	const struct swm_instance_filter wanted = swm_store_filter(filter);
	struct params *params = &session->params;
	struct swm_str after_id;
	int64_t after_ms;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (!swm_store_instance_token(page->after, &after_ms, &after_id)) {
		return swm_store_bad_token(err);
	}
	store_begin(session);
	params_int8(params, after_ms);
	params_text(params, after_id);
	params_int8(params, wanted.status_mask);
	params_text(params, wanted.workflow);
	params_text(params, wanted.component);
	params_text(params, wanted.business_ref);
	params_text(params, wanted.stage);
	params_text(params, wanted.template_id);
	params_int8(params, wanted.updated_from_ms);
	params_int8(params, wanted.updated_to_ms);
	return list(session, wanted.component.ptr ? STMT_INSTANCE_LIST_OF : STMT_INSTANCE_LIST,
		page, &row_instance, "list instances", out, err);
}

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

swm_status store_event_list(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	int64_t after;
	swm_status status = begin_page(page, &after, err);

	if (status != SWM_OK) {
		return status;
	}
	store_begin(session);
	params_text(&session->params, id);
	params_int8(&session->params, after);
	return list(session, STMT_EVENT_LIST, page, &row_event, "list events", out, err);
}

swm_status store_outbox_list(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	int64_t after;
	swm_status status = begin_page(page, &after, err);

	if (status != SWM_OK) {
		return status;
	}
	store_begin(session);
	params_int8(&session->params, after);
	return list(session, dead_only ? STMT_OUTBOX_LIST_DEAD : STMT_OUTBOX_LIST, page,
		&row_outbox, "list the outbox", out, err);
}
