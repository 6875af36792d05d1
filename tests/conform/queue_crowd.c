/* SPDX-License-Identifier: MIT */

/*
 * Many publishers and consumers of one queue, in threads and in processes, and
 * the helper processes of the queue's tests.
 *
 * Concurrency. Each thread has a consumer or a publisher of its own; `times` and
 * `missing` are atomic and are all that they share.
 */

#include "queue_kit.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLISHERS 2
#define CONSUMERS 3
#define EACH 150
#define ALL (PUBLISHERS * EACH)
#define BATCH 10
#define SHARED_QUEUES 12

struct crowd {
	const struct swm_queue_ops *ops;
	struct swm_queue *queue;
	struct swm_str name;
	int64_t until_ms;
	atomic_int times[ALL];
	atomic_int missing;
};

struct member {
	pthread_t thread;
	bool started;
	struct crowd *crowd;
	int first; /* publishers: the number of the first message */
	swm_status status;
	struct swm_error err;
};

/* Publishes PREFIX<number> for `count` numbers, in batches. */
static swm_status publish_numbers(const struct swm_queue_ops *ops,
	struct swm_publisher *publisher, struct swm_str queue, const char *prefix, int first,
	int count, struct swm_error *err)
{
	for (int done = 0; done < count; done += BATCH) {
		int size = count - done < BATCH ? count - done : BATCH;
		char bodies[BATCH][CONFORM_NAME_MAX];
		struct swm_message messages[BATCH];
		swm_status results[BATCH];
		for (int i = 0; i < size; i++) {
			int len = snprintf(
				bodies[i], sizeof(bodies[i]), "%s%d", prefix, first + done + i);
			struct swm_str body = {bodies[i], (size_t)len};
			messages[i] = queue_message(queue, body, body);
		}
		swm_status status = ops->publisher_publish(
			publisher, messages, (size_t)size, 10000, results, err);
		if (status != SWM_OK) {
			return status;
		}
	}
	return SWM_OK;
}

static void *publisher_thread(void *arg)
{
	struct member *m = arg;
	struct swm_publisher *publisher = NULL;
	const struct swm_queue_ops *ops = m->crowd->ops;
	m->status = ops->publisher_open(m->crowd->queue, &publisher, &m->err);
	if (m->status == SWM_OK) {
		m->status = publish_numbers(
			ops, publisher, m->crowd->name, "", m->first, EACH, &m->err);
	}
	ops->publisher_close(publisher);
	return NULL;
}

static void count_delivery(struct crowd *crowd, struct swm_str body)
{
	char number[16] = "";
	memcpy(number, body.ptr, body.len < 15 ? body.len : 15);
	int i = (int)strtol(number, NULL, 10);
	if (i >= 0 && i < ALL && atomic_fetch_add(&crowd->times[i], 1) == 0) {
		atomic_fetch_sub(&crowd->missing, 1);
	}
}

static void *consumer_thread(void *arg)
{
	struct member *m = arg;
	struct crowd *crowd = m->crowd;
	struct swm_consumer *consumer = NULL;
	m->status =
		crowd->ops->consumer_open(crowd->queue, &crowd->name, 1, 0, &consumer, &m->err);
	while (m->status == SWM_OK && atomic_load(&crowd->missing) > 0 &&
		conform_now_ms() < crowd->until_ms) {
		struct swm_delivery got[4];
		struct swm_settlement items[4];
		size_t count = 0;
		swm_status status =
			crowd->ops->consumer_receive(consumer, 100, got, 4, &count, &m->err);
		if (status == SWM_E_TIMEOUT) {
			continue;
		}
		m->status = status;
		for (size_t i = 0; i < count; i++) {
			count_delivery(crowd, got[i].body);
			items[i] = (struct swm_settlement){
				.token = got[i].token, .action = SWM_ACK};
		}
		if (count > 0) {
			m->status =
				crowd->ops->consumer_settle(consumer, items, count, &m->err);
		}
	}
	crowd->ops->consumer_close(consumer);
	return NULL;
}

/* Each thread prepares the same queues, its first one's number apart. */
static void *prepare_thread(void *arg)
{
	struct member *m = arg;
	struct swm_str names[SHARED_QUEUES];
	char texts[SHARED_QUEUES][CONFORM_NAME_MAX];
	for (int i = 0; i < SHARED_QUEUES; i++) {
		int len =
			snprintf(texts[i], sizeof(texts[i]), "%.*s-%d", (int)m->crowd->name.len,
				m->crowd->name.ptr, (i + m->first) % SHARED_QUEUES);
		names[i] = (struct swm_str){texts[i], (size_t)len};
	}
	for (size_t i = 0; i < SHARED_QUEUES && m->status == SWM_OK; i++) {
		m->status = m->crowd->ops->prepare(m->crowd->queue, &names[i], 1, &m->err);
	}
	if (m->status == SWM_OK) {
		m->status =
			m->crowd->ops->prepare(m->crowd->queue, names, SHARED_QUEUES, &m->err);
	}
	return NULL;
}

static void threads_prepare(struct conform_case *c)
{
	enum {
		THREADS = 3
	};
	struct crowd *crowd = conform_alloc(c, 1, sizeof(*crowd));
	struct member *members = conform_alloc(c, THREADS, sizeof(*members));
	crowd->ops = c->qops;
	crowd->queue = c->queue;
	crowd->name = conform_name(c, "q");
	for (int i = 0; i < THREADS; i++) {
		members[i].crowd = crowd;
		members[i].first = i;
		members[i].started = pthread_create(&members[i].thread, NULL, prepare_thread,
					     &members[i]) == 0;
	}
	for (int i = 0; i < THREADS; i++) {
		if (members[i].started) {
			(void)pthread_join(members[i].thread, NULL);
		}
	}
	for (int i = 0; i < THREADS; i++) {
		CONFORM_THAT(members[i].started, "cannot start a thread");
		CONFORM_THAT(members[i].status == SWM_OK, "thread %d ends with %s: %s", i,
			conform_status_name(members[i].status), members[i].err.message);
	}
	struct swm_str queue = conform_name(c, "q-0");
	queue_fill(c, queue, "m", 1);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 1);
}

static void threads_share(struct conform_case *c)
{
	struct crowd *crowd = conform_alloc(c, 1, sizeof(*crowd));
	struct member *members = conform_alloc(c, PUBLISHERS + CONSUMERS, sizeof(*members));
	crowd->ops = c->qops;
	crowd->queue = c->queue;
	crowd->name = queue_new(c, "q");
	crowd->until_ms = conform_now_ms() + CONFORM_PATIENCE_MS;
	atomic_store(&crowd->missing, ALL);
	for (int i = 0; i < PUBLISHERS + CONSUMERS; i++) {
		members[i].crowd = crowd;
		members[i].first = i * EACH;
		members[i].started =
			pthread_create(&members[i].thread, NULL,
				i < PUBLISHERS ? publisher_thread : consumer_thread,
				&members[i]) == 0;
	}
	for (int i = 0; i < PUBLISHERS + CONSUMERS; i++) {
		if (members[i].started) {
			(void)pthread_join(members[i].thread, NULL);
		}
	}
	for (int i = 0; i < PUBLISHERS + CONSUMERS; i++) {
		CONFORM_THAT(members[i].started, "cannot start a thread");
		CONFORM_THAT(members[i].status == SWM_OK, "%s %d ends with %s: %s",
			i < PUBLISHERS ? "publisher" : "consumer", i,
			conform_status_name(members[i].status), members[i].err.message);
	}
	int missing = atomic_load(&crowd->missing);
	CONFORM_THAT(missing == 0, "%d of %d messages did not come", missing, ALL);
	queue_nothing(c, queue_listen(c, &crowd->name, 1, 0), QUEUE_QUIET_MS);
}

/* A line is the body of a message: a number, after "1-" from the second publisher. */
static void note_line(const char *line, int *times)
{
	bool second = strncmp(line, "1-", 2) == 0;
	int number = (int)strtol(second ? line + 2 : line, NULL, 10) + (second ? EACH : 0);
	CONFORM_THAT(number >= 0 && number < ALL, "a helper received %s", line);
	times[number]++;
}

static int count_missing(const int *times)
{
	int missing = 0;
	for (int i = 0; i < ALL; i++) {
		missing += times[i] == 0 ? 1 : 0;
	}
	return missing;
}

/* What came to none of the helpers while they were there is here, and nothing else: who
 * shares a queue may have to agree on it first, and that takes a broker a while. */
static void take_rest(struct conform_case *c, struct swm_str queue, int *times)
{
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	while (count_missing(times) > 0) {
		char body[CONFORM_NAME_MAX];
		struct swm_delivery got = queue_next(c, consumer);
		(void)snprintf(body, sizeof(body), "%.*s", (int)got.body.len, got.body.ptr);
		note_line(body, times);
		queue_ack(c, consumer, got.token);
	}
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

static void processes_share(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	struct conform_child *consumers[CONSUMERS];
	struct conform_child *publishers[PUBLISHERS];
	char count[16];
	(void)snprintf(count, sizeof(count), "%d", EACH);
	for (int i = 0; i < CONSUMERS; i++) {
		consumers[i] = conform_spawn(
			c, (const char *const[]){"queue-consume", queue.ptr, NULL});
		conform_child_expect(consumers[i], "ready");
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		publishers[i] =
			conform_spawn(c, (const char *const[]){"queue-publish", queue.ptr,
						 i == 0 ? "" : "1-", count, NULL});
		conform_child_expect(publishers[i], "ready");
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		conform_child_tell(publishers[i], "go");
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		conform_child_expect(publishers[i], "done");
		conform_child_join(publishers[i]);
	}
	int times[ALL] = {0};
	for (int i = 0; i < CONSUMERS; i++) {
		conform_child_tell(consumers[i], "finish");
	}
	for (int i = 0; i < CONSUMERS; i++) {
		const char *line;
		while (strcmp(line = conform_child_line(consumers[i]), "end") != 0) {
			note_line(line, times);
		}
		conform_child_join(consumers[i]);
	}
	take_rest(c, queue, times);
}

/* --- The helpers' side --- */

static int fail_helper(const struct swm_error *err)
{
	conform_say("%s: %s", conform_status_name(err->status), err->message);
	return 1;
}

/* Publishes when told to; "later": a little after that. */
static int helper_publish(const struct conform_kit *kit, char **args)
{
	char word[16];
	struct swm_queue *queue = NULL;
	struct swm_publisher *publisher = NULL;
	struct swm_error err = {0};
	struct swm_open_args open = conform_open_args(kit, 0);
	if (kit->queue->open(&open, &queue, &err) != SWM_OK ||
		kit->queue->publisher_open(queue, &publisher, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("ready");
	if (conform_heard(word, sizeof(word))) {
		if (strcmp(word, "later") == 0) {
			conform_sleep_ms(200);
		}
		if (publish_numbers(kit->queue, publisher, conform_str(args[0]), args[1], 0,
			    (int)strtol(args[2], NULL, 10), &err) != SWM_OK) {
			return fail_helper(&err);
		}
		conform_say("done");
		(void)conform_heard(word, sizeof(word));
	}
	kit->queue->publisher_close(publisher);
	kit->queue->close(queue);
	return 0;
}

static swm_status open_consumer(const struct conform_kit *kit, const char *name,
	struct swm_queue **queue, struct swm_consumer **consumer, struct swm_error *err)
{
	struct swm_open_args open = conform_open_args(kit, 0);
	struct swm_str source = conform_str(name);
	swm_status status = kit->queue->open(&open, queue, err);
	if (status != SWM_OK) {
		return status;
	}
	return kit->queue->consumer_open(*queue, &source, 1, 0, consumer, err);
}

/* Takes a message and keeps it until it is killed. */
static int helper_hold(const struct conform_kit *kit, char **args)
{
	struct swm_queue *queue = NULL;
	struct swm_consumer *consumer = NULL;
	struct swm_error err = {0};
	struct swm_delivery got;
	size_t count = 0;
	char word[16];
	if (open_consumer(kit, args[0], &queue, &consumer, &err) != SWM_OK ||
		queue_wait(kit->queue, consumer, CONFORM_PATIENCE_MS, &got, 1, &count, &err) !=
			SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("held");
	(void)conform_heard(word, sizeof(word));
	return 1;
}

/* True once the parent has said something or is gone. */
static bool told_to_finish(void)
{
	struct pollfd look = {STDIN_FILENO, POLLIN, 0};
	return poll(&look, 1, 0) > 0;
}

/* Acknowledges and names what comes until it is told to finish and nothing comes. */
static int helper_consume(const struct conform_kit *kit, char **args)
{
	struct swm_queue *queue = NULL;
	struct swm_consumer *consumer = NULL;
	struct swm_error err = {0};
	if (open_consumer(kit, args[0], &queue, &consumer, &err) != SWM_OK) {
		return fail_helper(&err);
	}
	conform_say("ready");
	for (;;) {
		struct swm_delivery got;
		size_t count = 0;
		bool last = told_to_finish();
		swm_status status =
			queue_wait(kit->queue, consumer, 300, &got, 1, &count, &err);
		if (status == SWM_E_TIMEOUT && last) {
			break;
		}
		if (status == SWM_E_TIMEOUT) {
			continue;
		}
		if (status != SWM_OK) {
			return fail_helper(&err);
		}
		char body[CONFORM_NAME_MAX];
		(void)snprintf(body, sizeof(body), "%.*s", (int)got.body.len, got.body.ptr);
		if (queue_settle_one(kit->queue, consumer, got.token, SWM_ACK, 0, &err) !=
			SWM_OK) {
			return fail_helper(&err);
		}
		conform_say("%s", body);
	}
	conform_say("end");
	kit->queue->consumer_close(consumer);
	kit->queue->close(queue);
	return 0;
}

const struct conform_helper conform_queue_helpers[] = {
	{"queue-publish", SWM_PLUGIN_QUEUE, 3, helper_publish},
	{"queue-hold", SWM_PLUGIN_QUEUE, 1, helper_hold},
	{"queue-consume", SWM_PLUGIN_QUEUE, 1, helper_consume},
	{NULL, 0, 0, NULL},
};

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.crowd.threads", threads_share,
		"publishers and consumers of several threads lose no message")},
	{CONFORM_PROMISE("queue.crowd.prepare", threads_prepare,
		"any thread may prepare, the same queues at the same time too")},
	{CONFORM_PROMISE("queue.crowd.processes", processes_share,
		"publishers and consumers of several processes lose no message")},
};

const struct conform_group conform_queue_crowd = CONFORM_GROUP(tests);
