/* SPDX-License-Identifier: MIT */

/*
 * An orchestrator's life: started, asked to stop, killed at any call of a port, started
 * again. A killed one is cut off: its calls fail without an effect and its waits end at
 * once, so that the engine takes itself down and frees what it has, unseen by the world.
 */

#include "kernel.h"

#include <assert.h>
#include <string.h>

/* For the engine to stop, where no call takes long, beside the time of so many calls: its own,
 * and those of others meanwhile. */
#define STOP_MAX_US 300000
#define STOP_MAX_CALLS 200

static const int64_t down_ms[] = {0, 100, 3000, 20000};
static const int64_t stall_ms[] = {200, 3000, 12000, 40000};
static const int64_t slow_ms[] = {1, 60, 1500, 11000};
static const int64_t jump_ms[] = {1500, -1500, 3600000, -3600000, -86400000, 315360000000};
static const int64_t store_jump_ms[] = {1500, -1500, 12000, -12000, 86400000};

static void start_later(struct sim_world *world, void *arg)
{
	struct sim_host *host = arg;
	(void)world;
	host->planned = false;
	sim_host_start(host);
}

static void plan_start(struct sim_host *host)
{
	struct sim_world *world = host->world;
	if (world->plan->small && world->phase == SIM_STORM) {
		return; /* the others have to do without it */
	}
	int64_t wait_ms = world->phase == SIM_CALM ? 0
						   : sim_world_pick_ms(world, "down", down_ms,
							     SIM_COUNT(down_ms));
	host->planned = true;
	sim_world_plan(world, world->now_us + wait_ms * 1000, start_later, host);
}

/* Stopping takes a few calls, and does not wait for better times. */
static void check_stop(const struct sim_host *host)
{
	struct sim_world *world = host->world;
	uint64_t slowing = sim_fault_bit(SIM_FAULT_SLOW) | sim_fault_bit(SIM_FAULT_STALL);
	int64_t took_us = world->now_us - host->stop_us;
	if (!(world->faults & slowing) &&
		took_us > STOP_MAX_US + STOP_MAX_CALLS * world->call_us) {
		sim_world_fail(world, "livelock", "orchestrator %u took %lld ms to stop",
			host->index, (long long)(took_us / 1000));
	}
}

static void run_host(void *arg)
{
	struct sim_host *host = arg;
	struct sim_world *world = host->world;
	struct swm_engine *engine = NULL;
	struct swm_error err = {0};
	swm_status status = swm_engine_start(&host->config, &engine, &err);
	if (status != SWM_OK) {
		sim_world_fail(world, "contract", "the engine does not start: %s", err.message);
	}
	while (!host->stopping && !host->dead) {
		sim_flow_wait(world, host, INT64_MAX);
	}
	swm_engine_stop(engine);
	if (!host->dead) {
		SIM_TRACE(world, "has stopped");
		check_stop(host);
	}
	host->running = false;
	host->stopping = false;
	if (!world->over) {
		sim_judge_gone(world->judge, host->index);
		plan_start(host);
	}
}

void sim_host_start(struct sim_host *host)
{
	struct sim_world *world = host->world;
	if (host->running || host->planned) {
		return;
	}
	host->lives++;
	host->dead = false;
	host->running = true;
	host->stalled_us = 0;
	host->started_us = world->now_us;
	host->chance += (uint64_t)host->lives << 32;
	host->flow = sim_flow_start(host, "host", run_host, host);
	SIM_TRACE(world, "orchestrator %u starts, life %u", host->index, host->lives);
}

void sim_host_crash(struct sim_host *host)
{
	struct sim_world *world = host->world;
	assert(!host->dead);
	host->dead = true;
	host->stalled_us = 0;
	sim_queue_crashed(world->queue, host);
	sim_flow_bury(host);
}

void sim_host_init(struct sim_host *host, struct sim_world *world, unsigned index)
{
	*host = (struct sim_host){
		.world = world,
		.index = index,
		.chance = (uint64_t)sim_choose(world->choice, "chance", 1 << 16) << 16 | index,
	};
	host->store.host = host;
	host->queue.host = host;
	sim_env_init(host);
}

/* Calls. */

static void stop_host(struct sim_host *host)
{
	struct sim_world *world = host->world;
	SIM_TRACE(world, "is asked to stop");
	world->verdict->figures.restarts++;
	host->stopping = true;
	host->stop_us = world->now_us;
	sim_flow_wake(world, host);
}

/* What can happen to a process at any moment. */
static void disturb(struct sim_host *host)
{
	struct sim_world *world = host->world;
	if (sim_world_happens(world, SIM_FAULT_STALL, world->rate * 8)) {
		int64_t ms =
			sim_world_pick_ms(world, "stall-ms", stall_ms, SIM_COUNT(stall_ms));
		SIM_TRACE(world, "stands still for %lld ms", (long long)ms);
		host->stalled_us = world->now_us + ms * 1000;
		sim_flow_wait(world, host->world, world->now_us);
	}
	if (sim_world_may(world, SIM_FAULT_RESTART) && !host->stopping && host->running &&
		sim_world_happens(world, SIM_FAULT_RESTART, world->crash_rate * 2)) {
		stop_host(host);
	}
	if (sim_world_happens(world, SIM_FAULT_HOST_CLOCK, world->rate * 4)) {
		int64_t ms = sim_world_pick_ms(world, "jump", jump_ms, SIM_COUNT(jump_ms));
		SIM_TRACE(world, "its clock jumps by %lld ms", (long long)ms);
		host->clock_ms += ms;
	}
	if (sim_world_happens(world, SIM_FAULT_STORE_CLOCK, world->rate * 8)) {
		int64_t ms = sim_world_pick_ms(
			world, "store-jump", store_jump_ms, SIM_COUNT(store_jump_ms));
		SIM_TRACE(world, "the store's clock jumps by %lld ms", (long long)ms);
		sim_store_jump(world->store, ms);
	}
}

static void crash(struct sim_call *call, const char *when)
{
	struct sim_world *world = call->host->world;
	SIM_TRACE(world, "is killed %s %s", when, call->name);
	world->crashes_left--;
	world->verdict->figures.crashes++;
	sim_host_crash(call->host);
}

static bool can_be_killed(const struct sim_world *world)
{
	return world->crashes_left > 0 && sim_world_may(world, SIM_FAULT_CRASH);
}

/* A crash before it, which is now, or after it. False: now. A call that goes on from here
 * and waits is not where it was before, since it has been asked. */
static bool survive(struct sim_call *call)
{
	struct sim_world *world = call->host->world;
	struct sim_flow *flow = world->current;
	if (!can_be_killed(world)) {
		return true;
	}
	bool killed = sim_world_happens(world, SIM_FAULT_CRASH, world->crash_rate);
	call->crash_after = killed && sim_choose(world->choice, "crash-after", 2) == 1;
	if (killed && !call->crash_after) {
		crash(call, "before");
		return false;
	}
	uint64_t asked[] = {flow->history, call->crash_after};
	flow->history = sim_hash(1, asked, sizeof(asked));
	return true;
}

static void sleep_us(struct sim_host *host, int64_t us)
{
	struct sim_world *world = host->world;
	int64_t until_us = world->now_us + us;
	while (!host->dead && !world->over && world->now_us < until_us) {
		sim_flow_wait(world, world, until_us);
	}
}

/* Nobody else can tell whether this call was made: nothing that it does or reads is
 * another one's. */
static bool is_private(const char *name)
{
	static const char *const names[] = {"session_open", "template_get", "template_list",
		"prepare", "consumer_open", "publisher_open"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* In a small world without another kill: a settlement of what somebody holds. Nobody else
 * sees the message before it is given back, which only a kill does; so it makes no
 * difference when it goes, and it goes at once. */
static bool is_unseen(const struct sim_host *host, const char *name)
{
	const struct sim_world *world = host->world;
	return world->plan->small && !world->plan->unreduced && !can_be_killed(world) &&
	       strcmp(name, "settle") == 0;
}

bool sim_call_begin(struct sim_call *call, struct sim_host *host, const char *name)
{
	struct sim_world *world = host->world;
	*call = (struct sim_call){.host = host, .name = name};
	if (host->dead) {
		return false;
	}
	if (world->plan->small && is_private(name)) {
		return true;
	}
	world->now_us += world->call_us;
	if (!is_unseen(host, name)) {
		sim_flow_yield(world);
	}
	if (host->dead || world->phase == SIM_CALM) {
		return !host->dead;
	}
	disturb(host);
	if (sim_world_happens(world, SIM_FAULT_SLOW, world->rate * 2)) {
		int64_t ms = sim_world_pick_ms(world, "slow-ms", slow_ms, SIM_COUNT(slow_ms));
		bool after = sim_choose(world->choice, "slow-after", 2) == 1;
		SIM_TRACE(world, "%s takes %lld ms, %s its effect", name, (long long)ms,
			after ? "after" : "before");
		if (after) {
			call->sleep_after_us = ms * 1000;
		} else {
			sleep_us(host, ms * 1000);
		}
	}
	return !host->dead && survive(call);
}

/* The history of a flow goes by what its calls returned and when, counted from where it
 * begins: the same a second later is the same. */
static void remember(const struct sim_call *call, uint64_t result)
{
	struct sim_world *world = call->host->world;
	struct sim_flow *flow = world->current;
	if (world->plan->small && !world->plan->unreduced && is_private(call->name)) {
		return;
	}
	uint64_t seen[] = {flow->history, result, (uint64_t)(world->now_us - flow->since_us)};
	flow->history = sim_hash(0, seen, sizeof(seen));
}

bool sim_call_end(struct sim_call *call, uint64_t result)
{
	struct sim_host *host = call->host;
	struct sim_world *world = host->world;
	if (host->dead) {
		return false;
	}
	remember(call, result);
	if (call->crash_after && world->phase == SIM_STORM) {
		crash(call, "after");
		return false;
	}
	if (call->sleep_after_us > 0) {
		sleep_us(host, call->sleep_after_us);
	}
	return !host->dead;
}

swm_status sim_fail(swm_status status, struct swm_error *err, const char *what)
{
	if (err && status != SWM_OK) {
		size_t len = strlen(what);
		len = len < sizeof(err->message) - 1 ? len : sizeof(err->message) - 1;
		err->status = status;
		err->native = 0;
		memcpy(err->message, what, len);
		err->message[len] = '\0';
	}
	return status;
}
