/* SPDX-License-Identifier: MIT */
/*
 * Random templates are such as lint accepts, and the reference model and the domain agree
 * on any events: without queue, store and faults that takes a moment, so that a
 * difference is found here rather than in the middle of a storm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json_read.h"
#include "model.h"
#include "template_gen.h"
#include "text.h"
#include "transition.h"

#include <math.h>

#define TEMPLATES 1500
#define EVENTS 80
#define EVENT_BYTES 400

struct walk {
	struct sim_choice choice;
	struct swm_template *template;
	struct swm_instance *instance;
	struct sim_model *model;
	size_t owed[4]; /* by kind, what the model says of one event */
};

static void count_owed(
	void *ctx, const struct sim_model *model, size_t task, enum sim_model_kind kind)
{
	struct walk *walk = ctx;
	(void)model;
	(void)task;
	walk->owed[kind]++;
}

/* Any event, in any order. */
static void write_event(struct walk *walk, char out[EVENT_BYTES])
{
	static const char *const names[] = {"TaskCompleted", "TaskCompleted", "TaskCompleted",
		"TaskFailed", "TaskTimedOut", "TaskPending", "TaskPending", "StartWorkflow"};
	const struct swm_template *template = walk->template;
	const char *name = names[sim_choose(&walk->choice, "event", 8)];
	const char *stage = "none";
	const char *task = "none";
	char attempt[40] = "";
	if (template->task_count > 0 && sim_choose(&walk->choice, "stranger", 30)) {
		const struct swm_task *any = &template->tasks[sim_choose(
			&walk->choice, "task", template->task_count)];
		task = any->name.ptr;
		stage = template->stages[any->stage].name.ptr;
	}
	switch (sim_choose(&walk->choice, "attempt", 4)) {
	case 1:
		(void)snprintf(attempt, sizeof(attempt), ",\"attempt\":%u",
			1 + sim_choose(&walk->choice, "which", 4));
		break;
	case 2:
		(void)snprintf(attempt, sizeof(attempt), ",\"_swm\":{\"attempt\":%u}",
			1 + sim_choose(&walk->choice, "which", 4));
		break;
	default:
		break;
	}
	(void)snprintf(out, EVENT_BYTES,
		"{\"event_name\":\"%s\",\"component_name\":\"C\",\"business_ref_no\":\"1\","
		"\"stage_name\":\"%s\",\"task_name\":\"%s\"%s%s}",
		name, stage, task, attempt,
		sim_choose(&walk->choice, "data", 4) ? "" : ",\"data\":{\"k\":[1,0.5]}");
}

static void check_tasks(const struct walk *walk, const char *event)
{
	const struct swm_instance *instance = walk->instance;
	for (uint16_t i = 0; i < walk->template->task_count; i++) {
		const struct swm_task *task = &walk->template->tasks[i];
		size_t at = sim_model_find(walk->model,
			walk->template->stages[task->stage].name.ptr, task->name.ptr);
		const struct sim_model_task *expected = &walk->model->tasks[at];
		const struct swm_task_state *state = &instance->tasks[i];
		if ((int)state->status != (int)expected->status ||
			state->attempt != expected->attempt || state->base != expected->base ||
			state->resends != expected->resends ||
			!(state->flags & SWM_TASK_RETRY_OWED) != !expected->retry_owed) {
			fail_msg("%s/%s differs after %s", expected->stage, expected->name,
				event);
		}
	}
	enum swm_instance_status status = walk->model->stage == HUGE_VAL ? SWM_STATUS_COMPLETED
					  : sim_model_is_failed(walk->model)
						  ? SWM_STATUS_FAILED
						  : SWM_STATUS_ACTIVE;
	assert_int_equal(swm_instance_status(instance), status);
	assert_true(swm_str_equal(swm_instance_business_status(instance),
		swm_str_from(walk->model->business_status)));
}

/* The messages of a commit that is this one event. */
static void check_owed(const struct walk *walk, const struct swm_effects *effects)
{
	size_t owed[4] = {0};
	for (size_t i = 0; i < effects->owed_count; i++) {
		owed[effects->owed[i].kind]++;
	}
	assert_memory_equal(owed, walk->owed, sizeof(owed));
}

static void apply(struct walk *walk, const char *text)
{
	const struct swm_payload_options options = {.data_max_bytes = SIZE_MAX};
	const struct sim_model_listener listener = {walk, count_owed};
	struct swm_error err = {0};
	struct swm_event event;
	struct swm_arena arena;
	struct swm_effects effects;
	struct swm_verdict verdict;
	swm_arena_init(&arena);
	swm_effects_init(&effects, &arena);
	assert_int_equal(
		swm_event_read(swm_str_from(text), &swm_event_limits_default, &event, &err),
		SWM_OK);
	struct swm_step step = {.event = &event, .at_ms = 1, .options = &options};
	assert_int_equal(swm_transition(walk->instance, &step, &effects, &verdict), SWM_OK);
	memset(walk->owed, 0, sizeof(walk->owed));
	int outcome = (int)sim_model_step(walk->model, event.root, &listener);
	if (outcome != (int)verdict.outcome) {
		fail_msg("%s is %d, for the model %d", text, (int)verdict.outcome, outcome);
	}
	check_tasks(walk, text);
	check_owed(walk, &effects);
	swm_event_finish(&event);
	swm_arena_finish(&arena);
}

static void take_walk(uint64_t seed, size_t *completed)
{
	struct walk walk = {0};
	struct swm_findings findings = {0};
	json_t *root = NULL;
	char event[EVENT_BYTES];
	sim_choice_seed(&walk.choice, seed);
	char *text = sim_template_gen(&walk.choice, (unsigned)(seed % 10));
	if (swm_template_read(swm_str_from(text), 1, &walk.template, &findings) != SWM_OK ||
		findings.count > 0) {
		fail_msg("seed %u: %s: %s", (unsigned)seed, text, findings.items[0].message);
	}
	swm_findings_finish(&findings);
	assert_int_equal(swm_json_read(swm_str_from(text), SIZE_MAX, &root, NULL), SWM_OK);
	walk.model = sim_model_create(root);
	walk.instance = swm_instance_create(walk.template);
	assert_non_null(walk.instance);
	apply(&walk, "{\"event_name\":\"StartWorkflow\",\"component_name\":\"C\","
		     "\"business_ref_no\":\"1\"}");
	for (size_t i = 0; i < EVENTS; i++) {
		write_event(&walk, event);
		apply(&walk, event);
	}
	*completed += walk.model->stage == HUGE_VAL;
	sim_model_destroy(walk.model);
	swm_instance_destroy(walk.instance);
	swm_template_destroy(walk.template);
	json_decref(root);
	free(text);
	sim_choice_finish(&walk.choice);
}

static void model_and_domain_agree(void **state)
{
	(void)state;
	size_t completed = 0;
	for (uint64_t seed = 1; seed <= TEMPLATES; seed++) {
		take_walk(seed, &completed);
	}
	print_message("# %zu of %d walks completed\n", completed, TEMPLATES);
	assert_true(completed > TEMPLATES / 10);
}

static void delays_grow_up_to_the_longest(void **state)
{
	(void)state;
	json_t *root = NULL;
	const char *text = "{\"stages\":[{\"stage_name\":\"S\",\"stage_order\":0,\"tasks\":["
			   "{\"task_name\":\"t\",\"task_queue\":\"q\",\"timeout\":\"1.5m\","
			   "\"retry\":{\"max_attempts\":9,\"backoff\":\"1s\","
			   "\"max_backoff\":\"5s\"}}]}]}";
	const double expected[] = {1000, 2000, 4000, 5000, 5000};
	assert_int_equal(swm_json_read(swm_str_from(text), SIZE_MAX, &root, NULL), SWM_OK);
	struct sim_model *model = sim_model_create(root);
	for (uint32_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		model->tasks[0].attempt = i + 1;
		assert_true(sim_model_delay_ms(model, 0, SIM_MODEL_RETRY) == expected[i]);
	}
	assert_true(sim_model_delay_ms(model, 0, SIM_MODEL_TIME_OUT) == 90000);
	sim_model_destroy(model);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_and_domain_agree),
		cmocka_unit_test(delays_grow_up_to_the_longest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
