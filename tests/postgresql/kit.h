/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_POSTGRESQL_KIT_H
#define SWM_TESTS_POSTGRESQL_KIT_H

/*
 * What the tests of the PostgreSQL plugin share: a store in a schema of its own on the
 * server that tests/services/with has started, and a plain connection beside it.
 *
 * Concurrency: a fixture belongs to the thread of the test.
 */

#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <swm/store.h>

#define STR(literal) ((struct swm_str){literal, sizeof(literal) - 1})

enum {
	/* Of each call; and how much later than that it may come back on a busy machine. */
	KIT_TIMEOUT_MS = 2000,
	KIT_SLACK_MS = 1500,
	KIT_ANSWER_MAX = 16384
};

struct fixture {
	char schema[32];
	struct swm_host host;
	struct store_config config;
	struct swm_open_args args;
	struct swm_store *store;
	struct swm_session *session;
	struct swm_error err;
	PGconn *admin; /* of the same user, without any settings of ours */
	char answer[KIT_ANSWER_MAX];
};

/* For cmocka: the store open, without tables; with tables and a session. */
int kit_set_up_bare(void **state);
int kit_set_up(void **state);
int kit_tear_down(void **state);

/* Opens the store anew with the configuration as it is now. */
swm_status kit_reopen(struct fixture *f);

/* Runs SQL as the fixture's user, beside the plugin; the first value of the last
 * statement's result, "" for none. A failure ends the test. */
const char *kit_sql(struct fixture *f, const char *fmt, ...) SWM_PRINTF(2, 3);

/* Waits until a query's answer is this; a test that waits for long has failed. */
void kit_await(struct fixture *f, const char *wanted, const char *query);

/* Runs "tests/services/postgresql WORDS" on the server of this test. */
void kit_service(const char *words);

/* Connects anew, after the server was away. */
void kit_reconnect(struct fixture *f);

int64_t kit_now_ms(void);

/* A plain step of an instance, and what calls it. */
struct swm_commit kit_step(struct swm_str id, int64_t expected_version);
swm_status kit_commit(struct fixture *f, struct swm_commit *items, size_t count);
swm_status kit_load(struct fixture *f, struct swm_str id, int64_t *version);

#endif
