/* SPDX-License-Identifier: MIT */

/* Receiving and settling: how much comes, what is done with it, what comes back. */

#include "queue_kit.h"

#include <string.h>

/* Longer than any lease that the test waits for by doing nothing else. */
static void wait_out(struct conform_case *c, const struct swm_delivery *delivery)
{
	if (delivery->lease_until_ms > 0) {
		int64_t left_ms = delivery->lease_until_ms - queue_wall_ms(c);
		if (left_ms > 0 && left_ms < QUEUE_LEASE_MAX_MS) {
			conform_sleep_ms(left_ms + CONFORM_CLOCK_SLACK_MS);
		}
	}
}

static void acked_is_gone(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	queue_ack(c, consumer, got.token);
	conform_close_now(c, consumer);
	wait_out(c, &got);
	queue_nothing(c, queue_listen(c, &queue, 1, 0), QUEUE_QUIET_MS);
}

static void nacked_comes_back(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	for (int i = 0; i < 5; i++) {
		struct swm_delivery got = queue_next(c, consumer);
		CONFORM_THAT(conform_str_is(got.body, conform_name(c, "m-0")),
			"another body comes back");
		queue_nack(c, consumer, got.token);
	}
	queue_drain(c, consumer, "m", 1);
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

/* The delay is a wish; that a receive which waits gets the message is none. */
static void nacked_with_delay(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	CONFORM_OK(c, queue_settle_one(
			      c->qops, consumer->consumer, got.token, SWM_NACK, 700, &c->err));
	queue_drain(c, consumer, "m", 1);
}

static void attempts_count(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	for (uint32_t attempt = 1; attempt <= 4; attempt++) {
		struct swm_delivery got = queue_next(c, consumer);
		CONFORM_THAT(got.attempt == attempt, "attempt is %u, must be %u", got.attempt,
			attempt);
		CONFORM_THAT(got.redelivered == (attempt > 1 ? 1 : 0), "redelivered is %u",
			got.redelivered);
		queue_nack(c, consumer, got.token);
	}
}

static void closed_gives_back(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 3);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	for (int i = 0; i < 3; i++) {
		(void)queue_next(c, first);
	}
	struct queue_consumer *second = queue_listen(c, &queue, 1, 0);
	queue_nothing(c, second, 50);
	conform_close_now(c, first);
	queue_drain(c, second, "m", 3);
}

static void killed_gives_back(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"queue-hold", queue.ptr, NULL});
	conform_child_expect(child, "held");
	conform_child_kill(child);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 1);
}

static void settled_twice(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 2);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery first = queue_next(c, consumer);
	struct swm_delivery second = queue_next(c, consumer);
	queue_ack(c, consumer, first.token);
	CONFORM_IS(c, SWM_E_INVALID,
		queue_settle_one(
			c->qops, consumer->consumer, first.token, SWM_ACK, 0, &c->err));
	queue_ack(c, consumer, second.token);
}

static void failure_text(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	queue_ack(c, consumer, got.token);
	memset(&c->err, 0, sizeof(c->err));
	CONFORM_IS(c, SWM_E_INVALID,
		queue_settle_one(c->qops, consumer->consumer, got.token, SWM_ACK, 0, &c->err));
	CONFORM_THAT(c->err.status == SWM_E_INVALID, "err.status is not what was returned");
	const char *end = memchr(c->err.message, '\0', sizeof(c->err.message));
	CONFORM_THAT(end != NULL && end != c->err.message, "err.message is no text");
	CONFORM_THAT(strchr(c->err.message, '\n') == NULL, "err.message is more than a line");
	CONFORM_IS(c, SWM_E_INVALID,
		queue_settle_one(c->qops, consumer->consumer, got.token, SWM_ACK, 0, NULL));

	struct swm_delivery untouched = {.token = 77};
	size_t count = 99;
	CONFORM_IS(c, SWM_E_TIMEOUT,
		c->qops->consumer_receive(consumer->consumer, 0, &untouched, 1, &count, NULL));
	CONFORM_THAT(count == 99 && untouched.token == 77, "a failed call wrote to its output");
}

static void only_through_its_consumer(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, first);
	struct queue_consumer *other = queue_listen(c, &queue, 1, 0);
	swm_status status =
		queue_settle_one(c->qops, other->consumer, got.token, SWM_ACK, 0, &c->err);
	CONFORM_THAT(status != SWM_OK, "another consumer's token can be settled");
	conform_close_now(c, other);
	conform_close_now(c, first);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 1);
}

static void settled_together(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 40);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 64);
	struct swm_settlement items[40];
	bool acked[40] = {false};
	memset(items, 0, sizeof(items));
	for (size_t i = 0; i < 40; i++) {
		struct swm_delivery got = queue_next(c, consumer);
		/* Not in the order in which they came. */
		size_t at = i * 7 % 40;
		items[at].token = got.token;
		items[at].action = i % 4 == 0 ? SWM_NACK : SWM_ACK;
		for (size_t j = 0; j < 40; j++) {
			if (conform_str_is(got.body, conform_name(c, "m-%zu", j))) {
				acked[j] = items[at].action == SWM_ACK;
			}
		}
	}
	CONFORM_OK(c, c->qops->consumer_settle(consumer->consumer, items, 40, &c->err));
	for (size_t i = 0; i < 10; i++) {
		struct swm_delivery got = queue_next(c, consumer);
		for (size_t j = 0; j < 40; j++) {
			CONFORM_THAT(!acked[j] || !conform_str_is(got.body,
							  conform_name(c, "m-%zu", j)),
				"message %zu was acknowledged and comes again", j);
		}
		queue_ack(c, consumer, got.token);
	}
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

static void at_most_max(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 20);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 64);
	struct swm_delivery got[5];
	size_t taken = 0;
	while (taken < 20) {
		size_t count = 0;
		size_t max = 1 + taken % 3;
		CONFORM_OK(c, queue_wait(c->qops, consumer->consumer, CONFORM_PATIENCE_MS, got,
				      max, &count, &c->err));
		CONFORM_THAT(
			count >= 1 && count <= max, "%zu deliveries, at most %zu", count, max);
		for (size_t i = 0; i < count; i++) {
			queue_ack(c, consumer, got[i].token);
		}
		taken += count;
	}
	queue_nothing(c, consumer, 50);
}

static void does_not_fill(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 64);
	struct swm_delivery got[10];
	size_t count = 0;
	int64_t started_ms = conform_now_ms();
	CONFORM_OK(c,
		c->qops->consumer_receive(consumer->consumer, 20000, got, 10, &count, &c->err));
	CONFORM_THAT(count == 1, "%zu deliveries of 1", count);
	CONFORM_THAT(conform_now_ms() - started_ms < 15000, "receive waits to fill its array");
	queue_ack(c, consumer, got[0].token);
}

static void waits_its_time(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = {.token = 4711};
	size_t count = 4711;
	int64_t started_ms = conform_now_ms();
	CONFORM_IS(c, SWM_E_TIMEOUT,
		c->qops->consumer_receive(consumer->consumer, 300, &got, 1, &count, &c->err));
	CONFORM_THAT(conform_now_ms() - started_ms >= 300 - CONFORM_CLOCK_SLACK_MS,
		"receive gave up after %lld of 300 ms",
		(long long)(conform_now_ms() - started_ms));
	CONFORM_THAT(
		got.token == 4711 && count == 4711, "a failed receive wrote to its outputs");
	CONFORM_IS(c, SWM_E_TIMEOUT,
		c->qops->consumer_receive(consumer->consumer, 0, &got, 1, &count, &c->err));
	CONFORM_IS(c, SWM_E_TIMEOUT,
		c->qops->consumer_receive(consumer->consumer, 0, &got, 1, &count, NULL));
}

static void services_only(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	queue_fill(c, queue, "m", 1);
	size_t count = 0;
	for (int i = 0; i < 3; i++) {
		CONFORM_IS(c, SWM_E_TIMEOUT,
			c->qops->consumer_receive(
				consumer->consumer, 50, NULL, 0, &count, &c->err));
	}
	queue_drain(c, consumer, "m", 1);
}

/* What a delivery points to stays while others are received and settled. */
static void stays_until_settled(struct conform_case *c)
{
	enum {
		HELD = 10
	};
	struct swm_str queue = queue_new(c, "q");
	struct swm_publisher *publisher = queue_publisher(c);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 64);
	struct swm_delivery held[HELD];
	for (uint32_t i = 0; i < 2 * HELD; i++) {
		struct swm_message message = queue_message(
			queue, conform_name(c, "id-%u", i), conform_bytes(c, 2000 + i, i));
		CONFORM_OK(c, queue_publish(c->qops, publisher, &message, &c->err));
		struct swm_delivery got = queue_next(c, consumer);
		if (i % 2 == 0) {
			held[i / 2] = got;
		} else {
			queue_ack(c, consumer, got.token);
		}
	}
	for (uint32_t i = 0; i < HELD; i++) {
		CONFORM_THAT(
			conform_str_is(held[i].body, conform_bytes(c, 2000 + 2 * i, 2 * i)),
			"the body of delivery %u changed before it was settled", 2 * i);
		CONFORM_THAT(conform_str_is(held[i].source, queue), "the source of %u", 2 * i);
	}
	for (uint32_t i = 0; i < HELD; i++) {
		queue_ack(c, consumer, held[i].token);
	}
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.settle.ack", acked_is_gone,
		"an acknowledged message is never delivered again")},
	{CONFORM_PROMISE("queue.settle.nack", nacked_comes_back,
		"a message not done is delivered again, as often as it takes")},
	{CONFORM_PROMISE("queue.settle.nack-delay", nacked_with_delay,
		"a message put back with a delay comes to a receive that waits")},
	{CONFORM_PROMISE(
		 "queue.delivery.attempt", attempts_count, "attempt and redelivered are exact"),
		.needs = SWM_QUEUE_ATTEMPTS},
	{CONFORM_PROMISE("queue.close.gives-back", closed_gives_back,
		"what is unsettled when a consumer closes comes to another, not before")},
	{CONFORM_PROMISE("queue.kill.gives-back", killed_gives_back,
		"the message of a consumer that was killed comes back")},
	{CONFORM_PROMISE("queue.settle.twice", settled_twice, "a token twice is INVALID")},
	{CONFORM_PROMISE("queue.failure.report", failure_text,
		"on failure outputs are untouched and err, if given, says why in a line")},
	{CONFORM_PROMISE("queue.settle.own", only_through_its_consumer,
		"a delivery is settled only through the consumer that received it")},
	{CONFORM_PROMISE("queue.settle.batch", settled_together,
		"many settlements of one call, in any order, do each what they say")},
	{CONFORM_PROMISE("queue.receive.max", at_most_max,
		"receive gives at least one and at most as many as asked for")},
	{CONFORM_PROMISE("queue.receive.prompt", does_not_fill,
		"receive does not wait to fill its array")},
	{CONFORM_PROMISE("queue.receive.timeout", waits_its_time,
		"receive waits as long as it was told to and leaves its outputs untouched")},
	{CONFORM_PROMISE("queue.receive.service", services_only,
		"receive with max 0 takes nothing and is TIMEOUT")},
	{CONFORM_PROMISE("queue.delivery.memory", stays_until_settled,
		"what a delivery points to stays until it is settled")},
};

const struct conform_group conform_queue_settle = CONFORM_GROUP(tests);
