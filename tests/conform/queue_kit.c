/* SPDX-License-Identifier: MIT */

/* Queues, consumers and publishers for the queue's tests; see queue_kit.h. */

#include "queue_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who holds a consumer calls receive at least every 5 s. */
#define RECEIVE_STEP_MS 2000
#define PUBLISH_TIMEOUT_MS 10000

struct swm_message queue_message(
	struct swm_str destination, struct swm_str id, struct swm_str body)
{
	return (struct swm_message){
		.destination = destination, .id = id, .key = id, .body = body};
}

swm_status queue_publish(const struct swm_queue_ops *ops, struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err)
{
	swm_status result = SWM_E_INTERNAL;
	swm_status status =
		ops->publisher_publish(publisher, message, 1, PUBLISH_TIMEOUT_MS, &result, err);
	return status == SWM_OK ? result : status;
}

swm_status queue_wait(const struct swm_queue_ops *ops, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out, size_t max, size_t *count,
	struct swm_error *err)
{
	int64_t until = conform_now_ms() + patience_ms;
	for (;;) {
		int64_t left = until - conform_now_ms();
		int64_t step = left < RECEIVE_STEP_MS ? left : RECEIVE_STEP_MS;
		swm_status status = ops->consumer_receive(
			consumer, step < 0 ? 0 : step, out, max, count, err);
		if (status != SWM_E_TIMEOUT || left <= 0) {
			return status;
		}
	}
}

swm_status queue_settle_one(const struct swm_queue_ops *ops, struct swm_consumer *consumer,
	uint64_t token, uint32_t action, int64_t delay_ms, struct swm_error *err)
{
	struct swm_settlement item = {.token = token, .action = action, .delay_ms = delay_ms};
	return ops->consumer_settle(consumer, &item, 1, err);
}

struct swm_str queue_new(struct conform_case *c, const char *name)
{
	struct swm_str queue = conform_name(c, "%s", name);
	CONFORM_OK(c, c->qops->prepare(c->queue, &queue, 1, &c->err));
	return queue;
}

static void close_consumer(void *what)
{
	struct queue_consumer *consumer = what;
	consumer->ops->consumer_close(consumer->consumer);
	free(consumer);
}

struct queue_consumer *queue_listen(
	struct conform_case *c, const struct swm_str *sources, size_t count, uint32_t prefetch)
{
	struct queue_consumer *consumer = calloc(1, sizeof(*consumer));
	CONFORM_THAT(consumer != NULL, "out of memory");
	consumer->ops = c->qops;
	conform_defer(c, close_consumer, consumer);
	CONFORM_OK(c, c->qops->consumer_open(c->queue, sources, count, prefetch,
			      &consumer->consumer, &c->err));
	return consumer;
}

struct kept_publisher {
	const struct swm_queue_ops *ops;
	struct swm_publisher *publisher;
};

static void close_publisher(void *what)
{
	struct kept_publisher *kept = what;
	kept->ops->publisher_close(kept->publisher);
	free(kept);
}

struct swm_publisher *queue_publisher(struct conform_case *c)
{
	struct kept_publisher *kept = calloc(1, sizeof(*kept));
	CONFORM_THAT(kept != NULL, "out of memory");
	kept->ops = c->qops;
	conform_defer(c, close_publisher, kept);
	CONFORM_OK(c, c->qops->publisher_open(c->queue, &kept->publisher, &c->err));
	return kept->publisher;
}

void queue_fill(struct conform_case *c, struct swm_str queue, const char *name, size_t count)
{
	struct swm_publisher *publisher = queue_publisher(c);
	struct swm_message *messages = conform_alloc(c, count, sizeof(*messages));
	swm_status *results = conform_alloc(c, count, sizeof(*results));
	for (size_t i = 0; i < count; i++) {
		struct swm_str body = conform_name(c, "%s-%zu", name, i);
		messages[i] = queue_message(queue, body, body);
		results[i] = SWM_E_INTERNAL;
	}
	CONFORM_OK(c, c->qops->publisher_publish(publisher, messages, count, PUBLISH_TIMEOUT_MS,
			      results, &c->err));
	for (size_t i = 0; i < count; i++) {
		CONFORM_OK(c, results[i]);
	}
}

struct swm_delivery queue_next(struct conform_case *c, struct queue_consumer *from)
{
	struct swm_delivery delivery;
	memset(&delivery, 0, sizeof(delivery));
	size_t count = 0;
	CONFORM_OK(c, queue_wait(c->qops, from->consumer, CONFORM_PATIENCE_MS, &delivery, 1,
			      &count, &c->err));
	CONFORM_THAT(
		count == 1, "receive is SWM_OK with %zu deliveries, at most 1 asked", count);
	return delivery;
}

void queue_nothing(struct conform_case *c, struct queue_consumer *from, int64_t wait_ms)
{
	struct swm_delivery delivery;
	size_t count = 0;
	swm_status status = c->qops->consumer_receive(
		from->consumer, wait_ms, &delivery, 1, &count, &c->err);
	CONFORM_THAT(status != SWM_OK, "a message came that must not: %.*s",
		(int)(delivery.body.len < 80 ? delivery.body.len : 80), delivery.body.ptr);
	CONFORM_IS(c, SWM_E_TIMEOUT, status);
}

void queue_ack(struct conform_case *c, struct queue_consumer *from, uint64_t token)
{
	CONFORM_OK(c, queue_settle_one(c->qops, from->consumer, token, SWM_ACK, 0, &c->err));
}

void queue_nack(struct conform_case *c, struct queue_consumer *from, uint64_t token)
{
	CONFORM_OK(c, queue_settle_one(c->qops, from->consumer, token, SWM_NACK, 0, &c->err));
}

void queue_drain(
	struct conform_case *c, struct queue_consumer *from, const char *name, size_t count)
{
	bool *found = conform_alloc(c, count, sizeof(*found));
	struct swm_str prefix = conform_name(c, "%s-", name);
	size_t left = count;
	while (left > 0) {
		struct swm_delivery delivery = queue_next(c, from);
		char number[16] = "";
		CONFORM_THAT(delivery.body.len > prefix.len &&
				     delivery.body.len < prefix.len + sizeof(number) &&
				     memcmp(delivery.body.ptr, prefix.ptr, prefix.len) == 0,
			"a message that was not published: %.*s", (int)delivery.body.len,
			delivery.body.ptr);
		memcpy(number, delivery.body.ptr + prefix.len, delivery.body.len - prefix.len);
		unsigned long i = strtoul(number, NULL, 10);
		CONFORM_THAT(i < count, "message %lu of %zu", i, count);
		left -= found[i] ? 0 : 1;
		found[i] = true;
		queue_ack(c, from, delivery.token);
	}
}

int64_t queue_wall_ms(const struct conform_case *c)
{
	return c->kit->host->now_ms(c->kit->host->ctx);
}
