/* SPDX-License-Identifier: MIT */

/* Reading events, and the identities that follow from them. */

#include "event.h"

#include "error.h"
#include "json_out.h"
#include "json_read.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct swm_event_limits swm_event_limits_default = {
	.message_bytes = SWM_MESSAGE_MAX_BYTES,
	.data_bytes = SWM_DATA_MAX_BYTES,
};

struct swm_str swm_event_name(enum swm_event_kind kind)
{
	static const char *const names[SWM_EVENT_KINDS] = {
		[SWM_EVENT_START_WORKFLOW] = "StartWorkflow",
		[SWM_EVENT_TASK_COMPLETED] = "TaskCompleted",
		[SWM_EVENT_TASK_FAILED] = "TaskFailed",
		[SWM_EVENT_TASK_TIMED_OUT] = "TaskTimedOut",
		[SWM_EVENT_TASK_PENDING] = "TaskPending",
	};
	return swm_str_from(names[kind]);
}

/* A string of 1 to `max` bytes; absent (or null) only if not required. */
static swm_status read_text(const json_t *root, const char *key, size_t max, bool required,
	struct swm_str *out, struct swm_error *err)
{
	const json_t *value = json_object_get(root, key);
	if (!value || json_is_null(value)) {
		return required ? swm_error_set(err, SWM_E_INVALID, "\"%s\" is missing", key)
				: SWM_OK;
	}
	struct swm_str text;
	if (!swm_json_get_str(root, key, &text)) {
		return swm_error_set(err, SWM_E_INVALID, "\"%s\" must be a string", key);
	}
	if (text.len == 0 && required) {
		return swm_error_set(err, SWM_E_INVALID, "\"%s\" must not be empty", key);
	}
	if (text.len > max) {
		return swm_error_set(err, SWM_E_TOO_LARGE,
			"\"%s\" has %zu bytes, over the limit of %zu", key, text.len, max);
	}
	*out = text;
	return SWM_OK;
}

/* A name: required, without control characters. */
static swm_status read_name(const json_t *root, const char *key, size_t max,
	struct swm_str *out, struct swm_error *err)
{
	swm_status status = read_text(root, key, max, true, out, err);
	if (status == SWM_OK && swm_str_has_control(*out)) {
		return swm_error_set(
			err, SWM_E_INVALID, "\"%s\" must not have control characters", key);
	}
	return status;
}

static swm_status read_kind(const json_t *root, enum swm_event_kind *out, struct swm_error *err)
{
	struct swm_str name = {NULL, 0};
	swm_status status = read_name(root, "event_name", SWM_NAME_MAX, &name, err);
	if (status != SWM_OK) {
		return status;
	}
	for (unsigned kind = 0; kind < SWM_EVENT_KINDS; kind++) {
		if (swm_str_equal(name, swm_event_name((enum swm_event_kind)kind))) {
			*out = (enum swm_event_kind)kind;
			return SWM_OK;
		}
	}
	return swm_error_set(err, SWM_E_INVALID, "unknown event_name \"%s\"", name.ptr);
}

static swm_status read_count(
	const json_t *object, const char *key, int64_t max, int64_t *out, struct swm_error *err)
{
	const json_t *value = json_object_get(object, key);
	if (!value || json_is_null(value)) {
		return SWM_OK;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 1 ||
		json_integer_value(value) > max) {
		return swm_error_set(err, SWM_E_INVALID,
			"\"%s\" must be an integer from 1 to %" PRId64, key, max);
	}
	*out = json_integer_value(value);
	return SWM_OK;
}

/* In the message, or in `_swm` of a StartTask that was copied. */
static swm_status read_attempt(const json_t *root, uint32_t *out, struct swm_error *err)
{
	int64_t attempt = 0;
	swm_status status = read_count(root, "attempt", SWM_ATTEMPTS_MAX, &attempt, err);
	if (status == SWM_OK && attempt == 0) {
		const json_t *ours = json_object_get(root, "_swm");
		status = read_count(ours, "attempt", SWM_ATTEMPTS_MAX, &attempt, err);
	}
	if (status == SWM_OK) {
		*out = (uint32_t)attempt;
	}
	return status;
}

static swm_status read_data(
	struct swm_event *event, const struct swm_event_limits *limits, struct swm_error *err)
{
	json_t *data = json_object_get(event->root, "data");
	if (!data || json_is_null(data)) {
		return SWM_OK;
	}
	if (!json_is_object(data)) {
		return swm_error_set(err, SWM_E_INVALID, "\"data\" must be an object");
	}
	event->data = data;
	if (event->kind == SWM_EVENT_START_WORKFLOW) {
		/* Of an answer, what counts is the size after the merge. */
		struct swm_json_out out;
		swm_json_out_init(&out, NULL, 0);
		swm_json_out_value(&out, data);
		if (out.len > limits->data_bytes) {
			return swm_error_set(err, SWM_E_TOO_LARGE,
				"\"data\" has %zu bytes, over the limit of %zu", out.len,
				limits->data_bytes);
		}
	}
	return SWM_OK;
}

static swm_status check_id(const struct swm_event *event, struct swm_error *err)
{
	char id[SWM_INSTANCE_ID_MAX + 1];
	size_t len;
	if (!swm_instance_id_write(event->component, event->business_ref, id, &len)) {
		return swm_error_set(err, SWM_E_TOO_LARGE,
			"component_name and business_ref_no take more than %d bytes together, "
			"'%%' and '/' counting three",
			SWM_INSTANCE_ID_MAX);
	}
	return SWM_OK;
}

static swm_status read_start(
	struct swm_event *event, const struct swm_event_limits *limits, struct swm_error *err)
{
	swm_status status = read_count(
		event->root, "template_version", INT32_MAX, &event->template_version, err);
	return status == SWM_OK ? read_data(event, limits, err) : status;
}

static swm_status read_task_event(
	struct swm_event *event, const struct swm_event_limits *limits, struct swm_error *err)
{
	const json_t *root = event->root;
	swm_status status = read_name(root, "stage_name", SWM_NAME_MAX, &event->stage, err);
	if (status == SWM_OK) {
		status = read_name(root, "task_name", SWM_NAME_MAX, &event->task, err);
	}
	if (status == SWM_OK) {
		status = read_attempt(root, &event->attempt, err);
	}
	if (status == SWM_OK && event->kind == SWM_EVENT_TASK_COMPLETED) {
		status = read_data(event, limits, err);
	}
	return status;
}

static swm_status read_fields(
	struct swm_event *event, const struct swm_event_limits *limits, struct swm_error *err)
{
	const json_t *root = event->root;
	if (!json_is_object(root)) {
		return swm_error_set(err, SWM_E_INVALID, "a message must be a JSON object");
	}
	swm_status status = read_kind(root, &event->kind, err);
	if (status == SWM_OK) {
		status =
			read_name(root, "component_name", SWM_NAME_MAX, &event->component, err);
	}
	if (status == SWM_OK) {
		status = read_name(root, "business_ref_no", SWM_BUSINESS_REF_MAX,
			&event->business_ref, err);
	}
	if (status == SWM_OK) {
		status = check_id(event, err);
	}
	if (status == SWM_OK) {
		status = read_text(
			root, "event_id", SWM_RAW_ID_MAX, false, &event->event_id, err);
	}
	if (status == SWM_OK) {
		status = read_text(root, "reason", SIZE_MAX, false, &event->reason, err);
	}
	if (status == SWM_OK) {
		status = read_text(root, "actor", SWM_ACTOR_MAX, false, &event->actor, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	return event->kind == SWM_EVENT_START_WORKFLOW ? read_start(event, limits, err)
						       : read_task_event(event, limits, err);
}

swm_status swm_event_read(struct swm_str body, const struct swm_event_limits *limits,
	struct swm_event *out, struct swm_error *err)
{
	struct swm_event event = {0};
	swm_status status = swm_json_read(body, limits->message_bytes, &event.root, err);
	if (status != SWM_OK) {
		return status;
	}
	status = read_fields(&event, limits, err);
	if (status != SWM_OK) {
		swm_event_finish(&event);
		return status;
	}
	*out = event;
	return SWM_OK;
}

void swm_event_finish(struct swm_event *event)
{
	json_decref(event->root);
	*event = (struct swm_event){0};
}

/* One part of an instance's id. */
static void write_escaped(struct swm_json_out *out, struct swm_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '%') {
			swm_json_out_raw(out, "%25", 3);
		} else if (text.ptr[i] == '/') {
			swm_json_out_raw(out, "%2F", 3);
		} else {
			swm_json_out_raw(out, text.ptr + i, 1);
		}
	}
}

bool swm_instance_id_write(struct swm_str component, struct swm_str business_ref,
	char out[SWM_INSTANCE_ID_MAX + 1], size_t *len)
{
	struct swm_json_out text;
	swm_json_out_init(&text, out, SWM_INSTANCE_ID_MAX);
	write_escaped(&text, component);
	swm_json_out_raw(&text, "/", 1);
	write_escaped(&text, business_ref);
	if (!swm_json_out_fits(&text)) {
		return false;
	}
	out[text.len] = '\0';
	*len = text.len;
	return true;
}

void swm_event_key(const struct swm_event *event, struct swm_str raw_id, struct swm_id *out)
{
	char attempt[12] = "-";
	if (event->attempt) {
		(void)snprintf(attempt, sizeof(attempt), "%" PRIu32, event->attempt);
	}
	const struct swm_str parts[] = {swm_event_name(event->kind), event->stage, event->task,
		swm_str_from(attempt), raw_id};
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), out);
}
