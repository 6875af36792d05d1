/* SPDX-License-Identifier: MIT */

/*
 * See model.h: what is asked of the reference model, and moves nothing.
 */

#include "model.h"

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

size_t sim_model_find(const struct sim_model *model, const char *stage, const char *task)
{
	size_t at = 0;
	while (at < model->task_count && (strcmp(model->tasks[at].name, task) != 0 ||
						 strcmp(model->tasks[at].stage, stage) != 0)) {
		at++;
	}
	return at;
}

uint32_t sim_model_attempt(const json_t *event)
{
	const json_t *attempt = json_object_get(event, "attempt");
	if (!json_is_integer(attempt)) {
		attempt = json_object_get(json_object_get(event, "_swm"), "attempt");
	}
	return (uint32_t)json_integer_value(attempt);
}

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
