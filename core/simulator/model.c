/* SPDX-License-Identifier: MIT */

/*
 * See model.h. Wherever the domain keeps something, this looks again: nothing here is
 * fast, and little can be wrong.
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

static double least(double a, double b)
{
	return a < b ? a : b;
}

static double order_of(const json_t *stage)
{
	return json_number_value(json_object_get(stage, "stage_order"));
}

struct sim_model *sim_model_create(json_t *template)
{
	json_t *stages = json_object_get(template, "stages");
	json_t *stage;
	json_t *task;
	size_t count = 0;
	size_t i;
	size_t j;
	json_array_foreach(stages, i, stage)
	{
		count += json_array_size(json_object_get(stage, "tasks"));
	}
	struct sim_model *model =
		sim_must_alloc(sizeof(*model) + count * sizeof(model->tasks[0]));
	model->template = json_incref(template);
	model->data = json_object();
	model->stage = -HUGE_VAL;
	json_array_foreach(stages, i, stage)
	{
		json_array_foreach(json_object_get(stage, "tasks"), j, task)
		{
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
		free(model);
	}
}

size_t sim_model_find(const struct sim_model *model, const char *stage, const char *task)
{
	size_t at = 0;
	while (at < model->task_count && (strcmp(model->tasks[at].name, task) != 0 ||
						 strcmp(model->tasks[at].stage, stage) != 0)) {
		at++;
	}
	return at;
}

static void owe(const struct sim_model *model, size_t task, enum sim_model_kind kind,
	const struct sim_model_listener *listener)
{
	if (listener) {
		listener->owed(listener->ctx, model, task, kind);
	}
}

static void schedule(
	struct sim_model *model, size_t at, const struct sim_model_listener *listener)
{
	struct sim_model_task *task = &model->tasks[at];
	task->status = SIM_MODEL_SCHEDULED;
	task->retry_owed = false;
	task->attempt++;
	task->resends = 0;
	if (task->queue) {
		owe(model, at, SIM_MODEL_START_TASK, listener);
	}
	if (sim_model_awaits(model, at, SIM_MODEL_TIME_OUT)) {
		owe(model, at, SIM_MODEL_TIME_OUT, listener);
	}
}

static bool is_free(const struct sim_model *model, const struct sim_model_task *task)
{
	const json_t *parents = json_object_get(task->object, "parent_task");
	bool free = task->status == SIM_MODEL_PENDING;
	for (size_t i = 0; free && i < json_array_size(parents); i++) {
		const char *parent = json_string_value(json_array_get(parents, i));
		size_t at = sim_model_find(model, task->stage, parent);
		free = model->tasks[at].status == SIM_MODEL_COMPLETED;
	}
	return free;
}

/* Schedules what may be; goes on to the next stage when all tasks of this one are done,
 * which those of an empty stage are. */
static void go_on(struct sim_model *model, const struct sim_model_listener *listener)
{
	for (;;) {
		bool done = model->stage < HUGE_VAL;
		for (size_t i = 0; i < model->task_count; i++) {
			struct sim_model_task *task = &model->tasks[i];
			if (task->order == model->stage && is_free(model, task)) {
				schedule(model, i, listener);
			}
			done = done && (task->order != model->stage ||
					       task->status == SIM_MODEL_COMPLETED);
		}
		if (!done) {
			return;
		}
		double next = HUGE_VAL;
		json_t *stage;
		size_t i;
		json_array_foreach(json_object_get(model->template, "stages"), i, stage)
		{
			next = order_of(stage) > model->stage ? least(next, order_of(stage))
							      : next;
		}
		model->stage = next;
	}
}

uint32_t sim_model_attempt(const json_t *event)
{
	const json_t *attempt = json_object_get(event, "attempt");
	if (!json_is_integer(attempt)) {
		attempt = json_object_get(json_object_get(event, "_swm"), "attempt");
	}
	return (uint32_t)json_integer_value(attempt);
}

static enum sim_model_outcome started(
	struct sim_model *model, const json_t *event, const struct sim_model_listener *listener)
{
	if (model->stage > -HUGE_VAL) {
		return SIM_MODEL_DUPLICATE;
	}
	(void)json_object_update(model->data, json_object_get(event, "data"));
	go_on(model, listener);
	return SIM_MODEL_APPLIED;
}

static enum sim_model_outcome completed(struct sim_model *model, struct sim_model_task *task,
	const json_t *event, const struct sim_model_listener *listener)
{
	if (task->status == SIM_MODEL_COMPLETED) {
		return SIM_MODEL_DUPLICATE;
	}
	if (task->status == SIM_MODEL_PENDING || sim_model_attempt(event) > task->attempt) {
		return SIM_MODEL_IGNORED;
	}
	task->status = SIM_MODEL_COMPLETED;
	task->retry_owed = false;
	const char *business_status = text_of(task->object, "business_status");
	model->business_status = business_status ? business_status : model->business_status;
	(void)json_object_update(model->data, json_object_get(event, "data"));
	go_on(model, listener);
	return SIM_MODEL_APPLIED;
}

static enum sim_model_outcome failed(
	struct sim_model *model, size_t at, const struct sim_model_listener *listener)
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
		owe(model, at, SIM_MODEL_RETRY, listener);
	}
	return SIM_MODEL_APPLIED;
}

static enum sim_model_outcome pending(struct sim_model *model, size_t at, bool numbered,
	const struct sim_model_listener *listener)
{
	struct sim_model_task *task = &model->tasks[at];
	bool scheduled = task->status == SIM_MODEL_SCHEDULED;
	if (scheduled && !numbered && task->queue) {
		task->resends++;
		owe(model, at, SIM_MODEL_START_TASK, listener);
	} else if (task->status == SIM_MODEL_FAILED || (scheduled && numbered)) {
		task->base = numbered ? task->base : task->attempt;
		schedule(model, at, listener);
	} else {
		return SIM_MODEL_IGNORED;
	}
	return SIM_MODEL_APPLIED;
}

enum sim_model_outcome sim_model_step(
	struct sim_model *model, const json_t *event, const struct sim_model_listener *listener)
{
	const char *name = text_of(event, "event_name");
	const char *stage = text_of(event, "stage_name");
	const char *task = text_of(event, "task_name");
	if (strcmp(name, "StartWorkflow") == 0) {
		return started(model, event, listener);
	}
	size_t at = sim_model_find(model, stage, task);
	if (at == model->task_count) {
		return SIM_MODEL_REJECTED;
	}
	bool active = model->tasks[at].order == model->stage;
	if (strcmp(name, "TaskCompleted") == 0 &&
		(active || model->tasks[at].status == SIM_MODEL_COMPLETED)) {
		return completed(model, &model->tasks[at], event, listener);
	}
	uint32_t attempt = sim_model_attempt(event);
	if (!active || (attempt && attempt != model->tasks[at].attempt)) {
		return SIM_MODEL_IGNORED;
	}
	return strcmp(name, "TaskPending") == 0 ? pending(model, at, attempt > 0, listener)
						: failed(model, at, listener);
}

/* Questions. */

/* "1.5m" in milliseconds. */
static double duration_ms(const json_t *object, const char *key, double fallback_ms)
{
	static const char *const units[] = {"ms", "s", "m", "h", "d"};
	static const double factors[] = {1, 1e3, 6e4, 3.6e6, 8.64e7};
	const char *text = text_of(object, key);
	char *unit = NULL;
	double number = text ? strtod(text, &unit) : 0;
	for (size_t i = 0; text && i < sizeof(factors) / sizeof(factors[0]); i++) {
		if (strcmp(unit, units[i]) == 0) {
			return number * factors[i];
		}
	}
	return fallback_ms;
}

bool sim_model_awaits(const struct sim_model *model, size_t task, enum sim_model_kind kind)
{
	const struct sim_model_task *at = &model->tasks[task];
	return kind == SIM_MODEL_TIME_OUT
		       ? at->status == SIM_MODEL_SCHEDULED && text_of(at->object, "timeout")
		       : at->retry_owed;
}

double sim_model_delay_ms(const struct sim_model *model, size_t task, enum sim_model_kind kind)
{
	const struct sim_model_task *at = &model->tasks[task];
	const json_t *retry = json_object_get(at->object, "retry");
	if (kind == SIM_MODEL_TIME_OUT) {
		return duration_ms(at->object, "timeout", 0);
	}
	double delay_ms = duration_ms(retry, "backoff", 1e3);
	double most_ms = duration_ms(retry, "max_backoff", delay_ms > 6e4 ? delay_ms : 6e4);
	for (uint32_t i = at->base + 1; i < at->attempt && delay_ms < most_ms; i++) {
		delay_ms *= 2;
	}
	return least(delay_ms, most_ms);
}

bool sim_model_is_failed(const struct sim_model *model)
{
	bool failed = false;
	for (size_t i = 0; i < model->task_count; i++) {
		failed = failed || (model->tasks[i].status == SIM_MODEL_FAILED &&
					   !model->tasks[i].retry_owed);
	}
	return failed;
}
