/* SPDX-License-Identifier: MIT */
#ifndef SWM_CONFORM_QUEUE_KIT_H
#define SWM_CONFORM_QUEUE_KIT_H

/*
 * Queues, consumers and publishers for the queue's tests. What takes a case
 * checks, and belongs to the test's thread; the rest is for threads and helper
 * processes too.
 */

#include "conform.h"

/* How long a test looks for what must not come. */
#define QUEUE_QUIET_MS 300

/* The longest lease of an adapter that a test waits out; a configuration for the
 * kit asks for a short one. */
#define QUEUE_LEASE_MAX_MS 10000

/* A consumer and what closes it. */
struct queue_consumer {
	const struct swm_queue_ops *ops;
	struct swm_consumer *consumer;
};

/* A message with a key of its own: what has the same key may be held back until the one
 * before is settled, and what has the same id may be taken for the same. */
struct swm_message queue_message(
	struct swm_str destination, struct swm_str id, struct swm_str body);

/* One message, published and confirmed. */
swm_status queue_publish(const struct swm_queue_ops *ops, struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err);

/* Waits until something comes, at most `patience_ms`, calling receive as often as
 * the port asks for. */
swm_status queue_wait(const struct swm_queue_ops *ops, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out, size_t max, size_t *count,
	struct swm_error *err);

swm_status queue_settle_one(const struct swm_queue_ops *ops, struct swm_consumer *consumer,
	uint64_t token, uint32_t action, int64_t delay_ms, struct swm_error *err);

/* --- With a case: anything but success ends the test --- */

/* A fresh queue, prepared. */
struct swm_str queue_new(struct conform_case *c, const char *name);

/* Closed by the case, or by conform_close_now() of what is returned. */
struct queue_consumer *queue_listen(
	struct conform_case *c, const struct swm_str *sources, size_t count, uint32_t prefetch);
struct swm_publisher *queue_publisher(struct conform_case *c);

/* Publishes `count` messages with the bodies NAME-0, NAME-1, ... through a
 * publisher of their own. */
void queue_fill(struct conform_case *c, struct swm_str queue, const char *name, size_t count);

/* The next delivery; the test fails when none comes. */
struct swm_delivery queue_next(struct conform_case *c, struct queue_consumer *from);
void queue_nothing(struct conform_case *c, struct queue_consumer *from, int64_t wait_ms);
void queue_ack(struct conform_case *c, struct queue_consumer *from, uint64_t token);
void queue_nack(struct conform_case *c, struct queue_consumer *from, uint64_t token);

/* Receives and acknowledges `count` deliveries with the bodies of queue_fill, each
 * at least once. */
void queue_drain(
	struct conform_case *c, struct queue_consumer *from, const char *name, size_t count);

/* The wall clock, as the host of the plugin has it. */
int64_t queue_wall_ms(const struct conform_case *c);

#endif
