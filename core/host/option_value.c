/* SPDX-License-Identifier: MIT */

/* See option_value.h. */

#include "option_value.h"

#include "duration.h"
#include "options.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* The largest first, so that a value is shown in the largest that divides it. */
static const struct unit size_units[] = {
	{"TiB", INT64_C(1) << 40},
	{"GiB", INT64_C(1) << 30},
	{"MiB", INT64_C(1) << 20},
	{"KiB", INT64_C(1) << 10},
	{"B", 1},
};

static const struct unit duration_units[] = {
	{"d", INT64_C(86400000)},
	{"h", INT64_C(3600000)},
	{"m", INT64_C(60000)},
	{"s", INT64_C(1000)},
	{"ms", 1},
};

static bool parse_digits(const char *text, const char **end, int64_t *out)
{
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) {
		return false;
	}
	errno = 0;
	char *stop = NULL;
	long long value = strtoll(text, &stop, 10);
	if (errno != 0 || stop == text) {
		return false;
	}
	*end = stop;
	*out = value;
	return true;
}

bool swm_size_parse(const char *text, int64_t *bytes)
{
	int64_t value = 0;
	const char *unit = NULL;
	if (!parse_digits(text, &unit, &value) || value < 0) {
		return false;
	}
	int64_t factor = unit[0] == '\0' ? 1 : 0;
	for (size_t i = 0; i < sizeof(size_units) / sizeof(size_units[0]); i++) {
		if (strcmp(unit, size_units[i].name) == 0) {
			factor = size_units[i].factor;
		}
	}
	if (factor == 0 || value > INT64_MAX / factor) {
		return false;
	}
	*bytes = value * factor;
	return true;
}

static void append(char *out, size_t cap, const char *text)
{
	size_t len = strlen(out);
	if (len < cap) {
		(void)snprintf(out + len, cap - len, "%s", text);
	}
}

void swm_option_wants(const struct swm_option *option, char *out, size_t cap)
{
	static const char *const wants[] = {
		[SWM_OPTION_STRING] = "a string",
		[SWM_OPTION_BOOL] = "true or false",
		[SWM_OPTION_INT] = "a whole number",
		[SWM_OPTION_SIZE] = "a size such as \"4MiB\"",
		[SWM_OPTION_DURATION] = "a duration such as \"30s\"",
		[SWM_OPTION_CHOICE] = "one of ",
		[SWM_OPTION_LIST] = "a list of strings",
		[SWM_OPTION_MAP] = "an object of strings",
	};
	(void)snprintf(out, cap, "%s", wants[option->type]);
	if (option->type != SWM_OPTION_CHOICE) {
		return;
	}
	for (size_t i = 0; option->choices[i] != NULL; i++) {
		append(out, cap, i == 0 ? "\"" : ", \"");
		append(out, cap, option->choices[i]);
		append(out, cap, "\"");
	}
}

void swm_option_show_number(
	const struct swm_option *option, int64_t value, char *out, size_t cap)
{
	const struct unit *units =
		option->type == SWM_OPTION_SIZE ? size_units : duration_units;
	if (option->type == SWM_OPTION_INT || (option->type == SWM_OPTION_SIZE && value == 0)) {
		(void)snprintf(out, cap, "%" PRId64, value);
		return;
	}
	if (value == 0) {
		(void)snprintf(out, cap, "0s");
		return;
	}
	size_t i = 0;
	while (units[i].factor > 1 && value % units[i].factor != 0) {
		i++;
	}
	(void)snprintf(out, cap, "%" PRId64 "%s", value / units[i].factor, units[i].name);
}

static void *at(const struct swm_option *option, void *config)
{
	return (char *)config + option->offset;
}

static bool set_number(const struct swm_option *option, int64_t value, const char *pointer,
	void *config, struct swm_problems *problems)
{
	bool bounded = option->min != 0 || option->max != 0;
	if (bounded && (value < option->min || value > option->max)) {
		char min[32];
		char max[32];
		swm_option_show_number(option, option->min, min, sizeof(min));
		swm_option_show_number(option, option->max, max, sizeof(max));
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"has to be from %s to %s", min, max);
		return false;
	}
	memcpy(at(option, config), &value, sizeof(value));
	return true;
}

static bool refuse(const struct swm_option *option, const char *text, const char *pointer,
	struct swm_problems *problems)
{
	char wants[512];
	swm_option_wants(option, wants, sizeof(wants));
	if ((option->flags & SWM_OPTION_SECRET) != 0) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "has to be %s", wants);
	} else {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"has to be %s, not \"%.100s\"", wants, text);
	}
	return false;
}

static bool set_choice(const struct swm_option *option, const char *text, const char *pointer,
	void *config, struct swm_problems *problems)
{
	for (int32_t i = 0; option->choices[i] != NULL; i++) {
		if (strcmp(option->choices[i], text) == 0) {
			memcpy(at(option, config), &i, sizeof(i));
			return true;
		}
	}
	return refuse(option, text, pointer, problems);
}

bool swm_option_set_text(const struct swm_option *option, const char *text, const char *pointer,
	void *config, struct swm_problems *problems)
{
	int64_t number = 0;
	const char *end = NULL;
	switch (option->type) {
	case SWM_OPTION_STRING:
		memcpy(at(option, config), &text, sizeof(text));
		return true;
	case SWM_OPTION_BOOL:
		if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
			swm_option_set_bool(option, text[0] == 't', config);
			return true;
		}
		return refuse(option, text, pointer, problems);
	case SWM_OPTION_INT:
		if (!parse_digits(text, &end, &number) || *end != '\0') {
			return refuse(option, text, pointer, problems);
		}
		return set_number(option, number, pointer, config, problems);
	case SWM_OPTION_SIZE:
		if (!swm_size_parse(text, &number)) {
			return refuse(option, text, pointer, problems);
		}
		return set_number(option, number, pointer, config, problems);
	case SWM_OPTION_DURATION:
		if (!swm_duration_parse(text, strlen(text), &number)) {
			return refuse(option, text, pointer, problems);
		}
		return set_number(option, number, pointer, config, problems);
	case SWM_OPTION_CHOICE:
		return set_choice(option, text, pointer, config, problems);
	default:
		return refuse(option, text, pointer, problems);
	}
}

bool swm_option_set_number(const struct swm_option *option, int64_t number, const char *pointer,
	void *config, struct swm_problems *problems)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%" PRId64, number);
	bool fits = option->type == SWM_OPTION_INT ||
		    (option->type == SWM_OPTION_SIZE && number >= 0);
	if (!fits) {
		return refuse(option, text, pointer, problems);
	}
	return set_number(option, number, pointer, config, problems);
}

void swm_option_set_bool(const struct swm_option *option, bool value, void *config)
{
	memcpy(at(option, config), &value, sizeof(value));
}

static void show_list(const struct swm_list *list, char *out, size_t cap)
{
	for (size_t i = 0; i < list->count; i++) {
		append(out, cap, i == 0 ? "" : ", ");
		append(out, cap, list->items[i]);
	}
}

static void show_map(const struct swm_map *map, char *out, size_t cap)
{
	for (size_t i = 0; i < map->count; i++) {
		append(out, cap, i == 0 ? "" : ", ");
		append(out, cap, map->items[i].name);
		append(out, cap, "=");
		append(out, cap, map->items[i].value);
	}
}

static bool is_unset(const struct swm_option *option, const void *value)
{
	if (option->type == SWM_OPTION_STRING) {
		const char *text = NULL;
		memcpy(&text, value, sizeof(text));
		return text == NULL;
	}
	if (option->type == SWM_OPTION_LIST || option->type == SWM_OPTION_MAP) {
		struct swm_list list; /* a map has the same shape */
		memcpy(&list, value, sizeof(list));
		return list.count == 0;
	}
	return false;
}

void swm_option_show(const struct swm_option *option, const void *config, char *out, size_t cap)
{
	const char *value = (const char *)config + option->offset;
	out[0] = '\0';
	if (is_unset(option, value)) {
		return;
	}
	if ((option->flags & SWM_OPTION_SECRET) != 0) {
		append(out, cap, "(secret)");
		return;
	}
	switch (option->type) {
	case SWM_OPTION_STRING: {
		const char *text = NULL;
		memcpy(&text, value, sizeof(text));
		append(out, cap, text);
		break;
	}
	case SWM_OPTION_BOOL:
		append(out, cap, *(const bool *)value ? "true" : "false");
		break;
	case SWM_OPTION_CHOICE: {
		int32_t index = 0;
		memcpy(&index, value, sizeof(index));
		append(out, cap, option->choices[index]);
		break;
	}
	case SWM_OPTION_LIST: {
		struct swm_list list;
		memcpy(&list, value, sizeof(list));
		show_list(&list, out, cap);
		break;
	}
	case SWM_OPTION_MAP: {
		struct swm_map map;
		memcpy(&map, value, sizeof(map));
		show_map(&map, out, cap);
		break;
	}
	default: {
		int64_t number = 0;
		memcpy(&number, value, sizeof(number));
		swm_option_show_number(option, number, out, cap);
		break;
	}
	}
}
