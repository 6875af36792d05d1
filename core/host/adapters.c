/* SPDX-License-Identifier: MIT */

/* See adapters.h. */

#include "adapters.h"

#include "error.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* A place for each adapter of the configuration, used or not. */
struct slot {
	const struct swm_adapter_config *config;
	uint32_t kind;
	bool open;
	struct swm_options *options;
	struct swm_open_args args;
	struct swm_store_adapter store; /* by kind */
	struct swm_queue_adapter queue;
};

struct swm_adapters {
	const struct swm_config *config;
	struct swm_loader *loader;
	const struct swm_host *host;
	uint32_t flags;
	struct slot slots[SWM_QUEUES_MAX + 1]; /* the store, then the queues */
	size_t slot_count;
	struct slot *opened[SWM_QUEUES_MAX + 1]; /* in the order of opening */
	size_t opened_count;
};

swm_status swm_adapters_create(const struct swm_config *config, struct swm_loader *loader,
	const struct swm_host *host, uint32_t flags, struct swm_adapters **out)
{
	struct swm_adapters *adapters = calloc(1, sizeof(*adapters));
	if (adapters == NULL) {
		return SWM_E_NOMEM;
	}
	adapters->config = config;
	adapters->loader = loader;
	adapters->host = host;
	adapters->flags = flags;
	adapters->slots[0].config = &config->store;
	adapters->slots[0].kind = SWM_PLUGIN_STORE;
	adapters->slot_count = 1;
	for (size_t i = 0; i < config->queue_count; i++) {
		struct slot *slot = &adapters->slots[adapters->slot_count++];
		slot->config = &config->queues[i];
		slot->kind = SWM_PLUGIN_QUEUE;
	}
	*out = adapters;
	return SWM_OK;
}

void swm_adapters_destroy(struct swm_adapters *adapters)
{
	if (adapters == NULL) {
		return;
	}
	while (adapters->opened_count > 0) {
		struct slot *slot = adapters->opened[--adapters->opened_count];
		if (slot->kind == SWM_PLUGIN_STORE) {
			slot->store.ops->close(slot->store.store);
		} else {
			slot->queue.ops->close(slot->queue.queue);
		}
		swm_options_destroy(slot->options);
	}
	free(adapters);
}

swm_status swm_adapter_prepare(struct swm_loader *loader, uint32_t kind,
	const struct swm_adapter_config *config, struct swm_problems *problems,
	struct swm_prepared *out)
{
	const struct swm_module *module = NULL;
	struct swm_error err = {0};
	char pointer[SWM_POINTER_MAX];
	swm_status status =
		config->plugin_file != NULL
			? swm_loader_open(loader, kind, config->plugin_file, &module, &err)
			: swm_loader_find(loader, kind, config->plugin, &module, &err);
	if (status != SWM_OK) {
		bool in_file = config->plugin_file != NULL;
		swm_pointer_key(pointer, config->pointer, in_file ? "plugin_file" : "plugin");
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "%s", err.message);
		return status == SWM_E_NOMEM ? status : SWM_E_CONFIG;
	}
	struct swm_options *options = NULL;
	status = swm_options_fill(&module->options, config->section, config->pointer,
		swm_adapter_keys, problems, &options);
	if (status != SWM_OK) {
		return status;
	}
	*out = (struct swm_prepared){module, options};
	return SWM_OK;
}

/* The first error of a list, as the reason why an adapter cannot be opened. */
static swm_status from_problems(const struct slot *slot, const struct swm_problems *problems,
	swm_status status, struct swm_error *err)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct swm_problem *problem = &problems->items[i];
		if (problem->severity == SWM_SEVERITY_ERROR) {
			return swm_error_set(
				err, status, "%s: %s", problem->pointer, problem->message);
		}
	}
	return swm_error_set(err, status, "%s: out of memory", slot->config->pointer);
}

/* A warning is for the log once: when the adapter is opened. */
static void log_warnings(const struct swm_adapters *adapters, const struct slot *slot,
	const struct swm_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct swm_problem *problem = &problems->items[i];
		if (problem->severity == SWM_SEVERITY_WARNING) {
			adapters->host->log(adapters->host->ctx, SWM_LOG_WARN,
				slot->config->name, "%s: %s", problem->pointer,
				problem->message);
		}
	}
}

static swm_status call_open(struct swm_adapters *adapters, struct slot *slot,
	const struct swm_prepared *prepared, struct swm_error *err)
{
	struct swm_error reason = {0};
	swm_status status = swm_loader_start(adapters->loader, prepared->module, &reason);
	slot->args = (struct swm_open_args){
		.size = sizeof(slot->args),
		.flags = adapters->flags,
		.host = adapters->host,
		.instance = slot->config->name,
		.config = swm_options_config(prepared->options),
		.call_timeout_ms = adapters->config->workflow.call_timeout_ms,
	};
	if (status == SWM_OK && slot->kind == SWM_PLUGIN_STORE) {
		slot->store.name = slot->config->name;
		slot->store.ops = &prepared->module->store;
		status = slot->store.ops->open(&slot->args, &slot->store.store, &reason);
	} else if (status == SWM_OK) {
		slot->queue.name = slot->config->name;
		slot->queue.ops = &prepared->module->queue;
		status = slot->queue.ops->open(&slot->args, &slot->queue.queue, &reason);
	}
	if (status != SWM_OK) {
		return swm_error_set(
			err, status, "%s: %s", slot->config->pointer + 1, reason.message);
	}
	return SWM_OK;
}

static swm_status open_slot(
	struct swm_adapters *adapters, struct slot *slot, struct swm_error *err)
{
	struct swm_problems problems = {0};
	struct swm_prepared prepared = {0};
	swm_status status = swm_adapter_prepare(
		adapters->loader, slot->kind, slot->config, &problems, &prepared);
	log_warnings(adapters, slot, &problems);
	if (status != SWM_OK) {
		(void)from_problems(slot, &problems, status, err);
		swm_problems_finish(&problems);
		return status;
	}
	swm_problems_finish(&problems);
	status = call_open(adapters, slot, &prepared, err);
	if (status != SWM_OK) {
		swm_options_destroy(prepared.options);
		return status;
	}
	slot->options = prepared.options;
	slot->open = true;
	adapters->opened[adapters->opened_count++] = slot;
	return SWM_OK;
}

swm_status swm_adapters_store(struct swm_adapters *adapters,
	const struct swm_store_adapter **out, struct swm_error *err)
{
	struct slot *slot = &adapters->slots[0];
	swm_status status = slot->open ? SWM_OK : open_slot(adapters, slot, err);
	if (status == SWM_OK) {
		*out = &slot->store;
	}
	return status;
}

swm_status swm_adapters_queue(struct swm_adapters *adapters, const char *name,
	const struct swm_queue_adapter **out, struct swm_error *err)
{
	for (size_t i = 1; i < adapters->slot_count; i++) {
		struct slot *slot = &adapters->slots[i];
		if (strcmp(slot->config->name, name) != 0) {
			continue;
		}
		swm_status status = slot->open ? SWM_OK : open_slot(adapters, slot, err);
		if (status == SWM_OK) {
			*out = &slot->queue;
		}
		return status;
	}
	return swm_error_set(err, SWM_E_CONFIG,
		"there is no queue adapter '%s'; 'queues' has to define it", name);
}

swm_status swm_adapters_route(struct swm_adapters *adapters, struct swm_str destination,
	const struct swm_queue_adapter **out, struct swm_error *err)
{
	return swm_adapters_queue(
		adapters, swm_config_route(adapters->config, destination), out, err);
}
