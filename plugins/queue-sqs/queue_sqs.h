/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_H
#define QUEUE_SQS_H

/*
 * What the files of this plugin share: the configuration, the adapter object, and the
 * operations that queue.c puts into the table. Their contracts are those of swm/queue.h.
 *
 * Concurrency: a struct swm_queue is constant after open, but for what is atomic and for
 * its keys, which have a mutex of their own (keys.h). Each consumer and publisher has
 * connections of its own.
 */

#include "keys.h"

#include <stdatomic.h>
#include <swm/queue.h>

enum {
	SWM_SQS_STANDARD = 0,
	SWM_SQS_FIFO = 1
};

/* Filled by the host from the option table in queue.c. */
struct swm_queue_config {
	const char *region;
	const char *endpoint;
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;
	const char *profile;
	const char *tls_ca;
	const char *queue_prefix;
	struct swm_map queue_attributes;
	int64_t visibility_ms;
	int64_t wait_ms;
	int64_t connections;
	int64_t message_bytes_max;
	int32_t credentials;
	int32_t queue_type;
	bool create_queues;
};

struct swm_queue {
	const struct swm_queue_config *config;
	const struct swm_host *host;
	const char *instance;
	int64_t call_timeout_ms;
	char *endpoint; /* with its path, for requests */
	char *region;
	char *signer; /* for libcurl: aws:amz:REGION:sqs */
	struct swm_sqs_keyring keyring;
	_Atomic uint32_t consumer_count;
};

extern const struct swm_plugin swm_queue_sqs;

/* consumer.c */
swm_status swm_sqs_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err);
swm_status swm_sqs_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);
void swm_sqs_consumer_wake(struct swm_consumer *consumer);
void swm_sqs_consumer_close(struct swm_consumer *consumer);

/* settle.c */
swm_status swm_sqs_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err);

/* publisher.c */
swm_status swm_sqs_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err);
swm_status swm_sqs_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err);
void swm_sqs_publisher_close(struct swm_publisher *publisher);

#endif
