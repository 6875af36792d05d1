/* SPDX-License-Identifier: MIT */
/*
 * Templates compiled: order, positions, parents, retry and timeout, the fragment; and
 * which texts count as the same. What lint says stands in tests/cases/lint-*.
 */

#include "support.h"

#include <time.h>

#define HEAD "{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
#define STAGE(name, order, tasks) \
	"{\"stage_name\":\"" name "\",\"stage_order\":" order ",\"tasks\":[" tasks "]}"

static struct swm_template *compile(const char *text)
{
	struct swm_template *template = NULL;
	struct swm_findings findings;

	const swm_status status = swm_template_read(str(text), 3, &template, &findings);
	if (status != SWM_OK) {
		fail_msg("%d: %s", (int)status,
			findings.count > 0 ? findings.items[0].message : "no finding");
	}
	swm_findings_finish(&findings);
	return template;
}

static void test_pizza(void **state)
{
	char *text = file_read(PIZZA);
	struct swm_template *pizza = compile(text);
	static const char *const tasks[] = {"confirm_order", "make_food", "assign_executive",
		"confirm_delivery", "deliver_food"};

	(void)state;
	assert_str(pizza->id, "ITALIAN:3");
	assert_str(pizza->component, "ITALIAN");
	assert_str(pizza->workflow, "Deliver Pizza");
	assert_int_equal(pizza->version, 3);
	assert_int_equal(pizza->stage_count, 4);
	assert_int_equal(pizza->task_count, 5);
	assert_str(pizza->stages[0].name, "START");
	assert_int_equal(pizza->stages[0].task_count, 0);
	assert_int_equal(pizza->stages[2].first_task, 1);
	assert_int_equal(pizza->stages[2].task_count, 3);
	for (size_t i = 0; i < COUNT_OF(tasks); i++) {
		assert_str(pizza->tasks[i].name, tasks[i]);
		assert_int_equal(pizza->tasks[i].max_attempts, 1);
		assert_int_equal(pizza->tasks[i].timeout_ms, 0);
	}
	const struct swm_task *delivery = &pizza->tasks[3];
	assert_int_equal(delivery->parent_count, 2);
	assert_int_equal(delivery->parents[0], 1);
	assert_int_equal(delivery->parents[1], 2);
	assert_int_equal(delivery->child_count, 0);
	assert_int_equal(pizza->tasks[1].child_count, 1);
	assert_int_equal(pizza->tasks[1].children[0], 3);
	assert_str(delivery->queue, "confirm_delivery_queue");
	assert_str(delivery->business_status, "FOOD ON THE WAY");
	assert_null(pizza->tasks[1].business_status.ptr);
	assert_int_equal(pizza->tasks[4].type, SWM_TASK_HUMAN);
	assert_str(pizza->tasks[4].assigned_to, "delivery_executive");
	assert_str(pizza->tasks[4].fragment,
		",\"component_name\":\"ITALIAN\",\"event_name\":\"StartTask\",\"stage_name\":"
		"\"DELIVER\",\"task_name\":\"deliver_food\",\"task_type\":\"HUMAN\","
		"\"assigned_to\":\"delivery_executive\"");
	assert_int_equal(swm_template_stage(pizza, str("PREPARE")), 2);
	assert_int_equal(swm_template_stage(pizza, str("prepare")), -1);
	assert_int_equal(swm_template_task(pizza, 2, str("assign_executive")), 2);
	assert_int_equal(swm_template_task(pizza, 1, str("assign_executive")), -1);
	assert_int_equal(swm_template_task(pizza, 0, str("confirm_order")), -1);
	swm_template_destroy(pizza);
	swm_template_destroy(NULL);
	free(text);
}

static void test_order(void **state)
{
	struct swm_template *template =
		compile(HEAD STAGE("last", "1e3", "") "," STAGE("second", "2.5", "") "," STAGE(
			"first", "-7", "") "," STAGE("third", "10", "") "]}");
	static const char *const names[] = {"first", "second", "third", "last"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_str(template->stages[i].name, names[i]);
	}
	assert_true(template->stages[1].order == 2.5);
	swm_template_destroy(template);
}

static void test_retry(void **state)
{
	struct swm_template *template = compile(HEAD STAGE("S", "1",
		"{\"task_name\":\"a\",\"task_queue\":\"q\",\"timeout\":\"30s\",\"retry\":"
		"{\"max_attempts\":5,\"backoff\":\"2s\",\"max_backoff\":\"1.5m\"}},"
		"{\"task_name\":\"b\",\"task_queue\":\"q\",\"retry\":"
		"{\"max_attempts\":2}},"
		"{\"task_name\":\"c\",\"task_type\":\"HUMAN\"}") "]}");

	(void)state;
	assert_int_equal(template->tasks[0].max_attempts, 5);
	assert_int_equal(template->tasks[0].backoff_ms, 2000);
	assert_int_equal(template->tasks[0].max_backoff_ms, 90000);
	assert_int_equal(template->tasks[0].timeout_ms, 30000);
	assert_int_equal(template->tasks[1].max_attempts, 2);
	assert_true(template->tasks[1].backoff_ms > 0);
	assert_true(template->tasks[1].max_backoff_ms >= template->tasks[1].backoff_ms);
	assert_int_equal(template->tasks[1].timeout_ms, 0);
	assert_null(template->tasks[2].queue.ptr);
	assert_int_equal(template->tasks[2].type, SWM_TASK_HUMAN);
	swm_template_destroy(template);
}

/* The default backoff is a second; a lower cap counts from the first retry on. */
static void test_backoff_below_its_default(void **state)
{
	struct swm_template *template = compile(HEAD STAGE("S", "1",
		"{\"task_name\":\"a\",\"task_queue\":\"q\",\"retry\":"
		"{\"max_attempts\":5,\"max_backoff\":\"250ms\"}}") "]}");

	(void)state;
	assert_int_equal(template->tasks[0].backoff_ms, 250);
	assert_int_equal(template->tasks[0].max_backoff_ms, 250);
	swm_template_destroy(template);
}

/* Doubling, capped, and less by at most a quarter; the id alone decides how much. */
static void test_backoff(void **state)
{
	const struct swm_task task = {
		.max_attempts = 9, .backoff_ms = 1000, .max_backoff_ms = 60000};
	const struct swm_task huge = {.max_attempts = 9,
		.backoff_ms = SWM_DURATION_MAX_MS,
		.max_backoff_ms = SWM_DURATION_MAX_MS};
	bool differ = false;
	int64_t least = INT64_MAX;
	int64_t most = 0;

	(void)state;
	for (uint32_t n = 0; n < 400; n++) {
		struct swm_id id;
		char text[16];
		snprintf(text, sizeof(text), "%u", n);
		const struct swm_str part = str(text);
		swm_id_of(&part, 1, &id);
		for (uint32_t attempts = 1; attempts <= 12; attempts++) {
			const int64_t full =
				attempts < 7 ? INT64_C(1000) << (attempts - 1) : 60000;
			const int64_t delay = swm_backoff_ms(&task, attempts, &id);
			assert_true(delay <= full);
			assert_true(delay * 4 >= full * 3);
			assert_int_equal(delay, swm_backoff_ms(&task, attempts, &id));
			differ = differ || delay != full;
		}
		const int64_t first = swm_backoff_ms(&task, 1, &id);
		least = first < least ? first : least;
		most = first > most ? first : most;
		const int64_t delay = swm_backoff_ms(&huge, SWM_ATTEMPTS_MAX, &id);
		assert_true(delay <= SWM_DURATION_MAX_MS && delay > 0);
	}
	assert_true(differ);
	assert_true(most - least > 200); /* spread over the quarter */
}

static void check_same(const char *a, const char *b, bool expected)
{
	bool same = !expected;

	assert_int_equal(swm_template_same(str(a), str(b), &same), SWM_OK);
	if (same != expected) {
		fail_msg("%s and %s", a, b);
	}
}

static void test_same(void **state)
{
	bool same = true;

	(void)state;
	check_same(
		"{\"a\":1,\"b\":[true,null]}", "{ \"b\" : [ true, null ],\n \"a\":1 }", true);
	check_same("{\"a\":0.1}", "{\"a\":1e-1}", true);
	check_same("{\"a\":\"\\u0041\"}", "{\"a\":\"A\"}", true);
	check_same("{\"a\":1}", "{\"a\":2}", false);
	check_same("{\"a\":1}", "{\"a\":1,\"b\":1}", false);
	check_same("{\"a\":[1,2]}", "{\"a\":[2,1]}", false);
	check_same("{\"a\":\"1\"}", "{\"a\":1}", false);
	assert_int_equal(swm_template_same(str("{"), str("{}"), &same), SWM_E_INVALID);
	assert_int_equal(swm_template_same(str("{}"), str("]"), &same), SWM_E_INVALID);
}

/* Without `out` it only checks; with errors `out` is left alone. */
static void test_outputs(void **state)
{
	struct swm_findings findings;
	struct swm_template *out = (struct swm_template *)&findings;

	(void)state;
	assert_int_equal(
		swm_template_read(str(HEAD STAGE("S", "1", "") "]}"), 1, NULL, &findings),
		SWM_OK);
	assert_int_equal(findings.errors, 0);
	swm_findings_finish(&findings);
	assert_int_equal(swm_template_read(str(HEAD "]}"), 1, &out, &findings), SWM_E_INVALID);
	assert_ptr_equal(out, &findings);
	assert_true(findings.errors > 0);
	swm_findings_finish(&findings);
	assert_int_equal(findings.count, 0);
	swm_findings_finish(&findings);
}

/* The largest template that is allowed, and the most findings that are kept. */
static void test_largest(void **state)
{
	char *text = malloc(SWM_TEMPLATE_MAX_BYTES);
	size_t len = (size_t)sprintf(text, HEAD);
	int task = 0;

	(void)state;
	for (int stage = 0; stage < SWM_STAGES_MAX; stage++) {
		len += (size_t)sprintf(text + len,
			"%s{\"stage_name\":\"s%d\",\"stage_order\":%d,\"tasks\":[",
			stage > 0 ? "," : "", stage, stage);
		for (int i = 0; i < SWM_TASKS_MAX / SWM_STAGES_MAX; i++, task++) {
			len += (size_t)sprintf(text + len,
				"%s{\"task_name\":\"t%d\",\"task_queue\":\"q\"}",
				i > 0 ? "," : "", task);
		}
		len += (size_t)sprintf(text + len, "]}");
	}
	memcpy(text + len, "]}", sizeof("]}"));
	struct swm_template *template = compile(text);
	assert_int_equal(template->stage_count, SWM_STAGES_MAX);
	assert_int_equal(template->task_count, SWM_TASKS_MAX);
	assert_int_equal(template->tasks[SWM_TASKS_MAX - 1].stage, SWM_STAGES_MAX - 1);
	swm_template_destroy(template);
	for (char *at = text; (at = strstr(at, "task_queue")) != NULL; at++) {
		*at = 'T';
	}
	struct swm_findings findings;
	assert_int_equal(swm_template_read(str(text), 1, NULL, &findings), SWM_E_INVALID);
	assert_int_equal(findings.count, SWM_FINDINGS_MAX);
	assert_true(findings.errors >= SWM_TASKS_MAX);
	swm_findings_finish(&findings);
	free(text);
}

/* A stage of as many tasks with as many parents as there may be; each parent is one of the
 * tasks before, or `unknown`. */
static char *dense_text(bool unknown)
{
	char *text = malloc(SWM_TEMPLATE_MAX_BYTES);
	size_t len = (size_t)sprintf(
		text, HEAD "{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":[");

	for (int i = 0; i < SWM_TASKS_MAX; i++) {
		len += (size_t)sprintf(text + len,
			"%s{\"task_name\":\"t%d\",\"task_queue\":\"q\",\"parent_task\":[",
			i > 0 ? "," : "", i);
		const int first = i > SWM_PARENTS_MAX ? i - SWM_PARENTS_MAX : 0;
		for (int parent = first; parent < i; parent++) {
			len += (size_t)sprintf(text + len, "%s\"%s%d\"",
				parent > first ? "," : "", unknown ? "no" : "t", parent);
		}
		len += (size_t)sprintf(text + len, "]}");
	}
	(void)sprintf(text + len, "]}]}");
	return text;
}

/* An orchestrator compiles what somebody has applied, while others wait: it must not take
 * seconds. (Found by name in a list, these 63,456 parents took three, and reporting them
 * as unknown eighteen.) */
static void test_densest(void **state)
{
	const clock_t begin = clock();
	struct swm_findings findings;
	char *text = dense_text(false);
	struct swm_template *template = compile(text);

	(void)state;
	assert_int_equal(template->tasks[SWM_TASKS_MAX - 1].parent_count, SWM_PARENTS_MAX);
	assert_int_equal(template->tasks[0].child_count, SWM_PARENTS_MAX);
	swm_template_destroy(template);
	free(text);
	text = dense_text(true);
	assert_int_equal(swm_template_read(str(text), 1, NULL, &findings), SWM_E_INVALID);
	assert_int_equal(findings.count, SWM_FINDINGS_MAX);
	assert_true(findings.errors > 60000);
	swm_findings_finish(&findings);
	free(text);
	/* Of the processor's time; a sanitizer makes it ten times as long. */
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 10);
}

/* Names of many bytes: a message or pointer that is cut is still text. */
static void test_cut_messages(void **state)
{
	static char text[8192];
	static char names[5][SWM_NAME_MAX + 1];
	struct swm_findings findings;
	size_t len = (size_t)snprintf(
		text, sizeof(text), HEAD "{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":[");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		for (size_t at = 0; at + 3 < SWM_NAME_MAX - 4; at += 3) {
			memcpy(names[i] + at, "\xe2\x82\xac", 3);
		}
		names[i][strlen(names[i])] = (char)('a' + (char)i);
	}
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
			"%s{\"task_name\":\"%s\",\"task_queue\":\"q\",\"parent_task\":[\"%s\"],"
			"\"%s%s\":{\"a\":1},\"task_queue%s\":1}",
			i > 0 ? "," : "", names[i], names[(i + 1) % COUNT_OF(names)], names[i],
			names[0], names[i]);
	}
	snprintf(text + len, sizeof(text) - len, "]}]}");
	assert_int_equal(swm_template_read(str(text), 1, NULL, &findings), SWM_E_INVALID);
	assert_true(findings.count > 0);
	for (size_t i = 0; i < findings.count; i++) {
		json_t *message = json_string(findings.items[i].message);
		json_t *pointer = json_string(findings.items[i].pointer);
		if (message == NULL || pointer == NULL) {
			fail_msg("not UTF-8: %s: %s", findings.items[i].pointer,
				findings.items[i].message);
		}
		json_decref(message);
		json_decref(pointer);
	}
	swm_findings_finish(&findings);
}

/* The fields of a task have to leave room for data in a message. */
static void test_fields_over_limit(void **state)
{
	const size_t max = SWM_MESSAGE_MAX_BYTES - SWM_DATA_MAX_BYTES - 4096;
	char *text = malloc(SWM_TEMPLATE_MAX_BYTES);

	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct swm_findings findings;
		size_t len = (size_t)sprintf(text,
			HEAD "{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
			     "{\"task_name\":\"a\",\"task_queue\":\"q\",\"note\":\"");
		const size_t fill = max - strlen("note\"\"") - 4 + over;
		memset(text + len, 'x', fill);
		(void)sprintf(text + len + fill, "\"}]}]}");
		assert_int_equal(swm_template_read(str(text), 1, NULL, &findings),
			over ? SWM_E_INVALID : SWM_OK);
		assert_int_equal(findings.errors, over);
		if (over) {
			assert_string_equal(findings.items[0].pointer, "/stages/0/tasks/0");
			assert_non_null(strstr(findings.items[0].message, "additional fields"));
		}
		swm_findings_finish(&findings);
	}
	free(text);
}

/* A pointer longer than its place ends with dots, not within a letter. */
static void test_long_pointer(void **state)
{
	static char text[2048];
	char key[120] = "";
	struct swm_findings findings;

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		(void)strcat(key, i < 20 ? "~~" : "\xe2\x82\xac");
	}
	(void)snprintf(text, sizeof(text),
		HEAD STAGE("S", "1",
			"{\"task_name\":\"a\",\"task_queue\":\"q\",\"retry\":{\"max_attempts\":"
			"2,"
			"\"%s\":1}}") "]}",
		key);
	assert_int_equal(swm_template_read(str(text), 1, NULL, &findings), SWM_E_INVALID);
	assert_int_equal(findings.count, 1);
	const char *pointer = findings.items[0].pointer;
	json_t *string = json_string(pointer);
	assert_non_null(string);
	json_decref(string);
	assert_memory_equal(pointer, "/stages/0/tasks/0/retry/~0~0", 28);
	assert_string_equal(pointer + strlen(pointer) - 3, "...");
	assert_in_range(strlen(pointer), sizeof(findings.items[0].pointer) - 4,
		sizeof(findings.items[0].pointer) - 1);
	swm_findings_finish(&findings);
}

/* More tasks in one stage than there may be in all: said once, not task by task. */
static void test_too_many_tasks_in_a_stage(void **state)
{
	char *text = malloc(SWM_TEMPLATE_MAX_BYTES);
	struct swm_findings findings;
	size_t len = (size_t)sprintf(
		text, HEAD "{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":[");

	(void)state;
	for (int i = 0; i <= SWM_TASKS_MAX; i++) {
		len += (size_t)sprintf(text + len, "%s7", i > 0 ? "," : "");
	}
	(void)sprintf(text + len, "]}]}");
	assert_int_equal(swm_template_read(str(text), 1, NULL, &findings), SWM_E_INVALID);
	assert_int_equal(findings.count, 1);
	assert_non_null(
		strstr(findings.items[0].message, "1025 tasks, over the limit of 1024"));
	swm_findings_finish(&findings);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pizza),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_densest),
		cmocka_unit_test(test_cut_messages),
		cmocka_unit_test(test_backoff_below_its_default),
		cmocka_unit_test(test_fields_over_limit),
		cmocka_unit_test(test_long_pointer),
		cmocka_unit_test(test_too_many_tasks_in_a_stage),
	};

	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
