/* SPDX-License-Identifier: MIT */

/* The configuration file: defaults, references, environment, secrets, all mistakes. */

#include "support.h"

#include "config.h"
#include "log.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct swm_config *read_good(const char *text)
{
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	swm_status status =
		swm_config_parse(swm_str_from(text), "test.json", &problems, &config);
	swm_problems_print(&problems, NULL, stderr);
	assert_int_equal(status, SWM_OK);
	assert_int_equal(problems.count, 0);
	swm_problems_finish(&problems);
	return config;
}

static struct swm_problems read_bad(const char *text)
{
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	swm_status status =
		swm_config_parse(swm_str_from(text), "test.json", &problems, &config);
	assert_int_equal(status, SWM_E_CONFIG);
	assert_null(config);
	assert_true(problems.error_count > 0);
	return problems;
}

/* Exactly one mistake, and where. */
static void refuse(const char *text, const char *pointer, const char *part)
{
	struct swm_problems problems = read_bad(text);
	support_has_problem(&problems, pointer, part);
	assert_int_equal(problems.error_count, 1);
	swm_problems_finish(&problems);
}

static void expect_embedded_pair(const char *text)
{
	struct swm_config *config = read_good(text);
	assert_string_equal(config->store.plugin, "sqlite");
	assert_string_equal(config->store.name, "store");
	assert_int_equal(config->queue_count, 1);
	assert_string_equal(config->queues[0].name, "main");
	assert_string_equal(config->queues[0].plugin, "sqlite");
	assert_string_equal(config->queues[0].pointer, "/queues/main");
	assert_int_equal(config->listen_count, 1);
	assert_string_equal(config->listen[0].adapter, "main");
	assert_string_equal(config->listen[0].queue, "workflow_queue");
	assert_int_equal(config->listen[0].processors, 1);
	assert_int_equal(config->workflow.batch, 256);
	assert_int_equal(config->workflow.lease_ms, 10000);
	assert_int_equal(config->workflow.call_timeout_ms, 5000);
	assert_int_equal(config->workflow.prefetch, 512);
	assert_int_equal(config->workflow.payload, SWM_PAYLOAD_KIND_FULL);
	assert_null(config->workflow.ready_file);
	assert_int_equal(config->limits.message_bytes, 256 * 1024);
	assert_int_equal(config->limits.data_bytes, 32 * 1024);
	assert_int_equal(config->limits.template_bytes, 1024 * 1024);
	assert_int_equal(config->log.level, SWM_LOG_INFO);
	assert_int_equal(config->log.format, SWM_LOG_TEXT);
	assert_null(config->plugin_dir);
	swm_config_destroy(config);
}

static void nothing_gives_the_embedded_pair(void **state)
{
	(void)state;
	expect_embedded_pair("{}");
	expect_embedded_pair("{\"workflow\": null, \"store\": null, \"queues\": null,"
			     " \"routes\": null, \"plugin_dir\": null, \"log\": null,"
			     " \"limits\": null}");
	expect_embedded_pair(
		"{\"workflow\": {\"listen\": null}, \"queues\": {\"main\": null}}");
}

static void all_sections_are_read(void **state)
{
	(void)state;
	struct swm_config *config = read_good(
		"{\"//\": \"a comment\", \"// 2\": [],"
		" \"workflow\": {\"//\": 1, \"batch\": 8, \"lease\": \"2s\", \"payload\": "
		"\"plain\","
		"  \"prefetch\": 3, \"ready_file\": \"/run/ready\","
		"  \"listen\": [{\"adapter\": \"a\", \"queue\": \"q1\", \"processors\": 2},"
		"               {\"adapter\": \"b\"}]},"
		" \"store\": {\"plugin\": \"postgresql\", \"dsn\": \"x\"},"
		" \"queues\": {\"//\": 0, \"a\": {\"plugin\": \"rabbitmq\"},"
		"              \"b\": {\"plugin_file\": \"/x/queue-k.so\"}},"
		" \"routes\": {\"audit_*\": \"b\", \"*\": \"a\"},"
		" \"plugin_dir\": \"/opt/swm\","
		" \"log\": {\"level\": \"debug\", \"format\": \"json\"},"
		" \"limits\": {\"message\": \"1MiB\"}}");
	assert_int_equal(config->workflow.batch, 8);
	assert_int_equal(config->workflow.lease_ms, 2000);
	assert_int_equal(config->workflow.prefetch, 3);
	assert_int_equal(config->workflow.payload, SWM_PAYLOAD_KIND_PLAIN);
	assert_string_equal(config->workflow.ready_file, "/run/ready");
	assert_int_equal(config->listen_count, 2);
	assert_int_equal(config->listen[0].processors, 2);
	assert_string_equal(config->listen[1].adapter, "b");
	assert_string_equal(config->listen[1].queue, "workflow_queue");
	assert_string_equal(config->store.plugin, "postgresql");
	assert_non_null(json_object_get(config->store.section, "dsn"));
	assert_int_equal(config->queue_count, 2);
	assert_string_equal(swm_config_queue(config, "b")->plugin_file, "/x/queue-k.so");
	assert_null(swm_config_queue(config, "c"));
	assert_int_equal(config->routes.count, 2);
	assert_string_equal(config->plugin_dir, "/opt/swm");
	assert_int_equal(config->log.level, SWM_LOG_DEBUG);
	assert_int_equal(config->log.format, SWM_LOG_JSON);
	assert_int_equal(config->limits.message_bytes, 1024 * 1024);
	swm_config_destroy(config);
}

static void the_longest_route_wins(void **state)
{
	(void)state;
	struct swm_config *config = read_good(
		"{\"workflow\": {\"listen\": [{\"adapter\": \"a\"},"
		"                             {\"adapter\": \"b\", \"queue\": \"in_b\"}]},"
		" \"queues\": {\"a\": {}, \"b\": {}, \"c\": {}},"
		" \"routes\": {\"audit_*\": \"b\", \"audit_x\": \"a\", \"audit_long_*\": "
		"\"c\"}}");
	static const char *const cases[][2] = {
		{"audit_1", "b"},
		{"audit_x", "a"},
		{"audit_xy", "b"},
		{"audit_long_1", "c"},
		{"audit", "a"},
		{"other", "a"},
		{"in_b", "b"},
		{"workflow_queue", "a"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(
			swm_config_route(config, swm_str_from(cases[i][0])), cases[i][1]);
	}
	swm_config_destroy(config);
}

static void mistakes_have_a_place(void **state)
{
	(void)state;
	refuse("{\"workflw\": {}}", "/workflw", "did you mean 'workflow'?");
	refuse("{\"workflow\": {\"bach\": 1}}", "/workflow/bach", "did you mean 'batch'?");
	refuse("{\"workflow\": {\"batch\": 0}}", "/workflow/batch", "from 1 to 1024");
	refuse("{\"workflow\": {\"batch\": 1025}}", "/workflow/batch", "from 1 to 1024");
	refuse("{\"workflow\": []}", "/workflow", "an object");
	refuse("{\"workflow\": {\"listen\": []}}", "/workflow/listen", "a list of 1 to");
	refuse("{\"workflow\": {\"listen\": [{\"queu\": \"x\"}]}}", "/workflow/listen/0/queu",
		"did you mean 'queue'?");
	refuse("{\"workflow\": {\"listen\": [{\"adapter\": \"mian\"}]}}",
		"/workflow/listen/0/adapter", "did you mean 'main'?");
	refuse("{\"queues\": {\"a\": {}}}", "/workflow/listen/0/adapter",
		"there is no queue adapter 'main'");
	refuse("{\"queues\": {\"//\": 1}}", "/queues", "defines no adapter");
	refuse("{\"queues\": []}", "/queues", "an object");
	refuse("{\"queues\": {\"main\": 5}}", "/queues/main", "an object");
	refuse("{\"store\": {\"plugin\": 5}}", "/store/plugin", "a string");
	refuse("{\"routes\": {\"a*b\": \"main\"}}", "/routes/a*b", "one * at its end");
	refuse("{\"routes\": {\"a\": \"mein\"}}", "/routes/a", "did you mean 'main'?");
	refuse("{\"plugin_dir\": \"relative\"}", "/plugin_dir", "an absolute path");
	refuse("{\"log\": {\"level\": \"loud\"}}", "/log/level", "one of \"error\", \"warn\"");
	refuse("[]", "", "an object");
}

static void all_mistakes_come_at_once_with_lines(void **state)
{
	(void)state;
	struct swm_problems problems = read_bad("{\n"
						" \"workflow\": {\n"
						"  \"batch\": 0,\n"
						"  \"lease\": \"soon\"\n"
						" },\n"
						" \"log\": {\"levle\": \"info\"},\n"
						" \"routes\": {\"*\": \"x\"}\n"
						"}\n");
	assert_int_equal(problems.error_count, 4);
	static const struct {
		const char *pointer;
		int32_t line;
	} expected[] = {{"/workflow/batch", 3}, {"/workflow/lease", 4}, {"/log/levle", 6},
		{"/routes/*", 7}};
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		size_t found = 0;
		for (size_t k = 0; k < problems.count; k++) {
			if (strcmp(problems.items[k].pointer, expected[i].pointer) == 0) {
				assert_int_equal(problems.items[k].line, expected[i].line);
				found++;
			}
		}
		assert_int_equal(found, 1);
	}
	swm_problems_finish(&problems);
}

static void syntax_has_line_and_column(void **state)
{
	(void)state;
	refuse("{\n \"log\": {},\n \"log\": {}\n}", "", "line 3");
	refuse("{\n \"log\": {\n", "", "line");
	refuse("", "", "");
}

static void the_environment_is_substituted(void **state)
{
	(void)state;
	assert_int_equal(setenv("SWM_TEST_DIR", "/opt/x", 1), 0);
	assert_int_equal(setenv("SWM_TEST_EMPTY", "", 1), 0);
	assert_int_equal(unsetenv("SWM_TEST_UNSET"), 0);
	static const char *const cases[][2] = {
		{"${SWM_TEST_DIR}", "/opt/x"},
		{"/a${SWM_TEST_DIR}b${SWM_TEST_DIR}c", "/a/opt/xb/opt/xc"},
		{"/${SWM_TEST_UNSET:-none}", "/none"},
		{"/${SWM_TEST_EMPTY:-none}", "/none"},
		{"/${SWM_TEST_UNSET:-}", "/"},
		{"/${SWM_TEST_EMPTY}", "/"},
		{"/$${SWM_TEST_DIR}", "/${SWM_TEST_DIR}"},
		{"/$5 $", "/$5 $"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		(void)snprintf(text, sizeof(text), "{\"plugin_dir\": \"%s\"}", cases[i][0]);
		struct swm_config *config = read_good(text);
		assert_string_equal(config->plugin_dir, cases[i][1]);
		swm_config_destroy(config);
	}
	refuse("{\"plugin_dir\": \"/${SWM_TEST_UNSET}\"}", "/plugin_dir",
		"SWM_TEST_UNSET is not set");
	refuse("{\"plugin_dir\": \"/${SWM\"}", "/plugin_dir", "without '}'");
	refuse("{\"plugin_dir\": \"/${}\"}", "/plugin_dir", "is not ${NAME}");
	refuse("{\"plugin_dir\": \"/${9X}\"}", "/plugin_dir", "is not ${NAME}");
	refuse("{\"plugin_dir\": \"/${A:+b}\"}", "/plugin_dir", "is not ${NAME}");
}

/* A configuration whose ready_file is the content of a file. */
static swm_status read_secret(
	const char *path, struct swm_problems *problems, struct swm_config **out)
{
	char text[512];
	(void)snprintf(text, sizeof(text),
		"{\"workflow\": {\"ready_file\": {\"$file\": \"%s\"}}}", path);
	return swm_config_parse(swm_str_from(text), NULL, problems, out);
}

static void secrets_come_from_files(void **state)
{
	(void)state;
	char *directory = support_directory();
	static const char *const cases[][2] = {
		{"word\n", "word"},
		{"word", "word"},
		{"two\nlines\n\n", "two\nlines\n"},
		{"dos\r\n", "dos"},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = support_file(directory, "secret", cases[i][0], 0600);
		struct swm_problems problems = {0};
		struct swm_config *config = NULL;
		assert_int_equal(read_secret(path, &problems, &config), SWM_OK);
		assert_int_equal(problems.count, 0);
		assert_string_equal(config->workflow.ready_file, cases[i][1]);
		swm_config_destroy(config);
		free(path);
	}
	support_remove(directory);
}

static void careless_secrets_are_refused(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		swm_status status;
		const char *part; /* NULL: nothing to say */
	} cases[] = {
		{0600, SWM_OK, NULL},
		{0640, SWM_OK, NULL},
		{0644, SWM_OK, "everybody can read it (mode 0644): chmod o-r "},
		{0620, SWM_E_CONFIG, "others can write it (mode 0620): chmod go-w "},
		{0602, SWM_E_CONFIG, "others can write it (mode 0602): chmod go-w "},
	};
	char *directory = support_directory();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = support_file(directory, "secret", "hunter2", cases[i].mode);
		struct swm_problems problems = {0};
		struct swm_config *config = NULL;
		assert_int_equal(read_secret(path, &problems, &config), cases[i].status);
		if (cases[i].part != NULL) {
			support_has_problem(&problems, "/workflow/ready_file", cases[i].part);
			assert_null(strstr(problems.items[0].message, "hunter2"));
		} else {
			assert_int_equal(problems.count, 0);
		}
		swm_config_destroy(config);
		swm_problems_finish(&problems);
		free(path);
	}
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	assert_int_equal(read_secret("/nonexistent/x", &problems, &config), SWM_E_CONFIG);
	support_has_problem(&problems, "/workflow/ready_file", "cannot open /nonexistent/x");
	assert_int_equal(read_secret(directory, &problems, &config), SWM_E_CONFIG);
	support_has_problem(&problems, "/workflow/ready_file", "not a regular file");
	swm_problems_finish(&problems);
	support_remove(directory);
}

static void files_are_looked_up_in_order(void **state)
{
	(void)state;
	char *directory = support_directory();
	char *given =
		support_file(directory, "given.json", "{\"workflow\":{\"batch\":1}}", 0600);
	char *named =
		support_file(directory, "named.json", "{\"workflow\":{\"batch\":2}}", 0600);
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	const char *file = NULL;

	assert_int_equal(setenv("SWM_CONFIG", named, 1), 0);
	assert_int_equal(swm_config_load(given, &problems, &file, &config), SWM_OK);
	assert_int_equal(config->workflow.batch, 1);
	assert_string_equal(file, given);
	assert_string_equal(config->file, given);
	swm_config_destroy(config);
	assert_int_equal(swm_config_load(NULL, &problems, &file, &config), SWM_OK);
	assert_int_equal(config->workflow.batch, 2);
	swm_config_destroy(config);

	char *before = getcwd(NULL, 0);
	assert_int_equal(unsetenv("SWM_CONFIG"), 0);
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(swm_config_load(NULL, &problems, &file, &config), SWM_OK);
	assert_int_equal(config->workflow.batch, 256);
	assert_null(file);
	swm_config_destroy(config);
	assert_int_equal(mkdir("conf", 0700), 0);
	char *usual = support_file("conf", "swm.json", "{\"workflow\":{\"batch\":3}}", 0600);
	assert_int_equal(swm_config_load(NULL, &problems, &file, &config), SWM_OK);
	assert_int_equal(config->workflow.batch, 3);
	swm_config_destroy(config);
	assert_int_equal(unlink(usual), 0);
	assert_int_equal(rmdir("conf"), 0);
	assert_int_equal(problems.count, 0);

	assert_int_equal(
		swm_config_load("missing.json", &problems, &file, &config), SWM_E_CONFIG);
	support_has_problem(&problems, "", "cannot open it");
	assert_string_equal(file, "missing.json");
	swm_problems_finish(&problems);
	assert_int_equal(chdir(before), 0);
	free(before);
	free(usual);
	free(given);
	free(named);
	support_remove(directory);
}

static void the_shipped_file_is_good(void **state)
{
	(void)state;
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;
	const char *file = NULL;
	swm_status status = swm_config_load(CONF_FILE, &problems, &file, &config);
	swm_problems_print(&problems, file, stderr);
	assert_int_equal(status, SWM_OK);
	assert_int_equal(problems.count, 0);
	struct swm_config *defaults = read_good("{}");
	assert_memory_equal(&config->limits, &defaults->limits, sizeof(config->limits));
	assert_int_equal(config->workflow.batch, defaults->workflow.batch);
	assert_int_equal(config->workflow.lease_ms, defaults->workflow.lease_ms);
	assert_string_equal(config->listen[0].queue, defaults->listen[0].queue);
	swm_config_destroy(defaults);
	swm_config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_gives_the_embedded_pair),
		cmocka_unit_test(all_sections_are_read),
		cmocka_unit_test(the_longest_route_wins),
		cmocka_unit_test(mistakes_have_a_place),
		cmocka_unit_test(all_mistakes_come_at_once_with_lines),
		cmocka_unit_test(syntax_has_line_and_column),
		cmocka_unit_test(the_environment_is_substituted),
		cmocka_unit_test(secrets_come_from_files),
		cmocka_unit_test(careless_secrets_are_refused),
		cmocka_unit_test(files_are_looked_up_in_order),
		cmocka_unit_test(the_shipped_file_is_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
