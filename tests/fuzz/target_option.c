/* SPDX-License-Identifier: MIT */

/*
 * The values of options. The input is the table of a plugin, which may be nonsense,
 * and a section of the file. A table that passes the check can be filled from any
 * section at all; what was filled can be shown; and a value that is shown whole reads
 * back as the same value.
 *
 *   byte      number of options (its low three bits)
 *   per option: type, flags, offset, limits, fallback (one byte each)
 *   the rest: a text for each type on its own when it begins with '=', else the section
 */

#include "fuzz.h"

#include "duration.h"
#include "json_read.h"
#include "option_value.h"
#include "options.h"
#include "swm_limits.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define OPTIONS 7

/* Each option has its place, large enough for any type: what two of them share, a
 * plugin has to know. */
#define PLACE_BYTES sizeof(struct swm_list)
#define CONFIG_BYTES (OPTIONS * PLACE_BYTES)

static const char *const choices[] = {"none", "some", "all", NULL};
static const char *const no_choices[] = {NULL};

static const char *const names[OPTIONS] = {"a", "b", "c", "d", "e~/", "\xc3\xa9", "linger.ms"};

static const char *const fallbacks[] = {NULL, "", "some", "true", "7", "4MiB", "1.5h",
	"[\"x\"]", "{\"k\":\"v\"}", "${SWM_FUZZ:-30s}", "-1", "9223372036854775807"};

static const int64_t limits[][2] = {{0, 0}, {1, 100}, {-5, 5}, {0, INT64_MAX}, {5, 1},
	{INT64_MIN, INT64_MAX}, {1024, 1048576}, {0, 3600000}};

static size_t offset_of(size_t place, uint8_t byte)
{
	switch (byte) {
	case 255:
		return SIZE_MAX - 7;
	case 254:
		return CONFIG_BYTES;
	case 253:
		return CONFIG_BYTES - 4;
	case 252:
		return place * PLACE_BYTES + 1;
	default:
		return place * PLACE_BYTES;
	}
}

static void take_table(struct fuzz_bytes *bytes, struct swm_option table[OPTIONS + 1])
{
	const size_t count = fuzz_byte(bytes) & 7;

	for (size_t i = 0; i < count; i++) {
		struct swm_option *option = &table[i];
		option->name = names[i];
		option->type = fuzz_byte(bytes) % 11;
		option->flags = fuzz_byte(bytes) & 7;
		option->offset = offset_of(i, fuzz_byte(bytes));
		const size_t limit = fuzz_byte(bytes) % (sizeof(limits) / sizeof(limits[0]));
		option->min = limits[limit][0];
		option->max = limits[limit][1];
		option->fallback = fallbacks[fuzz_byte(bytes) %
					     (sizeof(fallbacks) / sizeof(fallbacks[0]))];
		option->choices = option->max == 5 ? no_choices : choices;
		option->doc = option->flags != 0 ? "Says what it is." : NULL;
	}
	table[count] = (struct swm_option){.name = NULL};
}

static void check_problems(const struct swm_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		fuzz_message(problems->items[i].message, SIZE_MAX / 2);
	}
	fuzz_that(!problems->incomplete, "no memory");
}

static void check_shown(const struct swm_option_table *table, const void *config)
{
	struct swm_option option;

	for (size_t i = 0; swm_option_get(table, i, &option); i++) {
		for (size_t cap = 1; cap <= 4096; cap *= 8) {
			char *out = fuzz_memory(cap);
			swm_option_show(&option, config, out, cap);
			fuzz_that(strnlen(out, cap) < cap, "%s has no end", option.name);
			const bool secret = (option.flags & SWM_OPTION_SECRET) != 0;
			fuzz_that(!secret || out[0] == '\0' ||
					  strncmp(out, "(secret)", strlen(out)) == 0,
				"a secret shown: %s", out);
			free(out);
		}
	}
}

static void check_section(const struct swm_option_table *table, struct swm_str text)
{
	static const char *const also[] = {"plugin", NULL};
	struct swm_problems problems = {0};
	struct swm_options *options = NULL;
	struct swm_error err;
	json_t *section = NULL;

	if (swm_json_read(text, text.len, &section, &err) != SWM_OK && text.len > 0) {
		return;
	}
	const swm_status status =
		swm_options_fill(table, section, "/queues/main", also, &problems, &options);
	check_problems(&problems);
	if (status == SWM_OK) {
		fuzz_that(problems.error_count == 0, "filled, with errors");
		check_shown(table, swm_options_config(options));
	} else {
		fuzz_that(status == SWM_E_CONFIG && problems.error_count > 0, "status %d",
			status);
		fuzz_that(options == NULL, "filled what was refused");
	}
	swm_options_destroy(options);
	swm_problems_finish(&problems);
	json_decref(section);
}

/* Set, shown, and set from what was shown. */
static void check_round_trip(const struct swm_option *option, const char *text)
{
	struct swm_problems problems = {0};
	char first[16] = {0};
	char second[16] = {0};
	char shown[4096];

	if (swm_option_set_text(option, text, "/x", first, &problems)) {
		fuzz_that(problems.count == 0, "taken, with a problem");
		swm_option_show(option, first, shown, sizeof(shown));
		if (option->type != SWM_OPTION_STRING) {
			fuzz_that(swm_option_set_text(option, shown, "/x", second, &problems),
				"\"%s\" is shown as \"%s\", which is refused", text, shown);
			fuzz_that(memcmp(first, second, sizeof(first)) == 0,
				"\"%s\" is shown as \"%s\", which is another value", text,
				shown);
		} else {
			fuzz_that(strncmp(shown, text, sizeof(shown) - 1) == 0, "%s", shown);
		}
	} else {
		fuzz_that(problems.error_count == 1, "%zu problems", problems.error_count);
	}
	check_problems(&problems);
	swm_problems_finish(&problems);
}

static void check_text(struct swm_str bytes)
{
	char *text = fuzz_copy(bytes);
	int64_t value = -1;

	for (uint32_t type = SWM_OPTION_STRING; type <= SWM_OPTION_CHOICE; type++) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			const struct swm_option option = {.name = "x",
				.type = type,
				.min = limits[i][0],
				.max = limits[i][1],
				.choices = choices};
			check_round_trip(&option, text);
		}
	}
	fuzz_that(swm_size_parse(text, &value) == (value >= 0), "a size of %d", (int)value);
	value = -1;
	fuzz_that(swm_duration_parse(bytes.ptr, bytes.len, &value) == (value >= 0) &&
			  value <= SWM_DURATION_MAX_MS,
		"a duration of %d ms", (int)value);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = {data, data + size};
	struct swm_option options[OPTIONS + 1];
	const struct swm_option_table table = {options, sizeof(options[0]), CONFIG_BYTES};
	struct swm_problems problems = {0};

	memset(options, 0, sizeof(options));
	take_table(&bytes, options);
	const struct swm_str rest = fuzz_rest(&bytes);
	if (rest.len > 0 && rest.ptr[0] == '=') {
		check_text((struct swm_str){rest.ptr + 1, rest.len - 1});
		return 0;
	}
	swm_option_table_check(&table, &problems);
	check_problems(&problems);
	if (problems.error_count == 0) {
		check_section(&table, rest);
	}
	swm_problems_finish(&problems);
	return 0;
}
