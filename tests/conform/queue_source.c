/* SPDX-License-Identifier: MIT */

/* Which deliveries a consumer is given: its sources, its prefetch, many queues. */

#include "queue_kit.h"

#define BATCH 50

static void only_its_sources(struct conform_case *c)
{
	struct swm_str queues[2] = {queue_new(c, "a"), queue_new(c, "a.b")};
	queue_fill(c, queues[0], "a", 3);
	queue_fill(c, queues[1], "b", 3);
	for (size_t i = 0; i < 2; i++) {
		struct queue_consumer *consumer = queue_listen(c, &queues[i], 1, 0);
		queue_drain(c, consumer, i == 0 ? "a" : "b", 3);
		queue_nothing(c, consumer, 50);
	}
}

/* Publishes one message to each queue, whose body is the queue's name. */
static void fill_queues(struct conform_case *c, const struct swm_str *queues, size_t count)
{
	struct swm_publisher *publisher = queue_publisher(c);
	for (size_t done = 0; done < count;) {
		struct swm_message messages[BATCH];
		swm_status results[BATCH];
		size_t size = 0;
		while (size < BATCH && done < count) {
			messages[size++] =
				queue_message(queues[done], queues[done], queues[done]);
			done++;
		}
		CONFORM_OK(c, c->qops->publisher_publish(
				      publisher, messages, size, 10000, results, &c->err));
	}
}

/* Takes some and strikes out their queues; returns how many were new. */
static size_t take_some(struct conform_case *c, struct queue_consumer *consumer,
	const struct swm_str *queues, bool *found, size_t queue_count)
{
	struct swm_delivery got[BATCH];
	struct swm_settlement items[BATCH];
	size_t count = 0;
	size_t fresh = 0;
	CONFORM_OK(c, queue_wait(c->qops, consumer->consumer, CONFORM_PATIENCE_MS, got, BATCH,
			      &count, &c->err));
	for (size_t i = 0; i < count; i++) {
		CONFORM_THAT(conform_str_is(got[i].source, got[i].body),
			"the source of a message is not the queue that it was sent to");
		for (size_t j = 0; j < queue_count; j++) {
			if (conform_str_is(got[i].body, queues[j])) {
				fresh += found[j] ? 0 : 1;
				found[j] = true;
			}
		}
		items[i] = (struct swm_settlement){.token = got[i].token, .action = SWM_ACK};
	}
	CONFORM_OK(c, c->qops->consumer_settle(consumer->consumer, items, count, &c->err));
	return fresh;
}

static void check_sources(struct conform_case *c, const struct swm_str *queues, size_t count)
{
	/* The caller's array is free once the consumer is open. */
	struct swm_str *copies = conform_alloc(c, count, sizeof(*copies));
	for (size_t i = 0; i < count; i++) {
		copies[i] = queues[i];
	}
	struct queue_consumer *consumer = queue_listen(c, copies, count, 0);
	conform_close_now(c, copies);
	fill_queues(c, queues, count);
	bool *found = conform_alloc(c, count, sizeof(*found));
	for (size_t left = count; left > 0;) {
		left -= take_some(c, consumer, queues, found, count);
	}
	queue_nothing(c, consumer, 50);
}

static void several_sources(struct conform_case *c)
{
	struct swm_str queues[3] = {queue_new(c, "x"), queue_new(c, "y"), queue_new(c, "z")};
	check_sources(c, queues, 3);
}

static void many_queues(struct conform_case *c)
{
	size_t count = c->kit->many_queues;
	struct swm_str *queues = conform_alloc(c, count, sizeof(*queues));
	for (size_t i = 0; i < count; i++) {
		queues[i] = conform_name(c, "queue-%zu", i);
	}
	/* Some at a time: a broker that takes a while for each has as long as for a call. */
	for (size_t done = 0; done < count; done += BATCH) {
		size_t some = count - done < BATCH ? count - done : BATCH;
		CONFORM_OK(c, c->qops->prepare(c->queue, queues + done, some, &c->err));
	}
	check_sources(c, queues, count);
}

static size_t take_all(
	struct conform_case *c, struct queue_consumer *consumer, uint64_t *tokens, size_t max)
{
	struct swm_delivery got[16];
	size_t taken = 0;
	for (;;) {
		size_t count = 0;
		swm_status status = queue_wait(
			c->qops, consumer->consumer, QUEUE_QUIET_MS, got, 16, &count, &c->err);
		if (status == SWM_E_TIMEOUT) {
			return taken;
		}
		CONFORM_OK(c, status);
		for (size_t i = 0; i < count; i++) {
			CONFORM_THAT(taken < max, "more than %zu deliveries are out", max);
			tokens[taken++] = got[i].token;
		}
	}
}

static void prefetch_bounds(struct conform_case *c)
{
	enum {
		PREFETCH = 3
	};
	struct swm_str queues[2] = {queue_new(c, "a"), queue_new(c, "b")};
	queue_fill(c, queues[0], "a", 6);
	queue_fill(c, queues[1], "b", 6);
	struct queue_consumer *consumer = queue_listen(c, queues, 2, PREFETCH);
	uint64_t tokens[PREFETCH] = {0};
	(void)queue_next(c, consumer);
	size_t taken = 1 + take_all(c, consumer, tokens, PREFETCH - 1);
	CONFORM_THAT(taken == PREFETCH, "%zu of %d deliveries come", taken, PREFETCH);
	queue_ack(c, consumer, tokens[0]);
	taken = take_all(c, consumer, tokens, 1);
	CONFORM_THAT(taken == 1, "one place is free, %zu come", taken);
	conform_close_now(c, consumer);
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.source.only", only_its_sources,
		"a consumer gets messages of its sources alone")},
	{CONFORM_PROMISE("queue.source.several", several_sources,
		"a consumer of several queues gets from each, and is told which")},
	{CONFORM_PROMISE(
		"queue.source.many", many_queues, "a consumer may listen to very many queues")},
	{CONFORM_PROMISE("queue.prefetch", prefetch_bounds,
		"prefetch bounds what is out unsettled, over all sources")},
};

const struct conform_group conform_queue_source = CONFORM_GROUP(tests);
