/* SPDX-License-Identifier: MIT */

/*
 * swm run: the orchestrator as a service. Puts configuration, adapters and engine
 * together, says how it stands to the service manager and in the ready file, and ends
 * in order when asked to.
 *
 * Concurrency: the main thread waits for the signal; the engine's threads report
 * their state through on_state(), one at a time.
 */

#include "commands.h"

#include "engine.h"
#include "env_posix.h"
#include "error.h"
#include "notify.h"
#include "stop.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A store or a broker that is away at the start is asked again after so long. */
#define START_RETRY_MS 2000

struct runner {
	struct swm_cli *cli;
	const struct swm_host *host;
	struct swm_stop *stop;
	struct swm_notify notify;
	struct swm_env env;
	const struct swm_store_adapter *store;
	struct swm_engine_queue queues[SWM_QUEUES_MAX];
	struct swm_engine_listen listen[SWM_LISTEN_MAX];
	struct swm_engine_route *routes;
	struct swm_engine_config engine;
	bool waiting; /* for the store or a broker, and said so */
	bool was_ready;
};

SWM_PRINTF(3, 4)
static void say(const struct runner *runner, int32_t level, const char *fmt, ...)
{
	char line[SWM_ERROR_MESSAGE_MAX + 128];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	runner->host->log(runner->host->ctx, level, "run", "%s", line);
}

/* The ready file. */

static void write_ready_file(const struct runner *runner)
{
	const char *path = runner->cli->config->workflow.ready_file;
	if (!path) {
		return;
	}
	FILE *file = fopen(path, "we");
	if (!file || fprintf(file, "%ld\n", (long)getpid()) < 0) {
		say(runner, SWM_LOG_WARN, "cannot write workflow.ready_file %s", path);
	}
	if (file) {
		(void)fclose(file);
	}
}

static void remove_ready_file(const struct runner *runner)
{
	if (runner->cli->config->workflow.ready_file) {
		(void)unlink(runner->cli->config->workflow.ready_file);
	}
}

static void on_state(void *ctx, const struct swm_engine_state *state)
{
	struct runner *runner = ctx;
	if (state->ready == runner->was_ready) {
		swm_notify_status(&runner->notify, "%s", state->text);
		return;
	}
	runner->was_ready = state->ready;
	if (state->ready) {
		write_ready_file(runner);
		swm_notify_send(&runner->notify, "READY=1\nSTATUS=ready");
		say(runner, SWM_LOG_INFO, "ready: hears %zu workflow queues",
			runner->engine.listen_count);
	} else {
		remove_ready_file(runner);
		swm_notify_status(&runner->notify, "not ready: %s", state->text);
		say(runner, SWM_LOG_WARN, "not ready: %s", state->text);
	}
}

/* Opening. */

static swm_status migrate(const struct runner *runner, struct swm_error *err)
{
	const struct swm_store_ops *ops = runner->store->ops;
	int32_t version = 0;
	if (!(ops->capabilities & SWM_STORE_SHARED)) {
		/* Nobody else runs on it: bringing it up to date surprises no one. */
		return ops->migrate(runner->store->store, SWM_MIGRATE_APPLY, &version, err);
	}
	struct swm_error problem = {0};
	swm_status status =
		ops->migrate(runner->store->store, SWM_MIGRATE_CHECK, &version, &problem);
	if (status == SWM_E_CONFIG) {
		return swm_error_set(err, status, "%s; run: swm migrate", problem.message);
	}
	return status == SWM_OK ? status : swm_error_set(err, status, "%s", problem.message);
}

static swm_status open_queues(struct runner *runner, struct swm_error *err)
{
	const struct swm_config *config = runner->cli->config;
	for (size_t i = 0; i < config->queue_count; i++) {
		const struct swm_queue_adapter *adapter = NULL;
		swm_status status = swm_adapters_queue(
			runner->cli->adapters, config->queues[i].name, &adapter, err);
		if (status != SWM_OK) {
			return status;
		}
		runner->queues[i] =
			(struct swm_engine_queue){adapter->name, adapter->ops, adapter->queue};
	}
	return SWM_OK;
}

static swm_status open_all(struct runner *runner, struct swm_error *err)
{
	swm_status status = swm_adapters_store(runner->cli->adapters, &runner->store, err);
	if (status == SWM_OK) {
		status = migrate(runner, err);
	}
	return status == SWM_OK ? open_queues(runner, err) : status;
}

static bool may_pass(swm_status status)
{
	return status == SWM_E_UNAVAILABLE || status == SWM_E_TIMEOUT ||
	       status == SWM_E_THROTTLED;
}

/* Opens everything; what is only away is waited for. SWM_E_INTERRUPTED: asked to stop
 * meanwhile. */
static swm_status open_or_wait(struct runner *runner, struct swm_error *err)
{
	for (;;) {
		swm_status status = open_all(runner, err);
		if (!may_pass(status)) {
			return status;
		}
		if (!runner->waiting) {
			runner->waiting = true;
			swm_notify_status(&runner->notify, "waiting: %s", err->message);
			say(runner, SWM_LOG_WARN, "%s; trying again until it is there",
				err->message);
		}
		if (swm_stop_wait(runner->stop, START_RETRY_MS)) {
			return SWM_E_INTERRUPTED;
		}
	}
}

/* The configuration, in the engine's words. */

static swm_status find_queue(const struct swm_config *config, const char *name, size_t *out)
{
	for (size_t i = 0; i < config->queue_count; i++) {
		if (strcmp(config->queues[i].name, name) == 0) {
			*out = i;
			return SWM_OK;
		}
	}
	return SWM_E_CONFIG; /* the configuration was checked for that when it was read */
}

static swm_status fill_places(struct runner *runner, struct swm_error *err)
{
	const struct swm_config *config = runner->cli->config;
	swm_status status = SWM_OK;
	for (size_t i = 0; i < config->listen_count && status == SWM_OK; i++) {
		const struct swm_listen *listen = &config->listen[i];
		runner->listen[i] = (struct swm_engine_listen){
			.source = swm_str_from(listen->queue),
			.processors = (uint32_t)listen->processors,
		};
		status = find_queue(config, listen->adapter, &runner->listen[i].queue);
	}
	runner->routes = calloc(config->routes.count + 1, sizeof(*runner->routes));
	if (!runner->routes) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < config->routes.count && status == SWM_OK; i++) {
		const struct swm_pair *pair = &config->routes.items[i];
		runner->routes[i].pattern = swm_str_from(pair->name);
		status = find_queue(config, pair->value, &runner->routes[i].queue);
	}
	return status == SWM_OK
		       ? SWM_OK
		       : swm_error_set(err, status, "a route or listen names no adapter");
}

static void fill_engine(struct runner *runner)
{
	const struct swm_config *config = runner->cli->config;
	const struct swm_workflow_config *workflow = &config->workflow;
	runner->engine = (struct swm_engine_config){
		.env = &runner->env,
		.store_ops = runner->store->ops,
		.store = runner->store->store,
		.queues = runner->queues,
		.queue_count = config->queue_count,
		.listen = runner->listen,
		.listen_count = config->listen_count,
		.routes = runner->routes,
		.route_count = config->routes.count,
		.batch = (uint32_t)workflow->batch,
		.prefetch = (uint32_t)workflow->prefetch,
		.lease_ms = workflow->lease_ms,
		.cache_bytes = (size_t)workflow->cache_bytes,
		.payload =
			{
				.plain = workflow->payload == SWM_PAYLOAD_KIND_PLAIN,
				.data_max_bytes = (size_t)config->limits.data_bytes,
			},
		.limits =
			{
				.message_bytes = (size_t)config->limits.message_bytes,
				.data_bytes = (size_t)config->limits.data_bytes,
			},
		.on_state = on_state,
		.on_state_ctx = runner,
	};
}

/* Running. */

/* Waits for the end, and tells the watchdog that the main thread lives. */
static void wait_for_stop(const struct runner *runner)
{
	int64_t period_ms =
		runner->notify.watchdog_ms > 0 ? runner->notify.watchdog_ms / 2 : -1;
	while (!swm_stop_wait(runner->stop, period_ms)) {
		swm_notify_send(&runner->notify, "WATCHDOG=1");
	}
}

static void say_goodbye(const struct runner *runner)
{
	const struct swm_metrics *metrics = &runner->cli->services.metrics;
	say(runner, SWM_LOG_INFO,
		"stopped: %" PRId64 " events recorded, %" PRId64 " messages published",
		swm_metrics_get(metrics, "events_recorded"),
		swm_metrics_get(metrics, "messages_published"));
}

static swm_status run_engine(struct runner *runner, struct swm_error *err)
{
	struct swm_engine *engine = NULL;
	swm_status status = open_or_wait(runner, err);
	if (status == SWM_OK) {
		status = fill_places(runner, err);
	}
	if (status == SWM_OK) {
		fill_engine(runner);
		status = swm_engine_start(&runner->engine, &engine, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	wait_for_stop(runner);
	swm_notify_send(&runner->notify, "STOPPING=1\nSTATUS=stopping");
	remove_ready_file(runner);
	swm_engine_stop(engine);
	remove_ready_file(runner);
	say_goodbye(runner);
	return SWM_OK;
}

static int run_run(struct swm_cli *cli, const void *raw_values, int argc, char **argv)
{
	(void)raw_values;
	(void)argc;
	(void)argv;
	struct swm_error err = {0};
	struct runner runner = {.cli = cli, .host = &cli->services.host};
	/* Before the plugins: their libraries' threads inherit what is blocked. */
	swm_status status = swm_stop_open(&runner.stop, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	swm_notify_open(&runner.notify);
	swm_env_posix_init(&runner.env, &cli->services.host);
	status = swm_cli_adapters(cli, SWM_OPEN_ORCHESTRATOR);
	int result = (int)swm_exit_code(status);
	if (status == SWM_OK) {
		status = run_engine(&runner, &err);
		result = status == SWM_OK || status == SWM_E_INTERRUPTED
				 ? SWM_EXIT_DONE
				 : swm_cli_fail(cli, status, "%s", err.message);
	}
	free(runner.routes);
	swm_notify_close(&runner.notify);
	/* The adapters may have threads; they end while a signal is still harmless. */
	swm_adapters_destroy(cli->adapters);
	cli->adapters = NULL;
	swm_stop_close(runner.stop);
	return result;
}

const struct swm_command swm_command_run = {
	.name = "run",
	.summary = "the orchestrator: takes events and moves workflows, until it is stopped",
	.details = "Runs in the foreground and logs to stderr; SIGTERM or SIGINT ends it in "
		   "order.\n"
		   "Under systemd it reports READY and its status (Type=notify). An embedded "
		   "store\n"
		   "is created or upgraded on the way; a shared one wants `swm migrate` first.",
	.example = "swm run --config conf/swm.json\n",
	.run = run_run,
};
