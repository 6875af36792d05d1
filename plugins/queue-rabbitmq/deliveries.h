/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_DELIVERIES_H
#define QUEUE_RABBITMQ_DELIVERIES_H

/*
 * What a consumer has handed out and the broker waits for: found by its token to be
 * settled, and kept in the order of the broker's tags, since one acknowledgement can
 * stand for all up to a tag.
 *
 * A token is the number of a slot and a serial number. The serials of each consumer begin
 * somewhere else, so that a token of one is none of another's: the broker's own tags are
 * small numbers that begin anew on every channel, and acknowledging the wrong one would
 * lose a message.
 *
 * Concurrency: belongs to its consumer's thread.
 */

#include <swm/queue.h>

/* One message. The block also holds what `view` points to. */
struct swm_rmq_delivery {
	struct swm_rmq_delivery *previous; /* lower tags */
	struct swm_rmq_delivery *next;
	struct swm_delivery view;
	char *body; /* as much of it as is kept; view.body grows while it comes in */
	size_t body_room;
	uint64_t body_left; /* bytes that are to come, kept or not */
	uint64_t tag;
	uint32_t settlement; /* which settle call has seen it last */
	uint32_t action;     /* SWM_ACK, SWM_NACK: settled, the broker is not told yet */
	int64_t due_ms;      /* of SWM_NACK: when to tell it, monotonic; 0: at once */
};

struct swm_rmq_slot;

struct swm_rmq_deliveries {
	struct swm_rmq_slot *slots;
	uint32_t slot_count;
	uint32_t free_first; /* index + 1 of the first free slot, 0: none */
	uint32_t out;        /* unsettled */
	uint32_t held;       /* settled by a NACK that the broker is not told yet */
	uint32_t serial;
	struct swm_rmq_delivery *first;
	struct swm_rmq_delivery *last;
};

/* `number` is another one for each consumer of an adapter. */
void swm_rmq_deliveries_init(struct swm_rmq_deliveries *deliveries, uint32_t number);

/* Frees them all. */
void swm_rmq_deliveries_finish(struct swm_rmq_deliveries *deliveries);

/* Makes room for `count` more, so that the next `count` adds cannot fail. SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_rmq_deliveries_reserve(
	struct swm_rmq_deliveries *deliveries, uint32_t count, struct swm_error *err);

/* Registers one whose tag is higher than those before; sets and returns its token. */
uint64_t swm_rmq_deliveries_add(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery);

/* NULL: not out on this consumer. */
struct swm_rmq_delivery *swm_rmq_deliveries_find(
	const struct swm_rmq_deliveries *deliveries, uint64_t token);

/* Its token is not valid any more, but the broker still waits: remove() follows. */
void swm_rmq_deliveries_hold(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery);

/* Forgets and frees it. */
void swm_rmq_deliveries_remove(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery);

#endif
