/* SPDX-License-Identifier: MIT */

/*
 * The parts of the engine that have rules of their own: routes, pauses, the table, the
 * cache, the marks.
 */

#include "rig.h"

#include "retry.h"
#include "router.h"
#include "table.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

static void the_longest_pattern_wins(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t queue;
		bool workflow;
	} cases[] = {
		{"audit_x", 1, false}, {"audit_log", 2, false}, /* exact */
		{"audit_long", 3, false},                       /* the longer prefix */
		{"audit_lon", 1, false}, {"other", 4, false},   /* "*" */
		{"wf_two", 5, true},                            /* heard there */
		{"wf_one", 0, true},  /* the route "wf_o*" gives way to it */
		{"wf_three", 2, true} /* an exact route does not */
	};
	struct fake_host *host = fake_host_create_manual();
	static const struct swm_engine_queue queues[6];
	static const struct swm_engine_listen listen[] = {
		{0, {"wf_one", 6}, 1}, {5, {"wf_two", 6}, 1}, {3, {"wf_three", 8}, 1}};
	static const struct swm_engine_route routes[] = {{{"*", 1}, 4}, {{"audit_*", 7}, 1},
		{{"audit_log", 9}, 2}, {{"audit_long*", 11}, 3}, {{"wf_o*", 5}, 1},
		{{"wf_three", 8}, 2}};
	struct swm_engine_config config = {
		.env = fake_host_env(host),
		.queues = queues,
		.queue_count = 6,
		.listen = listen,
		.listen_count = 3,
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
	};
	struct swm_router *router = NULL;
	assert_int_equal(swm_router_create(&config, &router, NULL), SWM_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swm_destination *found =
			swm_router_find(router, swm_str_from(cases[i].name));
		assert_non_null(found);
		if (found->queue != cases[i].queue || found->workflow != cases[i].workflow) {
			fail_msg("%s goes to %zu", cases[i].name, found->queue);
		}
		assert_ptr_equal(found, swm_router_find(router, swm_str_from(cases[i].name)));
	}
	struct swm_destination *one = swm_router_find(router, SWM_STR("other"));
	assert_false(swm_router_is_prepared(router, one));
	swm_router_set_prepared(router, one, true);
	assert_true(swm_router_is_prepared(router, one));
	assert_true(swm_router_set_refusing(router, one, true));
	assert_false(swm_router_set_refusing(router, one, true));
	swm_router_destroy(router);

	config.route_count = 0;
	assert_int_equal(swm_router_create(&config, &router, NULL), SWM_OK);
	assert_int_equal(swm_router_find(router, SWM_STR("other"))->queue, 0);
	swm_router_destroy(router);
	fake_host_destroy(host);
}

static void pauses_double_up_to_the_cap(void **state)
{
	(void)state;
	struct fake_host *host = fake_host_create_manual();
	const struct swm_env *env = fake_host_env(host);
	struct swm_retry retry = {.first_ms = 100, .max_ms = 1000};
	static const int64_t caps[] = {100, 200, 400, 800, 1000, 1000, 1000};
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		int64_t pause_ms = swm_retry_next_ms(&retry, env);
		assert_in_range(pause_ms, caps[i] / 2, caps[i]);
	}
	swm_retry_reset(&retry);
	assert_in_range(swm_retry_next_ms(&retry, env), 50, 100);
	assert_in_range(swm_retry_pause_ms(1, INT64_MAX, 200, env), INT64_MAX / 2, INT64_MAX);
	fake_host_destroy(host);
}

#define NODES 1000

static void a_table_finds_what_is_in_it(void **state)
{
	(void)state;
	static struct swm_table_node nodes[NODES];
	static char names[NODES][8];
	struct swm_table table = {.seed = 7};
	assert_null(swm_table_find(&table, SWM_STR("0")));
	for (int i = 0; i < NODES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%d", i);
		nodes[i].key = swm_str_from(names[i]);
		assert_true(swm_table_insert(&table, &nodes[i]));
	}
	for (int i = 0; i < NODES; i += 2) {
		swm_table_remove(&table, &nodes[i]);
	}
	for (int i = 0; i < NODES; i++) {
		const struct swm_table_node *found =
			swm_table_find(&table, swm_str_from(names[i]));
		assert_ptr_equal(found, i % 2 == 0 ? NULL : &nodes[i]);
	}
	assert_int_equal(table.count, NODES / 2);
	swm_table_clear(&table);
	assert_null(swm_table_find(&table, swm_str_from(names[1])));
	swm_table_finish(&table);
}

static void the_cache_evicts_the_least_used(void **state)
{
	(void)state;
	struct rig *rig = rig_create();
	send_start(&rig->world, "1");
	send_start(&rig->world, "2");
	send_start(&rig->world, "3");
	rig_drain(rig);
	struct swm_cache *cache = &rig->cache;
	assert_int_equal(cache->table.count, 3);
	assert_non_null(swm_cache_find(cache, SWM_STR("T/1")));
	cache->max_bytes = cache->bytes - 1;
	swm_cache_trim(cache);
	assert_int_equal(cache->table.count, 2);
	assert_null(swm_cache_find(cache, SWM_STR("T/2")));
	assert_non_null(swm_cache_find(cache, SWM_STR("T/3")));
	swm_cache_drop_all(cache);
	assert_int_equal(cache->bytes, 0);
	assert_int_equal(cache->table.count, 0);
	rig_destroy(rig);
}

static void marks_are_copies(void **state)
{
	(void)state;
	struct swm_marks marks = {0};
	char id[] = "row-1";
	for (int i = 0; i < 1000; i++) {
		struct swm_outbox_mark mark = {
			.id = {id, sizeof(id) - 1},
			.action = SWM_MARK_SENT,
		};
		assert_true(swm_marks_add(&marks, &mark, 100 + i));
	}
	id[0] = 'x';
	assert_int_equal(marks.count, 1000);
	assert_int_equal(marks.oldest_ms, 100);
	assert_memory_equal(marks.items[999].id.ptr, "row-1", 5);
	assert_null(marks.items[0].instance_id.ptr);
	swm_marks_clear(&marks);
	assert_int_equal(marks.count, 0);
	swm_marks_finish(&marks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_pattern_wins),
		cmocka_unit_test(pauses_double_up_to_the_cap),
		cmocka_unit_test(a_table_finds_what_is_in_it),
		cmocka_unit_test(the_cache_evicts_the_least_used),
		cmocka_unit_test(marks_are_copies),
	};
	return cmocka_run_group_tests_name("engine.parts", tests, NULL, NULL);
}
