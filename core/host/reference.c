/* SPDX-License-Identifier: MIT */

/* See reference.h. */

#include "reference.h"

#include "option_value.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512

struct capability {
	uint32_t bit;
	const char *name;
};

static const struct capability queue_capabilities[] = {
	{SWM_QUEUE_EXTEND, "extend"},
	{SWM_QUEUE_ATTEMPTS, "attempts"},
	{0, NULL},
};

static const struct capability store_capabilities[] = {
	{SWM_STORE_SHARED, "shared"},
	{0, NULL},
};

/* "extend, attempts", or "none". */
static void capabilities_text(const struct swm_module *module, char *out, size_t cap)
{
	bool is_queue = module->plugin.kind == SWM_PLUGIN_QUEUE;
	const struct capability *known = is_queue ? queue_capabilities : store_capabilities;
	uint32_t bits = is_queue ? module->queue.capabilities : module->store.capabilities;
	size_t used = (size_t)snprintf(out, cap, "%s", bits == 0 ? "none" : "");
	for (; known->name != NULL; known++) {
		if ((bits & known->bit) != 0 && used < cap) {
			used += (size_t)snprintf(out + used, cap - used, "%s%s",
				used == 0 ? "" : ", ", known->name);
		}
	}
}

/* "1 to 1024", "error, warn", or "". */
static void allowed_text(const struct swm_option *option, char *out, size_t cap)
{
	out[0] = '\0';
	if (option->type == SWM_OPTION_CHOICE) {
		size_t used = 0;
		for (size_t i = 0; option->choices[i] != NULL && used < cap; i++) {
			used += (size_t)snprintf(out + used, cap - used, "%s%s",
				i == 0 ? "" : ", ", option->choices[i]);
		}
	} else if (option->min != 0 || option->max != 0) {
		char min[32];
		char max[32];
		swm_option_show_number(option, option->min, min, sizeof(min));
		swm_option_show_number(option, option->max, max, sizeof(max));
		(void)snprintf(out, cap, "%s to %s", min, max);
	}
}

/* "required", "secret", "deprecated". */
static void notes_text(const struct swm_option *option, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s%s%s",
		(option->flags & SWM_OPTION_REQUIRED) != 0 ? " Required." : "",
		(option->flags & SWM_OPTION_SECRET) != 0 ? " Secret." : "",
		(option->flags & SWM_OPTION_DEPRECATED) != 0 ? " Deprecated." : "");
}

/* A cell of a markdown table: a bar would end it. */
static void put_cell(const char *text, bool code, FILE *to)
{
	if (text == NULL || text[0] == '\0') {
		(void)fputs(" |", to);
		return;
	}
	(void)fputs(code ? " `" : " ", to);
	for (; *text != '\0'; text++) {
		if (*text == '|') {
			(void)fputc('\\', to);
		}
		(void)fputc(*text == '\n' ? ' ' : *text, to);
	}
	(void)fputs(code ? "` |" : " |", to);
}

static void put_options(const struct swm_option_table *table, FILE *to)
{
	struct swm_option option;
	if (!swm_option_get(table, 0, &option)) {
		(void)fputs("It has no options.\n\n", to);
		return;
	}
	(void)fputs("| option | type | default | allowed | meaning |\n"
		    "| --- | --- | --- | --- | --- |\n",
		to);
	for (size_t i = 0; swm_option_get(table, i, &option); i++) {
		char allowed[TEXT_MAX];
		char meaning[2 * TEXT_MAX];
		char notes[64];
		allowed_text(&option, allowed, sizeof(allowed));
		notes_text(&option, notes, sizeof(notes));
		(void)snprintf(meaning, sizeof(meaning), "%s%s",
			option.doc != NULL ? option.doc : "", notes);
		(void)fputc('|', to);
		put_cell(option.name, true, to);
		put_cell(swm_option_type_name(option.type), false, to);
		put_cell(option.fallback, true, to);
		put_cell(allowed, false, to);
		put_cell(meaning, false, to);
		(void)fputc('\n', to);
	}
	(void)fputc('\n', to);
}

void swm_reference_section(const struct swm_config_section *section, FILE *to)
{
	if (section->name[0] == '\0') {
		(void)fprintf(to, "## %s\n\n", section->doc);
	} else {
		(void)fprintf(to, "## `%s`\n\n%s.\n\n", section->name, section->doc);
	}
	put_options(&section->table, to);
}

void swm_reference_plugin(const struct swm_module *module, FILE *to)
{
	const struct swm_plugin *plugin = &module->plugin;
	char capabilities[TEXT_MAX];
	capabilities_text(module, capabilities, sizeof(capabilities));
	(void)fprintf(to, "## %s plugin `%s`\n\n%s.\nCapabilities: %s.\n\n",
		plugin->kind == SWM_PLUGIN_QUEUE ? "Queue" : "Store", plugin->name,
		plugin->description, capabilities);
	put_options(&module->options, to);
}

static const struct swm_column option_columns[] = {
	{"OPTION", "name", false},
	{"TYPE", "type", false},
	{"DEFAULT", "default", false},
	{"ALLOWED", "allowed", false},
	{"MEANING", "doc", false},
};

static void add_option(struct swm_rows *rows, const struct swm_option *option)
{
	char allowed[TEXT_MAX];
	char notes[64];
	allowed_text(option, allowed, sizeof(allowed));
	notes_text(option, notes, sizeof(notes));
	swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(option->name));
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", swm_option_type_name(option->type));
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(option->fallback));
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(allowed));
	swm_rows_addf(
		rows, SWM_STYLE_PLAIN, "%s%s", option->doc != NULL ? option->doc : "", notes);
}

swm_status swm_reference_plugin_table(
	const struct swm_module *module, const struct swm_out *out)
{
	const struct swm_plugin *plugin = &module->plugin;
	char capabilities[TEXT_MAX];
	capabilities_text(module, capabilities, sizeof(capabilities));
	(void)fprintf(out->file, "%s%s plugin %s%s %s, %s\n%s\n",
		swm_out_style(out, SWM_STYLE_BOLD), swm_plugin_kind_name(plugin->kind),
		plugin->name, swm_out_style(out, SWM_STYLE_PLAIN), plugin->version,
		plugin->license, plugin->description);
	(void)fprintf(out->file, "ABI %u.%u, capabilities: %s\nfile: %s\n\n",
		(unsigned)plugin->abi_major, (unsigned)plugin->abi_minor, capabilities,
		module->file);
	struct swm_rows *rows = NULL;
	swm_status status = swm_rows_create(
		option_columns, sizeof(option_columns) / sizeof(option_columns[0]), &rows);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_option option;
	for (size_t i = 0; swm_option_get(&module->options, i, &option); i++) {
		add_option(rows, &option);
	}
	status = swm_rows_print(rows, out);
	swm_rows_destroy(rows);
	return status;
}

static json_t *text_or_null(const char *text)
{
	return text != NULL ? json_string(text) : json_null();
}

static json_t *option_json(const struct swm_option *option)
{
	char allowed[TEXT_MAX];
	allowed_text(option, allowed, sizeof(allowed));
	return json_pack("{s:s, s:s, s:o, s:s, s:b, s:b, s:b, s:o}", "name", option->name,
		"type", swm_option_type_name(option->type), "default",
		text_or_null(option->fallback), "allowed", allowed, "required",
		(option->flags & SWM_OPTION_REQUIRED) != 0, "secret",
		(option->flags & SWM_OPTION_SECRET) != 0, "deprecated",
		(option->flags & SWM_OPTION_DEPRECATED) != 0, "doc", text_or_null(option->doc));
}

swm_status swm_reference_plugin_json(const struct swm_module *module, const struct swm_out *out)
{
	const struct swm_plugin *plugin = &module->plugin;
	char capabilities[TEXT_MAX];
	capabilities_text(module, capabilities, sizeof(capabilities));
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:[]}",
		"kind", swm_plugin_kind_name(plugin->kind), "name", plugin->name, "version",
		plugin->version, "license", plugin->license, "description", plugin->description,
		"abi_major", (int)plugin->abi_major, "abi_minor", (int)plugin->abi_minor,
		"capabilities", capabilities, "file", module->file, "options");
	if (object == NULL) {
		return SWM_E_NOMEM;
	}
	json_t *options = json_object_get(object, "options");
	struct swm_option option;
	swm_status status = SWM_OK;
	for (size_t i = 0; status == SWM_OK && swm_option_get(&module->options, i, &option);
		i++) {
		if (json_array_append_new(options, option_json(&option)) != 0) {
			status = SWM_E_NOMEM;
		}
	}
	if (status == SWM_OK) {
		status = swm_out_json(out, object);
	}
	json_decref(object);
	return status;
}
