/* SPDX-License-Identifier: MIT */

/* The template's document, copied and filled in. Read by people: speed is no aim. */

#include "document.h"

#include "error.h"
#include "json_read.h"
#include "text.h"

#include <stdio.h>
#include <time.h>

void swm_time_write(int64_t at_ms, char *out)
{
	int64_t seconds = at_ms / 1000;
	int64_t ms = at_ms % 1000;
	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	time_t whole = (time_t)seconds;
	struct tm parts = {0};
	(void)gmtime_r(&whole, &parts);
	char date[SWM_TIME_MAX - 8];
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(out, SWM_TIME_MAX, "%s.%03dZ", date, (int)ms);
}

static json_t *text_value(struct swm_str text)
{
	return json_stringn(text.ptr ? text.ptr : "", text.len);
}

static json_t *time_value(int64_t at_ms)
{
	char text[SWM_TIME_MAX];
	swm_time_write(at_ms, text);
	return json_string(text);
}

/* jansson takes NULL values for failures, so one look at the sum is enough. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static bool fill_task(
	json_t *task, const struct swm_task *defined, const struct swm_task_state *state)
{
	bool ok = true;
	if (!json_object_get(task, "task_type")) {
		ok = set(task, "task_type",
			json_string(defined->type == SWM_TASK_HUMAN ? "HUMAN" : "SERVICE"));
	}
	if (!json_object_get(task, "parent_task")) {
		ok = ok && set(task, "parent_task", json_array());
	}
	ok = ok && set(task, "status", text_value(swm_task_status_name(state->status)));
	if (state->attempt) {
		ok = ok && set(task, "attempt", json_integer(state->attempt)) &&
		     set(task, "reason", json_string(state->reason ? state->reason : "")) &&
		     set(task, "last_updated_time", time_value(state->updated_ms));
	}
	if (state->flags & SWM_TASK_SKIPPED) {
		ok = ok && set(task, "skipped", json_true());
	}
	return ok;
}

static swm_status fill_stage(json_t *stage, const struct swm_instance *instance)
{
	struct swm_str name = {NULL, 0};
	(void)swm_json_get_str(stage, "stage_name", &name);
	int32_t at = swm_template_stage(instance->template, name);
	const json_t *tasks = json_object_get(stage, "tasks");
	if (at < 0 || json_array_size(tasks) != instance->template->stages[at].task_count) {
		return SWM_E_CORRUPT;
	}
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		size_t task = instance->template->stages[at].first_task + i;
		if (!fill_task(json_array_get(tasks, i), &instance->template->tasks[task],
			    &instance->tasks[task])) {
			return SWM_E_NOMEM;
		}
	}
	struct swm_str status = swm_stage_status_name(instance, (uint16_t)at);
	return set(stage, "status", text_value(status)) ? SWM_OK : SWM_E_NOMEM;
}

static bool fill_data(json_t *document, const struct swm_instance *instance)
{
	const struct swm_str text = {instance->data, instance->data_len};
	json_t *data = NULL;
	if (!instance->data) {
		return true;
	}
	return swm_json_read(text, SIZE_MAX, &data, NULL) == SWM_OK &&
	       set(document, "data", data);
}

static swm_status fill(json_t *document, const struct swm_instance *instance, json_t *source,
	struct swm_str business_ref, int64_t updated_ms)
{
	enum swm_instance_status status = swm_instance_status(instance);
	if (!json_is_object(source)) {
		return SWM_E_CORRUPT;
	}
	if (!set(document, "business_ref_no", text_value(business_ref)) ||
		json_object_update(document, source) != 0) {
		return SWM_E_NOMEM;
	}
	const json_t *stages = json_object_get(document, "stages");
	if (json_array_size(stages) != instance->template->stage_count) {
		return SWM_E_CORRUPT;
	}
	for (size_t i = 0; i < json_array_size(stages); i++) {
		swm_status filled = fill_stage(json_array_get(stages, i), instance);
		if (filled != SWM_OK) {
			return filled;
		}
	}
	bool ok =
		set(document, "status", text_value(swm_instance_status_name(status))) &&
		set(document, "business_status",
			text_value(swm_instance_business_status(instance))) &&
		fill_data(document, instance) &&
		set(document, "template_version", json_integer(instance->template->version)) &&
		set(document, "version", json_integer(instance->sequence)) &&
		set(document, "updated_at", time_value(updated_ms));
	return ok ? SWM_OK : SWM_E_NOMEM;
}

swm_status swm_document(const struct swm_instance *instance, struct swm_str text,
	struct swm_str business_ref, int64_t updated_ms, json_t **out, struct swm_error *err)
{
	json_t *source = NULL;
	swm_status status = swm_json_read(text, SWM_TEMPLATE_MAX_BYTES, &source, err);
	if (status != SWM_OK) {
		return status == SWM_E_NOMEM ? status : SWM_E_CORRUPT;
	}
	json_t *document = json_object();
	status = document ? fill(document, instance, source, business_ref, updated_ms)
			  : SWM_E_NOMEM;
	json_decref(source);
	if (status != SWM_OK) {
		json_decref(document);
		return swm_error_set(err, status, "%s",
			status == SWM_E_NOMEM
				? "out of memory"
				: "the text is not the template of this instance");
	}
	*out = document;
	return SWM_OK;
}
