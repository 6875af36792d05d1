/* SPDX-License-Identifier: MIT */

/* See broker.h. */

#define LIBRDKAFKA_TYPECHECKS 0 /* they are no ISO C */

#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Who holds a consumer calls receive at least every 5 s. */
#define RECEIVE_STEP_MS 1000

/* Messages of one publish. */
#define BATCH 500

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
	struct broker *broker = ctx;
	size_t used;
	va_list args;

	(void)level;
	(void)source;
	(void)pthread_mutex_lock(&broker->mutex);
	used = strlen(broker->logged);
	va_start(args, fmt);
	(void)vsnprintf(broker->logged + used, sizeof(broker->logged) - used, fmt, args);
	va_end(args);
	(void)pthread_mutex_unlock(&broker->mutex);
}

static void host_count(void *ctx, const char *metric, int64_t delta)
{
	struct broker *broker = ctx;

	(void)metric;
	broker->counted += (long)delta;
}

bool broker_has_logged(struct broker *broker, const char *text)
{
	bool found;

	(void)pthread_mutex_lock(&broker->mutex);
	found = strstr(broker->logged, text) != NULL;
	(void)pthread_mutex_unlock(&broker->mutex);
	return found;
}

const char *broker_setting(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL) {
		fail_msg("%s is not set: run this through tests/kafka/run", name);
	}
	return value;
}

void broker_service(const char *argument)
{
	char command[1024];

	(void)snprintf(command, sizeof(command), "%s %s >&2",
		broker_setting("SWM_TEST_KAFKA_SERVICE"), argument);
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

void broker_property(struct broker *broker, const char *name, const char *value)
{
	struct swm_map *map = &broker->config.client;

	assert_in_range(map->count, 0, 3);
	broker->client[map->count] = (struct swm_pair){name, value};
	map->items = broker->client;
	map->count++;
}

int broker_set_up(void **state)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	static unsigned groups;

	assert_non_null(broker);
	assert_int_equal(pthread_mutex_init(&broker->mutex, NULL), 0);
	broker->ops = swm_queue_kafka.ops;
	broker->host = (struct swm_host){
		.size = sizeof(broker->host),
		.abi_major = SWM_ABI_MAJOR,
		.ctx = broker,
		.log_level = SWM_LOG_DEBUG,
		.log = host_log,
		.now_ms = host_now_ms,
		.count = host_count,
	};
	broker->brokers[0] = broker_setting("SWM_TEST_KAFKA_BROKERS");
	(void)snprintf(
		broker->group, sizeof(broker->group), "test-%d-%u", (int)getpid(), groups++);
	broker->config = (struct swm_queue_config){
		.brokers = {broker->brokers, 1},
		.group = broker->group,
		.content_type = "application/json",
		.partitions = 1,
		.session_timeout_ms = 3000,
		.prefetch_bytes = INT64_C(1024) * 1024,
		.message_bytes_max = INT64_C(900) * 1024,
		.create_topics = true,
		.idempotence = true,
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
	struct broker *broker = *state;

	broker_close(broker);
	(void)pthread_mutex_destroy(&broker->mutex);
	free(broker);
	return 0;
}

static void check(const struct broker *broker, swm_status status)
{
	if (status != SWM_OK) {
		fail_msg("status %d: %s", status, broker->err.message);
	}
}

struct swm_str broker_name(struct broker *broker, const char *name)
{
	int len = snprintf(broker->name, sizeof(broker->name), "%s%s-%d-%u",
		broker_setting("SWM_TEST_KAFKA_PREFIX"), name, (int)getpid(), broker->names++);

	return (struct swm_str){broker->name, (size_t)len};
}

struct swm_str broker_topic(struct broker *broker, const char *name)
{
	struct swm_str topic = broker_name(broker, name);

	check(broker, broker->ops->prepare(broker->queue, &topic, 1, &broker->err));
	return topic;
}

struct swm_consumer *broker_listen(
	struct broker *broker, struct swm_str topic, uint32_t prefetch)
{
	struct swm_consumer *consumer = NULL;

	check(broker, broker->ops->consumer_open(
			      broker->queue, &topic, 1, prefetch, &consumer, &broker->err));
	return consumer;
}

struct swm_publisher *broker_publisher(struct broker *broker)
{
	struct swm_publisher *publisher = NULL;

	check(broker, broker->ops->publisher_open(broker->queue, &publisher, &broker->err));
	return publisher;
}

struct swm_message message_to(struct swm_str topic, const char *id, struct swm_str body)
{
	return (struct swm_message){
		.destination = topic, .id = {id, strlen(id)}, .key = STR("key"), .body = body};
}

swm_status broker_publish(struct broker *broker, struct swm_publisher *publisher,
	struct swm_str topic, const char *id)
{
	struct swm_message message = message_to(topic, id, STR("{}"));
	swm_status result = SWM_E_INTERNAL;
	swm_status status = broker->ops->publisher_publish(
		publisher, &message, 1, PATIENCE_MS, &result, &broker->err);

	assert_int_equal(status, result);
	return status;
}

void broker_fill(struct broker *broker, struct swm_str topic, int count)
{
	static char numbers[BATCH][16];
	static struct swm_message messages[BATCH];
	static swm_status results[BATCH];
	struct swm_publisher *publisher = broker_publisher(broker);

	for (int done = 0; done < count; done += BATCH) {
		int some = count - done < BATCH ? count - done : BATCH;

		for (int i = 0; i < some; i++) {
			int len = snprintf(numbers[i], sizeof(numbers[i]), "%d", done + i);

			messages[i] = message_to(
				topic, numbers[i], (struct swm_str){numbers[i], (size_t)len});
		}
		check(broker, broker->ops->publisher_publish(publisher, messages, (size_t)some,
				      PATIENCE_MS, results, &broker->err));
	}
	broker->ops->publisher_close(publisher);
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

void broker_nothing(struct broker *broker, struct swm_consumer *consumer)
{
	struct swm_delivery delivery = {0};
	swm_status status = broker_wait(broker, consumer, QUIET_MS, &delivery);

	if (status == SWM_OK) {
		fail_msg("a message came that must not: %.*s", (int)delivery.body.len,
			delivery.body.ptr);
	}
	assert_int_equal(status, SWM_E_TIMEOUT);
}

swm_status broker_settle(struct broker *broker, struct swm_consumer *consumer, uint64_t token,
	uint32_t action, int64_t delay_ms)
{
	struct swm_settlement item = {.token = token, .action = action, .delay_ms = delay_ms};

	return broker->ops->consumer_settle(consumer, &item, 1, &broker->err);
}

void broker_ack(struct broker *broker, struct swm_consumer *consumer, uint64_t token)
{
	check(broker, broker_settle(broker, consumer, token, SWM_ACK, 0));
}

void broker_drain(struct broker *broker, struct swm_consumer *consumer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		broker_ack(broker, consumer, broker_next(broker, consumer).token);
	}
}

int number_of(const struct swm_delivery *delivery)
{
	char text[16] = "";

	assert_in_range(delivery->body.len, 1, sizeof(text) - 1);
	memcpy(text, delivery->body.ptr, delivery->body.len);
	return (int)strtol(text, NULL, 10);
}

rd_kafka_t *stranger_connect(const char *brokers, rd_kafka_type_t type)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256] = "";
	rd_kafka_t *stranger;

	assert_int_equal(
		rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof(reason)),
		RD_KAFKA_CONF_OK);
	if (type == RD_KAFKA_CONSUMER) {
		assert_int_equal(
			rd_kafka_conf_set(conf, "group.id", "stranger", reason, sizeof(reason)),
			RD_KAFKA_CONF_OK);
	}
	stranger = rd_kafka_new(type, conf, reason, sizeof(reason));
	assert_non_null(stranger);
	return stranger;
}

void stranger_publish(rd_kafka_t *stranger, struct swm_str topic, const void *key,
	size_t key_len, rd_kafka_headers_t *headers, const void *body, size_t body_len)
{
	union {
		const void *in;
		void *out;
	} keys = {.in = key}, bodies = {.in = body};

	if (headers == NULL) {
		headers = rd_kafka_headers_new(1);
	}
	assert_int_equal(
		rd_kafka_producev(stranger, RD_KAFKA_V_TOPIC(topic.ptr),
			RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_KEY(keys.out, key_len),
			RD_KAFKA_V_VALUE(bodies.out, body_len), RD_KAFKA_V_HEADERS(headers),
			RD_KAFKA_V_END),
		RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_int_equal(rd_kafka_flush(stranger, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void stranger_close(rd_kafka_t *stranger)
{
	rd_kafka_destroy(stranger);
}

void stranger_delete(rd_kafka_t *stranger, struct swm_str topic)
{
	rd_kafka_DeleteTopic_t *one = rd_kafka_DeleteTopic_new(topic.ptr);
	rd_kafka_queue_t *answers = rd_kafka_queue_new(stranger);
	rd_kafka_event_t *event;

	rd_kafka_DeleteTopics(stranger, &one, 1, NULL, answers);
	event = rd_kafka_queue_poll(answers, PATIENCE_MS);
	assert_non_null(event);
	assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(answers);
	rd_kafka_DeleteTopic_destroy(one);
}
