/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_MESSAGE_H
#define SWM_ENGINE_MESSAGE_H

/*
 * Outbox rows as messages, and the rows that the engine makes itself: what they are
 * called, which headers they carry. Headers that can be told from the row are not
 * stored but written when it is published.
 */

#include "arena.h"
#include "hash.h"
#include "transition.h"

#include <swm/queue.h>
#include <swm/store.h>

/* swm_outbox_row.kind: enum swm_message_kind of the domain, and these. */
enum {
	SWM_ROW_UNDELIVERABLE = 16, /* a TaskFailed of ours for a refused StartTask */
	SWM_ROW_DEFERRED = 17,      /* an event whose instance is not there yet */
	SWM_ROW_PARKED = 18         /* for a person; maybe requeued since */
};

/* Header names, on every broker; an adapter writes "ce-" as its protocol wants it. */
#define SWM_HEADER_EVENT_ID "swm-event-id"
#define SWM_HEADER_DEFERRED "swm-deferred"
#define SWM_HEADER_MESSAGE_ID "swm-message-id"
#define SWM_HEADER_ATTEMPT "swm-attempt"
#define SWM_HEADER_TRACEPARENT "traceparent"

/* The value of a header; absent when there is none. */
struct swm_str swm_header_find(
	const struct swm_header *headers, size_t count, struct swm_str name);

/*
 * The row as a message, all memory the row's or the arena's. `to_workflow`: its
 * destination is a queue that we hear, so that it carries an event id.
 * False: out of memory.
 */
bool swm_message_of_row(const struct swm_outbox_row *row, bool to_workflow,
	struct swm_arena *arena, struct swm_message *out);

/*
 * The TaskFailed that answers a StartTask which no broker will take. `row` is the
 * StartTask's.
 * SWM_E_CORRUPT: its body is not one of ours. SWM_E_NOMEM.
 */
swm_status swm_row_undeliverable(const struct swm_outbox_row *row, struct swm_str own_queue,
	struct swm_str why, struct swm_arena *arena, struct swm_outbox_row *out,
	struct swm_error *err);

/*
 * The row of a message that nobody can use. `id` is its raw id, absent when it has
 * none. The id of the row follows from the queue, the delivery's id and the bytes, so
 * that a message which comes twice is parked once.
 * False: out of memory.
 */
bool swm_row_parked(const struct swm_delivery *delivery, struct swm_str raw_id,
	struct swm_str reason, struct swm_arena *arena, struct swm_outbox_row *out);

/* How often an event without an instance is put off before it is parked: 1, 2, 4 ...
 * 32 seconds. */
#define SWM_DEFERRALS_MAX 6

/* The count in its header; 0 when it has none. */
uint32_t swm_deferral_count(const struct swm_delivery *delivery);

/* An event whose dedupe key is `key`, owed to its queue again, `count` having been put
 * off so often before. False: out of memory. */
struct swm_deferral {
	struct swm_str raw_id;
	struct swm_str key;
	struct swm_str instance_id;
	uint32_t count;
};
bool swm_row_deferred(const struct swm_delivery *delivery, const struct swm_deferral *deferral,
	struct swm_arena *arena, struct swm_outbox_row *out);

#endif
