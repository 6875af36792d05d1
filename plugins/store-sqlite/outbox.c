/* SPDX-License-Identifier: MIT */

/*
 * The outbox apart from lists: rows in, rows claimed, rows settled.
 *
 * A row can be claimed when it is PENDING, due, and its lease is over. The index on
 * (due_ms, lease_until_ms) answers that in the order asked for; rows that are leased
 * are stepped over, and they are few: what committers and dispatchers have in hand.
 *
 * Concurrency: leases are given under the file's write lock. A claim looks first
 * without it, so that an idle dispatcher disturbs nobody.
 */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <string.h>

swm_status store_outbox_insert(struct swm_session *session, enum store_statement statement,
	struct swm_str instance_id, const struct swm_outbox_row *row,
	const struct store_lease *lease, struct swm_error *err)
{
	struct params params = params_of(session, statement);
	struct swm_str headers;
	bool leased =
		lease->owner.ptr && row->delay_ms == 0 && row->state == SWM_OUTBOX_PENDING;
	swm_status status =
		pack_headers(session, row->headers, row->header_count, &headers, err);

	if (status != SWM_OK) {
		return status;
	}
	put_text(&params, leased ? lease->owner : (struct swm_str){NULL, 0});
	put_text(&params, row->id);
	put_text(&params, instance_id);
	put_text(&params, row->destination);
	put_text(&params, row->key);
	put_text(&params, row->reason);
	put_blob(&params, headers);
	put_int(&params, store_due_ms(lease->now_ms, row->delay_ms));
	put_int(&params, lease->now_ms);
	put_int(&params, leased ? lease->until_ms : 0);
	put_int(&params, 0);
	put_int(&params, row->state);
	put_int(&params, row->attempt);
	put_int(&params, row->kind);
	put_blob(&params, row->body);
	return run(&params, "add an outbox row", NULL, err);
}

swm_status store_outbox_settle(struct swm_session *session, const struct store_lease *lease,
	const struct swm_outbox_mark *mark, struct swm_error *err)
{
	struct params params;

	if (mark->action == SWM_MARK_SENT) {
		params = params_of(session, STMT_OUTBOX_SENT);
		put_text(&params, mark->id);
		return run(&params, "remove a sent outbox row", NULL, err);
	}
	params = params_of(
		session, mark->action == SWM_MARK_RETRY ? STMT_OUTBOX_RETRY : STMT_OUTBOX_PARK);
	put_text(&params, mark->id);
	put_text(&params, lease->owner);
	put_int(&params, lease->now_ms);
	put_text(&params, mark->reason);
	if (mark->action == SWM_MARK_RETRY) {
		put_int(&params, store_due_ms(lease->now_ms, mark->delay_ms));
	}
	return run(&params, "put an outbox row off", NULL, err);
}

/* Within a write transaction. */
static swm_status put_rows(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	const struct store_lease nobody = {.now_ms = store_now_ms(session->store)};
	swm_status status = SWM_OK;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = store_outbox_insert(
			session, STMT_OUTBOX_PUT, rows[i].instance_id, &rows[i], &nobody, err);
	}
	return status;
}

swm_status store_outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = swm_store_check_row(&rows[i], err);
		if (status == SWM_OK && swm_store_row_bytes(&rows[i]) > STORE_ITEM_BYTES_MAX) {
			status = swm_fail(err, SWM_E_TOO_LARGE, 0,
				"outbox row %.*s is larger than %d bytes", (int)rows[i].id.len,
				rows[i].id.ptr, STORE_ITEM_BYTES_MAX);
		}
	}
	if (status != SWM_OK || count == 0) {
		return status;
	}
	status = swm_db_begin(&session->db, err);
	if (status != SWM_OK) {
		return status;
	}
	status = put_rows(session, rows, count, err);
	if (status != SWM_OK) {
		swm_db_rollback(&session->db);
		return status;
	}
	return swm_db_commit(&session->db, err);
}

/* What a look at the outbox found. The numbers of the rows are in session->results. */
struct due {
	int64_t now_ms;
	size_t count;       /* rows to be claimed, at most `limit` */
	int64_t next_at_ms; /* when there may be another one; INT64_MAX: never */
};

static swm_status scan_due(
	struct swm_session *session, uint32_t limit, struct due *due, struct swm_error *err)
{
	struct params params = params_of(session, STMT_OUTBOX_DUE);
	int64_t *numbers = session->results.ptr;
	bool row = false;

	put_int(&params, due->now_ms);
	for (;;) {
		swm_status status = next_row(&params, "look for due outbox rows", &row, err);

		if (!row) {
			return status;
		}
		int64_t lease_until_ms = sqlite3_column_int64(params.stmt, 1);
		if (lease_until_ms > due->now_ms) {
			if (lease_until_ms < due->next_at_ms) {
				due->next_at_ms = lease_until_ms;
			}
			continue;
		}
		if (due->count == limit) {
			due->next_at_ms = due->now_ms;
			finish(&params);
			return SWM_OK;
		}
		numbers[due->count++] = sqlite3_column_int64(params.stmt, 0);
	}
}

static swm_status find_due(
	struct swm_session *session, uint32_t limit, struct due *due, struct swm_error *err)
{
	bool row = false;

	*due = (struct due){.now_ms = store_now_ms(session->store), .next_at_ms = INT64_MAX};
	swm_status status = scan_due(session, limit, due, err);
	if (status != SWM_OK || due->next_at_ms <= due->now_ms) {
		return status;
	}
	struct params params = params_of(session, STMT_OUTBOX_NEXT);
	put_int(&params, due->now_ms);
	status = next_row(&params, "look for the next outbox row", &row, err);
	if (row) {
		int64_t due_ms = sqlite3_column_int64(params.stmt, 0);

		if (due_ms < due->next_at_ms) {
			due->next_at_ms = due_ms;
		}
		finish(&params);
	}
	return status;
}

/* Within a write transaction. */
static swm_status lease_row(struct swm_session *session, int64_t number,
	const struct store_lease *lease, struct arena *arena, struct swm_outbox_row *out,
	struct swm_error *err)
{
	struct params params = params_of(session, STMT_OUTBOX_LEASE);
	bool row = false;

	put_int(&params, number);
	put_text(&params, lease->owner);
	put_int(&params, lease->until_ms);
	swm_status status = run(&params, "lease an outbox row", NULL, err);
	if (status != SWM_OK) {
		return status;
	}
	params = params_of(session, STMT_OUTBOX_GET);
	put_int(&params, number);
	status = next_row(&params, "read an outbox row", &row, err);
	if (!row) {
		return status;
	}
	struct columns columns = columns_of(&params, arena);
	take_outbox(&columns, out);
	finish(&params);
	return columns.status == SWM_OK ? SWM_OK : columns_failed(session, columns.status, err);
}

/* Within a write transaction. The rows lie in `arena`, which the caller destroys. */
static swm_status lease_due(struct swm_session *session, const struct store_lease *lease,
	const struct due *due, struct arena *arena, struct swm_outbox_row **out,
	struct swm_error *err)
{
	const int64_t *numbers = session->results.ptr;
	struct swm_outbox_row *rows = arena_alloc(arena, due->count * sizeof(*rows));
	swm_status status = SWM_OK;

	if (!rows) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < due->count && status == SWM_OK; i++) {
		status = lease_row(session, numbers[i], lease, arena, &rows[i], err);
	}
	*out = rows;
	return status;
}

static swm_status claim_due(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	uint32_t limit, struct due *due, struct swm_set *rows, struct swm_error *err)
{
	struct swm_outbox_row *items = NULL;
	struct arena *arena = arena_create(due->count * (sizeof(*items) + 512));

	if (!arena) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status status = swm_db_begin(&session->db, err);
	if (status != SWM_OK) {
		arena_destroy(arena);
		return status;
	}
	/* Once more: somebody may have been faster. */
	status = find_due(session, limit, due, err);
	const struct store_lease lease = {
		owner, due->now_ms, store_due_ms(due->now_ms, lease_ms)};
	if (status == SWM_OK) {
		status = lease_due(session, &lease, due, arena, &items, err);
	}
	if (status == SWM_OK) {
		status = swm_db_commit(&session->db, err);
	} else {
		swm_db_rollback(&session->db);
	}
	if (status != SWM_OK) {
		arena_destroy(arena);
		/* Whether the lease was given does not matter: nobody sends, it ends. */
		return status == SWM_E_INDOUBT
			       ? swm_fail(err, SWM_E_UNAVAILABLE, 0,
					 "%s: a claim could not be flushed", session->db.path)
			       : status;
	}
	if (due->count > 0 && lease.until_ms < due->next_at_ms) {
		due->next_at_ms = lease.until_ms;
	}
	arena_give(arena, rows, items, due->count);
	return SWM_OK;
}

swm_status store_outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err)
{
	struct due due;

	if (!owner.ptr || lease_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a claim needs an owner and a lease");
	}
	if (limit > SWM_STORE_PAGE_MAX) {
		limit = SWM_STORE_PAGE_MAX;
	}
	if (!store_scratch_reserve(&session->results, limit * sizeof(int64_t))) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status status = find_due(session, limit, &due, err);
	if (status != SWM_OK) {
		return status;
	}
	if (due.count > 0) {
		status = claim_due(session, owner, lease_ms, limit, &due, rows, err);
	} else {
		memset(rows, 0, sizeof(*rows));
	}
	if (status != SWM_OK) {
		return status;
	}
	*next_due_ms = due.next_at_ms == INT64_MAX ? -1 : due.next_at_ms - due.now_ms;
	return SWM_OK;
}

swm_status store_outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err)
{
	int64_t now_ms = store_now_ms(session->store);
	size_t total = 0;

	if (action != SWM_OUTBOX_REQUEUE && action != SWM_OUTBOX_DROP) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown outbox action %u", action);
	}
	swm_status status = swm_db_begin(&session->db, err);
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		struct params params = params_of(session,
			action == SWM_OUTBOX_REQUEUE ? STMT_OUTBOX_REQUEUE : STMT_OUTBOX_DROP);
		int64_t rows = 0;

		put_text(&params, ids[i]);
		if (action == SWM_OUTBOX_REQUEUE) {
			put_int(&params, now_ms);
		}
		status = run(&params, "change a parked message", &rows, err);
		total += (size_t)rows;
	}
	if (status == SWM_OK) {
		status = swm_db_commit(&session->db, err);
	} else {
		swm_db_rollback(&session->db);
	}
	if (status == SWM_OK) {
		*changed = total;
	}
	return status;
}
