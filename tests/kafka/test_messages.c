/* SPDX-License-Identifier: MIT */

/*
 * What Kafka makes of messages and names, what strangers send, who is let in and who is
 * not, and what is wrong in a configuration.
 */

#include "broker.h"

#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(struct swm_str text, const char *expected)
{
	return text.len == strlen(expected) && memcmp(text.ptr, expected, text.len) == 0;
}

/* The value of a header, as a string that lives until the next call; NULL: none. */
static const char *header_of(const struct swm_delivery *delivery, const char *name)
{
	static char value[256];

	for (size_t i = 0; i < delivery->header_count; i++) {
		if (is(delivery->headers[i].name, name)) {
			(void)snprintf(value, sizeof(value), "%.*s",
				(int)delivery->headers[i].value.len,
				delivery->headers[i].value.ptr);
			return value;
		}
	}
	return NULL;
}

/* What a client of Kafka's sees of a message of ours: it is read from the start. */
static rd_kafka_message_t *read_as_stranger(rd_kafka_t *stranger, struct swm_str topic)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_message_t *message = NULL;
	int64_t until_ms = now_ms() + PATIENCE_MS;

	rd_kafka_topic_partition_list_add(list, topic.ptr, 0)->offset =
		RD_KAFKA_OFFSET_BEGINNING;
	assert_int_equal(rd_kafka_assign(stranger, list), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_topic_partition_list_destroy(list);
	while (message == NULL && now_ms() < until_ms) {
		message = rd_kafka_consumer_poll(stranger, 500);
	}
	if (message == NULL) {
		fail_msg("no message for the stranger");
		return NULL;
	}
	assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
	return message;
}

static void assert_header(rd_kafka_message_t *message, const char *name, const char *expected)
{
	rd_kafka_headers_t *headers = NULL;
	const void *value = NULL;
	size_t size = 0;

	assert_int_equal(
		rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &size),
		RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_non_null(value);
	assert_int_equal(size, strlen(expected));
	assert_memory_equal(value, expected, size);
}

/* The key is the key, the id a header, and CloudEvents' names are those of Kafka. */
static void properties_of_ours(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "ours");
	struct swm_publisher *publisher = broker_publisher(broker);
	const struct swm_header headers[] = {
		{STR("swm-attempt"), STR("1")},
		{STR("ce-type"), STR("swm.StartTask")},
		{STR("empty"), STR("")},
		{STR("bytes"), STR("a\0b")},
	};
	struct swm_message message = message_to(topic, "id-1", STR("{\"a\":1}"));
	swm_status result = SWM_E_INTERNAL;
	rd_kafka_t *stranger = stranger_connect(broker->brokers[0], RD_KAFKA_CONSUMER);
	rd_kafka_message_t *seen;

	message.headers = headers;
	message.header_count = 4;
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &broker->err),
		SWM_OK);
	seen = read_as_stranger(stranger, topic);
	assert_int_equal(seen->key_len, 3);
	assert_memory_equal(seen->key, "key", 3);
	assert_int_equal(seen->len, 7);
	assert_header(seen, "swm-message-id", "id-1");
	assert_header(seen, "ce_type", "swm.StartTask");
	assert_header(seen, "content-type", "application/json");
	assert_header(seen, "empty", "");
	rd_kafka_message_destroy(seen);
	stranger_close(stranger);

	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	struct swm_delivery delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "id-1"));
	assert_true(is(delivery.key, "key"));
	assert_int_equal(delivery.header_count, 5);
	assert_string_equal(header_of(&delivery, "ce-type"), "swm.StartTask");
	assert_string_equal(header_of(&delivery, "content-type"), "application/json");
	assert_string_equal(header_of(&delivery, "empty"), "");
	for (size_t i = 0; i < delivery.header_count; i++) {
		if (is(delivery.headers[i].name, "bytes")) {
			assert_int_equal(delivery.headers[i].value.len, 3);
			assert_memory_equal(delivery.headers[i].value.ptr, "a\0b", 3);
		}
	}
	assert_int_equal(delivery.attempt, 0);
	assert_int_equal(delivery.lease_until_ms, 0);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

/* Without key, value and headers; the id is then the place in the log, and stays. */
static void strangers_with_nothing(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "bare");
	rd_kafka_t *stranger = stranger_connect(broker->brokers[0], RD_KAFKA_PRODUCER);
	struct swm_delivery delivery;
	char id[512];
	char place[512];

	stranger_publish(stranger, topic, NULL, 0, NULL, NULL, 0);
	stranger_publish(stranger, topic, NULL, 0, NULL, "hello\0world", 11);
	stranger_close(stranger);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.body.len, 0);
	assert_int_equal(delivery.key.len, 0);
	assert_int_equal(delivery.header_count, 0);
	(void)snprintf(id, sizeof(id), "%.*s", (int)delivery.id.len, delivery.id.ptr);
	(void)snprintf(place, sizeof(place), "%s/0/0/", topic.ptr);
	assert_memory_equal(id, place, strlen(place));
	assert_true(strlen(id) > strlen(place));
	assert_int_equal(broker_settle(broker, consumer, delivery.token, SWM_NACK, 0), SWM_OK);
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, id));
	assert_int_equal(delivery.redelivered, 1);
	broker_ack(broker, consumer, delivery.token);
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.body.len, 11);
	assert_memory_equal(delivery.body.ptr, "hello\0world", 11);
	assert_int_equal(delivery.redelivered, 0);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
}

/* A name twice, a header without a value, bytes of all kinds, and very many. */
static void strangers_with_odd_headers(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "odd");
	rd_kafka_t *stranger = stranger_connect(broker->brokers[0], RD_KAFKA_PRODUCER);
	rd_kafka_headers_t *headers = rd_kafka_headers_new(400);
	struct swm_delivery delivery;

	assert_int_equal(rd_kafka_header_add(headers, "twice", -1, "1", 1), 0);
	assert_int_equal(rd_kafka_header_add(headers, "void", -1, NULL, 0), 0);
	assert_int_equal(rd_kafka_header_add(headers, "twice", -1, "2", 1), 0);
	assert_int_equal(rd_kafka_header_add(headers, "ce_type", -1, "theirs", -1), 0);
	assert_int_equal(rd_kafka_header_add(headers, "ce-type", -1, "ours", -1), 0);
	assert_int_equal(rd_kafka_header_add(headers, "", 0, "unnamed", -1), 0);
	assert_int_equal(rd_kafka_header_add(headers, "swm-event-id", -1, "e-1", -1), 0);
	assert_int_equal(
		rd_kafka_header_add(headers, "swm-message-id", -1, "from afar", -1), 0);
	for (int i = 0; i < 390; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "h%d", i);
		assert_int_equal(rd_kafka_header_add(headers, name, -1, "\xff\0\x01", 3), 0);
	}
	stranger_publish(stranger, topic, "\0\xff", 2, headers, "{}", 2);
	stranger_close(stranger);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "from afar"));
	assert_int_equal(delivery.key.len, 2);
	assert_memory_equal(delivery.key.ptr, "\0\xff", 2);
	assert_string_equal(header_of(&delivery, "twice"), "1");
	assert_string_equal(header_of(&delivery, "void"), "");
	assert_string_equal(header_of(&delivery, "ce-type"), "theirs");
	assert_string_equal(header_of(&delivery, "swm-event-id"), "e-1");
	assert_null(header_of(&delivery, "ce_type"));
	assert_null(header_of(&delivery, "swm-message-id"));
	assert_int_equal(delivery.header_count, 256);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
}

static void headers_of_ours_that_cannot_be(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "headers");
	struct swm_publisher *publisher = broker_publisher(broker);
	const struct swm_header zero = {STR("a\0b"), STR("1")};
	const struct swm_header replaced = {STR("swm-message-id"), STR("not this")};
	struct swm_message messages[2] = {
		message_to(topic, "zero", STR("{}")), message_to(topic, "good", STR("{}"))};
	swm_status results[2];

	messages[0].headers = &zero;
	messages[0].header_count = 1;
	messages[1].headers = &replaced;
	messages[1].header_count = 1;
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, 2, PATIENCE_MS, results, &broker->err),
		SWM_E_INVALID);
	assert_int_equal(results[0], SWM_E_INVALID);
	assert_int_equal(results[1], SWM_OK);
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	struct swm_delivery delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "good"));
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
}

/* Both by our own limit and by the broker's. */
static void too_large(void **state)
{
	struct broker *broker = *state;
	size_t limit = (size_t)broker->config.message_bytes_max;
	size_t large = (size_t)2 * 1024 * 1024;
	char *text = calloc(1, large);
	struct swm_str topic = broker_topic(broker, "large");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_message messages[3] = {
		message_to(topic, "over", (struct swm_str){text, limit + 1}),
		message_to(topic, "just", (struct swm_str){text, limit}),
		message_to(topic, "far over", (struct swm_str){text, large})};
	swm_status results[3];

	assert_non_null(text);
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, 2, PATIENCE_MS, results, &broker->err),
		SWM_E_TOO_LARGE);
	assert_non_null(strstr(broker->err.message, "max_message"));
	assert_int_equal(results[1], SWM_OK);
	broker->ops->publisher_close(publisher);

	broker->config.message_bytes_max = INT64_C(4) * 1024 * 1024;
	assert_int_equal(broker_open(broker), SWM_OK);
	publisher = broker_publisher(broker);
	assert_int_equal(broker->ops->publisher_publish(publisher, messages + 1, 2, PATIENCE_MS,
				 results, &broker->err),
		SWM_E_TOO_LARGE);
	assert_int_equal(results[0], SWM_OK);
	assert_int_equal(results[1], SWM_E_TOO_LARGE);
	broker->ops->publisher_close(publisher);
	free(text);
}

/* The results of a batch say which messages had no topic to go to; and once there is one,
 * the same publisher reaches it at once. */
static void no_such_topic(void **state)
{
	enum {
		COUNT = 90
	};
	struct broker *broker = *state;
	char missing[128];
	struct swm_str none = {missing, 0};
	struct swm_str topic;
	struct swm_message messages[COUNT];
	swm_status results[COUNT];
	struct swm_publisher *publisher = broker_publisher(broker);
	int64_t from_ms = now_ms();

	topic = broker_name(broker, "missing");
	(void)snprintf(missing, sizeof(missing), "%s", topic.ptr);
	none.len = topic.len;
	topic = broker_topic(broker, "there");
	for (size_t i = 0; i < COUNT; i++) {
		messages[i] = message_to(i % 3 == 1 ? none : topic, "a", STR("{}"));
	}
	assert_int_equal(broker->ops->publisher_publish(publisher, messages, COUNT, PATIENCE_MS,
				 results, &broker->err),
		SWM_E_NOT_FOUND);
	assert_within(from_ms, 0);
	assert_non_null(strstr(broker->err.message, missing));
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(results[i], i % 3 == 1 ? SWM_E_NOT_FOUND : SWM_OK);
	}
	assert_int_equal(broker->ops->prepare(broker->queue, &none, 1, &broker->err), SWM_OK);
	from_ms = now_ms();
	assert_int_equal(broker_publish(broker, publisher, none, "b"), SWM_OK);
	assert_within(from_ms, 0);
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);
	broker_drain(broker, consumer, COUNT - COUNT / 3);
	broker->ops->consumer_close(consumer);
}

static void missing_topics(void **state)
{
	struct broker *broker = *state;
	struct swm_str there = broker_topic(broker, "made");
	struct swm_str names[2] = {there, STR("never-made")};
	struct swm_consumer *consumer = NULL;
	int64_t depth = 0;

	broker->config.create_topics = false;
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->prepare(broker->queue, names, 1, &broker->err), SWM_OK);
	assert_int_equal(
		broker->ops->prepare(broker->queue, names, 2, &broker->err), SWM_E_NOT_FOUND);
	assert_non_null(strstr(broker->err.message, "never-made"));
	assert_non_null(strstr(broker->err.message, "create_topics"));
	assert_int_equal(
		broker->ops->consumer_open(broker->queue, names, 2, 0, &consumer, &broker->err),
		SWM_E_NOT_FOUND);
	assert_int_equal(broker->ops->depth(broker->queue, names[1], &depth, &broker->err),
		SWM_E_NOT_FOUND);
}

/* What is made has as many partitions as was said; a broker that cannot, says so. */
static void how_topics_are_made(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic;
	rd_kafka_t *stranger = stranger_connect(broker->brokers[0], RD_KAFKA_PRODUCER);
	const struct rd_kafka_metadata *known = NULL;
	rd_kafka_topic_t *handle;
	struct swm_str twice[2];

	broker->config.partitions = 5;
	broker->config.replication = 1;
	assert_int_equal(broker_open(broker), SWM_OK);
	topic = broker_name(broker, "five");
	twice[0] = topic;
	twice[1] = topic;
	assert_int_equal(broker->ops->prepare(broker->queue, twice, 2, &broker->err), SWM_OK);
	handle = rd_kafka_topic_new(stranger, topic.ptr, NULL);
	assert_int_equal(rd_kafka_metadata(stranger, 0, handle, &known, PATIENCE_MS),
		RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_int_equal(known->topics[0].partition_cnt, 5);
	rd_kafka_metadata_destroy(known);
	rd_kafka_topic_destroy(handle);
	stranger_close(stranger);

	broker->config.replication = 7;
	assert_int_equal(broker_open(broker), SWM_OK);
	topic = broker_name(broker, "seven");
	assert_int_not_equal(
		broker->ops->prepare(broker->queue, &topic, 1, &broker->err), SWM_OK);
	assert_non_null(strstr(broker->err.message, "replication"));
}

static void names_not_allowed(void **state)
{
	struct broker *broker = *state;
	char longest[250];
	struct swm_str names[] = {STR(""), STR("."), STR(".."), STR("a b"), STR("nul\0"),
		STR("^all.*"), STR("a/b"), STR("\xc3\xa4"), {longest, 250}};
	struct swm_publisher *publisher = broker_publisher(broker);

	memset(longest, 'n', sizeof(longest));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(
			broker->ops->prepare(broker->queue, &names[i], 1, &broker->err),
			SWM_E_INVALID);
		assert_int_equal(
			broker_publish(broker, publisher, names[i], "m"), SWM_E_INVALID);
	}
	broker->ops->publisher_close(publisher);
}

/* Everything that is wrong is told when the adapter is opened, and no value is repeated. */
static void wrong_configurations(void **state)
{
	static const struct swm_pair pairs[][1] = {
		{{"no.such.property", "hush-1"}},
		{{"fetch.wait.max.ms", "hush-2"}},
		{{"group.id", "hush-3"}},
		{{"enable.auto.commit", "hush-4"}},
		{{"compression.type", "hush-5"}},
		{{"partition.assignment.strategy", "cooperative-sticky"}},
	};
	struct broker *broker = *state;
	struct swm_queue_config good = broker->config;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		broker->config.client = (struct swm_map){pairs[i], 1};
		assert_int_equal(broker_open(broker), SWM_E_CONFIG);
		assert_null(strstr(broker->err.message, "hush"));
	}
	broker->config = good;
	broker->config.user = "somebody";
	assert_int_equal(broker_open(broker), SWM_E_CONFIG);
	broker->config = good;
	broker->config.tls_ca = "/nowhere";
	assert_int_equal(broker_open(broker), SWM_E_CONFIG);
	broker->config.tls = true;
	assert_int_equal(broker_open(broker), SWM_E_CONFIG);
	assert_non_null(strstr(broker->err.message, "ssl.ca.location"));
	broker->config = good;
	assert_int_equal(broker_open(broker), SWM_OK);
}

/* A property goes through to every client. */
static void own_properties(void **state)
{
	struct broker *broker = *state;
	struct swm_str topic = broker_topic(broker, "lz4");
	struct swm_publisher *publisher;

	broker_property(broker, "compression.type", "lz4");
	broker_property(broker, "debug", "msg");
	broker_property(broker, "max.poll.interval.ms", "5000");
	assert_int_equal(broker_open(broker), SWM_OK);
	publisher = broker_publisher(broker);
	assert_int_equal(broker_publish(broker, publisher, topic, "m"), SWM_OK);
	broker->ops->publisher_close(publisher);
	assert_true(broker_has_logged(broker, "Produce MessageSet"));
}

/* One message there and back, as the adapter is configured now. */
static void round_trip(struct broker *broker)
{
	assert_int_equal(broker_open(broker), SWM_OK);
	struct swm_str topic = broker_topic(broker, "secret");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, topic, 0);

	assert_int_equal(broker_publish(broker, publisher, topic, "m"), SWM_OK);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

/* Every call says DENIED, within its time, and why. */
static void refused(struct broker *broker, const char *reason)
{
	struct swm_str topic = broker_name(broker, "refused");
	struct swm_publisher *publisher = NULL;
	struct swm_consumer *consumer = NULL;
	int64_t from_ms = now_ms();

	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(
		broker->ops->prepare(broker->queue, &topic, 1, &broker->err), SWM_E_DENIED);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	assert_non_null(strstr(broker->err.message, reason));
	from_ms = now_ms();
	assert_int_equal(broker->ops->publisher_open(broker->queue, &publisher, &broker->err),
		SWM_E_DENIED);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	assert_int_equal(broker->ops->consumer_open(
				 broker->queue, &topic, 1, 0, &consumer, &broker->err),
		SWM_E_DENIED);
}

static void tls(void **state)
{
	struct broker *broker = *state;

	broker->args.call_timeout_ms = 1000;
	broker->brokers[0] = broker_setting("SWM_TEST_KAFKA_TLS_BROKERS");
	broker->config.tls = true;
	broker->config.tls_ca = broker_setting("SWM_TEST_KAFKA_WRONG_CA");
	refused(broker, "certificate verify failed");
	broker->args.call_timeout_ms = CALL_TIMEOUT_MS;
	broker->config.tls_ca = broker_setting("SWM_TEST_KAFKA_CA");
	round_trip(broker);
}

static void sasl(void **state)
{
	struct broker *broker = *state;
	static const char wrong[] = "hush-hush-hush";

	broker->args.call_timeout_ms = 1000;
	broker->brokers[0] = broker_setting("SWM_TEST_KAFKA_SASL_BROKERS");
	broker->config.tls = true;
	broker->config.tls_ca = broker_setting("SWM_TEST_KAFKA_CA");
	broker->config.sasl = SWM_KAFKA_SASL_PLAIN;
	broker->config.user = broker_setting("SWM_TEST_KAFKA_USER");
	broker->config.password = wrong;
	broker_property(broker, "debug", "all");
	refused(broker, "uthentication failed");
	assert_true(broker_has_logged(broker, "SASL"));
	assert_false(broker_has_logged(broker, wrong));
	assert_null(strstr(broker->err.message, wrong));
	broker->config.client.count = 0;
	broker->args.call_timeout_ms = CALL_TIMEOUT_MS;
	broker->config.password = broker_setting("SWM_TEST_KAFKA_PASSWORD");
	round_trip(broker);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, broker_set_up, broker_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(properties_of_ours),
		TEST(strangers_with_nothing),
		TEST(strangers_with_odd_headers),
		TEST(headers_of_ours_that_cannot_be),
		TEST(too_large),
		TEST(no_such_topic),
		TEST(missing_topics),
		TEST(how_topics_are_made),
		TEST(names_not_allowed),
		TEST(wrong_configurations),
		TEST(own_properties),
		TEST(tls),
		TEST(sasl),
	};

	return cmocka_run_group_tests_name("queue-kafka messages", tests, NULL, NULL);
}
