/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_SQS_SERVER_H
#define SWM_TESTS_SQS_SERVER_H

/*
 * What the tests of plugins/queue-sqs stand on: servers that speak SQS, whose addresses
 * tests/sqs/run gives in the environment; a proxy before one of them that alters answers and
 * keeps what was asked; an adapter; and a stranger, who speaks to the server without it.
 *
 * Concurrency: none.
 */

#include "queue_sqs.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What bounds each call of the adapter, and how much more a test allows on a busy machine. */
#define CALL_TIMEOUT_MS 8000
#define SLACK_MS 3000

/* How long a test waits for what must come. */
#define PATIENCE_MS 60000

#define STR(text) ((struct swm_str){text, sizeof(text) - 1})

struct server {
	struct swm_host host;
	struct swm_queue_config config; /* may be changed before server_open() */
	struct swm_open_args args;
	const struct swm_queue_ops *ops;
	struct swm_queue *queue; /* NULL: closed */
	struct swm_error err;
	char logged[4096]; /* all lines */
	char name[64];     /* the last of server_name() */
	unsigned names;
};

/* Set-up and tear-down of cmocka's: `*state` is a struct server, its queue open, through
 * the proxy, which has no rules. */
int server_set_up(void **state);
int server_tear_down(void **state);

/* Opens the adapter with the configuration as it is now. */
swm_status server_open(struct server *server);
void server_close(struct server *server);

/* From the environment; fails the test when it is not there. */
const char *server_setting(const char *name);

int64_t now_ms(void);
void sleep_ms(int64_t duration_ms);

/* The call that has begun at `from_ms` may have taken so long. */
void assert_within(int64_t from_ms, int64_t allowed_ms);

/* A name that no other queue has; lives until the next call. */
struct swm_str server_name(struct server *server, const char *name);

/* A fresh queue, prepared; handles, opened. Anything but success fails the test. */
struct swm_str server_queue(struct server *server, const char *name);
struct swm_consumer *server_listen(
	struct server *server, struct swm_str queue, uint32_t prefetch);
struct swm_publisher *server_publisher(struct server *server);

struct swm_message message_to(struct swm_str queue, const char *id, struct swm_str body);

/* One message; its result. */
swm_status server_publish(struct server *server, struct swm_publisher *publisher,
	struct swm_str queue, const char *id, int64_t timeout_ms);

/* Receives, as often as the port asks for, until it is something other than TIMEOUT. */
swm_status server_wait(struct server *server, struct swm_consumer *consumer,
	int64_t patience_ms, struct swm_delivery *out);

/* The next one; one that must come. */
struct swm_delivery server_next(struct server *server, struct swm_consumer *consumer);
swm_status server_settle(struct server *server, struct swm_consumer *consumer, uint64_t token,
	uint32_t action, int64_t delay_ms);

/* --- The proxy and the stranger --- */

/* Adds a rule, as JSON in which ' stands for ". */
void proxy_rule(const char *fmt, ...) SWM_PRINTF(1, 2);

/* Forgets all rules, and what was asked. */
void proxy_clear(void);

/* What was asked of the proxy since the last time, as JSON; to be freed. */
char *proxy_log(void);

/* How often `needle` is in `text`. */
size_t count_of(const char *text, const char *needle);

/* An action of SQS, in JSON as above; the answer, to be freed. */
char *stranger_call(const char *action, const char *fmt, ...) SWM_PRINTF(2, 3);

/* The URL of a queue; lives until the next call. */
const char *stranger_url(struct server *server, struct swm_str queue);

/* POST without a body. */
void post(const char *base, const char *path);

#endif
