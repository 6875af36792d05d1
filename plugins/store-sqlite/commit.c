/* SPDX-License-Identifier: MIT */

/*
 * The hot path's second call: many instances' steps in one transaction, with one
 * flush to the disk. Each item begins with its compare-and-set; one that lost it
 * writes nothing, so no savepoints are needed to keep the items independent.
 *
 * Concurrency: under the file's write lock from begin to commit, so reading the
 * version and writing on it cannot be interrupted.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

/* *number stays 0 when there is such an instance already. */
static swm_status insert_instance(struct swm_session *session,
	const struct swm_instance_row *next, int64_t *number, struct swm_error *err)
{
	struct params params = params_of(session, STMT_INSTANCE_INSERT);
	int64_t changed = 0;

	put_text(&params, next->id);
	put_text(&params, next->workflow);
	put_text(&params, next->component);
	put_text(&params, next->business_ref);
	put_text(&params, next->template_id);
	put_text(&params, next->stage);
	put_text(&params, next->business_status);
	put_int(&params, next->version);
	put_int(&params, next->sequence);
	put_int(&params, next->created_ms);
	put_int(&params, next->updated_ms);
	put_int(&params, next->status);
	put_blob(&params, next->body);
	swm_status status = run(&params, "insert an instance", &changed, err);
	if (status == SWM_OK && changed == 1) {
		*number = sqlite3_last_insert_rowid(session->db.handle);
	}
	return status;
}

/* The compare-and-set. *won: the row `number` is this instance in that version, and
 * is now the next one. */
static swm_status update_row(struct swm_session *session, const struct swm_instance_row *next,
	int64_t number, int64_t expected_version, bool *won, struct swm_error *err)
{
	struct params params = params_of(session, STMT_INSTANCE_UPDATE);
	int64_t changed = 0;

	put_int(&params, number);
	put_text(&params, next->workflow);
	put_text(&params, next->component);
	put_text(&params, next->business_ref);
	put_text(&params, next->template_id);
	put_text(&params, next->stage);
	put_text(&params, next->business_status);
	put_int(&params, next->version);
	put_int(&params, next->sequence);
	put_int(&params, next->updated_ms);
	put_int(&params, next->status);
	put_blob(&params, next->body);
	put_text(&params, next->id);
	put_int(&params, expected_version);
	swm_status status = run(&params, "update an instance", &changed, err);
	*won = status == SWM_OK && changed == 1;
	return status;
}

static swm_status find_number(
	struct swm_session *session, struct swm_str id, int64_t *number, struct swm_error *err)
{
	struct params params = params_of(session, STMT_INSTANCE_FIND);
	bool found = false;

	put_text(&params, id);
	swm_status status = next_row(&params, "find an instance", &found, err);
	if (found) {
		*number = sqlite3_column_int64(params.stmt, 0);
		finish(&params);
	}
	return status;
}

/* *number stays 0 when the version is another one, or there is no such instance. Its
 * row's number is known from the load; when not, or when that row is another one by
 * now (purged and used again), the id is looked up. */
static swm_status update_instance(struct swm_session *session,
	const struct swm_instance_row *next, int64_t expected_version, int64_t *number,
	struct swm_error *err)
{
	const int64_t hint = store_hint_get(session, next->id);
	int64_t found = hint;
	swm_status status = SWM_OK;
	bool won = false;

	if (hint != 0) {
		status = update_row(session, next, hint, expected_version, &won, err);
	}
	if (status == SWM_OK && !won) {
		status = find_number(session, next->id, &found, err);
	}
	if (status == SWM_OK && !won && found != hint) {
		status = update_row(session, next, found, expected_version, &won, err);
	}
	if (won) {
		*number = found;
	}
	return status;
}

static swm_status insert_event(struct swm_session *session, int64_t instance,
	const struct swm_event_row *event, struct swm_error *err)
{
	struct params params = params_of(session, STMT_EVENT_INSERT);

	put_int(&params, instance);
	put_text(&params, event->id);
	put_text(&params, event->source_id);
	put_text(&params, event->name);
	put_text(&params, event->stage);
	put_text(&params, event->task);
	put_text(&params, event->reason);
	put_text(&params, event->actor);
	put_int(&params, event->sequence);
	put_int(&params, event->at_ms);
	put_int(&params, event->attempt);
	put_int(&params, event->outcome);
	put_int(&params, event->rules);
	put_blob(&params, event->body);
	return run(&params, "record an event", NULL, err);
}

static swm_status cancel_row(struct swm_session *session, struct swm_str instance_id,
	struct swm_str id, struct swm_error *err)
{
	struct params params = params_of(session, STMT_OUTBOX_CANCEL);

	put_text(&params, id);
	put_text(&params, instance_id);
	return run(&params, "cancel an outbox row", NULL, err);
}

static swm_status apply_item(struct swm_session *session, const struct swm_commit *item,
	const struct store_lease *lease, swm_status *result, struct swm_error *err)
{
	const struct swm_instance_row *next = &item->next;
	int64_t number = 0;
	swm_status status;

	if (swm_store_item_bytes(item) > STORE_ITEM_BYTES_MAX) {
		*result = SWM_E_TOO_LARGE;
		return SWM_OK;
	}
	if (item->expected_version == 0) {
		status = insert_instance(session, next, &number, err);
	} else {
		status = update_instance(session, next, item->expected_version, &number, err);
	}
	*result = number == 0 ? SWM_E_CONFLICT : SWM_OK;
	if (status != SWM_OK || number == 0) {
		return status;
	}
	for (size_t i = 0; i < item->event_count && status == SWM_OK; i++) {
		status = insert_event(session, number, &item->events[i], err);
	}
	for (size_t i = 0; i < item->cancel_count && status == SWM_OK; i++) {
		status = cancel_row(session, next->id, item->cancel[i], err);
	}
	for (size_t i = 0; i < item->outbox_count && status == SWM_OK; i++) {
		status = store_outbox_insert(
			session, STMT_OUTBOX_INSERT, next->id, &item->outbox[i], lease, err);
	}
	return status;
}

/* Gives the results out and sums them up. */
static swm_status report(const swm_status *results, struct swm_commit *items, size_t count,
	struct swm_error *err)
{
	size_t conflicts = 0, too_large = 0;

	for (size_t i = 0; i < count; i++) {
		items[i].result = results[i];
		conflicts += results[i] == SWM_E_CONFLICT;
		too_large += results[i] == SWM_E_TOO_LARGE;
	}
	if (too_large > 0) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"%zu of %zu steps are larger than %d bytes", too_large, count,
			STORE_ITEM_BYTES_MAX);
	}
	if (conflicts > 0) {
		return swm_fail(err, SWM_E_CONFLICT, 0,
			"%zu of %zu steps were computed from a version that is not the stored "
			"one",
			conflicts, count);
	}
	return SWM_OK;
}

static swm_status apply_all(struct swm_session *session, const struct store_lease *lease,
	const struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	swm_status *results = session->results.ptr;
	swm_status status = SWM_OK;

	for (size_t i = 0; i < mark_count && status == SWM_OK; i++) {
		status = store_outbox_settle(session, lease, &marks[i], err);
	}
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = apply_item(session, &items[i], lease, &results[i], err);
	}
	return status;
}

swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	swm_status status =
		swm_store_check_commit(lease_ms, items, count, marks, mark_count, err);

	if (status != SWM_OK || count + mark_count == 0) {
		return status;
	}
	if (!store_scratch_reserve(&session->results, count * sizeof(swm_status))) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status *results = session->results.ptr;
	status = swm_db_begin(&session->db, err);
	if (status != SWM_OK) {
		return status;
	}
	int64_t now_ms = store_now_ms(session->store);
	const struct store_lease lease = {owner, now_ms, store_due_ms(now_ms, lease_ms)};
	status = apply_all(session, &lease, items, count, marks, mark_count, err);
	if (status != SWM_OK) {
		swm_db_rollback(&session->db);
		return status;
	}
	status = swm_db_commit(&session->db, err);
	if (status == SWM_E_INDOUBT) {
		for (size_t i = 0; i < count; i++) {
			items[i].result = results[i] == SWM_OK ? SWM_E_INDOUBT : results[i];
		}
	}
	return status == SWM_OK ? report(results, items, count, err) : status;
}
