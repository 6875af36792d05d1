/* SPDX-License-Identifier: MIT */
/*
 * Messages from outside: what is read, what is refused and why, and who they are.
 */

#include "support.h"

#define HEAD "{\"business_ref_no\":\"R-1\",\"component_name\":\"C\""
#define TASK ",\"stage_name\":\"S\",\"task_name\":\"T\""

static swm_status read_text(const char *text, struct swm_event *event, struct swm_error *err)
{
	return swm_event_read(str(text), &swm_event_limits_default, event, err);
}

static void test_all_fields(void **state)
{
	struct swm_event event;
	struct swm_error err = {0};

	(void)state;
	assert_int_equal(read_text("{\"reason\":\"r\",\"actor\":\"ann\",\"event_id\":\"e-1\","
				   "\"attempt\":7,\"data\":{\"a\":1},\"extra\":[1,{}],"
				   "\"task_name\":\"T\",\"stage_name\":\"S\","
				   "\"event_name\":\"TaskCompleted\",\"task_type\":\"SERVICE\","
				   "\"component_name\":\"C\",\"business_ref_no\":\"R-1\"}",
				 &event, &err),
		SWM_OK);
	assert_int_equal(event.kind, SWM_EVENT_TASK_COMPLETED);
	assert_int_equal(event.attempt, 7);
	assert_str(event.component, "C");
	assert_str(event.business_ref, "R-1");
	assert_str(event.stage, "S");
	assert_str(event.task, "T");
	assert_str(event.event_id, "e-1");
	assert_str(event.reason, "r");
	assert_str(event.actor, "ann");
	assert_true(json_is_object(event.data));
	swm_event_finish(&event);
}

static void test_kinds(void **state)
{
	static const char *const names[SWM_EVENT_KINDS] = {
		"StartWorkflow", "TaskCompleted", "TaskFailed", "TaskTimedOut", "TaskPending"};
	char text[256];

	(void)state;
	for (int kind = 0; kind < (int)SWM_EVENT_KINDS; kind++) {
		struct swm_event event;
		struct swm_error err = {0};

		assert_str(swm_event_name((enum swm_event_kind)kind), names[kind]);
		snprintf(text, sizeof(text), HEAD ",\"event_name\":\"%s\"%s}", names[kind],
			kind == 0 ? "" : TASK);
		assert_int_equal(read_text(text, &event, &err), SWM_OK);
		assert_int_equal(event.kind, kind);
		assert_int_equal(event.attempt, 0);
		assert_null(event.event_id.ptr);
		assert_null(event.reason.ptr);
		assert_null(event.data);
		assert_int_equal(event.template_version, 0);
		swm_event_finish(&event);
	}
}

static void test_start(void **state)
{
	struct swm_event event;
	struct swm_error err = {0};

	(void)state;
	assert_int_equal(read_text(HEAD ",\"event_name\":\"StartWorkflow\","
					"\"template_version\":3,\"data\":{}}",
				 &event, &err),
		SWM_OK);
	assert_int_equal(event.template_version, 3);
	assert_null(event.stage.ptr);
	assert_null(event.task.ptr);
	assert_non_null(event.data);
	swm_event_finish(&event);
}

/* A service may answer by copying the StartTask, with `_swm`. */
static void test_attempt_in_swm(void **state)
{
	struct swm_event event;
	struct swm_error err = {0};

	(void)state;
	assert_int_equal(read_text(HEAD TASK ",\"event_name\":\"TaskCompleted\",\"_swm\":"
					     "{\"message_id\":\"x\",\"attempt\":4,"
					     "\"template_version\":3}}",
				 &event, &err),
		SWM_OK);
	assert_int_equal(event.attempt, 4);
	assert_null(event.event_id.ptr);
	swm_event_finish(&event);
	assert_int_equal(read_text(HEAD TASK ",\"event_name\":\"TaskCompleted\",\"attempt\":5,"
					     "\"_swm\":{\"attempt\":4}}",
				 &event, &err),
		SWM_OK);
	assert_int_equal(event.attempt, 5);
	swm_event_finish(&event);
}

static void test_refused(void **state)
{
	/* The message must name the field. */
	static const struct {
		const char *text;
		const char *in_message;
	} rows[] = {
		{"", NULL},
		{"x", NULL},
		{"[]", NULL},
		{"\"StartWorkflow\"", NULL},
		{HEAD "}", "event_name"},
		{"{\"component_name\":\"C\",\"event_name\":\"StartWorkflow\"}",
			"business_ref_no"},
		{"{\"business_ref_no\":\"R\",\"event_name\":\"StartWorkflow\"}",
			"component_name"},
		{"{\"business_ref_no\":7,\"component_name\":\"C\",\"event_name\":"
		 "\"StartWorkflow\"}",
			"business_ref_no"},
		{"{\"business_ref_no\":\"\",\"component_name\":\"C\",\"event_name\":"
		 "\"StartWorkflow\"}",
			"business_ref_no"},
		{"{\"business_ref_no\":\"R\",\"component_name\":\"\",\"event_name\":"
		 "\"StartWorkflow\"}",
			"component_name"},
		{"{\"business_ref_no\":\"R\\nx\",\"component_name\":\"C\",\"event_name\":"
		 "\"StartWorkflow\"}",
			"business_ref_no"},
		{"{\"business_ref_no\":\"R\",\"component_name\":\"C\\u007f\",\"event_name\":"
		 "\"StartWorkflow\"}",
			"component_name"},
		{HEAD ",\"event_name\":\"StartTask\"" TASK "}", "StartTask"},
		{HEAD ",\"event_name\":\"taskcompleted\"" TASK "}", "event_name"},
		{HEAD ",\"event_name\":null" TASK "}", "event_name"},
		{HEAD ",\"event_name\":\"TaskCompleted\",\"task_name\":\"T\"}", "stage_name"},
		{HEAD ",\"event_name\":\"TaskCompleted\",\"stage_name\":\"S\"}", "task_name"},
		{HEAD ",\"event_name\":\"TaskPending\",\"stage_name\":\"S\",\"task_name\":[]}",
			"task_name"},
		{HEAD ",\"event_name\":\"TaskFailed\",\"attempt\":\"1\"" TASK "}", "attempt"},
		{HEAD ",\"event_name\":\"TaskFailed\",\"attempt\":1.5" TASK "}", "attempt"},
		{HEAD ",\"event_name\":\"TaskFailed\",\"attempt\":-1" TASK "}", "attempt"},
		{HEAD ",\"event_name\":\"TaskFailed\",\"attempt\":4294967297" TASK "}",
			"attempt"},
		{HEAD ",\"event_name\":\"TaskFailed\",\"_swm\":{\"attempt\":\"x\"}" TASK "}",
			"attempt"},
		{HEAD ",\"event_name\":\"TaskCompleted\",\"data\":[1]" TASK "}", "data"},
		{HEAD ",\"event_name\":\"StartWorkflow\",\"data\":\"x\"}", "data"},
		{HEAD ",\"event_name\":\"StartWorkflow\",\"template_version\":\"2\"}",
			"template_version"},
		{HEAD ",\"event_name\":\"StartWorkflow\",\"template_version\":-2}",
			"template_version"},
		{HEAD ",\"event_name\":\"StartWorkflow\",\"event_name\":\"TaskFailed\"}",
			"event_name"},
		{HEAD ",\"event_name\":\"StartWorkflow\",\"n\":9223372036854775808}", "/n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct swm_event event;
		struct swm_event before;
		struct swm_error err = {0};

		memset(&event, 0x5a, sizeof(event));
		before = event;
		const swm_status status = read_text(rows[i].text, &event, &err);
		/* A number out of its range may be called either. */
		if (status != SWM_E_INVALID && status != SWM_E_TOO_LARGE) {
			fail_msg("%s: status %d", rows[i].text, (int)status);
		}
		assert_memory_equal(&event, &before, sizeof(event));
		assert_true(err.message[0] != '\0');
		if (rows[i].in_message != NULL &&
			strstr(err.message, rows[i].in_message) == NULL) {
			fail_msg("%s: \"%s\" does not name %s", rows[i].text, err.message,
				rows[i].in_message);
		}
	}
}

/* One message with a field of `len` letters. */
static char *long_field(const char *field, size_t len)
{
	const char *names[] = {"business_ref_no", "component_name", "stage_name", "task_name",
		"event_id", "actor", "reason"};
	char *text = malloc(len + 1024);
	size_t at = (size_t)sprintf(text, "{\"event_name\":\"TaskFailed\"");

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const bool it = strcmp(names[i], field) == 0;
		at += (size_t)sprintf(text + at, ",\"%s\":\"", names[i]);
		memset(text + at, 'x', it ? len : 1);
		at += it ? len : 1;
		text[at++] = '"';
	}
	memcpy(text + at, "}", 2);
	return text;
}

static void test_limits(void **state)
{
	static const struct {
		const char *field;
		size_t max;
	} rows[] = {{"business_ref_no", SWM_BUSINESS_REF_MAX}, {"component_name", SWM_NAME_MAX},
		{"stage_name", SWM_NAME_MAX}, {"task_name", SWM_NAME_MAX},
		{"event_id", SWM_RAW_ID_MAX}, {"actor", SWM_ACTOR_MAX}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct swm_event event;
		struct swm_error err = {0};
		char *text = long_field(rows[i].field, rows[i].max);

		const swm_status at_limit = read_text(text, &event, &err);
		if (at_limit != SWM_OK) {
			fail_msg("%s at its limit: %s", rows[i].field, err.message);
		}
		swm_event_finish(&event);
		free(text);
		text = long_field(rows[i].field, rows[i].max + 1);
		const swm_status over = read_text(text, &event, &err);
		if (over != SWM_E_TOO_LARGE) {
			fail_msg("%s over its limit: %d", rows[i].field, (int)over);
		}
		assert_non_null(strstr(err.message, rows[i].field));
		free(text);
	}
}

static void test_sizes(void **state)
{
	const struct swm_event_limits limits = {200, 20};
	struct swm_event event;
	struct swm_error err = {0};
	char text[256];

	(void)state;
	assert_int_equal(swm_event_limits_default.message_bytes, SWM_MESSAGE_MAX_BYTES);
	assert_int_equal(swm_event_limits_default.data_bytes, SWM_DATA_MAX_BYTES);
	/* {"k":"0123456789ab"} is 20 bytes, however it is spaced. */
	snprintf(text, sizeof(text),
		HEAD
		",\"event_name\":\"StartWorkflow\",\"data\":{ \"k\" : \"0123456789ab\" }}");
	assert_int_equal(swm_event_read(str(text), &limits, &event, &err), SWM_OK);
	swm_event_finish(&event);
	snprintf(text, sizeof(text),
		HEAD ",\"event_name\":\"StartWorkflow\",\"data\":{\"k\":\"0123456789abc\"}}");
	assert_int_equal(swm_event_read(str(text), &limits, &event, &err), SWM_E_TOO_LARGE);
	assert_non_null(strstr(err.message, "data"));
	memset(text, ' ', sizeof(text));
	memcpy(text, HEAD, sizeof(HEAD) - 1);
	assert_int_equal(swm_event_read((struct swm_str){text, 201}, &limits, &event, &err),
		SWM_E_TOO_LARGE);
	assert_int_equal(swm_event_read(str("x"), &limits, &event, NULL), SWM_E_INVALID);
}

static void check_id(const char *component, const char *ref, const char *expected)
{
	char id[SWM_INSTANCE_ID_MAX + 1];
	size_t len = 0;

	assert_true(swm_instance_id_write(str(component), str(ref), id, &len));
	assert_int_equal(len, strlen(expected));
	assert_string_equal(id, expected);
}

static void test_instance_id(void **state)
{
	char long_ref[SWM_BUSINESS_REF_MAX];
	char id[SWM_INSTANCE_ID_MAX + 1];
	size_t len = 0;

	(void)state;
	check_id("ITALIAN", "ORDER-001", "ITALIAN/ORDER-001");
	check_id("A/B", "C", "A%2FB/C");
	check_id("A", "B/C", "A/B%2FC");
	check_id("100%", "a%2Fb", "100%25/a%252Fb");
	check_id("\xc3\xa9 ~", "\xf0\x9f\x8d\x95:*", "\xc3\xa9 ~/\xf0\x9f\x8d\x95:*");
	memset(long_ref, '%', sizeof(long_ref));
	/* 3 * 170 + 1 + 1 = 512 */
	assert_true(
		swm_instance_id_write(SWM_STR("C"), (struct swm_str){long_ref, 170}, id, &len));
	assert_int_equal(len, SWM_INSTANCE_ID_MAX);
	assert_int_equal(id[SWM_INSTANCE_ID_MAX], '\0');
	assert_false(swm_instance_id_write(
		SWM_STR("CC"), (struct swm_str){long_ref, 170}, id, &len));
	assert_false(swm_instance_id_write(
		SWM_STR("C"), (struct swm_str){long_ref, sizeof(long_ref)}, id, &len));
}

/* Names that fit but make an id that does not: parked, with a reason. */
static void test_instance_id_too_long(void **state)
{
	char ref[SWM_BUSINESS_REF_MAX + 1];
	char text[512];
	struct swm_event event;
	struct swm_error err = {0};

	(void)state;
	memset(ref, '/', SWM_BUSINESS_REF_MAX);
	ref[SWM_BUSINESS_REF_MAX] = '\0';
	snprintf(text, sizeof(text),
		"{\"business_ref_no\":\"%s\",\"component_name\":\"C\",\"event_name\":"
		"\"StartWorkflow\"}",
		ref);
	assert_int_equal(read_text(text, &event, &err), SWM_E_TOO_LARGE);
}

static void key_of(const char *text, const char *raw_id, struct swm_id *out)
{
	struct swm_event event;
	struct swm_error err = {0};

	assert_int_equal(read_text(text, &event, &err), SWM_OK);
	swm_event_key(&event, str(raw_id), out);
	swm_event_finish(&event);
}

static void test_key(void **state)
{
	static const char *const different[] = {
		HEAD TASK ",\"event_name\":\"TaskFailed\"}",
		HEAD TASK ",\"event_name\":\"TaskFailed\",\"attempt\":1}",
		HEAD TASK ",\"event_name\":\"TaskFailed\",\"attempt\":2}",
		HEAD TASK ",\"event_name\":\"TaskCompleted\"}",
		HEAD ",\"stage_name\":\"ST\",\"task_name\":\"\\u0020\",\"event_name\":"
		     "\"TaskFailed\"}",
		HEAD
		",\"stage_name\":\"S\",\"task_name\":\"T2\",\"event_name\":\"TaskFailed\"}",
	};
	struct swm_id keys[COUNT_OF(different)];
	struct swm_id key;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(different); i++) {
		key_of(different[i], "raw", &keys[i]);
		for (size_t before = 0; before < i; before++) {
			assert_string_not_equal(keys[i].hex, keys[before].hex);
		}
	}
	key_of(different[0], "raw2", &key);
	assert_string_not_equal(key.hex, keys[0].hex);
	/* Spacing, order and what we do not know make no other event. */
	key_of("{ \"x\": 1, \"event_name\":\"TaskFailed\" , \"task_name\":\"T\", "
	       "\"stage_name\":\"S\",\"component_name\":\"C\",\"business_ref_no\":\"R-1\"}",
		"raw", &key);
	assert_string_equal(key.hex, keys[0].hex);
	const struct swm_str parts[] = {SWM_STR("TaskFailed"), SWM_STR("S"), SWM_STR("T"),
		SWM_STR("-"), SWM_STR("raw")};
	swm_id_of(parts, COUNT_OF(parts), &key);
	assert_string_equal(key.hex, keys[0].hex);
	const struct swm_str second[] = {SWM_STR("TaskFailed"), SWM_STR("S"), SWM_STR("T"),
		SWM_STR("2"), SWM_STR("raw")};
	swm_id_of(second, COUNT_OF(second), &key);
	assert_string_equal(key.hex, keys[2].hex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_attempt_in_swm),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_instance_id),
		cmocka_unit_test(test_instance_id_too_long),
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
