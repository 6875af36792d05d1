/* SPDX-License-Identifier: MIT */

/*
 * A broker that does not behave: frozen, restarted, killed; and a producer that fails for
 * good, on the library's own broker. On a broker of this program's own.
 *
 * Concurrency: none; what must not wait is timed.
 */

#include "broker.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 200

/* A call's time where many of them are to end by it. */
#define SHORT_MS 1500

static size_t count_results(const swm_status *results, size_t count, swm_status status)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		found += results[i] == status;
	}
	return found;
}

static void fill(struct swm_message *messages, size_t count, struct swm_str topic)
{
	for (size_t i = 0; i < count; i++) {
		messages[i] = message_to(topic, "during", STR("{}"));
	}
}

/* Every call returns within its time while the broker stands still; nothing that was
 * confirmed is lost, and afterwards the same publisher goes on. */
static void publishing_to_a_frozen_broker(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "frozen");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_message messages[MANY];
	swm_status results[MANY];
	size_t doubtful;
	int64_t from_ms;

	assert_int_equal(broker_publish(broker, publisher, topic, "before"), SWM_OK);
	fill(messages, MANY, topic);
	broker_service("freeze");
	from_ms = now_ms();
	assert_int_not_equal(broker->ops->publisher_publish(
				     publisher, messages, MANY, 1000, results, &broker->err),
		SWM_OK);
	assert_within(from_ms, 1000);
	doubtful = count_results(results, MANY, SWM_E_INDOUBT);
	assert_in_range(doubtful, 1, MANY);
	assert_int_equal(doubtful + count_results(results, MANY, SWM_E_TIMEOUT), MANY);

	/* Nothing more is poured into it. */
	from_ms = now_ms();
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, 500, results, &broker->err),
		SWM_E_TIMEOUT);
	assert_within(from_ms, 500);
	assert_int_equal(count_results(results, MANY, SWM_E_TIMEOUT), MANY);
	broker_service("thaw");

	assert_int_equal(broker_publish(broker, publisher, topic, "after"), SWM_OK);
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	broker_drain(broker, consumer, doubtful + 2);
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
}

/* Everything else returns in time as well. */
static void the_rest_on_a_frozen_broker(void **state)
{
	struct broker *broker = *state;
	bool last = false;
	struct swm_str topic = broker_topic(broker, "still");
	struct swm_publisher *publisher;
	struct swm_consumer *consumer;
	struct swm_consumer *other = NULL;
	struct swm_publisher *another = NULL;
	struct swm_delivery delivery;
	int64_t depth = 0;
	int64_t from_ms;

	broker_fill(broker, topic, 3);
	broker->args.call_timeout_ms = SHORT_MS;
	assert_int_equal(broker_open(broker), SWM_OK);
	publisher = broker_publisher(broker);
	consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	broker_service("freeze");
	from_ms = now_ms();
	broker_ack(broker, consumer, delivery.token);
	assert_within(from_ms, 0);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->prepare(broker->queue, &topic, 1, &broker->err), SWM_OK);
	assert_within(from_ms, SHORT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->depth(broker->queue, topic, &depth, &broker->err), SWM_OK);
	assert_within(from_ms, SHORT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->consumer_open(broker->queue, &topic, 1, 0, &other, &broker->err),
		SWM_OK);
	assert_within(from_ms, SHORT_MS);
	from_ms = now_ms();
	assert_int_not_equal(
		broker->ops->publisher_open(broker->queue, &another, &broker->err), SWM_OK);
	assert_within(from_ms, SHORT_MS);
	from_ms = now_ms();
	broker->ops->consumer_close(consumer);
	assert_within(from_ms, SHORT_MS);
	from_ms = now_ms();
	broker->ops->publisher_close(publisher);
	assert_within(from_ms, SHORT_MS);
	broker_service("thaw");
	sleep_ms(1000); /* what was left to itself ends */
	broker->args.call_timeout_ms = CALL_TIMEOUT_MS;
	assert_int_equal(broker_open(broker), SWM_OK);
	/* Whether the acknowledgement arrived nobody knows; what was not settled is there. */
	consumer = broker_listen(broker, topic, 0);
	do {
		delivery = broker_next(broker, consumer);
		last = number_of(&delivery) == 2;
		broker_ack(broker, consumer, delivery.token);
	} while (!last);
	broker->ops->consumer_close(consumer);
}

/* Consumers and publishers live through it: what was confirmed comes, and comes once it
 * is finished no more. */
static void restarted(struct broker *broker, const char *name,
	void (*restart)(struct broker *, struct swm_publisher *, struct swm_str))
{
	struct swm_str topic = broker_topic(broker, name);
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer;
	struct swm_delivery delivery;
	struct swm_message messages[MANY];
	swm_status results[MANY];
	bool seen[3] = {false};
	swm_status status;

	broker_fill(broker, topic, 2);
	consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	restart(broker, publisher, topic);
	fill(messages, MANY, topic);
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, PATIENCE_MS, results, &broker->err),
		SWM_OK);
	status = broker_settle(broker, consumer, delivery.token, SWM_ACK, 0);
	assert_true(status == SWM_OK || status == SWM_E_CONFLICT);
	for (size_t count = 0; count < MANY || !seen[1];) {
		delivery = broker_next(broker, consumer);
		if (delivery.body.len == 1) {
			seen[number_of(&delivery)] = true;
		} else {
			count++;
		}
		(void)broker_settle(broker, consumer, delivery.token, SWM_ACK, 0);
	}
	broker->ops->publisher_close(publisher);
	broker->ops->consumer_close(consumer);
	consumer = broker_listen(broker, topic, 0);
	broker_nothing(broker, consumer);
	broker->ops->consumer_close(consumer);
}

static void kill_it(
	struct broker *broker, struct swm_publisher *publisher, struct swm_str topic)
{
	(void)broker;
	(void)publisher;
	(void)topic;
	broker_service("restart KILL");
}

static void broker_killed(void **state)
{
	restarted(*state, "killed", kill_it);
}

/* While there is none at all, every call says so in time. */
static void calls_between(
	struct broker *broker, struct swm_publisher *publisher, struct swm_str topic)
{
	struct swm_message message = message_to(topic, "m", STR("{}"));
	swm_status result = SWM_OK;
	int64_t from_ms;

	broker_service("stop");
	from_ms = now_ms();
	assert_int_not_equal(broker->ops->publisher_publish(
				     publisher, &message, 1, 1000, &result, &broker->err),
		SWM_OK);
	assert_within(from_ms, 1000);
	/* It is not sent, so it is one less that comes. */
	assert_true(result == SWM_E_TIMEOUT || result == SWM_E_UNAVAILABLE);
	from_ms = now_ms();
	assert_int_equal(broker->ops->prepare(broker->queue, &topic, 1, &broker->err),
		SWM_E_UNAVAILABLE);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	broker_service("start");
}

static void broker_restarted(void **state)
{
	restarted(*state, "restarted", calls_between);
}

/* The library's own broker, which fails as it is told. */
struct mock {
	rd_kafka_t *rk;
	rd_kafka_mock_cluster_t *cluster;
};

static void mock_begin(struct broker *broker, struct mock *mock, struct swm_str topic)
{
	mock->rk = stranger_connect("nowhere:1", RD_KAFKA_PRODUCER);
	mock->cluster = rd_kafka_mock_cluster_new(mock->rk, 1);
	assert_non_null(mock->cluster);
	assert_int_equal(rd_kafka_mock_topic_create(mock->cluster, topic.ptr, 1, 1),
		RD_KAFKA_RESP_ERR_NO_ERROR);
	broker->brokers[0] = rd_kafka_mock_cluster_bootstraps(mock->cluster);
	broker->config.create_topics = false;
	assert_int_equal(broker_open(broker), SWM_OK);
}

static void mock_end(struct broker *broker, struct mock *mock)
{
	broker_close(broker);
	rd_kafka_mock_cluster_destroy(mock->cluster);
	rd_kafka_destroy(mock->rk);
}

/* A producer that has failed for good is replaced within the call, and by the next one
 * that needs it. */
static void producer_fails(void **state)
{
	enum {
		INIT_PRODUCER_ID = 22
	};
	struct broker *broker = *state;
	struct swm_str topic = broker_name(broker, "fatal");
	struct swm_message messages[MANY];
	swm_status results[MANY];
	struct mock mock;

	mock_begin(broker, &mock, topic);
	fill(messages, MANY, topic);
	rd_kafka_mock_push_request_errors(mock.cluster, INIT_PRODUCER_ID, 1,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	struct swm_publisher *publisher = broker_publisher(broker);
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, PATIENCE_MS, results, &broker->err),
		SWM_OK);
	assert_int_equal(broker->counted, 1);
	assert_true(broker_has_logged(broker, "the producer has failed"));

	/* And one that never works is not made for ever. */
	broker->ops->publisher_close(publisher);
	rd_kafka_mock_push_request_errors(mock.cluster, INIT_PRODUCER_ID, 5,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
		RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
	publisher = broker_publisher(broker);
	assert_int_not_equal(broker->ops->publisher_publish(publisher, messages, MANY,
				     PATIENCE_MS, results, &broker->err),
		SWM_OK);
	assert_int_equal(count_results(results, MANY, SWM_OK), 0);
	broker->ops->publisher_close(publisher);
	mock_end(broker, &mock);
}

/* What the broker says of single messages is what is told of them. */
static void errors_of_messages(void **state)
{
	enum {
		PRODUCE = 0
	};
	static const struct {
		rd_kafka_resp_err_t code;
		swm_status status;
	} cases[] = {
		{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, SWM_E_TOO_LARGE},
		{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, SWM_E_DENIED},
		{RD_KAFKA_RESP_ERR_INVALID_RECORD, SWM_E_INVALID},
		{RD_KAFKA_RESP_ERR_POLICY_VIOLATION, SWM_E_INVALID},
	};
	struct broker *broker = *state;
	struct swm_str topic = broker_name(broker, "errors");
	struct mock mock;

	broker->config.idempotence = false;
	mock_begin(broker, &mock, topic);
	struct swm_publisher *publisher = broker_publisher(broker);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, cases[i].code);
		assert_int_equal(
			broker_publish(broker, publisher, topic, "bad"), cases[i].status);
		assert_int_equal(broker_publish(broker, publisher, topic, "good"), SWM_OK);
	}
	/* What heals by itself is not told at all. */
	rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 2,
		RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
	assert_int_equal(broker_publish(broker, publisher, topic, "good"), SWM_OK);
	broker->ops->publisher_close(publisher);
	mock_end(broker, &mock);
}

/* A batch that is refused for one message, or because it is too long itself, says nothing
 * of the others in it. */
static void batches_refused(void **state)
{
	enum {
		PRODUCE = 0
	};
	static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
		RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_RECORD};
	struct broker *broker = *state;
	struct swm_str topic = broker_name(broker, "batches");
	struct swm_message messages[MANY];
	swm_status results[MANY];
	struct mock mock;

	mock_begin(broker, &mock, topic);
	fill(messages, MANY, topic);
	struct swm_publisher *publisher = broker_publisher(broker);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 1, codes[i]);
		assert_int_equal(broker->ops->publisher_publish(publisher, messages, MANY,
					 PATIENCE_MS, results, &broker->err),
			SWM_OK);
	}
	/* The first one is refused again, alone. */
	rd_kafka_mock_push_request_errors(mock.cluster, PRODUCE, 2,
		RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, MANY, PATIENCE_MS, results, &broker->err),
		SWM_E_TOO_LARGE);
	assert_int_equal(count_results(results, MANY, SWM_E_TOO_LARGE), 1);
	assert_int_equal(count_results(results, MANY, SWM_OK), MANY - 1);
	broker->ops->publisher_close(publisher);
	mock_end(broker, &mock);
}

/* A broker for one client alone, by a property of the library's. */
static void through_a_property(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_name(broker, "property");
	struct swm_publisher *publisher;

	broker->brokers[0] = "nowhere:1";
	broker_property(broker, "test.mock.num.brokers", "1");
	assert_int_equal(broker_open(broker), SWM_OK);
	publisher = broker_publisher(broker);
	assert_int_equal(broker_publish(broker, publisher, topic, "m"), SWM_OK);
	broker->ops->publisher_close(publisher);
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
		TEST(producer_fails),
		TEST(errors_of_messages),
		TEST(batches_refused),
		TEST(through_a_property),
		TEST(publishing_to_a_frozen_broker),
		TEST(the_rest_on_a_frozen_broker),
		TEST(broker_restarted),
		TEST(broker_killed),
	};

	return cmocka_run_group_tests_name("queue-kafka faults", tests, NULL, NULL);
}
