/* SPDX-License-Identifier: MIT */

/*
 * A server that does not behave: busy, broken, silent, answering by halves, wrongly, or with
 * a clock of its own; and messages held for too long. The proxy does it.
 *
 * Concurrency: none; what must not wait is timed.
 */

#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An error as SQS says it, within a rule. */
#define ERROR_BODY(name) \
	"'body':'{\\u0022__type\\u0022:\\u0022com.amazonaws.sqs#" name \
	"\\u0022,\\u0022message\\u0022:\\u0022said the proxy\\u0022}'"

static swm_status publish_two(struct server *server, struct swm_publisher *publisher,
	struct swm_str queue, int64_t timeout_ms, swm_status results[2])
{
	struct swm_message messages[2] = {
		message_to(queue, "m-1", STR("1")), message_to(queue, "m-2", STR("2"))};

	return server->ops->publisher_publish(
		publisher, messages, 2, timeout_ms, results, &server->err);
}

/* Acknowledges `count` that come, and looks that no more do. */
static void drain(struct server *server, struct swm_str queue, size_t count)
{
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery got = {0};

	for (size_t i = 0; i < count; i++) {
		got = server_next(server, consumer);
		assert_int_equal(
			server_settle(server, consumer, got.token, SWM_ACK, 0), SWM_OK);
	}
	assert_int_equal(server_wait(server, consumer, 1000, &got), SWM_E_TIMEOUT);
	server->ops->consumer_close(consumer);
}

/* A server that is busy is asked again, with pauses, and has everything once. */
static void a_busy_server(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "busy");
	struct swm_publisher *publisher = server_publisher(server);
	swm_status results[2];

	proxy_rule(
		"{'action':'SendMessageBatch','times':2,'do':'answer','status':400," ERROR_BODY(
			"ThrottlingException") "}");
	proxy_rule("{'action':'SendMessageBatch','times':2,'do':'answer','status':503,"
		   "'body':'<html>'}");
	assert_int_equal(publish_two(server, publisher, queue, PATIENCE_MS, results), SWM_OK);
	proxy_rule("{'action':'ReceiveMessage','times':2,'do':'answer','status':429,"
		   "'body':''}");
	proxy_rule("{'action':'DeleteMessageBatch','times':1,'do':'answer','status':500,"
		   "'body':''}");
	drain(server, queue, 2);
	server->ops->publisher_close(publisher);
}

/* For longer than the call may take: it says what is the matter, and in time. */
static void a_server_that_stays_so(void **state)
{
	static const struct {
		const char *rule;
		swm_status status;
		const char *said;
	} cases[] = {
		{"'status':400," ERROR_BODY("ThrottlingException"), SWM_E_THROTTLED,
			"said the proxy"},
		{"'status':503,'body':'<html>'", SWM_E_UNAVAILABLE, "503"},
		{"'status':502,'body':'<html>'", SWM_E_INDOUBT, "502"},
		{"'status':404,'body':'<html>'", SWM_E_UNAVAILABLE, "404"},
		{"'status':408,'body':''", SWM_E_UNAVAILABLE, "408"},
		{"'status':500," ERROR_BODY("InternalError"), SWM_E_INDOUBT, "InternalError"},
		{"'status':403," ERROR_BODY("AccessDenied"), SWM_E_DENIED, "AccessDenied"},
		{"'status':403,'body':'<ErrorResponse><Error><Code>AccessDenied</Code>"
		 "<Message>not you</Message></Error></ErrorResponse>'",
			SWM_E_DENIED, "not you"},
	};
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "stays");
	struct swm_publisher *publisher = server_publisher(server);

	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t from_ms;

		proxy_rule("{'action':'SendMessageBatch','times':1000,'do':'answer',%s}",
			cases[i].rule);
		from_ms = now_ms();
		assert_int_equal(
			server_publish(server, publisher, queue, "m", 1000), cases[i].status);
		assert_within(from_ms, 1000);
		assert_non_null(strstr(server->err.message, cases[i].said));
		proxy_clear();
	}
	server->ops->publisher_close(publisher);
}

/* Answers by halves: what may have been done is done again, and nothing is lost. */
static void answers_by_halves(void **state)
{
	static const char *const ways[] = {"cut", "drop", "garble"};
	struct server *server = *state;

	/* What a lost answer has taken comes back when its visibility timeout is over. */
	server->config.visibility_ms = 4000;
	server->config.queue_type = SWM_SQS_FIFO;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct swm_str queue = server_queue(server, "halves");
		struct swm_publisher *publisher = server_publisher(server);
		swm_status results[2];

		proxy_rule("{'action':'SendMessageBatch','times':1,'do':'%s'}", ways[i]);
		assert_int_equal(
			publish_two(server, publisher, queue, PATIENCE_MS, results), SWM_OK);
		proxy_rule("{'action':'ReceiveMessage','times':1,'do':'%s'}", ways[i]);
		proxy_rule("{'action':'DeleteMessageBatch','times':1,'do':'%s'}", ways[i]);
		struct swm_consumer *consumer = server_listen(server, queue, 0);
		for (size_t taken = 0; taken < 2; taken++) {
			struct swm_delivery got = server_next(server, consumer);
			swm_status status =
				server_settle(server, consumer, got.token, SWM_ACK, 0);

			/* A receipt is known no more after its first deletion. */
			assert_true(status == SWM_OK || status == SWM_E_CONFLICT);
		}
		server->ops->consumer_close(consumer);
		server->ops->publisher_close(publisher);
	}
	/* If there is no time for another attempt, it is in doubt. */
	struct swm_str queue = server_queue(server, "halves");
	struct swm_publisher *publisher = server_publisher(server);
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	proxy_rule("{'action':'SendMessageBatch','times':1000,'do':'cut'}");
	assert_int_equal(server_publish(server, publisher, queue, "m", 500), SWM_E_INDOUBT);
	server->ops->publisher_close(publisher);
}

/* An answer of 200 says nothing of each entry: those that failed go again, or are told. */
static void entries_that_failed(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "failed");
	struct swm_publisher *publisher = server_publisher(server);
	swm_status results[2];

	proxy_rule("{'action':'SendMessageBatch','times':1,'do':'answer','status':200,'body':'{"
		   "\\u0022Successful\\u0022:[],\\u0022Failed\\u0022:["
		   "{\\u0022Id\\u0022:\\u00220\\u0022,\\u0022SenderFault\\u0022:false,"
		   "\\u0022Code\\u0022:\\u0022InternalError\\u0022},"
		   "{\\u0022Id\\u0022:\\u00221\\u0022,\\u0022SenderFault\\u0022:true,"
		   "\\u0022Code\\u0022:\\u0022InvalidMessageContents\\u0022,"
		   "\\u0022Message\\u0022:\\u0022no\\u0022}]}'}");
	assert_int_equal(
		publish_two(server, publisher, queue, PATIENCE_MS, results), SWM_E_INVALID);
	assert_int_equal(results[0], SWM_OK);
	assert_int_equal(results[1], SWM_E_INVALID);
	assert_non_null(strstr(server->err.message, "InvalidMessageContents"));
	server->ops->publisher_close(publisher);
	drain(server, queue, 1);
}

/* What SQS fails at by itself passes, by whatever name; only our own fault is for good. */
static void faults_of_the_server(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "its-own");
	struct swm_publisher *publisher = server_publisher(server);

	proxy_rule("{'action':'SendMessageBatch','times':1,'do':'answer','status':200,'body':'{"
		   "\\u0022Failed\\u0022:[{\\u0022Id\\u0022:\\u00220\\u0022,"
		   "\\u0022SenderFault\\u0022:false,\\u0022Code\\u0022:"
		   "\\u0022SomethingNew\\u0022}]}'}");
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	proxy_rule("{'action':'DeleteMessageBatch','times':1,'do':'answer','status':200,"
		   "'body':'{"
		   "\\u0022Failed\\u0022:[{\\u0022Id\\u0022:\\u00220\\u0022,"
		   "\\u0022SenderFault\\u0022:false,\\u0022Code\\u0022:"
		   "\\u0022SomethingNew\\u0022}]}'}");
	drain(server, queue, 1);
	server->ops->publisher_close(publisher);
}

/* Two batches to a queue, of which one is told that there is none, and the other to come
 * again. */
static void a_queue_that_is_gone_for_some(void **state)
{
	enum {
		COUNT = 20
	};
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "gone");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_message messages[COUNT];
	swm_status results[COUNT];
	char failed[2048] = "";
	size_t gone = 0;

	for (size_t i = 0; i < COUNT; i++) {
		messages[i] = message_to(queue, "m", STR("{}"));
	}
	for (int i = 0; i < COUNT / 2; i++) {
		size_t len = strlen(failed);

		(void)snprintf(failed + len, sizeof(failed) - len,
			"%s{\\u0022Id\\u0022:\\u0022%d\\u0022,\\u0022SenderFault\\u0022:false,"
			"\\u0022Code\\u0022:\\u0022ThrottlingException\\u0022}",
			i == 0 ? "" : ",", i);
	}
	proxy_rule("{'action':'SendMessageBatch','times':1,'do':'answer','status':200,'body':'{"
		   "\\u0022Failed\\u0022:[%s]}'}",
		failed);
	proxy_rule(
		"{'action':'SendMessageBatch','times':1,'do':'answer','status':400," ERROR_BODY(
			"QueueDoesNotExist") "}");
	assert_int_equal(server->ops->publisher_publish(publisher, messages, COUNT, PATIENCE_MS,
				 results, &server->err),
		SWM_E_NOT_FOUND);
	for (size_t i = 0; i < COUNT; i++) {
		gone += results[i] == SWM_E_NOT_FOUND ? 1 : 0;
		assert_true(results[i] == SWM_E_NOT_FOUND || results[i] == SWM_OK);
	}
	assert_int_equal(gone, COUNT / 2);
	server->ops->publisher_close(publisher);
	drain(server, queue, COUNT / 2);
}

/* What was extended, in a call that could not be finished, is still to be deleted. */
static void extended_and_then_done(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "extended");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_settlement items[2] = {0};
	swm_status results[2];

	assert_int_equal(publish_two(server, publisher, queue, PATIENCE_MS, results), SWM_OK);
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	for (size_t i = 0; i < 2; i++) {
		struct swm_delivery got = server_next(server, consumer);
		items[i] = (struct swm_settlement){
			.token = got.token, .action = SWM_EXTEND, .delay_ms = 30000};
	}
	proxy_rule("{'action':'ChangeMessageVisibilityBatch','times':1,'do':'answer',"
		   "'status':200,'body':'{\\u0022Successful\\u0022:[{\\u0022Id\\u0022:"
		   "\\u00220\\u0022}],\\u0022Failed\\u0022:[{\\u0022Id\\u0022:\\u00221\\u0022,"
		   "\\u0022SenderFault\\u0022:false,\\u0022Code\\u0022:"
		   "\\u0022ThrottlingException\\u0022}]}'}");
	proxy_rule("{'action':'ChangeMessageVisibilityBatch','times':1000,'do':'answer',"
		   "'status':429,'body':''}");
	assert_int_equal(server->ops->consumer_settle(consumer, items, 2, &server->err),
		SWM_E_THROTTLED);
	proxy_clear();
	items[0].action = SWM_ACK;
	items[1].action = SWM_ACK;
	assert_int_equal(
		server->ops->consumer_settle(consumer, items, 2, &server->err), SWM_OK);
	char *log = proxy_log();
	assert_int_equal(count_of(log, "ReceiptHandle"), 2);
	free(log);
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
}

/* One poll that hangs is not the end of a consumer: what it holds would be void. */
static void a_poll_that_is_lost(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "lost-poll");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_delivery got = {0};

	struct swm_consumer *consumer = server_listen(server, queue, 0);
	proxy_rule("{'action':'ReceiveMessage','times':1,'do':'hold','seconds':30}");
	assert_int_equal(
		server_wait(server, consumer, CALL_TIMEOUT_MS + 3000, &got), SWM_E_TIMEOUT);
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	got = server_next(server, consumer);
	assert_int_equal(server_settle(server, consumer, got.token, SWM_ACK, 0), SWM_OK);
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
}

/* Bodies that were altered on the way are told by their MD5. */
static void bodies_that_were_altered(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "altered");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_message message = message_to(queue, "m", STR("{\"body\":\"before\"}"));
	swm_status result = SWM_OK;

	proxy_rule("{'action':'SendMessageBatch','times':1,'do':'replace',"
		   "'from':'MD5OfMessageBody\\u0022:\\u0022....',"
		   "'to':'MD5OfMessageBody\\u0022:\\u00220000'}");
	assert_int_equal(server->ops->publisher_publish(
				 publisher, &message, 1, PATIENCE_MS, &result, &server->err),
		SWM_E_INDOUBT);
	assert_non_null(strstr(server->err.message, "MD5"));
	server->ops->publisher_close(publisher);

	server->config.visibility_ms = 2000;
	proxy_rule("{'action':'ReceiveMessage','times':1,'do':'replace','from':'before',"
		   "'to':'behind'}");
	server->logged[0] = '\0';
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery got = server_next(server, consumer);
	assert_int_equal(got.body.len, message.body.len);
	assert_memory_equal(got.body.ptr, message.body.ptr, got.body.len);
	assert_non_null(strstr(server->logged, "MD5"));
	server->ops->consumer_close(consumer);
}

/* A clock that is wrong is named, with the difference. */
static void a_clock_that_is_wrong(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "clock");
	struct swm_publisher *publisher = server_publisher(server);
	time_t then = time(NULL) + 3600;
	struct tm parts;
	char date[64];

	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	(void)strftime(
		date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &parts));
	proxy_rule("{'action':'SendMessageBatch','times':1000,'do':'answer','status':403,"
		   "'headers':{'Date':'%s'}," ERROR_BODY("InvalidSignatureException") "}",
		date);
	assert_int_equal(server_publish(server, publisher, queue, "m", 800), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(server->err.message, "clock is 3"));
	assert_non_null(strstr(server->err.message, "behind"));
	proxy_clear();
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	server->ops->publisher_close(publisher);
}

/* Every call returns in its time while the server stands still, and afterwards the same
 * handles go on. */
static void a_frozen_server(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "frozen");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	pid_t pid = (pid_t)strtol(server_setting("SWM_TEST_PROXY_PID"), NULL, 10);
	swm_status results[2];
	struct swm_delivery got = {0};
	size_t count = 0;

	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	got = server_next(server, consumer);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	int64_t from_ms = now_ms();
	assert_int_equal(publish_two(server, publisher, queue, 1000, results), SWM_E_INDOUBT);
	assert_within(from_ms, 1000);
	from_ms = now_ms();
	assert_int_equal(
		server->ops->consumer_receive(consumer, 500, &got, 1, &count, &server->err),
		SWM_E_TIMEOUT);
	assert_within(from_ms, 500);
	from_ms = now_ms();
	assert_int_equal(server_settle(server, consumer, got.token, SWM_ACK, 0), SWM_E_TIMEOUT);
	assert_within(from_ms, CALL_TIMEOUT_MS);
	assert_int_equal(kill(pid, SIGCONT), 0);
	/* Said once more, it is done, or has been. */
	swm_status status = server_settle(server, consumer, got.token, SWM_ACK, 0);
	assert_true(status == SWM_OK || status == SWM_E_CONFLICT);
	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	(void)server_next(server, consumer);
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
}

/* What is held is kept by whoever services the consumer, for longer than a lease. */
static void held_for_longer_than_a_lease(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "held");
	struct swm_publisher *publisher = server_publisher(server);
	swm_status results[2];
	struct swm_delivery other = {0};
	size_t count = 0;

	server->config.visibility_ms = 3000;
	assert_int_equal(publish_two(server, publisher, queue, PATIENCE_MS, results), SWM_OK);
	struct swm_consumer *holder = server_listen(server, queue, 2);
	struct swm_delivery first = server_next(server, holder);
	struct swm_delivery second = server_next(server, holder);
	struct swm_consumer *waiting = server_listen(server, queue, 0);
	for (int64_t until_ms = now_ms() + 7000; now_ms() < until_ms;) {
		assert_int_equal(
			server->ops->consumer_receive(holder, 0, NULL, 0, &count, &server->err),
			SWM_E_TIMEOUT);
		assert_int_equal(server->ops->consumer_receive(
					 waiting, 300, &other, 1, &count, &server->err),
			SWM_E_TIMEOUT);
	}
	assert_int_equal(server_settle(server, holder, first.token, SWM_ACK, 0), SWM_OK);

	/* One that nobody services any more is lost, and its holder is told. */
	other = server_next(server, waiting);
	assert_int_equal(
		server_settle(server, holder, second.token, SWM_ACK, 0), SWM_E_CONFLICT);
	assert_int_equal(server_settle(server, waiting, other.token, SWM_ACK, 0), SWM_OK);
	server->ops->consumer_close(holder);
	server->ops->consumer_close(waiting);
	server->ops->publisher_close(publisher);
}

/* A queue that is deleted ends its consumer; publishing says that it is not there. */
static void a_queue_that_is_deleted(void **state)
{
	struct server *server = *state;
	struct swm_str queue = server_queue(server, "deleted");
	struct swm_publisher *publisher = server_publisher(server);
	struct swm_consumer *consumer = server_listen(server, queue, 0);
	struct swm_delivery got = {0};

	assert_int_equal(server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_OK);
	free(stranger_call("DeleteQueue", "{'QueueUrl':'%s'}", stranger_url(server, queue)));
	assert_int_equal(
		server_publish(server, publisher, queue, "m", PATIENCE_MS), SWM_E_NOT_FOUND);
	swm_status status;
	do {
		status = server_wait(server, consumer, PATIENCE_MS, &got);
	} while (status == SWM_OK);
	assert_int_equal(status, SWM_E_UNAVAILABLE);
	server->ops->consumer_close(consumer);
	server->ops->publisher_close(publisher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_busy_server, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_server_that_stays_so, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			answers_by_halves, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			entries_that_failed, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			faults_of_the_server, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_queue_that_is_gone_for_some, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			extended_and_then_done, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_poll_that_is_lost, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			bodies_that_were_altered, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_clock_that_is_wrong, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_frozen_server, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			held_for_longer_than_a_lease, server_set_up, server_tear_down),
		cmocka_unit_test_setup_teardown(
			a_queue_that_is_deleted, server_set_up, server_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
