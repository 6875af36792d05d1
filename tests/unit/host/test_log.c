/* SPDX-License-Identifier: MIT */

/* Log lines: whole, harmless, in both formats. Counters, too: they are as small. */

#include "support.h"

#include "services.h"

#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Runs one line through a pipe; the result is valid until the next call. */
static const char *line_of(enum swm_log_format format, int32_t level, const char *message)
{
	static char buf[2 * SWM_LOG_LINE_MAX];
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	struct swm_log log = {.fd = fds[1], .level = SWM_LOG_INFO, .format = format};
	swm_log_write(&log, level, "src", "%s", message);
	assert_int_equal(close(fds[1]), 0);
	ssize_t len = read(fds[0], buf, sizeof(buf) - 1);
	assert_true(len >= 0);
	buf[len] = '\0';
	assert_int_equal(close(fds[0]), 0);
	return buf;
}

/* Without the time, which has 24 characters. */
static void expect_text(const char *message, const char *expected)
{
	const char *line = line_of(SWM_LOG_TEXT, SWM_LOG_WARN, message);
	assert_int_equal(line[4], '-');
	assert_int_equal(line[23], 'Z');
	assert_string_equal(line + 25, expected);
}

static void text_lines(void **state)
{
	(void)state;
	expect_text("hello", "warn src: hello\n");
	expect_text("two\nlines\x1b[0m", "warn src: two\\nlines\\u001b[0m\n");
	expect_text("\"quoted\" \\", "warn src: \"quoted\" \\\n");
	expect_text("gr\xc3\xbc\xc3\x9f \xff\xc3", "warn src: gr\xc3\xbc\xc3\x9f "
						   "\xef\xbf\xbd\xef\xbf\xbd\n");
}

static void json_lines(void **state)
{
	(void)state;
	static const char *const messages[] = {
		"hello",
		"\"quotes\" and \\ and / and \t tab",
		"two\nlines \x01 \x7f",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8d\x95",
	};
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		const char *line = line_of(SWM_LOG_JSON, SWM_LOG_ERROR, messages[i]);
		json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(object);
		assert_int_equal(json_object_size(object), 4);
		assert_string_equal(
			json_string_value(json_object_get(object, "message")), messages[i]);
		assert_string_equal(
			json_string_value(json_object_get(object, "level")), "error");
		assert_string_equal(
			json_string_value(json_object_get(object, "source")), "src");
		assert_int_equal(
			strlen(json_string_value(json_object_get(object, "time"))), 24);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		json_decref(object);
	}
	/* what is not UTF-8 is replaced: surrogates, overlong forms, a cut sequence */
	const char *line = line_of(
		SWM_LOG_JSON, SWM_LOG_ERROR, "\xed\xa0\x80 \xc0\xaf \xe2\x82 \xf4\x90\x80\x80");
	json_t *object = json_loads(line, 0, NULL);
	assert_non_null(object);
	json_decref(object);
}

static void long_lines_are_cut_whole(void **state)
{
	(void)state;
	char message[2 * SWM_LOG_LINE_MAX];
	for (size_t shift = 0; shift < 3; shift++) {
		memset(message, '"', sizeof(message));
		for (size_t i = shift; i + 4 < sizeof(message); i += 4) {
			memcpy(message + i, "\xe2\x82\xac-", 4);
		}
		message[sizeof(message) - 1] = '\0';
		const char *line = line_of(SWM_LOG_JSON, SWM_LOG_ERROR, message);
		assert_true(strlen(line) <= SWM_LOG_LINE_MAX);
		json_t *object = json_loads(line, 0, NULL);
		assert_non_null(object);
		const char *kept = json_string_value(json_object_get(object, "message"));
		assert_string_equal(kept + strlen(kept) - 3, "...");
		assert_memory_equal(kept, message, strlen(kept) - 3);
		json_decref(object);
		line = line_of(SWM_LOG_TEXT, SWM_LOG_ERROR, message);
		assert_true(strlen(line) <= SWM_LOG_LINE_MAX);
		assert_string_equal(line + strlen(line) - 4, "...\n");
	}
}

static void levels_are_kept(void **state)
{
	(void)state;
	assert_string_equal(line_of(SWM_LOG_TEXT, SWM_LOG_DEBUG, "hidden"), "");
	assert_true(strlen(line_of(SWM_LOG_TEXT, SWM_LOG_INFO, "seen")) > 0);
	int32_t level = 77;
	assert_true(swm_log_level_parse("debug", &level));
	assert_int_equal(level, SWM_LOG_DEBUG);
	assert_false(swm_log_level_parse("loud", &level));
	assert_int_equal(level, SWM_LOG_DEBUG);
}

static void *count_many(void *arg)
{
	static const char other[] = "shared_b"; /* not the same pointer as elsewhere */
	struct swm_services *services = arg;
	for (int i = 0; i < 10000; i++) {
		services->host.count(services->host.ctx, "shared_a", 1);
		services->host.count(services->host.ctx, other, 2);
	}
	return NULL;
}

static void counters_count(void **state)
{
	(void)state;
	static struct swm_services services;
	swm_services_init(&services, STDERR_FILENO, SWM_LOG_INFO, SWM_LOG_TEXT);
	assert_int_equal(swm_metrics_get(&services.metrics, "shared_a"), 0);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, &services), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	services.host.count(services.host.ctx, "aaa", -3);
	struct swm_metric all[SWM_METRICS_MAX];
	assert_int_equal(swm_metrics_snapshot(&services.metrics, all), 3);
	assert_string_equal(all[0].name, "aaa");
	assert_int_equal(all[0].value, -3);
	assert_string_equal(all[1].name, "shared_a");
	assert_int_equal(all[1].value, 40000);
	assert_string_equal(all[2].name, "shared_b");
	assert_int_equal(all[2].value, 80000);
}

static void too_many_counters_are_said_to_be(void **state)
{
	(void)state;
	static struct swm_metrics metrics;
	static char names[SWM_METRICS_MAX + 5][16];
	for (size_t i = 0; i < SWM_METRICS_MAX + 5; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "metric_%zu", i);
		swm_metrics_add(&metrics, names[i], (int64_t)i);
	}
	assert_int_equal(swm_metrics_lost(&metrics), 5);
	assert_int_equal(swm_metrics_get(&metrics, "metric_200"), 200);
	assert_int_equal(swm_metrics_get(&metrics, "metric_9999"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_lines),
		cmocka_unit_test(json_lines),
		cmocka_unit_test(long_lines_are_cut_whole),
		cmocka_unit_test(levels_are_kept),
		cmocka_unit_test(counters_count),
		cmocka_unit_test(too_many_counters_are_said_to_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
