/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_H
#define QUEUE_RABBITMQ_H

/*
 * What the files of this plugin share: the configuration, the adapter object, and the
 * operations that queue.c puts into the table. Their contracts are those of swm/queue.h.
 *
 * Concurrency: a struct swm_queue is constant after open, but for `control`, which its
 * mutex guards, and what is atomic about consumers. Consumers and publishers
 * have connections of their own: the client library shares nothing between threads.
 */

#include "address.h"
#include "link.h"

#include <pthread.h>
#include <stdatomic.h>
#include <swm/queue.h>

/* Filled by the host from the option table in queue.c. */
struct swm_queue_config {
	const char *url;
	const char *password;
	const char *tls_ca;
	const char *tls_cert;
	const char *tls_key;
	const char *content_type;
	int64_t heartbeat_ms;
	int64_t message_bytes_max;
	int32_t queue_type;
	bool create_queues;
	struct swm_map queue_arguments;
};

struct swm_queue {
	const struct swm_queue_config *config;
	const struct swm_host *host;
	const char *instance;
	int64_t call_timeout_ms;
	struct swm_rmq_address address;
	amqp_table_t arguments; /* of the queues that it declares */
	_Atomic uint32_t consumer_count;
	/* For prepare and depth, which any thread may call. */
	pthread_mutex_t mutex;
	struct swm_rmq_link control;
};

extern const struct swm_plugin swm_queue_rabbitmq;

/* consumer.c */
swm_status swm_rmq_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err);
swm_status swm_rmq_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);
void swm_rmq_consumer_wake(struct swm_consumer *consumer);
void swm_rmq_consumer_close(struct swm_consumer *consumer);

/* settle.c */
swm_status swm_rmq_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err);

/* publisher.c */
swm_status swm_rmq_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err);
swm_status swm_rmq_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err);
void swm_rmq_publisher_close(struct swm_publisher *publisher);

#endif
