/* SPDX-License-Identifier: MIT */

/*
 * Puts the parts together, starts the threads, and takes it all down again.
 */

#include "engine.h"

#include "dispatcher.h"
#include "error.h"
#include "processor.h"
#include "shared.h"

#include <assert.h>
#include <stdlib.h>

struct swm_engine {
	struct swm_shared shared;
	struct swm_engine_config config;
	struct swm_processor **processors;
	size_t processor_count;
};

/* One place in the state for the dispatcher, then those of the processors. */
#define DISPATCHER_SLOT 0
#define FIRST_PROCESSOR_SLOT 1

static swm_status check_listen(const struct swm_engine_config *config, struct swm_error *err)
{
	if (config->listen_count == 0 || config->queue_count == 0) {
		return swm_error_set(err, SWM_E_CONFIG, "no workflow queue to listen on");
	}
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct swm_engine_listen *listen = &config->listen[i];
		if (listen->queue >= config->queue_count || listen->processors == 0 ||
			listen->source.len == 0) {
			return swm_error_set(err, SWM_E_CONFIG,
				"workflow.listen[%zu] needs an adapter, a queue name and at "
				"least one "
				"processor",
				i);
		}
	}
	return SWM_OK;
}

static swm_status check(const struct swm_engine_config *config, struct swm_error *err)
{
	if (config->batch < 1 || config->batch > SWM_ENGINE_BATCH_MAX) {
		return swm_error_set(err, SWM_E_CONFIG, "workflow.batch must be from 1 to %d",
			SWM_ENGINE_BATCH_MAX);
	}
	if (config->prefetch < config->batch) {
		return swm_error_set(err, SWM_E_CONFIG,
			"workflow.prefetch must not be below workflow.batch");
	}
	if (config->lease_ms < SWM_ENGINE_LEASE_MIN_MS) {
		return swm_error_set(err, SWM_E_CONFIG, "workflow.lease must be at least %d ms",
			SWM_ENGINE_LEASE_MIN_MS);
	}
	if (config->limits.data_bytes > config->payload.data_max_bytes) {
		return swm_error_set(err, SWM_E_CONFIG,
			"the limit of data on arrival is above that of an instance");
	}
	return check_listen(config, err);
}

static size_t count_processors(const struct swm_engine_config *config)
{
	size_t count = 0;
	for (size_t i = 0; i < config->listen_count; i++) {
		count += config->listen[i].processors;
	}
	return count;
}

static swm_status create_shared(struct swm_engine *engine, size_t slots, struct swm_error *err)
{
	struct swm_shared *shared = &engine->shared;
	const struct swm_env *env = engine->config.env;
	shared->config = &engine->config;
	shared->env = env;
	shared->own_queue = engine->config.listen[0].source;
	swm_status status = env->mutex_create(env->ctx, &shared->mutex, err);
	if (status == SWM_OK) {
		status = env->cond_create(env->ctx, &shared->stop, err);
	}
	if (status == SWM_OK) {
		status = swm_state_create(&engine->config, slots, &shared->state, err);
	}
	if (status == SWM_OK) {
		status = swm_router_create(&engine->config, &shared->router, err);
	}
	if (status == SWM_OK) {
		status = swm_templates_create(env, false, &shared->templates, err);
	}
	if (status == SWM_OK) {
		status = swm_dispatcher_create(
			shared, DISPATCHER_SLOT, &shared->dispatcher, err);
	}
	return status;
}

static swm_status create_processors(struct swm_engine *engine, struct swm_error *err)
{
	const struct swm_engine_config *config = &engine->config;
	size_t total = count_processors(config);
	assert(total > 0);
	engine->processors = calloc(total, sizeof(struct swm_processor *));
	if (!engine->processors) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < config->listen_count; i++) {
		for (uint32_t j = 0; j < config->listen[i].processors; j++) {
			size_t slot = FIRST_PROCESSOR_SLOT +
				      engine->processor_count * SWM_PROCESSOR_SLOTS;
			swm_status status = swm_processor_create(&engine->shared, i, slot,
				config->cache_bytes / total,
				&engine->processors[engine->processor_count], err);
			if (status != SWM_OK) {
				return status;
			}
			engine->processor_count++;
		}
	}
	return SWM_OK;
}

static swm_status start_threads(struct swm_engine *engine, struct swm_error *err)
{
	swm_status status = swm_dispatcher_start(engine->shared.dispatcher, err);
	for (size_t i = 0; i < engine->processor_count && status == SWM_OK; i++) {
		status = swm_processor_start(engine->processors[i], err);
	}
	return status;
}

swm_status swm_engine_start(
	const struct swm_engine_config *config, struct swm_engine **out, struct swm_error *err)
{
	swm_status status = check(config, err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_engine *engine = calloc(1, sizeof(*engine));
	if (!engine) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	engine->config = *config;
	size_t slots = FIRST_PROCESSOR_SLOT + count_processors(config) * SWM_PROCESSOR_SLOTS;
	status = create_shared(engine, slots, err);
	if (status == SWM_OK) {
		status = create_processors(engine, err);
	}
	if (status == SWM_OK) {
		status = start_threads(engine, err);
	}
	if (status != SWM_OK) {
		swm_engine_stop(engine);
		return status;
	}
	*out = engine;
	return SWM_OK;
}

static void stop_threads(struct swm_engine *engine)
{
	struct swm_shared *shared = &engine->shared;
	const struct swm_env *env = shared->env;
	swm_env_lock(env, shared->mutex);
	shared->stopping = true;
	env->cond_signal(env->ctx, shared->stop);
	swm_env_unlock(env, shared->mutex);
	for (size_t i = 0; i < engine->processor_count; i++) {
		swm_processor_wake(engine->processors[i]);
	}
	for (size_t i = 0; i < engine->processor_count; i++) {
		swm_processor_join(engine->processors[i]);
	}
	swm_dispatcher_stop(shared->dispatcher);
}

void swm_engine_stop(struct swm_engine *engine)
{
	if (!engine) {
		return;
	}
	struct swm_shared *shared = &engine->shared;
	const struct swm_env *env = shared->env;
	if (shared->dispatcher) {
		stop_threads(engine);
	}
	for (size_t i = 0; i < engine->processor_count; i++) {
		swm_processor_destroy(engine->processors[i]);
	}
	free(engine->processors);
	swm_dispatcher_destroy(shared->dispatcher);
	swm_templates_destroy(shared->templates);
	swm_router_destroy(shared->router);
	swm_state_destroy(shared->state);
	env->cond_destroy(env->ctx, shared->stop);
	env->mutex_destroy(env->ctx, shared->mutex);
	free(engine);
}
