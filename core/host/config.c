/* SPDX-License-Identifier: MIT */

/*
 * See config.h. Each section is filled through its table (config_tables.c); here is
 * what tables cannot say: lists of objects, names that refer to one another, where
 * the file is.
 */

#include "config_tables.h"

#include "error.h"
#include "json_read.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "conf/swm.json"

/* Filled sections that a configuration keeps: our own, each listen, each adapter. */
#define FILLED_MAX (SWM_SECTION_COUNT + SWM_LISTEN_MAX + SWM_QUEUES_MAX + 1)

/* What the configuration points to. */
struct swm_config_memory {
	json_t *root; /* for the sections of adapters */
	char *file;
	struct swm_options *filled[FILLED_MAX];
	size_t filled_count;
	char pointers[SWM_QUEUES_MAX][SWM_POINTER_MAX];
};

/* What the steps of one read share. */
struct reading {
	struct swm_config *config;
	struct swm_problems *problems;
};

/* A filled struct that lives as long as the configuration. */
static swm_status fill(struct reading *reading, enum swm_section section, json_t *value,
	const char *pointer, const char *const *also, const void **out)
{
	struct swm_config_memory *memory = reading->config->memory;
	struct swm_options *options = NULL;
	swm_status status = swm_options_fill(&swm_config_sections()[section].table, value,
		pointer, also, reading->problems, &options);
	if (status != SWM_OK) {
		return status;
	}
	assert(memory->filled_count < FILLED_MAX);
	memory->filled[memory->filled_count++] = options;
	*out = swm_options_config(options);
	return SWM_OK;
}

static swm_status read_root(struct reading *reading, json_t *root)
{
	static const char *const sections[] = {
		"workflow", "store", "queues", "log", "limits", NULL};
	const void *filled = NULL;
	swm_status status = fill(reading, SWM_SECTION_ROOT, root, "", sections, &filled);
	if (status != SWM_OK) {
		return status;
	}
	const struct swm_root_values *values = filled;
	reading->config->plugin_dir = values->plugin_dir;
	reading->config->routes = values->routes;
	if (values->plugin_dir != NULL && values->plugin_dir[0] != '/') {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, "/plugin_dir",
			"has to be an absolute path, not \"%s\"", values->plugin_dir);
		return SWM_E_CONFIG;
	}
	return SWM_OK;
}

static swm_status read_listen_entry(struct reading *reading, json_t *entry, size_t index)
{
	char pointer[SWM_POINTER_MAX];
	swm_pointer_index(pointer, "/workflow/listen", index);
	const void *filled = NULL;
	swm_status status = fill(reading, SWM_SECTION_LISTEN, entry, pointer, NULL, &filled);
	if (status == SWM_OK) {
		reading->config->listen[index] = *(const struct swm_listen *)filled;
	}
	return status;
}

static swm_status read_listen(struct reading *reading, json_t *list)
{
	struct swm_config *config = reading->config;
	if (list == NULL || json_is_null(list)) {
		config->listen_count = 1;
		return read_listen_entry(reading, NULL, 0);
	}
	if (!json_is_array(list) || json_array_size(list) == 0 ||
		json_array_size(list) > SWM_LISTEN_MAX) {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, "/workflow/listen",
			"has to be a list of 1 to %d objects", SWM_LISTEN_MAX);
		return SWM_E_CONFIG;
	}
	swm_status worst = SWM_OK;
	config->listen_count = json_array_size(list);
	for (size_t i = 0; i < config->listen_count; i++) {
		swm_status status = read_listen_entry(reading, json_array_get(list, i), i);
		if (status == SWM_E_NOMEM) {
			return status;
		}
		worst = status != SWM_OK ? status : worst;
	}
	return worst;
}

static swm_status read_workflow(struct reading *reading, json_t *section)
{
	static const char *const also[] = {"listen", NULL};
	struct swm_workflow_config *workflow = &reading->config->workflow;
	const void *filled = NULL;
	swm_status status =
		fill(reading, SWM_SECTION_WORKFLOW, section, "/workflow", also, &filled);
	if (status == SWM_OK) {
		*workflow = *(const struct swm_workflow_config *)filled;
		if (workflow->prefetch == 0) {
			workflow->prefetch = 2 * workflow->batch;
		}
	}
	if (status == SWM_E_NOMEM) {
		return status;
	}
	swm_status listening = read_listen(reading, json_object_get(section, "listen"));
	return listening != SWM_OK ? listening : status;
}

/* The keys of a plugin's own options are passed over here: a copy of the section with
 * only our keys goes through our table. */
static swm_status read_adapter(struct reading *reading, json_t *section, const char *name,
	const char *pointer, struct swm_adapter_config *out)
{
	out->name = name; /* also when the rest is wrong: others refer to it */
	if (json_is_null(section)) {
		section = NULL;
	}
	if (section != NULL && !json_is_object(section)) {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, pointer,
			"has to be an object: a plugin and its options");
		return SWM_E_CONFIG;
	}
	json_t *ours = json_object();
	if (ours == NULL) {
		return SWM_E_NOMEM;
	}
	for (size_t i = 0; swm_adapter_keys[i] != NULL; i++) {
		json_t *value = json_object_get(section, swm_adapter_keys[i]);
		if (value != NULL && json_object_set(ours, swm_adapter_keys[i], value) != 0) {
			json_decref(ours);
			return SWM_E_NOMEM;
		}
	}
	const void *filled = NULL;
	swm_status status = fill(reading, SWM_SECTION_ADAPTER, ours, pointer, NULL, &filled);
	json_decref(ours);
	if (status != SWM_OK) {
		return status;
	}
	const struct swm_adapter_values *values = filled;
	*out = (struct swm_adapter_config){
		.name = name,
		.pointer = pointer,
		.plugin = values->plugin,
		.plugin_file = values->plugin_file,
		.section = section,
	};
	return SWM_OK;
}

static swm_status read_queues(struct reading *reading, json_t *section)
{
	struct swm_config *config = reading->config;
	if (section == NULL || json_is_null(section)) {
		config->queue_count = 1;
		return read_adapter(reading, NULL, "main", "/queues/main", &config->queues[0]);
	}
	if (!json_is_object(section)) {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, "/queues",
			"has to be an object: names and their adapters");
		return SWM_E_CONFIG;
	}
	swm_status worst = SWM_OK;
	const char *name = NULL;
	json_t *entry = NULL;
	json_object_foreach(section, name, entry)
	{
		if (strncmp(name, "//", 2) == 0) {
			continue;
		}
		if (config->queue_count == SWM_QUEUES_MAX) {
			swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, "/queues",
				"more than %d adapters", SWM_QUEUES_MAX);
			return SWM_E_CONFIG;
		}
		size_t index = config->queue_count++;
		char *pointer = config->memory->pointers[index];
		swm_pointer_key(pointer, "/queues", name);
		swm_status status =
			read_adapter(reading, entry, name, pointer, &config->queues[index]);
		if (status == SWM_E_NOMEM) {
			return status;
		}
		worst = status != SWM_OK ? status : worst;
	}
	if (config->queue_count == 0) {
		swm_problems_add(
			reading->problems, SWM_SEVERITY_ERROR, "/queues", "defines no adapter");
		return SWM_E_CONFIG;
	}
	return worst;
}

static void check_adapter_name(struct reading *reading, const char *name, const char *pointer)
{
	const struct swm_config *config = reading->config;
	bool known = name == NULL || swm_config_queue(config, name) != NULL;
	if (known || config->queue_count == 0) {
		return; /* without any, `queues` itself has its error */
	}
	struct swm_str names[SWM_QUEUES_MAX];
	for (size_t i = 0; i < config->queue_count; i++) {
		names[i] = swm_str_from(config->queues[i].name);
	}
	struct swm_str near = swm_str_nearest(swm_str_from(name), names, config->queue_count);
	if (near.ptr != NULL) {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, pointer,
			"there is no queue adapter '%s'; did you mean '%.*s'?", name,
			(int)near.len, near.ptr);
	} else {
		swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, pointer,
			"there is no queue adapter '%s'; 'queues' has to define it", name);
	}
}

/* Names that refer to adapters, and patterns. */
static swm_status check_references(struct reading *reading)
{
	const struct swm_config *config = reading->config;
	size_t errors_before = reading->problems->error_count;
	char pointer[SWM_POINTER_MAX];
	for (size_t i = 0; i < config->listen_count; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/workflow/listen/%zu/adapter", i);
		check_adapter_name(reading, config->listen[i].adapter, pointer);
	}
	for (size_t i = 0; i < config->routes.count; i++) {
		const struct swm_pair *route = &config->routes.items[i];
		const char *star = strchr(route->name, '*');
		swm_pointer_key(pointer, "/routes", route->name);
		if (star != NULL && star[1] != '\0') {
			swm_problems_add(reading->problems, SWM_SEVERITY_ERROR, pointer,
				"a pattern is an exact name or a prefix with one * at its end");
		}
		check_adapter_name(reading, route->value, pointer);
	}
	return reading->problems->error_count == errors_before ? SWM_OK : SWM_E_CONFIG;
}

/* All sections, also after one of them is wrong; only memory ends it early. */
static swm_status read_sections(struct reading *reading, json_t *root)
{
	struct swm_config *config = reading->config;
	const void *filled = NULL;
	swm_status status[6];
	status[0] = read_root(reading, root);
	status[1] = read_workflow(reading, json_object_get(root, "workflow"));
	status[2] = read_adapter(
		reading, json_object_get(root, "store"), "store", "/store", &config->store);
	status[3] = read_queues(reading, json_object_get(root, "queues"));
	status[4] = fill(
		reading, SWM_SECTION_LOG, json_object_get(root, "log"), "/log", NULL, &filled);
	if (status[4] == SWM_OK) {
		config->log = *(const struct swm_log_config *)filled;
	}
	status[5] = fill(reading, SWM_SECTION_LIMITS, json_object_get(root, "limits"),
		"/limits", NULL, &filled);
	if (status[5] == SWM_OK) {
		config->limits = *(const struct swm_limits_config *)filled;
	}
	swm_status worst = SWM_OK;
	for (size_t i = 0; i < sizeof(status) / sizeof(status[0]); i++) {
		if (status[i] == SWM_E_NOMEM) {
			return SWM_E_NOMEM;
		}
		worst = status[i] != SWM_OK ? status[i] : worst;
	}
	swm_status references = check_references(reading);
	return worst != SWM_OK ? worst : references;
}

static struct swm_config *create(const char *file)
{
	struct swm_config *config = calloc(1, sizeof(*config));
	if (config == NULL) {
		return NULL;
	}
	config->memory = calloc(1, sizeof(*config->memory));
	if (config->memory == NULL) {
		free(config);
		return NULL;
	}
	if (file != NULL) {
		config->memory->file = strdup(file);
		if (config->memory->file == NULL) {
			swm_config_destroy(config);
			return NULL;
		}
		config->file = config->memory->file;
	}
	return config;
}

swm_status swm_config_parse(struct swm_str text, const char *file,
	struct swm_problems *problems, struct swm_config **out)
{
	struct swm_config *config = create(file);
	if (config == NULL) {
		return SWM_E_NOMEM;
	}
	struct swm_error err = {0};
	swm_status status =
		swm_json_read(text, SWM_CONFIG_MAX_BYTES, &config->memory->root, &err);
	if (status == SWM_OK && !json_is_object(config->memory->root)) {
		status = swm_error_set(&err, SWM_E_CONFIG, "has to be an object");
	}
	if (status != SWM_OK) {
		if (status != SWM_E_NOMEM) {
			swm_problems_add(problems, SWM_SEVERITY_ERROR, "", "%s", err.message);
		}
		swm_config_destroy(config);
		return status == SWM_E_NOMEM ? status : SWM_E_CONFIG;
	}
	struct reading reading = {config, problems};
	status = read_sections(&reading, config->memory->root);
	swm_problems_locate(problems, text);
	if (status != SWM_OK) {
		swm_config_destroy(config);
		return status;
	}
	*out = config;
	return SWM_OK;
}

/* The whole file, terminated; the caller frees it. */
static swm_status read_file(
	const char *file, struct swm_problems *problems, char **out, size_t *len)
{
	FILE *stream = fopen(file, "re");
	if (stream == NULL) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, "", "cannot open it: %s",
			strerror(errno));
		return SWM_E_CONFIG;
	}
	swm_status status = SWM_E_NOMEM;
	char *text = malloc(SWM_CONFIG_MAX_BYTES + 1);
	if (text != NULL) {
		*len = fread(text, 1, SWM_CONFIG_MAX_BYTES + 1, stream);
		status = SWM_OK;
		if (ferror(stream) != 0) {
			swm_problems_add(problems, SWM_SEVERITY_ERROR, "", "cannot read it: %s",
				strerror(errno));
			status = SWM_E_CONFIG;
		}
	}
	(void)fclose(stream);
	if (status != SWM_OK) {
		free(text);
		return status;
	}
	*out = text;
	return SWM_OK;
}

swm_status swm_config_load(const char *path, struct swm_problems *problems, const char **file,
	struct swm_config **out)
{
	const char *chosen = path != NULL ? path : getenv("SWM_CONFIG");
	bool asked_for = chosen != NULL && chosen[0] != '\0';
	if (!asked_for) {
		FILE *there = fopen(DEFAULT_FILE, "re");
		bool absent = there == NULL && errno == ENOENT;
		if (there != NULL) {
			(void)fclose(there);
		}
		if (absent) {
			*file = NULL;
			return swm_config_parse(SWM_STR("{}"), NULL, problems, out);
		}
		chosen = DEFAULT_FILE;
	}
	*file = chosen;
	char *text = NULL;
	size_t len = 0;
	swm_status status = read_file(chosen, problems, &text, &len);
	if (status != SWM_OK) {
		return status;
	}
	status = swm_config_parse((struct swm_str){text, len}, chosen, problems, out);
	explicit_bzero(text, len);
	free(text);
	return status;
}

void swm_config_destroy(struct swm_config *config)
{
	if (config == NULL) {
		return;
	}
	for (size_t i = 0; i < config->memory->filled_count; i++) {
		swm_options_destroy(config->memory->filled[i]);
	}
	json_decref(config->memory->root);
	free(config->memory->file);
	free(config->memory);
	free(config);
}

const struct swm_adapter_config *swm_config_queue(
	const struct swm_config *config, const char *name)
{
	for (size_t i = 0; i < config->queue_count; i++) {
		if (strcmp(config->queues[i].name, name) == 0) {
			return &config->queues[i];
		}
	}
	return NULL;
}

const char *swm_config_route(const struct swm_config *config, struct swm_str destination)
{
	const char *best = config->listen[0].adapter;
	size_t best_len = 0;
	for (size_t i = 0; i < config->listen_count; i++) {
		if (swm_str_equal(swm_str_from(config->listen[i].queue), destination)) {
			return config->listen[i].adapter;
		}
	}
	for (size_t i = 0; i < config->routes.count; i++) {
		struct swm_str pattern = swm_str_from(config->routes.items[i].name);
		if (swm_str_equal(pattern, destination)) {
			return config->routes.items[i].value;
		}
		if (pattern.len == 0 || pattern.ptr[pattern.len - 1] != '*' ||
			pattern.len <= best_len) {
			continue;
		}
		struct swm_str prefix = {pattern.ptr, pattern.len - 1};
		struct swm_str head = {destination.ptr, prefix.len};
		if (prefix.len <= destination.len && swm_str_equal(prefix, head)) {
			best = config->routes.items[i].value;
			best_len = pattern.len;
		}
	}
	return best;
}
