/* SPDX-License-Identifier: MIT */

/*
 * Lists for people and for replay: instances, the events of one, the outbox. Pages
 * are found by where the last one ended, not by counting, so that a page in the middle
 * costs what the first one does and rows that come or go move nothing.
 *
 * Concurrency: take no lock; each page is a snapshot of its own.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

swm_status store_instance_list(struct swm_session *session,
	const struct swm_instance_filter *filter, const struct swm_page *page,
	struct swm_set *out, struct swm_error *err)
{
	const struct swm_instance_filter wanted = swm_store_filter(filter);
	struct params params = params_of(session, STMT_INSTANCE_LIST);
	struct swm_str after_id;
	int64_t after_ms;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (!swm_store_instance_token(page->after, &after_ms, &after_id)) {
		return swm_store_bad_token(err);
	}
	put_int(&params, after_ms);
	put_text(&params, after_id);
	put_int(&params, wanted.status_mask);
	put_text(&params, wanted.workflow);
	put_text(&params, wanted.component);
	put_text(&params, wanted.business_ref);
	put_text(&params, wanted.stage);
	put_text(&params, wanted.template_id);
	put_int(&params, wanted.updated_from_ms);
	put_int(&params, wanted.updated_to_ms);
	put_int(&params, (int64_t)page->limit + 1);
	return take_page(&params, page->limit, take_instance, sizeof(struct swm_instance_row),
		"list instances", out, err);
}

swm_status store_event_list(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct params params = params_of(session, STMT_EVENT_LIST);
	int64_t after = 0;
	swm_status status = swm_store_check_page(page, err);

	if (status != SWM_OK) {
		return status;
	}
	if (page->after.ptr && !swm_store_number(page->after, &after)) {
		return swm_store_bad_token(err);
	}
	put_text(&params, id);
	put_int(&params, after);
	put_int(&params, (int64_t)page->limit + 1);
	return take_page(&params, page->limit, take_event, sizeof(struct swm_event_row),
		"list events", out, err);
}

swm_status store_outbox_list(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct params params =
		params_of(session, dead_only ? STMT_OUTBOX_LIST_DEAD : STMT_OUTBOX_LIST);
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
	return take_page(&params, page->limit, take_outbox, sizeof(struct swm_outbox_row),
		"list the outbox", out, err);
}
