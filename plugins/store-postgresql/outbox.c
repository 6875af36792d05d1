/* SPDX-License-Identifier: MIT */

/*
 * The outbox apart from lists: rows in, rows claimed, parked rows changed.
 *
 * A row can be claimed when it is PENDING, due, and its lease is over, by the server's
 * clock. Several claim at once: each takes what nobody else has locked.
 *
 * Concurrency: a session's statements are its own; rows are shared in the server.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

void store_put_owed(struct params *params, const struct store_owed *owed, size_t count,
	const void **pointers)
{
	for (size_t i = 0; i < count; i++) {
		pointers[i] = owed[i].row;
	}
	params_column(
		params, COLUMN_TEXT, pointers, count, offsetof(struct swm_outbox_row, id));
	for (size_t i = 0; i < count; i++) {
		pointers[i] = &owed[i];
	}
	params_column(
		params, COLUMN_TEXT, pointers, count, offsetof(struct store_owed, instance_id));
	for (size_t i = 0; i < count; i++) {
		pointers[i] = owed[i].row;
	}
	params_columns(params, row_owed.columns, row_owed.column_count, pointers, count);
	for (size_t i = 0; i < count; i++) {
		pointers[i] = &owed[i];
	}
	params_column(
		params, COLUMN_BYTES, pointers, count, offsetof(struct store_owed, headers));
}

static swm_status check_rows(
	const struct swm_outbox_row *rows, size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t bytes = 0;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = swm_store_check_row(&rows[i], err);
		if (status == SWM_OK && swm_store_row_bytes(&rows[i]) > STORE_ITEM_BYTES_MAX) {
			status = swm_fail(err, SWM_E_TOO_LARGE, 0,
				"outbox row %.*s is larger than %d bytes", (int)rows[i].id.len,
				rows[i].id.ptr, STORE_ITEM_BYTES_MAX);
		}
		bytes += swm_store_row_bytes(&rows[i]);
	}
	if (status == SWM_OK && bytes > STORE_CALL_BYTES_MAX) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"%zu outbox rows are larger than %d bytes together", count,
			STORE_CALL_BYTES_MAX);
	}
	return status;
}

swm_status store_outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	swm_status status = check_rows(rows, count, err);
	size_t headers = 0;

	if (status != SWM_OK || count == 0) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		headers += swm_store_headers_bytes(rows[i].headers, rows[i].header_count);
	}
	struct store_owed *owed =
		store_scratch(session, count * (sizeof(*owed) + sizeof(void *)) + headers);
	if (!owed) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	const void **pointers = (const void **)(void *)(owed + count);
	char *at = (char *)(pointers + count);
	for (size_t i = 0; i < count; i++) {
		size_t bytes = swm_store_headers_bytes(rows[i].headers, rows[i].header_count);

		swm_store_headers_pack(rows[i].headers, rows[i].header_count, at);
		owed[i] = (struct store_owed){
			&rows[i], rows[i].instance_id, {bytes > 0 ? at : NULL, bytes}, 0};
		at += bytes;
	}
	store_begin(session);
	store_put_owed(&session->params, owed, count, pointers);
	return store_run(session, STMT_OUTBOX_PUT, WIRE_COUNTS, "put a message into the outbox",
		NULL, err);
}

enum {
	CLAIM_LATER, /* in how many ms; NULL: never */
	CLAIM_ROW
};

swm_status store_outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err)
{
	struct params *params = &session->params;
	PGresult *answer = NULL;

	if (!owner.ptr || lease_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a claim needs an owner and a lease");
	}
	if (limit > SWM_STORE_PAGE_MAX) {
		limit = SWM_STORE_PAGE_MAX;
	}
	store_begin(session);
	params_text(params, owner);
	params_int8(params, lease_ms);
	params_int8(params, limit);
	/* Whether a lease was given does not matter: nobody sends, it ends. */
	swm_status status = store_run(
		session, STMT_OUTBOX_CLAIM, WIRE_HARMLESS, "claim outbox rows", &answer, err);
	if (status != SWM_OK) {
		return status;
	}
	bool later = !PQgetisnull(answer, 0, CLAIM_LATER), ok = true;
	int64_t later_ms = later ? row_int8(answer, 0, CLAIM_LATER, &ok) : -1;
	size_t count = PQgetisnull(answer, 0, CLAIM_ROW) ? 0 : (size_t)PQntuples(answer);
	if (later && later_ms < 0) {
		later_ms = 0;
	}
	if (count > 0 && count == limit) {
		later_ms = 0;
	} else if (count > 0 && (!later || lease_ms < later_ms)) {
		later_ms = lease_ms;
	}
	status = rows_take(answer, count, CLAIM_ROW, &row_outbox, rows, err);
	if (status == SWM_OK) {
		*next_due_ms = later_ms;
	}
	return status;
}

swm_status store_outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err)
{
	PGresult *answer = NULL;

	if (action != SWM_OUTBOX_REQUEUE && action != SWM_OUTBOX_DROP) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown outbox action %u", action);
	}
	const void **pointers = store_scratch(session, count * sizeof(*pointers));
	if (!pointers) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < count; i++) {
		pointers[i] = &ids[i];
	}
	store_begin(session);
	params_column(&session->params, COLUMN_TEXT, pointers, count, 0);
	swm_status status = store_run(session,
		action == SWM_OUTBOX_REQUEUE ? STMT_OUTBOX_REQUEUE : STMT_OUTBOX_DROP,
		WIRE_HARMLESS, "change parked messages", &answer, err);
	if (status == SWM_OK) {
		*changed = (size_t)strtoull(PQcmdTuples(answer), NULL, 10);
		PQclear(answer);
	}
	return status;
}
