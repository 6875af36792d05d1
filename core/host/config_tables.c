/* SPDX-License-Identifier: MIT */

/*
 * Our own sections of the configuration file, as data: read this to know every key,
 * its fallback and its bounds. docs/configuration.md is printed from it.
 */

#include "config_tables.h"

#include "log.h"

#include <string.h>

static const char *const payload_choices[] = {"full", "plain", NULL};
static const char *const level_choices[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_choices[] = {"text", "json", NULL};

const char *const swm_adapter_keys[] = {"plugin", "plugin_file", NULL};

static const struct swm_option root_options[] = {
	{
		.name = "plugin_dir",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_root_values, plugin_dir, const char *),
		.doc = "Absolute directory where plugins are looked up, after SWM_PLUGIN_PATH "
		       "and "
		       "before the one that was compiled in.",
	},
	{
		.name = "routes",
		.type = SWM_OPTION_MAP,
		.offset = SWM_OFFSET(struct swm_root_values, routes, struct swm_map),
		.doc = "Which queue adapter a destination belongs to: an exact name, or a "
		       "prefix "
		       "that ends with *; the longest match wins. Without one, the adapter of "
		       "the first workflow.listen.",
	},
	{0},
};

static const struct swm_option workflow_options[] = {
	{
		.name = "batch",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_workflow_config, batch, int64_t),
		.fallback = "256",
		.min = 1,
		.max = 1024,
		.doc = "Events that are taken and committed at once, at most; a batch is never "
		       "waited for.",
	},
	{
		.name = "lease",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_workflow_config, lease_ms, int64_t),
		.fallback = "10s",
		.min = 100,
		.max = INT64_C(600000),
		.doc = "How long a message that is owed belongs to the processor that "
		       "committed "
		       "it; another one sends it after that.",
	},
	{
		.name = "call_timeout",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_workflow_config, call_timeout_ms, int64_t),
		.fallback = "5s",
		.min = 100,
		.max = INT64_C(300000),
		.doc = "No single call of an adapter takes longer.",
	},
	{
		.name = "payload",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_workflow_config, payload, int32_t),
		.fallback = "full",
		.choices = payload_choices,
		.doc = "'plain' leaves the object _swm out of StartTask, for consumers with "
		       "closed "
		       "schemas.",
	},
	{
		.name = "prefetch",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_workflow_config, prefetch, int64_t),
		.fallback = "0",
		.min = 0,
		.max = 65535,
		.doc = "Messages that a processor may hold unsettled; 0 is twice the batch.",
	},
	{
		.name = "cache",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_workflow_config, cache_bytes, int64_t),
		.fallback = "64MiB",
		.min = 0,
		.max = INT64_C(1) << 36,
		.doc = "Memory for instances between their events, over all processors.",
	},
	{
		.name = "ready_file",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_workflow_config, ready_file, const char *),
		.doc = "A file that is there while the orchestrator is ready, for probes.",
	},
	{0},
};

static const struct swm_option listen_options[] = {
	{
		.name = "adapter",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_listen, adapter, const char *),
		.fallback = "main",
		.doc = "The queue adapter, a name in 'queues'.",
	},
	{
		.name = "queue",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_listen, queue, const char *),
		.fallback = "workflow_queue",
		.doc = "The queue or topic where events come in.",
	},
	{
		.name = "processors",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_listen, processors, int64_t),
		.fallback = "1",
		.min = 1,
		.max = SWM_PROCESSORS_MAX,
		.doc = "Threads that take from it, each with a consumer, a publisher and a "
		       "store "
		       "session of its own.",
	},
	{0},
};

static const struct swm_option adapter_options[] = {
	{
		.name = "plugin",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_adapter_values, plugin, const char *),
		.fallback = "sqlite",
		.doc = "Which plugin: 'sqlite' is queue-sqlite.so or store-sqlite.so in the "
		       "first "
		       "directory that has it.",
	},
	{
		.name = "plugin_file",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_adapter_values, plugin_file, const char *),
		.doc = "The absolute path of the plugin's file, in place of a look-up.",
	},
	{0},
};

static const struct swm_option log_options[] = {
	{
		.name = "level",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_log_config, level, int32_t),
		.fallback = "info",
		.choices = level_choices,
		.doc = "What is less urgent is not written; --log-level goes before it.",
	},
	{
		.name = "format",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_log_config, format, int32_t),
		.fallback = "text",
		.choices = format_choices,
		.doc = "Lines for people, or one JSON object per line.",
	},
	{0},
};

static const struct swm_option limits_options[] = {
	{
		.name = "message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_limits_config, message_bytes, int64_t),
		.fallback = "256KiB",
		.min = 1024,
		.max = INT64_C(16) << 20,
		.doc = "A larger event is parked unread.",
	},
	{
		.name = "data",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_limits_config, data_bytes, int64_t),
		.fallback = "32KiB",
		.min = 0,
		.max = INT64_C(1) << 20,
		.doc = "The 'data' object of an instance, which every StartTask carries.",
	},
	{
		.name = "template",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_limits_config, template_bytes, int64_t),
		.fallback = "1MiB",
		.min = 1024,
		.max = INT64_C(16) << 20,
		.doc = "A larger template is refused.",
	},
	{0},
};

#define TABLE(options, values) \
	{ \
		options, sizeof(struct swm_option), sizeof(values) \
	}

static const struct swm_config_section sections[] = {
	[SWM_SECTION_ROOT] = {"", "At the top of the file",
		TABLE(root_options, struct swm_root_values)},
	[SWM_SECTION_WORKFLOW] = {"workflow", "How `swm run` works",
		TABLE(workflow_options, struct swm_workflow_config)},
	[SWM_SECTION_LISTEN] = {"workflow.listen[]",
		"Where events come in: a list; the first entry also gets our own messages",
		TABLE(listen_options, struct swm_listen)},
	[SWM_SECTION_ADAPTER] = {"store, queues.NAME",
		"Every adapter; the plugin's own options stand beside these",
		TABLE(adapter_options, struct swm_adapter_values)},
	[SWM_SECTION_LOG] = {"log", "Lines on stderr",
		TABLE(log_options, struct swm_log_config)},
	[SWM_SECTION_LIMITS] = {"limits", "What is accepted from outside",
		TABLE(limits_options, struct swm_limits_config)},
	{NULL, NULL, {NULL, 0, 0}},
};

const struct swm_config_section *swm_config_sections(void)
{
	return sections;
}

const void *swm_config_section_values(
	const struct swm_config *config, const struct swm_config_section *section)
{
	if (section == &sections[SWM_SECTION_WORKFLOW]) {
		return &config->workflow;
	}
	if (section == &sections[SWM_SECTION_LOG]) {
		return &config->log;
	}
	if (section == &sections[SWM_SECTION_LIMITS]) {
		return &config->limits;
	}
	return NULL;
}
