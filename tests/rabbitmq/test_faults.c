/* SPDX-License-Identifier: MIT */

/*
 * A broker that does not behave: frozen, out of memory, restarted, killed, and one that
 * closes connections and takes queues away. On a broker of this program's own.
 *
 * Concurrency: none; what must not wait is timed.
 */

#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 200

/* The call that has begun at `from_ms` may have taken so long. */
static void assert_within(int64_t from_ms, int64_t allowed_ms)
{
	int64_t took_ms = now_ms() - from_ms;

	if (took_ms > allowed_ms + SLACK_MS) {
		fail_msg("a call took %lld ms, at most %lld are allowed", (long long)took_ms,
			(long long)allowed_ms);
	}
}

static size_t count_results(const swm_status *results, size_t count, swm_status status)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		found += results[i] == status;
	}
	return found;
}

/* Every call returns within its time while the broker stands still; nothing that was
 * confirmed is lost, and afterwards the same publisher goes on. */
static void publishing_to_a_frozen_broker(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "frozen");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_message messages[MANY];
	swm_status results[MANY];
	int64_t from_ms;

	assert_int_equal(broker_publish(broker, publisher, queue, "before"), SWM_OK);
	for (size_t i = 0; i < MANY; i++) {
		messages[i] = message_to(queue, "during", STR("{}"));
	}
	broker_service("freeze");
	from_ms = now_ms();
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, 1000, results, &broker->err),
		SWM_E_INDOUBT);
	assert_within(from_ms, 1000);
	assert_int_equal(count_results(results, MANY, SWM_E_INDOUBT), MANY);
	assert_non_null(strstr(broker->err.message, "not confirmed"));

	/* Nothing more is poured into it. */
	from_ms = now_ms();
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, 500, results, &broker->err),
		SWM_E_TIMEOUT);
	assert_within(from_ms, 500);
	assert_int_equal(count_results(results, MANY, SWM_E_TIMEOUT), MANY);
	broker_service("thaw");

	assert_int_equal(broker_publish(broker, publisher, queue, "after"), SWM_OK);
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	broker_drain(broker, consumer, MANY + 2);
	broker->ops->consumer_close(consumer);
}

/* More than any socket's buffer holds: what is cut off in the middle of a message costs
 * the connection, and no other message is said to be sent. */
static void pour(struct broker *broker)
{
	enum {
		LARGE = 64
	};
	struct swm_str queue = broker_queue(broker, "poured");
	struct swm_publisher *publisher = broker_publisher(broker);
	size_t bytes = (size_t)256 * 1024;
	char *body = calloc(1, bytes);
	struct swm_message messages[LARGE];
	swm_status results[LARGE];
	int64_t from_ms;

	assert_non_null(body);
	for (size_t i = 0; i < LARGE; i++) {
		messages[i] = message_to(queue, "large", (struct swm_str){body, bytes});
	}
	broker_service("freeze");
	from_ms = now_ms();
	(void)broker->ops->publisher_publish(
		publisher, messages, LARGE, 1000, results, &broker->err);
	assert_within(from_ms, 1000);
	size_t doubtful = count_results(results, LARGE, SWM_E_INDOUBT);
	size_t unsent = count_results(results, LARGE, SWM_E_TIMEOUT) +
			count_results(results, LARGE, SWM_E_UNAVAILABLE);
	assert_int_equal(doubtful + unsent, LARGE);
	assert_in_range(unsent, 1, LARGE);
	from_ms = now_ms();
	broker->ops->publisher_close(publisher);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	broker_service("thaw");

	/* Those in doubt may be there, the others are not. */
	publisher = broker_publisher(broker);
	assert_int_equal(broker_publish(broker, publisher, queue, "last"), SWM_OK);
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	size_t received = 0;
	for (;;) {
		struct swm_delivery got = broker_next(broker, consumer);
		bool last = got.body.len == 2;
		assert_true(last ||
			    (got.body.len == bytes && memcmp(got.body.ptr, body, bytes) == 0));
		received += last ? 0 : 1;
		broker_ack(broker, consumer, got.token);
		if (last) {
			break;
		}
	}
	assert_in_range(received, 0, doubtful);
	broker->ops->consumer_close(consumer);
	free(body);
}

static void pouring_into_a_frozen_broker(void **state)
{
	pour(*state);
}

static void pouring_into_it_over_tls(void **state)
{
	struct broker *broker = *state;

	broker_set_url(broker, "amqps", "swm", "localhost", "SWM_TEST_RABBITMQ_TLS_URL");
	broker->config.tls_ca = broker_setting("SWM_TEST_RABBITMQ_CA");
	assert_int_equal(broker_open(broker), SWM_OK);
	pour(broker);
}

/* Everything else returns in time as well, and a consumer notices by the heartbeats that
 * are missing. */
static void the_rest_on_a_frozen_broker(void **state)
{
	struct broker *broker = *state;
	broker->config.heartbeat_ms = 5000;
	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_str queue = broker_queue(broker, "still");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_consumer *other = NULL;
	struct swm_publisher *another = NULL;
	struct swm_delivery delivery;
	int64_t depth = 0;
	int64_t from_ms;

	assert_int_equal(broker_publish(broker, publisher, queue, "m"), SWM_OK);
	delivery = broker_next(broker, consumer);
	/* Longer than the broker would wait for a silent one. */
	assert_int_equal(broker_wait(broker, consumer, 12000, &delivery), SWM_E_TIMEOUT);
	broker_service("freeze");
	broker_ack(broker, consumer, delivery.token);

	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->prepare(broker->queue, &queue, 1, &broker->err), SWM_OK);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->depth(broker->queue, queue, &depth, &broker->err), SWM_OK);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->consumer_open(broker->queue, &queue, 1, 0, &other, &broker->err),
		SWM_OK);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->publisher_open(broker->queue, &another, &broker->err), SWM_OK);
	assert_within(from_ms, CALL_TIMEOUT_MS);

	/* What the broker had sent before is heard now. */
	from_ms = now_ms();
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	assert_within(from_ms, 2 * broker->config.heartbeat_ms + 1000);
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	from_ms = now_ms();
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
	assert_within(from_ms, INT64_C(2) * CALL_TIMEOUT_MS);
	broker_service("thaw");
	assert_int_equal(broker->ops->prepare(broker->queue, &queue, 1, &broker->err), SWM_OK);
}

static void out_of_memory(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "alarm");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_message message = message_to(queue, "m", STR("{}"));
	swm_status result = SWM_OK;
	swm_status status;
	int64_t from_ms;

	assert_int_equal(broker_publish(broker, publisher, queue, "1"), SWM_OK);
	assert_int_equal(broker_publish(broker, publisher, queue, "2"), SWM_OK);
	broker_service("ctl -q set_vm_memory_high_watermark absolute 1");
	/* The broker says so to whoever publishes. */
	from_ms = now_ms();
	(void)broker->ops->publisher_publish(
		publisher, &message, 1, 1000, &result, &broker->err);
	assert_within(from_ms, 1000);
	assert_int_equal(result, SWM_E_INDOUBT);
	from_ms = now_ms();
	status = broker->ops->publisher_publish(
		publisher, &message, 1, 1000, &result, &broker->err);
	assert_int_equal(status, SWM_E_THROTTLED);
	assert_int_equal(result, SWM_E_THROTTLED);
	assert_within(from_ms, 0);
	assert_non_null(strstr(broker->err.message, "blocks publishers"));
	/* Acknowledgements do not wait behind it. */
	broker_drain(broker, consumer, 2);

	broker_service("ctl -q set_vm_memory_high_watermark absolute 1GB");
	from_ms = now_ms();
	do {
		status = broker->ops->publisher_publish(
			publisher, &message, 1, 1000, &result, &broker->err);
	} while (status == SWM_E_THROTTLED && now_ms() - from_ms < PATIENCE_MS);
	assert_int_equal(status, SWM_OK);
	broker_drain(broker, consumer, 2);
	broker->ops->publisher_close(publisher);
	broker->ops->consumer_close(consumer);
}

/* What was out comes again, and what was not sent is known not to be. */
static void connections_closed(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "closed");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_delivery delivery;

	assert_int_equal(broker_publish(broker, publisher, queue, "m"), SWM_OK);
	(void)broker_next(broker, consumer);
	broker_service("ctl -q close_all_connections -p %s test",
		broker_setting("SWM_TEST_RABBITMQ_VHOST"));
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_UNAVAILABLE);
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_UNAVAILABLE);
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	broker->ops->publisher_close(publisher);
	broker->ops->consumer_close(consumer);

	/* The adapter's own connection has gone as well, and is made anew. */
	assert_int_equal(broker->ops->prepare(broker->queue, &queue, 1, &broker->err), SWM_OK);
	consumer = broker_listen(broker, queue, 0);
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.redelivered, 1);
	broker_ack(broker, consumer, delivery.token);
	assert_int_equal(broker_wait(broker, consumer, 300, &delivery), SWM_E_TIMEOUT);
	broker->ops->consumer_close(consumer);
}

static void queue_deleted(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "deleted");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_delivery delivery;

	broker_service("ctl -q delete_queue -p %s %s",
		broker_setting("SWM_TEST_RABBITMQ_VHOST"), queue.ptr);
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(broker->err.message, queue.ptr));
	broker->ops->consumer_close(consumer);
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_NOT_FOUND);

	/* Who listens makes it anew, and the same publisher reaches it. */
	consumer = broker_listen(broker, queue, 0);
	assert_int_equal(broker_publish(broker, publisher, queue, "yes"), SWM_OK);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

/* Deletes a queue and declares it again before any channel of the broker hears of it. */
static void replace_queue(struct swm_str queue)
{
	broker_service(
		"ctl -q eval '"
		"Name = rabbit_misc:r(<<\"%s\">>, queue, <<\"%s\">>),"
		"Channels = rabbit_channel:list(),"
		"[ok = sys:suspend(Channel) || Channel <- Channels],"
		"{ok, Old} = rabbit_amqqueue:lookup(Name),"
		"{ok, _} = rabbit_amqqueue:delete(Old, false, false, <<\"swm\">>),"
		"{new, _} = rabbit_amqqueue:declare(Name, true, false,"
		"  [{<<\"x-queue-type\">>, longstr, <<\"quorum\">>}], none, <<\"swm\">>),"
		"[ok = sys:resume(Channel) || Channel <- Channels], ok.'",
		broker_setting("SWM_TEST_RABBITMQ_VHOST"), queue.ptr);
}

/* Brokers before version 4 give the consumers to the new queue and lose what it delivers
 * to them, if they are let. One that listens in spare places has been, for a moment. */
static void queue_replaced(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "replaced");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *small = broker_listen(broker, queue, 1);
	struct swm_consumer *consumer;
	struct swm_settlement later = {.action = SWM_NACK, .delay_ms = PATIENCE_MS};
	struct swm_delivery delivery;

	assert_int_equal(broker_publish(broker, publisher, queue, "held"), SWM_OK);
	later.token = broker_next(broker, small).token;
	assert_int_equal(broker->ops->consumer_settle(small, &later, 1, &broker->err), SWM_OK);
	assert_int_equal(broker_publish(broker, publisher, queue, "beside"), SWM_OK);
	broker_ack(broker, small, broker_next(broker, small).token);
	consumer = broker_listen(broker, queue, 0);

	replace_queue(queue);
	assert_int_equal(broker_publish(broker, publisher, queue, "kept"), SWM_OK);
	assert_int_equal(
		broker_wait(broker, consumer, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	assert_int_equal(broker_wait(broker, small, PATIENCE_MS, &delivery), SWM_E_UNAVAILABLE);
	broker->ops->consumer_close(consumer);
	broker->ops->consumer_close(small);
	consumer = broker_listen(broker, queue, 0);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

static void restarted(
	struct broker *broker, const char *name, const char *signal, int64_t settle_ms)
{
	struct swm_str queue = broker_queue(broker, name);
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_delivery delivery;
	struct swm_message messages[MANY];
	swm_status results[MANY];

	sleep_ms(settle_ms);
	for (size_t i = 0; i < MANY; i++) {
		messages[i] = message_to(queue, "m", STR("{}"));
	}
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, PATIENCE_MS, results, &broker->err),
		SWM_OK);
	broker_service("restart %s", signal);
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_UNAVAILABLE);
	broker->ops->publisher_close(publisher);
	/* What had been read before may be had, but not settled. */
	(void)broker_wait(broker, consumer, 1000, &delivery);
	broker->ops->consumer_close(consumer);

	consumer = broker_listen(broker, queue, 0);
	broker_drain(broker, consumer, MANY);
	assert_int_equal(broker_wait(broker, consumer, 300, &delivery), SWM_E_TIMEOUT);
	broker->ops->consumer_close(consumer);
}

static void broker_restarted(void **state)
{
	restarted(*state, "restarted", "", 0);
}

static void broker_killed(void **state)
{
	/* A quorum queue survives it once its members have written that there is one. */
	restarted(*state, "killed", "KILL", 8000);
}

/* A test that has failed may have left it frozen. */
static int heal(void **state)
{
	broker_service("thaw");
	return broker_tear_down(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, broker_set_up, heal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(publishing_to_a_frozen_broker),
		TEST(pouring_into_a_frozen_broker),
		TEST(pouring_into_it_over_tls),
		TEST(the_rest_on_a_frozen_broker),
		TEST(out_of_memory),
		TEST(connections_closed),
		TEST(queue_deleted),
		TEST(queue_replaced),
		TEST(broker_restarted),
		TEST(broker_killed),
	};

	return cmocka_run_group_tests_name("queue-rabbitmq faults", tests, NULL, NULL);
}
