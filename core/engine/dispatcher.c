/* SPDX-License-Identifier: MIT */

/*
 * See dispatcher.h. Claim, publish, mark, sleep until the next row is due.
 */

#include "dispatcher.h"

#include "error.h"
#include "link.h"
#include "sender.h"

#include <stdlib.h>

/* Sleeps no longer, since another process may owe something new (a requeued message)
 * without being able to tell us. */
#define CLAIM_PERIOD_MS 1000

/* Sleeps no less when nothing more was there, so that a row which looks due and is not
 * given out (another clock, another claimer) cannot keep a core busy. */
#define CLAIM_PAUSE_MS 5

/* Housekeeping is asked for this often, and again soon while there is more to do. */
#define MAINTAIN_PERIOD_MS 1000
#define MAINTAIN_BUDGET_MS 20
#define MAINTAIN_AGAIN_MS 50

struct swm_dispatcher {
	struct swm_shared *shared;
	struct swm_env_thread *thread; /* NULL: not started */
	struct swm_env_mutex *mutex;   /* guards wake_ms */
	struct swm_env_cond *cond;
	int64_t wake_ms; /* monotonic; INT64_MAX: nobody asked since the last claim */

	/* The thread's own. */
	struct swm_link link;
	struct swm_sender sender;
	struct swm_marks marks;
	struct swm_arena arena;
	int64_t maintain_ms; /* monotonic: not before */
};

swm_status swm_dispatcher_create(struct swm_shared *shared, size_t slot,
	struct swm_dispatcher **out, struct swm_error *err)
{
	const struct swm_env *env = shared->env;
	struct swm_dispatcher *dispatcher = calloc(1, sizeof(*dispatcher));
	if (!dispatcher) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	dispatcher->shared = shared;
	dispatcher->wake_ms = INT64_MAX;
	swm_link_init(&dispatcher->link, shared, slot);
	swm_status status = env->mutex_create(env->ctx, &dispatcher->mutex, err);
	if (status == SWM_OK) {
		status = env->cond_create(env->ctx, &dispatcher->cond, err);
	}
	if (status == SWM_OK) {
		status = swm_sender_init(&dispatcher->sender, shared, err);
	}
	if (status != SWM_OK) {
		swm_dispatcher_destroy(dispatcher);
		return status;
	}
	*out = dispatcher;
	return SWM_OK;
}

void swm_dispatcher_destroy(struct swm_dispatcher *dispatcher)
{
	if (!dispatcher) {
		return;
	}
	const struct swm_env *env = dispatcher->shared->env;
	swm_sender_finish(&dispatcher->sender);
	env->cond_destroy(env->ctx, dispatcher->cond);
	env->mutex_destroy(env->ctx, dispatcher->mutex);
	free(dispatcher);
}

void swm_dispatcher_wake(struct swm_dispatcher *dispatcher, int64_t due_ms)
{
	const struct swm_env *env = dispatcher->shared->env;
	int64_t at_ms = swm_env_monotonic_ms(env) + due_ms;
	swm_env_lock(env, dispatcher->mutex);
	if (at_ms < dispatcher->wake_ms) {
		dispatcher->wake_ms = at_ms;
		env->cond_signal(env->ctx, dispatcher->cond);
	}
	swm_env_unlock(env, dispatcher->mutex);
}

/* Before a claim, which may miss what is owed from now on, and before the look whether to
 * stop, whose wake must not be forgotten. */
static void forget_wakes(struct swm_dispatcher *dispatcher)
{
	const struct swm_env *env = dispatcher->shared->env;
	swm_env_lock(env, dispatcher->mutex);
	dispatcher->wake_ms = INT64_MAX;
	swm_env_unlock(env, dispatcher->mutex);
}

static void sleep_until(struct swm_dispatcher *dispatcher, int64_t until_ms)
{
	const struct swm_env *env = dispatcher->shared->env;
	swm_env_lock(env, dispatcher->mutex);
	for (;;) {
		int64_t wake_ms =
			dispatcher->wake_ms < until_ms ? dispatcher->wake_ms : until_ms;
		int64_t left_ms = wake_ms - swm_env_monotonic_ms(env);
		if (left_ms <= 0) {
			break;
		}
		env->cond_wait(env->ctx, dispatcher->cond, dispatcher->mutex, left_ms);
	}
	swm_env_unlock(env, dispatcher->mutex);
}

/* Publishes what was claimed at `claimed_ms`. */
static swm_status send_rows(struct swm_dispatcher *dispatcher, const struct swm_set *set,
	int64_t claimed_ms, struct swm_error *err)
{
	const struct swm_outbox_row *rows = set->items;
	swm_arena_reset(&dispatcher->arena);
	const struct swm_outbox_row **list = swm_arena_take(
		&dispatcher->arena, set->count * sizeof(struct swm_outbox_row *));
	if (!list) {
		return SWM_OK; /* they come again when their lease is over */
	}
	for (size_t i = 0; i < set->count; i++) {
		list[i] = &rows[i];
	}
	swm_env_count(dispatcher->shared->env, "outbox_claimed", set->count);
	return swm_sender_send(&dispatcher->sender, &dispatcher->link, list, set->count,
		claimed_ms, &dispatcher->marks, err);
}

/* One claim. *again_ms: how long until the next one. */
static swm_status claim(
	struct swm_dispatcher *dispatcher, int64_t *again_ms, struct swm_error *err)
{
	const struct swm_engine_config *config = dispatcher->shared->config;
	struct swm_link *link = &dispatcher->link;
	struct swm_set set = {0};
	int64_t next_due_ms = -1;
	int64_t claimed_ms = swm_env_monotonic_ms(dispatcher->shared->env);
	swm_status status = link->ops->outbox_claim(link->session, swm_link_owner(link),
		config->lease_ms, config->batch, &set, &next_due_ms, err);
	if (status != SWM_OK) {
		return status;
	}
	size_t count = set.count;
	if (count > 0) {
		status = send_rows(dispatcher, &set, claimed_ms, err);
	}
	if (set.release) {
		set.release(&set);
	}
	if (status == SWM_OK) {
		status = swm_link_flush(link, &dispatcher->marks, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	int64_t period_ms =
		config->lease_ms / 2 < CLAIM_PERIOD_MS ? config->lease_ms / 2 : CLAIM_PERIOD_MS;
	*again_ms = next_due_ms >= 0 && next_due_ms < period_ms ? next_due_ms : period_ms;
	*again_ms = *again_ms > CLAIM_PAUSE_MS ? *again_ms : CLAIM_PAUSE_MS;
	if (count == config->batch) {
		*again_ms = 0;
	}
	return SWM_OK;
}

/* Nothing is due: time for the store's own work. */
static swm_status maintain(
	struct swm_dispatcher *dispatcher, int64_t *again_ms, struct swm_error *err)
{
	struct swm_link *link = &dispatcher->link;
	int64_t now_ms = swm_env_monotonic_ms(dispatcher->shared->env);
	if (!link->ops->maintain || now_ms < dispatcher->maintain_ms) {
		return SWM_OK;
	}
	swm_status status = link->ops->maintain(link->session, MAINTAIN_BUDGET_MS, err);
	dispatcher->maintain_ms = now_ms + MAINTAIN_PERIOD_MS;
	if (status == SWM_E_TIMEOUT) {
		dispatcher->maintain_ms = now_ms + MAINTAIN_AGAIN_MS;
		*again_ms = *again_ms < MAINTAIN_AGAIN_MS ? *again_ms : MAINTAIN_AGAIN_MS;
		return SWM_OK;
	}
	return status;
}

static swm_status work(
	struct swm_dispatcher *dispatcher, int64_t *again_ms, struct swm_error *err)
{
	swm_status status = swm_link_open(&dispatcher->link, err);
	if (status == SWM_OK) {
		/* Those of a flush that failed, before their rows are claimed again. */
		status = swm_link_flush(&dispatcher->link, &dispatcher->marks, err);
	}
	if (status == SWM_OK) {
		status = claim(dispatcher, again_ms, err);
	}
	if (status == SWM_OK && *again_ms > 0) {
		status = maintain(dispatcher, again_ms, err);
	}
	return status;
}

static void run(void *arg)
{
	struct swm_dispatcher *dispatcher = arg;
	for (;;) {
		struct swm_error err = {0};
		int64_t again_ms = 0;
		forget_wakes(dispatcher);
		if (swm_shared_stopping(dispatcher->shared)) {
			break;
		}
		swm_status status = work(dispatcher, &again_ms, &err);
		if (status != SWM_OK) {
			(void)swm_shared_pause(dispatcher->shared,
				swm_link_failed(&dispatcher->link, status, &err));
			continue;
		}
		swm_link_worked(&dispatcher->link);
		sleep_until(
			dispatcher, swm_env_monotonic_ms(dispatcher->shared->env) + again_ms);
	}
	swm_sender_finish(&dispatcher->sender);
	swm_marks_finish(&dispatcher->marks);
	swm_arena_finish(&dispatcher->arena);
	swm_link_close(&dispatcher->link);
}

swm_status swm_dispatcher_start(struct swm_dispatcher *dispatcher, struct swm_error *err)
{
	const struct swm_env *env = dispatcher->shared->env;
	return env->thread_start(
		env->ctx, "dispatcher", run, dispatcher, &dispatcher->thread, err);
}

void swm_dispatcher_stop(struct swm_dispatcher *dispatcher)
{
	const struct swm_env *env = dispatcher->shared->env;
	if (dispatcher->thread) {
		swm_dispatcher_wake(dispatcher, 0);
		env->thread_join(env->ctx, dispatcher->thread);
		dispatcher->thread = NULL;
	}
}
