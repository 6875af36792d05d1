/* SPDX-License-Identifier: MIT */

/* See agent_task.h. */

#include "agent_task.h"

#include "error.h"
#include "event.h"
#include "json_out.h"
#include "json_read.h"
#include "message.h"
#include "swm_limits.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static swm_status read_name(
	const json_t *root, const char *key, struct swm_str *out, struct swm_error *err)
{
	if (!swm_json_get_str(root, key, out) || out->len == 0) {
		return swm_error_set(
			err, SWM_E_INVALID, "no StartTask: \"%s\" is not a name", key);
	}
	return SWM_OK;
}

static swm_status read_names(struct swm_agent_task *task, struct swm_error *err)
{
	struct swm_str name = {NULL, 0};
	if (!swm_json_get_str(task->root, "event_name", &name) ||
		!swm_str_equal(name, SWM_STR("StartTask"))) {
		return swm_error_set(
			err, SWM_E_INVALID, "no StartTask: \"event_name\" is another");
	}
	swm_status status = read_name(task->root, "component_name", &task->component, err);
	if (status == SWM_OK) {
		status = read_name(task->root, "business_ref_no", &task->business_ref, err);
	}
	if (status == SWM_OK) {
		status = read_name(task->root, "stage_name", &task->stage, err);
	}
	if (status == SWM_OK) {
		status = read_name(task->root, "task_name", &task->task, err);
	}
	return status;
}

static struct swm_str header(const struct swm_delivery *delivery, const char *name)
{
	return swm_header_find(delivery->headers, delivery->header_count, swm_str_from(name));
}

/* A number in decimal digits; 0: it is none, or over the limit. */
static uint32_t parse_attempt(struct swm_str text)
{
	uint32_t attempt = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || attempt > SWM_ATTEMPTS_MAX) {
			return 0;
		}
		attempt = attempt * 10 + (uint32_t)(text.ptr[i] - '0');
	}
	return attempt <= SWM_ATTEMPTS_MAX ? attempt : 0;
}

/* In `_swm`, or in a header where the payload is plain. */
static uint32_t read_attempt(const json_t *ours, const struct swm_delivery *delivery)
{
	const json_t *value = json_object_get(ours, "attempt");
	if (value == NULL) {
		return parse_attempt(header(delivery, SWM_HEADER_ATTEMPT));
	}
	json_int_t attempt = json_integer_value(value);
	return attempt > 0 && attempt <= SWM_ATTEMPTS_MAX ? (uint32_t)attempt : 0;
}

static char *read_message_id(const json_t *ours, const struct swm_delivery *delivery)
{
	struct swm_str id = {NULL, 0};
	char digest[65];
	if (!swm_json_get_str(ours, "message_id", &id) || id.len == 0) {
		id = header(delivery, SWM_HEADER_MESSAGE_ID);
	}
	if (id.len == 0) {
		id = delivery->id;
	}
	if (id.len == 0) {
		swm_sha256_hex(delivery->body, digest);
		id = swm_str_from(digest);
	}
	char *copy = malloc(id.len + 1);
	if (copy != NULL) {
		memcpy(copy, id.ptr, id.len);
		copy[id.len] = '\0';
	}
	return copy;
}

swm_status swm_agent_task_read(const struct swm_delivery *delivery, size_t max_bytes,
	struct swm_agent_task *out, struct swm_error *err)
{
	struct swm_agent_task task = {0};
	swm_status status = swm_json_read(delivery->body, max_bytes, &task.root, err);
	if (status == SWM_OK) {
		status = read_names(&task, err);
	}
	if (status == SWM_OK) {
		const json_t *ours = json_object_get(task.root, "_swm");
		task.attempt = read_attempt(ours, delivery);
		task.message_id = read_message_id(ours, delivery);
		if (task.message_id == NULL) {
			status = swm_error_set(err, SWM_E_NOMEM, "out of memory");
		}
	}
	if (status != SWM_OK) {
		swm_agent_task_finish(&task);
		return status;
	}
	const struct swm_str parts[] = {SWM_STR("agent"), swm_str_from(task.message_id)};
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), &task.answer_id);
	*out = task;
	return SWM_OK;
}

void swm_agent_task_finish(struct swm_agent_task *task)
{
	json_decref(task->root);
	free(task->message_id);
	*task = (struct swm_agent_task){0};
}

static void write_member(struct swm_json_out *out, const char *key, struct swm_str value)
{
	swm_json_out_str(out, swm_str_from(key));
	swm_json_out_string(out, value);
}

static void write_answer(struct swm_json_out *out, const struct swm_agent_task *task,
	const struct swm_agent_outcome *outcome)
{
	enum swm_event_kind kind =
		outcome->completed ? SWM_EVENT_TASK_COMPLETED : SWM_EVENT_TASK_FAILED;
	write_member(out, "{\"business_ref_no\":", task->business_ref);
	write_member(out, ",\"component_name\":", task->component);
	write_member(out, ",\"event_name\":", swm_event_name(kind));
	write_member(out, ",\"stage_name\":", task->stage);
	write_member(out, ",\"task_name\":", task->task);
	write_member(out, ",\"event_id\":", swm_id_str(&task->answer_id));
	if (task->attempt > 0) {
		swm_json_out_str(out, SWM_STR(",\"attempt\":"));
		swm_json_out_int(out, task->attempt);
	}
	if (outcome->completed && outcome->data != NULL) {
		swm_json_out_str(out, SWM_STR(",\"data\":"));
		swm_json_out_value(out, outcome->data);
	}
	if (!outcome->completed) {
		write_member(out, ",\"reason\":", swm_str_from(outcome->reason));
	}
	swm_json_out_raw(out, "}", 1);
}

char *swm_agent_answer_write(
	const struct swm_agent_task *task, const struct swm_agent_outcome *outcome, size_t *len)
{
	struct swm_json_out out;
	swm_json_out_init(&out, NULL, 0);
	write_answer(&out, task, outcome);
	char *text = malloc(out.len + 1);
	if (text != NULL) {
		*len = out.len;
		swm_json_out_init(&out, text, *len);
		write_answer(&out, task, outcome);
		text[*len] = '\0';
	}
	return text;
}
