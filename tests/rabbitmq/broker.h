/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_RABBITMQ_BROKER_H
#define SWM_TESTS_RABBITMQ_BROKER_H

/*
 * What the tests of plugins/queue-rabbitmq stand on: a real broker, whose address and
 * whose script tests/rabbitmq/run gives in the environment; an adapter on it; and a
 * stranger, who speaks to it through the client library alone.
 *
 * Concurrency: none but where a test says so.
 */

#include "queue_rabbitmq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What bounds each call of the adapter, and how much more a test allows on a busy
 * machine. */
#define CALL_TIMEOUT_MS 3000
#define SLACK_MS 2000

/* How long a test waits for what must come. */
#define PATIENCE_MS 60000

#define STR(text) ((struct swm_str){text, sizeof(text) - 1})

struct broker {
	struct swm_host host;
	struct swm_queue_config config; /* may be changed before broker_open() */
	struct swm_open_args args;
	char url[256];
	const struct swm_queue_ops *ops;
	struct swm_queue *queue; /* NULL: closed */
	struct swm_error err;    /* of the last call that was given it */
	char logged[1024];       /* the last line */
	char name[64];           /* the last of broker_name() */
	unsigned names;
};

/* Set-up and tear-down of cmocka's: `*state` is a struct broker, its queue open. */
int broker_set_up(void **state);
int broker_tear_down(void **state);

/* Opens the adapter with the configuration as it is now. */
swm_status broker_open(struct broker *broker);
void broker_close(struct broker *broker);

/* From the environment; fails the test when it is not there. */
const char *broker_setting(const char *name);

/* Another way to the same virtual host: the port is that of the URL in `setting`. */
void broker_set_url(struct broker *broker, const char *scheme, const char *user,
	const char *host, const char *setting);

/* Runs the service's script with these arguments, as a shell reads them. */
void broker_service(const char *fmt, ...) SWM_PRINTF(1, 2);

/* A name that no other queue has; lives until the next call. */
struct swm_str broker_name(struct broker *broker, const char *name);

int64_t now_ms(void);
void sleep_ms(int64_t duration_ms);

/* A fresh queue, prepared; handles, opened. Anything but success fails the test. */
struct swm_str broker_queue(struct broker *broker, const char *name);
struct swm_consumer *broker_listen(
	struct broker *broker, struct swm_str queue, uint32_t prefetch);
struct swm_publisher *broker_publisher(struct broker *broker);

struct swm_message message_to(struct swm_str queue, const char *id, struct swm_str body);

/* One message; its result. */
swm_status broker_publish(struct broker *broker, struct swm_publisher *publisher,
	struct swm_str queue, const char *id);

/* The next one that comes within PATIENCE_MS; else fails the test. */
struct swm_delivery broker_next(struct broker *broker, struct swm_consumer *consumer);

/* Acknowledges `count` that come. */
void broker_drain(struct broker *broker, struct swm_consumer *consumer, size_t count);
void broker_ack(struct broker *broker, struct swm_consumer *consumer, uint64_t token);

/* Receives, as often as the port asks for, until it is something other than TIMEOUT. */
swm_status broker_wait(struct broker *broker, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out);

/* --- The stranger --- */

amqp_connection_state_t stranger_connect(void);
void stranger_close(amqp_connection_state_t stranger);
void stranger_publish(amqp_connection_state_t stranger, struct swm_str queue,
	const amqp_basic_properties_t *properties, struct swm_str body);

#endif
