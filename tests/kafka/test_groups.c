/* SPDX-License-Identifier: MIT */

/*
 * Consumers of a group: what is committed, what comes again after a crash, what becomes
 * of deliveries whose partition goes to another.
 *
 * Concurrency: a consumer that is to see a rebalance is served by a thread of the test's.
 */

#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As consumer.c has it: how many of a partition come after one that is not finished. */
#define ROW_MAX 4096

/* How long the library takes to commit what is stored, and to tell the broker. */
#define COMMIT_MS 1500

/* Takes `count` and keeps them. */
static void take(struct broker *broker, struct swm_consumer *consumer,
	struct swm_delivery *taken, int count)
{
	for (int i = 0; i < count; i++) {
		taken[i] = broker_next(broker, consumer);
		assert_int_equal(number_of(&taken[i]), i);
	}
}

/* In a process that is killed: finishes all but the fourth of ten. */
static void finish_all_but_one(struct broker *broker, struct swm_str topic)
{
	struct swm_delivery taken[10];

	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	take(broker, consumer, taken, 10);
	for (int i = 9; i >= 0; i--) {
		if (i != 3) {
			broker_ack(broker, consumer, taken[i].token);
		}
	}
	sleep_ms(COMMIT_MS);
	_exit(0);
}

/* Whoever comes next begins with the first that was not finished: no earlier, no later. */
static void offsets_after_a_crash(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "crash");
	struct swm_delivery delivery;
	int status = 0;

	broker_fill(broker, topic, 10);
	/* The library is not to be used on both sides of a fork. */
	broker_close(broker);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		finish_all_but_one(broker, topic);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	for (int i = 3; i < 10; i++) {
		delivery = broker_next(broker, consumer);
		assert_int_equal(number_of(&delivery), i);
		broker_ack(broker, consumer, delivery.token);
	}
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);

	/* And whoever leaves in peace leaves nothing behind. */
	consumer = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
}

/* What is given back is held here: others pass it by, the offset does not. */
static void given_back(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "back");
	struct swm_delivery taken[5];
	struct swm_delivery delivery;
	int64_t from_ms;

	broker_fill(broker, topic, 5);
	struct swm_consumer *consumer = broker_listen(broker, topic, 2);
	for (int i = 0; i < 5; i++) {
		taken[i] = broker_next(broker, consumer);
		assert_int_equal(number_of(&taken[i]), i);
		assert_int_equal(broker_settle(broker, consumer, taken[i].token,
					 i == 1 ? SWM_NACK : SWM_ACK, 600000),
			SWM_OK);
	}
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);

	/* With the consumer the delay is over; all from there on come again. */
	consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	assert_int_equal(number_of(&delivery), 1);
	from_ms = now_ms();
	assert_int_equal(
		broker_settle(broker, consumer, delivery.token, SWM_NACK, 1000), SWM_OK);
	for (int i = 2; i < 5; i++) {
		delivery = broker_next(broker, consumer);
		assert_int_equal(number_of(&delivery), i);
		broker_ack(broker, consumer, delivery.token);
	}
	delivery = broker_next(broker, consumer);
	assert_int_equal(number_of(&delivery), 1);
	assert_int_equal(delivery.redelivered, 1);
	assert_true(now_ms() - from_ms >= 1000);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
	consumer = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
}

/* What is due and has no room is waited for in quiet. */
static void given_back_and_no_room(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "room");
	struct swm_delivery delivery;
	struct timespec from;
	struct timespec to;
	size_t count = 0;

	broker_fill(broker, topic, 2);
	struct swm_consumer *consumer = broker_listen(broker, topic, 1);
	delivery = broker_next(broker, consumer);
	assert_int_equal(
		broker_settle(broker, consumer, delivery.token, SWM_NACK, 500), SWM_OK);
	delivery = broker_next(broker, consumer);
	assert_int_equal(number_of(&delivery), 1);
	sleep_ms(500);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	assert_int_equal(broker->ops->consumer_receive(
				 consumer, 2000, &delivery, 1, &count, &broker->err),
		SWM_E_TIMEOUT);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	assert_true(
		(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 200);
	broker_ack(broker, consumer, delivery.token);
	delivery = broker_next(broker, consumer);
	assert_int_equal(number_of(&delivery), 0);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
}

/* One that is not finished lets no more than ROW_MAX pass, and all of them come. */
static void a_long_row(void **state)
{
	enum {
		COUNT = ROW_MAX + 1000
	};
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "row");
	struct swm_delivery first;
	struct swm_delivery delivery;
	int next = 1;

	broker_fill(broker, topic, COUNT);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	first = broker_next(broker, consumer);
	assert_int_equal(number_of(&first), 0);
	while (broker_wait(broker, consumer, next < ROW_MAX ? PATIENCE_MS : QUIET_MS,
		       &delivery) == SWM_OK) {
		assert_int_equal(number_of(&delivery), next);
		broker_ack(broker, consumer, delivery.token);
		next++;
	}
	assert_int_equal(next, ROW_MAX);
	broker_ack(broker, consumer, first.token);
	for (; next < COUNT; next++) {
		delivery = broker_next(broker, consumer);
		assert_int_equal(number_of(&delivery), next);
		broker_ack(broker, consumer, delivery.token);
	}
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
	consumer = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
}

/* A partition that was not fetched for the length of its row is when it comes back. */
static void a_long_row_taken_away(void **state)
{
	enum {
		COUNT = ROW_MAX + 100
	};
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "row-away");
	struct swm_delivery delivery;
	struct swm_delivery first;
	int next = 1;

	broker_fill(broker, topic, COUNT);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	first = broker_next(broker, consumer);
	assert_int_equal(number_of(&first), 0);
	for (; next < ROW_MAX; next++) {
		delivery = broker_next(broker, consumer);
		broker_ack(broker, consumer, delivery.token);
	}
	broker_nothing(broker, consumer);

	struct swm_consumer *other = broker_listen(broker, topic, 0);
	int64_t until_ms = now_ms() + PATIENCE_MS;
	size_t count = 0;
	while (!broker_has_logged(broker, "the partitions are given back")) {
		assert_true(now_ms() < until_ms);
		sleep_ms(200);
		assert_int_equal(broker->ops->consumer_receive(
					 consumer, 0, NULL, 0, &count, &broker->err),
			SWM_E_TIMEOUT);
	}
	broker->ops->consumer_close(other);
	assert_int_equal(
		broker_settle(broker, consumer, first.token, SWM_ACK, 0), SWM_E_CONFLICT);
	for (next = 0; next < COUNT; next++) {
		delivery = broker_next(broker, consumer);
		assert_int_equal(number_of(&delivery), next);
		broker_ack(broker, consumer, delivery.token);
	}
	broker->ops->consumer_close(consumer);
}

#define BOTH 2
#define PARTITIONS 4
#define MESSAGES 60

/* Counts one that has come to `who`, and acknowledges it; one that was lost meanwhile is
 * told so. */
static void count_one(struct broker *broker, struct swm_consumer *consumer, int *times)
{
	struct swm_delivery delivery;
	size_t count = 0;
	swm_status status =
		broker->ops->consumer_receive(consumer, 50, &delivery, 1, &count, &broker->err);

	if (status == SWM_E_TIMEOUT) {
		return;
	}
	assert_int_equal(status, SWM_OK);
	times[number_of(&delivery)]++;
	status = broker_settle(broker, consumer, delivery.token, SWM_ACK, 0);
	assert_true(status == SWM_OK || status == SWM_E_CONFLICT);
}

/* Over all partitions: the keys differ. */
static void fill_partitions(struct broker *broker, struct swm_str topic)
{
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_message messages[MESSAGES];
	char numbers[MESSAGES][16];
	swm_status results[MESSAGES];

	for (int i = 0; i < MESSAGES; i++) {
		int len = snprintf(numbers[i], sizeof(numbers[i]), "%d", i);

		messages[i] = message_to(
			topic, numbers[i], (struct swm_str){numbers[i], (size_t)len});
		messages[i].key = messages[i].body;
	}
	assert_int_equal(broker->ops->publisher_publish(publisher, messages, MESSAGES,
				 PATIENCE_MS, results, &broker->err),
		SWM_OK);
	broker->ops->publisher_close(publisher);
}

static int count_missing(const int *times)
{
	int missing = 0;

	for (int i = 0; i < MESSAGES; i++) {
		missing += times[i] == 0;
	}
	return missing;
}

/* A second consumer comes while the first one has a batch in its hands: what goes over to
 * it comes again there, to settle it here is CONFLICT and changes nothing, and nothing is
 * lost. */
static void another_joins(void **state)
{
	struct broker *broker = *state;
	struct swm_delivery taken[MESSAGES];
	struct swm_settlement items[MESSAGES] = {0};
	struct swm_consumer *consumers[BOTH];
	int first[MESSAGES] = {0};
	int times[MESSAGES] = {0};
	int numbers[MESSAGES];
	char body[16];
	size_t ours = 0;

	broker->config.partitions = PARTITIONS;
	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_str topic = broker_topic(broker, "join");
	fill_partitions(broker, topic);
	consumers[0] = broker_listen(broker, topic, 0);
	for (int i = 0; i < MESSAGES; i++) {
		taken[i] = broker_next(broker, consumers[0]);
		numbers[i] = number_of(&taken[i]);
		first[numbers[i]]++;
	}
	assert_int_equal(count_missing(first), 0);
	/* A third of them, in the middle, so that no prefix is finished everywhere. */
	for (int i = MESSAGES / 3; i < 2 * MESSAGES / 3; i++) {
		broker_ack(broker, consumers[0], taken[i].token);
	}
	consumers[1] = broker_listen(broker, topic, 0);
	/* The first one's owner is busy all the while: its group's thread answers. */
	int64_t until_ms = now_ms() + PATIENCE_MS;
	while (count_missing(times) == MESSAGES && now_ms() < until_ms) {
		count_one(broker, consumers[1], times);
	}
	assert_true(count_missing(times) < MESSAGES);

	/* What the first one has in its hands stays in its place until it is settled. */
	for (int i = 0; i < MESSAGES; i++) {
		if (i >= MESSAGES / 3 && i < 2 * MESSAGES / 3) {
			continue;
		}
		(void)snprintf(body, sizeof(body), "%d", numbers[i]);
		assert_int_equal(taken[i].id.len, strlen(body));
		assert_memory_equal(taken[i].id.ptr, body, strlen(body));
		items[ours++] =
			(struct swm_settlement){.token = taken[i].token, .action = SWM_ACK};
	}
	assert_int_equal(broker->ops->consumer_settle(consumers[0], items, ours, &broker->err),
		SWM_E_CONFLICT);
	assert_int_equal(broker->ops->consumer_settle(consumers[0], items, 1, &broker->err),
		SWM_E_INVALID);
	/* So all that was not finished before comes again, to one of the two. */
	for (int i = 0; i < MESSAGES || count_missing(times) > MESSAGES / 3; i++) {
		count_one(broker, consumers[0], times);
		count_one(broker, consumers[1], times);
		assert_true(now_ms() < until_ms);
	}
	for (int i = 0; i < MESSAGES; i++) {
		bool finished = i >= MESSAGES / 3 && i < 2 * MESSAGES / 3;
		assert_true(finished || times[numbers[i]] > 0);
	}
	broker->ops->consumer_close(consumers[0]);
	broker->ops->consumer_close(consumers[1]);
	consumers[0] = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumers[0]);
	broker->ops->consumer_close(consumers[0]);
}

/* Consumers come and go while messages are worked on; each is finished by somebody. */
static void coming_and_going(void **state)
{
	struct broker *broker = *state;
	struct swm_consumer *consumers[BOTH];
	int times[MESSAGES] = {0};
	int64_t until_ms = now_ms() + PATIENCE_MS;

	broker->config.partitions = PARTITIONS;
	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_str topic = broker_topic(broker, "going");
	fill_partitions(broker, topic);
	consumers[0] = broker_listen(broker, topic, 4);
	for (int round = 0; round < 3; round++) {
		consumers[1] = broker_listen(broker, topic, 4);
		for (int i = 0; i < 5; i++) {
			count_one(broker, consumers[0], times);
			count_one(broker, consumers[1], times);
		}
		broker->ops->consumer_close(consumers[round % 2]);
		consumers[0] = consumers[1 - round % 2];
	}
	while (count_missing(times) > 0 && now_ms() < until_ms) {
		count_one(broker, consumers[0], times);
	}
	assert_int_equal(count_missing(times), 0);
	broker->ops->consumer_close(consumers[0]);
	consumers[0] = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumers[0]);
	broker->ops->consumer_close(consumers[0]);
}

/* A member by name that comes back at once is the same one: nobody waits, and nothing goes
 * to others. With the same name twice, the older one is told. */
static void static_members(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "static");
	struct swm_delivery delivery;
	struct swm_queue *other = NULL;
	struct swm_consumer *older;
	struct swm_consumer *newer = NULL;

	broker->config.group_instance_id = "alice";
	assert_int_equal(broker_open(broker), SWM_OK);
	topic = broker_topic(broker, "static");
	broker_fill(broker, topic, 2);
	older = broker_listen(broker, topic, 0);
	broker_drain(broker, older, 1);
	broker->ops->consumer_close(older);
	older = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, older);
	assert_int_equal(number_of(&delivery), 1);
	assert_int_equal(broker->ops->open(&broker->args, &other, &broker->err), SWM_OK);
	assert_int_equal(
		broker->ops->consumer_open(other, &topic, 1, 0, &newer, &broker->err), SWM_OK);
	assert_int_equal(broker_wait(broker, older, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	assert_int_equal(
		broker_settle(broker, older, delivery.token, SWM_ACK, 0), SWM_E_UNAVAILABLE);
	broker->ops->consumer_close(older);
	broker_drain(broker, newer, 1);
	broker->ops->consumer_close(newer);
	broker->ops->close(other);
}

/* A member by name that comes back for another topic gets that one. */
static void static_member_elsewhere(void **state)
{
	struct broker *broker = *state;
	struct swm_delivery delivery;
	struct swm_consumer *consumer;
	char name[128];
	struct swm_str before = {name, 0};
	struct swm_str topic;

	broker->config.group_instance_id = "bob";
	assert_int_equal(broker_open(broker), SWM_OK);
	topic = broker_topic(broker, "elsewhere-1");
	(void)snprintf(name, sizeof(name), "%s", topic.ptr);
	before.len = topic.len;
	topic = broker_topic(broker, "elsewhere-2");
	broker_fill(broker, before, 2);
	broker_fill(broker, topic, 2);
	consumer = broker_listen(broker, before, 0);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	assert_int_equal(number_of(&delivery), 0);
	assert_int_equal(delivery.source.len, topic.len);
	assert_memory_equal(delivery.source.ptr, topic.ptr, topic.len);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
}

/* What keeps a consumer out of its group for good is told. */
static void not_let_in(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic;
	struct swm_delivery delivery;

	broker->config.session_timeout_ms = 500; /* less than the broker allows */
	assert_int_equal(broker_open(broker), SWM_OK);
	topic = broker_topic(broker, "not-let-in");
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS / 4, &delivery), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(broker->err.message, "session timeout"));
	broker->ops->consumer_close(consumer);
}

/* Who listens to a topic that is deleted is told, and makes it anew. */
static void topic_deleted(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "deleted");
	struct swm_publisher *publisher;
	struct swm_delivery delivery;
	rd_kafka_t *stranger = stranger_connect(broker->brokers[0], RD_KAFKA_PRODUCER);
	swm_status status;
	int64_t until_ms = now_ms() + PATIENCE_MS;

	broker_property(broker, "topic.metadata.refresh.interval.ms", "1000");
	assert_int_equal(broker_open(broker), SWM_OK);
	publisher = broker_publisher(broker);
	broker_fill(broker, topic, 3);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	broker_drain(broker, consumer, 2);
	stranger_delete(stranger, topic);
	stranger_close(stranger);
	do {
		status = broker_wait(broker, consumer, PATIENCE_MS, &delivery);
	} while (status == SWM_OK);
	assert_int_equal(status, SWM_E_UNAVAILABLE);
	broker->ops->consumer_close(consumer);
	assert_int_equal(broker_publish(broker, publisher, topic, "no"), SWM_E_NOT_FOUND);
	do {
		status = broker->ops->consumer_open(
			broker->queue, &topic, 1, 0, &consumer, &broker->err);
	} while (status != SWM_OK && now_ms() < until_ms);
	assert_int_equal(status, SWM_OK);
	assert_int_equal(broker_publish(broker, publisher, topic, "yes"), SWM_OK);
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.id.len, 3);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, broker_set_up, broker_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offsets_after_a_crash),
		TEST(given_back),
		TEST(given_back_and_no_room),
		TEST(a_long_row),
		TEST(a_long_row_taken_away),
		TEST(another_joins),
		TEST(coming_and_going),
		TEST(static_members),
		TEST(static_member_elsewhere),
		TEST(not_let_in),
		TEST(topic_deleted),
	};

	return cmocka_run_group_tests_name("queue-kafka groups", tests, NULL, NULL);
}
