/* SPDX-License-Identifier: MIT */

/*
 * Every allocation of the engine, the domain and the JSON library fails once, and then
 * all of them from there on for a while. Whatever the engine was doing, nothing may be
 * lost, acknowledged too early or done twice, and it goes on when there is memory.
 *
 * The linker sends malloc and its kin here (--wrap), and what is taken from an arena;
 * the fakes are exempt.
 */

#include "rig.h"

#include "admin.h"
#include "engine.h"
#include "text.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern _Thread_local int fake_memory_exempt;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__real_swm_arena_take(struct swm_arena *arena, size_t size);
bool __real_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out);
void *__wrap_swm_arena_take(struct swm_arena *arena, size_t size);
bool __wrap_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out);

/* The allocations still to succeed before the failures begin; and how many fail then,
 * since it was armed. */
static atomic_long to_pass;
static atomic_long to_fail;
static atomic_long failed;

static bool is_failing(void)
{
	if (fake_memory_exempt > 0 || atomic_load(&to_fail) <= 0) {
		return false;
	}
	if (atomic_fetch_sub(&to_pass, 1) > 0) {
		return false;
	}
	if (atomic_fetch_sub(&to_fail, 1) <= 0) {
		return false;
	}
	atomic_fetch_add(&failed, 1);
	return true;
}

void *__wrap_malloc(size_t size)
{
	return is_failing() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_failing() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_failing() ? NULL : __real_realloc(old, size);
}

void *__wrap_swm_arena_take(struct swm_arena *arena, size_t size)
{
	return is_failing() ? NULL : __real_swm_arena_take(arena, size);
}

bool __wrap_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out)
{
	return !is_failing() && __real_swm_arena_copy(arena, text, out);
}

static void arm(long pass, long fail_count)
{
	atomic_store(&failed, 0);
	atomic_store(&to_pass, pass);
	atomic_store(&to_fail, fail_count);
}

static bool disarm(void)
{
	atomic_store(&to_fail, 0);
	return atomic_load(&failed) > 0;
}

/* Some of everything: starts, answers, garbage, a stranger, a task nobody takes. */
static void send_all(const struct world *world)
{
	fake_queue_refuse(world->queue, "q_r", SWM_E_INVALID);
	send_start(world, "1");
	send_completed(world, "1", "ONE", "a");
	send_start(world, "2");
	send_event(world, "StartWorkflow", "R", "1", NULL, NULL, "s");
	send_event(world, "TaskFailed", "T", "2", "ONE", "a", "f");
	send_event(world, "TaskCompleted", "T", "3", "ONE", "a", "early");
	fake_queue_send(world->queue, WORKFLOW_QUEUE, "garbage", "g", NULL);
	fake_queue_send(world->queue, WORKFLOW_QUEUE,
		"{'event_name':'StartWorkflow','component_name':'T','business_ref_no':'4',"
		"'data':{'a':[1,2.5,'x']}}",
		NULL, NULL);
	send_completed(world, "1", "ONE", "b");
}

static void check_all(const struct rig *rig)
{
	const struct world *world = &rig->world;
	assert_int_equal(counter(rig, "events_recorded"), 7);
	assert_int_equal(counter(rig, "events_parked"), 1);
	assert_int_equal(counter(rig, "events_deferred"), 1);
	assert_int_equal(fake_queue_waiting(world->queue, WORKFLOW_QUEUE), 0);
	assert_int_equal(fake_queue_unsettled(world->queue, WORKFLOW_QUEUE), 0);
	assert_int_equal(fake_store_outbox_count(world->store, SWM_OUTBOX_DEAD), 1);
	/* Sent, or still owed. */
	assert_true(fake_queue_published_count(world->queue, "q_c") <= 1);
	assert_true(fake_queue_published_count(world->queue, "q_a") <= 3);
}

/* As the processor goes on after each status; memory is short for `rounds` rounds. */
static bool run_short_of_memory(long pass, long fail_count, int rounds)
{
	struct rig *rig = rig_create();
	send_all(&rig->world);
	arm(pass, fail_count);
	size_t open = rig_receive(rig, 100);
	for (int round = 0; open > 0 && round < 100; round++) {
		if (round == rounds) {
			atomic_store(&to_fail, 0);
		}
		swm_status status = rig_round(rig);
		assert_true(status == SWM_OK || status == SWM_E_NOMEM);
		if (status == SWM_E_NOMEM) {
			swm_cache_drop_all(&rig->cache);
		}
		open = rig_settle(rig);
	}
	bool has_failed = disarm();
	assert_int_equal(open, 0);
	check_all(rig);
	rig_destroy(rig);
	return has_failed;
}

static void each_allocation_fails_once(void **state)
{
	(void)state;
	long pass = 0;
	while (run_short_of_memory(pass, 1, 100)) {
		pass++;
	}
	print_message("# %ld allocations failed, one at a time\n", pass);
	assert_true(pass > 50);
}

static void all_fail_from_one_on(void **state)
{
	(void)state;
	long pass = 0;
	while (run_short_of_memory(pass, 1000000, 3)) {
		pass++;
	}
	assert_true(pass > 50);
}

static void configure(struct swm_engine_config *config, const struct world *world,
	struct swm_engine_queue *queue, struct swm_engine_listen *listen)
{
	*queue = (struct swm_engine_queue){"main", &fake_queue_ops, world->queue};
	*listen = (struct swm_engine_listen){0, SWM_STR(WORKFLOW_QUEUE), 1};
	*config = (struct swm_engine_config){
		.env = fake_host_env(world->host),
		.store_ops = &fake_store_ops,
		.store = world->store,
		.queues = queue,
		.queue_count = 1,
		.listen = listen,
		.listen_count = 1,
		.batch = 16,
		.prefetch = 16,
		.lease_ms = 4000,
		.cache_bytes = 1 << 20,
		.payload = {.data_max_bytes = SWM_DATA_MAX_BYTES},
		.limits = swm_event_limits_default,
	};
}

/* Starts an engine and lets it run the same events, with one failure on the way. */
static bool run_engine(long pass)
{
	struct world world = {.host = fake_host_create_fast(20)};
	const struct swm_env *env = fake_host_env(world.host);
	world.store = fake_store_create(env);
	world.queue = fake_queue_create(env);
	world_put_templates(&world);
	send_all(&world);
	struct swm_engine_config config;
	struct swm_engine_queue queue;
	struct swm_engine_listen listen;
	struct swm_engine *engine = NULL;
	struct swm_error err = {0};
	configure(&config, &world, &queue, &listen);
	arm(pass, 1);
	swm_status status = swm_engine_start(&config, &engine, &err);
	if (status == SWM_OK) {
		assert_true(fake_host_await(world.host, "deliveries_acked", 9));
	} else {
		assert_int_equal(status, SWM_E_NOMEM);
	}
	swm_engine_stop(engine);
	bool has_failed = disarm();
	check_folds(&world);
	fake_queue_ops.close(world.queue);
	fake_store_ops.close(world.store);
	fake_host_destroy(world.host);
	return has_failed;
}

static void an_engine_lives_through_it(void **state)
{
	(void)state;
	for (long pass = 0; run_engine(pass); pass++) {
	}
}

/* What people ask for. */
static swm_status ask(
	struct swm_admin *admin, const struct swm_admin_args *args, struct swm_error *err)
{
	struct swm_admin_instance instance = {0};
	struct swm_findings findings = {0};
	struct swm_template_applied applied;
	struct swm_template_apply apply = {
		.text = SWM_STR("{\"component_name\":\"N\",\"workflow_name\":\"n\",\"stages\":"
				"[{\"stage_name\":\"S\",\"stage_order\":1}]}"),
	};
	struct swm_admin_verdict verdict;
	swm_status status = swm_admin_open(args, admin, err);
	if (status != SWM_OK) {
		return status;
	}
	status = swm_admin_template_apply(admin, &apply, &applied, &findings, err);
	swm_findings_finish(&findings);
	if (status == SWM_OK) {
		status = swm_admin_instance_get(
			admin, SWM_STR("T"), SWM_STR("1"), &instance, err);
	}
	if (status == SWM_OK) {
		swm_admin_instance_finish(&instance);
		status = swm_admin_instance_at(
			admin, SWM_STR("T"), SWM_STR("1"), 2, &instance, err);
	}
	if (status == SWM_OK) {
		swm_admin_instance_finish(&instance);
		status = swm_admin_event_wait(admin,
			SWM_STR("{\"event_name\":\"StartWorkflow\",\"component_name\":\"T\","
				"\"business_ref_no\":\"1\",\"event_id\":\"start-1\"}"),
			(struct swm_str){0}, 1000, &verdict, err);
	}
	return status;
}

static void questions_fail_cleanly(void **state)
{
	(void)state;
	struct rig *rig = rig_create();
	struct swm_admin_args args = {
		.env = fake_host_env(rig->world.host),
		.store_ops = &fake_store_ops,
		.store = rig->world.store,
		.limits = swm_event_limits_default,
	};
	send_all(&rig->world);
	rig_drain(rig);
	bool has_failed = true;
	for (long pass = 0; has_failed; pass++) {
		struct swm_admin admin = {0};
		struct swm_error err = {0};
		arm(pass, 1);
		swm_status status = ask(&admin, &args, &err);
		has_failed = disarm();
		swm_admin_close(&admin);
		if (status != (has_failed ? SWM_E_NOMEM : SWM_OK)) {
			fail_msg("allocation %ld: status %d, %s", pass, status, err.message);
		}
	}
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
		cmocka_unit_test(all_fail_from_one_on),
		cmocka_unit_test(an_engine_lives_through_it),
		cmocka_unit_test(questions_fail_cleanly),
	};
	json_set_alloc_funcs(malloc, free);
	return cmocka_run_group_tests_name("engine.memory", tests, NULL, NULL);
}
