/* SPDX-License-Identifier: MIT */

/*
 * See model.h. Wherever the domain keeps something, this looks again: nothing here is
 * fast, and little can be wrong. What is asked of the model, and moves nothing, stands in
 * model_asked.c.
 */

#include "model.h"

#include "must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static double order_of(const json_t *stage)
{
	return json_number_value(json_object_get(stage, "stage_order"));
}

struct sim_model *sim_model_create(json_t *template)
{
	struct sim_model *model = sim_must_alloc(sizeof(*model));
	size_t cap = 0;
	size_t i;
	size_t j;
	json_t *stage;
	json_t *task;
	model->template = json_incref(template);
	model->data = json_object();
	model->stage = -HUGE_VAL;
	json_array_foreach(json_object_get(template, "stages"), i, stage)
	{
		json_array_foreach(json_object_get(stage, "tasks"), j, task)
		{
			SIM_MUST_GROW(model->tasks, cap, model->task_count + 1);
			model->tasks[model->task_count++] = (struct sim_model_task){
				.name = text_of(task, "task_name"),
				.queue = text_of(task, "task_queue"),
				.stage = text_of(stage, "stage_name"),
				.order = order_of(stage),
				.object = task,
			};
		}
	}
	return model;
}

void sim_model_destroy(struct sim_model *model)
{
	if (model) {
		json_decref(model->data);
		json_decref(model->template);
		free(model->tasks);
		free(model);
	}
}

static void owe(const struct sim_model *model, size_t at, enum sim_model_kind kind)
{
	if (model->listener) {
		model->listener->owed(model->listener->ctx, model, at, kind);
	}
}

static void schedule(struct sim_model *model, size_t at)
{
	struct sim_model_task *task = &model->tasks[at];
	task->status = SIM_MODEL_SCHEDULED;
	task->retry_owed = false;
	task->attempt++;
	task->resends = 0;
	if (task->queue) {
		owe(model, at, SIM_MODEL_START_TASK);
	}
	if (sim_model_awaits(model, at, SIM_MODEL_TIME_OUT)) {
		owe(model, at, SIM_MODEL_TIME_OUT);
	}
}

static bool is_free(const struct sim_model *model, const struct sim_model_task *task)
{
	bool free = task->status == SIM_MODEL_PENDING;
	size_t i;
	json_t *parent;
	json_array_foreach(json_object_get(task->object, "parent_task"), i, parent)
	{
		size_t at = sim_model_find(model, task->stage, json_string_value(parent));
		free = free && model->tasks[at].status == SIM_MODEL_COMPLETED;
	}
	return free;
}

static double stage_after(const struct sim_model *model)
{
	double next = HUGE_VAL;
	size_t i;
	json_t *stage;
	json_array_foreach(json_object_get(model->template, "stages"), i, stage)
	{
		if (order_of(stage) > model->stage && order_of(stage) < next) {
			next = order_of(stage);
		}
	}
	return next;
}

/* Schedules what may be; goes on to the next stage when all tasks of this one are done,
 * which those of an empty stage are. */
static void go_on(struct sim_model *model)
{
	bool done = true;
	while (done && model->stage < HUGE_VAL) {
		for (size_t i = 0; i < model->task_count; i++) {
			struct sim_model_task *task = &model->tasks[i];
			if (task->order == model->stage && is_free(model, task)) {
				schedule(model, i);
			}
			done = done && (task->order != model->stage ||
					       task->status == SIM_MODEL_COMPLETED);
		}
		model->stage = done ? stage_after(model) : model->stage;
	}
}

static enum sim_model_outcome started(struct sim_model *model, const json_t *event)
{
	if (model->stage > -HUGE_VAL) {
		return SIM_MODEL_DUPLICATE;
	}
	(void)json_object_update(model->data, json_object_get(event, "data"));
	go_on(model);
	return SIM_MODEL_APPLIED;
}

static enum sim_model_outcome completed(
	struct sim_model *model, struct sim_model_task *task, const json_t *event)
{
	const char *business_status = text_of(task->object, "business_status");
	if (task->status == SIM_MODEL_COMPLETED) {
		return SIM_MODEL_DUPLICATE;
	}
	if (task->order != model->stage || task->status == SIM_MODEL_PENDING ||
		sim_model_attempt(event) > task->attempt) {
		return SIM_MODEL_IGNORED;
	}
	task->status = SIM_MODEL_COMPLETED;
	task->retry_owed = false;
	model->business_status = business_status ? business_status : model->business_status;
	(void)json_object_update(model->data, json_object_get(event, "data"));
	go_on(model);
	return SIM_MODEL_APPLIED;
}

static enum sim_model_outcome failed(struct sim_model *model, size_t at)
{
	struct sim_model_task *task = &model->tasks[at];
	const json_t *retry = json_object_get(task->object, "retry");
	if (task->status != SIM_MODEL_SCHEDULED) {
		return SIM_MODEL_IGNORED;
	}
	task->status = SIM_MODEL_FAILED;
	task->retry_owed = task->attempt - task->base <
			   json_integer_value(json_object_get(retry, "max_attempts"));
	if (task->retry_owed) {
		owe(model, at, SIM_MODEL_RETRY);
	}
	return SIM_MODEL_APPLIED;
}

/* With an attempt it is a retry, without one a person asks. */
static enum sim_model_outcome pending(struct sim_model *model, size_t at, uint32_t attempt)
{
	struct sim_model_task *task = &model->tasks[at];
	bool scheduled = task->status == SIM_MODEL_SCHEDULED;
	if (scheduled && attempt == 0 && task->queue) {
		task->resends++;
		owe(model, at, SIM_MODEL_START_TASK);
	} else if (task->status == SIM_MODEL_FAILED || (scheduled && attempt > 0)) {
		task->base = attempt > 0 ? task->base : task->attempt;
		schedule(model, at);
	} else {
		return SIM_MODEL_IGNORED;
	}
	return SIM_MODEL_APPLIED;
}

enum sim_model_outcome sim_model_step(
	struct sim_model *model, const json_t *event, const struct sim_model_listener *listener)
{
	const char *name = text_of(event, "event_name");
	uint32_t attempt = sim_model_attempt(event);
	model->listener = listener;
	if (strcmp(name, "StartWorkflow") == 0) {
		return started(model, event);
	}
	size_t at = sim_model_find(
		model, text_of(event, "stage_name"), text_of(event, "task_name"));
	if (at == model->task_count) {
		return SIM_MODEL_REJECTED;
	}
	struct sim_model_task *task = &model->tasks[at];
	if (strcmp(name, "TaskCompleted") == 0) {
		return completed(model, task, event);
	}
	if (task->order != model->stage || (attempt > 0 && attempt != task->attempt)) {
		return SIM_MODEL_IGNORED;
	}
	return strcmp(name, "TaskPending") == 0 ? pending(model, at, attempt)
						: failed(model, at);
}
