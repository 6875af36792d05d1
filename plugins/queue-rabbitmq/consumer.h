/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_CONSUMER_H
#define QUEUE_RABBITMQ_CONSUMER_H

/*
 * What the files about consuming share: consumer.c opens, waits and closes; inbox.c puts
 * messages together from frames; settle.c tells the broker what became of them; guard.c
 * sees to it that the broker tells when a queue is gone.
 *
 * A message is read from the socket into the inbox, whole; it is handed out when receive
 * asks for it; it stays in `deliveries` until the broker has been told.
 *
 * Concurrency: all of a consumer belongs to its thread, but wake_fd, which any may write.
 */

#include "deliveries.h"
#include "queue_rabbitmq.h"

/* What a basic.deliver has said, until the header that follows it. */
struct swm_rmq_announcement {
	bool pending;
	bool redelivered;
	size_t source;
	uint64_t tag;
};

struct swm_consumer {
	struct swm_queue *queue;
	struct swm_rmq_link link;
	int wake_fd; /* an eventfd; -1: none */
	bool failed;
	struct swm_str *sources; /* one block, with the names */
	size_t source_count;
	uint32_t prefetch;
	uint32_t spares; /* how often it listens beside the first time, see spares.c */
	uint32_t spares_ever;
	bool guarded;        /* see guard.c */
	uint32_t settlement; /* counts the settle calls, see struct swm_rmq_delivery */
	struct swm_rmq_deliveries deliveries;
	struct swm_rmq_announcement announced;
	struct swm_rmq_delivery *incoming; /* its body is on the way */
	struct swm_rmq_delivery *inbox_first;
	struct swm_rmq_delivery *inbox_last;
	size_t inbox_count;
};

/* consumer.c: SWM_E_UNAVAILABLE when it has failed before. */
SWM_NODISCARD swm_status swm_rmq_consumer_check(
	const struct swm_consumer *consumer, struct swm_error *err);

/* inbox.c: reads what is there, without waiting, until the inbox has `wanted` messages.
 * Any failure ends the consumer. */
SWM_NODISCARD swm_status swm_rmq_inbox_fill(
	struct swm_consumer *consumer, size_t wanted, struct swm_error *err);

/* inbox.c: the first of the inbox, which must have one. */
struct swm_rmq_delivery *swm_rmq_inbox_take(struct swm_consumer *consumer);

/* inbox.c: frees what is there. */
void swm_rmq_inbox_finish(struct swm_consumer *consumer);

/* settle.c: gives back what was held back and is due. */
SWM_NODISCARD swm_status swm_rmq_settle_due(
	struct swm_consumer *consumer, struct swm_error *err);

/* settle.c: when something will be; INT64_MAX: nothing is held back. */
int64_t swm_rmq_settle_due_ms(const struct swm_consumer *consumer);

/* spares.c: listens once more, or once less, as what is held back takes places. */
SWM_NODISCARD swm_status swm_rmq_spares_adjust(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err);

/* guard.c: whether this broker has to be kept from taking consumers over. */
bool swm_rmq_guard_is_needed(const struct swm_rmq_link *link);

/* guard.c: lets the broker add consumers to the channel, or not any more. */
SWM_NODISCARD swm_status swm_rmq_guard_set(
	struct swm_consumer *consumer, bool up, int64_t until_ms, struct swm_error *err);

/* spares.c: there is no place left for anything else. */
bool swm_rmq_spares_used_up(const struct swm_consumer *consumer);

#endif
