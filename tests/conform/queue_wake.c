/* SPDX-License-Identifier: MIT */

/*
 * What ends the waiting of receive: a wake, a message that somebody publishes
 * meanwhile, in a thread or in another process.
 *
 * Concurrency. The second thread calls consumer_wake(), which any thread may, or
 * has a publisher of its own.
 */

#include "queue_kit.h"

#include <pthread.h>

/* A receive that must be ended, and the time by which it cannot have ended by
 * itself. */
#define WAIT_MS 25000
#define ENDED_BY_MS 15000
#define BEFORE_MS 150

/* Longer than any broker takes to tell, shorter than a look once in a while. */
#define PROMPT_MS 250

struct disturber {
	pthread_t thread;
	const struct swm_queue_ops *ops;
	struct swm_queue *queue;
	struct swm_consumer *consumer;
	struct swm_str destination;
	struct swm_str id;
	int times;
	int64_t pause_ms;
	int64_t published_ms; /* when the broker had it */
	swm_status status;
	struct swm_error err;
};

static void *wake_thread(void *arg)
{
	struct disturber *d = arg;
	for (int i = 0; i < d->times; i++) {
		conform_sleep_ms(d->pause_ms);
		d->ops->consumer_wake(d->consumer);
	}
	return NULL;
}

static void *publish_thread(void *arg)
{
	struct disturber *d = arg;
	struct swm_publisher *publisher = NULL;
	d->status = d->ops->publisher_open(d->queue, &publisher, &d->err);
	conform_sleep_ms(d->pause_ms);
	if (d->status == SWM_OK) {
		struct swm_message message =
			queue_message(d->destination, d->id, d->destination);
		d->status = queue_publish(d->ops, publisher, &message, &d->err);
		d->published_ms = conform_now_ms();
	}
	d->ops->publisher_close(publisher);
	return NULL;
}

static void start(struct conform_case *c, struct disturber *d, void *(*thread)(void *))
{
	d->ops = c->qops;
	d->queue = c->queue;
	CONFORM_THAT(pthread_create(&d->thread, NULL, thread, d) == 0, "cannot start a thread");
}

/* Receives once and joins before it judges, so that a failure leaves no thread. */
static swm_status receive_beside(struct conform_case *c, struct disturber *d,
	struct swm_consumer *consumer, int64_t *took_ms)
{
	struct swm_delivery got;
	size_t count = 0;
	int64_t started_ms = conform_now_ms();
	swm_status status =
		c->qops->consumer_receive(consumer, WAIT_MS, &got, 1, &count, &c->err);
	*took_ms = conform_now_ms() - started_ms;
	(void)pthread_join(d->thread, NULL);
	return status;
}

static void wakes_waiting(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	for (int i = 0; i < 3; i++) {
		int64_t took_ms;
		struct disturber d = {
			.consumer = consumer->consumer, .times = 1, .pause_ms = BEFORE_MS};
		start(c, &d, wake_thread);
		CONFORM_IS(c, SWM_E_INTERRUPTED,
			receive_beside(c, &d, consumer->consumer, &took_ms));
		CONFORM_THAT(took_ms < ENDED_BY_MS, "a wake took %lld ms", (long long)took_ms);
	}
}

static void wakes_next(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery got;
	size_t count = 0;
	for (int i = 0; i < 5; i++) {
		c->qops->consumer_wake(consumer->consumer);
	}
	int64_t started_ms = conform_now_ms();
	CONFORM_IS(c, SWM_E_INTERRUPTED,
		c->qops->consumer_receive(
			consumer->consumer, WAIT_MS, &got, 1, &count, &c->err));
	CONFORM_THAT(conform_now_ms() - started_ms < ENDED_BY_MS, "an early wake is late");
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

static void wakes_only_its_own(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	struct queue_consumer *second = queue_listen(c, &queue, 1, 0);
	c->qops->consumer_wake(first->consumer);
	queue_nothing(c, second, QUEUE_QUIET_MS);
}

/* A wake never costs a message, however often it comes. */
static void wakes_lose_nothing(struct conform_case *c)
{
	enum {
		MESSAGES = 100
	};
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", MESSAGES);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct disturber d = {.consumer = consumer->consumer, .times = 100, .pause_ms = 1};
	start(c, &d, wake_thread);
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	size_t taken = 0;
	swm_status status = SWM_OK;
	while (taken < MESSAGES && conform_now_ms() < until) {
		struct swm_delivery got[4];
		size_t count = 0;
		status = c->qops->consumer_receive(
			consumer->consumer, 500, got, 4, &count, &c->err);
		if (status == SWM_OK) {
			for (size_t i = 0; i < count && status == SWM_OK; i++) {
				status = queue_settle_one(c->qops, consumer->consumer,
					got[i].token, SWM_ACK, 0, &c->err);
			}
			taken += count;
		}
		if (status != SWM_OK && status != SWM_E_INTERRUPTED &&
			status != SWM_E_TIMEOUT) {
			break;
		}
	}
	(void)pthread_join(d.thread, NULL);
	CONFORM_THAT(taken >= MESSAGES, "%zu of %d messages came, the last call is %s", taken,
		MESSAGES, conform_status_name(status));
}

static void publish_wakes(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct disturber d = {.destination = queue, .id = queue, .pause_ms = BEFORE_MS};
	int64_t took_ms;
	start(c, &d, publish_thread);
	swm_status status = receive_beside(c, &d, consumer->consumer, &took_ms);
	CONFORM_THAT(d.status == SWM_OK, "publish is %s: %s", conform_status_name(d.status),
		d.err.message);
	CONFORM_OK(c, status);
	CONFORM_THAT(took_ms < ENDED_BY_MS, "a message took %lld ms", (long long)took_ms);
}

/* Most of the time at once, not when it happens to look: of several rounds the median,
 * so that a machine with other work may be late now and then. */
static void publish_wakes_promptly(struct conform_case *c)
{
	enum {
		ROUNDS = 9
	};
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	int64_t longest_ms[ROUNDS] = {0};
	for (int i = 0; i < ROUNDS; i++) {
		struct disturber d = {.destination = queue,
			.id = conform_name(c, "m-%d", i),
			.pause_ms = 40 + 10 * i};
		struct swm_delivery got;
		size_t count = 0;
		start(c, &d, publish_thread);
		swm_status status = c->qops->consumer_receive(
			consumer->consumer, WAIT_MS, &got, 1, &count, &c->err);
		int64_t came_ms = conform_now_ms();
		(void)pthread_join(d.thread, NULL);
		CONFORM_OK(c, status);
		queue_ack(c, consumer, got.token);
		int64_t late_ms = came_ms - d.published_ms;
		int at = i;
		for (; at > 0 && longest_ms[at - 1] < late_ms; at--) {
			longest_ms[at] = longest_ms[at - 1];
		}
		longest_ms[at] = late_ms;
	}
	CONFORM_THAT(longest_ms[ROUNDS / 2] < PROMPT_MS,
		"of %d messages half came later than %lld ms after they were published", ROUNDS,
		(long long)longest_ms[ROUNDS / 2]);
}

static void process_wakes(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"queue-publish", queue.ptr,
					 conform_name(c, "m-").ptr, "1", NULL});
	conform_child_expect(child, "ready");
	struct swm_delivery got;
	size_t count = 0;
	conform_child_tell(child, "later");
	int64_t started_ms = conform_now_ms();
	CONFORM_OK(c, c->qops->consumer_receive(
			      consumer->consumer, WAIT_MS, &got, 1, &count, &c->err));
	int64_t took_ms = conform_now_ms() - started_ms;
	CONFORM_THAT(took_ms < ENDED_BY_MS, "a message took %lld ms", (long long)took_ms);
	conform_child_expect(child, "done");
	conform_child_join(child);
	queue_ack(c, consumer, got.token);
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.wake.waiting", wakes_waiting,
		"a wake from another thread ends a receive that waits")},
	{CONFORM_PROMISE("queue.wake.next", wakes_next,
		"a wake before receive ends the next one, and wakes do not add up")},
	{CONFORM_PROMISE(
		"queue.wake.own", wakes_only_its_own, "a wake is for one consumer alone")},
	{CONFORM_PROMISE("queue.wake.loss", wakes_lose_nothing, "wakes lose no message")},
	{CONFORM_PROMISE("queue.receive.published", publish_wakes,
		"a receive that waits gets what another thread publishes")},
	{CONFORM_PROMISE("queue.receive.published-promptly", publish_wakes_promptly,
		"a receive that waits is told of a message, it does not just look at times")},
	{CONFORM_PROMISE("queue.receive.published-process", process_wakes,
		"a receive that waits gets what another process publishes")},
};

const struct conform_group conform_queue_wake = CONFORM_GROUP(tests);
