/* SPDX-License-Identifier: MIT */

/*
 * Who runs when. There is no scheduler with a stack of its own: the flow that stops running
 * looks for the next one, lets time pass when nobody can run, and switches.
 */

#include "kernel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A dead engine's flows end within few turns each. */
#define BURIAL_STEPS_MAX 1000000

/* In a small world nothing waits longer than for a lease of a second. */
#define STILL_MAX_US INT64_C(30000000)

/* What is due. */

void sim_world_plan(struct sim_world *world, int64_t at_us,
	void (*act)(struct sim_world *world, void *arg), void *arg)
{
	SIM_MUST_GROW(world->dues, world->due_cap, world->due_count + 1);
	world->dues[world->due_count] = (struct sim_due){at_us, act, arg};
	world->due_count++;
	world->due_us = at_us < world->due_us ? at_us : world->due_us;
}

/* The earliest first, and the one that was planned first among equals. */
static bool act_next(struct sim_world *world)
{
	size_t first = world->due_count;
	for (size_t i = 0; i < world->due_count; i++) {
		if (world->dues[i].at_us <= world->now_us &&
			(first == world->due_count ||
				world->dues[i].at_us < world->dues[first].at_us)) {
			first = i;
		}
	}
	if (first == world->due_count) {
		return false;
	}
	struct sim_due due = world->dues[first];
	world->due_count--;
	for (size_t i = first; i < world->due_count; i++) {
		world->dues[i] = world->dues[i + 1];
	}
	world->due_us = INT64_MAX;
	for (size_t i = 0; i < world->due_count; i++) {
		if (world->dues[i].at_us < world->due_us) {
			world->due_us = world->dues[i].at_us;
		}
	}
	due.act(world, due.arg);
	return true;
}

static void act_due(struct sim_world *world)
{
	if (world->due_us > world->now_us && sim_queue_next_us(world->queue) > world->now_us) {
		return;
	}
	world->acting = true;
	while (!world->over && world->due_us <= world->now_us && act_next(world)) {
	}
	if (!world->over && sim_queue_next_us(world->queue) <= world->now_us) {
		sim_queue_deliver(world->queue);
	}
	world->acting = false;
}

/* Flows. */

static bool is_ready(const struct sim_flow *flow)
{
	if (flow->host->stalled_us > flow->world->now_us) {
		return false;
	}
	return flow->state == SIM_FLOW_READY ||
	       (flow->state == SIM_FLOW_WAITING && flow->until_us <= flow->world->now_us);
}

/* When it could run if nothing else happened. */
static int64_t ready_us(const struct sim_flow *flow)
{
	int64_t at_us = flow->state == SIM_FLOW_READY ? 0 : flow->until_us;
	return at_us > flow->host->stalled_us ? at_us : flow->host->stalled_us;
}

static int64_t next_time(const struct sim_world *world)
{
	int64_t next_us = sim_queue_next_us(world->queue);
	next_us = world->due_us < next_us ? world->due_us : next_us;
	for (size_t i = 0; i < world->flow_count; i++) {
		int64_t at_us = ready_us(world->flows[i]);
		next_us = at_us < next_us ? at_us : next_us;
	}
	return next_us;
}

/* Nobody can run: goes to when somebody can, or to the end. */
static void pass_time(struct sim_world *world)
{
	world->acting = true;
	bool changed = sim_world_rest(world);
	world->acting = false;
	if (changed) {
		return;
	}
	int64_t next_us = next_time(world);
	if (next_us == INT64_MAX) {
		sim_world_fail(world, "deadlock", "every thread waits for another one");
		return;
	}
	if (next_us > world->now_us) {
		world->now_us = next_us;
		sim_world_judge(world, sim_judge_waited(world->judge, sim_world_fit_ms(world)));
	}
	if (world->plan->small && world->now_us - world->noted_us > STILL_MAX_US) {
		sim_world_fail(world, "never-quiet",
			"nothing has happened for %lld s, and something is still owed",
			(long long)(STILL_MAX_US / 1000000));
	}
}

/* The host's own, the dispatcher and four processors, of each orchestrator. */
#define READY_MAX (SIM_ORCHESTRATORS_MAX * 6)

/* The positions of those that can run, from the current one's on and around. */
static uint32_t list_ready(const struct sim_world *world, uint8_t ready[READY_MAX])
{
	uint32_t count = 0;
	size_t start = 0;
	while (start < world->flow_count && world->flows[start] != world->current) {
		start++;
	}
	for (size_t i = start; i < world->flow_count; i++) {
		if (is_ready(world->flows[i])) {
			ready[count++] = (uint8_t)i;
		}
	}
	for (size_t i = 0; i < start; i++) {
		if (is_ready(world->flows[i])) {
			ready[count++] = (uint8_t)i;
		}
	}
	return count;
}

static bool is_alone(const struct sim_world *world, const struct sim_flow *flow)
{
	for (size_t i = 0; i < world->flow_count; i++) {
		if (world->flows[i] != flow && is_ready(world->flows[i])) {
			return false;
		}
	}
	return true;
}

/* The answer that most have: it goes on, and nobody is listed. */
static bool goes_on(struct sim_world *world)
{
	struct sim_flow *current = world->current;
	if (world->switch_rate <= 1 || !current || current->state == SIM_FLOW_DONE ||
		!is_ready(current)) {
		return false;
	}
	return is_alone(world, current) ||
	       !sim_rarely(world->choice, "switch", world->switch_rate);
}

/* One of those that can run, the current one first; NULL: none can. */
static struct sim_flow *choose_ready(struct sim_world *world)
{
	uint8_t ready
		[READY_MAX]; /* by position, which keeps it small: it is zeroed each time */
	if (goes_on(world)) {
		return world->current;
	}
	uint32_t count = list_ready(world, ready);
	if (count <= 1) {
		return count == 1 ? world->flows[ready[0]] : NULL;
	}
	const struct sim_plan *plan = world->plan;
	if (plan->prune && plan->prune(plan->prune_ctx, sim_world_hash(world),
				   sim_store_hash(world->store))) {
		world->verdict->pruned = true;
		world->over = true;
		return NULL;
	}
	struct sim_flow *first = world->flows[ready[0]];
	if (plan->small && world->phase == SIM_CALM) {
		return first; /* all has been done by then */
	}
	if (world->switch_rate <= 1 || first != world->current) {
		return world->flows[ready[sim_choose(world->choice, "run", count)]];
	}
	return world->flows[ready[1 + sim_choose(world->choice, "run", count - 1)]];
}

/* The flows of a dead host in turn, its own first; NULL: all have ended. */
static struct sim_flow *choose_dead(struct sim_world *world)
{
	struct sim_flow *first = NULL;
	bool passed = false;
	world->burial_steps++;
	if (world->burial_steps > BURIAL_STEPS_MAX) {
		(void)fputs("the engine of a dead orchestrator does not stop\n", stderr);
		abort();
	}
	for (size_t i = 0; i < world->flow_count; i++) {
		struct sim_flow *flow = world->flows[i];
		if (flow->host == world->burying) {
			if (passed) {
				return flow;
			}
			first = first ? first : flow;
		}
		passed = passed || flow == world->current;
	}
	return first;
}

/* The next to run; NULL: the thread's own coroutine. */
static struct sim_flow *choose(struct sim_world *world)
{
	for (;;) {
		if (world->burying) {
			struct sim_flow *flow = choose_dead(world);
			if (flow) {
				return flow;
			}
			world->burying = NULL;
		}
		if (world->over) {
			return NULL;
		}
		act_due(world);
		if (world->over || world->burying) {
			continue;
		}
		struct sim_flow *flow = choose_ready(world);
		if (flow && !world->over) {
			return flow;
		}
		if (!world->over) {
			pass_time(world);
		}
	}
}

static struct sim_coroutine *coroutine_of(struct sim_world *world, struct sim_flow *flow)
{
	return flow ? flow->coroutine : sim_stacks_main(world->stacks);
}

static void go_on(struct sim_world *world)
{
	struct sim_flow *from = world->current;
	struct sim_flow *to = choose(world);
	if (to) {
		to->state = SIM_FLOW_READY;
		to->waits_for = NULL;
	}
	if (to != from) {
		world->current = to;
		sim_coroutine_switch(coroutine_of(world, from), coroutine_of(world, to));
	}
}

static void remove_flow(struct sim_world *world, struct sim_flow *flow)
{
	size_t i = 0;
	while (world->flows[i] != flow) {
		i++;
	}
	world->flow_count--;
	for (; i < world->flow_count; i++) {
		world->flows[i] = world->flows[i + 1];
	}
	flow->next_ended = world->ended;
	world->ended = flow;
}

static struct sim_coroutine *run_flow(void *arg)
{
	struct sim_flow *flow = arg;
	struct sim_world *world = flow->world;
	flow->run(flow->arg);
	flow->state = SIM_FLOW_DONE;
	sim_flow_wake(world, flow);
	remove_flow(world, flow);
	world->current = choose(world);
	if (world->current) {
		world->current->state = SIM_FLOW_READY;
		world->current->waits_for = NULL;
	}
	return coroutine_of(world, world->current);
}

struct sim_flow *sim_flow_start(
	struct sim_host *host, const char *name, void (*run)(void *arg), void *arg)
{
	struct sim_world *world = host->world;
	struct sim_flow *flow = sim_must_alloc(sizeof(*flow));
	*flow = (struct sim_flow){
		.world = world,
		.host = host,
		.name = name,
		.run = run,
		.arg = arg,
		.state = SIM_FLOW_READY,
	};
	flow->coroutine = sim_coroutine_take(world->stacks, run_flow, flow);
	world->flows = sim_must_grow(world->flows, &world->flow_cap, world->flow_count + 1,
		sizeof(struct sim_flow *));
	world->flows[world->flow_count] = flow;
	world->flow_count++;
	return flow;
}

static void step(struct sim_world *world)
{
	world->verdict->figures.steps++;
	if (world->verdict->figures.steps > world->steps_max && !world->over) {
		sim_world_fail(world, "livelock", "still at work after %llu steps",
			(unsigned long long)world->steps_max);
	}
}

void sim_flow_yield(struct sim_world *world)
{
	struct sim_flow *current = world->current;
	if (current->host->dead) {
		return;
	}
	step(world);
	go_on(world);
}

void sim_flow_wait(struct sim_world *world, const void *what, int64_t until_us)
{
	struct sim_flow *current = world->current;
	current->state = SIM_FLOW_WAITING;
	current->waits_for = what;
	current->until_us = until_us;
	if (!current->host->dead) {
		step(world);
	}
	go_on(world);
}

void sim_flow_wake(struct sim_world *world, const void *what)
{
	for (size_t i = 0; i < world->flow_count; i++) {
		struct sim_flow *flow = world->flows[i];
		if (flow->state == SIM_FLOW_WAITING && flow->waits_for == what) {
			flow->state = SIM_FLOW_READY;
		}
	}
}

void sim_flow_run_all(struct sim_world *world)
{
	while (!world->over) {
		go_on(world);
	}
}

void sim_flow_bury(struct sim_host *host)
{
	struct sim_world *world = host->world;
	assert(!world->burying);
	world->burying = host;
	if (!world->current) {
		go_on(world);
	}
}
