/* SPDX-License-Identifier: MIT */

/* The plugins and their host; see rig.h. */

#define _XOPEN_SOURCE 700 /* realpath() */

#include "rig.h"

#include "loader.h"
#include "model.h"
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CALL_TIMEOUT_MS = 10000
};

/* 2026-01-01. */
#define FIRST_MS INT64_C(1767225600000)

SWM_PRINTF(4, 5)
static void write_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	const struct rig *rig = ctx;
	va_list args;

	if (level > rig->host.log_level) {
		return;
	}
	va_start(args, fmt);
	(void)fprintf(stderr, "%s: ", source);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
}

static int64_t tell_time(void *ctx)
{
	const struct rig *rig = ctx;

	return rig->now_ms;
}

static void count_nothing(void *ctx, const char *metric, int64_t delta)
{
	(void)ctx;
	(void)metric;
	(void)delta;
}

static const struct swm_module *load(struct rig *rig, uint32_t kind, const char *file)
{
	const struct swm_module *module = NULL;
	struct swm_error err = {0};
	char *path = realpath(file, NULL);

	if (!path) {
		power_die("%s: %s", file, strerror(errno));
	}
	swm_status status = swm_loader_open(rig->loader, kind, path, &module, &err);
	if (status == SWM_OK) {
		status = swm_loader_start(rig->loader, module, &err);
	}
	if (status != SWM_OK) {
		power_die("%s: %s", file, err.message);
	}
	free(path);
	return module;
}

void rig_init(struct rig *rig, const char *store_plugin, const char *queue_plugin)
{
	*rig = (struct rig){.now_ms = FIRST_MS};
	rig->host = (struct swm_host){
		.size = sizeof(rig->host),
		.abi_major = SWM_ABI_MAJOR,
		.abi_minor = SWM_ABI_MINOR,
		.ctx = rig,
		.log_level = SWM_LOG_WARN,
		.log = write_log,
		.now_ms = tell_time,
		.count = count_nothing,
	};
	if (swm_loader_create(&rig->host, NULL, &rig->loader) != SWM_OK) {
		power_die("out of memory");
	}
	rig->modules[MODEL_STORE] = load(rig, SWM_PLUGIN_STORE, store_plugin);
	rig->modules[MODEL_QUEUE] = load(rig, SWM_PLUGIN_QUEUE, queue_plugin);
	rig->store = &rig->modules[MODEL_STORE]->store;
	rig->queue = &rig->modules[MODEL_QUEUE]->queue;
	shim_install(&rig->shim);
}

void rig_finish(struct rig *rig)
{
	swm_loader_destroy(rig->loader);
}

static struct swm_options *fill_options(
	const struct rig *rig, enum model_place place, const char *folder)
{
	static const char *const files[] = {"store/store.db", "queue/queue.db"};
	struct swm_problems problems = {0};
	struct swm_options *options = NULL;
	json_t *section =
		json_pack("{s:o}", "path", json_sprintf("%s/%s", folder, files[place]));

	if (!section || swm_options_fill(&rig->modules[place]->options, section, "", NULL,
				&problems, &options) != SWM_OK) {
		swm_problems_print(&problems, "options", stderr);
		power_die("the options cannot be filled");
	}
	json_decref(section);
	swm_problems_finish(&problems);
	return options;
}

static struct swm_open_args args_of(
	const struct rig *rig, const struct swm_options *options, uint32_t flags)
{
	return (struct swm_open_args){
		.size = sizeof(struct swm_open_args),
		.flags = flags,
		.host = &rig->host,
		.instance = "power",
		.config = swm_options_config(options),
		.call_timeout_ms = CALL_TIMEOUT_MS,
	};
}

swm_status rig_store_open(const struct rig *rig, const char *folder, uint32_t flags,
	struct rig_store *opened, struct swm_error *err)
{
	*opened = (struct rig_store){.options = fill_options(rig, MODEL_STORE, folder)};
	const struct swm_open_args args = args_of(rig, opened->options, flags);
	swm_status status = rig->store->open(&args, &opened->store, err);

	if (status != SWM_OK) {
		rig_store_close(rig, opened);
	}
	return status;
}

void rig_store_close(const struct rig *rig, struct rig_store *opened)
{
	rig->store->close(opened->store);
	swm_options_destroy(opened->options);
	*opened = (struct rig_store){0};
}

swm_status rig_queue_open(const struct rig *rig, const char *folder, struct rig_queue *opened,
	struct swm_error *err)
{
	*opened = (struct rig_queue){.options = fill_options(rig, MODEL_QUEUE, folder)};
	const struct swm_open_args args = args_of(rig, opened->options, 0);
	swm_status status = rig->queue->open(&args, &opened->queue, err);

	if (status != SWM_OK) {
		rig_queue_close(rig, opened);
	}
	return status;
}

void rig_queue_close(const struct rig *rig, struct rig_queue *opened)
{
	rig->queue->close(opened->queue);
	swm_options_destroy(opened->options);
	*opened = (struct rig_queue){0};
}
