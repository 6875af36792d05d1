/* SPDX-License-Identifier: MIT */

/* What the tests of the PostgreSQL plugin share; see kit.h. */

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	KIT_PATIENCE_MS = 20000
};

static SWM_PRINTF(4, 5) void no_log(
	void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	(void)ctx;
	(void)level;
	(void)source;
	(void)fmt;
}

static int64_t wall_clock(void *ctx)
{
	(void)ctx;
	return (int64_t)time(NULL) * 1000;
}

int64_t kit_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		fprintf(stderr, "%s is not set: run this by tests/services/with\n", name);
		exit(1);
	}
	return value;
}

void kit_reconnect(struct fixture *f)
{
	const char *const keywords[] = {"host", "port", "dbname", "user", "password", NULL};
	const char *const values[] = {setting("SWM_TEST_POSTGRESQL_HOST"),
		setting("SWM_TEST_POSTGRESQL_PORT"), setting("SWM_TEST_POSTGRESQL_DATABASE"),
		setting("SWM_TEST_POSTGRESQL_USER"), setting("SWM_TEST_POSTGRESQL_PASSWORD"),
		NULL};

	PQfinish(f->admin);
	f->admin = PQconnectdbParams(keywords, values, 0);
	if (PQstatus(f->admin) != CONNECTION_OK) {
		fail_msg("%s", PQerrorMessage(f->admin));
	}
	kit_sql(f, "SET client_min_messages = error");
}

static struct store_config config_of(const struct fixture *f)
{
	return (struct store_config){
		.host = setting("SWM_TEST_POSTGRESQL_HOST"),
		.port = strtol(setting("SWM_TEST_POSTGRESQL_PORT"), NULL, 10),
		.database = setting("SWM_TEST_POSTGRESQL_DATABASE"),
		.user = setting("SWM_TEST_POSTGRESQL_USER"),
		.password = setting("SWM_TEST_POSTGRESQL_PASSWORD"),
		.sslmode = STORE_SSL_DISABLE,
		.schema = f->schema,
		.table_prefix = "wf_",
		.application_name = f->schema,
	};
}

swm_status kit_reopen(struct fixture *f)
{
	store_session_close(f->session);
	store_close(f->store);
	f->session = NULL;
	f->store = NULL;
	return store_open(&f->args, &f->store, &f->err);
}

int kit_set_up_bare(void **state)
{
	static int number;
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f) {
		return -1;
	}
	snprintf(f->schema, sizeof(f->schema), "test_%d_%d", (int)getpid(), ++number);
	f->host =
		(struct swm_host){.size = sizeof(f->host), .log = no_log, .now_ms = wall_clock};
	f->config = config_of(f);
	f->args = (struct swm_open_args){.size = sizeof(f->args),
		.flags = SWM_OPEN_ORCHESTRATOR,
		.host = &f->host,
		.instance = "store",
		.config = &f->config,
		.call_timeout_ms = KIT_TIMEOUT_MS};
	*state = f;
	kit_reconnect(f);
	return kit_reopen(f);
}

int kit_set_up(void **state)
{
	int32_t version = 0;

	if (kit_set_up_bare(state) != SWM_OK) {
		return -1;
	}
	struct fixture *f = *state;
	if (store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err) != SWM_OK ||
		store_session_open(f->store, &f->session, &f->err) != SWM_OK) {
		print_error("%s\n", f->err.message);
		return -1;
	}
	return 0;
}

int kit_tear_down(void **state)
{
	struct fixture *f = *state;

	store_session_close(f->session);
	store_close(f->store);
	kit_sql(f, "DROP SCHEMA IF EXISTS %s CASCADE", f->schema);
	PQfinish(f->admin);
	free(f);
	return 0;
}

const char *kit_sql(struct fixture *f, const char *fmt, ...)
{
	char text[KIT_ANSWER_MAX];
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert_in_range(len, 1, sizeof(text) - 1);
	PGresult *result = PQexec(f->admin, text);
	ExecStatusType status = PQresultStatus(result);
	f->answer[0] = '\0';
	for (int i = 0; i < PQntuples(result); i++) {
		size_t used = strlen(f->answer);

		snprintf(f->answer + used, sizeof(f->answer) - used, "%s%s", i > 0 ? "\n" : "",
			PQgetvalue(result, i, 0));
	}
	PQclear(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		fail_msg("%s\n%s", text, PQerrorMessage(f->admin));
	}
	return f->answer;
}

static void sleep_ms(int64_t ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

void kit_await(struct fixture *f, const char *wanted, const char *query)
{
	int64_t until = kit_now_ms() + KIT_PATIENCE_MS;

	while (strcmp(kit_sql(f, "%s", query), wanted) != 0) {
		if (kit_now_ms() > until) {
			fail_msg("%s is %s, must become %s", query, f->answer, wanted);
		}
		sleep_ms(20);
	}
}

void kit_service(const char *words)
{
	char command[256];

	snprintf(command, sizeof(command), "%s/tests/services/postgresql %s",
		setting("SWM_SOURCE"), words);
	assert_int_equal(system(command), 0);
}

struct swm_commit kit_step(struct swm_str id, int64_t expected_version)
{
	return (struct swm_commit){
		.next = {.id = id,
			.workflow = STR("pizza"),
			.component = STR("orders"),
			.business_ref = id,
			.template_id = STR("orders:1"),
			.stage = STR("cook"),
			.body = STR("body"),
			.version = expected_version + 1,
			.created_ms = 5,
			.updated_ms = 6,
			.status = 2},
		.expected_version = expected_version,
	};
}

swm_status kit_commit(struct fixture *f, struct swm_commit *items, size_t count)
{
	return store_commit(f->session, STR("me"), 60000, items, count, NULL, 0, &f->err);
}

swm_status kit_load(struct fixture *f, struct swm_str id, int64_t *version)
{
	struct swm_load item = {.id = id};
	struct swm_set backing = {0};
	swm_status status = store_load(f->session, &item, 1, &backing, &f->err);

	if (status == SWM_OK) {
		*version = item.instance ? item.instance->version : 0;
		backing.release(&backing);
	}
	return status;
}
