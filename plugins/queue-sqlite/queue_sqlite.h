/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_H
#define QUEUE_SQLITE_H

/*
 * What the files of this plugin share: the configuration, the adapter object, and
 * the operations that queue.c puts into the table. Their contracts are those of
 * swm/queue.h.
 *
 * Concurrency: a struct swm_queue is constant after open, but for `control`, which
 * its mutex guards. Consumers and publishers have connections of their own.
 */

#include "schema.h"
#include "wake.h"

#include <pthread.h>
#include <swm/queue.h>

/* Filled by the host from the option table in queue.c. */
struct swm_queue_config {
	const char *path;
	int64_t lease_ms;
	int64_t message_bytes_max;
	bool create_queues;
};

/* A day; keeps sums with the wall clock far from overflow. A longer NACK or EXTEND is
 * cut to it. */
#define SWM_DELAY_MAX_MS INT64_C(86400000)

struct swm_queue {
	const struct swm_queue_config *config;
	const struct swm_host *host;
	const char *instance;
	int64_t call_timeout_ms;
	struct swm_wake *wake;
	/* For prepare and depth, which any thread may call. */
	pthread_mutex_t mutex;
	struct swm_db control;
	struct swm_catalog catalog;
	sqlite3_stmt *depth;
};

extern const struct swm_plugin swm_queue_sqlite;

/* Returns SWM_E_UNAVAILABLE and makes `err`, whose message stays, say so too. */
swm_status swm_queue_unavailable(struct swm_error *err);

/* Turns the status of a database call into one that the port knows: on a damaged file
 * a session can only be closed. `err`, when given, follows. */
swm_status swm_queue_failed(swm_status status, struct swm_error *err);

/* consumer.c */
swm_status swm_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err);
swm_status swm_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);
swm_status swm_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err);
void swm_consumer_wake(struct swm_consumer *consumer);
void swm_consumer_close(struct swm_consumer *consumer);

/* publisher.c */
swm_status swm_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err);
swm_status swm_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err);
void swm_publisher_close(struct swm_publisher *publisher);

#endif
