/* SPDX-License-Identifier: MIT */

/* Publishing and receiving: what goes in comes out, and each result is told. */

#include "queue_kit.h"

#include <string.h>

#define MANY 200

static void prepare_again(struct conform_case *c)
{
	struct swm_str names[3] = {
		conform_name(c, "a"), conform_name(c, "b"), queue_new(c, "c")};
	CONFORM_OK(c, c->qops->prepare(c->queue, names, 3, &c->err));
	CONFORM_OK(c, c->qops->prepare(c->queue, names, 3, &c->err));
	queue_fill(c, names[0], "m", 1);
	CONFORM_OK(c, c->qops->prepare(c->queue, names, 3, &c->err));
	queue_drain(c, queue_listen(c, &names[0], 1, 0), "m", 1);
}

static void round_trip(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct swm_str id = conform_name(c, "id");
	struct swm_str body = CONFORM_STR("{\"event_name\":\"StartTask\"}");
	struct swm_message message = queue_message(queue, id, body);
	struct swm_publisher *publisher = queue_publisher(c);
	CONFORM_OK(c, queue_publish(c->qops, publisher, &message, &c->err));
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	CONFORM_THAT(conform_str_is(got.body, body), "the body has changed");
	CONFORM_THAT(conform_str_is(got.source, queue), "source is %.*s", (int)got.source.len,
		got.source.ptr);
	CONFORM_THAT(got.key.len == 0 || conform_str_is(got.key, message.key),
		"key is neither as published nor absent");
	CONFORM_THAT(got.attempt <= 1 && got.redelivered == 0,
		"a first delivery has attempt %u, redelivered %u", got.attempt,
		got.redelivered);
	queue_ack(c, consumer, got.token);
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

static void id_is_stable(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct swm_str id = conform_name(c, "id");
	struct swm_message message = queue_message(queue, id, CONFORM_STR("x"));
	CONFORM_OK(c, queue_publish(c->qops, queue_publisher(c), &message, &c->err));
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	char first[256];
	size_t len = got.id.len;
	CONFORM_THAT(len <= sizeof(first), "an id of %zu bytes", len);
	if (len > 0) {
		memcpy(first, got.id.ptr, len);
	}
	queue_nack(c, consumer, got.token);
	got = queue_next(c, consumer);
	CONFORM_THAT(conform_str_is(got.id, (struct swm_str){first, len}),
		"the id is another when the message is delivered again");
	queue_ack(c, consumer, got.token);
}

static void check_body(struct conform_case *c, struct swm_str body)
{
	struct swm_str queue = queue_new(c, "q");
	struct swm_message message = queue_message(queue, conform_name(c, "id"), body);
	CONFORM_OK(c, queue_publish(c->qops, queue_publisher(c), &message, &c->err));
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got = queue_next(c, consumer);
	CONFORM_THAT(conform_str_is(got.body, body),
		"a body of %zu bytes came back as %zu others", body.len, got.body.len);
	queue_ack(c, consumer, got.token);
}

static void every_byte(struct conform_case *c)
{
	check_body(c, conform_bytes(c, 512, 0));
}

static void large_body(struct conform_case *c)
{
	check_body(c, conform_bytes(c, c->kit->body_bytes, 11));
}

static void empty_body(struct conform_case *c)
{
	check_body(c, CONFORM_STR(""));
}

/* Five of them, since a broker that has any takes as many. */
static void headers_come_along(struct conform_case *c)
{
	const struct swm_header headers[] = {
		{CONFORM_STR("swm-event-id"), conform_name(c, "event")},
		{CONFORM_STR("swm-attempt"), CONFORM_STR("1")},
		{CONFORM_STR("ce-type"), CONFORM_STR("io.swm.StartTask")},
		{CONFORM_STR("ce-source"), CONFORM_STR("/ITALIAN/ORDER-\xc3\xa4 \"1\"")},
		{CONFORM_STR("traceparent"), CONFORM_STR("00-0af7651916cd43dd-b7ad6b71-01")},
	};
	struct swm_str queue = queue_new(c, "q");
	struct swm_message message =
		queue_message(queue, conform_name(c, "id"), CONFORM_STR("x"));
	message.headers = headers;
	message.header_count = 5;
	CONFORM_OK(c, queue_publish(c->qops, queue_publisher(c), &message, &c->err));
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	for (int attempt = 1; attempt <= 2; attempt++) {
		struct swm_delivery got = queue_next(c, consumer);
		for (size_t i = 0; i < 5; i++) {
			size_t times = 0;
			for (size_t j = 0; j < got.header_count; j++) {
				if (conform_str_is(got.headers[j].name, headers[i].name)) {
					CONFORM_THAT(conform_str_is(got.headers[j].value,
							     headers[i].value),
						"the value of %.*s has changed",
						(int)headers[i].name.len, headers[i].name.ptr);
					times++;
				}
			}
			CONFORM_THAT(times == 1, "delivery %d has %.*s %zu times", attempt,
				(int)headers[i].name.len, headers[i].name.ptr, times);
		}
		if (attempt == 1) {
			queue_nack(c, consumer, got.token);
		} else {
			queue_ack(c, consumer, got.token);
		}
	}
}

static void waits_for_consumer(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", MANY);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", MANY);
}

static void several_destinations(struct conform_case *c)
{
	struct swm_str queues[3] = {queue_new(c, "a"), queue_new(c, "b"), queue_new(c, "c")};
	struct swm_message messages[6];
	swm_status results[6];
	for (size_t i = 0; i < 6; i++) {
		messages[i] = queue_message(queues[i % 3], conform_name(c, "id-%zu", i),
			conform_name(c, "%c-%zu", "abc"[i % 3], i / 3));
		results[i] = SWM_E_INTERNAL;
	}
	CONFORM_OK(c, c->qops->publisher_publish(
			      queue_publisher(c), messages, 6, 10000, results, &c->err));
	for (size_t i = 0; i < 3; i++) {
		const char name[2] = {"abc"[i], '\0'};
		struct queue_consumer *consumer = queue_listen(c, &queues[i], 1, 0);
		queue_drain(c, consumer, name, 2);
		queue_nothing(c, consumer, 50);
	}
}

static void publish_nothing(struct conform_case *c)
{
	CONFORM_OK(c,
		c->qops->publisher_publish(queue_publisher(c), NULL, 0, 1000, NULL, &c->err));
}

/* Whether a queue that nobody prepared exists is the broker's affair; that each
 * message has its own result is a promise. */
static void own_result(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct swm_message messages[3] = {
		queue_message(queue, conform_name(c, "m-0"), conform_name(c, "m-0")),
		queue_message(conform_name(c, "never-prepared"), conform_name(c, "x"),
			CONFORM_STR("x")),
		queue_message(queue, conform_name(c, "m-1"), conform_name(c, "m-1")),
	};
	swm_status results[3] = {1, 1, 1};
	swm_status status = c->qops->publisher_publish(
		queue_publisher(c), messages, 3, 10000, results, &c->err);
	CONFORM_IS(c, SWM_OK, results[0]);
	CONFORM_THAT(results[1] == SWM_OK || results[1] == SWM_E_NOT_FOUND ||
			     results[1] == SWM_E_DENIED || results[1] == SWM_E_INVALID,
		"an unknown destination is %s", conform_status_name(results[1]));
	CONFORM_IS(c, SWM_OK, results[2]);
	CONFORM_IS(c, results[1], status);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 2);
}

/* What was passed in is overwritten as soon as the call is over. */
static void only_borrows(struct conform_case *c)
{
	enum {
		ROOM = CONFORM_NAME_MAX
	};
	struct swm_str queue = conform_name(c, "q");
	struct swm_str id = conform_name(c, "id");
	char *name = conform_alloc(c, ROOM, 1);
	char *body = conform_alloc(c, ROOM, 1);
	struct swm_str lent = {name, queue.len};
	struct swm_message message = queue_message(
		lent, (struct swm_str){body, id.len}, (struct swm_str){body, id.len});

	memcpy(name, queue.ptr, queue.len);
	CONFORM_OK(c, c->qops->prepare(c->queue, &lent, 1, &c->err));
	memset(name, 'x', ROOM);
	memcpy(name, queue.ptr, queue.len);
	struct queue_consumer *consumer = queue_listen(c, &lent, 1, 0);
	struct swm_publisher *publisher = queue_publisher(c);
	memcpy(body, id.ptr, id.len);
	CONFORM_OK(c, queue_publish(c->qops, publisher, &message, &c->err));
	memset(name, 'x', ROOM);
	memset(body, 'x', ROOM);

	struct swm_delivery got = queue_next(c, consumer);
	CONFORM_THAT(conform_str_is(got.source, queue), "source has become %.*s",
		(int)got.source.len, got.source.ptr);
	CONFORM_THAT(conform_str_is(got.body, id), "the body has become %.*s",
		(int)got.body.len, got.body.ptr);
	queue_ack(c, consumer, got.token);
}

/* A process is killed the instant that it was told OK; its message is there. */
static void survives_kill(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"queue-publish", queue.ptr,
					 conform_name(c, "m-").ptr, "10", NULL});
	conform_child_expect(child, "ready");
	conform_child_tell(child, "go");
	conform_child_expect(child, "done");
	conform_child_kill(child);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 10);
}

static void close_null(struct conform_case *c)
{
	c->qops->consumer_close(NULL);
	c->qops->publisher_close(NULL);
	c->qops->close(NULL);
}

static void depth_counts(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	int64_t depth = -1;
	CONFORM_OK(c, c->qops->depth(c->queue, queue, &depth, &c->err));
	CONFORM_THAT(depth == 0, "an empty queue has depth %lld", (long long)depth);
	swm_status status = c->qops->depth(c->queue, conform_name(c, "none"), &depth, &c->err);
	CONFORM_THAT(status == SWM_E_NOT_FOUND || (status == SWM_OK && depth == 0),
		"an unknown queue is %s with depth %lld", conform_status_name(status),
		(long long)depth);
	queue_fill(c, queue, "m", 7);
	/* Brokers know it roughly and late. */
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	do {
		conform_sleep_ms(10);
		CONFORM_OK(c, c->qops->depth(c->queue, queue, &depth, &c->err));
		CONFORM_THAT(
			conform_now_ms() < until, "7 messages, depth %lld", (long long)depth);
	} while (depth != 7);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 7);
	until = conform_now_ms() + CONFORM_PATIENCE_MS;
	do {
		conform_sleep_ms(10);
		CONFORM_OK(c, c->qops->depth(c->queue, queue, &depth, &c->err));
		CONFORM_THAT(
			conform_now_ms() < until, "no message, depth %lld", (long long)depth);
	} while (depth != 0);
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.prepare", prepare_again,
		"prepare makes queues, and finds those that exist with what is in them")},
	{CONFORM_PROMISE("queue.publish.round-trip", round_trip,
		"a message comes with its body, source and key, once")},
	{CONFORM_PROMISE("queue.delivery.id", id_is_stable,
		"the id of a delivery is stable over redelivery, or absent")},
	{CONFORM_PROMISE("queue.body.bytes", every_byte, "a body may have every byte value")},
	{CONFORM_PROMISE("queue.body.large", large_body,
		"a body may have 256 KiB, or what --body says")},
	{CONFORM_PROMISE("queue.body.empty", empty_body, "a body may be empty")},
	{CONFORM_PROMISE("queue.headers", headers_come_along,
		"headers come as published, on every delivery")},
	{CONFORM_PROMISE("queue.publish.kept", waits_for_consumer,
		"what was published waits for a consumer, every message of a batch")},
	{CONFORM_PROMISE("queue.publish.destinations", several_destinations,
		"messages of one call go to the destination of each, and only there")},
	{CONFORM_PROMISE("queue.publish.none", publish_nothing, "publishing nothing is OK")},
	{CONFORM_PROMISE("queue.publish.results", own_result,
		"each message has its own result; the first that is not OK is returned")},
	{CONFORM_PROMISE("queue.publish.durable", survives_kill,
		"what was confirmed is there after the publisher was killed")},
	{CONFORM_PROMISE("queue.memory.borrowed", only_borrows,
		"what is passed in may be overwritten when the call is over")},
	{CONFORM_PROMISE("queue.close.null", close_null, "closing NULL is allowed")},
	{CONFORM_PROMISE("queue.depth", depth_counts, "depth follows how many messages wait"),
		CONFORM_MEMBER(struct swm_queue_ops, depth)},
};

const struct conform_group conform_queue_publish = CONFORM_GROUP(tests);
