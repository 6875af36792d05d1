/* SPDX-License-Identifier: MIT */
/*
 * Bodies of instances: written as the format says, read back whole, and refused when
 * they are anything else.
 */

#include "support.h"

static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S1\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"business_status\":\"A DONE\"},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"parent_task\":[\"a\"]}]},"
	"{\"stage_name\":\"S2\",\"stage_order\":2,\"tasks\":["
	"{\"task_name\":\"c\",\"task_queue\":\"q\"}]}]}";

static struct walk walk;

static int setup(void **state)
{
	(void)state;
	walk_init(&walk, template_text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	walk_finish(&walk);
	return 0;
}

/* Reads what was written and writes it again. */
static void check_round_trip(void)
{
	struct swm_instance *read = NULL;
	struct swm_error err = {0};
	char before[4096];

	snprintf(before, sizeof(before), "%s", walk_body(&walk));
	const swm_status status = swm_instance_read(walk.template, str(before), &read, &err);
	if (status != SWM_OK) {
		fail_msg("%s: %d, %s", before, (int)status, err.message);
	}
	swm_instance_destroy(walk.instance);
	walk.instance = read;
	assert_string_equal(walk_body(&walk), before);
	struct swm_instance *copy = swm_instance_copy(read);
	assert_non_null(copy);
	swm_instance_destroy(walk.instance);
	walk.instance = copy;
	assert_string_equal(walk_body(&walk), before);
}

static void test_bodies(void **state)
{
	(void)state;
	assert_string_equal(
		walk_body(&walk), "{\"f\":1,\"seq\":0,\"stage\":0,\"tasks\":[[0],[0],[0]]}");
	assert_int_equal(
		walk_send(&walk, "StartWorkflow", NULL, NULL, 0, ",\"data\":{\"n\":0.10}"),
		SWM_APPLIED);
	assert_string_equal(walk_body(&walk),
		"{\"f\":1,\"seq\":1,\"stage\":0,\"data\":{\"n\":0.1},"
		"\"tasks\":[[1,1,1561718742000],[0],[0]]}");
	check_round_trip();
	assert_int_equal(
		walk_send(&walk, "TaskFailed", "S1", "a", 0, ",\"reason\":\"no \\\"x\\\"\""),
		SWM_APPLIED);
	assert_string_equal(walk_body(&walk),
		"{\"f\":1,\"seq\":2,\"stage\":0,\"data\":{\"n\":0.1},"
		"\"tasks\":[[3,1,1561718743000,0,0,0,\"no \\\"x\\\"\"],[0],[0]]}");
	assert_int_equal(swm_instance_status(walk.instance), SWM_STATUS_FAILED);
	check_round_trip();
	assert_int_equal(swm_instance_status(walk.instance), SWM_STATUS_FAILED);
	assert_int_equal(walk_send(&walk, "TaskCompleted", "S1", "a", 0, NULL), SWM_APPLIED);
	check_round_trip();
	assert_str(swm_instance_business_status(walk.instance), "A DONE");
	assert_str(swm_instance_stage(walk.instance), "S1");
	assert_int_equal(walk_send(&walk, "TaskCompleted", "S1", "b", 0, NULL), SWM_APPLIED);
	check_round_trip();
	assert_str(swm_instance_stage(walk.instance), "S2");
	assert_str(swm_instance_business_status(walk.instance), "A DONE");
	assert_int_equal(walk_send(&walk, "TaskPending", "S2", "c", 0, NULL), SWM_APPLIED);
	check_round_trip();
	assert_int_equal(walk_task(&walk, "S2", "c")->resends, 1);
	assert_int_equal(walk_send(&walk, "TaskCompleted", "S2", "c", 0, NULL), SWM_APPLIED);
	check_round_trip();
	assert_int_equal(swm_instance_status(walk.instance), SWM_STATUS_COMPLETED);
	assert_null(swm_instance_stage(walk.instance).ptr);
	assert_true(swm_instance_bytes(walk.instance) >=
		    sizeof(struct swm_instance) + 3 * sizeof(struct swm_task_state));
}

static void check_body(const char *body, swm_status expected)
{
	struct swm_instance *out = (struct swm_instance *)&walk;
	struct swm_error err = {0};
	const swm_status status = swm_instance_read(walk.template, str(body), &out, &err);

	if (status != expected) {
		fail_msg("%s: %d, not %d", body, (int)status, (int)expected);
	}
	if (status == SWM_OK) {
		swm_instance_destroy(out);
	} else {
		assert_ptr_equal(out, &walk);
		assert_true(err.message[0] != '\0');
	}
}

static void test_corrupt(void **state)
{
	static const char *const bodies[] = {
		"",
		"x",
		"[]",
		"{}",
		"null",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}}",
		"{\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":\"1\",\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":0,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":-1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1.0,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":-1,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":9223372036854775807,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1.5,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":-1,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":3,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":65536,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":\"S1\",\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[-1],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":{}}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[0],[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[0,[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[4,1,1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[-1,1,1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[\"1\",1,1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,-1,1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,4294967296,1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,\"x\"],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,1,8],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,1,-1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,1,0,-1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,1,0,0,-1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[3,1,1,0,0,0,7],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[3,1,1,0,0,0,\"r\",1],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"bs\":3,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"bs\":-1,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"bs\":\"A\",\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":4,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":-1,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":true,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"data\":[],\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"seq\":2,\"stage\":0,\"tasks\":[[0],[0],[0]]}",
		"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[3,1,1,0,0,0,\"\xff\"],[0],[0]]}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bodies); i++) {
		check_body(bodies[i], SWM_E_CORRUPT);
	}
}

/* A newer release's: whatever else it holds, it is not called corrupt. */
static void test_newer(void **state)
{
	(void)state;
	check_body("{\"f\":2}", SWM_E_UNSUPPORTED);
	check_body("{\"f\":2,\"seq\":{},\"new\":[[[[]]]],\"tasks\":7}", SWM_E_UNSUPPORTED);
	check_body("{\"f\":9223372036854775807,\"seq\":1}", SWM_E_UNSUPPORTED);
	check_body("{\"seq\":1,\"stage\":9,\"f\":3}", SWM_E_UNSUPPORTED);
}

/* Room for the operator's events. */
static void test_flags(void **state)
{
	static const struct {
		const char *body;
		enum swm_instance_status status;
	} rows[] = {
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,1],[0],[0]]}",
			SWM_STATUS_ACTIVE},
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":1,\"tasks\":[[1,1,1],[0],[0]]}",
			SWM_STATUS_CANCELLED},
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":3,\"tasks\":[[3,1,1],[0],[0]]}",
			SWM_STATUS_CANCELLED},
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"flags\":2,\"tasks\":[[3,1,1],[0],[0]]}",
			SWM_STATUS_PAUSED},
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[3,1,1],[0],[0]]}",
			SWM_STATUS_FAILED},
		{"{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[3,1,1,1],[0],[0]]}",
			SWM_STATUS_ACTIVE},
		{"{\"f\":1,\"seq\":1,\"stage\":2,\"tasks\":[[2,1,1],[2,1,1],[2,1,1,4]]}",
			SWM_STATUS_COMPLETED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct swm_error err = {0};
		swm_instance_destroy(walk.instance);
		walk.instance = NULL;
		const swm_status status = swm_instance_read(
			walk.template, str(rows[i].body), &walk.instance, &err);
		if (status != SWM_OK) {
			walk.instance = swm_instance_create(walk.template);
			fail_msg("%s: %s", rows[i].body, err.message);
		}
		assert_string_equal(walk_body(&walk), rows[i].body);
		assert_int_equal(swm_instance_status(walk.instance), rows[i].status);
	}
}

/* An answer to a cancelled instance does not count. */
static void test_cancelled(void **state)
{
	static const char *const events[] = {
		"TaskCompleted", "TaskFailed", "TaskTimedOut", "TaskPending"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(events); i++) {
		swm_instance_destroy(walk.instance);
		walk.instance = NULL;
		assert_int_equal(swm_instance_read(walk.template,
					 str("{\"f\":1,\"seq\":3,\"stage\":0,\"flags\":1,"
					     "\"tasks\":[[1,1,1],[0],[0]]}"),
					 &walk.instance, NULL),
			SWM_OK);
		assert_int_equal(walk_send(&walk, events[i], "S1", "a", 0, NULL), SWM_IGNORED);
		assert_int_equal(walk.effects.owed_count, 0);
		assert_string_equal(walk_body(&walk),
			"{\"f\":1,\"seq\":4,\"stage\":0,\"flags\":1,"
			"\"tasks\":[[1,1,1],[0],[0]]}");
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_str(swm_instance_status_name(SWM_STATUS_ACTIVE), "ACTIVE");
	assert_str(swm_instance_status_name(SWM_STATUS_FAILED), "FAILED");
	assert_str(swm_instance_status_name(SWM_STATUS_PAUSED), "PAUSED");
	assert_str(swm_instance_status_name(SWM_STATUS_COMPLETED), "COMPLETED");
	assert_str(swm_instance_status_name(SWM_STATUS_CANCELLED), "CANCELLED");
	assert_str(swm_task_status_name(SWM_TASK_PENDING), "PENDING");
	assert_str(swm_task_status_name(SWM_TASK_SCHEDULED), "SCHEDULED");
	assert_str(swm_task_status_name(SWM_TASK_COMPLETED), "COMPLETED");
	assert_str(swm_task_status_name(SWM_TASK_FAILED), "FAILED");
	/* A store may hold numbers of a newer release. */
	assert_str(swm_instance_status_name((enum swm_instance_status)9), "UNKNOWN");
	assert_str(swm_task_status_name((enum swm_task_status)9), "UNKNOWN");
	assert_str(swm_stage_status_name(walk.instance, 0), "NOT STARTED");
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	assert_str(swm_stage_status_name(walk.instance, 0), "ACTIVE");
	assert_str(swm_stage_status_name(walk.instance, 1), "NOT STARTED");
	assert_int_equal(walk_send(&walk, "TaskCompleted", "S1", "a", 0, NULL), SWM_APPLIED);
	assert_int_equal(walk_send(&walk, "TaskCompleted", "S1", "b", 0, NULL), SWM_APPLIED);
	assert_str(swm_stage_status_name(walk.instance, 0), "COMPLETED");
	assert_str(swm_stage_status_name(walk.instance, 1), "ACTIVE");
}

/* The body keeps the beginning of a long reason, and never half a letter. */
static void test_long_reason(void **state)
{
	static char more[2048];

	(void)state;
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	size_t len = (size_t)snprintf(more, sizeof(more), ",\"reason\":\"x");
	for (int i = 0; i < 300; i++) {
		len += (size_t)snprintf(more + len, sizeof(more) - len, "\xe2\x82\xac");
	}
	snprintf(more + len, sizeof(more) - len, "\"");
	assert_int_equal(walk_send(&walk, "TaskFailed", "S1", "a", 0, more), SWM_APPLIED);
	const char *reason = walk_task(&walk, "S1", "a")->reason;
	assert_non_null(reason);
	assert_int_equal(strlen(reason), 1 + 170 * 3); /* the last that fits SWM_REASON_MAX */
	check_round_trip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_reason, setup, teardown),
	};

	return cmocka_run_group_tests_name("instance", tests, NULL, NULL);
}
