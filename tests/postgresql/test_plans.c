/* SPDX-License-Identifier: MIT */

/*
 * What the PostgreSQL store's statements cost the server: the plans, on tables of every
 * size; updates that touch no index; one statement for a load and one for a commit.
 */

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Plans --- */

/* The statements whose plan must look every row up. The others are lists, which walk
 * along an index in its order, and may do so without a condition. */
static bool looks_up(size_t statement)
{
	switch (statement) {
	case STMT_OUTBOX_LIST_DEAD:
	case STMT_TEMPLATE_LIST:
	case STMT_PURGE:
		return false;
	default:
		return true;
	}
}

/* What a purged instance owes is looked up, though the instances are walked along. */
static bool looks_up_there(size_t statement, const char *scan)
{
	return looks_up(statement) ||
	       (statement == STMT_PURGE && strstr(scan, " on wf_outbox") != NULL);
}

/* A line of EXPLAIN that reads a table, and the one after it, how that is looked up. */
static void check_scan(size_t statement, const char *line, const char *after)
{
	const char *name = store_statements[statement].name;
	const char *scan = strstr(line, "Scan ");

	if (!scan || !strstr(scan, " wf_")) {
		return;
	}
	if (strncmp(scan, "Scan using ", 11) != 0 &&
		strncmp(scan, "Scan Backward using ", 20) != 0) {
		fail_msg("%s reads a table otherwise than by an index: %s", name, line);
	}
	if (looks_up_there(statement, scan) && !strstr(after, "Index Cond: ")) {
		fail_msg("%s walks through a whole index: %s", name, line);
	}
}

static void check_plan(struct fixture *f, size_t statement)
{
	const struct store_statement_text *it = &store_statements[statement];
	char arguments[PARAMS_MAX * 6] = "";

	for (int i = 0; i < it->parameters; i++) {
		size_t used = strlen(arguments);

		snprintf(arguments + used, sizeof(arguments) - used, "%sNULL",
			i > 0 ? ", " : "");
	}
	kit_sql(f, "PREPARE %s AS %s", it->name, f->store->texts[statement]);
	kit_sql(f, "EXPLAIN (COSTS OFF) EXECUTE %s(%s)", it->name, arguments);
	char *rest = NULL;
	char *line = strtok_r(f->answer, "\n", &rest);
	while (line) {
		char *after = strtok_r(NULL, "\n", &rest);

		check_scan(statement, line, after ? after : "");
		line = after;
	}
	kit_sql(f, "DEALLOCATE %s", it->name);
}

static void check_plans(struct fixture *f)
{
	kit_sql(f, "%s", store_settings);
	for (size_t i = 0; i < STMT_COUNT; i++) {
		check_plan(f, i);
	}
	kit_sql(f, "RESET ALL; SET client_min_messages = error");
}

/* Instances and events, and half as many rows of the outbox, all at once. */
static void fill(struct fixture *f, const char *count)
{
	kit_sql(f,
		"SET search_path = %s; SET synchronous_commit = off;"
		"INSERT INTO wf_workflow_instance(version, sequence, created_ms, updated_ms,"
		" status, id, component, template_id, body)"
		" SELECT 1, 1, i / 100, i, i %% 5 + 1, 'C/' || 1000000000 + i, 'C' || i %% 7, "
		"'C:1', '{}'"
		" FROM generate_series(1, %s) AS i;"
		"INSERT INTO wf_workflow_event(instance, sequence, at_ms, attempt, outcome, "
		"rules,"
		" id, name) SELECT number, 1, 1, 1, 1, 1, id, 'TaskCompleted'"
		" FROM wf_workflow_instance;"
		"INSERT INTO wf_outbox(due_ms, created_ms, lease_until_ms, claims, state, "
		"attempt,"
		" kind, id, instance_id) SELECT i, 1, 0, 0, (i %% 1000 = 0)::int, 1, 1,"
		"  1000000000 + i, 'C/' || 1000000000 + i"
		" FROM generate_series(1, %s / 2) AS i;"
		"ANALYZE wf_workflow_instance, wf_workflow_event, wf_outbox;"
		"RESET search_path; RESET synchronous_commit",
		f->schema, count, count);
}

static void plans_of_empty_tables(void **state)
{
	check_plans(*state);
}

static void plans_of_small_tables(void **state)
{
	fill(*state, "10");
	check_plans(*state);
}

/* A plan is made once for a session: one from when the tables were empty has to do. */
static void plans_of_large_tables(void **state)
{
	struct fixture *f = *state;
	struct swm_commit first = kit_step(STR("early"), 0), second = kit_step(STR("early"), 1);
	int64_t version = -1;

	assert_int_equal(kit_commit(f, &first, 1), SWM_OK);
	fill(f, "1000000");
	check_plans(f);
	int64_t begin = kit_now_ms();
	assert_int_equal(kit_load(f, STR("early"), &version), SWM_OK);
	assert_int_equal(kit_commit(f, &second, 1), SWM_OK);
	assert_in_range(kit_now_ms() - begin, 0, 500);
}

/* --- Updates --- */

static void updates_touch_no_index(void **state)
{
	enum {
		INSTANCES = 20,
		COMMITS = 100
	};
	struct fixture *f = *state;
	char ids[INSTANCES][16], body[400], query[256];

	memset(body, 'b', sizeof(body));
	for (int version = 0; version < COMMITS; version++) {
		struct swm_commit items[INSTANCES];

		for (int i = 0; i < INSTANCES; i++) {
			snprintf(ids[i], sizeof(ids[i]), "C/%d", i);
			items[i] = kit_step((struct swm_str){ids[i], strlen(ids[i])}, version);
			items[i].next.body = (struct swm_str){body, sizeof(body)};
			items[i].next.updated_ms = version;
			items[i].next.stage =
				version % 3 == 0 ? STR("prepare") : STR("deliver");
			items[i].next.status = version % 2 + 1;
			items[i].next.sequence = version;
		}
		assert_int_equal(kit_commit(f, items, INSTANCES), SWM_OK);
	}
	/* The server counts when the session ends. */
	store_session_close(f->session);
	f->session = NULL;
	snprintf(query, sizeof(query),
		"SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = '%s'"
		" AND relname = 'wf_workflow_instance'",
		f->schema);
	kit_await(f, "1980", query);
	long hot = strtol(kit_sql(f,
				  "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE"
				  " schemaname = '%s' AND relname = 'wf_workflow_instance'",
				  f->schema),
		NULL, 10);
	print_message("# %ld of 1980 updates were HOT\n", hot);
	assert_in_range(hot, 1980 * 95 / 100, 1980);
}

/* --- One statement each --- */

/* Event, outbox row, cancelled timer, marks: a batch with everything in it. */
static void commit_batch(struct fixture *f, int64_t version)
{
	enum {
		ITEMS = 5
	};
	char ids[ITEMS][32], rows[ITEMS][32], before[ITEMS][32];
	struct swm_commit items[ITEMS];
	struct swm_event_row events[ITEMS];
	struct swm_outbox_row owed[ITEMS];
	struct swm_outbox_mark marks[ITEMS];

	for (int i = 0; i < ITEMS; i++) {
		snprintf(ids[i], sizeof(ids[i]), "C/%d", i);
		snprintf(rows[i], sizeof(rows[i]), "row-%d-%d", i, (int)version);
		snprintf(before[i], sizeof(before[i]), "row-%d-%d", i, (int)version - 1);
		struct swm_str row = {rows[i], strlen(rows[i])};
		struct swm_str old = {before[i], strlen(before[i])};
		items[i] = kit_step((struct swm_str){ids[i], strlen(ids[i])}, version);
		events[i] = (struct swm_event_row){.id = row,
			.name = STR("TaskCompleted"),
			.outcome = SWM_OUTCOME_APPLIED,
			.sequence = version + 1};
		owed[i] = (struct swm_outbox_row){
			.id = row, .destination = STR("q"), .body = STR("{}")};
		marks[i] = (struct swm_outbox_mark){
			.id = old, .action = i % 2 ? SWM_MARK_SENT : SWM_MARK_RETRY};
		items[i].events = &events[i];
		items[i].outbox = &owed[i];
		items[i].event_count = items[i].outbox_count = 1;
	}
	assert_int_equal(store_commit(f->session, STR("me"), 60000, items, ITEMS, marks,
				 version > 0 ? ITEMS : 0, &f->err),
		SWM_OK);
}

static void one_statement_each(void **state)
{
	struct fixture *f = *state;
	int64_t version = -1;

	kit_sql(f, "SELECT pg_stat_statements_reset()");
	for (int i = 0; i < 30; i++) {
		assert_int_equal(kit_load(f, STR("C/1"), &version), SWM_OK);
		assert_int_equal(version, i);
		commit_batch(f, i);
	}
	/* Everything that our session ran: what has a name of the schema, or no table. */
	assert_string_equal(
		kit_sql(f, "SELECT calls || ' ' || split_part(query, ' ', 2) FROM"
			   " pg_stat_statements WHERE userid = current_user::regrole AND dbid ="
			   " (SELECT oid FROM pg_database WHERE datname = current_database())"
			   " AND query !~ 'pg_stat_statements' ORDER BY query"),
		"30 committer\n30 want");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			plans_of_empty_tables, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			plans_of_small_tables, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			plans_of_large_tables, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(
			updates_touch_no_index, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(one_statement_each, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests_name("postgresql-plans", tests, NULL, NULL);
}
