/* SPDX-License-Identifier: MIT */

/* Ids and bodies of what goes out. */

#include "payload.h"

#include "json_out.h"
#include "text.h"

#include <stdlib.h>

static struct swm_str kind_name(enum swm_message_kind kind)
{
	switch (kind) {
	case SWM_MESSAGE_START_TASK:
		return SWM_STR("StartTask");
	case SWM_MESSAGE_TASK_TIMED_OUT:
		return SWM_STR("TaskTimedOut");
	case SWM_MESSAGE_TASK_PENDING:
		return SWM_STR("TaskPending");
	}
	return SWM_STR("");
}

static struct swm_str write_number(uint32_t number, char text[12])
{
	struct swm_json_out out;
	swm_json_out_init(&out, text, 12);
	swm_json_out_int(&out, number);
	return (struct swm_str){text, out.len};
}

void swm_message_id(const struct swm_reference *reference, const struct swm_template *template,
	uint16_t task, uint32_t attempt, enum swm_message_kind kind, uint32_t resend,
	struct swm_id *out)
{
	char numbers[2][12];
	const struct swm_str parts[] = {reference->component, reference->business_ref,
		template->stages[template->tasks[task].stage].name, template->tasks[task].name,
		write_number(attempt, numbers[0]), kind_name(kind),
		write_number(resend, numbers[1])};
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), out);
}

void swm_payload_start_task(struct swm_json_out *out, const struct swm_instance *instance,
	struct swm_str business_ref, const struct swm_owed *owed, bool plain)
{
	const struct swm_template *template = instance->template;
	swm_json_out_str(out, SWM_STR("{\"business_ref_no\":"));
	swm_json_out_string(out, business_ref);
	swm_json_out_str(out, template->tasks[owed->task].fragment);
	if (instance->data) {
		swm_json_out_str(out, SWM_STR(",\"data\":"));
		swm_json_out_raw(out, instance->data, instance->data_len);
	}
	if (!plain) {
		swm_json_out_str(out, SWM_STR(",\"_swm\":{\"message_id\":"));
		swm_json_out_string(out, swm_id_str(&owed->id));
		swm_json_out_str(out, SWM_STR(",\"attempt\":"));
		swm_json_out_int(out, owed->attempt);
		swm_json_out_str(out, SWM_STR(",\"template_version\":"));
		swm_json_out_int(out, template->version);
		swm_json_out_raw(out, "}", 1);
	}
	swm_json_out_raw(out, "}", 1);
}

/* The fields that every task event has, up to the attempt, without the closing
 * brace. */
static void write_task_event(struct swm_json_out *out, const struct swm_reference *reference,
	struct swm_str event_name, struct swm_str stage, struct swm_str task, uint32_t attempt)
{
	swm_json_out_str(out, SWM_STR("{\"business_ref_no\":"));
	swm_json_out_string(out, reference->business_ref);
	swm_json_out_str(out, SWM_STR(",\"component_name\":"));
	swm_json_out_string(out, reference->component);
	swm_json_out_str(out, SWM_STR(",\"event_name\":"));
	swm_json_out_string(out, event_name);
	swm_json_out_str(out, SWM_STR(",\"stage_name\":"));
	swm_json_out_string(out, stage);
	swm_json_out_str(out, SWM_STR(",\"task_name\":"));
	swm_json_out_string(out, task);
	swm_json_out_str(out, SWM_STR(",\"attempt\":"));
	swm_json_out_int(out, attempt);
}

void swm_payload_timer(struct swm_json_out *out, const struct swm_instance *instance,
	struct swm_str business_ref, const struct swm_owed *owed)
{
	const struct swm_template *template = instance->template;
	const struct swm_task *task = &template->tasks[owed->task];
	const struct swm_reference reference = {template->component, business_ref};
	write_task_event(out, &reference, kind_name(owed->kind),
		template->stages[task->stage].name, task->name, owed->attempt);
	swm_json_out_raw(out, "}", 1);
}

void swm_payload_undeliverable(struct swm_json_out *out, const struct swm_reference *reference,
	struct swm_str stage, struct swm_str task, uint32_t attempt, struct swm_str reason)
{
	write_task_event(
		out, reference, swm_event_name(SWM_EVENT_TASK_FAILED), stage, task, attempt);
	swm_json_out_str(out, SWM_STR(",\"reason\":"));
	swm_json_out_string(out, reason);
	swm_json_out_raw(out, "}", 1);
}

int64_t swm_backoff_ms(const struct swm_task *task, uint32_t attempts, const struct swm_id *id)
{
	int64_t delay_ms = task->backoff_ms;
	for (uint32_t i = 1; i < attempts && delay_ms < task->max_backoff_ms; i++) {
		delay_ms *= 2;
	}
	if (delay_ms > task->max_backoff_ms) {
		delay_ms = task->max_backoff_ms;
	}
	char digits[5] = {id->hex[0], id->hex[1], id->hex[2], id->hex[3], '\0'};
	int64_t jitter = (int64_t)strtoul(digits, NULL, 16); /* 0 to 65535 */
	return delay_ms - delay_ms / 4 * jitter / 65535;
}
