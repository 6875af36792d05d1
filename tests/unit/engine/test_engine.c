/* SPDX-License-Identifier: MIT */

/*
 * Whole engines over the fakes: threads, time-outs, failures that pass, orphans,
 * shutdown. Time runs 20 times as fast, so that leases end within a test.
 */

#include "rig.h"

#include "engine.h"
#include "message.h"
#include "text.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPEED 20

struct bench {
	struct world world;
	struct swm_engine_queue queues[1];
	struct swm_engine_listen listen[1];
	struct swm_engine_config config;
	struct swm_engine *engine;
	struct swm_engine *second;
	struct swm_env_mutex *mutex; /* guards the state */
	bool ready;
	bool odd; /* the store holds what no engine has written */
	unsigned changes;
};

static void on_state(void *ctx, const struct swm_engine_state *state)
{
	struct bench *bench = ctx;
	const struct swm_env *env = fake_host_env(bench->world.host);
	swm_env_lock(env, bench->mutex);
	bench->ready = state->ready;
	bench->changes++;
	swm_env_unlock(env, bench->mutex);
	env->host->count(env->host->ctx, state->ready ? "test_ready" : "test_not_ready", 1);
}

/* A task service that answers each StartTask at once. */
static void agent(void *ctx, const struct swm_message *message)
{
	struct bench *bench = ctx;
	static const char asked[] = "\"StartTask\"";
	char start_task[1024];
	char body[1100];
	if (swm_str_equal(message->destination, SWM_STR(WORKFLOW_QUEUE))) {
		return;
	}
	(void)snprintf(start_task, sizeof(start_task), "%.*s", SWM_FMT(message->body));
	const char *at = strstr(start_task, asked);
	if (!at) {
		fail_msg("not a StartTask: %s", start_task);
		return;
	}
	(void)snprintf(body, sizeof(body), "%.*s\"TaskCompleted\"%s", (int)(at - start_task),
		start_task, at + strlen(asked));
	char id[80];
	(void)snprintf(id, sizeof(id), "answer-%.*s", SWM_FMT(message->id));
	fake_queue_send(bench->world.queue, WORKFLOW_QUEUE, body, id, NULL);
}

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	bench->world.host = fake_host_create_fast(SPEED);
	const struct swm_env *env = fake_host_env(bench->world.host);
	bench->world.store = fake_store_create(env);
	bench->world.queue = fake_queue_create(env);
	world_put_templates(&bench->world);
	assert_int_equal(env->mutex_create(env->ctx, &bench->mutex, NULL), SWM_OK);
	bench->queues[0] =
		(struct swm_engine_queue){"main", &fake_queue_ops, bench->world.queue};
	bench->listen[0] = (struct swm_engine_listen){0, SWM_STR(WORKFLOW_QUEUE), 2};
	bench->config = (struct swm_engine_config){
		.env = env,
		.store_ops = &fake_store_ops,
		.store = bench->world.store,
		.queues = bench->queues,
		.queue_count = 1,
		.listen = bench->listen,
		.listen_count = 1,
		.batch = 16,
		.prefetch = 32,
		.lease_ms = 4000,
		.cache_bytes = SWM_ENGINE_CACHE_DEFAULT_BYTES,
		.payload = {.data_max_bytes = SWM_DATA_MAX_BYTES},
		.limits = swm_event_limits_default,
		.on_state = on_state,
		.on_state_ctx = bench,
	};
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	const struct swm_env *env = fake_host_env(bench->world.host);
	swm_engine_stop(bench->engine);
	swm_engine_stop(bench->second);
	if (!bench->odd) {
		check_folds(&bench->world);
	}
	env->mutex_destroy(env->ctx, bench->mutex);
	fake_queue_ops.close(bench->world.queue);
	fake_store_ops.close(bench->world.store);
	fake_host_destroy(bench->world.host);
	free(bench);
	return 0;
}

static void start(struct bench *bench, struct swm_engine **engine)
{
	struct swm_error err = {0};
	if (swm_engine_start(&bench->config, engine, &err) != SWM_OK) {
		fail_msg("%s", err.message);
	}
}

static void await(struct bench *bench, const char *metric, int64_t value)
{
	if (!fake_host_await(bench->world.host, metric, value)) {
		fail_msg("%s is %d, and should become %d", metric,
			(int)fake_host_counter(bench->world.host, metric), (int)value);
	}
}

static void rest_a_little(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Nothing waits, is out, or is owed. */
static bool is_quiet(const struct bench *bench)
{
	return fake_queue_waiting(bench->world.queue, WORKFLOW_QUEUE) == 0 &&
	       fake_queue_unsettled(bench->world.queue, WORKFLOW_QUEUE) == 0 &&
	       fake_store_outbox_count(bench->world.store, SWM_OUTBOX_PENDING) == 0;
}

#define QUIET_LOOKS_MAX 500

/* Every event will have been acknowledged, and nothing be owed any more: soon, since on
 * a busy machine a lease may run out, and copies be on their way. */
static void assert_quiet(struct bench *bench)
{
	for (int i = 0; i < QUIET_LOOKS_MAX && !is_quiet(bench); i++) {
		rest_a_little();
	}
	swm_engine_stop(bench->engine);
	bench->engine = NULL;
	assert_int_equal(fake_queue_waiting(bench->world.queue, WORKFLOW_QUEUE), 0);
	assert_int_equal(fake_queue_unsettled(bench->world.queue, WORKFLOW_QUEUE), 0);
	assert_int_equal(fake_store_outbox_count(bench->world.store, SWM_OUTBOX_PENDING), 0);
}

#define INSTANCES 200

static void send_starts(struct bench *bench)
{
	for (int i = 0; i < INSTANCES; i++) {
		char ref[16];
		(void)snprintf(ref, sizeof(ref), "%d", i);
		send_start(&bench->world, ref);
	}
}

static void runs_workflows_to_their_end(void **state)
{
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	start(bench, &bench->engine);
	await(bench, "test_ready", 1);
	send_starts(bench);
	await(bench, "events_recorded", (int64_t)INSTANCES * 4);
	await(bench, "deliveries_acked", (int64_t)INSTANCES * 4);
	assert_int_equal(fake_queue_published_count(bench->world.queue, "q_c"), INSTANCES);
	assert_quiet(bench);
}

static void two_engines_share_the_work(void **state)
{
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	start(bench, &bench->engine);
	start(bench, &bench->second);
	send_starts(bench);
	/* Acknowledged are copies as well, when a lease runs out on a busy machine. */
	await(bench, "events_recorded", (int64_t)INSTANCES * 4);
	await(bench, "deliveries_acked", (int64_t)INSTANCES * 4);
	assert_int_equal(
		fake_host_counter(bench->world.host, "events_recorded"), INSTANCES * 4);
	swm_engine_stop(bench->second);
	bench->second = NULL;
	assert_quiet(bench);
}

/* One of each failure, on the way of every instance. */
static void survives_what_passes(void **state)
{
	static const struct fake_store_fault store_faults[] = {
		{FAKE_SESSION_OPEN, 1, 3, SWM_E_UNAVAILABLE, false},
		{FAKE_LOAD, 3, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_LOAD, 7, 1, SWM_E_TIMEOUT, false},
		{FAKE_TEMPLATE_LIST, 1, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_COMMIT, 2, 1, SWM_E_INDOUBT, true},
		{FAKE_COMMIT, 5, 1, SWM_E_INDOUBT, false},
		{FAKE_COMMIT, 8, 2, SWM_E_CONFLICT, false},
		{FAKE_COMMIT, 12, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_COMMIT, 15, 1, SWM_E_THROTTLED, false},
		{FAKE_OUTBOX_CLAIM, 2, 2, SWM_E_UNAVAILABLE, false},
	};
	static const struct fake_queue_fault queue_faults[] = {
		{FAKE_CONSUMER_OPEN, 1, 2, SWM_E_UNAVAILABLE, false},
		{FAKE_RECEIVE, 4, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_RECEIVE, 9, 1, SWM_E_NOMEM, false},
		{FAKE_SETTLE, 3, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_SETTLE, 6, 1, SWM_E_THROTTLED, false},
		{FAKE_SETTLE, 9, 1, SWM_E_INTERNAL, true},
		{FAKE_PUBLISHER_OPEN, 1, 2, SWM_E_UNAVAILABLE, false},
		{FAKE_PUBLISH, 2, 1, SWM_E_UNAVAILABLE, false},
		{FAKE_PUBLISH, 4, 1, SWM_E_INDOUBT, false},
		{FAKE_PUBLISH, 6, 1, SWM_E_THROTTLED, false},
	};
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	for (size_t i = 0; i < sizeof(store_faults) / sizeof(store_faults[0]); i++) {
		fake_store_inject(bench->world.store, &store_faults[i]);
	}
	for (size_t i = 0; i < sizeof(queue_faults) / sizeof(queue_faults[0]); i++) {
		fake_queue_inject(bench->world.queue, &queue_faults[i]);
	}
	start(bench, &bench->engine);
	send_starts(bench);
	await(bench, "events_recorded", (int64_t)INSTANCES * 4 - 32);
	/* Commits in doubt that were applied are recorded without being counted: wait for
	 * the last step by what came out. */
	for (int i = 0; i < QUIET_LOOKS_MAX; i++) {
		if (fake_queue_published_count(bench->world.queue, "q_c") >= INSTANCES) {
			break;
		}
		rest_a_little();
	}
	assert_quiet(bench);
	for (int i = 0; i < INSTANCES; i++) {
		assert_non_null(fake_queue_published(bench->world.queue, "q_c", (size_t)i));
	}
}

/* Publishing takes longer than a consumer may be left alone: it is serviced meanwhile,
 * and when that loses it, no event is lost or done twice. */
static void services_the_consumer_while_it_publishes(void **state)
{
	struct bench *bench = *state;
	bench->config.lease_ms = 20000;
	bench->listen[0].processors = 1;
	fake_queue_slow(bench->world.queue, 900);
	for (int i = 0; i < 16; i++) {
		char ref[16];
		(void)snprintf(ref, sizeof(ref), "%d", i);
		send_start(&bench->world, ref);
	}
	/* The first call takes the batch, the second one services. */
	fake_queue_inject(bench->world.queue,
		&(struct fake_queue_fault){FAKE_RECEIVE, 2, 1, SWM_E_UNAVAILABLE, false});
	start(bench, &bench->engine);
	await(bench, "consumer_failures", 1);
	await(bench, "deliveries_acked", 16);
	assert_int_equal(fake_host_counter(bench->world.host, "events_recorded"), 16);
	assert_int_equal(fake_host_counter(bench->world.host, "events_seen"), 16);
	assert_in_range(fake_queue_serviced(bench->world.queue), 1, 100);
	fake_queue_slow(bench->world.queue, 0);
}

static void takes_over_the_orphans_of_a_dead_process(void **state)
{
	struct bench *bench = *state;
	struct rig *dead = rig_create_in(&bench->world);
	/* It commits and is gone before it publishes: no answer reached it. */
	fake_store_inject(bench->world.store,
		&(struct fake_store_fault){FAKE_COMMIT, 1, 1, SWM_E_INDOUBT, true});
	send_start(&bench->world, "1");
	assert_int_equal(rig_receive(dead, 1), 1);
	assert_int_equal(rig_round(dead), SWM_E_INDOUBT);
	rig_destroy(dead);
	assert_int_equal(fake_queue_published_count(bench->world.queue, "q_a"), 0);

	fake_queue_on_publish(bench->world.queue, agent, bench);
	start(bench, &bench->engine);
	await(bench, "outbox_claimed", 1);
	await(bench, "events_recorded", 3);
	await(bench, "deliveries_acked", 4);
	assert_int_equal(fake_host_counter(bench->world.host, "events_seen"), 1);
	assert_int_equal(fake_queue_published_count(bench->world.queue, "q_a"), 1);
	assert_quiet(bench);
}

static void an_early_answer_waits_for_its_start(void **state)
{
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	start(bench, &bench->engine);
	send_completed(&bench->world, "1", "ONE", "a");
	await(bench, "events_deferred", 1);
	send_start(&bench->world, "1");
	/* start, the early answer, the agent's to a (a duplicate), b, c */
	await(bench, "events_recorded", 5);
	await(bench, "deliveries_acked", 6);
	assert_quiet(bench);
}

static void retries_and_times_out_by_the_store_alone(void **state)
{
	struct bench *bench = *state;
	start(bench, &bench->engine);
	send_event(&bench->world, "StartWorkflow", "R", "1", NULL, NULL, "s");
	/* No answer: after 30 s a timeout, 1 s later the second attempt, 30 s later the
	 * end: start, timeout, pending, timeout. */
	await(bench, "events_recorded", 4);
	assert_int_equal(fake_queue_published_count(bench->world.queue, "q_r"), 2);
	await(bench, "deliveries_acked", 4);
	const struct swm_message *timer =
		fake_queue_published(bench->world.queue, WORKFLOW_QUEUE, 0);
	assert_true(swm_str_equal(
		swm_str_from(header_of(timer->headers, timer->header_count, "swm-event-id")),
		timer->id));
	assert_quiet(bench);
}

static void a_missing_queue_heals(void **state)
{
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	fake_queue_refuse(bench->world.queue, "q_a", SWM_E_NOT_FOUND);
	start(bench, &bench->engine);
	send_start(&bench->world, "1");
	await(bench, "messages_refused", 3);
	fake_queue_refuse(bench->world.queue, "q_a", SWM_OK);
	await(bench, "deliveries_acked", 4);
	assert_int_equal(fake_host_logged(bench->world.host, "q_a refuses"), 1);
	assert_quiet(bench);
}

static void an_undeliverable_task_fails(void **state)
{
	struct bench *bench = *state;
	fake_queue_on_publish(bench->world.queue, agent, bench);
	fake_queue_refuse(bench->world.queue, "q_b", SWM_E_INVALID);
	start(bench, &bench->engine);
	send_start(&bench->world, "1");
	/* start, a, and our own TaskFailed of b */
	await(bench, "events_recorded", 3);
	await(bench, "deliveries_acked", 3);
	assert_quiet(bench);
}

static void says_how_it_stands(void **state)
{
	struct bench *bench = *state;
	start(bench, &bench->engine);
	await(bench, "test_ready", 1);
	fake_store_inject(bench->world.store,
		&(struct fake_store_fault){FAKE_LOAD, 1, 5, SWM_E_UNAVAILABLE, false});
	int64_t before = fake_host_counter(bench->world.host, "test_not_ready");
	send_start(&bench->world, "1");
	await(bench, "test_not_ready", before + 1);
	await(bench, "events_recorded", 1);
	await(bench, "deliveries_acked", 1);
	assert_true(bench->ready);
	/* While the store was away the consumer was serviced, and nothing acked. */
	assert_int_equal(fake_host_logged(bench->world.host, "store: works again") > 0, 1);
}

static void flushes_marks_when_idle_and_at_the_end(void **state)
{
	struct bench *bench = *state;
	start(bench, &bench->engine);
	send_start(&bench->world, "1");
	await(bench, "deliveries_acked", 1);
	for (int i = 0; i < 500; i++) {
		if (fake_store_outbox_count(bench->world.store, SWM_OUTBOX_PENDING) == 0) {
			break;
		}
		rest_a_little();
	}
	assert_int_equal(fake_store_outbox_count(bench->world.store, SWM_OUTBOX_PENDING), 0);
	await(bench, "commit_calls", 2); /* counted after the store has answered */
	assert_int_equal(fake_host_counter(bench->world.host, "commit_calls"), 2);
	send_start(&bench->world, "2");
	await(bench, "deliveries_acked", 2);
	assert_quiet(bench);
}

static void stops_while_everything_is_away(void **state)
{
	struct bench *bench = *state;
	fake_store_inject(bench->world.store, &(struct fake_store_fault){FAKE_SESSION_OPEN, 1,
						      1000000, SWM_E_UNAVAILABLE, false});
	fake_queue_inject(bench->world.queue, &(struct fake_queue_fault){FAKE_CONSUMER_OPEN, 1,
						      1000000, SWM_E_UNAVAILABLE, false});
	send_start(&bench->world, "1");
	start(bench, &bench->engine);
	await(bench, "store_failures", 5);
	swm_engine_stop(bench->engine);
	bench->engine = NULL;
	assert_int_equal(fake_queue_waiting(bench->world.queue, WORKFLOW_QUEUE), 1);
	fake_store_heal(bench->world.store);
}

/* An env and a store that hold the dispatcher in its first call until the engine waits for
 * its end, and count how often it goes to sleep after that. */
static struct {
	const struct swm_env *env;
	void (*run)(void *arg);
	atomic_uint joined;
	atomic_bool joining; /* the dispatcher */
	atomic_uint sleeps;
} held;

static _Thread_local bool is_dispatcher;

static void run_held(void *arg)
{
	is_dispatcher = true;
	held.run(arg);
}

static swm_status start_held(void *ctx, const char *name, void (*run)(void *arg), void *arg,
	struct swm_env_thread **out, struct swm_error *err)
{
	if (strcmp(name, "dispatcher") == 0) {
		held.run = run;
		run = run_held;
	}
	return held.env->thread_start(ctx, name, run, arg, out, err);
}

static void join_held(void *ctx, struct swm_env_thread *thread)
{
	/* The processor's is the first. */
	atomic_store(&held.joining, atomic_fetch_add(&held.joined, 1) == 1);
	held.env->thread_join(ctx, thread);
}

static void wait_held(
	void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex, int64_t timeout_ms)
{
	if (is_dispatcher && atomic_load(&held.joining)) {
		atomic_fetch_add(&held.sleeps, 1);
	}
	held.env->cond_wait(ctx, cond, mutex, timeout_ms);
}

static swm_status open_held(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	while (is_dispatcher && !atomic_load(&held.joining)) {
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return fake_store_ops.session_open(store, out, err);
}

/* The dispatcher is told to end while it is about to look for work: it does not first sleep
 * until there is some. */
static void the_dispatcher_hears_the_stop(void **state)
{
	struct bench *bench = *state;
	held.env = bench->config.env;
	struct swm_env env = *held.env;
	struct swm_store_ops ops = fake_store_ops;
	env.thread_start = start_held;
	env.thread_join = join_held;
	env.cond_wait = wait_held;
	ops.session_open = open_held;
	bench->config.env = &env;
	bench->config.store_ops = &ops;
	bench->listen[0].processors = 1;
	start(bench, &bench->engine);
	await(bench, "test_not_ready", 1);
	swm_engine_stop(bench->engine);
	bench->engine = NULL;
	assert_true(atomic_load(&held.joining));
	assert_int_equal(atomic_load(&held.sleeps), 0);
}

/* The store's own work: again soon when it says that there is more, else in a while. */
static struct {
	atomic_int calls;
	atomic_long first_us;
	atomic_long second_us;
	atomic_long third_us;
	const struct swm_env *env;
} chores;

static swm_status maintain_twice(
	struct swm_session *session, int64_t budget_ms, struct swm_error *err)
{
	(void)session, (void)err;
	atomic_long *const when[] = {&chores.first_us, &chores.second_us, &chores.third_us};
	const int call = atomic_fetch_add(&chores.calls, 1);
	assert_true(budget_ms > 0);
	if (call < 3) {
		atomic_store(when[call], (long)chores.env->monotonic_us(chores.env->ctx));
	}
	return call == 0 ? SWM_E_TIMEOUT : SWM_OK;
}

static void the_store_gets_time_for_its_chores(void **state)
{
	struct bench *bench = *state;
	struct swm_store_ops ops = fake_store_ops;
	ops.maintain = maintain_twice;
	chores.env = bench->config.env;
	atomic_store(&chores.calls, 0);
	bench->config.store_ops = &ops;
	start(bench, &bench->engine);
	for (int i = 0; i < 500 && atomic_load(&chores.calls) < 3; i++) {
		rest_a_little();
	}
	swm_engine_stop(bench->engine);
	bench->engine = NULL;
	assert_true(atomic_load(&chores.calls) >= 3);
	const long soon_us = atomic_load(&chores.second_us) - atomic_load(&chores.first_us);
	const long later_us = atomic_load(&chores.third_us) - atomic_load(&chores.second_us);
	assert_true(soon_us >= 40000);
	assert_true(later_us >= 990000);
}

/* An instance of a newer release: the orchestrator says that its work is stuck, and is
 * ready again once somebody has dealt with it. */
static void says_that_its_work_is_stuck(void **state)
{
	struct bench *bench = *state;
	struct swm_event_row event = {
		.id = SWM_STR("odd"), .name = SWM_STR("StartWorkflow"), .sequence = 1};
	struct swm_commit item = {
		.next = {.id = SWM_STR("T/odd"),
			.component = SWM_STR("T"),
			.business_ref = SWM_STR("odd"),
			.template_id = SWM_STR("T:1"),
			.body = SWM_STR("{\"f\":99}"),
			.version = 1,
			.sequence = 1,
			.status = SWM_STATUS_ACTIVE},
		.events = &event,
		.event_count = 1,
	};
	struct swm_session *session = NULL;
	struct swm_error err = {0};
	assert_int_equal(fake_store_ops.session_open(bench->world.store, &session, &err), 0);
	assert_int_equal(fake_store_ops.commit(
				 session, SWM_STR("somebody"), 1000, &item, 1, NULL, 0, &err),
		SWM_OK);
	fake_store_ops.session_close(session);
	bench->odd = true;
	start(bench, &bench->engine);
	await(bench, "test_ready", 1);
	const int64_t before = fake_host_counter(bench->world.host, "test_not_ready");
	send_completed(&bench->world, "odd", "ONE", "a");
	await(bench, "test_not_ready", before + 1);
	assert_true(fake_host_logged(bench->world.host, "newer release") > 0);
	send_start(&bench->world, "1");
	await(bench, "deliveries_acked", 1);
	swm_engine_stop(bench->engine);
	bench->engine = NULL;
	assert_int_equal(fake_queue_published_count(bench->world.queue, "q_a"), 1);
	assert_int_equal(fake_store_outbox_count(bench->world.store, SWM_OUTBOX_DEAD), 0);
}

static void refused(const struct swm_engine_config *config, const char *says)
{
	struct swm_engine *engine = NULL;
	struct swm_error err = {0};
	assert_int_equal(swm_engine_start(config, &engine, &err), SWM_E_CONFIG);
	assert_null(engine);
	if (!strstr(err.message, says)) {
		fail_msg("\"%s\" does not say \"%s\"", err.message, says);
	}
}

static void refuses_a_wrong_configuration(void **state)
{
	struct bench *bench = *state;
	const struct swm_engine_config right = bench->config;
	struct swm_engine_config config = right;
	config.batch = 0;
	refused(&config, "workflow.batch");
	config.batch = SWM_ENGINE_BATCH_MAX + 1;
	refused(&config, "workflow.batch");
	config = right;
	config.prefetch = config.batch - 1;
	refused(&config, "workflow.prefetch");
	config = right;
	config.lease_ms = 1;
	refused(&config, "workflow.lease");
	config = right;
	config.limits.data_bytes = config.payload.data_max_bytes + 1;
	refused(&config, "limit of data");
	config = right;
	config.listen_count = 0;
	refused(&config, "no workflow queue");
	config = right;
	config.queue_count = 0;
	refused(&config, "no workflow queue");
}

static void refuses_what_to_listen_to(void **state)
{
	struct bench *bench = *state;
	static const struct swm_engine_listen wrong[] = {
		{1, {"wf", 2}, 1}, {0, {"wf", 2}, 0}, {0, {"", 0}, 1}};
	struct swm_engine_config config = bench->config;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		config.listen = &wrong[i];
		refused(&config, "workflow.listen[0]");
	}
	static const struct swm_engine_route routes[] = {
		{{"a*b", 3}, 0}, {{NULL, 0}, 0}, {{"a*", 2}, 1}};
	config = bench->config;
	config.route_count = 1;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		config.routes = &routes[i];
		refused(&config, i < 2 ? "a pattern is a name" : "no such adapter");
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(runs_workflows_to_their_end),
		TEST(two_engines_share_the_work),
		TEST(survives_what_passes),
		TEST(services_the_consumer_while_it_publishes),
		TEST(takes_over_the_orphans_of_a_dead_process),
		TEST(an_early_answer_waits_for_its_start),
		TEST(retries_and_times_out_by_the_store_alone),
		TEST(a_missing_queue_heals),
		TEST(an_undeliverable_task_fails),
		TEST(says_how_it_stands),
		TEST(flushes_marks_when_idle_and_at_the_end),
		TEST(stops_while_everything_is_away),
		TEST(the_dispatcher_hears_the_stop),
		TEST(the_store_gets_time_for_its_chores),
		TEST(says_that_its_work_is_stuck),
		TEST(refuses_a_wrong_configuration),
		TEST(refuses_what_to_listen_to),
	};
	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
