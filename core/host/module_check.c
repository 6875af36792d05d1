/* SPDX-License-Identifier: MIT */

/* See module_check.h. */

#include "module_check.h"

#include "error.h"

#include <string.h>

/* A descriptor must reach to its operation table, an operation table to its
 * capabilities; what lies behind may be missing. */
#define DESCRIPTOR_MIN (offsetof(struct swm_plugin, ops) + sizeof(const void *))
#define OPS_MIN (2 * sizeof(uint32_t))

/* What the options of 1.0 have; every later minor has at least this. */
#define OPTION_SIZE_MIN (offsetof(struct swm_option, doc) + sizeof(const char *))

/* A MUST member of an operation table. */
struct member {
	const char *name;
	size_t offset;
};

#define QUEUE_MEMBER(member) \
	{ \
#member, offsetof(struct swm_queue_ops, member) \
	}
#define STORE_MEMBER(member) \
	{ \
#member, offsetof(struct swm_store_ops, member) \
	}

static const struct member queue_members[] = {
	QUEUE_MEMBER(open),
	QUEUE_MEMBER(close),
	QUEUE_MEMBER(prepare),
	QUEUE_MEMBER(consumer_open),
	QUEUE_MEMBER(consumer_receive),
	QUEUE_MEMBER(consumer_settle),
	QUEUE_MEMBER(consumer_wake),
	QUEUE_MEMBER(consumer_close),
	QUEUE_MEMBER(publisher_open),
	QUEUE_MEMBER(publisher_publish),
	QUEUE_MEMBER(publisher_close),
	{NULL, 0},
};

static const struct member store_members[] = {
	STORE_MEMBER(open),
	STORE_MEMBER(close),
	STORE_MEMBER(migrate),
	STORE_MEMBER(session_open),
	STORE_MEMBER(session_close),
	STORE_MEMBER(load),
	STORE_MEMBER(commit),
	STORE_MEMBER(outbox_put),
	STORE_MEMBER(outbox_claim),
	STORE_MEMBER(outbox_update),
	STORE_MEMBER(template_put),
	STORE_MEMBER(template_get),
	STORE_MEMBER(template_list),
	STORE_MEMBER(instance_list),
	STORE_MEMBER(event_list),
	STORE_MEMBER(outbox_list),
	{NULL, 0},
};

static swm_status check_version(
	const struct swm_plugin *descriptor, const char *file, struct swm_error *err)
{
	if (descriptor->magic != SWM_PLUGIN_MAGIC) {
		return swm_error_set(err, SWM_E_CONFIG,
			"is no plugin: its magic is %08x, not %08x: %s",
			(unsigned)descriptor->magic, (unsigned)SWM_PLUGIN_MAGIC, file);
	}
	if (descriptor->abi_major != SWM_ABI_MAJOR) {
		return swm_error_set(err, SWM_E_CONFIG,
			"was built for ABI %u, this swm has %d: get the plugin for this "
			"release: %s",
			(unsigned)descriptor->abi_major, SWM_ABI_MAJOR, file);
	}
	if (descriptor->abi_minor > SWM_ABI_MINOR) {
		return swm_error_set(err, SWM_E_CONFIG,
			"was built for ABI %u.%u, this swm has %d.%d: update swm: %s",
			(unsigned)descriptor->abi_major, (unsigned)descriptor->abi_minor,
			SWM_ABI_MAJOR, SWM_ABI_MINOR, file);
	}
	return SWM_OK;
}

static swm_status check_texts(
	const struct swm_plugin *plugin, const char *file, struct swm_error *err)
{
	if (plugin->name == NULL || plugin->version == NULL || plugin->license == NULL ||
		plugin->description == NULL) {
		return swm_error_set(err, SWM_E_CONFIG,
			"its descriptor lacks name, version, license or description: %s", file);
	}
	return SWM_OK;
}

swm_status swm_module_check_identity(const struct swm_plugin *plugin, uint32_t kind,
	const char *name, const char *file, struct swm_error *err)
{
	if (plugin->kind != SWM_PLUGIN_QUEUE && plugin->kind != SWM_PLUGIN_STORE) {
		return swm_error_set(err, SWM_E_CONFIG,
			"is of kind %u, which this swm does not know: %s",
			(unsigned)plugin->kind, file);
	}
	if (kind != 0 && plugin->kind != kind) {
		return swm_error_set(err, SWM_E_CONFIG, "is a %s plugin, not a %s: %s",
			swm_plugin_kind_name(plugin->kind), swm_plugin_kind_name(kind), file);
	}
	if (name != NULL && strcmp(plugin->name, name) != 0) {
		return swm_error_set(err, SWM_E_CONFIG,
			"calls itself '%.64s', not '%.64s': rename the file: %s", plugin->name,
			name, file);
	}
	return SWM_OK;
}

static swm_status check_options(const struct swm_plugin *plugin, const char *file,
	struct swm_option_table *out, struct swm_error *err)
{
	struct swm_option_table table = {
		plugin->options, plugin->option_size, plugin->config_size};
	if (table.options != NULL &&
		(table.stride < OPTION_SIZE_MIN || table.stride % sizeof(void *) != 0)) {
		return swm_error_set(err, SWM_E_CONFIG, "its option_size of %zu is wrong: %s",
			table.stride, file);
	}
	struct swm_problems problems = {0};
	swm_option_table_check(&table, &problems);
	swm_status status = SWM_OK;
	if (problems.error_count > 0) {
		status = swm_error_set(err, SWM_E_CONFIG, "its option table is broken: %s: %s",
			problems.count > 0 ? problems.items[0].message : "out of memory", file);
	}
	swm_problems_finish(&problems);
	if (status == SWM_OK) {
		*out = table;
	}
	return status;
}

/* Copies what there is, then asks for what there must be. */
static swm_status copy_ops(const struct swm_plugin *plugin, const char *file, void *out,
	size_t out_size, const struct member *members, struct swm_error *err)
{
	uint32_t size = 0;
	if (plugin->ops == NULL) {
		return swm_error_set(err, SWM_E_CONFIG, "has no operation table: %s", file);
	}
	memcpy(&size, plugin->ops, sizeof(size));
	if (size < OPS_MIN) {
		return swm_error_set(err, SWM_E_CONFIG,
			"its operation table of %u bytes is too small: %s", (unsigned)size,
			file);
	}
	memcpy(out, plugin->ops, size < out_size ? size : out_size);
	for (; members->name != NULL; members++) {
		static const char null_pointer[sizeof(void (*)(void))];
		const char *at = (const char *)out + members->offset;
		if (memcmp(at, null_pointer, sizeof(null_pointer)) == 0) {
			return swm_error_set(err, SWM_E_CONFIG,
				"lacks %s(), which every %s plugin must have: %s",
				members->name, swm_plugin_kind_name(plugin->kind), file);
		}
	}
	return SWM_OK;
}

swm_status swm_module_check(const struct swm_plugin *descriptor, uint32_t kind,
	const char *name, const char *file, struct swm_module *out, struct swm_error *err)
{
	if (descriptor == NULL) {
		return swm_error_set(err, SWM_E_CONFIG, "returned no descriptor: %s", file);
	}
	swm_status status = check_version(descriptor, file, err);
	if (status != SWM_OK) {
		return status;
	}
	if (descriptor->size < DESCRIPTOR_MIN) {
		return swm_error_set(err, SWM_E_CONFIG,
			"its descriptor of %u bytes is too small: %s",
			(unsigned)descriptor->size, file);
	}
	struct swm_module module = {.file = file};
	memcpy(&module.plugin, descriptor,
		descriptor->size < sizeof(module.plugin) ? descriptor->size
							 : sizeof(module.plugin));
	status = check_texts(&module.plugin, file, err);
	if (status == SWM_OK) {
		status = swm_module_check_identity(&module.plugin, kind, name, file, err);
	}
	if (status == SWM_OK) {
		status = check_options(&module.plugin, file, &module.options, err);
	}
	if (status == SWM_OK && module.plugin.kind == SWM_PLUGIN_QUEUE) {
		status = copy_ops(&module.plugin, file, &module.queue, sizeof(module.queue),
			queue_members, err);
	} else if (status == SWM_OK) {
		status = copy_ops(&module.plugin, file, &module.store, sizeof(module.store),
			store_members, err);
	}
	if (status == SWM_OK) {
		*out = module;
	}
	return status;
}
