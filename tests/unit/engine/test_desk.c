/* SPDX-License-Identifier: MIT */

/*
 * What people do with a store that is slow to tell all (a row a page), away, or has lost
 * something: they get the whole of it, or hear what is wrong.
 */

#include "rig.h"

#include "admin.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE(component, stage) \
	"{\"workflow_name\":\"w\",\"component_name\":\"" component \
	"\",\"stages\":[{\"stage_name\":\"" stage "\",\"stage_order\":1}]}"

struct desk {
	struct rig *rig;
	struct swm_admin admin;
	struct swm_store_ops ops; /* the fake's, but for what a test replaces */
	struct swm_error err;
};

static int setup(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	assert_non_null(desk);
	desk->rig = rig_create();
	desk->ops = fake_store_ops;
	struct swm_admin_args args = {
		.env = fake_host_env(desk->rig->world.host),
		.store_ops = &desk->ops,
		.store = desk->rig->world.store,
		.limits = swm_event_limits_default,
	};
	assert_int_equal(swm_admin_open(&args, &desk->admin, &desk->err), SWM_OK);
	send_start(&desk->rig->world, "1");
	send_completed(&desk->rig->world, "1", "ONE", "a");
	send_completed(&desk->rig->world, "1", "ONE", "b");
	rig_drain(desk->rig);
	*state = desk;
	return 0;
}

static int teardown(void **state)
{
	struct desk *desk = *state;
	swm_admin_close(&desk->admin);
	swm_admin_close(NULL);
	rig_destroy(desk->rig);
	free(desk);
	return 0;
}

static void assert_says(const struct desk *desk, const char *says)
{
	if (!strstr(desk->err.message, says)) {
		fail_msg("\"%s\" does not say \"%s\"", desk->err.message, says);
	}
}

static swm_status at(struct desk *desk, int64_t sequence, int64_t *found)
{
	struct swm_admin_instance instance = {0};
	swm_status status = swm_admin_instance_at(
		&desk->admin, SWM_STR("T"), SWM_STR("1"), sequence, &instance, &desk->err);
	*found = status == SWM_OK ? instance.instance->sequence : -1;
	swm_admin_instance_finish(&instance);
	return status;
}

static swm_status get(struct desk *desk, const char *component)
{
	struct swm_admin_instance instance = {0};
	swm_status status = swm_admin_instance_get(
		&desk->admin, swm_str_from(component), SWM_STR("1"), &instance, &desk->err);
	assert_true(status == SWM_OK || !instance.instance);
	swm_admin_instance_finish(&instance);
	return status;
}

/* The first instance of the store, changed, and verified. */
static swm_status verify(struct desk *desk, void (*change)(struct swm_instance_row *row))
{
	struct swm_set set = {0};
	struct swm_instance_filter filter = {.size = sizeof(filter)};
	struct swm_page page = {.limit = 1};
	assert_int_equal(
		fake_store_ops.instance_list(desk->admin.session, &filter, &page, &set, NULL),
		SWM_OK);
	struct swm_instance_row row = *(const struct swm_instance_row *)set.items;
	if (change) {
		change(&row);
	}
	swm_status status = swm_admin_instance_verify(&desk->admin, &row, &desk->err);
	swm_set_release(&set);
	return status;
}

static swm_status wait_for(
	struct desk *desk, const char *component, const char *event_id, uint32_t *outcome)
{
	struct swm_admin_verdict verdict = {.outcome = 99};
	char body[512];
	(void)snprintf(body, sizeof(body),
		"{\"event_name\":\"TaskCompleted\",\"component_name\":\"%s\","
		"\"business_ref_no\":\"1\",\"stage_name\":\"ONE\",\"task_name\":\"b\","
		"\"event_id\":\"%s\"}",
		component, event_id);
	swm_status status = swm_admin_event_wait(&desk->admin, swm_str_from(body),
		(struct swm_str){0}, 300, &verdict, &desk->err);
	*outcome = verdict.outcome;
	return status;
}

static swm_status one_event(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	const struct swm_page narrow = {.limit = 1, .after = page->after};
	return fake_store_ops.event_list(session, id, &narrow, out, err);
}

static swm_status one_parked(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	const struct swm_page narrow = {.limit = 1, .after = page->after};
	return fake_store_ops.outbox_list(session, dead_only, &narrow, out, err);
}

static void a_log_of_many_pages_is_one_log(void **state)
{
	struct desk *desk = *state;
	int64_t sequence;
	uint32_t outcome;
	desk->ops.event_list = one_event;
	for (int64_t i = 1; i <= 3; i++) {
		assert_int_equal(at(desk, i, &sequence), SWM_OK);
		assert_int_equal(sequence, i);
	}
	assert_int_equal(at(desk, 0, &sequence), SWM_E_NOT_FOUND);
	assert_int_equal(at(desk, 4, &sequence), SWM_E_NOT_FOUND);
	assert_says(desk, "has records 1 to 3 only");
	assert_int_equal(verify(desk, NULL), SWM_OK);
	assert_int_equal(wait_for(desk, "T", "done-1-b", &outcome), SWM_OK);
	assert_int_equal(outcome, SWM_OUTCOME_APPLIED);
}

static void a_parked_message_is_found_on_any_page(void **state)
{
	struct desk *desk = *state;
	const struct world *world = &desk->rig->world;
	desk->ops.outbox_list = one_parked;
	fake_queue_send(world->queue, WORKFLOW_QUEUE, "[1]", NULL, "other");
	fake_queue_send(world->queue, WORKFLOW_QUEUE, "[2]", NULL, NULL);
	send_event(world, "StartWorkflow", "U", "1", NULL, NULL, "lost");
	rig_drain(desk->rig);
	assert_int_equal(fake_store_outbox_count(world->store, SWM_OUTBOX_DEAD), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct swm_outbox_row *parked =
			fake_store_outbox(world->store, SWM_OUTBOX_DEAD, i);
		struct swm_set set = {0};
		const struct swm_outbox_row *row = NULL;
		assert_int_equal(
			swm_admin_parked_get(&desk->admin, parked->id, &set, &row, &desk->err),
			SWM_OK);
		assert_true(swm_str_equal(row->body, parked->body));
		swm_set_release(&set);
	}
	struct swm_admin_verdict verdict = {.outcome = 99};
	assert_int_equal(
		swm_admin_event_wait(&desk->admin,
			SWM_STR("{\"event_name\":\"StartWorkflow\",\"component_name\":"
				"\"U\",\"business_ref_no\":\"1\",\"event_id\":\"lost\"}"),
			(struct swm_str){0}, 300, &verdict, &desk->err),
		SWM_OK);
	assert_int_equal(verdict.outcome, 0);
}

static swm_status session_away(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	(void)store, (void)out, (void)err;
	return SWM_E_UNAVAILABLE;
}

static swm_status load_away(struct swm_session *session, struct swm_load *loads, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	(void)session, (void)loads, (void)count, (void)backing, (void)err;
	return SWM_E_UNAVAILABLE;
}

static swm_status events_away(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	(void)session, (void)id, (void)page, (void)out;
	*err = (struct swm_error){.status = SWM_E_UNAVAILABLE, .message = "gone"};
	return SWM_E_UNAVAILABLE;
}

static swm_status parked_away(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	(void)session, (void)dead_only, (void)page, (void)out, (void)err;
	return SWM_E_UNAVAILABLE;
}

static void a_store_that_is_away_is_said_to_be(void **state)
{
	struct desk *desk = *state;
	int64_t sequence;
	uint32_t outcome;
	struct swm_set set = {0};
	const struct swm_outbox_row *row = NULL;
	desk->ops.event_list = events_away;
	assert_int_equal(at(desk, 1, &sequence), SWM_E_UNAVAILABLE);
	assert_int_equal(verify(desk, NULL), SWM_E_UNAVAILABLE);
	assert_says(desk, "T/1: gone");
	assert_int_equal(wait_for(desk, "T", "done-1-b", &outcome), SWM_E_UNAVAILABLE);
	assert_int_equal(outcome, 99);
	desk->ops.outbox_list = parked_away;
	assert_int_equal(
		swm_admin_parked_get(&desk->admin, SWM_STR("x"), &set, &row, &desk->err),
		SWM_E_UNAVAILABLE);
	desk->ops.load = load_away;
	assert_int_equal(get(desk, "T"), SWM_E_UNAVAILABLE);
	assert_int_equal(at(desk, 1, &sequence), SWM_E_UNAVAILABLE);
	assert_int_equal(wait_for(desk, "T", "done-1-b", &outcome), SWM_E_UNAVAILABLE);

	struct swm_admin other = {0};
	struct swm_admin_args args = {
		.env = desk->admin.env,
		.store_ops = &desk->ops,
		.store = desk->rig->world.store,
	};
	desk->ops.session_open = session_away;
	assert_int_equal(swm_admin_open(&args, &other, &desk->err), SWM_E_UNAVAILABLE);
	assert_null(other.session);
}

static swm_status no_template(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	(void)session, (void)id, (void)out, (void)err;
	return SWM_E_NOT_FOUND;
}

static swm_status no_event(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	const struct swm_page none = {.limit = page->limit};
	(void)id;
	return fake_store_ops.event_list(session, SWM_STR("nobody"), &none, out, err);
}

static void a_store_that_has_lost_something_is_corrupt(void **state)
{
	struct desk *desk = *state;
	int64_t sequence;
	uint32_t outcome;
	desk->ops.template_get = no_template;
	assert_int_equal(get(desk, "T"), SWM_E_CORRUPT);
	assert_says(desk, "the instance's template T:1 is not in the store");
	assert_int_equal(at(desk, 1, &sequence), SWM_E_CORRUPT);
	assert_int_equal(verify(desk, NULL), SWM_E_CORRUPT);
	desk->ops.template_get = fake_store_ops.template_get;
	desk->ops.event_list = no_event;
	assert_int_equal(verify(desk, NULL), SWM_E_CORRUPT);
	assert_says(desk, "its log has 0 records, and should have 3");
	assert_int_equal(wait_for(desk, "T", "done-1-b", &outcome), SWM_E_CORRUPT);
	assert_says(desk, "its record is missing");
}

static void change_stage(struct swm_instance_row *row)
{
	row->stage = SWM_STR("ONE");
}

static void change_business_status(struct swm_instance_row *row)
{
	row->business_status = SWM_STR("DONE");
}

static void every_column_is_verified(void **state)
{
	struct desk *desk = *state;
	assert_int_equal(verify(desk, change_stage), SWM_E_CORRUPT);
	assert_says(desk, "the stage that is stored");
	assert_int_equal(verify(desk, change_business_status), SWM_E_CORRUPT);
	assert_says(desk, "the business_status that is stored");
}

/* Two percents a letter: within the limits of names, and over that of ids. */
static void an_id_without_end_is_refused(void **state)
{
	struct desk *desk = *state;
	static char component[SWM_INSTANCE_ID_MAX + 1];
	int64_t sequence;
	memset(component, '%', sizeof(component) - 1);
	assert_int_equal(get(desk, component), SWM_E_INVALID);
	assert_says(desk, "longer than 512 bytes together");
	struct swm_admin_instance instance = {0};
	assert_int_equal(swm_admin_instance_at(&desk->admin, swm_str_from(component),
				 SWM_STR("1"), 1, &instance, &desk->err),
		SWM_E_INVALID);
	assert_int_equal(get(desk, "Nobody"), SWM_E_NOT_FOUND);
	assert_int_equal(at(desk, 1, &sequence), SWM_OK);
	uint32_t outcome;
	assert_int_equal(wait_for(desk, "", "x", &outcome), SWM_E_INVALID);
	assert_says(desk, "component_name");
}

static swm_status apply(struct desk *desk, const char *text, struct swm_template_applied *out)
{
	struct swm_findings findings = {0};
	struct swm_template_apply request = {.text = swm_str_from(text)};
	swm_status status =
		swm_admin_template_apply(&desk->admin, &request, out, &findings, &desk->err);
	swm_findings_finish(&findings);
	return status;
}

static unsigned puts_refused;

static swm_status put_taken(
	struct swm_session *session, const struct swm_template_row *row, struct swm_error *err)
{
	(void)session, (void)row, (void)err;
	puts_refused++;
	return SWM_E_EXISTS;
}

/* Somebody else has taken the number with other contents. */
static swm_status put_after_others(
	struct swm_session *session, const struct swm_template_row *row, struct swm_error *err)
{
	struct swm_template_row other = *row;
	if (puts_refused < 3) {
		puts_refused++;
		other.body = SWM_STR(TEMPLATE("N", "OTHER"));
		assert_int_equal(fake_store_ops.template_put(session, &other, err), SWM_OK);
	}
	return fake_store_ops.template_put(session, row, err);
}

static void applying_beside_others_takes_the_next_number(void **state)
{
	struct desk *desk = *state;
	struct swm_template_applied applied;
	puts_refused = 0;
	desk->ops.template_put = put_after_others;
	assert_int_equal(apply(desk, TEMPLATE("N", "MINE"), &applied), SWM_OK);
	assert_int_equal(applied.version, 4);
	assert_true(applied.created);

	puts_refused = 0;
	desk->ops.template_put = put_taken;
	assert_int_equal(apply(desk, TEMPLATE("N", "NEXT"), &applied), SWM_E_EXISTS);
	assert_int_equal(puts_refused, 100);
	assert_int_equal(applied.version, 4);
}

static swm_status templates_away(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	(void)session, (void)component, (void)page, (void)out, (void)err;
	return SWM_E_UNAVAILABLE;
}

static void applying_over_what_cannot_be_read_makes_a_version(void **state)
{
	struct desk *desk = *state;
	struct swm_template_applied applied;
	struct swm_set set = {0};
	fake_store_put_template(desk->rig->world.store, "N", 1, "{broken");
	assert_int_equal(apply(desk, TEMPLATE("N", "A"), &applied), SWM_OK);
	assert_int_equal(applied.version, 2);
	static char component[SWM_NAME_MAX + 2];
	memset(component, 'c', sizeof(component) - 1);
	assert_int_equal(swm_admin_template_get(
				 &desk->admin, swm_str_from(component), 1, &set, &desk->err),
		SWM_E_NOT_FOUND);
	desk->ops.template_list = templates_away;
	assert_int_equal(apply(desk, TEMPLATE("N", "B"), &applied), SWM_E_UNAVAILABLE);
	assert_int_equal(
		swm_admin_template_get(&desk->admin, SWM_STR("N"), 0, &set, &desk->err),
		SWM_E_UNAVAILABLE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_log_of_many_pages_is_one_log),
		TEST(a_parked_message_is_found_on_any_page),
		TEST(a_store_that_is_away_is_said_to_be),
		TEST(a_store_that_has_lost_something_is_corrupt),
		TEST(every_column_is_verified),
		TEST(an_id_without_end_is_refused),
		TEST(applying_beside_others_takes_the_next_number),
		TEST(applying_over_what_cannot_be_read_makes_a_version),
	};
	return cmocka_run_group_tests_name("engine.desk", tests, NULL, NULL);
}
