/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_DELIVERIES_H
#define QUEUE_SQS_DELIVERIES_H

/*
 * What a consumer holds: messages that have been received and not been settled, whether
 * handed out already or waiting to be. What they point to is the answer that they came in,
 * which is freed with the last of them.
 *
 * A token is the number of a slot and a serial number. The serials of each consumer begin
 * somewhere else, so that a token of one is none of another's.
 *
 * Concurrency: belongs to its consumer's thread.
 */

#include "message.h"

/* An answer, and how many deliveries point into it. */
struct swm_sqs_answer {
	char *memory;
	size_t references;
};

struct swm_sqs_delivery {
	struct swm_delivery view; /* its headers stand behind this block */
	struct swm_sqs_answer *answer;
	struct swm_str receipt;
	size_t source;
	int64_t lease_end_ms; /* monotonic: before it, it is nobody else's */
	bool lost;            /* SQS has said so, or the lease is over */
	bool done;            /* settled; the call's other items were not yet */
	bool out;             /* handed out: it has a token */
	uint32_t settlement;  /* which settle call has seen it last */
};

struct swm_sqs_slot {
	struct swm_sqs_delivery *delivery; /* NULL: free */
	uint32_t serial;
	uint32_t next; /* of the free, or of those that wait: index + 1 */
};

struct swm_sqs_deliveries {
	struct swm_sqs_slot *slots;
	uint32_t slot_count;
	uint32_t free_first;
	uint32_t inbox_first; /* index + 1; 0: nothing waits */
	uint32_t inbox_last;
	uint32_t inbox_count;
	uint32_t out;
	uint32_t serial;
};

/* `number` is another one for each consumer of an adapter. */
void swm_sqs_deliveries_init(struct swm_sqs_deliveries *deliveries, uint32_t number);

/* Frees them all. */
void swm_sqs_deliveries_finish(struct swm_sqs_deliveries *deliveries);

/* Puts one that was received into the inbox; `answer` gains a reference. SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_sqs_deliveries_add(struct swm_sqs_deliveries *deliveries,
	const struct swm_sqs_received *received, struct swm_sqs_answer *answer, size_t source,
	int64_t lease_end_ms, struct swm_error *err);

/* The first of the inbox, which must have one; it has a token from now on. */
struct swm_sqs_delivery *swm_sqs_deliveries_hand_out(struct swm_sqs_deliveries *deliveries);

/* NULL: not out on this consumer. */
struct swm_sqs_delivery *swm_sqs_deliveries_find(
	const struct swm_sqs_deliveries *deliveries, uint64_t token);

/* All that are held, one after the other: NULL at the end. Begin at 0. */
struct swm_sqs_delivery *swm_sqs_deliveries_next(
	const struct swm_sqs_deliveries *deliveries, uint32_t *position);

/* Forgets one that is out. */
void swm_sqs_deliveries_remove(
	struct swm_sqs_deliveries *deliveries, struct swm_sqs_delivery *delivery);

/* Forgets those of the inbox that are lost. */
void swm_sqs_deliveries_drop_lost(struct swm_sqs_deliveries *deliveries);

#endif
