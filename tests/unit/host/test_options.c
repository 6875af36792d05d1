/* SPDX-License-Identifier: MIT */

/* Option tables: every type, every mistake, and that no secret gets out. */

#include "support.h"

#include "option_value.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

struct values {
	const char *text;
	bool flag;
	int64_t number;
	int64_t bytes;
	int64_t wait_ms;
	int32_t colour;
	struct swm_list list;
	struct swm_map map;
	const char *password;
	const char *unset;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct swm_option options[] = {
	{"text", SWM_OPTION_STRING, 0, offsetof(struct values, text), "fallback", 0, 0, NULL,
		"Text."},
	{"flag", SWM_OPTION_BOOL, 0, offsetof(struct values, flag), "true", 0, 0, NULL,
		"Flag."},
	{"number", SWM_OPTION_INT, 0, offsetof(struct values, number), "5", 1, 10, NULL,
		"Number."},
	{"bytes", SWM_OPTION_SIZE, 0, offsetof(struct values, bytes), "4MiB", 1024, 1 << 30,
		NULL, "Bytes."},
	{"wait", SWM_OPTION_DURATION, 0, offsetof(struct values, wait_ms), "30s", 100, 60000,
		NULL, "Wait."},
	{"colour", SWM_OPTION_CHOICE, 0, offsetof(struct values, colour), "green", 0, 0,
		colours, "Colour."},
	{"list", SWM_OPTION_LIST, 0, offsetof(struct values, list), "[\"a\", \"b\"]", 0, 0,
		NULL, "List."},
	{"map", SWM_OPTION_MAP, 0, offsetof(struct values, map), "{\"k\": \"v\"}", 0, 0, NULL,
		"Map."},
	{"password", SWM_OPTION_STRING, SWM_OPTION_SECRET, offsetof(struct values, password),
		NULL, 0, 0, NULL, "Password."},
	{"unset", SWM_OPTION_STRING, SWM_OPTION_DEPRECATED, offsetof(struct values, unset),
		NULL, 0, 0, NULL, "Use text."},
	{0},
};

static const struct swm_option_table table = {
	options, sizeof(struct swm_option), sizeof(struct values)};

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(value);
	return value;
}

/* Fills from text; the test fails when that is not possible. */
static struct swm_options *fill(const char *text)
{
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	json_t *section = parse(text);
	swm_status status = swm_options_fill(&table, section, "/s", NULL, &problems, &filled);
	swm_problems_print(&problems, NULL, stderr);
	assert_int_equal(status, SWM_OK);
	swm_problems_finish(&problems);
	json_decref(section);
	return filled;
}

/* Expects exactly one error, at that pointer, with that text. */
static void refuse(const char *text, const char *pointer, const char *part)
{
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	json_t *section = parse(text);
	swm_status status = swm_options_fill(&table, section, "/s", NULL, &problems, &filled);
	assert_int_equal(status, SWM_E_CONFIG);
	assert_null(filled);
	support_has_problem(&problems, pointer, part);
	assert_int_equal(problems.error_count, 1);
	swm_problems_finish(&problems);
	json_decref(section);
}

static void fallbacks_fill_what_is_missing(void **state)
{
	(void)state;
	struct swm_options *filled = fill("{}");
	const struct values *values = swm_options_config(filled);
	assert_string_equal(values->text, "fallback");
	assert_true(values->flag);
	assert_int_equal(values->number, 5);
	assert_int_equal(values->bytes, 4 * 1024 * 1024);
	assert_int_equal(values->wait_ms, 30000);
	assert_int_equal(values->colour, 1);
	assert_int_equal(values->list.count, 2);
	assert_string_equal(values->list.items[1], "b");
	assert_int_equal(values->map.count, 1);
	assert_string_equal(values->map.items[0].name, "k");
	assert_string_equal(values->map.items[0].value, "v");
	assert_null(values->password);
	assert_null(values->unset);
	swm_options_destroy(filled);
}

static void every_type_is_taken(void **state)
{
	(void)state;
	struct swm_options *filled =
		fill("{\"// why\": 1, \"text\": \"t\", \"flag\": false, \"number\": 10,"
		     " \"bytes\": 2048, \"wait\": \"250ms\", \"colour\": \"blue\","
		     " \"list\": [\"x\", 5, true],"
		     " \"map\": {\"// c\": \"no\", \"linger.ms\": 5, \"on\": false},"
		     " \"password\": \"p\"}");
	const struct values *values = swm_options_config(filled);
	assert_string_equal(values->text, "t");
	assert_false(values->flag);
	assert_int_equal(values->number, 10);
	assert_int_equal(values->bytes, 2048);
	assert_int_equal(values->wait_ms, 250);
	assert_int_equal(values->colour, 2);
	assert_int_equal(values->list.count, 3);
	assert_string_equal(values->list.items[0], "x");
	assert_string_equal(values->list.items[1], "5");
	assert_string_equal(values->list.items[2], "true");
	assert_int_equal(values->map.count, 2);
	assert_string_equal(values->map.items[0].name, "linger.ms");
	assert_string_equal(values->map.items[0].value, "5");
	assert_string_equal(values->map.items[1].value, "false");
	assert_string_equal(values->password, "p");
	swm_options_destroy(filled);
}

static void text_from_outside_is_read_by_type(void **state)
{
	(void)state;
	assert_int_equal(setenv("SWM_TEST_NUMBER", "7", 1), 0);
	struct swm_options *filled = fill("{\"number\": \"${SWM_TEST_NUMBER}\","
					  " \"flag\": \"false\", \"bytes\": \"64KiB\"}");
	const struct values *values = swm_options_config(filled);
	assert_int_equal(values->number, 7);
	assert_false(values->flag);
	assert_int_equal(values->bytes, 65536);
	swm_options_destroy(filled);
}

static void null_means_not_given(void **state)
{
	(void)state;
	struct swm_options *filled = fill("{\"text\": null, \"number\": null}");
	const struct values *values = swm_options_config(filled);
	assert_string_equal(values->text, "fallback");
	assert_int_equal(values->number, 5);
	swm_options_destroy(filled);
}

static void wrong_values_are_refused(void **state)
{
	(void)state;
	refuse("{\"text\": 5}", "/s/text", "a string");
	refuse("{\"text\": [\"a\"]}", "/s/text", "a string");
	refuse("{\"flag\": \"yes\"}", "/s/flag", "true or false, not \"yes\"");
	refuse("{\"flag\": 1}", "/s/flag", "true or false");
	refuse("{\"number\": 1.5}", "/s/number", "a whole number");
	refuse("{\"number\": \"5x\"}", "/s/number", "a whole number, not \"5x\"");
	refuse("{\"number\": true}", "/s/number", "a whole number");
	refuse("{\"number\": 0}", "/s/number", "from 1 to 10");
	refuse("{\"number\": 11}", "/s/number", "from 1 to 10");
	refuse("{\"bytes\": \"4MB\"}", "/s/bytes", "a size such as");
	refuse("{\"bytes\": -1}", "/s/bytes", "a size such as");
	refuse("{\"bytes\": \"1KiB1\"}", "/s/bytes", "a size such as");
	refuse("{\"bytes\": \"1B\"}", "/s/bytes", "from 1KiB to 1GiB");
	refuse("{\"wait\": 30}", "/s/wait", "a duration such as");
	refuse("{\"wait\": \"30\"}", "/s/wait", "a duration such as");
	refuse("{\"wait\": \"2m\"}", "/s/wait", "from 100ms to 1m");
	refuse("{\"colour\": \"pink\"}", "/s/colour", "one of \"red\", \"green\", \"blue\"");
	refuse("{\"list\": \"a\"}", "/s/list", "a list of strings");
	refuse("{\"list\": [\"a\", {}]}", "/s/list/1", "a string");
	refuse("{\"map\": [\"a\"]}", "/s/map", "an object of strings");
	refuse("{\"map\": {\"$file\": \"x\"}}", "/s/map", "an object of strings");
	refuse("{\"map\": {\"a/b~c\": [1]}}", "/s/map/a~1b~0c", "a string");
}

static void unknown_keys_name_the_nearest(void **state)
{
	(void)state;
	refuse("{\"nummber\": 5}", "/s/nummber", "did you mean 'number'?");
	refuse("{\"zzzzzz\": 5}", "/s/zzzzzz", "known are: text, flag");
}

static void all_mistakes_are_listed(void **state)
{
	(void)state;
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	json_t *section = parse("{\"text\": 1, \"flag\": 1, \"number\": 0, \"bogus\": 1,"
				" \"list\": [{}, {}]}");
	assert_int_equal(swm_options_fill(&table, section, "/s", NULL, &problems, &filled),
		SWM_E_CONFIG);
	assert_int_equal(problems.error_count, 6);
	swm_problems_finish(&problems);
	json_decref(section);
}

static void keys_of_others_are_passed_over(void **state)
{
	(void)state;
	static const char *const also[] = {"plugin", NULL};
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	json_t *section = parse("{\"plugin\": \"x\"}");
	assert_int_equal(
		swm_options_fill(&table, section, "/s", also, &problems, &filled), SWM_OK);
	swm_options_destroy(filled);
	json_decref(section);
	section = parse("{\"plugn\": \"x\"}");
	assert_int_equal(swm_options_fill(&table, section, "/s", also, &problems, &filled),
		SWM_E_CONFIG);
	support_has_problem(&problems, "/s/plugn", "did you mean 'plugin'?");
	swm_problems_finish(&problems);
	json_decref(section);
}

static void required_and_deprecated(void **state)
{
	(void)state;
	static const struct swm_option needs[] = {
		{"url", SWM_OPTION_STRING, SWM_OPTION_REQUIRED, 0, NULL, 0, 0, NULL,
			"Where to."},
		{0},
	};
	static const struct swm_option_table needing = {
		needs, sizeof(struct swm_option), sizeof(const char *)};
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	assert_int_equal(
		swm_options_fill(&needing, NULL, "/q", NULL, &problems, &filled), SWM_E_CONFIG);
	support_has_problem(&problems, "/q", "'url' is required: Where to.");
	swm_problems_finish(&problems);

	json_t *section = parse("{\"unset\": \"x\"}");
	assert_int_equal(
		swm_options_fill(&table, section, "/s", NULL, &problems, &filled), SWM_OK);
	support_has_problem(&problems, "/s/unset", "deprecated: Use text.");
	assert_int_equal(problems.error_count, 0);
	assert_string_equal(((const struct values *)swm_options_config(filled))->unset, "x");
	swm_options_destroy(filled);
	swm_problems_finish(&problems);
	json_decref(section);
}

static void secrets_are_not_shown(void **state)
{
	(void)state;
	static const struct swm_option numbers[] = {
		{"pin", SWM_OPTION_INT, SWM_OPTION_SECRET, 0, NULL, 0, 0, NULL, "Pin."},
		{0},
	};
	static const struct swm_option_table pins = {
		numbers, sizeof(struct swm_option), sizeof(int64_t)};
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	json_t *section = parse("{\"pin\": \"hunter2\"}");
	assert_int_equal(
		swm_options_fill(&pins, section, "/s", NULL, &problems, &filled), SWM_E_CONFIG);
	assert_null(strstr(problems.items[0].message, "hunter2"));
	swm_problems_finish(&problems);
	json_decref(section);

	filled = fill("{\"password\": \"hunter2\", \"text\": \"open\"}");
	char shown[64];
	const void *config = swm_options_config(filled);
	swm_option_show(&options[8], config, shown, sizeof(shown));
	assert_string_equal(shown, "(secret)");
	swm_option_show(&options[0], config, shown, sizeof(shown));
	assert_string_equal(shown, "open");
	swm_options_destroy(filled);
}

static void values_are_shown_as_they_would_be_written(void **state)
{
	(void)state;
	static const char *const expected[] = {
		"fallback", "true", "5", "4MiB", "30s", "green", "a, b", "k=v", "", ""};
	struct swm_options *filled = fill("{}");
	for (size_t i = 0; options[i].name != NULL; i++) {
		char shown[64];
		swm_option_show(&options[i], swm_options_config(filled), shown, sizeof(shown));
		assert_string_equal(shown, expected[i]);
	}
	swm_options_destroy(filled);
}

/* An entry of a later minor: longer, with the members that we know in front. */
struct longer {
	struct swm_option known;
	const char *later;
};

static void a_longer_stride_is_walked(void **state)
{
	(void)state;
	static const struct longer entries[] = {
		{{"text", SWM_OPTION_STRING, 0, offsetof(struct values, text), "a", 0, 0, NULL,
			 "."},
			"x"},
		{{"number", SWM_OPTION_INT, 0, offsetof(struct values, number), "9", 0, 0, NULL,
			 "."},
			"y"},
		{{0}, NULL},
	};
	const struct swm_option_table longer = {
		&entries[0].known, sizeof(struct longer), sizeof(struct values)};
	struct swm_problems problems = {0};
	struct swm_options *filled = NULL;
	assert_int_equal(
		swm_options_fill(&longer, NULL, "/s", NULL, &problems, &filled), SWM_OK);
	const struct values *values = swm_options_config(filled);
	assert_string_equal(values->text, "a");
	assert_int_equal(values->number, 9);
	swm_options_destroy(filled);
}

static void a_shorter_stride_reads_as_zero(void **state)
{
	(void)state;
	/* Packed without `doc`: what an older minor would have had. */
	static const size_t stride = offsetof(struct swm_option, doc);
	char entries[2 * sizeof(struct swm_option)] = {0};
	memcpy(entries, &options[2], stride);
	const struct swm_option_table shorter = {
		(const struct swm_option *)(const void *)entries, stride,
		sizeof(struct values)};
	struct swm_option option;
	assert_true(swm_option_get(&shorter, 0, &option));
	assert_string_equal(option.name, "number");
	assert_int_equal(option.max, 10);
	assert_null(option.doc);
	assert_false(swm_option_get(&shorter, 1, &option));
}

static void broken_tables_are_found(void **state)
{
	(void)state;
	static const struct swm_option broken[] = {
		{"type", 99, 0, 0, NULL, 0, 0, NULL, "."},
		{"far", SWM_OPTION_MAP, 0, sizeof(struct values) - 8, NULL, 0, 0, NULL, "."},
		{"odd", SWM_OPTION_INT, 0, 3, NULL, 0, 0, NULL, "."},
		{"free", SWM_OPTION_CHOICE, 0, 0, NULL, 0, 0, NULL, "."},
		{"upside", SWM_OPTION_INT, 0, 0, NULL, 5, 1, NULL, "."},
		{"type", SWM_OPTION_INT, 0, 8, NULL, 0, 0, NULL, "."},
		{0},
	};
	const struct swm_option_table table_of_broken = {
		broken, sizeof(struct swm_option), sizeof(struct values)};
	struct swm_problems problems = {0};
	swm_option_table_check(&table_of_broken, &problems);
	assert_int_equal(problems.error_count, 6);
	swm_problems_finish(&problems);
	swm_option_table_check(&table, &problems);
	assert_int_equal(problems.error_count, 0);
}

static void sizes(void **state)
{
	(void)state;
	int64_t bytes = -5;
	assert_true(swm_size_parse("0", &bytes));
	assert_int_equal(bytes, 0);
	assert_true(swm_size_parse("10B", &bytes));
	assert_int_equal(bytes, 10);
	assert_true(swm_size_parse("2TiB", &bytes));
	assert_true(bytes == INT64_C(2) << 40);
	static const char *const bad[] = {"", " 1", "1 KiB", "1kib", "KiB", "-1", "+1",
		"1.5MiB", "9223372036854775808", "9007199254740992KiB", "0x10"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bytes = -5;
		assert_false(swm_size_parse(bad[i], &bytes));
		assert_int_equal(bytes, -5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fallbacks_fill_what_is_missing),
		cmocka_unit_test(every_type_is_taken),
		cmocka_unit_test(text_from_outside_is_read_by_type),
		cmocka_unit_test(null_means_not_given),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(unknown_keys_name_the_nearest),
		cmocka_unit_test(all_mistakes_are_listed),
		cmocka_unit_test(keys_of_others_are_passed_over),
		cmocka_unit_test(required_and_deprecated),
		cmocka_unit_test(secrets_are_not_shown),
		cmocka_unit_test(values_are_shown_as_they_would_be_written),
		cmocka_unit_test(a_longer_stride_is_walked),
		cmocka_unit_test(a_shorter_stride_reads_as_zero),
		cmocka_unit_test(broken_tables_are_found),
		cmocka_unit_test(sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
