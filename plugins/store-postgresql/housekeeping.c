/* SPDX-License-Identifier: MIT */

/*
 * The deletion of instances that finished long ago. There is no maintain(): keeping the
 * tables in shape is what the server's autovacuum does (schema.c sets how eagerly).
 *
 * Concurrency: in slices, each a transaction of its own, so that locks are held briefly;
 * several may purge at once.
 */

#include "store.h"

#include <stdlib.h>

static swm_status purge_slice(struct swm_session *session, uint32_t status_mask,
	int64_t before_ms, uint32_t limit, uint32_t *count, struct swm_error *err)
{
	struct params *params = &session->params;
	PGresult *answer = NULL;

	params_clear(params);
	params_int8(params, status_mask);
	params_int8(params, before_ms);
	params_int8(params, limit);
	swm_status status = store_run(
		session, STMT_PURGE, WIRE_HARMLESS, "delete finished instances", &answer, err);
	if (status == SWM_OK) {
		*count = (uint32_t)strtoul(PQcmdTuples(answer), NULL, 10);
		PQclear(answer);
	}
	return status;
}

swm_status store_purge(struct swm_session *session, uint32_t status_mask, int64_t before_ms,
	uint32_t limit, int64_t *purged, struct swm_error *err)
{
	uint32_t left = limit;

	store_begin(session);
	while (left > 0) {
		uint32_t slice = left < STORE_PURGE_SLICE ? left : STORE_PURGE_SLICE;
		uint32_t count = 0;
		swm_status status =
			purge_slice(session, status_mask, before_ms, slice, &count, err);

		if (status != SWM_OK) {
			return status;
		}
		left -= count;
		/* What is left when the time is over is for the next call. */
		if (count < slice || wire_is_late(&session->wire)) {
			break;
		}
	}
	*purged = (int64_t)limit - (int64_t)left;
	return SWM_OK;
}
