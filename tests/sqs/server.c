/* SPDX-License-Identifier: MIT */

/* See server.h. */

#include "server.h"

#include "addresses.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Who holds a consumer calls receive at least every 5 s. */
#define RECEIVE_STEP_MS 1000

int64_t now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(int64_t duration_ms)
{
	struct timespec pause = {duration_ms / 1000, (duration_ms % 1000) * 1000000};

	(void)nanosleep(&pause, NULL);
}

void assert_within(int64_t from_ms, int64_t allowed_ms)
{
	int64_t took_ms = now_ms() - from_ms;

	if (took_ms > allowed_ms + SLACK_MS) {
		fail_msg("a call took %lld ms, at most %lld are allowed", (long long)took_ms,
			(long long)allowed_ms);
	}
}

static int64_t host_now_ms(void *ctx)
{
	struct timespec now = {0};

	(void)ctx;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void host_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
	SWM_PRINTF(4, 5);

static void host_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	struct server *server = ctx;
	size_t len = strlen(server->logged);
	va_list args;

	(void)level;
	(void)source;
	va_start(args, fmt);
	(void)vsnprintf(server->logged + len, sizeof(server->logged) - len, fmt, args);
	va_end(args);
}

static void host_count(void *ctx, const char *metric, int64_t delta)
{
	(void)ctx;
	(void)metric;
	(void)delta;
}

const char *server_setting(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL) {
		fail_msg("%s is not set: run this through tests/sqs/run", name);
	}
	return value;
}

swm_status server_open(struct server *server)
{
	server_close(server);
	return server->ops->open(&server->args, &server->queue, &server->err);
}

void server_close(struct server *server)
{
	server->ops->close(server->queue);
	server->queue = NULL;
}

/* --- HTTP for the test itself --- */

static size_t write_answer(char *bytes, size_t one, size_t count, void *ctx)
{
	swm_sqs_text_add(ctx, bytes, one * count);
	return count;
}

/* Asks and gives the body of the answer, to be freed. */
static char *ask(const char *method, const char *base, const char *path, const char *header,
	const char *body)
{
	struct swm_sqs_text url = {0};
	struct swm_sqs_text answer = {0};
	struct curl_slist *headers =
		curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.0");
	CURL *easy = curl_easy_init();

	headers = curl_slist_append(headers, header);
	swm_sqs_text_say(&url, base);
	swm_sqs_text_say(&url, path);
	swm_sqs_text_say(&answer, "");
	(void)curl_easy_setopt(easy, CURLOPT_URL, url.ptr);
	(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_answer);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
	if (body != NULL) {
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	}
	assert_int_equal(curl_easy_perform(easy), CURLE_OK);
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	swm_sqs_text_finish(&url);
	return answer.ptr;
}

static void to_quotes(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			*text = '"';
		}
	}
}

void post(const char *base, const char *path)
{
	free(ask("POST", base, path, "X-Test: 1", ""));
}

void proxy_rule(const char *fmt, ...)
{
	char rule[2048];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(rule, sizeof(rule), fmt, args);
	va_end(args);
	to_quotes(rule);
	free(ask("POST", server_setting("SWM_TEST_PROXY"), "/rule", "X-Test: 1", rule));
}

void proxy_clear(void)
{
	free(ask("DELETE", server_setting("SWM_TEST_PROXY"), "/rule", "X-Test: 1", NULL));
}

char *proxy_log(void)
{
	return ask("GET", server_setting("SWM_TEST_PROXY"), "/log", "X-Test: 1", NULL);
}

size_t count_of(const char *text, const char *needle)
{
	size_t count = 0;

	while ((text = strstr(text, needle)) != NULL) {
		text += strlen(needle);
		count++;
	}
	return count;
}

char *stranger_call(const char *action, const char *fmt, ...)
{
	char body[4096];
	char target[128];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(body, sizeof(body), fmt, args);
	va_end(args);
	to_quotes(body);
	(void)snprintf(target, sizeof(target), "X-Amz-Target: AmazonSQS.%s", action);
	return ask("POST", server_setting("SWM_TEST_SQS_ENDPOINT"), "/", target, body);
}

const char *stranger_url(struct server *server, struct swm_str queue)
{
	static char url[512];
	char in_sqs[SWM_SQS_NAME_MAX + 1];

	assert_int_equal(swm_sqs_name(server->queue, queue, in_sqs, NULL), SWM_OK);
	(void)snprintf(url, sizeof(url), "%s/000000000000/%s",
		server_setting("SWM_TEST_SQS_ENDPOINT"), in_sqs);
	return url;
}

/* --- The adapter --- */

int server_set_up(void **state)
{
	struct server *server = calloc(1, sizeof(*server));

	assert_non_null(server);
	assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
	server->ops = swm_queue_sqs.ops;
	server->host = (struct swm_host){
		.size = sizeof(server->host),
		.abi_major = SWM_ABI_MAJOR,
		.ctx = server,
		.log_level = SWM_LOG_DEBUG,
		.log = host_log,
		.now_ms = host_now_ms,
		.count = host_count,
	};
	server->config = (struct swm_queue_config){
		.region = server_setting("SWM_TEST_SQS_REGION"),
		.endpoint = server_setting("SWM_TEST_PROXY"),
		.access_key_id = server_setting("SWM_TEST_SQS_ACCESS_KEY_ID"),
		.secret_access_key = server_setting("SWM_TEST_SQS_SECRET_ACCESS_KEY"),
		.queue_prefix = server_setting("SWM_TEST_PREFIX"),
		.visibility_ms = 60000,
		.wait_ms = 1000,
		.connections = 8,
		.message_bytes_max = INT64_C(256) * 1024,
		.create_queues = true,
	};
	server->args = (struct swm_open_args){
		.size = sizeof(server->args),
		.host = &server->host,
		.instance = "test",
		.config = &server->config,
		.call_timeout_ms = CALL_TIMEOUT_MS,
	};
	proxy_clear();
	*state = server;
	assert_int_equal(server_open(server), SWM_OK);
	return 0;
}

int server_tear_down(void **state)
{
	server_close(*state);
	free(*state);
	curl_global_cleanup();
	return 0;
}

static void check(const struct server *server, swm_status status)
{
	if (status != SWM_OK) {
		fail_msg("status %d: %s", status, server->err.message);
	}
}

struct swm_str server_name(struct server *server, const char *name)
{
	int len = snprintf(server->name, sizeof(server->name), "%s-%d-%u", name, (int)getpid(),
		server->names++);

	return (struct swm_str){server->name, (size_t)len};
}

struct swm_str server_queue(struct server *server, const char *name)
{
	struct swm_str queue = server_name(server, name);

	check(server, server->ops->prepare(server->queue, &queue, 1, &server->err));
	return queue;
}

struct swm_consumer *server_listen(
	struct server *server, struct swm_str queue, uint32_t prefetch)
{
	struct swm_consumer *consumer = NULL;

	check(server, server->ops->consumer_open(
			      server->queue, &queue, 1, prefetch, &consumer, &server->err));
	return consumer;
}

struct swm_publisher *server_publisher(struct server *server)
{
	struct swm_publisher *publisher = NULL;

	check(server, server->ops->publisher_open(server->queue, &publisher, &server->err));
	return publisher;
}

struct swm_message message_to(struct swm_str queue, const char *id, struct swm_str body)
{
	return (struct swm_message){
		.destination = queue, .id = {id, strlen(id)}, .key = STR("key"), .body = body};
}

swm_status server_publish(struct server *server, struct swm_publisher *publisher,
	struct swm_str queue, const char *id, int64_t timeout_ms)
{
	struct swm_message message = message_to(queue, id, STR("{}"));
	swm_status result = SWM_E_INTERNAL;
	swm_status status = server->ops->publisher_publish(
		publisher, &message, 1, timeout_ms, &result, &server->err);

	assert_int_equal(status, result);
	return status;
}

swm_status server_wait(struct server *server, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out)
{
	int64_t until_ms = now_ms() + patience_ms;
	swm_status status;
	size_t count = 0;

	do {
		status = server->ops->consumer_receive(
			consumer, RECEIVE_STEP_MS, out, 1, &count, &server->err);
	} while (status == SWM_E_TIMEOUT && now_ms() < until_ms);
	return status;
}

struct swm_delivery server_next(struct server *server, struct swm_consumer *consumer)
{
	struct swm_delivery delivery = {0};

	check(server, server_wait(server, consumer, PATIENCE_MS, &delivery));
	return delivery;
}

swm_status server_settle(struct server *server, struct swm_consumer *consumer, uint64_t token,
	uint32_t action, int64_t delay_ms)
{
	struct swm_settlement item = {.token = token, .action = action, .delay_ms = delay_ms};

	return server->ops->consumer_settle(consumer, &item, 1, &server->err);
}
