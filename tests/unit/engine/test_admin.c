/* SPDX-License-Identifier: MIT */

/* What people do with a store: templates, instances as they were, waiting, parked ones. */

#include "rig.h"

#include "admin.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct desk {
	struct rig *rig;
	struct swm_admin admin;
	struct swm_error err;
};

static int setup(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	assert_non_null(desk);
	desk->rig = rig_create();
	struct swm_admin_args args = {
		.env = fake_host_env(desk->rig->world.host),
		.store_ops = &fake_store_ops,
		.store = desk->rig->world.store,
		.limits = swm_event_limits_default,
	};
	assert_int_equal(swm_admin_open(&args, &desk->admin, &desk->err), SWM_OK);
	*state = desk;
	return 0;
}

static int teardown(void **state)
{
	struct desk *desk = *state;
	swm_admin_close(&desk->admin);
	rig_destroy(desk->rig);
	free(desk);
	return 0;
}

static swm_status apply(struct desk *desk, const char *text, struct swm_template_applied *out)
{
	struct swm_findings findings = {0};
	struct swm_template_apply request = {
		.text = swm_str_from(text),
		.author = SWM_STR("me"),
		.comment = SWM_STR("why"),
	};
	swm_status status =
		swm_admin_template_apply(&desk->admin, &request, out, &findings, &desk->err);
	swm_findings_finish(&findings);
	return status;
}

static const char one[] =
	"{\"workflow_name\":\"w\",\"component_name\":\"N\",\"stages\":[{\"stage_name\":\"A\","
	"\"stage_order\":1}]}";
static const char one_with_spaces[] =
	"{ \"workflow_name\": \"w\", \"component_name\": \"N\",\n \"stages\": "
	"[{\"stage_name\":\"A\",\"stage_order\":1}]}";
static const char two[] =
	"{\"workflow_name\":\"w\",\"component_name\":\"N\",\"stages\":[{\"stage_name\":\"B\","
	"\"stage_order\":1}]}";

static void applying_makes_versions(void **state)
{
	static const struct {
		const char *text;
		int64_t version;
		bool created;
	} steps[] = {{one, 1, true}, {one_with_spaces, 1, false}, {two, 2, true},
		{one, 3, true}, {one, 3, false}};
	struct desk *desk = *state;
	struct swm_template_applied applied;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(apply(desk, steps[i].text, &applied), SWM_OK);
		assert_string_equal(applied.component, "N");
		assert_int_equal(applied.version, steps[i].version);
		assert_int_equal(applied.created, steps[i].created);
	}
	struct swm_set set = {0};
	assert_int_equal(
		swm_admin_template_get(&desk->admin, SWM_STR("N"), 0, &set, &desk->err),
		SWM_OK);
	const struct swm_template_row *row = set.items;
	assert_int_equal(row->version, 3);
	assert_int_equal(row->sha256.len, 64);
	assert_true(swm_str_equal(row->author, SWM_STR("me")));
	swm_set_release(&set);
	assert_int_equal(
		swm_admin_template_get(&desk->admin, SWM_STR("N"), 9, &set, &desk->err),
		SWM_E_NOT_FOUND);
	assert_int_equal(
		swm_admin_template_get(&desk->admin, SWM_STR("M"), 0, &set, &desk->err),
		SWM_E_NOT_FOUND);
	assert_int_equal(apply(desk, "{\"component_name\":\"N\"}", &applied), SWM_E_INVALID);
}

static void shows_an_instance_now_and_then(void **state)
{
	struct desk *desk = *state;
	struct swm_admin_instance found = {0};
	send_start(&desk->rig->world, "1");
	rig_drain(desk->rig);
	send_completed(&desk->rig->world, "1", "ONE", "a");
	send_completed(&desk->rig->world, "1", "ONE", "b");
	rig_drain(desk->rig);
	assert_int_equal(swm_admin_instance_get(
				 &desk->admin, SWM_STR("T"), SWM_STR("1"), &found, &desk->err),
		SWM_OK);
	assert_int_equal(found.sequence, 3);
	assert_int_equal(found.instance->stage, 1);
	assert_non_null(found.template_text.ptr);
	swm_admin_instance_finish(&found);
	for (int64_t sequence = 1; sequence <= 3; sequence++) {
		assert_int_equal(swm_admin_instance_at(&desk->admin, SWM_STR("T"), SWM_STR("1"),
					 sequence, &found, &desk->err),
			SWM_OK);
		assert_int_equal(found.instance->sequence, sequence);
		assert_int_equal(found.instance->tasks[0].status,
			sequence >= 2 ? SWM_TASK_COMPLETED : SWM_TASK_SCHEDULED);
		swm_admin_instance_finish(&found);
	}
	assert_int_equal(swm_admin_instance_at(&desk->admin, SWM_STR("T"), SWM_STR("1"), 4,
				 &found, &desk->err),
		SWM_E_NOT_FOUND);
	assert_int_equal(swm_admin_instance_get(
				 &desk->admin, SWM_STR("T"), SWM_STR("2"), &found, &desk->err),
		SWM_E_NOT_FOUND);
}

/* A row as the store has it, but for what `change` does to it. */
static swm_status verify_changed(
	struct desk *desk, void (*change)(struct swm_instance_row *row))
{
	struct swm_set set = {0};
	struct swm_instance_filter filter = {.size = sizeof(filter)};
	struct swm_page page = {.limit = 10};
	assert_int_equal(
		fake_store_ops.instance_list(desk->admin.session, &filter, &page, &set, NULL),
		SWM_OK);
	assert_int_equal(set.count, 1);
	struct swm_instance_row row = *(const struct swm_instance_row *)set.items;
	change(&row);
	swm_status status = swm_admin_instance_verify(&desk->admin, &row, &desk->err);
	swm_set_release(&set);
	return status;
}

static void change_nothing(struct swm_instance_row *row)
{
	(void)row;
}

static void change_body(struct swm_instance_row *row)
{
	row->body.len--;
}

static void change_status(struct swm_instance_row *row)
{
	row->status = SWM_STATUS_COMPLETED;
}

static void one_more(struct swm_instance_row *row)
{
	row->sequence++;
}

static void one_less(struct swm_instance_row *row)
{
	row->sequence--;
}

static void verifies_against_the_log(void **state)
{
	struct desk *desk = *state;
	send_start(&desk->rig->world, "1");
	send_completed(&desk->rig->world, "1", "ONE", "a");
	rig_drain(desk->rig);
	assert_int_equal(verify_changed(desk, change_nothing), SWM_OK);
	assert_int_equal(verify_changed(desk, change_body), SWM_E_CORRUPT);
	assert_int_equal(verify_changed(desk, change_status), SWM_E_CORRUPT);
	assert_int_equal(verify_changed(desk, one_more), SWM_E_CORRUPT);
	assert_int_equal(verify_changed(desk, one_less), SWM_E_CONFLICT);
}

#define TASK_COMPLETED \
	"{\"event_name\":\"TaskCompleted\",\"component_name\":\"T\",\"business_ref_no\":" \
	"\"1\"," \
	"\"stage_name\":\"ONE\",\"task_name\":\"a\""

static void waits_for_the_verdict(void **state)
{
	struct desk *desk = *state;
	struct swm_str body = SWM_STR(TASK_COMPLETED ",\"event_id\":\"done-1-a\"}");
	struct swm_admin_verdict verdict = {0};
	send_start(&desk->rig->world, "1");
	rig_drain(desk->rig);
	assert_int_equal(swm_admin_event_wait(&desk->admin, body, (struct swm_str){0}, 200,
				 &verdict, &desk->err),
		SWM_E_TIMEOUT);
	send_completed(&desk->rig->world, "1", "ONE", "a");
	rig_drain(desk->rig);
	assert_int_equal(swm_admin_event_wait(&desk->admin, body, (struct swm_str){0}, 200,
				 &verdict, &desk->err),
		SWM_OK);
	assert_int_equal(verdict.outcome, SWM_OUTCOME_APPLIED);
	assert_int_equal(verdict.sequence, 2);
	send_event(&desk->rig->world, "TaskCompleted", "T", "1", "ONE", "a", "again");
	rig_drain(desk->rig);
	body = SWM_STR(TASK_COMPLETED "}");
	assert_int_equal(swm_admin_event_wait(&desk->admin, body, SWM_STR("again"), 200,
				 &verdict, &desk->err),
		SWM_OK);
	assert_int_equal(verdict.outcome, SWM_OUTCOME_DUPLICATE);
	assert_true(strlen(verdict.reason) > 0);
	assert_int_equal(swm_admin_event_wait(&desk->admin, body, (struct swm_str){0}, 200,
				 &verdict, &desk->err),
		SWM_E_INVALID);
}

static void hears_that_an_event_is_parked(void **state)
{
	struct desk *desk = *state;
	struct swm_admin_verdict verdict = {.outcome = 99};
	send_event(&desk->rig->world, "StartWorkflow", "Unknown", "1", NULL, NULL, "lost");
	rig_drain(desk->rig);
	assert_int_equal(swm_admin_event_wait(&desk->admin,
				 SWM_STR("{\"event_name\":\"StartWorkflow\",\"component_name\":"
					 "\"Unknown\",\"business_ref_no\":\"1\",\"event_id\":"
					 "\"lost\"}"),
				 (struct swm_str){0}, 1000, &verdict, &desk->err),
		SWM_OK);
	assert_int_equal(verdict.outcome, 0);
	assert_non_null(strstr(verdict.reason, "Unknown"));

	const struct swm_outbox_row *parked =
		fake_store_outbox(desk->rig->world.store, SWM_OUTBOX_DEAD, 0);
	struct swm_set set = {0};
	const struct swm_outbox_row *row = NULL;
	assert_int_equal(
		swm_admin_parked_get(&desk->admin, parked->id, &set, &row, &desk->err), SWM_OK);
	assert_true(swm_str_equal(row->body, parked->body));
	swm_set_release(&set);
	assert_int_equal(
		swm_admin_parked_get(&desk->admin, SWM_STR("none"), &set, &row, &desk->err),
		SWM_E_NOT_FOUND);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(applying_makes_versions),
		TEST(shows_an_instance_now_and_then),
		TEST(verifies_against_the_log),
		TEST(waits_for_the_verdict),
		TEST(hears_that_an_event_is_parked),
	};
	return cmocka_run_group_tests_name("engine.admin", tests, NULL, NULL);
}
