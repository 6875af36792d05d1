/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_BATCH_H
#define SWM_ENGINE_BATCH_H

/*
 * What one receive brought, until all of it is settled. A round takes every event that
 * is still open through load, transition, commit and publish; what a round could not
 * finish (a conflict, a lost answer, a store that is away) is open for the next one.
 *
 * Concurrency: belongs to a processor's thread.
 */

#include "item.h"
#include "marks.h"
#include "sender.h"

struct swm_batch {
	struct swm_workshop workshop;
	struct swm_sender *sender;
	struct swm_marks *marks;
	struct swm_delivery *deliveries; /* for receive to fill */
	struct swm_settlement *settlements;
	struct swm_inbound *events; /* by position in deliveries */
	size_t cap;
	size_t count;
	struct swm_table keys;  /* equal events of one instance */
	struct swm_table items; /* of this round */
	struct swm_arena lasting;
	struct swm_arena round;
};

/* What a batch works with; borrowed. */
struct swm_batch_args {
	struct swm_shared *shared;
	struct swm_link *link;
	struct swm_cache *cache;
	struct swm_sender *sender;
	struct swm_marks *marks;
};

/* Room for `cap` deliveries. SWM_E_NOMEM. */
swm_status swm_batch_init(struct swm_batch *batch, const struct swm_batch_args *args,
	size_t cap, struct swm_error *err);

/* All zero bits is fine. */
void swm_batch_finish(struct swm_batch *batch);

/* `count` deliveries have been received into batch->deliveries. */
void swm_batch_begin(struct swm_batch *batch, size_t count);

/* Forgets them, settled or not: before the consumer is closed. */
void swm_batch_end(struct swm_batch *batch);

/* How many are not settled. */
size_t swm_batch_open(const struct swm_batch *batch);

/*
 * One round. The link must be open.
 * SWM_OK: what is open still may go on at once. SWM_E_CONFLICT: somebody else moved an
 * instance. SWM_E_UNSUPPORTED: an instance belongs to a newer release. SWM_E_INDOUBT: a
 * commit was not answered. These say that the rest has been carried out. Anything else:
 * memory or the store failed.
 * SWM_E_INDOUBT and failures other than SWM_E_NOMEM are to be passed to
 * swm_link_failed().
 */
swm_status swm_batch_round(struct swm_batch *batch, struct swm_error *err);

/* Collects what is done and not settled into batch->settlements, as SWM_ACK. */
size_t swm_batch_collect(struct swm_batch *batch);

/* What was collected last is settled. */
void swm_batch_settled(struct swm_batch *batch);

#endif
