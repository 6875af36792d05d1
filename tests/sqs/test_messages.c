/* SPDX-License-Identifier: MIT */

/*
 * What messages look like on SQS, whoever sends them: attributes, bodies, FIFO ids, names,
 * the sizes of batches. Through the proxy, which tells what was sent.
 *
 * Concurrency: none.
 */

#include "server.h"

#include "addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool str_is(struct swm_str text, const char *expected)
{
	return swm_sqs_str_is(text, expected);
}

static const struct swm_header *find_header(const struct swm_delivery *got, const char *name)
{
	for (size_t i = 0; i < got->header_count; i++) {
		if (str_is(got->headers[i].name, name)) {
			return &got->headers[i];
		}
	}
	return NULL;
}

/* All headers of a StartTask and one that SQS has no name for arrive, in five attributes. */
static void headers_in_five_attributes(void **state)
{
	const struct swm_header headers[] = {
		{STR("swm-message-id"), STR("m-1")},
		{STR("swm-attempt"), STR("3")},
		{STR("ce-specversion"), STR("1.0")},
		{STR("ce-id"), STR("m-1")},
		{STR("ce-source"), STR("/swm")},
		{STR("ce-type"), STR("swm.StartTask")},
		{STR("ce-subject"), STR("ITALIAN/ORDER-1")},
		{STR("not a name"), STR("x")},
		{STR("empty"), STR("")},
		{STR("bytes"), STR("\xff\x01")},
	};
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "headers");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_message message = message_to(queue, "m-1", STR("{}"));
	swm_status result = SWM_E_INTERNAL;

	message.headers = headers;
	message.header_count = sizeof(headers) / sizeof(headers[0]);
	free(proxy_log());
	assert_int_equal(server->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &server->err),
		SWM_OK);
	char *log = proxy_log();
	assert_int_equal(count_of(log, "DataType"), 5);
	assert_non_null(strstr(log, "\\\"swm-message-id\\\":"));
	assert_non_null(strstr(log, "\\\"swm-attempt\\\":"));
	assert_non_null(strstr(log, "\\\"ce-type\\\":"));
	free(log);
	server->ops->publisher_close(publisher);

	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery got = server_next(server, consumer);
	assert_true(str_is(got.id, "m-1"));
	assert_true(str_is(got.key, "key"));
	assert_int_equal(got.header_count, message.header_count);
	for (size_t i = 0; i < message.header_count; i++) {
		const struct swm_header *header = find_header(&got, headers[i].name.ptr);

		assert_non_null(header);
		assert_int_equal(header->value.len, headers[i].value.len);
		assert_memory_equal(
			header->value.ptr, headers[i].value.ptr, headers[i].value.len);
	}
	server->ops->consumer_close(consumer);
}

/* A JSON document stays readable for others, with what XML lacks as escapes; anything else
 * comes back byte for byte. */
static void bodies_that_sqs_does_not_allow(void **state)
{
	const struct {
		struct swm_str sent;
		struct swm_str received;
	} bodies[] = {
		{STR("{\"a\":\"\xef\xbf\xbf\xef\xbf\xbe\xef\xbf\xbd\"}"),
			STR("{\"a\":\"\\uffff\\ufffe\xef\xbf\xbd\"}")},
		{STR("{\xef\xbf\xbf"), STR("{\xef\xbf\xbf")},
		{STR("a\x01\x62"), STR("a\x01\x62")},
		{STR("\xc3"), STR("\xc3")},
		{STR(""), STR("")},
		{STR("\t\"\\\r\n"), STR("\t\"\\\r\n")},
	};
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "bodies");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_consumer *consumer = server_listen(server, queue, 1);

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct swm_message message = message_to(queue, "m", bodies[i].sent);
		swm_status result = SWM_E_INTERNAL;

		assert_int_equal(server->ops->publisher_publish(publisher, &message, 1,
					 PATIENCE_MS, &result, &server->err),
			SWM_OK);
		struct swm_delivery got = server_next(server, consumer);
		assert_int_equal(got.body.len, bodies[i].received.len);
		assert_memory_equal(got.body.ptr, bodies[i].received.ptr, got.body.len);
		assert_int_equal(
			server_settle(server, consumer, got.token, SWM_ACK, 0), SWM_OK);
	}
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
}

/* A stranger's message comes as it is: SQS's own id, no key, attributes of all types. */
static void a_strangers_message(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "stranger");

	free(stranger_call("SendMessage",
		"{'QueueUrl':'%s','MessageBody':'not JSON: \\u00e4\\ud83c\\udf55',"
		"'MessageAttributes':{"
		"'n':{'DataType':'Number','StringValue':'42'},"
		"'b':{'DataType':'Binary','BinaryValue':'AAH/'},"
		"'swm-headers':{'DataType':'String','StringValue':'3:abc'}}}",
		stranger_url(server, queue)));
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery got = server_next(server, consumer);
	assert_true(str_is(got.body, "not JSON: \xc3\xa4\xf0\x9f\x8d\x95"));
	assert_int_equal(got.id.len, 36);
	assert_int_equal(got.key.len, 0);
	assert_true(str_is(find_header(&got, "n")->value, "42"));
	assert_int_equal(find_header(&got, "b")->value.len, 3);
	assert_memory_equal(find_header(&got, "b")->value.ptr, "\0\1\xff", 3);
	assert_int_equal(got.attempt, 1);
	char id[36];
	memcpy(id, got.id.ptr, sizeof(id));
	assert_int_equal(server_settle(server, consumer, got.token, SWM_NACK, 0), SWM_OK);
	got = server_next(server, consumer);
	assert_memory_equal(got.id.ptr, id, sizeof(id));
	assert_int_equal(got.attempt, 2);
	assert_int_equal(got.redelivered, 1);
	server->ops->consumer_close(consumer);
}

/* The group is the key, or its hash; what is published twice under an id is there once. */
static void groups_and_ids_of_a_fifo_queue(void **state)
{
	struct server *server = *state;
	server->config.queue_type = SWM_SQS_FIFO;
	struct swm_str queue = server_queue(server, "orders");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_message messages[3] = {
		message_to(queue, "m-1", STR("1")),
		message_to(queue, "m-1", STR("1")),
		message_to(queue, "m 2", STR("2")),
	};
	swm_status results[3];

	messages[2].key = STR("K\xc3\xbc"
			      "che/1");
	free(proxy_log());
	assert_int_equal(server->ops->publisher_publish(
				 publisher, messages, 3, PATIENCE_MS, results, &server->err),
		SWM_OK);
	char *log = proxy_log();
	assert_non_null(strstr(log, "\\\"MessageGroupId\\\":\\\"key\\\""));
	assert_non_null(strstr(log, "\\\"MessageDeduplicationId\\\":\\\"m-1\\\""));
	/* base64url of the SHA-256. */
	assert_null(strstr(log, "\\\"MessageDeduplicationId\\\":\\\"m 2"));
	assert_int_equal(count_of(log, "che/1\\\""), 0);
	free(log);
	server->ops->publisher_close(publisher);

	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery first = server_next(server, consumer);
	struct swm_delivery second = server_next(server, consumer);
	struct swm_delivery other = {0};
	assert_true(str_is(first.body, "1") != str_is(second.body, "1"));
	assert_true(str_is(first.key, "K\xc3\xbc"
				      "che/1") ||
		    str_is(second.key, "K\xc3\xbc"
				       "che/1"));
	assert_int_equal(server_wait(server, consumer, 2000, &other), SWM_E_TIMEOUT);
	server->ops->consumer_close(consumer);
}

/* Names that SQS does not have are mapped, each to one of its own. */
static void names_that_sqs_does_not_allow(void **state)
{
	struct server *server = *state;
	static const char *const names[] = {"a.b", "a-b", "a/b", "\xc3\xa4",
		"a-name-that-is-much-longer-than-the-eighty-characters-that-sqs-has-for-names-"
		"1",
		"a-name-that-is-much-longer-than-the-eighty-characters-that-sqs-has-for-names-"
		"2",
		"a.b.fifo"};
	char in_sqs[sizeof(names) / sizeof(names[0])][SWM_SQS_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(
			swm_sqs_name(server->queue, swm_sqs_str(names[i]), in_sqs[i], NULL),
			SWM_OK);
		assert_in_range(strlen(in_sqs[i]), 1, SWM_SQS_NAME_MAX);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(in_sqs[i], in_sqs[j]);
		}
	}
	assert_string_equal(in_sqs[1] + strlen(server->config.queue_prefix), "a-b");
	assert_string_equal(strrchr(in_sqs[6], '.'), ".fifo");
	struct swm_str none = STR("");
	assert_int_equal(
		server->ops->prepare(server->queue, &none, 1, &server->err), SWM_E_INVALID);
}

/* Ten messages that are too much together go in several requests. */
static void batches_are_split_by_size(void **state)
{
	enum {
		COUNT = 10,
		BYTES = 90 * 1024
	};
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "large");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_message messages[COUNT];
	swm_status results[COUNT];
	char *body = malloc(BYTES);

	assert_non_null(body);
	memset(body, 'x', BYTES);
	for (size_t i = 0; i < COUNT; i++) {
		messages[i] = message_to(queue, "m", (struct swm_str){body, BYTES});
	}
	free(proxy_log());
	assert_int_equal(server->ops->publisher_publish(publisher, messages, COUNT, PATIENCE_MS,
				 results, &server->err),
		SWM_OK);
	char *log = proxy_log();
	assert_int_equal(count_of(log, "\"SendMessageBatch\""), COUNT / 2);
	free(log);

	/* One alone that is too large is refused before it is sent; its neighbour goes. */
	char *larger = malloc((size_t)3 * BYTES);
	assert_non_null(larger);
	memset(larger, 'y', (size_t)3 * BYTES);
	messages[0].body = (struct swm_str){larger, (size_t)3 * BYTES};
	assert_int_equal(server->ops->publisher_publish(
				 publisher, messages, 2, PATIENCE_MS, results, &server->err),
		SWM_E_TOO_LARGE);
	assert_int_equal(results[0], SWM_E_TOO_LARGE);
	assert_int_equal(results[1], SWM_OK);
	server->ops->publisher_close(publisher);
	free(larger);
	free(body);
}

/* Queues are made with the attributes that are configured, or not at all. */
static void making_queues(void **state)
{
	static const struct swm_pair attributes[] = {{"VisibilityTimeout", "77"}};
	struct server *server = *state;
	struct swm_str queue = server_name(server, "missing");
	struct swm_consumer *consumer = NULL;

	server->config.create_queues = false;
	assert_int_equal(
		server->ops->prepare(server->queue, &queue, 1, &server->err), SWM_E_NOT_FOUND);
	assert_int_equal(server->ops->consumer_open(
				 server->queue, &queue, 1, 0, &consumer, &server->err),
		SWM_E_NOT_FOUND);
	struct swm_publisher *publisher = server_publisher(server);
	assert_int_equal(
		server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_E_NOT_FOUND);
	assert_non_null(strstr(server->err.message, "missing"));
	server->config.create_queues = true;
	server->config.queue_attributes = (struct swm_map){attributes, 1};
	assert_int_equal(server->ops->prepare(server->queue, &queue, 1, &server->err), SWM_OK);
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	server->ops->publisher_close(publisher);
	char *answer = stranger_call("GetQueueAttributes",
		"{'QueueUrl':'%s','AttributeNames':['VisibilityTimeout']}",
		stranger_url(server, queue));
	assert_non_null(strstr(answer, "\"77\""));
	free(answer);
}

/* What cannot be right is said when the adapter is opened. */
static void configurations_that_cannot_be(void **state)
{
	struct server *server = *state;
	const struct swm_queue_config good = server->config;

	server->config.endpoint = "sqs.example.com";
	assert_int_equal(server_open(server), SWM_E_CONFIG);
	server->config = good;
	server->config.secret_access_key = NULL;
	assert_int_equal(server_open(server), SWM_E_CONFIG);
	server->config = good;
	server->config.visibility_ms = 1500;
	assert_int_equal(server_open(server), SWM_E_CONFIG);
	server->config = good;
	server->config.region = "us east";
	assert_int_equal(server_open(server), SWM_E_CONFIG);
	server->config = good;
	server->config.region = NULL;
	server->config.endpoint = NULL;
	assert_int_equal(server_open(server), SWM_E_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			headers_in_five_attributes, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			bodies_that_sqs_does_not_allow, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_strangers_message, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			groups_and_ids_of_a_fifo_queue, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			names_that_sqs_does_not_allow, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			batches_are_split_by_size, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(making_queues, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			configurations_that_cannot_be, server_set_up, server_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
