/* SPDX-License-Identifier: MIT */

/*
 * The body of an instance as the store keeps it; instance.h says how it looks. What
 * is read is believed only after it fits the template: a body is a state, and a
 * wrong one must stop here.
 */

#include "instance.h"

#include "error.h"
#include "json_read.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of a task before its reason. */
#define NUMBERS 6

static void write_task(struct swm_json_out *out, const struct swm_task_state *task)
{
	const int64_t numbers[NUMBERS] = {(int64_t)task->status, task->attempt,
		task->updated_ms, task->flags, task->base, task->resends};
	size_t count = NUMBERS;
	if (!task->reason) {
		while (count > 1 && numbers[count - 1] == 0) {
			count--;
		}
	}
	for (size_t i = 0; i < count; i++) {
		swm_json_out_raw(out, i ? "," : "[", 1);
		swm_json_out_int(out, numbers[i]);
	}
	if (task->reason) {
		swm_json_out_raw(out, ",", 1);
		swm_json_out_string(out, swm_str_from(task->reason));
	}
	swm_json_out_raw(out, "]", 1);
}

void swm_instance_write(const struct swm_instance *instance, struct swm_json_out *out)
{
	swm_json_out_str(out, SWM_STR("{\"f\":"));
	swm_json_out_int(out, SWM_BODY_FORMAT);
	swm_json_out_str(out, SWM_STR(",\"seq\":"));
	swm_json_out_int(out, instance->sequence);
	swm_json_out_str(out, SWM_STR(",\"stage\":"));
	swm_json_out_int(out, instance->stage);
	if (instance->business_status >= 0) {
		swm_json_out_str(out, SWM_STR(",\"bs\":"));
		swm_json_out_int(out, instance->business_status);
	}
	if (instance->flags) {
		swm_json_out_str(out, SWM_STR(",\"flags\":"));
		swm_json_out_int(out, instance->flags);
	}
	if (instance->data) {
		swm_json_out_str(out, SWM_STR(",\"data\":"));
		swm_json_out_raw(out, instance->data, instance->data_len);
	}
	swm_json_out_str(out, SWM_STR(",\"tasks\":["));
	for (uint16_t i = 0; i < instance->template->task_count; i++) {
		if (i) {
			swm_json_out_raw(out, ",", 1);
		}
		write_task(out, &instance->tasks[i]);
	}
	swm_json_out_str(out, SWM_STR("]}"));
}

/* An integer member from 0 to max; `otherwise` when absent. False: something else. */
static bool get_number(
	const json_t *root, const char *key, int64_t max, int64_t otherwise, int64_t *out)
{
	const json_t *value = json_object_get(root, key);
	*out = value ? json_integer_value(value) : otherwise;
	return !value || (json_is_integer(value) && *out >= 0 && *out <= max);
}

static bool get_task_numbers(const json_t *source, struct swm_task_state *task)
{
	static const int64_t max[NUMBERS] = {SWM_TASK_FAILED, SWM_ATTEMPTS_MAX, INT64_MAX,
		SWM_TASK_FLAGS, SWM_ATTEMPTS_MAX, UINT32_MAX};
	int64_t numbers[NUMBERS] = {0};
	size_t count = json_array_size(source);

	if (count < 1 || count > NUMBERS + 1) {
		return false;
	}
	for (size_t i = 0; i < count && i < NUMBERS; i++) {
		const json_t *value = json_array_get(source, i);
		numbers[i] = json_integer_value(value);
		if (!json_is_integer(value) || numbers[i] < 0 || numbers[i] > max[i]) {
			return false;
		}
	}
	task->status = (enum swm_task_status)numbers[0];
	task->attempt = (uint32_t)numbers[1];
	task->updated_ms = numbers[2];
	task->flags = (uint32_t)numbers[3];
	task->base = (uint32_t)numbers[4];
	task->resends = (uint32_t)numbers[5];
	return task->base <= task->attempt;
}

static swm_status read_task(
	const json_t *source, struct swm_task_state *task, struct swm_error *err)
{
	if (!get_task_numbers(source, task)) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "instance body: a task cannot be read");
	}
	if (json_array_size(source) > NUMBERS) {
		const char *reason = json_string_value(json_array_get(source, NUMBERS));
		if (!reason) {
			return swm_error_set(
				err, SWM_E_CORRUPT, "instance body: a reason is not a string");
		}
		task->reason = strdup(reason);
		if (!task->reason) {
			return swm_error_set(err, SWM_E_NOMEM, "instance body: out of memory");
		}
	}
	return SWM_OK;
}

static swm_status read_data(
	struct swm_instance *instance, const json_t *root, struct swm_error *err)
{
	json_t *data = json_object_get(root, "data");
	if (!data) {
		return SWM_OK;
	}
	if (!json_is_object(data)) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "instance body: \"data\" is not an object");
	}
	instance->data = swm_json_text(data, &instance->data_len);
	return instance->data ? SWM_OK
			      : swm_error_set(err, SWM_E_NOMEM, "instance body: out of memory");
}

static swm_status read_numbers(
	struct swm_instance *instance, const json_t *root, struct swm_error *err)
{
	const struct swm_template *template = instance->template;
	int64_t stage;
	int64_t flags;
	int64_t business_status;

	/* The next event needs a number, too. */
	if (!get_number(root, "seq", INT64_MAX - 1, -1, &instance->sequence) ||
		instance->sequence < 0) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "instance body: \"seq\" cannot be read");
	}
	if (!get_number(root, "stage", template->stage_count, -1, &stage) || stage < 0) {
		return swm_error_set(err, SWM_E_CORRUPT,
			"instance body: \"stage\" does not fit the template");
	}
	if (!get_number(root, "flags", SWM_INSTANCE_FLAGS, 0, &flags)) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "instance body: \"flags\" cannot be read");
	}
	if (!get_number(root, "bs", template->task_count - 1, -1, &business_status)) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "instance body: \"bs\" does not fit the template");
	}
	instance->stage = (uint16_t)stage;
	instance->flags = (uint32_t)flags;
	instance->business_status = (int32_t)business_status;
	return SWM_OK;
}

static swm_status read_root(
	struct swm_instance *instance, const json_t *root, struct swm_error *err)
{
	const json_t *tasks = json_object_get(root, "tasks");
	swm_status status = read_numbers(instance, root, err);
	if (status == SWM_OK) {
		status = read_data(instance, root, err);
	}
	if (status == SWM_OK &&
		(!json_is_array(tasks) ||
			json_array_size(tasks) != instance->template->task_count)) {
		status = swm_error_set(err, SWM_E_CORRUPT,
			"instance body: \"tasks\" does not fit the template");
	}
	for (size_t i = 0; status == SWM_OK && i < json_array_size(tasks); i++) {
		status = read_task(json_array_get(tasks, i), &instance->tasks[i], err);
	}
	return status;
}

static swm_status check_format(const json_t *root, struct swm_error *err)
{
	int64_t format;
	if (!json_is_object(root) || !get_number(root, "f", INT64_MAX, 0, &format) ||
		format == 0) {
		return swm_error_set(err, SWM_E_CORRUPT, "instance body: no format number");
	}
	if (format > SWM_BODY_FORMAT) {
		return swm_error_set(err, SWM_E_UNSUPPORTED,
			"instance body: written by a newer release; upgrade this one first");
	}
	return SWM_OK;
}

swm_status swm_instance_read(const struct swm_template *template, struct swm_str body,
	struct swm_instance **out, struct swm_error *err)
{
	struct swm_error problem;
	json_t *root = NULL;
	swm_status status = swm_json_read(body, SIZE_MAX, &root, &problem);
	if (status != SWM_OK) {
		status = status == SWM_E_NOMEM ? status : SWM_E_CORRUPT;
		return swm_error_set(err, status, "instance body: %s", problem.message);
	}
	struct swm_instance *instance = NULL;
	status = check_format(root, err);
	if (status == SWM_OK) {
		instance = swm_instance_create(template);
		status = instance ? read_root(instance, root, err)
				  : swm_error_set(
					    err, SWM_E_NOMEM, "instance body: out of memory");
	}
	json_decref(root);
	if (status != SWM_OK) {
		swm_instance_destroy(instance);
		return status;
	}
	*out = instance;
	return SWM_OK;
}
