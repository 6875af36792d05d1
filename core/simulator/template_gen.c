/* SPDX-License-Identifier: MIT */

/*
 * See template_gen.h.
 */

#include "template_gen.h"

#include "json_out.h"

#include <jansson.h>
#include <stdio.h>

#define STAGES_MAX 6
#define TASKS_MAX 4 /* of a stage */
#define NAME_BYTES 40

static void set(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value);
}

static void give_retry(struct sim_choice *choice, json_t *task)
{
	static const struct {
		const char *first;
		const char *longest;
	} pauses[] = {
		{"1s", NULL}, {NULL, NULL}, {"50ms", "0.2s"}, {NULL, "1.5s"}, {"7s", "1.5m"}};
	uint32_t attempts = sim_choose(choice, "template: attempts", 4);
	uint32_t pause =
		sim_choose(choice, "template: backoff", sizeof(pauses) / sizeof(pauses[0]));
	json_t *retry = json_object();
	set(retry, "max_attempts", json_integer(attempts == 0 ? 3 : (json_int_t)attempts));
	if (pauses[pause].first) {
		set(retry, "backoff", json_string(pauses[pause].first));
	}
	if (pauses[pause].longest) {
		set(retry, "max_backoff", json_string(pauses[pause].longest));
	}
	set(task, "retry", retry);
}

/* Fields that mean nothing to us and have to arrive as they are. */
static void give_fields(struct sim_choice *choice, json_t *task)
{
	switch (sim_choose(choice, "template: field", 4)) {
	case 0:
		set(task, "price", json_real(0.1));
		break;
	case 1:
		set(task, "steps", json_pack("[i,n,b,{s:[]}]", 7, 1, "deep"));
		break;
	case 2:
		set(task, "note", json_string("\xc3\xa9\"\\\n\xe2\x82\xac"));
		break;
	default:
		set(task, "big", json_integer(INT64_MAX));
		break;
	}
}

static void give_queue(struct sim_choice *choice, json_t *task, json_t *own)
{
	uint32_t kind = sim_choose(choice, "template: queue", 6);
	if (kind == 1) {
		set(task, "task_queue", json_string("shared_queue"));
	} else if (kind != 2) {
		set(task, "task_queue", json_incref(own));
	}
	if (kind == 2 || kind == 3) {
		set(task, "task_type", json_string("HUMAN")); /* 2: just waits */
		set(task, "assigned_to", json_string("anna"));
	}
	json_decref(own);
}

static json_t *make_task(struct sim_choice *choice, const char *stage, uint32_t at)
{
	static const char *const timeouts[] = {"30s", "2s", "200ms", "1.5m"};
	char name[NAME_BYTES];
	json_t *task = json_object();
	(void)snprintf(name, sizeof(name), "t%u", at);
	set(task, "task_name", json_string(name));
	give_queue(choice, task, json_sprintf("%s_%s_queue", stage, name));
	if (sim_rarely(choice, "template: retry", 3)) {
		give_retry(choice, task);
	}
	if (sim_rarely(choice, "template: timeout", 3)) {
		uint32_t time = sim_choose(choice, "template: time", 4);
		set(task, "timeout", json_string(timeouts[time]));
	}
	if (sim_rarely(choice, "template: business status", 3)) {
		set(task, "business_status", json_sprintf("%s %s DONE", stage, name));
	}
	if (sim_rarely(choice, "template: fields", 4)) {
		give_fields(choice, task);
	}
	return task;
}

/* Any earlier task of the stage may be a parent; the text may have them in either order. */
static json_t *make_tasks(struct sim_choice *choice, const char *stage, uint32_t count)
{
	json_t *tasks = json_array();
	bool backwards = sim_choose(choice, "template: backwards", 4) == 1;
	for (uint32_t i = 0; i < count; i++) {
		json_t *task = make_task(choice, stage, i);
		json_t *parents = json_array();
		for (uint32_t j = 0; j < i; j++) {
			char name[NAME_BYTES];
			(void)snprintf(name, sizeof(name), "t%u", j);
			if (sim_choose(choice, "template: parent", 2)) {
				(void)json_array_append_new(parents, json_string(name));
			}
		}
		if (json_array_size(parents) > 0) {
			set(task, "parent_task", json_incref(parents));
		}
		json_decref(parents);
		(void)json_array_insert_new(tasks, backwards ? 0 : i, task);
	}
	return tasks;
}

static json_t *make_order(uint32_t style, uint32_t at)
{
	switch (style) {
	case 0:
		return json_integer(at);
	case 1:
		return json_real(at * 0.5 - 1.0);
	default:
		return json_integer((json_int_t)at * 100 - 250);
	}
}

static json_t *make_stage(
	struct sim_choice *choice, uint32_t style, uint32_t at, uint32_t task_count)
{
	char name[NAME_BYTES];
	(void)snprintf(name, sizeof(name), "S%u", at);
	json_t *stage = json_object();
	set(stage, "stage_name", json_string(name));
	set(stage, "stage_order", make_order(style, at));
	if (task_count > 0 || sim_choose(choice, "template: tasks said", 2)) {
		set(stage, "tasks", make_tasks(choice, name, task_count));
	}
	return stage;
}

char *sim_template_gen(struct sim_choice *choice, unsigned number)
{
	static const uint32_t counts[] = {1, 2, 2, 3, 1, 2, 3, 4, 5, STAGES_MAX};
	static const uint32_t sizes[] = {1, 2, 1, 3, 0, 2, 1, TASKS_MAX};
	static const char *const labels[] = {"Simulated", "\xc3\x9c"
							  "ber / 100%"};
	char component[NAME_BYTES];
	bool odd = sim_rarely(choice, "template: odd name", 8);
	(void)snprintf(component, sizeof(component), "%s%u", odd ? "a/b%" : "SIM", number);
	uint32_t stage_count = counts[sim_choose(
		choice, "template: stages", sizeof(counts) / sizeof(counts[0]))];
	uint32_t style = sim_choose(choice, "template: orders", 3);
	json_t *stages = json_array();
	for (uint32_t i = 0; i < stage_count; i++) {
		uint32_t size = sizes[sim_choose(
			choice, "template: tasks", sizeof(sizes) / sizeof(sizes[0]))];
		uint32_t place = i - sim_choose(choice, "template: place", i + 1);
		(void)json_array_insert_new(stages, place, make_stage(choice, style, i, size));
	}
	json_t *template = json_object();
	set(template, "workflow_name", json_string(labels[odd]));
	set(template, "component_name", json_string(component));
	set(template, "stages", stages);
	size_t len;
	char *text = swm_json_text(template, &len);
	json_decref(template);
	return text;
}
