/* SPDX-License-Identifier: MIT */

/* The command line: parsing over a table of its own, tables and JSON lines. */

#include "support.h"

#include "cli.h"
#include "text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct values {
	bool loud;
	const char *name;
	int64_t jobs;
	int64_t wait_ms;
};

static const struct swm_flag flags[] = {
	{"loud", 'l', SWM_FLAG_SWITCH, offsetof(struct values, loud), NULL, 0, 0, NULL,
		"Loud."},
	{"name", 0, SWM_FLAG_TEXT, offsetof(struct values, name), NULL, 0, 0, "NAME", "Name."},
	{"jobs", 'j', SWM_FLAG_NUMBER, offsetof(struct values, jobs), "1", 1, 64, "N", "Jobs."},
	{"wait", 'w', SWM_FLAG_DURATION, offsetof(struct values, wait_ms), "5s", 0, 60000,
		"TIME", "Wait."},
	{0},
};

/* What the last run was given. */
static struct {
	int runs;
	struct values values;
	int argc;
	char last[64];
	enum swm_out_format format;
	int32_t log_level;
	const char *config_path;
} seen;

static int run(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	seen.runs++;
	seen.values = *(const struct values *)values;
	seen.argc = argc;
	seen.format = cli->out.format;
	seen.log_level = cli->log_level;
	seen.config_path = cli->config_path;
	seen.last[0] = '\0';
	if (argc > 0) {
		(void)snprintf(seen.last, sizeof(seen.last), "%s", argv[argc - 1]);
	}
	return 42;
}

static const struct swm_command plain = {
	.name = "plain",
	.arguments = "THING...",
	.summary = "a plain one",
	.example = "swm plain x\n",
	.flags = flags,
	.values_size = sizeof(struct values),
	.min_args = 1,
	.max_args = 3,
	.run = run,
};

static const struct swm_command grouped = {
	.name = "group one",
	.summary = "one of a group",
	.example = "swm group one\n",
	.flags = flags,
	.values_size = sizeof(struct values),
	.max_args = -1,
	.run = run,
};

static const struct swm_command *const commands[] = {&plain, &grouped, NULL};

/* Runs "swm ..." on the words of a line. What it prints goes nowhere: it would end up
 * between the lines of TAP. */
static int swm(const char *line)
{
	static char copy[256]; /* what was seen points into it */
	char program[] = "swm";
	char *argv[16] = {program};
	int argc = 1;
	char *rest = NULL;
	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word != NULL;
		word = strtok_r(NULL, " ", &rest)) {
		argv[argc++] = word;
	}
	seen.runs = 0;
	assert_int_equal(fflush(stdout), 0);
	int before = dup(STDOUT_FILENO);
	int nowhere = open("/dev/null", O_WRONLY);
	assert_true(before >= 0 && nowhere >= 0);
	assert_int_equal(dup2(nowhere, STDOUT_FILENO), STDOUT_FILENO);
	int result = swm_cli_main(commands, argc, argv);
	assert_int_equal(fflush(stdout), 0);
	assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(close(before), 0);
	assert_int_equal(close(nowhere), 0);
	return result;
}

static void options_and_arguments(void **state)
{
	(void)state;
	assert_int_equal(swm("plain x"), 42);
	assert_int_equal(seen.argc, 1);
	assert_int_equal(seen.values.jobs, 1);
	assert_int_equal(seen.values.wait_ms, 5000);
	assert_false(seen.values.loud);
	assert_null(seen.values.name);
	assert_int_equal(seen.format, SWM_OUT_TABLE);
	assert_int_equal(seen.log_level, -1);

	assert_int_equal(swm("plain x -l y --name=n -j 8 --wait 250ms z"), 42);
	assert_int_equal(seen.argc, 3);
	assert_string_equal(seen.last, "z");
	assert_true(seen.values.loud);
	assert_string_equal(seen.values.name, "n");
	assert_int_equal(seen.values.jobs, 8);
	assert_int_equal(seen.values.wait_ms, 250);

	assert_int_equal(swm("group one -- -l --name"), 42);
	assert_int_equal(seen.argc, 2);
	assert_string_equal(seen.last, "--name");
	assert_false(seen.values.loud);
}

static void global_options_stand_anywhere(void **state)
{
	(void)state;
	assert_int_equal(swm("-o json --log-level debug -c f.json plain x"), 42);
	assert_int_equal(seen.format, SWM_OUT_JSON);
	assert_int_equal(seen.log_level, SWM_LOG_DEBUG);
	assert_string_equal(seen.config_path, "f.json");
	assert_int_equal(swm("plain x --log-level=error -ojson"), 42);
	assert_int_equal(seen.format, SWM_OUT_JSON);
	assert_int_equal(seen.log_level, SWM_LOG_ERROR);
	assert_null(seen.config_path);
	assert_int_equal(swm("-o json group one -o table"), 42);
	assert_int_equal(seen.format, SWM_OUT_TABLE);
}

static void help_does_not_run(void **state)
{
	(void)state;
	static const char *const lines[] = {"--help", "-h", "plain --help", "group --help",
		"group one -h", "--version", "--help plain x"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(swm(lines[i]), SWM_EXIT_DONE);
		assert_int_equal(seen.runs, 0);
	}
}

static void mistakes_are_usage(void **state)
{
	(void)state;
	static const char *const lines[] = {"", "plian", "group", "group two", "one", "plain",
		"plain a b c d", "plain x --lout", "plain x -z", "plain x --name", "plain x -j",
		"plain x -j 0", "plain x -j 65", "plain x -j 5x", "plain x --wait 5",
		"plain x --wait 2m", "plain x -o xml", "plain x --log-level loud",
		"plain x --loud=5", "--bogus plain x"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (swm(lines[i]) != SWM_EXIT_USAGE || seen.runs != 0) {
			fail_msg("swm %s was not a usage error", lines[i]);
		}
	}
}

/* What a function prints. */
static char *printed(enum swm_out_format format, const struct swm_rows *rows)
{
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	assert_non_null(memory);
	struct swm_out out = {.file = memory, .format = format};
	assert_int_equal(swm_rows_print(rows, &out), SWM_OK);
	assert_int_equal(fclose(memory), 0);
	return text;
}

static const struct swm_column columns[] = {
	{"NAME", "name", false},
	{"COUNT", "count", true},
	{"NOTE", "note", false},
};

static void tables_are_aligned_and_harmless(void **state)
{
	(void)state;
	struct swm_rows *rows = NULL;
	assert_int_equal(swm_rows_create(columns, 3, &rows), SWM_OK);
	swm_rows_add(rows, SWM_STYLE_PLAIN, SWM_STR("gr\xc3\xbcn"));
	swm_rows_addf(rows, SWM_STYLE_RED, "%d", 5);
	swm_rows_add(rows, SWM_STYLE_PLAIN, SWM_STR("\x1b]0;x\x07\nend\x7f \xff"));
	swm_rows_add(rows, SWM_STYLE_PLAIN, SWM_STR("a-longer-name"));
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%d", 123456);
	swm_rows_add(rows, SWM_STYLE_PLAIN, (struct swm_str){NULL, 0});
	char *text = printed(SWM_OUT_TABLE, rows);
	assert_string_equal(text,
		"NAME            COUNT  NOTE\n"
		"gr\xc3\xbcn                5  \\x1b]0;x\\x07\\nend\\x7f \\xff\n"
		"a-longer-name  123456  \n");
	free(text);
	text = printed(SWM_OUT_JSON, rows);
	assert_string_equal(text,
		"{\"name\":\"gr\xc3\xbcn\",\"count\":5,"
		"\"note\":\"\\\\x1b]0;x\\\\x07\\\\nend\\\\x7f \\\\xff\"}\n"
		"{\"name\":\"a-longer-name\",\"count\":123456,\"note\":null}\n");
	free(text);
	swm_rows_destroy(rows);
}

static void nothing_prints_nothing(void **state)
{
	(void)state;
	struct swm_rows *rows = NULL;
	assert_int_equal(swm_rows_create(columns, 3, &rows), SWM_OK);
	char *text = printed(SWM_OUT_TABLE, rows);
	assert_string_equal(text, "");
	free(text);
	swm_rows_destroy(rows);
}

static void colour_is_for_terminals(void **state)
{
	(void)state;
	struct swm_out out = {.file = stdout, .format = SWM_OUT_TABLE, .colour = true};
	assert_string_equal(swm_out_style(&out, SWM_STYLE_RED), "\x1b[31m");
	FILE *file = tmpfile();
	assert_non_null(file);
	swm_out_init(&out, file, SWM_OUT_TABLE);
	assert_string_equal(swm_out_style(&out, SWM_STYLE_RED), "");
	assert_int_equal(fclose(file), 0);
}

static void arguments_can_be_files(void **state)
{
	(void)state;
	char *directory = support_directory();
	char *path = support_file(directory, "data.json", "{\"a\":1}\n", 0600);
	char argument[128];
	(void)snprintf(argument, sizeof(argument), "@%s", path);
	char *text = NULL;
	size_t len = 0;
	struct swm_error err = {0};
	assert_int_equal(
		swm_cli_read_argument(argument, false, 100, &text, &len, &err), SWM_OK);
	assert_string_equal(text, "{\"a\":1}\n");
	assert_int_equal(len, 8);
	free(text);
	assert_int_equal(swm_cli_read_argument(argument, false, 8, &text, &len, &err), SWM_OK);
	free(text);
	assert_int_equal(
		swm_cli_read_argument(argument, false, 7, &text, &len, &err), SWM_E_TOO_LARGE);
	assert_int_equal(swm_cli_read_argument("plain", false, 7, &text, &len, &err), SWM_OK);
	assert_string_equal(text, "plain");
	free(text);
	assert_int_equal(swm_cli_read_argument("@/nonexistent", false, 7, &text, &len, &err),
		SWM_E_NOT_FOUND);
	assert_int_equal(swm_cli_read_file(directory, 7, &text, &len, &err), SWM_E_INVALID);
	free(path);
	support_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_arguments),
		cmocka_unit_test(global_options_stand_anywhere),
		cmocka_unit_test(help_does_not_run),
		cmocka_unit_test(mistakes_are_usage),
		cmocka_unit_test(tables_are_aligned_and_harmless),
		cmocka_unit_test(nothing_prints_nothing),
		cmocka_unit_test(colour_is_for_terminals),
		cmocka_unit_test(arguments_can_be_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
