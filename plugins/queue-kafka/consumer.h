/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_CONSUMER_H
#define QUEUE_KAFKA_CONSUMER_H

/*
 * What the files about consuming share: consumer.c opens, hands out and closes; group.c is
 * the thread that keeps the consumer in its group; settle.c finishes.
 *
 * Messages and the group's affairs come in two queues of the library's, so that neither
 * waits for the other: `messages`, to which each partition is forwarded when it is
 * assigned, is read by the owner, one at a time and no more than it has room for; the
 * rest waits in the library, within its bounds. The other one is polled by the group's
 * thread, so that a rebalance is answered at once, however long the owner is busy.
 *
 * Concurrency: `mutex` guards everything from there on, and is never held while anybody
 * waits for the broker. The owner's thread and the group's take it; wake() does not.
 */

#include "deliveries.h"
#include "queue_kafka.h"

#define SWM_KAFKA_NO_MEMBER (-1)

struct swm_consumer {
	struct swm_queue *queue;
	struct swm_kafka_client *client;
	rd_kafka_queue_t *messages;
	rd_kafka_queue_t *affairs; /* to interrupt the group's thread */
	struct swm_str *sources;   /* one block, with the names, which are terminated */
	size_t source_count;
	uint32_t prefetch;
	int member;  /* which static member, or SWM_KAFKA_NO_MEMBER */
	int wake_fd; /* an eventfd: written by wake(), by the library, by the group's thread */
	_Atomic bool woken;
	_Atomic bool closing;
	_Atomic int64_t seen_ms; /* when the owner was here last */
	pthread_t thread;
	struct swm_kafka_ending ending;
	pthread_mutex_t mutex;
	bool assigned; /* partitions may be finished, and stored */
	struct swm_kafka_deliveries deliveries;
	uint32_t settlement; /* counts the settle calls, see struct swm_kafka_delivery */
	swm_status failed;   /* SWM_OK, or what every call returns from now on */
	char reason[SWM_ERROR_MESSAGE_MAX];
};

/* group.c: what is run in the thread. It ends once `closing` is set, and the client with
 * it. */
void *swm_kafka_group_serve(void *consumer);

/* group.c: called by the library, from the thread above. */
void swm_kafka_group_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
	rd_kafka_topic_partition_list_t *partitions, void *opaque);

/* group.c: what an error that came with or without a partition means for the consumer.
 * The mutex is held. */
void swm_kafka_group_note(
	struct swm_consumer *consumer, rd_kafka_resp_err_t code, const char *reason);

/* settle.c: stores what all is finished up to, in partitions that have advanced. The
 * mutex is held. */
void swm_kafka_settle_store(struct swm_consumer *consumer);

/* consumer.c: the partition's row is so long that it is not fetched, or has become short
 * enough again. The mutex is held. */
void swm_kafka_consumer_bound(
	struct swm_consumer *consumer, struct swm_kafka_partition *partition);

/* consumer.c: all partitions are fetched again, since the library keeps in mind which are
 * not, even of those that go and come back. The mutex is held. */
void swm_kafka_consumer_unbound(struct swm_consumer *consumer);

/* consumer.c: which of the sources a topic is; `source_count`: none. */
size_t swm_kafka_consumer_source(const struct swm_consumer *consumer, const char *topic);

/* consumer.c: frees all of it but its client, which is gone. */
void swm_kafka_consumer_free(struct swm_consumer *consumer);

/* consumer.c: fills `err` with what it has failed for, if it has. The mutex is held. */
SWM_NODISCARD swm_status swm_kafka_consumer_check(
	const struct swm_consumer *consumer, struct swm_error *err);

#endif
