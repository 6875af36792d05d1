/* SPDX-License-Identifier: MIT */

/*
 * See world.h: draws a world, runs it through storm and calm, and takes it apart.
 */

#include "kernel.h"

#include "template_gen.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CALM_MS INT64_C(7200000)
#define STEPS_MAX 400000

/* After the storm: the longest call that is still slow, and the longest pause after it. */
#define LINGER_US INT64_C(25000000)
#define COMPONENT_MAX 200

/* What is drawn from, the boring one first. */
static const uint32_t densities[] = {0, 8, 4, 2}; /* a fault is on one time of so many */
static const uint32_t rates[] = {200, 60, 20, 7};
static const uint32_t crash_rates[] = {400, 120, 40, 12};
static const uint32_t switch_rates[] = {16, 4, 2, 1};
static const uint32_t batches[] = {16, 4, 2, 1};
static const uint32_t instances[] = {1, 2, 1, 3};
static const int64_t lease_ms[] = {10000, 3000, 1000};
static const int64_t call_us[] = {100, 1, 2000, 20000};
static const int64_t storm_ms[] = {10000, 3000, 30000};

/* For those who act in it. */

struct sim_choice *sim_world_choice(struct sim_world *world)
{
	return world->choice;
}

int64_t sim_world_now_ms(const struct sim_world *world)
{
	return world->now_us / 1000;
}

int64_t sim_world_call_us(const struct sim_world *world)
{
	return world->call_us;
}

#define BIT(fault) (UINT64_C(1) << (fault))

/* These do not keep a dispatcher from its work, nor tell it another time. */
#define HARMLESS \
	(BIT(SIM_FAULT_DUPLICATE) | BIT(SIM_FAULT_REORDER) | BIT(SIM_FAULT_DELAY) | \
		BIT(SIM_FAULT_LOST_ACK) | BIT(SIM_FAULT_QUEUE_LEASE) | BIT(SIM_FAULT_CRASH) | \
		BIT(SIM_FAULT_RESTART) | BIT(SIM_FAULT_WAKE) | BIT(SIM_FAULT_AGENT_FAILS) | \
		BIT(SIM_FAULT_AGENT_LATE) | BIT(SIM_FAULT_AGENT_TWICE) | \
		BIT(SIM_FAULT_AGENT_STALE) | BIT(SIM_FAULT_AGENT_COPIES) | \
		BIT(SIM_FAULT_AGENT_FOREIGN) | BIT(SIM_FAULT_AGENT_ANONYMOUS) | \
		BIT(SIM_FAULT_AGENT_NEVER) | BIT(SIM_FAULT_AGENT_OVERTAKES) | \
		BIT(SIM_FAULT_OPERATOR) | BIT(SIM_FAULT_POISON))

int64_t sim_world_fit_ms(const struct sim_world *world)
{
	int64_t since_us = INT64_MAX;
	for (unsigned i = 0; i < world->host_count; i++) {
		const struct sim_host *host = &world->hosts[i];
		if (host->running && !host->stopping && host->started_us < since_us) {
			since_us = host->started_us;
		}
	}
	if (world->faults & ~HARMLESS) {
		int64_t over_us =
			world->phase == SIM_CALM ? world->calm_us + LINGER_US : INT64_MAX;
		since_us = over_us > since_us ? over_us : since_us;
	}
	return since_us < world->now_us ? (world->now_us - since_us) / 1000 : 0;
}

bool sim_world_may(const struct sim_world *world, enum sim_fault fault)
{
	return world->phase == SIM_STORM && (world->faults & sim_fault_bit(fault)) &&
	       !world->over;
}

bool sim_world_happens(struct sim_world *world, enum sim_fault fault, uint32_t one_in)
{
	if (!sim_world_may(world, fault) ||
		!sim_rarely(world->choice, sim_fault_info(fault)->name, one_in)) {
		return false;
	}
	world->verdict->figures.faults[fault]++;
	return true;
}

bool sim_world_is_calm(const struct sim_world *world)
{
	return world->phase == SIM_CALM;
}

bool sim_world_is_small(const struct sim_world *world)
{
	return world->plan->small;
}

uint32_t sim_world_instances(const struct sim_world *world)
{
	return world->instances;
}

size_t sim_world_template_count(const struct sim_world *world)
{
	return world->template_count;
}

struct swm_str sim_world_template(const struct sim_world *world, size_t index)
{
	return (struct swm_str){world->templates[index], strlen(world->templates[index])};
}

void sim_world_send(struct sim_world *world, const struct swm_message *message, int64_t delay)
{
	SIM_TRACE(world, "somebody sends %.*s in %lld ms: %.*s", (int)message->id.len,
		message->id.ptr ? message->id.ptr : "", (long long)delay,
		(int)message->body.len, message->body.ptr);
	sim_queue_send(world->queue, message, world->plan->small ? 0 : delay);
}

json_t *sim_world_read(struct sim_world *world, struct swm_str text)
{
	return sim_judge_read(world->judge, text);
}

struct sim_store *sim_world_store(struct sim_world *world)
{
	return world->store;
}

struct sim_queue *sim_world_queue(struct sim_world *world)
{
	return world->queue;
}

int64_t sim_world_pick_ms(
	struct sim_world *world, const char *what, const int64_t *from_ms, uint32_t count)
{
	return world->plan->small ? 0 : from_ms[sim_choose(world->choice, what, count)];
}

/* Drawing. */

static uint64_t draw_faults(struct sim_world *world)
{
	const struct sim_plan *plan = world->plan;
	if (plan->all_faults) {
		return plan->faults;
	}
	uint32_t one_in = densities[sim_choose(world->choice, "density", SIM_COUNT(densities))];
	uint64_t drawn = 0;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		uint64_t bit = UINT64_C(1) << i;
		if ((plan->faults & bit) && sim_rarely(world->choice, "draw", one_in)) {
			drawn |= bit;
		}
	}
	return drawn;
}

static uint32_t draw_from(
	struct sim_world *world, const char *what, const uint32_t *from, uint32_t count)
{
	return from[sim_choose(world->choice, what, count)];
}

static void draw_templates(struct sim_world *world)
{
	const struct sim_plan *plan = world->plan;
	world->template_count = plan->template_count;
	for (size_t i = 0; i < plan->template_count; i++) {
		const char *text = plan->templates[i];
		world->templates[i] = sim_must_copy((struct swm_str){text, strlen(text)});
	}
	if (world->template_count == 0) {
		world->template_count = sim_rarely(world->choice, "templates", 3) ? 2 : 1;
		for (unsigned i = 0; i < world->template_count; i++) {
			world->templates[i] = sim_template_gen(world->choice, i);
		}
	}
}

static void draw_bounds(struct sim_world *world)
{
	const struct sim_plan *plan = world->plan;
	struct sim_choice *choice = world->choice;
	world->rate = draw_from(world, "rate", rates, SIM_COUNT(rates));
	world->crash_rate = draw_from(world, "crash-rate", crash_rates, SIM_COUNT(crash_rates));
	world->switch_rate = plan->small ? 1
					 : draw_from(world, "switch-rate", switch_rates,
						   SIM_COUNT(switch_rates));
	world->crashes_left = plan->crashes_max > 0 ? plan->crashes_max
						    : 1 + sim_choose(choice, "crashes", 4);
	world->doubts_left = plan->doubts_max > 0 ? plan->doubts_max : UINT32_MAX;
	world->copies_left = plan->copies_max > 0 ? plan->copies_max : UINT32_MAX;
	world->steps_max = plan->steps_max > 0 ? plan->steps_max : STEPS_MAX;
	world->call_us =
		plan->small ? 0
			    : sim_world_pick_ms(world, "call-us", call_us, SIM_COUNT(call_us));
	int64_t storm = plan->storm_ms > 0 ? plan->storm_ms
					   : sim_world_pick_ms(world, "storm-ms", storm_ms,
						     SIM_COUNT(storm_ms));
	world->calm_us = storm * 1000;
	world->end_us = world->calm_us + (plan->calm_ms > 0 ? plan->calm_ms : CALM_MS) * 1000;
}

static void draw_host(struct sim_host *host, uint32_t batch, int64_t lease)
{
	struct sim_world *world = host->world;
	const struct sim_plan *plan = world->plan;
	host->adapter = (struct swm_engine_queue){
		.name = "simulated",
		.ops = &sim_queue_ops,
		.queue = &host->queue,
	};
	host->listen = (struct swm_engine_listen){
		.source = {SIM_WORKFLOW_QUEUE, sizeof(SIM_WORKFLOW_QUEUE) - 1},
		.processors = plan->processors > 0
				      ? plan->processors
				      : 1 + sim_choose(world->choice, "processors", 2),
	};
	host->config = (struct swm_engine_config){
		.env = &host->env,
		.store_ops = &sim_store_ops,
		.store = &host->store,
		.queues = &host->adapter,
		.queue_count = 1,
		.listen = &host->listen,
		.listen_count = 1,
		.batch = batch,
		.prefetch = batch * (1 + sim_choose(world->choice, "prefetch", 2)),
		.lease_ms = lease,
		.cache_bytes = sim_choose(world->choice, "small-cache", 4) == 3
				       ? 1
				       : SWM_ENGINE_CACHE_DEFAULT_BYTES,
		.payload = {.data_max_bytes = swm_event_limits_default.data_bytes},
		.limits = swm_event_limits_default,
	};
}

static void draw_hosts(struct sim_world *world)
{
	const struct sim_plan *plan = world->plan;
	struct sim_choice *choice = world->choice;
	uint32_t batch = plan->batch > 0
				 ? plan->batch
				 : draw_from(world, "batch", batches, SIM_COUNT(batches));
	int64_t lease = plan->lease_ms > 0 ? plan->lease_ms
					   : sim_world_pick_ms(world, "outbox-lease", lease_ms,
						     SIM_COUNT(lease_ms));
	world->host_count = plan->orchestrators > 0
				    ? plan->orchestrators
				    : 1 + sim_choose(choice, "orchestrators", 3);
	assert(world->host_count <= SIM_ORCHESTRATORS_MAX);
	if (plan->orchestrators == 0 && sim_rarely(choice, "one-more", 10)) {
		world->host_count++;
	}
	for (unsigned i = 0; i < world->host_count; i++) {
		sim_host_init(&world->hosts[i], world, i);
		draw_host(&world->hosts[i], batch, lease);
	}
	world->instances = plan->instances > 0 ? plan->instances
					       : draw_from(world, "instances", instances,
							 SIM_COUNT(instances));
	if (plan->instances == 0 && sim_rarely(choice, "more-instances", 10)) {
		world->instances += 3;
	}
}

/* The name of a template's component, as the agents will give it. */
static struct swm_str component_of(const char *text, char *out)
{
	static const char key[] = "\"component_name\"";
	const char *at = strstr(text, key);
	at = at ? strchr(at + sizeof(key) - 1, '"') : NULL;
	size_t len = at ? strcspn(at + 1, "\"") : 0;
	assert(at && len < COMPONENT_MAX);
	memcpy(out, at + 1, len);
	return (struct swm_str){out, len};
}

static void store_templates(struct sim_world *world)
{
	for (size_t i = 0; i < world->template_count; i++) {
		char component[COMPONENT_MAX];
		char id[COMPONENT_MAX + 2];
		struct swm_str name = component_of(world->templates[i], component);
		memcpy(id, name.ptr, name.len);
		memcpy(id + name.len, ":1", 2);
		sim_store_put_template(world->store, name, 1,
			(struct swm_str){id, name.len + 2}, sim_world_template(world, i));
	}
}

/* Phases. */

static void calm_comes(struct sim_world *world, void *arg)
{
	(void)arg;
	sim_world_calm_down(world);
}

static void end_comes(struct sim_world *world, void *arg)
{
	(void)arg;
	sim_world_judge(world, sim_judge_at_rest(world->judge));
	if (!world->over) {
		sim_world_fail(world, "never-quiet",
			"something still moves %lld s after the storm",
			(long long)((world->end_us - world->calm_us) / 1000000));
	}
}

void sim_world_calm_down(struct sim_world *world)
{
	if (world->phase == SIM_CALM) {
		return;
	}
	SIM_TRACE(world, "the storm is over");
	world->phase = SIM_CALM;
	world->calm_us = world->now_us;
	for (unsigned i = 0; i < world->host_count; i++) {
		struct sim_host *host = &world->hosts[i];
		host->stalled_us = 0;
		host->planned = false;
		sim_host_start(host);
	}
	sim_queue_calm(world->queue);
	sim_store_calm(world->store);
	sim_agents_calm(world->agents);
}

bool sim_world_rest(struct sim_world *world)
{
	if (sim_queue_count(world->queue) > 0 || sim_store_owes(world->store)) {
		return false;
	}
	if (world->phase == SIM_STORM) {
		sim_world_calm_down(world);
		return true;
	}
	SIM_TRACE(world, "nothing moves any more");
	sim_world_judge(world, sim_judge_at_rest(world->judge));
	world->over = true;
	return true;
}

/* The whole. */

static void init(struct sim_world *world)
{
	const struct sim_plan *plan = world->plan;
	world->own_stacks = plan->stacks ? NULL : sim_stacks_create();
	world->stacks = plan->stacks ? plan->stacks : world->own_stacks;
	world->faults = draw_faults(world);
	world->verdict->drawn = world->faults;
	draw_bounds(world);
	draw_templates(world);
	draw_hosts(world);
	world->verdict->figures.instances = world->instances;
	world->store = sim_store_create(world);
	world->queue = sim_queue_create(world);
	store_templates(world);
	world->judge = sim_judge_create(world);
	world->agents = sim_agents_create(world);
}

static void finish(struct sim_world *world)
{
	for (unsigned i = 0; i < world->host_count; i++) {
		struct sim_host *host = &world->hosts[i];
		if (host->running) {
			host->dead = true;
			sim_flow_bury(host);
		}
	}
	assert(world->flow_count == 0);
	while (world->ended) {
		struct sim_flow *next = world->ended->next_ended;
		free(world->ended);
		world->ended = next;
	}
	sim_agents_destroy(world->agents);
	sim_judge_destroy(world->judge);
	sim_queue_destroy(world->queue);
	sim_store_destroy(world->store);
	for (size_t i = 0; i < world->template_count; i++) {
		free(world->templates[i]);
	}
	free(world->flows);
	free(world->dues);
	sim_stacks_destroy(world->own_stacks);
}

void sim_world_run(
	const struct sim_plan *plan, struct sim_choice *choice, struct sim_verdict *out)
{
	*out = (struct sim_verdict){.good = true};
	struct sim_world *world = sim_must_alloc(sizeof(*world));
	world->plan = plan;
	world->choice = choice;
	world->verdict = out;
	world->due_us = INT64_MAX;
	init(world);
	sim_world_plan(world, world->calm_us, calm_comes, NULL);
	sim_world_plan(world, world->end_us, end_comes, NULL);
	for (unsigned i = 0; i < world->host_count; i++) {
		sim_host_start(&world->hosts[i]);
	}
	sim_agents_begin(world->agents);
	sim_flow_run_all(world);
	out->figures.virtual_ms = sim_world_now_ms(world);
	out->good = out->good && !out->pruned;
	finish(world);
	free(world);
}

static uint64_t hash_flow(const struct sim_world *world, const struct sim_flow *flow)
{
	bool waits = flow->state == SIM_FLOW_WAITING;
	bool ends = waits && flow->until_us != INT64_MAX;
	uint64_t numbers[] = {flow->state,
		ends ? (uint64_t)(flow->until_us - world->now_us) : 0, sim_recall_hash(flow),
		sim_judge_hash_thread(world->judge, flow->host->index, flow)};
	return sim_hash_str(sim_hash(0, numbers, sizeof(numbers)),
		(struct swm_str){flow->name, strlen(flow->name)});
}

static uint64_t hash_host(const struct sim_world *world, const struct sim_host *host)
{
	uint64_t numbers[] = {host->running, host->stopping, host->dead,
		sim_queue_hash_of(world->queue, host),
		sim_judge_hash_of(world->judge, host->index),
		world->plan->unreduced ? host->index : 0};
	uint64_t hash = sim_hash(1, numbers, sizeof(numbers));
	for (size_t i = 0; i < world->flow_count; i++) {
		const struct sim_flow *flow = world->flows[i];
		hash += flow->host == host ? hash_flow(world, flow) : 0;
	}
	return sim_hash(hash, NULL, 0);
}

uint64_t sim_world_hash(const struct sim_world *world)
{
	uint64_t parts[] = {sim_store_hash(world->store), sim_queue_hash(world->queue),
		sim_judge_hash(world->judge), sim_agents_hash(world->agents),
		(uint64_t)(world->now_us - world->noted_us),
		world->plan->unreduced ? (uint64_t)world->now_us : 0, world->phase,
		world->crashes_left, world->doubts_left, world->copies_left};
	uint64_t hosts = 0;
	for (unsigned i = 0; i < world->host_count; i++) {
		hosts += hash_host(world, &world->hosts[i]);
	}
	return sim_hash(hosts, parts, sizeof(parts));
}
