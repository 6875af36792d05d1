/* SPDX-License-Identifier: MIT */

/*
 * The PostgreSQL store's way into a database: what is refused in a configuration or a
 * server, TLS, migrations, and the company of other people's tables.
 */

#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static swm_status try_session(struct fixture *f)
{
	swm_status status = kit_reopen(f);

	return status == SWM_OK ? store_session_open(f->store, &f->session, &f->err) : status;
}

static swm_status migrate(struct fixture *f)
{
	int32_t version = 0;
	swm_status status = kit_reopen(f);

	if (status == SWM_OK) {
		status = store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err);
	}
	return status;
}

/* --- Configuration --- */

static void names_are_checked(void **state)
{
	static const char *const bad[] = {"", "1a", "Schema", "a\"b", "a b", "a-b", "a.b",
		"\xc3\xa4", "abcdefghijabcdefghijabcdefghij12", "pg_toast",
		"information_schema"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->config.schema = bad[i];
		f->config.table_prefix = "wf_";
		assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
		assert_non_null(strstr(f->err.message, "\"schema\""));
		f->config.schema = f->schema;
		f->config.table_prefix = bad[i];
		assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
		assert_non_null(strstr(f->err.message, "\"table_prefix\""));
	}
	f->config.table_prefix = "abcdefghijabcdefghijabcdefghij1";
	assert_int_equal(migrate(f), SWM_OK);
	assert_int_equal(try_session(f), SWM_OK);
}

static void parameters_are_checked(void **state)
{
	struct fixture *f = *state;
	struct swm_pair pair = {"password", "hidden"};

	f->config.parameters = (struct swm_map){&pair, 1};
	assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
	pair = (struct swm_pair){"options", "-c fsync=off"};
	assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
	pair = (struct swm_pair){"sslsnii", "0"};
	assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "sslsnii"));
	pair = (struct swm_pair){"keepalives_idle", "60"};
	assert_int_equal(migrate(f), SWM_OK);
}

static void who_is_let_in(void **state)
{
	struct fixture *f = *state;
	const char *password = f->config.password;

	f->config.password = "not-the-password";
	assert_int_equal(try_session(f), SWM_E_DENIED);
	assert_non_null(strstr(f->err.message, "authentication failed"));
	assert_null(strstr(f->err.message, "not-the-password"));
	f->config.password = password;
	f->config.database = "nobody_has_made_this";
	assert_int_equal(try_session(f), SWM_E_CONFIG);
	assert_null(strstr(f->err.message, password));
}

/* --- The server --- */

static void server_without_fsync(void **state)
{
	struct fixture *f = *state;

	kit_sql(f, "ALTER SYSTEM SET fsync = off");
	kit_sql(f, "SELECT pg_reload_conf()");
	kit_await(f, "off", "SHOW fsync");
	swm_status status = migrate(f);
	kit_sql(f, "ALTER SYSTEM RESET fsync");
	kit_sql(f, "SELECT pg_reload_conf()");
	kit_await(f, "on", "SHOW fsync");
	assert_int_equal(status, SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "fsync = off"));
	assert_int_equal(migrate(f), SWM_OK);
}

static void check_commit_setting(struct fixture *f, const char *given, const char *wanted)
{
	struct wire wire = {0};
	PGresult *answer = NULL;

	kit_sql(f, "ALTER ROLE %s SET synchronous_commit = %s", f->config.user, given);
	assert_int_equal(kit_reopen(f), SWM_OK);
	assert_int_equal(store_connect(f->store, &wire, &f->err), SWM_OK);
	assert_int_equal(wire_exec(&wire, "SHOW synchronous_commit", WIRE_READS, "ask", &answer,
				 &f->err),
		SWM_OK);
	assert_string_equal(PQgetvalue(answer, 0, 0), wanted);
	PQclear(answer);
	wire_close(&wire);
	kit_sql(f, "ALTER ROLE %s RESET synchronous_commit", f->config.user);
}

static void commits_are_synchronous(void **state)
{
	check_commit_setting(*state, "off", "on");
	check_commit_setting(*state, "on", "on");
	check_commit_setting(*state, "remote_apply", "remote_apply");
}

static void other_encodings(void **state)
{
	struct fixture *f = *state;

	kit_sql(f, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
	f->config.database = "latin";
	assert_int_equal(migrate(f), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "LATIN1"));
	kit_reopen(f);
	kit_sql(f, "DROP DATABASE latin");
}

/* --- TLS --- */

static void tls(void **state)
{
	struct fixture *f = *state;
	struct swm_pair address = {"hostaddr", "127.0.0.1"};
	char query[256];

	f->config.sslmode = STORE_SSL_VERIFY_FULL;
	f->config.sslrootcert = getenv("SWM_TEST_POSTGRESQL_CA");
	assert_int_equal(migrate(f), SWM_OK);
	assert_int_equal(try_session(f), SWM_OK);
	snprintf(query, sizeof(query),
		"SELECT s.ssl FROM pg_stat_ssl AS s JOIN pg_stat_activity USING (pid)"
		" WHERE application_name = '%s'",
		f->schema);
	kit_await(f, "t", query);

	/* The right certificate, for another host. */
	f->config.host = "database.example.com";
	f->config.parameters = (struct swm_map){&address, 1};
	assert_int_equal(try_session(f), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(f->err.message, "does not match host name"));
	f->config.sslmode = STORE_SSL_VERIFY_CA;
	assert_int_equal(try_session(f), SWM_OK);

	/* An authority that has not signed it. */
	f->config.sslrootcert = getenv("SWM_TEST_POSTGRESQL_WRONG_CA");
	assert_int_equal(try_session(f), SWM_E_UNAVAILABLE);
	assert_non_null(strstr(f->err.message, "certificate verify failed"));
	f->config.sslmode = STORE_SSL_REQUIRE;
	assert_int_equal(try_session(f), SWM_OK);
	kit_await(f, "t", query);

	/* A file that is not there is said at once. */
	f->config.sslmode = STORE_SSL_VERIFY_FULL;
	f->config.sslrootcert = "/nowhere/authority.pem";
	assert_int_equal(kit_reopen(f), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "/nowhere/authority.pem"));
}

/* --- Migration --- */

enum {
	MIGRATIONS = 8
};

struct migration {
	struct fixture *f;
	struct swm_error err;
	swm_status status;
	int32_t version;
};

static void *run_migration(void *arg)
{
	struct migration *migration = arg;

	migration->status = store_migrate(
		migration->f->store, SWM_MIGRATE_APPLY, &migration->version, &migration->err);
	return NULL;
}

static void migrations_at_once(void **state)
{
	struct fixture *f = *state;
	struct migration all[MIGRATIONS];
	pthread_t threads[MIGRATIONS];
	int32_t version = -1;

	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err), SWM_E_CONFIG);
	assert_int_equal(version, -1);
	for (int i = 0; i < MIGRATIONS; i++) {
		all[i] = (struct migration){.f = f};
		assert_int_equal(pthread_create(&threads[i], NULL, run_migration, &all[i]), 0);
	}
	for (int i = 0; i < MIGRATIONS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < MIGRATIONS; i++) {
		if (all[i].status != SWM_OK) {
			fail_msg("migration %d: %s", i, all[i].err.message);
		}
		assert_int_equal(all[i].version, STORE_SCHEMA_VERSION);
	}
	assert_int_equal(store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err), SWM_OK);
	assert_string_equal(
		kit_sql(f, "SELECT version FROM %s.wf_schema_version", f->schema), "2");
}

static void older_schema(void **state)
{
	struct fixture *f = *state;
	struct swm_commit first = kit_step(STR("one"), 0);
	int32_t schema = -1;
	int64_t version = -1;

	assert_int_equal(kit_commit(f, &first, 1), SWM_OK);
	kit_sql(f, "DROP INDEX %s.wf_outbox_instance_id_idx", f->schema);
	kit_sql(f, "UPDATE %s.wf_schema_version SET version = 1", f->schema);
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_CHECK, &schema, &f->err), SWM_E_CONFIG);
	assert_int_equal(try_session(f), SWM_E_CONFIG);
	assert_int_equal(store_migrate(f->store, SWM_MIGRATE_APPLY, &schema, &f->err), SWM_OK);
	assert_int_equal(schema, 2);
	assert_string_equal(kit_sql(f,
				    "SELECT count(*) FROM pg_indexes WHERE schemaname = '%s'"
				    " AND indexname = 'wf_outbox_instance_id_idx'",
				    f->schema),
		"1");
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 1);
}

static void newer_schema(void **state)
{
	struct fixture *f = *state;
	int32_t version = -1;

	kit_sql(f, "UPDATE %s.wf_schema_version SET version = 99", f->schema);
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "99"));
	assert_int_equal(version, -1);
	assert_int_equal(try_session(f), SWM_E_CONFIG);
}

/* --- Other people --- */

/* What others have made in the database, of the same names, comes first for whoever does
 * not say where to look. */
static void names_of_others(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = kit_step(STR("one"), 0);
	int64_t version = -1;

	kit_sql(f,
		"CREATE SCHEMA %s_trap;"
		"CREATE TABLE %s_trap.wf_workflow_instance(id text, trapped bool);"
		"CREATE TABLE %s_trap.wf_schema_version(version bigint);"
		"INSERT INTO %s_trap.wf_schema_version VALUES (77);"
		"CREATE FUNCTION %s_trap.floor(numeric) RETURNS numeric LANGUAGE sql AS"
		" 'SELECT 1 / 0::numeric';"
		"ALTER ROLE %s SET search_path = %s_trap, pg_catalog",
		f->schema, f->schema, f->schema, f->schema, f->schema, f->config.user,
		f->schema);
	swm_status status = migrate(f);
	if (status == SWM_OK) {
		status = try_session(f);
	}
	kit_sql(f, "ALTER ROLE %s RESET search_path", f->config.user);
	assert_int_equal(status, SWM_OK);
	assert_int_equal(kit_commit(f, &item, 1), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 1);
	assert_string_equal(
		kit_sql(f, "SELECT count(*) FROM %s_trap.wf_workflow_instance", f->schema),
		"0");
	kit_sql(f, "DROP SCHEMA %s_trap CASCADE", f->schema);
}

static void two_in_one_schema(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = kit_step(STR("one"), 0);
	int64_t version = -1;

	assert_int_equal(kit_commit(f, &item, 1), SWM_OK);
	f->config.table_prefix = "other_";
	assert_int_equal(try_session(f), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "swm migrate"));
	assert_int_equal(migrate(f), SWM_OK);
	assert_int_equal(try_session(f), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(version, 0);
}

/* The rights that README.md says are enough. */
static void few_rights(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = kit_step(STR("one"), 0);
	struct swm_set rows = {0};
	int64_t version = -1, next_ms = 0, purged = -1;

	kit_sql(f,
		"CREATE ROLE few LOGIN PASSWORD 'few';"
		"GRANT USAGE ON SCHEMA %s TO few;"
		"SET search_path = %s;"
		"GRANT SELECT, INSERT, UPDATE, DELETE ON wf_workflow_definition,"
		" wf_workflow_instance, wf_workflow_event, wf_outbox TO few;"
		"GRANT SELECT ON wf_schema_version TO few; RESET search_path",
		f->schema, f->schema);
	f->config.user = f->config.password = "few";
	assert_int_equal(try_session(f), SWM_OK);
	assert_int_equal(kit_commit(f, &item, 1), SWM_OK);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	assert_int_equal(
		store_outbox_claim(f->session, STR("me"), 1000, 10, &rows, &next_ms, &f->err),
		SWM_OK);
	rows.release(&rows);
	assert_int_equal(store_purge(f->session, 1 << 2, 100, 10, &purged, &f->err), SWM_OK);
	assert_int_equal(purged, 1);
	kit_sql(f, "REVOKE INSERT ON %s.wf_workflow_instance FROM few", f->schema);
	assert_int_equal(kit_commit(f, &item, 1), SWM_E_DENIED);
	assert_int_equal(kit_load(f, STR("one"), &version), SWM_OK);
	kit_reopen(f);
	kit_sql(f, "DROP OWNED BY few; DROP ROLE few");
}

/* As README.md does it. */
static void partitioned_events(void **state)
{
	struct fixture *f = *state;
	struct swm_event_row event = {
		.id = STR("e"), .name = STR("n"), .outcome = 1, .sequence = 1};
	struct swm_str seen_id = STR("e");
	uint8_t seen = 0;
	struct swm_load load = {
		.id = STR("one"), .event_ids = &seen_id, .seen = &seen, .event_count = 1};
	struct swm_commit items[] = {kit_step(STR("zero"), 0), kit_step(STR("one"), 0)};
	struct swm_set set = {0};
	int64_t purged = -1;

	assert_int_equal(kit_commit(f, &items[0], 1), SWM_OK);
	kit_sql(f,
		"SET search_path = %s; BEGIN;"
		"ALTER TABLE wf_workflow_event RENAME TO wf_workflow_event_first;"
		"ALTER INDEX wf_workflow_event_instance_id_key"
		" RENAME TO wf_workflow_event_first_instance_id_key;"
		"CREATE TABLE wf_workflow_event (LIKE wf_workflow_event_first INCLUDING ALL)"
		" PARTITION BY RANGE (instance);"
		"ALTER TABLE wf_workflow_event ATTACH PARTITION wf_workflow_event_first"
		" FOR VALUES FROM (MINVALUE) TO (2);"
		"CREATE TABLE wf_workflow_event_next PARTITION OF wf_workflow_event"
		" FOR VALUES FROM (2) TO (20000000);"
		"COMMIT; RESET search_path",
		f->schema);
	items[1].events = &event;
	items[1].event_count = 1;
	assert_int_equal(kit_commit(f, &items[1], 1), SWM_OK);
	assert_int_equal(store_load(f->session, &load, 1, &set, &f->err), SWM_OK);
	assert_int_equal(seen, 1);
	set.release(&set);
	assert_string_equal(
		kit_sql(f, "SELECT count(*) FROM %s.wf_workflow_event_next", f->schema), "1");
	assert_int_equal(store_purge(f->session, 1 << 2, 100, 10, &purged, &f->err), SWM_OK);
	assert_int_equal(purged, 2);
	assert_string_equal(
		kit_sql(f, "SELECT count(*) FROM %s.wf_workflow_event", f->schema), "0");
}

/* More than one statement carries: the rest of the batch is done by the next call. */
static void more_than_a_statement(void **state)
{
	enum {
		ITEMS = 3,
		BODY_BYTES = 50 * 1024 * 1024
	};
	struct fixture *f = *state;
	struct swm_str ids[ITEMS] = {STR("a"), STR("b"), STR("c")};
	struct swm_commit items[ITEMS];
	char *body = calloc(1, BODY_BYTES);

	assert_non_null(body);
	f->args.call_timeout_ms = 60000;
	assert_int_equal(try_session(f), SWM_OK);
	for (int i = 0; i < ITEMS; i++) {
		items[i] = kit_step(ids[i], 0);
		items[i].next.body = (struct swm_str){body, BODY_BYTES};
	}
	assert_int_equal(kit_commit(f, items, ITEMS), SWM_E_CONFLICT);
	assert_int_equal(items[0].result, SWM_OK);
	assert_int_equal(items[1].result, SWM_OK);
	assert_int_equal(items[2].result, SWM_E_CONFLICT);
	assert_int_equal(kit_commit(f, &items[2], 1), SWM_OK);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			names_are_checked, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			parameters_are_checked, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(who_is_let_in, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			server_without_fsync, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			commits_are_synchronous, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			other_encodings, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(tls, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			migrations_at_once, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(older_schema, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(newer_schema, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			names_of_others, kit_set_up_bare, kit_tear_down),
		cmocka_unit_test_setup_teardown(two_in_one_schema, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(few_rights, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(partitioned_events, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			more_than_a_statement, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests_name("postgresql-setup", tests, NULL, NULL);
}
