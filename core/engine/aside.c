/* SPDX-License-Identifier: MIT */

/*
 * See aside.h.
 */

#include "aside.h"

#include "dispatcher.h"
#include "error.h"
#include "message.h"
#include "swm_limits.h"
#include "text.h"

static bool write_aside(const struct swm_workshop *workshop, struct swm_inbound *inbound,
	struct swm_outbox_row *out)
{
	struct swm_arena *arena = workshop->round;
	if (inbound->state == SWM_INBOUND_UNUSABLE) {
		return swm_row_parked(
			inbound->delivery, inbound->raw_id, inbound->reason, arena, out);
	}
	if (inbound->fate == SWM_FATE_NO_INSTANCE) {
		struct swm_error why;
		(void)swm_error_set(&why, SWM_E_NOT_FOUND, "no such instance: %.*s",
			SWM_FMT(inbound->instance_id));
		return swm_row_parked(inbound->delivery, inbound->raw_id,
			swm_str_from(why.message), arena, out);
	}
	struct swm_deferral deferral = {
		.raw_id = inbound->raw_id,
		.key = swm_id_str(&inbound->key),
		.instance_id = inbound->instance_id,
		.count = swm_deferral_count(inbound->delivery),
	};
	return swm_row_deferred(inbound->delivery, &deferral, arena, out);
}

static bool is_aside(const struct swm_inbound *inbound)
{
	return inbound->state == SWM_INBOUND_UNUSABLE ||
	       (inbound->state == SWM_INBOUND_OPEN &&
		       (inbound->fate == SWM_FATE_DEFERRED ||
			       inbound->fate == SWM_FATE_NO_INSTANCE));
}

/* A message that the store cannot hold at all: what fits is kept, and says so. */
static swm_status put_cut(
	const struct swm_workshop *workshop, struct swm_outbox_row *row, struct swm_error *err)
{
	struct swm_error why;
	(void)swm_error_set(&why, SWM_E_TOO_LARGE, "cut from %zu bytes: %.*s", row->body.len,
		SWM_FMT(row->reason));
	row->reason = swm_str_from(why.message);
	row->body.len = row->body.len < SWM_MESSAGE_MAX_BYTES ? row->body.len / 2
							      : SWM_MESSAGE_MAX_BYTES;
	row->state = SWM_OUTBOX_DEAD;
	row->delay_ms = 0;
	const struct swm_link *link = workshop->link;
	return link->ops->outbox_put(link->session, row, 1, err);
}

static swm_status put_rows(const struct swm_workshop *workshop, struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	const struct swm_link *link = workshop->link;
	swm_status status = link->ops->outbox_put(link->session, rows, count, err);
	if (status != SWM_E_TOO_LARGE) {
		return status;
	}
	for (size_t i = 0; i < count; i++) {
		status = link->ops->outbox_put(link->session, &rows[i], 1, err);
		if (status == SWM_E_TOO_LARGE) {
			status = put_cut(workshop, &rows[i], err);
		}
		if (status != SWM_OK) {
			break;
		}
	}
	return status;
}

static void conclude_aside(const struct swm_workshop *workshop, struct swm_inbound *inbound)
{
	const struct swm_env *env = workshop->shared->env;
	if (inbound->state == SWM_INBOUND_OPEN && inbound->fate == SWM_FATE_DEFERRED) {
		swm_env_count(env, "events_deferred", 1);
	} else {
		swm_env_count(env, "events_parked", 1);
		swm_env_log(env, SWM_LOG_WARN, "a message on %.*s is parked: %.*s",
			SWM_FMT(inbound->delivery->source),
			SWM_FMT(inbound->reason.len > 0 ? inbound->reason
							: SWM_STR("no such instance")));
	}
	inbound->state = SWM_INBOUND_DONE;
}

swm_status swm_aside_put(const struct swm_workshop *workshop, struct swm_inbound *events,
	size_t event_count, struct swm_error *err)
{
	size_t count = 0;
	for (size_t i = 0; i < event_count; i++) {
		count += is_aside(&events[i]);
	}
	if (count == 0) {
		return SWM_OK;
	}
	struct swm_outbox_row *rows = swm_arena_take(workshop->round, count * sizeof(*rows));
	if (!rows) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	int64_t soonest_ms = -1;
	size_t written = 0;
	for (size_t i = 0; i < event_count; i++) {
		if (!is_aside(&events[i])) {
			continue;
		}
		struct swm_outbox_row *row = &rows[written];
		if (!write_aside(workshop, &events[i], row)) {
			return swm_error_set(err, SWM_E_NOMEM, "out of memory");
		}
		written++;
		if (row->delay_ms > 0 && (soonest_ms < 0 || row->delay_ms < soonest_ms)) {
			soonest_ms = row->delay_ms;
		}
	}
	swm_status status = put_rows(workshop, rows, count, err);
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i < event_count; i++) {
		if (is_aside(&events[i])) {
			conclude_aside(workshop, &events[i]);
		}
	}
	if (soonest_ms >= 0) {
		swm_dispatcher_wake(workshop->shared->dispatcher, soonest_ms);
	}
	return SWM_OK;
}
