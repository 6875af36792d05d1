/* SPDX-License-Identifier: MIT */

/*
 * What AMQP makes of messages and names, what strangers send, who is let in and who is
 * not, and what is wrong in a configuration.
 */

#include "broker.h"

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

/* The id is the property message-id, the key comes along, headers have their names. */
static void properties_of_ours(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "ours");
	struct swm_publisher *publisher = broker_publisher(broker);
	const struct swm_header headers[] = {
		{STR("swm-attempt"), STR("1")},
		{STR("ce-type"), STR("swm.StartTask")},
		{STR("empty"), STR("")},
	};
	struct swm_message message = message_to(queue, "id-1", STR("{\"a\":1}"));
	swm_status result = SWM_E_INTERNAL;
	amqp_rpc_reply_t reply;
	amqp_message_t got;
	amqp_connection_state_t stranger = stranger_connect();
	union {
		const char *in;
		void *out;
	} name = {.in = queue.ptr};

	message.headers = headers;
	message.header_count = 3;
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &broker->err),
		SWM_OK);
	reply = amqp_basic_get(stranger, 1, (amqp_bytes_t){queue.len, name.out}, 1);
	assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
	assert_int_equal(reply.reply.id, AMQP_BASIC_GET_OK_METHOD);
	assert_int_equal(
		amqp_read_message(stranger, 1, &got, 0).reply_type, AMQP_RESPONSE_NORMAL);
	assert_int_equal(got.properties.delivery_mode, 2);
	assert_memory_equal(got.properties.message_id.bytes, "id-1", 4);
	assert_memory_equal(got.properties.content_type.bytes, "application/json", 16);
	assert_memory_equal(got.body.bytes, "{\"a\":1}", 7);
	/* Ours, the key, and perhaps one of the broker's. */
	assert_in_range(got.properties.headers.num_entries, 4, 5);
	amqp_destroy_message(&got);
	stranger_close(stranger);

	assert_int_equal(broker->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &broker->err),
		SWM_OK);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_delivery delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "id-1"));
	assert_true(is(delivery.key, "key"));
	assert_int_equal(delivery.header_count, 3);
	assert_string_equal(header_of(&delivery, "ce-type"), "swm.StartTask");
	assert_string_equal(header_of(&delivery, "empty"), "");
	assert_int_equal(delivery.attempt, 1);
	assert_int_equal(delivery.lease_until_ms, 0);
	broker_ack(broker, consumer, delivery.token);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

static void strangers_without_any_property(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "bare");
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	amqp_connection_state_t stranger = stranger_connect();
	struct swm_delivery delivery;

	stranger_publish(stranger, queue, NULL, STR("hello\0world"));
	stranger_publish(stranger, queue, NULL, STR(""));
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.body.len, 11);
	assert_memory_equal(delivery.body.ptr, "hello\0world", 11);
	assert_int_equal(delivery.id.len, 0);
	assert_int_equal(delivery.key.len, 0);
	assert_int_equal(delivery.header_count, 0);
	broker_ack(broker, consumer, delivery.token);
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.body.len, 0);
	broker_ack(broker, consumer, delivery.token);
	stranger_close(stranger);
	broker->ops->consumer_close(consumer);
}

static amqp_table_entry_t entry(const char *name, uint8_t kind)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name), .value.kind = kind};
}

/* Numbers become text; what has a structure, and what is said twice, is left out. */
static void strangers_with_odd_headers(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "odd");
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	amqp_connection_state_t stranger = stranger_connect();
	amqp_table_entry_t inner[] = {entry("x", AMQP_FIELD_KIND_I32)};
	amqp_table_entry_t entries[] = {
		entry("i64", AMQP_FIELD_KIND_I64),
		entry("i8", AMQP_FIELD_KIND_I8),
		entry("flag", AMQP_FIELD_KIND_BOOLEAN),
		entry("real", AMQP_FIELD_KIND_F64),
		entry("table", AMQP_FIELD_KIND_TABLE),
		entry("void", AMQP_FIELD_KIND_VOID),
		entry("time", AMQP_FIELD_KIND_TIMESTAMP),
		entry("twice", AMQP_FIELD_KIND_I32),
		entry("twice", AMQP_FIELD_KIND_I32),
		entry("swm-event-id", AMQP_FIELD_KIND_UTF8),
	};
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
			  AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_PRIORITY_FLAG,
		.headers = {sizeof(entries) / sizeof(entries[0]), entries},
		.message_id = amqp_cstring_bytes("from afar"),
		.reply_to = amqp_cstring_bytes("nobody"),
		.priority = 3,
	};
	struct swm_delivery delivery;

	entries[0].value.value.i64 = INT64_MIN;
	entries[1].value.value.i8 = -5;
	entries[2].value.value.boolean = 1;
	entries[3].value.value.f64 = 0.5;
	entries[4].value.value.table = (amqp_table_t){1, inner};
	entries[6].value.value.u64 = 1700000000;
	entries[7].value.value.i32 = 1;
	entries[8].value.value.i32 = 2;
	entries[9].value.value.bytes = amqp_cstring_bytes("e-1");
	stranger_publish(stranger, queue, &properties, STR("{}"));
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "from afar"));
	assert_string_equal(header_of(&delivery, "i64"), "-9223372036854775808");
	assert_string_equal(header_of(&delivery, "i8"), "-5");
	assert_string_equal(header_of(&delivery, "flag"), "true");
	assert_string_equal(header_of(&delivery, "real"), "0.5");
	assert_string_equal(header_of(&delivery, "time"), "1700000000");
	assert_string_equal(header_of(&delivery, "twice"), "1");
	assert_string_equal(header_of(&delivery, "swm-event-id"), "e-1");
	assert_null(header_of(&delivery, "table"));
	assert_null(header_of(&delivery, "void"));
	assert_int_equal(delivery.header_count, 7);
	broker_ack(broker, consumer, delivery.token);
	stranger_close(stranger);
	broker->ops->consumer_close(consumer);
}

/* A header as large as the broker lets through. */
static void strangers_with_a_large_header(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "wide");
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	amqp_connection_state_t stranger = stranger_connect();
	size_t bytes = 100000;
	char *text = calloc(1, bytes);
	amqp_table_entry_t entries[] = {entry("wide", AMQP_FIELD_KIND_UTF8)};
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_HEADERS_FLAG,
		.headers = {1, entries},
	};
	struct swm_delivery delivery;

	assert_non_null(text);
	memset(text, 'w', bytes);
	entries[0].value.value.bytes = (amqp_bytes_t){bytes, text};
	stranger_publish(stranger, queue, &properties, STR("{}"));
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.header_count, 1);
	assert_int_equal(delivery.headers[0].value.len, bytes);
	/* Ours are small enough for any frame, and this is told. */
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_message messages[2] = {
		message_to(queue, "wide", STR("{}")), message_to(queue, "good", STR("{}"))};
	swm_status results[2];
	messages[0].headers = delivery.headers;
	messages[0].header_count = 1;
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, messages, 2, PATIENCE_MS, results, &broker->err),
		SWM_E_TOO_LARGE);
	assert_int_equal(results[1], SWM_OK);
	broker->ops->publisher_close(publisher);
	broker_ack(broker, consumer, delivery.token);
	broker_drain(broker, consumer, 1);
	stranger_close(stranger);
	broker->ops->consumer_close(consumer);
	free(text);
}

static void more_than_max_message(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "long");
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	struct swm_publisher *publisher = broker_publisher(broker);
	amqp_connection_state_t stranger = stranger_connect();
	size_t limit = (size_t)broker->config.message_bytes_max;
	char *text = calloc(1, limit + 300000);
	struct swm_str body = {text, limit + 300000};
	struct swm_message message = message_to(queue, "long", body);
	swm_status result = SWM_OK;
	struct swm_delivery delivery;

	assert_non_null(text);
	memset(text, 'x', body.len);
	assert_int_equal(broker->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &broker->err),
		SWM_E_TOO_LARGE);
	stranger_publish(stranger, queue, NULL, body);
	stranger_publish(stranger, queue, NULL, STR("next"));
	delivery = broker_next(broker, consumer);
	assert_int_equal(delivery.body.len, limit);
	assert_memory_equal(delivery.body.ptr, text, limit);
	assert_non_null(strstr(broker->logged, "is cut"));
	broker_ack(broker, consumer, delivery.token);
	assert_true(is(broker_next(broker, consumer).body, "next"));
	stranger_close(stranger);
	broker->ops->publisher_close(publisher);
	broker->ops->consumer_close(consumer);
	free(text);
}

static void nack(
	struct broker *broker, struct swm_consumer *consumer, uint64_t token, int64_t delay_ms)
{
	struct swm_settlement item = {.token = token, .action = SWM_NACK, .delay_ms = delay_ms};

	assert_int_equal(
		broker->ops->consumer_settle(consumer, &item, 1, &broker->err), SWM_OK);
}

/* A quorum queue counts; a classic one knows the first from the others. */
static void attempts(void **state)
{
	struct broker *broker = *state;

	for (int32_t type = 0; type < 2; type++) {
		broker->config.queue_type = type;
		assert_int_equal(broker_open(broker), SWM_OK);
		struct swm_str queue = broker_queue(broker, "attempts");
		struct swm_publisher *publisher = broker_publisher(broker);
		struct swm_consumer *consumer = broker_listen(broker, queue, 0);
		assert_int_equal(broker_publish(broker, publisher, queue, "m"), SWM_OK);
		for (uint32_t i = 1; i <= 4; i++) {
			struct swm_delivery delivery = broker_next(broker, consumer);
			assert_int_equal(delivery.attempt, type == 0 || i == 1 ? i : 0);
			assert_int_equal(delivery.redelivered, i > 1);
			assert_int_equal(delivery.header_count, 0);
			nack(broker, consumer, delivery.token, 0);
		}
		broker->ops->consumer_close(consumer);
		broker->ops->publisher_close(publisher);
	}
}

/* One that is put back with a delay does not come before, and keeps nothing else from
 * coming for long, not even when it takes the only place. */
static void delays(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "delays");
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, queue, 2);
	struct swm_delivery delivery;
	int64_t from_ms;

	assert_int_equal(broker_publish(broker, publisher, queue, "1"), SWM_OK);
	assert_int_equal(broker_publish(broker, publisher, queue, "2"), SWM_OK);
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "1"));
	from_ms = now_ms();
	nack(broker, consumer, delivery.token, 1500);
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "2"));
	broker_ack(broker, consumer, delivery.token);
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "1"));
	assert_true(now_ms() - from_ms >= 1500);
	nack(broker, consumer, delivery.token, 600000);
	/* Closing gives it back at once. */
	broker->ops->consumer_close(consumer);
	consumer = broker_listen(broker, queue, 1);
	for (int i = 0; i < 3; i++) {
		delivery = broker_next(broker, consumer);
		nack(broker, consumer, delivery.token, 2000);
		assert_int_equal(broker_publish(broker, publisher, queue, "3"), SWM_OK);
	}
	/* With three of them held back on one place, another one comes before they do. */
	from_ms = now_ms();
	delivery = broker_next(broker, consumer);
	assert_true(is(delivery.id, "3"));
	broker_ack(broker, consumer, delivery.token);
	assert_in_range(now_ms() - from_ms, 0, 1900);
	broker_drain(broker, consumer, 3);
	assert_true(now_ms() - from_ms >= 1000);
	assert_int_equal(broker_wait(broker, consumer, 300, &delivery), SWM_E_TIMEOUT);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
}

/* The results of a batch say which messages had no queue to go to. */
static void unroutable(void **state)
{
	enum {
		COUNT = 150
	};
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "there");
	struct swm_message messages[COUNT];
	swm_status results[COUNT];
	struct swm_publisher *publisher = broker_publisher(broker);

	for (size_t i = 0; i < COUNT; i++) {
		messages[i] = message_to(i % 3 == 1 ? STR("not-there") : queue,
			i % 2 == 0 ? "a" : "b", STR("{\"some\":\"body\"}"));
	}
	assert_int_equal(broker->ops->publisher_publish(publisher, messages, COUNT, PATIENCE_MS,
				 results, &broker->err),
		SWM_E_NOT_FOUND);
	assert_non_null(strstr(broker->err.message, "not-there"));
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(results[i], i % 3 == 1 ? SWM_E_NOT_FOUND : SWM_OK);
	}
	broker->ops->publisher_close(publisher);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	broker_drain(broker, consumer, COUNT - COUNT / 3);
	broker->ops->consumer_close(consumer);
}

static void missing_queues(void **state)
{
	struct broker *broker = *state;
	struct swm_str there = broker_queue(broker, "made");
	struct swm_str names[2] = {there, STR("never-made")};
	struct swm_consumer *consumer = NULL;
	int64_t depth = 0;

	broker->config.create_queues = false;
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->prepare(broker->queue, names, 1, &broker->err), SWM_OK);
	assert_int_equal(
		broker->ops->prepare(broker->queue, names, 2, &broker->err), SWM_E_NOT_FOUND);
	assert_non_null(strstr(broker->err.message, "never-made"));
	assert_int_equal(
		broker->ops->consumer_open(broker->queue, names, 2, 0, &consumer, &broker->err),
		SWM_E_NOT_FOUND);
	assert_int_equal(broker->ops->depth(broker->queue, names[1], &depth, &broker->err),
		SWM_E_NOT_FOUND);
	/* The connection lives on. */
	assert_int_equal(
		broker->ops->depth(broker->queue, there, &depth, &broker->err), SWM_OK);
}

static void names_not_allowed(void **state)
{
	struct broker *broker = *state;
	char longest[256];
	struct swm_str names[] = {
		STR(""), STR("amq.mine"), STR("line\nbreak"), STR("nul\0"), {longest, 256}};
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_str good = {longest, 255};

	memset(longest, 'n', sizeof(longest));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(
			broker->ops->prepare(broker->queue, &names[i], 1, &broker->err),
			SWM_E_INVALID);
		assert_int_equal(
			broker_publish(broker, publisher, names[i], "m"), SWM_E_INVALID);
	}
	assert_int_equal(broker->ops->prepare(broker->queue, &good, 1, &broker->err), SWM_OK);
	assert_int_equal(broker_publish(broker, publisher, good, "m"), SWM_OK);
	broker->ops->publisher_close(publisher);
}

/* A queue that exists is taken as it is. */
static void other_arguments(void **state)
{
	static const struct swm_pair pairs[] = {{"x-max-length", "1000"}};
	static const struct swm_pair wrong[] = {{"x-max-length", "many"}};
	struct broker *broker = *state;
	struct swm_str queue = broker_queue(broker, "quorum");
	struct swm_str names[3] = {queue, STR("fresh-with-arguments"), queue};
	struct swm_str none = STR("never-with-wrong-arguments");

	broker->config.queue_type = 1;
	broker->config.queue_arguments = (struct swm_map){pairs, 1};
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->prepare(broker->queue, names, 3, &broker->err), SWM_OK);
	struct swm_consumer *consumer = broker_listen(broker, queue, 0);
	broker->ops->consumer_close(consumer);
	broker->config.queue_arguments = (struct swm_map){wrong, 1};
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->prepare(broker->queue, names, 3, &broker->err), SWM_OK);
	assert_int_equal(
		broker->ops->prepare(broker->queue, &none, 1, &broker->err), SWM_E_DENIED);
	assert_non_null(strstr(broker->err.message, "x-max-length"));
}

static void rights(void **state)
{
	struct broker *broker = *state;
	const char *vhost = broker_setting("SWM_TEST_RABBITMQ_VHOST");
	struct swm_str queue = broker_queue(broker, "rights");
	struct swm_str other = STR("not-mine-to-make");
	struct swm_publisher *publisher = NULL;
	struct swm_consumer *consumer = NULL;
	char user[64];

	(void)snprintf(user, sizeof(user), "user-%s", vhost);
	broker_set_url(broker, "amqp", user, "127.0.0.1", "SWM_TEST_RABBITMQ_URL");
	broker->config.password = "wrong";
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->publisher_open(broker->queue, &publisher, &broker->err),
		SWM_E_DENIED);
	broker_service("ctl -q add_user %s s3cret", user);
	assert_int_equal(broker->ops->publisher_open(broker->queue, &publisher, &broker->err),
		SWM_E_DENIED);
	assert_null(strstr(broker->err.message, "wrong"));
	broker->config.password = "s3cret";
	assert_int_equal(broker_open(broker), SWM_OK);
	/* Known, but not on this virtual host. */
	assert_int_equal(
		broker->ops->prepare(broker->queue, &queue, 1, &broker->err), SWM_E_DENIED);
	broker_service("ctl -q set_permissions -p %s %s '^$' '^$' '^$'", vhost, user);
	/* The queue is there, though it may not be made. */
	assert_int_equal(broker->ops->prepare(broker->queue, &queue, 1, &broker->err), SWM_OK);
	assert_int_equal(
		broker->ops->prepare(broker->queue, &other, 1, &broker->err), SWM_E_DENIED);
	assert_int_equal(broker->ops->consumer_open(
				 broker->queue, &queue, 1, 0, &consumer, &broker->err),
		SWM_E_DENIED);
	publisher = broker_publisher(broker);
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_DENIED);
	assert_int_equal(broker_publish(broker, publisher, queue, "no"), SWM_E_DENIED);

	/* Rights that are given heal it, on the same publisher. */
	broker_service("ctl -q set_permissions -p %s %s '^$' '.*' '.*'", vhost, user);
	swm_status status;
	int64_t from_ms = now_ms();
	do {
		status = broker_publish(broker, publisher, queue, "yes");
	} while (status == SWM_E_DENIED && now_ms() - from_ms < PATIENCE_MS);
	assert_int_equal(status, SWM_OK);
	consumer = broker_listen(broker, queue, 0);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
	broker_service("ctl -q delete_user %s", user);
}

static swm_status try_tls(struct broker *broker, const char *host, const char *ca)
{
	struct swm_str queue = STR("tls");

	broker_set_url(broker, "amqps", "swm", host, "SWM_TEST_RABBITMQ_TLS_URL");
	broker->config.tls_ca = broker_setting(ca);
	assert_int_equal(broker_open(broker), SWM_OK);
	return broker->ops->prepare(broker->queue, &queue, 1, &broker->err);
}

static void tls(void **state)
{
	struct broker *broker = *state;

	assert_int_equal(try_tls(broker, "localhost", "SWM_TEST_RABBITMQ_CA"), SWM_OK);
	struct swm_publisher *publisher = broker_publisher(broker);
	struct swm_consumer *consumer = broker_listen(broker, STR("tls"), 0);
	assert_int_equal(broker_publish(broker, publisher, STR("tls"), "m"), SWM_OK);
	broker_drain(broker, consumer, 1);
	broker->ops->consumer_close(consumer);
	broker->ops->publisher_close(publisher);
	assert_int_equal(
		try_tls(broker, "localhost", "SWM_TEST_RABBITMQ_WRONG_CA"), SWM_E_DENIED);
	assert_non_null(strstr(broker->err.message, "verification"));
	/* The certificate has this address, but the client library looks for names alone. */
	assert_int_equal(try_tls(broker, "127.0.0.1", "SWM_TEST_RABBITMQ_CA"), SWM_E_DENIED);
	assert_non_null(strstr(broker->err.message, "hostname"));
}

static void assert_config(struct broker *broker, const char *url, const char *says)
{
	broker->config.url = url;
	assert_int_equal(broker_open(broker), SWM_E_CONFIG);
	assert_non_null(strstr(broker->err.message, says));
	assert_null(strstr(broker->err.message, "hunter2"));
}

static void wrong_configurations(void **state)
{
	struct broker *broker = *state;
	static const struct swm_pair type[] = {{"x-queue-type", "stream"}};

	assert_config(broker, "http://hunter2@here", "amqp://");
	assert_config(broker, "amqp://swm:hunter2@localhost/", "password");
	assert_config(broker, "amqp://swm@localhost:port/", "amqp://");
	broker->config.tls_ca = "/nowhere/ca.pem";
	assert_config(broker, "amqps://swm@localhost/", "/nowhere/ca.pem");
	assert_config(broker, "amqp://swm@localhost/", "amqps");
	broker->config.tls_ca = NULL;
	broker->config.tls_cert = "/etc/hostname";
	assert_config(broker, "amqps://swm@localhost/", "go together");
	broker->config.tls_cert = NULL;
	broker->config.queue_arguments = (struct swm_map){type, 1};
	assert_config(broker, "amqp://swm@localhost/", "queue_type");
	broker->config.queue_arguments = (struct swm_map){0};
	broker->config.password = NULL;
	assert_config(broker, "amqp://swm@localhost/", "password");
}

static void nobody_there(void **state)
{
	struct broker *broker = *state;
	struct swm_str queue = STR("q");
	struct swm_consumer *consumer = NULL;
	struct swm_publisher *publisher = NULL;

	broker->config.url = "amqp://swm@127.0.0.1:1/";
	assert_int_equal(broker_open(broker), SWM_OK);
	assert_int_equal(broker->ops->prepare(broker->queue, &queue, 1, &broker->err),
		SWM_E_UNAVAILABLE);
	assert_non_null(strstr(broker->err.message, "127.0.0.1:1/"));
	assert_int_equal(broker->ops->consumer_open(
				 broker->queue, &queue, 1, 0, &consumer, &broker->err),
		SWM_E_UNAVAILABLE);
	assert_int_equal(broker->ops->publisher_open(broker->queue, &publisher, &broker->err),
		SWM_E_UNAVAILABLE);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, broker_set_up, broker_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(properties_of_ours),
		TEST(strangers_without_any_property),
		TEST(strangers_with_odd_headers),
		TEST(strangers_with_a_large_header),
		TEST(more_than_max_message),
		TEST(attempts),
		TEST(delays),
		TEST(unroutable),
		TEST(missing_queues),
		TEST(names_not_allowed),
		TEST(other_arguments),
		TEST(rights),
		TEST(tls),
		TEST(wrong_configurations),
		TEST(nobody_there),
	};

	return cmocka_run_group_tests_name("queue-rabbitmq messages", tests, NULL, NULL);
}
