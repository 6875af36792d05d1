/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_KAFKA_BROKER_H
#define SWM_TESTS_KAFKA_BROKER_H

/*
 * What the tests of plugins/queue-kafka stand on: a real broker, whose address and whose
 * script tests/kafka/run gives in the environment; an adapter on it; and a stranger, who
 * speaks to it through the client library alone.
 *
 * Concurrency: none but where a test says so; what is logged comes from any thread.
 */

#include "queue_kafka.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What bounds each call of the adapter, and how much more a test allows on a busy
 * machine. */
#define CALL_TIMEOUT_MS 5000
#define SLACK_MS 3000

/* How long a test waits for what must come, and what it finds long enough to say that
 * nothing does: a group has to have agreed by then. */
#define PATIENCE_MS 60000
#define QUIET_MS 1500

#define STR(text) ((struct swm_str){text, sizeof(text) - 1})

struct broker {
	struct swm_host host;
	struct swm_queue_config config; /* may be changed before broker_open() */
	struct swm_open_args args;
	const char *brokers[1];
	struct swm_pair client[4];
	char group[64];
	const struct swm_queue_ops *ops;
	struct swm_queue *queue; /* NULL: closed */
	struct swm_error err;    /* of the last call that was given it */
	pthread_mutex_t mutex;
	char logged[65536]; /* every line, as far as there is room */
	long counted;       /* of the counters, all together */
	char name[128];     /* the last of broker_name() */
	unsigned names;
};

/* Set-up and tear-down of cmocka's: `*state` is a struct broker, its queue open. */
int broker_set_up(void **state);
int broker_tear_down(void **state);

/* Opens the adapter with the configuration as it is now. */
swm_status broker_open(struct broker *broker);
void broker_close(struct broker *broker);

/* One more property of the library's. */
void broker_property(struct broker *broker, const char *name, const char *value);

/* From the environment; fails the test when it is not there. */
const char *broker_setting(const char *name);

/* Runs the service's script with this argument. */
void broker_service(const char *argument);

/* Whether something has been logged. */
bool broker_has_logged(struct broker *broker, const char *text);

/* A name that no other topic has; lives until the next call. */
struct swm_str broker_name(struct broker *broker, const char *name);

int64_t now_ms(void);
void sleep_ms(int64_t duration_ms);

/* Fails the test if a call that began at `from_ms` took longer than it was allowed. */
void assert_within(int64_t from_ms, int64_t allowed_ms);

/* A fresh topic, prepared; handles, opened. Anything but success fails the test. */
struct swm_str broker_topic(struct broker *broker, const char *name);
struct swm_consumer *broker_listen(
	struct broker *broker, struct swm_str topic, uint32_t prefetch);
struct swm_publisher *broker_publisher(struct broker *broker);

struct swm_message message_to(struct swm_str topic, const char *id, struct swm_str body);

/* One message; its result. */
swm_status broker_publish(struct broker *broker, struct swm_publisher *publisher,
	struct swm_str topic, const char *id);

/* `count` messages with the bodies "0", "1", ... and the same key, so in one partition. */
void broker_fill(struct broker *broker, struct swm_str topic, int count);

/* The next one that comes within PATIENCE_MS; else fails the test. */
struct swm_delivery broker_next(struct broker *broker, struct swm_consumer *consumer);

/* Nothing comes for QUIET_MS. */
void broker_nothing(struct broker *broker, struct swm_consumer *consumer);

/* Acknowledges one, or `count` that come. */
swm_status broker_settle(struct broker *broker, struct swm_consumer *consumer, uint64_t token,
	uint32_t action, int64_t delay_ms);
void broker_ack(struct broker *broker, struct swm_consumer *consumer, uint64_t token);
void broker_drain(struct broker *broker, struct swm_consumer *consumer, size_t count);

/* Receives, as often as the port asks for, until it is something other than TIMEOUT. */
swm_status broker_wait(struct broker *broker, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out);

/* The number that is the body. */
int number_of(const struct swm_delivery *delivery);

/* --- The stranger --- */

rd_kafka_t *stranger_connect(const char *brokers, rd_kafka_type_t type);
void stranger_publish(rd_kafka_t *stranger, struct swm_str topic, const void *key,
	size_t key_len, rd_kafka_headers_t *headers, const void *body, size_t body_len);
void stranger_close(rd_kafka_t *stranger);

/* Deletes a topic, and waits until it is gone. */
void stranger_delete(rd_kafka_t *stranger, struct swm_str topic);

#endif
