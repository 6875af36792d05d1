/* SPDX-License-Identifier: MIT */

/* See broker.h. */

#include "broker.h"

#include <amqp_tcp_socket.h>
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
	struct broker *broker = ctx;
	va_list args;

	(void)level;
	(void)source;
	va_start(args, fmt);
	(void)vsnprintf(broker->logged, sizeof(broker->logged), fmt, args);
	va_end(args);
}

static void host_count(void *ctx, const char *metric, int64_t delta)
{
	(void)ctx;
	(void)metric;
	(void)delta;
}

const char *broker_setting(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL) {
		fail_msg("%s is not set: run this through tests/rabbitmq/run", name);
	}
	return value;
}

void broker_service(const char *fmt, ...)
{
	char arguments[512];
	char command[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(arguments, sizeof(arguments), fmt, args);
	va_end(args);
	(void)snprintf(command, sizeof(command), "%s %s >&2",
		broker_setting("SWM_TEST_RABBITMQ_SERVICE"), arguments);
	assert_int_equal(system(command), 0);
}

swm_status broker_open(struct broker *broker)
{
	broker_close(broker);
	return broker->ops->open(&broker->args, &broker->queue, &broker->err);
}

void broker_close(struct broker *broker)
{
	broker->ops->close(broker->queue);
	broker->queue = NULL;
}

int broker_set_up(void **state)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	const char *url = broker_setting("SWM_TEST_RABBITMQ_URL");

	assert_non_null(broker);
	broker->ops = swm_queue_rabbitmq.ops;
	broker->host = (struct swm_host){
		.size = sizeof(broker->host),
		.abi_major = SWM_ABI_MAJOR,
		.ctx = broker,
		.log = host_log,
		.now_ms = host_now_ms,
		.count = host_count,
	};
	(void)snprintf(broker->url, sizeof(broker->url), "%.*s/%s",
		(int)(strrchr(url, '/') - url), url, broker_setting("SWM_TEST_RABBITMQ_VHOST"));
	broker->config = (struct swm_queue_config){
		.url = broker->url,
		.password = broker_setting("SWM_TEST_RABBITMQ_PASSWORD"),
		.content_type = "application/json",
		.heartbeat_ms = 20000,
		.message_bytes_max = INT64_C(1024) * 1024,
		.create_queues = true,
	};
	broker->args = (struct swm_open_args){
		.size = sizeof(broker->args),
		.host = &broker->host,
		.instance = "test",
		.config = &broker->config,
		.call_timeout_ms = CALL_TIMEOUT_MS,
	};
	*state = broker;
	assert_int_equal(broker_open(broker), SWM_OK);
	return 0;
}

int broker_tear_down(void **state)
{
	broker_close(*state);
	free(*state);
	return 0;
}

void broker_set_url(struct broker *broker, const char *scheme, const char *user,
	const char *host, const char *setting)
{
	const char *url = broker_setting(setting);
	const char *port = strrchr(url, ':');

	(void)snprintf(broker->url, sizeof(broker->url), "%s://%s@%s%.*s/%s", scheme, user,
		host, (int)(strrchr(url, '/') - port), port,
		broker_setting("SWM_TEST_RABBITMQ_VHOST"));
}

static void check(const struct broker *broker, swm_status status)
{
	if (status != SWM_OK) {
		fail_msg("status %d: %s", status, broker->err.message);
	}
}

struct swm_str broker_name(struct broker *broker, const char *name)
{
	int len = snprintf(broker->name, sizeof(broker->name), "%s-%d-%u", name, (int)getpid(),
		broker->names++);

	return (struct swm_str){broker->name, (size_t)len};
}

struct swm_str broker_queue(struct broker *broker, const char *name)
{
	struct swm_str queue = broker_name(broker, name);

	check(broker, broker->ops->prepare(broker->queue, &queue, 1, &broker->err));
	return queue;
}

struct swm_consumer *broker_listen(
	struct broker *broker, struct swm_str queue, uint32_t prefetch)
{
	struct swm_consumer *consumer = NULL;

	check(broker, broker->ops->consumer_open(
			      broker->queue, &queue, 1, prefetch, &consumer, &broker->err));
	return consumer;
}

struct swm_publisher *broker_publisher(struct broker *broker)
{
	struct swm_publisher *publisher = NULL;

	check(broker, broker->ops->publisher_open(broker->queue, &publisher, &broker->err));
	return publisher;
}

struct swm_message message_to(struct swm_str queue, const char *id, struct swm_str body)
{
	return (struct swm_message){
		.destination = queue, .id = {id, strlen(id)}, .key = STR("key"), .body = body};
}

swm_status broker_publish(struct broker *broker, struct swm_publisher *publisher,
	struct swm_str queue, const char *id)
{
	struct swm_message message = message_to(queue, id, STR("{}"));
	swm_status result = SWM_E_INTERNAL;
	swm_status status = broker->ops->publisher_publish(
		publisher, &message, 1, PATIENCE_MS, &result, &broker->err);

	assert_int_equal(status, result);
	return status;
}

swm_status broker_wait(struct broker *broker, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out)
{
	int64_t until_ms = now_ms() + patience_ms;
	swm_status status;
	size_t count = 0;

	do {
		status = broker->ops->consumer_receive(
			consumer, RECEIVE_STEP_MS, out, 1, &count, &broker->err);
	} while (status == SWM_E_TIMEOUT && now_ms() < until_ms);
	return status;
}

struct swm_delivery broker_next(struct broker *broker, struct swm_consumer *consumer)
{
	struct swm_delivery delivery = {0};

	check(broker, broker_wait(broker, consumer, PATIENCE_MS, &delivery));
	return delivery;
}

void broker_ack(struct broker *broker, struct swm_consumer *consumer, uint64_t token)
{
	struct swm_settlement item = {.token = token, .action = SWM_ACK};

	check(broker, broker->ops->consumer_settle(consumer, &item, 1, &broker->err));
}

void broker_drain(struct broker *broker, struct swm_consumer *consumer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		broker_ack(broker, consumer, broker_next(broker, consumer).token);
	}
}

amqp_connection_state_t stranger_connect(void)
{
	char url[256];
	struct amqp_connection_info info;
	amqp_connection_state_t stranger = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(stranger);

	(void)snprintf(url, sizeof(url), "%s", broker_setting("SWM_TEST_RABBITMQ_URL"));
	assert_int_equal(amqp_parse_url(url, &info), AMQP_STATUS_OK);
	assert_int_equal(amqp_socket_open(socket, info.host, info.port), AMQP_STATUS_OK);
	assert_int_equal(amqp_login(stranger, broker_setting("SWM_TEST_RABBITMQ_VHOST"), 0,
				 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user,
				 broker_setting("SWM_TEST_RABBITMQ_PASSWORD"))
				 .reply_type,
		AMQP_RESPONSE_NORMAL);
	assert_non_null(amqp_channel_open(stranger, 1));
	return stranger;
}

void stranger_close(amqp_connection_state_t stranger)
{
	(void)amqp_connection_close(stranger, AMQP_REPLY_SUCCESS);
	(void)amqp_destroy_connection(stranger);
}

void stranger_publish(amqp_connection_state_t stranger, struct swm_str queue,
	const amqp_basic_properties_t *properties, struct swm_str body)
{
	union {
		const char *in;
		void *out;
	} name = {.in = queue.ptr}, bytes = {.in = body.ptr};

	assert_int_equal(amqp_basic_publish(stranger, 1, amqp_empty_bytes,
				 (amqp_bytes_t){queue.len, name.out}, 0, 0, properties,
				 (amqp_bytes_t){body.len, bytes.out}),
		AMQP_STATUS_OK);
}
