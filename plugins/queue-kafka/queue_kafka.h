/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_H
#define QUEUE_KAFKA_H

/*
 * What the files of this plugin share: the configuration, the adapter object, and the
 * operations that queue.c puts into the table. Their contracts are those of swm/queue.h.
 *
 * Concurrency: a struct swm_queue is constant after open, but for what its mutex guards
 * and what is atomic. Its control client may be asked by any thread, as the library lets
 * it. Each consumer and each publisher has a client of its own.
 */

#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <swm/queue.h>

/* Filled by the host from the option table in queue.c. */
struct swm_queue_config {
	struct swm_list brokers;
	const char *group;
	const char *group_instance_id;
	const char *user;
	const char *password;
	const char *tls_ca;
	const char *tls_cert;
	const char *tls_key;
	const char *tls_key_password;
	const char *content_type;
	int64_t partitions;
	int64_t replication;
	int64_t session_timeout_ms;
	int64_t prefetch_bytes;
	int64_t message_bytes_max;
	int32_t sasl; /* enum swm_kafka_sasl */
	bool tls;
	bool create_topics;
	bool idempotence;
	struct swm_map client;
};

struct swm_queue {
	const struct swm_queue_config *config;
	const struct swm_host *host;
	const char *instance;
	int64_t call_timeout_ms;
	struct swm_kafka_client *control; /* for prepare and depth */
	_Atomic uint32_t consumer_count;  /* ever opened */
	pthread_mutex_t mutex;
	uint64_t members; /* bit n: a consumer is the static member n */
};

extern const struct swm_plugin swm_queue_kafka;

/* consumer.c */
swm_status swm_kafka_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err);
swm_status swm_kafka_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);
void swm_kafka_consumer_wake(struct swm_consumer *consumer);
void swm_kafka_consumer_close(struct swm_consumer *consumer);

/* settle.c */
swm_status swm_kafka_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err);

/* publisher.c */
swm_status swm_kafka_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err);
swm_status swm_kafka_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err);
void swm_kafka_publisher_close(struct swm_publisher *publisher);

#endif
