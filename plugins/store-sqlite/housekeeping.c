/* SPDX-License-Identifier: MIT */

/*
 * What is done when there is time: the checkpoint, and the deletion of instances that
 * finished long ago.
 *
 * Concurrency: under the file's write lock, in slices, so that commits get in.
 */

#include "rows.h"

#include "status.h"

swm_status store_maintain(struct swm_session *session, int64_t budget_ms, struct swm_error *err)
{
	/* Commits keep the WAL short, so this is a few milliseconds at most. */
	(void)budget_ms;
	return swm_db_checkpoint(&session->db, false, err);
}

/* Puts up to `limit` numbers into session->results. */
static swm_status find_finished(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, size_t *count, struct swm_error *err)
{
	struct params params = params_of(session, STMT_INSTANCE_FINISHED);
	int64_t *numbers = session->results.ptr;

	put_int(&params, status_mask);
	put_int(&params, before_ms);
	put_int(&params, limit);
	for (*count = 0;; (*count)++) {
		bool row = false;
		swm_status status = next_row(&params, "look for finished instances", &row, err);

		if (!row) {
			return status;
		}
		numbers[*count] = sqlite3_column_int64(params.stmt, 0);
	}
}

/* The outbox has no index on instances, so one look through it does for all of a slice. */
static swm_status delete_owed(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, struct swm_error *err)
{
	struct params params = params_of(session, STMT_OUTBOX_FINISHED);

	put_int(&params, status_mask);
	put_int(&params, before_ms);
	put_int(&params, limit);
	return run(&params, "delete what finished instances owed", NULL, err);
}

static swm_status delete_instances(
	struct swm_session *session, size_t count, struct swm_error *err)
{
	const int64_t *numbers = session->results.ptr;
	swm_status status = SWM_OK;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		struct params events = params_of(session, STMT_EVENT_DELETE);
		struct params instance = params_of(session, STMT_INSTANCE_DELETE);

		put_int(&events, numbers[i]);
		status = run(&events, "delete events", NULL, err);
		put_int(&instance, numbers[i]);
		if (status == SWM_OK) {
			status = run(&instance, "delete an instance", NULL, err);
		}
	}
	return status;
}

static swm_status purge_slice(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, size_t *count, struct swm_error *err)
{
	swm_status status = swm_db_begin(&session->db, err);

	if (status != SWM_OK) {
		return status;
	}
	status = find_finished(session, status_mask, before_ms, limit, count, err);
	if (status == SWM_OK && *count > 0) {
		status = delete_owed(session, status_mask, before_ms, limit, err);
	}
	if (status == SWM_OK) {
		status = delete_instances(session, *count, err);
	}
	if (status == SWM_OK) {
		return swm_db_commit(&session->db, err);
	}
	swm_db_rollback(&session->db);
	return status;
}

swm_status store_purge(struct swm_session *session, uint32_t status_mask, int64_t before_ms,
	uint32_t limit, int64_t *purged, struct swm_error *err)
{
	uint32_t left = limit;

	if (!store_scratch_reserve(&session->results, STORE_PURGE_SLICE * sizeof(int64_t))) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	while (left > 0) {
		uint32_t slice = left < STORE_PURGE_SLICE ? left : STORE_PURGE_SLICE;
		size_t count = 0;
		swm_status status =
			purge_slice(session, status_mask, before_ms, slice, &count, err);

		if (status != SWM_OK) {
			return status;
		}
		left -= (uint32_t)count;
		if (count < slice) {
			break;
		}
	}
	*purged = (int64_t)(limit - left);
	return SWM_OK;
}
