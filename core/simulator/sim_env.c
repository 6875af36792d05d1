/* SPDX-License-Identifier: MIT */

/*
 * The environment of an orchestrator over flows: the clocks are the world's, waits are
 * turns of other flows, chance is a generator of the host's own, log lines go to the trace.
 */

#include "kernel.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A clock starts anywhere but at 0. */
#define MONOTONIC_START_US INT64_C(3600000000)

/* 2026-11-22T00:00Z */
#define WALL_START_MS INT64_C(1795305600000)

/* A wait that ends for no reason does so within this. */
#define FALSE_WAKE_US 1000

struct swm_env_thread {
	struct sim_flow *flow;
};

struct swm_env_mutex {
	const struct sim_flow *holder; /* NULL: free */
	unsigned waiting;              /* flows */
};

struct swm_env_cond {
	unsigned unused;
};

static struct sim_flow *current_of(const struct sim_host *host)
{
	return host->world->current;
}

int64_t sim_world_wall_ms(const struct sim_world *world)
{
	return WALL_START_MS + world->now_us / 1000;
}

/* In the smallest worlds a clock stands still as long as anybody can run: it does not
 * matter who reads it first. */
static void read_clock(struct sim_host *host)
{
	if (!host->world->plan->small) {
		sim_flow_yield(host->world);
	}
}

static int64_t now_ms(void *ctx)
{
	struct sim_host *host = ctx;
	read_clock(host);
	/* In the smallest worlds records have no age: a wall clock may stand still. */
	return (host->world->plan->small ? WALL_START_MS : sim_world_wall_ms(host->world)) +
	       host->clock_ms;
}

static int64_t monotonic_us(void *ctx)
{
	struct sim_host *host = ctx;
	struct sim_world *world = host->world;
	read_clock(host);
	if (world->current) {
		world->current->read_us = world->now_us;
	}
	return MONOTONIC_START_US * (host->index + 1) + world->now_us;
}

static void count(void *ctx, const char *metric, int64_t delta)
{
	const struct sim_host *host = ctx;
	if (!host->dead) {
		sim_judge_counted(host->world->judge, metric, delta);
	}
}

static void write_log(void *ctx, int32_t level, const char *source, const char *format, ...)
	SWM_PRINTF(4, 5);

static void write_log(void *ctx, int32_t level, const char *source, const char *format, ...)
{
	struct sim_host *host = ctx;
	(void)level, (void)source;
	if (!host->dead && sim_world_traces(host->world)) {
		char text[SIM_TEXT_MAX];
		va_list args;
		va_start(args, format);
		(void)vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		sim_world_trace(host->world, "log: %s", text);
	}
}

/* In the smallest worlds names of leases differ, and all other chance is the same for all:
 * orchestrators can change places. */
static void fill_small(struct sim_host *host, void *bytes, size_t size)
{
	memset(bytes, 0, size);
	if (size > sizeof(host->chance)) {
		host->chance++;
		memcpy(bytes, &host->chance, sizeof(host->chance));
	}
}

/* splitmix64: see choice.c. */
static void fill(void *ctx, void *bytes, size_t size)
{
	struct sim_host *host = ctx;
	unsigned char *at = bytes;
	if (host->world->plan->small) {
		fill_small(host, bytes, size);
		return;
	}
	while (size > 0) {
		uint64_t z = host->chance += UINT64_C(0x9e3779b97f4a7c15);
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
		size_t part = size < sizeof(z) ? size : sizeof(z);
		memcpy(at, &z, part);
		at += part;
		size -= part;
	}
}

static swm_status thread_start(void *ctx, const char *name, void (*run)(void *arg), void *arg,
	struct swm_env_thread **out, struct swm_error *err)
{
	(void)err;
	struct swm_env_thread *thread = sim_must_alloc(sizeof(*thread));
	thread->flow = sim_flow_start(ctx, name, run, arg);
	*out = thread;
	return SWM_OK;
}

static void thread_join(void *ctx, struct swm_env_thread *thread)
{
	const struct sim_host *host = ctx;
	while (thread->flow->state != SIM_FLOW_DONE) {
		sim_flow_wait(host->world, thread->flow, INT64_MAX);
	}
	free(thread);
}

static swm_status mutex_create(void *ctx, struct swm_env_mutex **out, struct swm_error *err)
{
	(void)ctx, (void)err;
	*out = sim_must_alloc(sizeof(**out));
	return SWM_OK;
}

static void mutex_destroy(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	assert(!mutex || !mutex->holder);
	free(mutex);
}

static void mutex_lock(void *ctx, struct swm_env_mutex *mutex)
{
	const struct sim_host *host = ctx;
	assert(mutex->holder != current_of(host));
	while (mutex->holder) {
		mutex->waiting++;
		sim_flow_wait(host->world, mutex, INT64_MAX);
		mutex->waiting--;
	}
	mutex->holder = current_of(host);
}

static void mutex_unlock(void *ctx, struct swm_env_mutex *mutex)
{
	const struct sim_host *host = ctx;
	assert(mutex->holder == current_of(host));
	mutex->holder = NULL;
	if (mutex->waiting > 0) {
		sim_flow_wake(host->world, mutex);
	}
}

static swm_status cond_create(void *ctx, struct swm_env_cond **out, struct swm_error *err)
{
	(void)ctx, (void)err;
	*out = sim_must_alloc(sizeof(**out));
	return SWM_OK;
}

static void cond_destroy(void *ctx, struct swm_env_cond *cond)
{
	(void)ctx;
	free(cond);
}

static void cond_wait(
	void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex, int64_t timeout_ms)
{
	const struct sim_host *host = ctx;
	struct sim_world *world = host->world;
	int64_t until_us = world->now_us + timeout_ms * 1000;
	if (!host->dead && timeout_ms > 1 &&
		sim_world_happens(world, SIM_FAULT_WAKE, world->rate)) {
		until_us = world->now_us + FALSE_WAKE_US;
	}
	mutex_unlock(ctx, mutex);
	sim_flow_wait(world, cond, until_us);
	mutex_lock(ctx, mutex);
}

static void cond_signal(void *ctx, struct swm_env_cond *cond)
{
	const struct sim_host *host = ctx;
	sim_flow_wake(host->world, cond);
}

void sim_env_init(struct sim_host *host)
{
	host->table = (struct swm_host){
		.size = sizeof(host->table),
		.abi_major = SWM_ABI_MAJOR,
		.abi_minor = SWM_ABI_MINOR,
		.ctx = host,
		.log_level = SWM_LOG_INFO,
		.log = write_log,
		.now_ms = now_ms,
		.count = count,
	};
	host->env = (struct swm_env){
		.ctx = host,
		.host = &host->table,
		.monotonic_us = monotonic_us,
		.random = fill,
		.thread_start = thread_start,
		.thread_join = thread_join,
		.mutex_create = mutex_create,
		.mutex_destroy = mutex_destroy,
		.mutex_lock = mutex_lock,
		.mutex_unlock = mutex_unlock,
		.cond_create = cond_create,
		.cond_destroy = cond_destroy,
		.cond_wait = cond_wait,
		.cond_signal = cond_signal,
	};
}
