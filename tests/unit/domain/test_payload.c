/* SPDX-License-Identifier: MIT */
/*
 * Ids and bodies of what goes out, away from a walk. The ids were worked out with
 * sha256sum over the length-prefixed parts.
 */

#include "support.h"

static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\"},{\"task_name\":\"b\",\"task_queue\":\"q\"}]"
	"}]}";

/* p() { printf '\0\0\0\0\0\0\0'; printf "\\$(printf %o ${#1})"; printf %s "$1"; }
 * for x in C R-1 S a 2 StartTask 0; do p "$x"; done | sha256sum | cut -c1-32 */
static void test_message_id(void **state)
{
	static struct walk walk;
	const struct swm_reference reference = {SWM_STR("C"), SWM_STR("R-1")};
	const struct swm_reference other = {SWM_STR("C"), SWM_STR("R-2")};
	struct swm_id ids[6];

	(void)state;
	walk_init(&walk, template_text);
	swm_message_id(&reference, walk.template, 0, 2, SWM_MESSAGE_START_TASK, 0, &ids[0]);
	assert_string_equal(ids[0].hex, "f730a36ffdb8d833d7302d7498e35159");
	swm_message_id(&reference, walk.template, 0, 2, SWM_MESSAGE_START_TASK, 1, &ids[1]);
	swm_message_id(&reference, walk.template, 0, 3, SWM_MESSAGE_START_TASK, 0, &ids[2]);
	swm_message_id(&reference, walk.template, 1, 2, SWM_MESSAGE_START_TASK, 0, &ids[3]);
	swm_message_id(&reference, walk.template, 0, 2, SWM_MESSAGE_TASK_TIMED_OUT, 0, &ids[4]);
	swm_message_id(&other, walk.template, 0, 2, SWM_MESSAGE_START_TASK, 0, &ids[5]);
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(ids[i].hex, ids[k].hex);
		}
	}
	walk_finish(&walk);
}

/* What we send ourselves when a broker refuses for good is a TaskFailed that counts. */
static void test_undeliverable(void **state)
{
	static struct walk walk;
	const struct swm_reference reference = {SWM_STR("C"), SWM_STR("R-1")};
	char body[512];
	struct swm_json_out out;

	(void)state;
	walk_init(&walk, template_text);
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	swm_json_out_init(&out, body, sizeof(body) - 1);
	swm_payload_undeliverable(&out, &reference, str("S"), str("a"), 1,
		str("undeliverable: \"q\" takes 80 bytes"));
	assert_true(swm_json_out_fits(&out));
	body[out.len] = '\0';
	assert_string_equal(body,
		"{\"business_ref_no\":\"R-1\",\"component_name\":\"C\",\"event_name\":"
		"\"TaskFailed\",\"stage_name\":\"S\",\"task_name\":\"a\",\"attempt\":1,"
		"\"reason\":\"undeliverable: \\\"q\\\" takes 80 bytes\"}");
	assert_int_equal(walk_apply(&walk, body, NULL), SWM_APPLIED);
	assert_string_equal(
		walk_task(&walk, "S", "a")->reason, "undeliverable: \"q\" takes 80 bytes");
	assert_int_equal(swm_instance_status(walk.instance), SWM_STATUS_FAILED);
	walk_finish(&walk);
}

/* A resend is the current payload under an id of its own; the next attempt begins anew. */
static void test_resend_ids(void **state)
{
	static struct walk walk;
	char first[SWM_ID_LEN + 1];

	(void)state;
	walk_init(&walk, template_text);
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	assert_string_equal(walk.effects.owed[0].id.hex,
		walk_id(&walk, "S", "a", 1, SWM_MESSAGE_START_TASK).hex);
	memcpy(first, walk.effects.owed[0].id.hex, sizeof(first));
	assert_int_equal(walk_send(&walk, "TaskPending", "S", "a", 0, NULL), SWM_APPLIED);
	assert_string_not_equal(walk.effects.owed[0].id.hex, first);
	json_t *body = json_loadb(
		walk.effects.owed[0].body.ptr, walk.effects.owed[0].body.len, 0, NULL);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(body, "_swm"), "message_id")),
		walk.effects.owed[0].id.hex);
	json_decref(body);
	assert_int_equal(walk_send(&walk, "TaskPending", "S", "a", 1, NULL), SWM_APPLIED);
	assert_string_equal(walk.effects.owed[0].id.hex,
		walk_id(&walk, "S", "a", 2, SWM_MESSAGE_START_TASK).hex);
	walk_finish(&walk);
}

/* Larger than any buffer of the writer's: the data alone is. */
static void test_large(void **state)
{
	static struct walk walk;
	static char more[SWM_DATA_MAX_BYTES + 64];

	(void)state;
	walk_init(&walk, template_text);
	size_t len = (size_t)snprintf(more, sizeof(more), ",\"data\":{\"a\":\"");
	const size_t room = SWM_DATA_MAX_BYTES - strlen("{\"a\":\"\"}");
	memset(more + len, 'x', room);
	len += room;
	snprintf(more + len, sizeof(more) - len, "\"}");
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, more), SWM_APPLIED);
	assert_int_equal(walk.effects.owed_count, 2);
	for (size_t i = 0; i < 2; i++) {
		json_error_t error;
		json_t *read = json_loadb(walk.effects.owed[i].body.ptr,
			walk.effects.owed[i].body.len, JSON_REJECT_DUPLICATES, &error);
		assert_non_null(read);
		assert_int_equal(
			json_string_length(json_object_get(json_object_get(read, "data"), "a")),
			room);
		json_decref(read);
	}
	walk_finish(&walk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_id),
		cmocka_unit_test(test_undeliverable),
		cmocka_unit_test(test_resend_ids),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
