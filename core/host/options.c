/* SPDX-License-Identifier: MIT */

/*
 * See options.h. A fill walks the section first, so that every key is looked at,
 * and the table second, for what is missing; it goes on after a mistake, since the
 * list of all of them is the product.
 */

#include "options.h"

#include "json_read.h"
#include "option_value.h"
#include "resolve.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Fallbacks of lists and maps are JSON; nobody writes a long one. */
#define FALLBACK_MAX_BYTES 4096

/* A string of the configuration, remembered so that it can be wiped. */
struct span {
	struct span *next;
	char *ptr;
	size_t len;
};

struct swm_options {
	struct swm_arena arena;
	struct span *spans;
	void *config;
	size_t config_size;
};

/* What the steps of one fill share. */
struct fill {
	const struct swm_option_table *table;
	struct swm_options *result;
	struct swm_problems *problems;
	bool nomem;
};

static const char *const type_names[] = {
	[0] = "?",
	[SWM_OPTION_STRING] = "string",
	[SWM_OPTION_BOOL] = "bool",
	[SWM_OPTION_INT] = "integer",
	[SWM_OPTION_SIZE] = "size",
	[SWM_OPTION_DURATION] = "duration",
	[SWM_OPTION_CHOICE] = "choice",
	[SWM_OPTION_LIST] = "list",
	[SWM_OPTION_MAP] = "map",
};

const char *swm_option_type_name(uint32_t type)
{
	return type_names[type <= SWM_OPTION_MAP ? type : 0];
}

bool swm_option_get(const struct swm_option_table *table, size_t index, struct swm_option *out)
{
	if (table->options == NULL || index >= SWM_OPTIONS_MAX) {
		return false;
	}
	const char *entry = (const char *)table->options + index * table->stride;
	struct swm_option option = {0};
	memcpy(&option, entry, table->stride < sizeof(option) ? table->stride : sizeof(option));
	if (option.name == NULL) {
		return false;
	}
	*out = option;
	return true;
}

static void append_key(char out[SWM_POINTER_MAX], const char *base, const char *key, size_t len)
{
	size_t used = (size_t)snprintf(out, SWM_POINTER_MAX, "%s/", base);
	for (size_t i = 0; i < len && used + 2 < SWM_POINTER_MAX; i++) {
		if (key[i] == '~' || key[i] == '/') {
			out[used++] = '~';
			out[used++] = key[i] == '~' ? '0' : '1';
		} else {
			out[used++] = key[i];
		}
	}
	if (used < SWM_POINTER_MAX) {
		out[used] = '\0';
	}
}

void swm_pointer_key(char out[SWM_POINTER_MAX], const char *base, const char *key)
{
	append_key(out, base, key, strlen(key));
}

void swm_pointer_index(char out[SWM_POINTER_MAX], const char *base, size_t index)
{
	(void)snprintf(out, SWM_POINTER_MAX, "%s/%zu", base, index);
}

static void *take(struct fill *fill, size_t size)
{
	void *memory = swm_arena_take(&fill->result->arena, size);
	if (memory == NULL) {
		fill->nomem = true;
	}
	return memory;
}

/* Remembers a resolved string, so that destroy can wipe it. */
static bool remember(struct fill *fill, char *text)
{
	struct span *span = take(fill, sizeof(*span));
	if (span == NULL) {
		return false;
	}
	span->ptr = text;
	span->len = strlen(text);
	span->next = fill->result->spans;
	fill->result->spans = span;
	return true;
}

/* The string that a value of the file stands for. False: a problem is noted. */
static bool resolve(
	struct fill *fill, const json_t *value, const char *pointer, const char **out)
{
	const char *file = swm_resolve_is_file(value);
	struct swm_arena *arena = &fill->result->arena;
	char *text = NULL;
	swm_status status =
		file != NULL ? swm_resolve_file(file, pointer, arena, fill->problems, &text)
			     : swm_resolve_text(json_string_value(value), pointer, arena,
				       fill->problems, &text);
	if (status == SWM_E_NOMEM) {
		fill->nomem = true;
	}
	if (status != SWM_OK || !remember(fill, text)) {
		return false;
	}
	*out = text;
	return true;
}

/* Lists and maps are strings inside; numbers and booleans are taken as they stand,
 * since clients want text ("linger.ms": 5). */
static bool resolve_part(
	struct fill *fill, const json_t *value, const char *pointer, const char **out)
{
	char text[64];
	if (json_is_string(value) || swm_resolve_is_file(value) != NULL) {
		return resolve(fill, value, pointer, out);
	}
	if (json_is_integer(value)) {
		(void)snprintf(
			text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_boolean(value)) {
		(void)snprintf(
			text, sizeof(text), "%s", json_is_true(value) ? "true" : "false");
	} else {
		swm_problems_add(
			fill->problems, SWM_SEVERITY_ERROR, pointer, "has to be a string");
		return false;
	}
	struct swm_str copy = {0};
	if (!swm_arena_copy(&fill->result->arena, swm_str_from(text), &copy)) {
		fill->nomem = true;
		return false;
	}
	*out = copy.ptr;
	return true;
}

static void set_list(struct fill *fill, const struct swm_option *option, const json_t *value,
	const char *pointer)
{
	size_t count = json_array_size(value);
	const char **items = take(fill, (count + 1) * sizeof(*items));
	if (items == NULL) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		char at[SWM_POINTER_MAX];
		swm_pointer_index(at, pointer, i);
		items[i] = "";
		(void)resolve_part(fill, json_array_get(value, i), at, &items[i]);
	}
	struct swm_list list = {items, count};
	memcpy((char *)fill->result->config + option->offset, &list, sizeof(list));
}

static void set_map(
	struct fill *fill, const struct swm_option *option, json_t *value, const char *pointer)
{
	struct swm_pair *items = take(fill, (json_object_size(value) + 1) * sizeof(*items));
	if (items == NULL) {
		return;
	}
	size_t count = 0;
	const char *key = NULL;
	json_t *member = NULL;
	json_object_foreach(value, key, member)
	{
		if (strncmp(key, "//", 2) == 0) {
			continue;
		}
		char at[SWM_POINTER_MAX];
		swm_pointer_key(at, pointer, key);
		struct swm_str name = {0};
		if (!swm_arena_copy(&fill->result->arena, swm_str_from(key), &name)) {
			fill->nomem = true;
			return;
		}
		items[count].name = name.ptr;
		items[count].value = "";
		(void)resolve_part(fill, member, at, &items[count].value);
		count++;
	}
	struct swm_map map = {items, count};
	memcpy((char *)fill->result->config + option->offset, &map, sizeof(map));
}

static void wrong_type(struct fill *fill, const struct swm_option *option, const char *pointer)
{
	char wants[512];
	swm_option_wants(option, wants, sizeof(wants));
	swm_problems_add(fill->problems, SWM_SEVERITY_ERROR, pointer, "has to be %s", wants);
}

static void set_value(
	struct fill *fill, const struct swm_option *option, json_t *value, const char *pointer)
{
	void *config = fill->result->config;
	if (option->type == SWM_OPTION_LIST || option->type == SWM_OPTION_MAP) {
		bool is_list = option->type == SWM_OPTION_LIST;
		if (is_list && json_is_array(value)) {
			set_list(fill, option, value, pointer);
		} else if (!is_list && json_is_object(value) &&
			   swm_resolve_is_file(value) == NULL) {
			set_map(fill, option, value, pointer);
		} else {
			wrong_type(fill, option, pointer);
		}
	} else if (json_is_string(value) || swm_resolve_is_file(value) != NULL) {
		const char *text = NULL;
		if (resolve(fill, value, pointer, &text)) {
			(void)swm_option_set_text(
				option, text, pointer, config, fill->problems);
		}
	} else if (json_is_integer(value)) {
		(void)swm_option_set_number(
			option, json_integer_value(value), pointer, config, fill->problems);
	} else if (json_is_boolean(value) && option->type == SWM_OPTION_BOOL) {
		swm_option_set_bool(option, json_is_true(value), config);
	} else {
		wrong_type(fill, option, pointer);
	}
}

/* The fallback stands for what the file might say: a list or a map as JSON, all
 * else as text. */
static void set_fallback(
	struct fill *fill, const struct swm_option *option, const char *pointer)
{
	json_t *value = NULL;
	if (option->type == SWM_OPTION_LIST || option->type == SWM_OPTION_MAP) {
		struct swm_error err = {0};
		if (swm_json_read(swm_str_from(option->fallback), FALLBACK_MAX_BYTES, &value,
			    &err) != SWM_OK) {
			swm_problems_add(fill->problems, SWM_SEVERITY_ERROR, pointer,
				"the fallback of '%s' is not JSON: %s", option->name,
				err.message);
			return;
		}
	} else {
		value = json_string(option->fallback);
	}
	if (value == NULL) {
		fill->nomem = true;
		return;
	}
	set_value(fill, option, value, pointer);
	json_decref(value);
}

static bool find(const struct swm_option_table *table, const char *name, struct swm_option *out)
{
	for (size_t i = 0; swm_option_get(table, i, out); i++) {
		if (strcmp(out->name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_one_of(const char *const *names, const char *name)
{
	for (; names != NULL && *names != NULL; names++) {
		if (strcmp(*names, name) == 0) {
			return true;
		}
	}
	return false;
}

static void unknown_key(
	struct fill *fill, const char *key, const char *pointer, const char *const *also)
{
	struct swm_str names[SWM_OPTIONS_MAX + 16];
	size_t count = 0;
	struct swm_option option;
	for (size_t i = 0; swm_option_get(fill->table, i, &option); i++) {
		names[count++] = swm_str_from(option.name);
	}
	for (size_t i = 0; also != NULL && also[i] != NULL && i < 16; i++) {
		names[count++] = swm_str_from(also[i]);
	}
	struct swm_str near = swm_str_nearest(swm_str_from(key), names, count);
	if (near.ptr != NULL) {
		swm_problems_add(fill->problems, SWM_SEVERITY_ERROR, pointer,
			"there is no such option; did you mean '%.*s'?", (int)near.len,
			near.ptr);
		return;
	}
	char known[512] = "";
	size_t used = 0;
	for (size_t i = 0; i < count && used < sizeof(known); i++) {
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%.*s",
			i == 0 ? "" : ", ", (int)names[i].len, names[i].ptr);
	}
	swm_problems_add(fill->problems, SWM_SEVERITY_ERROR, pointer,
		"there is no such option; known are: %s", count == 0 ? "none" : known);
}

/* All that the section says. */
static void fill_given(
	struct fill *fill, json_t *section, const char *pointer, const char *const *also)
{
	const char *key = NULL;
	json_t *value = NULL;
	json_object_foreach(section, key, value)
	{
		struct swm_option option;
		char at[SWM_POINTER_MAX];
		swm_pointer_key(at, pointer, key);
		if (strncmp(key, "//", 2) == 0 || is_one_of(also, key)) {
			continue;
		}
		if (!find(fill->table, key, &option)) {
			unknown_key(fill, key, at, also);
			continue;
		}
		if (json_is_null(value)) {
			continue;
		}
		if ((option.flags & SWM_OPTION_DEPRECATED) != 0) {
			swm_problems_add(fill->problems, SWM_SEVERITY_WARNING, at,
				"is deprecated: %s", option.doc != NULL ? option.doc : "");
		}
		set_value(fill, &option, value, at);
	}
}

/* All that it leaves out; null means the same. */
static void fill_missing(struct fill *fill, const json_t *section, const char *pointer)
{
	struct swm_option option;
	for (size_t i = 0; swm_option_get(fill->table, i, &option); i++) {
		const json_t *given = json_object_get(section, option.name);
		if (given != NULL && !json_is_null(given)) {
			continue;
		}
		if ((option.flags & SWM_OPTION_REQUIRED) != 0) {
			swm_problems_add(fill->problems, SWM_SEVERITY_ERROR, pointer,
				"'%s' is required: %s", option.name,
				option.doc != NULL ? option.doc : "");
		} else if (option.fallback != NULL) {
			char at[SWM_POINTER_MAX];
			swm_pointer_key(at, pointer, option.name);
			set_fallback(fill, &option, at);
		}
	}
}

swm_status swm_options_fill(const struct swm_option_table *table, json_t *section,
	const char *pointer, const char *const *also, struct swm_problems *problems,
	struct swm_options **out)
{
	if (json_is_null(section)) {
		section = NULL;
	}
	if (section != NULL && !json_is_object(section)) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "has to be an object");
		return SWM_E_CONFIG;
	}
	struct swm_options *options = calloc(1, sizeof(*options));
	if (options == NULL) {
		return SWM_E_NOMEM;
	}
	swm_arena_init(&options->arena);
	options->config_size = table->config_size;
	options->config = calloc(1, table->config_size + 1);
	if (options->config == NULL) {
		swm_options_destroy(options);
		return SWM_E_NOMEM;
	}
	size_t errors_before = problems->error_count;
	struct fill fill = {.table = table, .result = options, .problems = problems};
	fill_given(&fill, section, pointer, also);
	fill_missing(&fill, section, pointer);
	if (fill.nomem || problems->error_count != errors_before) {
		swm_options_destroy(options);
		return fill.nomem ? SWM_E_NOMEM : SWM_E_CONFIG;
	}
	*out = options;
	return SWM_OK;
}

const void *swm_options_config(const struct swm_options *options)
{
	return options->config;
}

void swm_options_destroy(struct swm_options *options)
{
	if (options == NULL) {
		return;
	}
	for (struct span *span = options->spans; span != NULL; span = span->next) {
		explicit_bzero(span->ptr, span->len);
	}
	swm_arena_finish(&options->arena);
	if (options->config != NULL) {
		explicit_bzero(options->config, options->config_size);
	}
	free(options->config);
	free(options);
}

/* The size and alignment of each type's C value. */
static size_t value_size(uint32_t type)
{
	switch (type) {
	case SWM_OPTION_STRING:
		return sizeof(const char *);
	case SWM_OPTION_BOOL:
		return sizeof(bool);
	case SWM_OPTION_CHOICE:
		return sizeof(int32_t);
	case SWM_OPTION_LIST:
	case SWM_OPTION_MAP:
		return sizeof(struct swm_list);
	default:
		return sizeof(int64_t);
	}
}

static size_t value_alignment(uint32_t type)
{
	size_t size = value_size(type);
	return size > sizeof(void *) ? sizeof(void *) : size;
}

/* Problems of a single entry, the fallback aside. */
static const char *entry_defect(
	const struct swm_option_table *table, const struct swm_option *option)
{
	if (option->type < SWM_OPTION_STRING || option->type > SWM_OPTION_MAP) {
		return "its type is not known";
	}
	if (option->offset > table->config_size ||
		value_size(option->type) > table->config_size - option->offset) {
		return "its offset lies outside of config_size";
	}
	if (option->offset % value_alignment(option->type) != 0) {
		return "its offset is not aligned for its type";
	}
	if (option->type == SWM_OPTION_CHOICE &&
		(option->choices == NULL || option->choices[0] == NULL)) {
		return "a choice needs choices";
	}
	if (option->min > option->max) {
		return "min is above max";
	}
	return NULL;
}

void swm_option_table_check(const struct swm_option_table *table, struct swm_problems *problems)
{
	struct swm_option option;
	size_t count = 0;
	for (; swm_option_get(table, count, &option); count++) {
		const char *defect = entry_defect(table, &option);
		struct swm_option first;
		if (defect == NULL && find(table, option.name, &first) &&
			first.offset != option.offset) {
			defect = "it is there twice";
		}
		if (defect != NULL) {
			swm_problems_add(problems, SWM_SEVERITY_ERROR, "", "option '%s': %s",
				option.name, defect);
		}
	}
	if (count == SWM_OPTIONS_MAX) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, "",
			"more than %d options, or no entry with a NULL name at the end",
			SWM_OPTIONS_MAX - 1);
	}
}
