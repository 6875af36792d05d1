/* SPDX-License-Identifier: MIT */
/*
 * The instance as people know it: the original manager's published document, which it
 * must contain value by value but for the time, which is ISO 8601 here.
 */

#include "support.h"

static struct walk walk;
static char *pizza;

static int setup(void **state)
{
	(void)state;
	pizza = file_read(PIZZA);
	walk_init(&walk, pizza);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	walk_finish(&walk);
	free(pizza);
	return 0;
}

static void send(const char *event, const char *stage, const char *task)
{
	char message[512];
	char where[256] = "";

	if (stage != NULL) {
		snprintf(where, sizeof(where), ",\"stage_name\":\"%s\",\"task_name\":\"%s\"",
			stage, task);
	}
	snprintf(message, sizeof(message),
		"{\"business_ref_no\":\"ORDER-001\",\"component_name\":\"ITALIAN\","
		"\"event_name\":\"%s\"%s}",
		event, where);
	assert_int_equal(walk_apply(&walk, message, NULL), SWM_APPLIED);
}

static json_t *document(void)
{
	json_t *out = NULL;
	struct swm_error err = {0};

	const swm_status status = swm_document(
		walk.instance, str(pizza), str("ORDER-001"), walk.at_ms, &out, &err);
	if (status != SWM_OK) {
		fail_msg("%d: %s", (int)status, err.message);
	}
	return out;
}

/* At the pointer `path` (members and indices, '/' between). */
static const json_t *at(const json_t *value, const char *path)
{
	char copy[128];
	char *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *step = strtok_r(copy, "/", &rest); step != NULL;
		step = strtok_r(NULL, "/", &rest)) {
		value = json_is_array(value) ? json_array_get(value, strtoul(step, NULL, 10))
					     : json_object_get(value, step);
	}
	return value;
}

static void check(const json_t *value, const char *path, const char *expected)
{
	const char *text = json_string_value(at(value, path));

	if (text == NULL || strcmp(text, expected) != 0) {
		fail_msg("%s is \"%s\", not \"%s\"", path, text != NULL ? text : "(none)",
			expected);
	}
}

/* The moment that the original's example shows: order confirmed, food in the making. */
static void test_original(void **state)
{
	(void)state;
	send("StartWorkflow", NULL, NULL);
	send("TaskCompleted", "ORDER", "confirm_order");
	json_t *shown = document();

	check(shown, "business_ref_no", "ORDER-001");
	check(shown, "component_name", "ITALIAN");
	check(shown, "workflow_name", "Deliver Pizza");
	check(shown, "stages/0/stage_name", "START");
	check(shown, "stages/0/status", "COMPLETED");
	check(shown, "stages/1/status", "COMPLETED");
	check(shown, "stages/2/status", "ACTIVE");
	check(shown, "stages/3/status", "NOT STARTED");
	check(shown, "stages/1/tasks/0/task_name", "confirm_order");
	check(shown, "stages/1/tasks/0/task_queue", "confirm_order_queue");
	check(shown, "stages/1/tasks/0/task_type", "SERVICE");
	check(shown, "stages/1/tasks/0/business_status", "ORDER CONFIRMED");
	check(shown, "stages/1/tasks/0/status", "COMPLETED");
	check(shown, "stages/1/tasks/0/reason", "");
	check(shown, "stages/1/tasks/0/last_updated_time", "2019-06-28T10:45:43.000Z");
	check(shown, "stages/2/tasks/0/status", "SCHEDULED");
	check(shown, "stages/2/tasks/1/status", "SCHEDULED");
	check(shown, "stages/2/tasks/2/status", "PENDING");
	check(shown, "stages/2/tasks/2/parent_task/1", "assign_executive");
	check(shown, "stages/3/tasks/0/status", "PENDING");
	check(shown, "stages/3/tasks/0/assigned_to", "delivery_executive");
	check(shown, "updated_at", "2019-06-28T10:45:43.000Z");
	check(shown, "status", "ACTIVE");
	check(shown, "business_status", "ORDER CONFIRMED");
	assert_int_equal(json_integer_value(at(shown, "version")), 2);
	assert_true(json_is_real(at(shown, "stages/1/stage_order")));
	assert_int_equal(json_integer_value(at(shown, "stages/1/tasks/0/attempt")), 1);
	assert_null(at(shown, "stages/0/tasks"));
	assert_int_equal(json_array_size(at(shown, "stages")), 4);
	json_decref(shown);
}

static void test_failed(void **state)
{
	char message[512];

	(void)state;
	send("StartWorkflow", NULL, NULL);
	walk_message(message, sizeof(message), "TaskFailed", "ORDER", "confirm_order", 0,
		",\"reason\":\"no dough\"");
	assert_int_equal(walk_apply(&walk, message, NULL), SWM_APPLIED);
	json_t *shown = document();
	check(shown, "status", "FAILED");
	check(shown, "stages/1/status", "ACTIVE");
	check(shown, "stages/1/tasks/0/status", "FAILED");
	check(shown, "stages/1/tasks/0/reason", "no dough");
	json_decref(shown);
}

/* What the template leaves out is said all the same, and what was skipped is marked. */
static void test_defaults(void **state)
{
	static const char template_text[] =
		"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
		"{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
		"{\"task_name\":\"a\",\"task_queue\":\"q\"},"
		"{\"task_name\":\"b\",\"task_type\":\"HUMAN\"}]}]}";
	struct swm_error err = {0};
	struct walk other;
	json_t *shown = NULL;

	(void)state;
	walk_init(&other, template_text);
	swm_instance_destroy(other.instance);
	assert_int_equal(swm_instance_read(other.template,
				 str("{\"f\":1,\"seq\":2,\"stage\":0,"
				     "\"tasks\":[[2,1,5,4],[1,1,5]]}"),
				 &other.instance, &err),
		SWM_OK);
	assert_int_equal(
		swm_document(other.instance, str(template_text), str("R"), 5, &shown, &err),
		SWM_OK);
	check(shown, "stages/0/tasks/0/task_type", "SERVICE");
	check(shown, "stages/0/tasks/1/task_type", "HUMAN");
	assert_true(json_is_true(at(shown, "stages/0/tasks/0/skipped")));
	assert_null(at(shown, "stages/0/tasks/1/skipped"));
	assert_int_equal(json_array_size(at(shown, "stages/0/tasks/1/parent_task")), 0);
	json_decref(shown);
	walk_finish(&other);
}

/* As many stages, but others; or as many tasks as it does not have. */
static void test_other_stages(void **state)
{
	static const char *const texts[] = {
		"{\"stages\":[{\"stage_name\":\"START\"},{\"stage_name\":\"X\"},"
		"{\"stage_name\":\"Y\"},{\"stage_name\":\"Z\"}]}",
		"{\"stages\":[{\"stage_name\":\"START\"},{\"stage_name\":\"ORDER\",\"tasks\":"
		"[{},{}]},{\"stage_name\":\"PREPARE\"},{\"stage_name\":\"DELIVER\"}]}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		json_t *out = NULL;
		struct swm_error err = {0};
		assert_int_equal(
			swm_document(walk.instance, str(texts[i]), str("R"), 1, &out, &err),
			SWM_E_CORRUPT);
		assert_null(out);
		assert_non_null(strstr(err.message, "not the template of this instance"));
	}
}

static void test_other_template(void **state)
{
	static const char other[] = "{\"workflow_name\":\"W\",\"component_name\":\"C\","
				    "\"stages\":[{\"stage_name\":\"S\",\"stage_order\":1}]}";
	static const char *const texts[] = {"", "[]", "{}", "{\"stages\":[]}", other};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		json_t *out = (json_t *)&walk;
		struct swm_error err = {0};
		assert_int_equal(
			swm_document(walk.instance, str(texts[i]), str("R"), 1, &out, &err),
			SWM_E_CORRUPT);
		assert_ptr_equal(out, &walk);
		assert_true(err.message[0] != '\0');
	}
}

static void test_time(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{INT64_C(1561718743012), "2019-06-28T10:45:43.012Z"},
		{INT64_C(951782400999), "2000-02-29T00:00:00.999Z"},
		{INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
	};
	char *out = malloc(SWM_TIME_MAX); /* exactly: a sanitizer sees one byte too many */

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		swm_time_write(rows[i].ms, out);
		assert_string_equal(out, rows[i].text);
	}
	swm_time_write(INT64_MAX, out);
	assert_true(strnlen(out, SWM_TIME_MAX) < SWM_TIME_MAX);
	swm_time_write(INT64_MIN, out);
	assert_true(strnlen(out, SWM_TIME_MAX) < SWM_TIME_MAX);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_original, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_template, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_stages, setup, teardown),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests_name("document", tests, NULL, NULL);
}
