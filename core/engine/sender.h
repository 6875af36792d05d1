/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_SENDER_H
#define SWM_ENGINE_SENDER_H

/*
 * Publishes outbox rows that are leased to its thread, and turns what the brokers
 * answer into marks. What is not known to be sent, or not in time, is left alone:
 * its lease runs out, and the dispatcher sends it again under the same id.
 *
 * Concurrency: belongs to one thread, like its publishers.
 */

#include "link.h"
#include "marks.h"
#include "shared.h"

struct swm_sender_slot;

struct swm_sender {
	struct swm_shared *shared;
	struct swm_sender_slot *slots; /* one publisher per adapter, opened when needed */
	struct swm_arena arena;
	struct swm_duty duty; /* the thread's own, while it sends; set after init */
};

/* SWM_E_NOMEM. */
swm_status swm_sender_init(
	struct swm_sender *sender, struct swm_shared *shared, struct swm_error *err);

/* All zero bits is fine. */
void swm_sender_finish(struct swm_sender *sender);

/*
 * Publishes the rows and adds to `marks`. `leased_ms` is the monotonic time from before
 * the call that leased them: shortly before the lease ends, it stops.
 * SWM_OK: every row was looked at, whatever became of it. Else the store failed over
 * messages that cannot be delivered, to be passed to swm_link_failed().
 */
swm_status swm_sender_send(struct swm_sender *sender, struct swm_link *link,
	const struct swm_outbox_row *const *rows, size_t count, int64_t leased_ms,
	struct swm_marks *marks, struct swm_error *err);

#endif
