/* SPDX-License-Identifier: MIT */

/*
 * What the PostgreSQL store does when the server, or the connection to it, fails: which
 * status says what, and that no call takes longer than it may. The port itself is the
 * conformance kit's.
 */

#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A commit in a thread of its own, so that the test can do something to it. */
struct running {
	struct fixture *f;
	struct swm_commit item;
	swm_status status;
	int64_t took_ms;
};

static void *run_commit(void *arg)
{
	struct running *running = arg;
	int64_t begin = kit_now_ms();

	running->status = kit_commit(running->f, &running->item, 1);
	running->took_ms = kit_now_ms() - begin;
	return NULL;
}

static void begin_commit(struct running *running, pthread_t *thread)
{
	assert_int_equal(pthread_create(thread, NULL, run_commit, running), 0);
}

static void create_instance(struct fixture *f, struct swm_str id)
{
	struct swm_commit first = kit_step(id, 0);

	assert_int_equal(kit_commit(f, &first, 1), SWM_OK);
}

/* Holds the instance so that the plugin's next commit has to wait. */
static void hold_instances(struct fixture *f)
{
	kit_sql(f, "BEGIN; SELECT 1 FROM %s.wf_workflow_instance FOR UPDATE", f->schema);
}

static void await_waiting(struct fixture *f)
{
	char query[256];

	snprintf(query, sizeof(query),
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s'"
		" AND wait_event_type = 'Lock'",
		f->schema);
	kit_await(f, "1", query);
}

static void terminate(struct fixture *f)
{
	kit_sql(f,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
		" WHERE application_name = '%s'",
		f->schema);
}

static void terminated_in_commit(void **state)
{
	struct fixture *f = *state;
	struct running running = {.f = f, .item = kit_step(STR("one"), 1)};
	pthread_t thread;
	int64_t version = -1;

	create_instance(f, STR("one"));
	hold_instances(f);
	begin_commit(&running, &thread);
	await_waiting(f);
	terminate(f);
	pthread_join(thread, NULL);
	kit_sql(f, "COMMIT");
	assert_int_equal(running.status, SWM_E_INDOUBT);
	assert_int_equal(running.item.result, SWM_E_INDOUBT);

	/* The session is only good to be closed. */
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_E_UNAVAILABLE);
	store_session_close(f->session);
	f->session = NULL;
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 1);
}

static void terminated_while_idle(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = kit_step(STR("one"), 0);
	char query[160];

	item.result = SWM_E_INTERNAL;
	create_instance(f, STR("other"));
	terminate(f);
	snprintf(query, sizeof(query),
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s'",
		f->schema);
	kit_await(f, "0", query);
	/* There is no doubt about what was never sent. */
	assert_int_equal(kit_commit(f, &item, 1), SWM_E_UNAVAILABLE);
	assert_int_equal(item.result, SWM_E_INTERNAL);
	assert_string_equal(
		kit_sql(f, "SELECT count(*) FROM %s.wf_workflow_instance", f->schema), "1");
}

static void terminated_in_load(void **state)
{
	struct fixture *f = *state;
	int64_t version = -1;

	create_instance(f, STR("one"));
	terminate(f);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_E_UNAVAILABLE);
	assert_int_equal(version, -1);
}

/* The server gives up before we do, so that nobody is in doubt, and the session goes on. */
static void waits_too_long(void **state)
{
	struct fixture *f = *state;
	struct running running = {.f = f, .item = kit_step(STR("one"), 1)};
	pthread_t thread;
	int64_t version = -1;

	create_instance(f, STR("one"));
	hold_instances(f);
	begin_commit(&running, &thread);
	pthread_join(thread, NULL);
	kit_sql(f, "COMMIT");
	assert_int_equal(running.status, SWM_E_TIMEOUT);
	assert_in_range(running.took_ms, 500, KIT_TIMEOUT_MS + KIT_SLACK_MS);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 1);
}

static void thaw(void)
{
	kit_service("thaw");
}

/* How long a call takes on a server that is stopped; the status must be this one. */
#define FROZEN(status, call) \
	do { \
		int64_t begin = kit_now_ms(); \
		swm_status got = (call); \
		int64_t took_ms = kit_now_ms() - begin; \
		if (got != (status) || took_ms > KIT_TIMEOUT_MS + KIT_SLACK_MS) { \
			thaw(); \
			fail_msg("%s: status %d after %lld ms: %s", #call, got, \
				(long long)took_ms, f->err.message); \
		} \
	} while (0)

static void frozen_server(void **state)
{
	struct fixture *f = *state;
	struct swm_session *first = f->session, *second = NULL, *third = NULL;
	struct swm_commit item = kit_step(STR("one"), 1);
	int64_t version = -1;

	create_instance(f, STR("one"));
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	create_instance(f, STR("two"));
	second = f->session;
	f->session = first;
	kit_service("freeze");
	FROZEN(SWM_E_TIMEOUT, kit_load(f, STR("one"), &version));
	/* What is open and not answered is of no use any more. */
	FROZEN(SWM_E_UNAVAILABLE, kit_load(f, STR("one"), &version));
	f->session = second;
	FROZEN(SWM_E_INDOUBT, kit_commit(f, &item, 1));
	FROZEN(SWM_E_UNAVAILABLE, store_session_open(f->store, &third, &f->err));
	FROZEN(SWM_OK, (store_session_close(first), store_session_close(second), SWM_OK));
	thaw();

	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	/* The statement had reached the server: it is done, or is never going to be. */
	assert_in_range(version, 1, 2);
}

static void restart(struct fixture *f, const char *words)
{
	struct swm_commit item = kit_step(STR("two"), 0);
	int64_t version = -1;

	create_instance(f, STR("one"));
	kit_service(words);
	kit_reconnect(f);
	assert_int_equal(kit_commit(f, &item, 1), SWM_E_UNAVAILABLE);
	store_session_close(f->session);
	f->session = NULL;
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 1);
	assert_int_equal(kit_commit(f, &item, 1), SWM_OK);
}

static void restarted_fast(void **state)
{
	restart(*state, "restart");
}

static void restarted_at_once(void **state)
{
	restart(*state, "restart QUIT");
}

static void no_server(void **state)
{
	struct fixture *f = *state;
	struct swm_session *session = NULL;
	int32_t version = -1;

	f->config.port = 1;
	assert_int_equal(kit_reopen(f), SWM_OK);
	assert_int_equal(store_session_open(f->store, &session, &f->err), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(f->err.message, ":1/swm: cannot connect"));
	assert_int_equal(store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err),
		SWM_E_UNAVAILABLE);
	assert_null(session);
}

static void read_only_server(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = kit_step(STR("one"), 0);

	kit_sql(f, "ALTER DATABASE %s SET default_transaction_read_only = on",
		f->config.database);
	store_session_close(f->session);
	f->session = NULL;
	swm_status status = store_session_open(f->store, &f->session, &f->err);
	kit_sql(f, "ALTER DATABASE %s RESET default_transaction_read_only", f->config.database);
	/* A server that takes no writes is not the one that we look for. */
	assert_int_equal(status, SWM_E_UNAVAILABLE);
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	assert_int_equal(kit_commit(f, &item, 1), SWM_OK);
}

/* Commits fail in the server like this until so many have. */
static void refuse_commits(struct fixture *f, const char *state, const char *times)
{
	kit_sql(f,
		"SET search_path = %s, pg_catalog;"
		"CREATE SEQUENCE refusals; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE"
		" plpgsql AS $$ BEGIN IF nextval('%s.refusals') <= %s THEN"
		"  RAISE EXCEPTION 'on purpose' USING ERRCODE = '%s';"
		" END IF; RETURN NEW; END $$;"
		"CREATE TRIGGER refuse BEFORE UPDATE ON wf_workflow_instance"
		" FOR EACH ROW EXECUTE FUNCTION refuse(); RESET search_path",
		f->schema, f->schema, times, state);
}

static void accept_commits(struct fixture *f)
{
	kit_sql(f,
		"DROP TRIGGER refuse ON %s.wf_workflow_instance;"
		"DROP FUNCTION %s.refuse(); DROP SEQUENCE %s.refusals",
		f->schema, f->schema, f->schema);
}

/* What passes by itself is THROTTLED: nothing was done, and the session is fine. */
static void server_refuses_for_now(void **state)
{
	struct fixture *f = *state;
	/* a deadlock, a serialization failure, a full disk, no memory, too many
	 * connections, an I/O error */
	const char *const states[] = {"40P01", "40001", "53100", "53200", "53300", "58030"};
	struct swm_commit next = kit_step(STR("one"), 1);
	int64_t version = -1;

	create_instance(f, STR("one"));
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		refuse_commits(f, states[i], "1000");
		assert_int_equal(kit_commit(f, &next, 1), SWM_E_THROTTLED);
		assert_non_null(strstr(f->err.message, states[i]));
		assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
		assert_int_equal(version, 1);
		accept_commits(f);
	}
	assert_int_equal(kit_commit(f, &next, 1), SWM_OK);
}

/* Who loses a deadlock is not told: the statement is run again. */
static void deadlock_lost(void **state)
{
	struct fixture *f = *state;
	struct swm_commit next = kit_step(STR("one"), 1);
	int64_t version = -1;

	create_instance(f, STR("one"));
	refuse_commits(f, "40P01", "2");
	assert_int_equal(kit_commit(f, &next, 1), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 2);
}

static void broken_contract(void **state)
{
	struct fixture *f = *state;
	struct swm_commit items[2] = {kit_step(STR("one"), 0), kit_step(STR("two"), 0)};
	struct swm_event_row twice[2] = {
		{.id = STR("e"), .name = STR("n"), .outcome = 1, .sequence = 1},
		{.id = STR("e"), .name = STR("n"), .outcome = 1, .sequence = 2},
	};
	int64_t version = -1;

	/* The fence behind the compare-and-set: nothing of the call is applied. */
	items[1].events = twice;
	items[1].event_count = 2;
	assert_int_equal(kit_commit(f, items, 2), SWM_E_INVALID);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 0);

	/* Text that is none is the caller's mistake, and the session goes on. */
	items[0].next.stage = STR("\xff");
	assert_int_equal(kit_commit(f, items, 1), SWM_E_INVALID);
	items[0].next.stage = STR("a\0b");
	assert_int_equal(kit_commit(f, items, 1), SWM_E_INVALID);
	items[0].next.stage = STR("");
	assert_int_equal(kit_commit(f, items, 1), SWM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			terminated_in_commit, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			terminated_while_idle, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(terminated_in_load, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(waits_too_long, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(frozen_server, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(restarted_fast, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(restarted_at_once, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(no_server, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(read_only_server, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			server_refuses_for_now, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(deadlock_lost, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(broken_contract, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests_name("postgresql-faults", tests, NULL, NULL);
}
