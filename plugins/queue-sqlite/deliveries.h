/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_DELIVERIES_H
#define QUEUE_SQLITE_DELIVERIES_H

/*
 * What a consumer has out unsettled, and the memory that it lives in.
 *
 * A slot remembers which lease a token stands for. A token is the slot's index and
 * a serial number that no other delivery of this consumer has: looking it up takes
 * no search, and a token that was settled before is recognised.
 *
 * The bytes of all deliveries of one receive live in one batch, a few large blocks
 * that never move, freed together when the last of them is settled. So a
 * delivery that stays out keeps the memory of those that came with it; prefetch and
 * the limit of bytes per receive bound how much that is.
 *
 * Concurrency: confined to the thread of the consumer.
 */

#include <swm/types.h>

struct swm_batch;

/* The lease on a message: exactly the key of its row in the table of leases. */
struct swm_lease {
	int64_t row;         /* of the message */
	int64_t due_ms;      /* wall clock; from then on it is anybody's */
	uint32_t source;     /* index into the consumer's sources */
	uint32_t attempt;    /* the generation: whoever takes the message over adds one */
	bool lost;           /* somebody did; stays until settled for good */
	uint32_t settlement; /* of the owner's: which settle call has seen it last */
};

struct swm_deliveries {
	struct swm_slot *slots;
	uint32_t slot_count;
	uint32_t free_first; /* index + 1 of the first free slot, 0: none */
	uint32_t out;        /* unsettled */
	uint32_t serial;
	struct swm_batch *spare; /* the last one freed, to be used again */
};

void swm_deliveries_init(struct swm_deliveries *deliveries);

/* Frees the memory of every delivery still out. */
void swm_deliveries_finish(struct swm_deliveries *deliveries);

/* Makes room for `count` more, so that the next `count` adds cannot fail. */
SWM_NODISCARD swm_status swm_deliveries_reserve(
	struct swm_deliveries *deliveries, uint32_t count, struct swm_error *err);

/* An empty batch, of the caller until something is added to it: then it goes with
 * its last delivery. NULL: out of memory. */
struct swm_batch *swm_batch_create(struct swm_deliveries *deliveries);

/* Frees a batch that nothing was added to. NULL is allowed. */
void swm_batch_discard(struct swm_deliveries *deliveries, struct swm_batch *batch);

/* Memory that lives as long as the batch, aligned for pointers; not initialised.
 * NULL: out of memory. */
void *swm_batch_alloc(struct swm_batch *batch, size_t size);

/* Registers a delivery, in room that was reserved, and returns its token. */
uint64_t swm_deliveries_add(struct swm_deliveries *deliveries, struct swm_batch *batch,
	const struct swm_lease *lease);

/* The lease that a token stands for, until it is removed; NULL if it never was one
 * of this consumer's, or was settled. */
struct swm_lease *swm_deliveries_find(struct swm_deliveries *deliveries, uint64_t token);

/* Forgets a delivery; with the last one of its batch goes the memory. */
void swm_deliveries_remove(struct swm_deliveries *deliveries, uint64_t token);

/* Walks over what is out: the lease at or after *position, which is moved behind it;
 * NULL at the end. Begin at 0. */
struct swm_lease *swm_deliveries_next(struct swm_deliveries *deliveries, uint32_t *position);

#endif
