/* SPDX-License-Identifier: MIT */

/*
 * What the SQLite store promises beyond its port, or what a port's test cannot set up:
 * migration, the orchestrator's place, a clock that stands still, damaged rows. The
 * port itself is the conformance kit's.
 */

#include "damage.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STR(literal) ((struct swm_str){literal, sizeof(literal) - 1})

struct fixture {
	char directory[64];
	char path[96];
	int64_t now_ms;
	struct swm_host host;
	struct store_config config;
	struct swm_open_args args;
	struct swm_store *store;
	struct swm_session *session;
	struct swm_error err;
};

static int64_t stopped_clock(void *ctx)
{
	const struct fixture *fixture = ctx;

	return fixture->now_ms;
}

static SWM_PRINTF(4, 5) void no_log(
	void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	(void)ctx;
	(void)level;
	(void)source;
	(void)fmt;
}

static int set_up_files(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f) {
		return -1;
	}
	snprintf(f->directory, sizeof(f->directory), "/tmp/swm-test-XXXXXX");
	if (!mkdtemp(f->directory)) {
		free(f);
		return -1;
	}
	snprintf(f->path, sizeof(f->path), "%s/store.db", f->directory);
	f->now_ms = 1000000;
	f->host = (struct swm_host){
		.size = sizeof(f->host), .ctx = f, .log = no_log, .now_ms = stopped_clock};
	f->config = (struct store_config){.path = f->path, .cache_bytes = 1 << 20};
	f->args = (struct swm_open_args){.size = sizeof(f->args),
		.flags = SWM_OPEN_ORCHESTRATOR,
		.host = &f->host,
		.instance = "store",
		.config = &f->config,
		.call_timeout_ms = 1000};
	*state = f;
	return store_open(&f->args, &f->store, &f->err);
}

static int set_up(void **state)
{
	int32_t version = 0;

	if (set_up_files(state) != SWM_OK) {
		return -1;
	}
	struct fixture *f = *state;
	if (store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err) != SWM_OK) {
		return -1;
	}
	return store_session_open(f->store, &f->session, &f->err);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	store_session_close(f->session);
	store_close(f->store);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
	int result = system(command);
	free(f);
	return result;
}

static struct swm_commit step(struct swm_str id, int64_t expected_version)
{
	return (struct swm_commit){
		.next = {.id = id,
			.component = STR("orders"),
			.stage = STR("cook"),
			.body = STR("body"),
			.version = expected_version + 1,
			.created_ms = 5,
			.updated_ms = 6,
			.status = 2},
		.expected_version = expected_version,
	};
}

static swm_status commit(struct fixture *f, struct swm_commit *items, size_t count)
{
	return store_commit(f->session, STR("me"), 1000, items, count, NULL, 0, &f->err);
}

static void migration_comes_first(void **state)
{
	struct fixture *f = *state;
	int32_t version = -1;

	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "swm migrate"));
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err), SWM_E_CONFIG);
	assert_int_equal(version, -1);
	assert_int_not_equal(access(f->path, F_OK), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err), SWM_OK);
		assert_int_equal(version, STORE_SCHEMA_VERSION);
	}
	assert_int_equal(store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err), SWM_OK);
	assert_int_equal(store_session_open(f->store, &f->session, &f->err), SWM_OK);
}

static void newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct swm_session *other = NULL;
	int32_t version = -1;

	assert_int_equal(swm_db_exec(&f->session->db, "PRAGMA user_version=99", NULL), SWM_OK);
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err), SWM_E_CONFIG);
	assert_int_equal(store_session_open(f->store, &other, &f->err), SWM_E_CONFIG);
	assert_non_null(strstr(f->err.message, "99"));
	assert_null(other);
}

static void damage_is_found_at_the_start(void **state)
{
	struct fixture *f = *state;
	int32_t version = -1;

	store_session_close(f->session);
	f->session = NULL;
	store_close(f->store);
	f->store = NULL;
	damage(f->path);
	assert_int_equal(store_open(&f->args, &f->store, &f->err), SWM_OK);
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_APPLY, &version, &f->err), SWM_E_CORRUPT);
	assert_int_equal(version, -1);
	assert_non_null(strstr(f->err.message, f->path));
	assert_int_equal(
		store_migrate(f->store, SWM_MIGRATE_CHECK, &version, &f->err), SWM_E_CORRUPT);
}

static void one_orchestrator(void **state)
{
	struct fixture *f = *state;
	struct swm_store *second = NULL;
	char pid[32];

	snprintf(pid, sizeof(pid), "process id %ld ", (long)getpid());
	assert_int_equal(store_open(&f->args, &second, &f->err), SWM_E_EXISTS);
	assert_non_null(strstr(f->err.message, pid));
	f->args.flags = 0;
	assert_int_equal(store_open(&f->args, &second, &f->err), SWM_OK);
	store_close(second);
	f->args.flags = SWM_OPEN_ORCHESTRATOR;
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(&f->args, &f->store, &f->err), SWM_OK);
}

static void body_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct swm_commit item = step(STR("orders|1"), 0);
	struct swm_load loads[2] = {
		{.id = STR("orders|1"), .have_version = 1}, {.id = STR("orders|1")}};
	struct swm_set backing = {0};

	assert_int_equal(commit(f, &item, 1), SWM_OK);
	assert_int_equal(store_load(f->session, loads, 2, &backing, &f->err), SWM_OK);
	assert_null(loads[0].instance->body.ptr);
	assert_int_equal(loads[0].instance->version, 1);
	assert_memory_equal(loads[1].instance->body.ptr, "body", 4);
	backing.release(&backing);
	assert_null(backing.release);
}

static void broken_contract_applies_nothing(void **state)
{
	struct fixture *f = *state;
	struct swm_event_row twice[2] = {{.id = STR("e"), .sequence = 1, .outcome = 1},
		{.id = STR("e"), .sequence = 2, .outcome = 1}};
	struct swm_commit items[2] = {step(STR("a"), 0), step(STR("b"), 0)};
	struct swm_load load = {.id = STR("a")};
	struct swm_set backing = {0};

	items[1].events = twice;
	items[1].event_count = 2;
	items[0].result = items[1].result = 77;
	assert_int_equal(commit(f, items, 2), SWM_E_INVALID);
	assert_int_equal(items[0].result, 77);
	assert_int_equal(store_load(f->session, &load, 1, &backing, &f->err), SWM_OK);
	assert_null(load.instance);
	backing.release(&backing);
	items[1].event_count = 1;
	assert_int_equal(commit(f, items, 2), SWM_OK);
}

static void too_large_spares_the_others(void **state)
{
	struct fixture *f = *state;
	struct swm_commit items[3] = {step(STR("a"), 0), step(STR("b"), 0), step(STR("c"), 7)};
	char *large = calloc(1, STORE_ITEM_BYTES_MAX);

	assert_non_null(large);
	items[0].next.body = (struct swm_str){large, STORE_ITEM_BYTES_MAX};
	assert_int_equal(commit(f, items, 3), SWM_E_TOO_LARGE);
	assert_int_equal(items[0].result, SWM_E_TOO_LARGE);
	assert_int_equal(items[1].result, SWM_OK);
	assert_int_equal(items[2].result, SWM_E_CONFLICT);
	free(large);
}

/* The order of the claim is the due time's, however the leases stand. */
static void claims_by_due_time(void **state)
{
	struct fixture *f = *state;
	struct swm_outbox_row rows[3] = {{.id = STR("late"), .delay_ms = 300},
		{.id = STR("soon"), .delay_ms = 100}, {.id = STR("dead"), .state = 1}};
	struct swm_set set = {0};
	const struct swm_outbox_row *got;
	int64_t next_ms = 0;

	assert_int_equal(store_outbox_put(f->session, rows, 3, &f->err), SWM_OK);
	assert_int_equal(store_outbox_put(f->session, rows, 3, &f->err), SWM_OK);
	assert_int_equal(
		store_outbox_claim(f->session, STR("d"), 1000, 5, &set, &next_ms, &f->err),
		SWM_OK);
	assert_int_equal(set.count, 0);
	assert_null(set.release);
	assert_int_equal(next_ms, 100);

	f->now_ms += 100;
	assert_int_equal(
		store_outbox_claim(f->session, STR("d"), 1000, 5, &set, &next_ms, &f->err),
		SWM_OK);
	assert_int_equal(set.count, 1);
	assert_int_equal(next_ms, 200);
	set.release(&set);

	/* Both are due and free; the one that was leased is the earlier one. */
	f->now_ms += 1000;
	assert_int_equal(
		store_outbox_claim(f->session, STR("d"), 500, 1, &set, &next_ms, &f->err),
		SWM_OK);
	got = set.items;
	assert_int_equal(set.count, 1);
	assert_memory_equal(got->id.ptr, "soon", 4);
	assert_int_equal(got->claims, 2);
	assert_int_equal(next_ms, 0);
	set.release(&set);
	assert_int_equal(
		store_outbox_claim(f->session, STR("d"), 700, 5, &set, &next_ms, &f->err),
		SWM_OK);
	assert_int_equal(set.count, 1);
	assert_int_equal(next_ms, 500);
	set.release(&set);
}

static void damaged_headers_are_found(void **state)
{
	struct fixture *f = *state;
	const struct swm_header headers[] = {{STR("swm-a"), STR("1")}, {STR("ce-b"), STR("")}};
	struct swm_outbox_row row = {.id = STR("r"), .headers = headers, .header_count = 2};
	const struct swm_page page = {.limit = 10};
	struct swm_set set = {0};

	assert_int_equal(store_outbox_put(f->session, &row, 1, &f->err), SWM_OK);
	assert_int_equal(store_outbox_list(f->session, false, &page, &set, &f->err), SWM_OK);
	const struct swm_outbox_row *got = set.items;
	assert_int_equal(got->header_count, 2);
	assert_memory_equal(got->headers[1].name.ptr, "ce-b", 4);
	assert_int_equal(got->headers[1].value.len, 0);
	set.release(&set);

	const char *const damages[] = {"UPDATE wf_outbox SET headers = x'01'",
		"UPDATE wf_outbox SET headers = x'0500000000000000'",
		"UPDATE wf_outbox SET headers = x'00000000ffffffff41'"};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(swm_db_exec(&f->session->db, damages[i], &f->err), SWM_OK);
		assert_int_equal(store_outbox_list(f->session, false, &page, &set, &f->err),
			SWM_E_CORRUPT);
		assert_null(set.release);
	}
}

/* Many instances of one millisecond, so that pages end among equals. */
static void pages_meet(void **state)
{
	enum {
		COUNT = 25
	};
	struct fixture *f = *state;
	struct swm_page page = {.limit = 7};
	char after[600];
	int seen = 0;

	for (int i = 0; i < COUNT; i++) {
		char id[16];

		snprintf(id, sizeof(id), "i:%02d", i * 7 % COUNT);
		struct swm_commit item = step((struct swm_str){id, 4}, 0);
		assert_int_equal(commit(f, &item, 1), SWM_OK);
	}
	do {
		struct swm_set set = {0};

		assert_int_equal(
			store_instance_list(f->session, NULL, &page, &set, &f->err), SWM_OK);
		const struct swm_instance_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++, seen++) {
			char id[16];

			snprintf(id, sizeof(id), "i:%02d", seen);
			assert_memory_equal(rows[i].id.ptr, id, 4);
		}
		memcpy(after, set.next.ptr ? set.next.ptr : "", set.next.len);
		page.after = (struct swm_str){set.next.ptr ? after : NULL, set.next.len};
		set.release(&set);
	} while (page.after.ptr);
	assert_int_equal(seen, COUNT);
	page.after = STR("nonsense");
	struct swm_set none = {0};
	assert_int_equal(
		store_instance_list(f->session, NULL, &page, &none, &f->err), SWM_E_INVALID);
}

static void purges_in_slices(void **state)
{
	enum {
		COUNT = STORE_PURGE_SLICE + 50
	};
	struct fixture *f = *state;
	struct swm_event_row event = {.id = STR("e"), .sequence = 1, .outcome = 1};
	struct swm_page page = {.limit = 10};
	struct swm_set set = {0};
	int64_t purged = 0;

	for (int i = 0; i < COUNT; i++) {
		char id[16];
		int len = snprintf(id, sizeof(id), "%d", i);
		struct swm_commit item = step((struct swm_str){id, (size_t)len}, 0);

		item.next.status = i == 0 ? 1 : 3;
		item.events = &event;
		item.event_count = 1;
		assert_int_equal(commit(f, &item, 1), SWM_OK);
	}
	assert_int_equal(store_purge(f->session, 1 << 3, 6, 1000, &purged, &f->err), SWM_OK);
	assert_int_equal(purged, 0);
	assert_int_equal(
		store_purge(f->session, 1 << 3, 7, COUNT - 10, &purged, &f->err), SWM_OK);
	assert_int_equal(purged, COUNT - 10);
	assert_int_equal(store_purge(f->session, 1 << 3, 7, 1000, &purged, &f->err), SWM_OK);
	assert_int_equal(purged, 9);
	assert_int_equal(store_event_list(f->session, STR("7"), &page, &set, &f->err), SWM_OK);
	assert_int_equal(set.count, 0);
	set.release(&set);
	assert_int_equal(store_event_list(f->session, STR("0"), &page, &set, &f->err), SWM_OK);
	assert_int_equal(set.count, 1);
	set.release(&set);
	assert_int_equal(store_maintain(f->session, 10, &f->err), SWM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(migration_comes_first, set_up_files, tear_down),
		cmocka_unit_test_setup_teardown(newer_schema_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			damage_is_found_at_the_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_orchestrator, set_up_files, tear_down),
		cmocka_unit_test_setup_teardown(body_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			broken_contract_applies_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_large_spares_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(claims_by_due_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_headers_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_meet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(purges_in_slices, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
