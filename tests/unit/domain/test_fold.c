/* SPDX-License-Identifier: MIT */
/*
 * The fold over a log that has been tampered with or lost a record: it must say so, and
 * leave the instance as it stood. That it repeats a good log is shown by each case.
 */

#include "support.h"

static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"retry\":{\"max_attempts\":3}}]}]}";

static struct walk walk;
static struct swm_instance *folded;
static char message[512];

static int setup(void **state)
{
	(void)state;
	walk_init(&walk, template_text);
	folded = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	swm_instance_destroy(folded);
	walk_finish(&walk);
	return 0;
}

static struct swm_record record_of(
	int64_t sequence, const char *event, enum swm_outcome outcome, const char *more)
{
	const bool start = strcmp(event, "StartWorkflow") == 0;

	walk_message(message, sizeof(message), event, start ? NULL : "S", start ? NULL : "a", 0,
		more);
	return (struct swm_record){str("raw"), str(message), sequence, sequence * 1000, outcome,
		start ? SWM_RULES : 0};
}

static void good(const struct swm_record *record)
{
	struct swm_error err = {0};

	if (swm_fold(walk.template, record, &folded, &err) != SWM_OK) {
		fail_msg("%s", err.message);
	}
	assert_int_equal(folded->sequence, record->sequence);
}

static void bad(const struct swm_record *record, swm_status expected)
{
	struct swm_error err = {0};
	char before[4096] = "";
	const struct swm_instance *same = folded;

	if (folded != NULL) {
		struct swm_json_out out;
		swm_json_out_init(&out, before, sizeof(before) - 1);
		swm_instance_write(folded, &out);
	}
	assert_int_equal(swm_fold(walk.template, record, &folded, &err), expected);
	assert_true(err.message[0] != '\0');
	assert_ptr_equal(folded, same);
	if (folded != NULL) {
		char after[4096] = "";
		struct swm_json_out out;
		swm_json_out_init(&out, after, sizeof(after) - 1);
		swm_instance_write(folded, &out);
		assert_string_equal(after, before);
	}
}

static void test_gap(void **state)
{
	(void)state;
	struct swm_record record = record_of(2, "StartWorkflow", SWM_APPLIED, NULL);
	bad(&record, SWM_E_CORRUPT);
	record.sequence = 1;
	good(&record);
	record = record_of(3, "TaskFailed", SWM_APPLIED, NULL);
	bad(&record, SWM_E_CORRUPT);
	record.sequence = 1;
	bad(&record, SWM_E_CORRUPT);
	record.sequence = 2;
	good(&record);
	assert_int_equal(folded->tasks[0].status, SWM_TASK_FAILED);
}

static void test_rules(void **state)
{
	(void)state;
	struct swm_record record = record_of(1, "StartWorkflow", SWM_APPLIED, NULL);
	record.rules = SWM_RULES + 1;
	bad(&record, SWM_E_UNSUPPORTED);
	record.rules = 0;
	bad(&record, SWM_E_UNSUPPORTED);
	record.rules = SWM_RULES;
	good(&record);
}

static void test_body(void **state)
{
	(void)state;
	struct swm_record record = record_of(1, "StartWorkflow", SWM_APPLIED, NULL);
	record.body.len--;
	bad(&record, SWM_E_CORRUPT);
	record.body.len++;
	good(&record);
	record = record_of(2, "TaskFailed", SWM_APPLIED, NULL);
	record.body = str("{\"event_name\":\"TaskFailed\"}");
	bad(&record, SWM_E_CORRUPT);
}

/* A record that claims more than its event can do. */
static void test_outcome(void **state)
{
	(void)state;
	struct swm_record record = record_of(1, "StartWorkflow", SWM_APPLIED, NULL);
	good(&record);
	record = record_of(2, "TaskCompleted", SWM_APPLIED, ",\"attempt\":7");
	bad(&record, SWM_E_CORRUPT);
	record = record_of(2, "StartWorkflow", SWM_APPLIED, NULL);
	bad(&record, SWM_E_CORRUPT);
}

/* What was not applied then is not applied now, whatever the settings are today. */
static void test_not_applied(void **state)
{
	(void)state;
	struct swm_record record = record_of(1, "StartWorkflow", SWM_APPLIED, NULL);
	good(&record);
	record = record_of(2, "TaskCompleted", SWM_REJECTED, ",\"data\":{\"a\":1}");
	good(&record);
	record = record_of(3, "StartWorkflow", SWM_DUPLICATE, NULL);
	good(&record);
	record = record_of(4, "TaskFailed", SWM_IGNORED, NULL);
	good(&record);
	assert_int_equal(folded->tasks[0].status, SWM_TASK_SCHEDULED);
	assert_null(folded->data);
	record = record_of(5, "TaskCompleted", SWM_APPLIED, NULL);
	good(&record);
	assert_int_equal(swm_instance_status(folded), SWM_STATUS_COMPLETED);
}

/* More data than today's limit has been accepted once: that stands. */
static void test_larger_than_today(void **state)
{
	static char more[SWM_DATA_MAX_BYTES + 1024];
	static char body[sizeof(more) + 512];

	(void)state;
	size_t len = (size_t)snprintf(more, sizeof(more), ",\"data\":{\"a\":\"");
	memset(more + len, 'x', SWM_DATA_MAX_BYTES);
	len += SWM_DATA_MAX_BYTES;
	snprintf(more + len, sizeof(more) - len, "\"}");
	walk_message(body, sizeof(body), "StartWorkflow", NULL, NULL, 0, more);
	const struct swm_record record = {str("raw"), str(body), 1, 1, SWM_APPLIED, SWM_RULES};
	good(&record);
	assert_true(folded->data_len > SWM_DATA_MAX_BYTES);
}

/* At the limit a rejected event must leave no trace: the fold takes its sequence only.
 * And a failure owes no retry that could never be granted. */
static void test_last_attempt(void **state)
{
	char before[256];
	struct swm_task_state *task = &walk.instance->tasks[0];

	(void)state;
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	task->attempt = SWM_ATTEMPTS_MAX;
	task->base = SWM_ATTEMPTS_MAX - 1;
	assert_int_equal(walk_send(&walk, "TaskFailed", "S", "a", 0, NULL), SWM_APPLIED);
	assert_int_equal(walk_owed(&walk, SWM_MESSAGE_TASK_PENDING), 0);
	assert_int_equal(swm_instance_status(walk.instance), SWM_STATUS_FAILED);
	snprintf(before, sizeof(before), "%s", strstr(walk_body(&walk), "\"stage\""));
	assert_int_equal(walk_send(&walk, "TaskPending", "S", "a", 0, NULL), SWM_REJECTED);
	assert_string_equal(strstr(walk_body(&walk), "\"stage\""), before);
}

/* Nobody sends so often; the number must not begin anew all the same, since the ids of
 * the messages would. */
static void test_last_resend(void **state)
{
	(void)state;
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	walk.instance->tasks[0].resends = UINT32_MAX - 1;
	assert_int_equal(walk_send(&walk, "TaskPending", "S", "a", 0, NULL), SWM_APPLIED);
	assert_int_equal(walk_owed(&walk, SWM_MESSAGE_START_TASK), 1);
	assert_int_equal(walk_send(&walk, "TaskPending", "S", "a", 0, NULL), SWM_REJECTED);
	assert_str(walk.verdict.reason, "over the limit of resends");
	assert_int_equal(walk.instance->tasks[0].resends, UINT32_MAX);
	assert_int_equal(walk_owed(&walk, SWM_MESSAGE_START_TASK), 0);
}

/* The limit of an instance's data may be below that of a message's. */
static void test_start_over_the_limit(void **state)
{
	(void)state;
	walk.options.data_max_bytes = 8;
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0,
				 ",\"data\":{\"key\":\"value\"}"),
		SWM_REJECTED);
	assert_non_null(strstr(walk.verdict.reason.ptr, "over its limit of 8 bytes"));
	assert_null(walk.instance->data);
	assert_int_equal(walk.instance->tasks[0].status, SWM_TASK_PENDING);
	assert_int_equal(walk_owed(&walk, SWM_MESSAGE_START_TASK), 0);
}

/* A child that runs already, as an operator's event may leave it, is not sent again when
 * its parent completes; one whose retry was asked for while paused may be completed. */
static void test_child_under_way(void **state)
{
	static const char text[] =
		"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
		"{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
		"{\"task_name\":\"a\",\"task_queue\":\"q\"},"
		"{\"task_name\":\"b\",\"task_queue\":\"q\",\"parent_task\":[\"a\"]},"
		"{\"task_name\":\"c\",\"task_queue\":\"q\"},"
		"{\"task_name\":\"d\",\"task_queue\":\"q\",\"parent_task\":[\"a\",\"c\"]}]}]}";
	struct swm_error err = {0};
	struct walk other;

	(void)state;
	walk_init(&other, text);
	swm_instance_destroy(other.instance);
	assert_int_equal(swm_instance_read(other.template,
				 str("{\"f\":1,\"seq\":3,\"stage\":0,"
				     "\"tasks\":[[1,1,5],[1,2,6],[0,1,7,2],[0]]}"),
				 &other.instance, &err),
		SWM_OK);
	assert_int_equal(walk_send(&other, "TaskCompleted", "S", "a", 0, NULL), SWM_APPLIED);
	assert_int_equal(walk_owed(&other, SWM_MESSAGE_START_TASK), 0);
	assert_int_equal(walk_task(&other, "S", "b")->attempt, 2);
	assert_int_equal(walk_send(&other, "TaskCompleted", "S", "d", 0, NULL), SWM_IGNORED);
	assert_int_equal(walk_send(&other, "TaskCompleted", "S", "c", 0, NULL), SWM_APPLIED);
	assert_int_equal(walk_task(&other, "S", "c")->flags, 0);
	assert_int_equal(walk_owed(&other, SWM_MESSAGE_START_TASK), 1);
	walk_finish(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outcome, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_applied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_larger_than_today, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_attempt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_resend, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_over_the_limit, setup, teardown),
		cmocka_unit_test(test_child_under_way),
	};

	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
