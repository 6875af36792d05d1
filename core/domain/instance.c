/* SPDX-License-Identifier: MIT */

/* Instances in memory, and the statuses that are derived from them. */

#include "instance.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

struct swm_instance *swm_instance_create(const struct swm_template *template)
{
	struct swm_instance *instance = calloc(
		1, sizeof(*instance) + template->task_count * sizeof(instance->tasks[0]));
	if (instance) {
		instance->template = template;
		instance->business_status = -1;
	}
	return instance;
}

void swm_instance_destroy(struct swm_instance *instance)
{
	if (instance) {
		for (uint16_t i = 0; i < instance->template->task_count; i++) {
			free(instance->tasks[i].reason);
		}
		free(instance->data);
		free(instance);
	}
}

static char *copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);
	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

struct swm_instance *swm_instance_copy(const struct swm_instance *instance)
{
	struct swm_instance *copy = swm_instance_create(instance->template);
	if (!copy) {
		return NULL;
	}
	copy->sequence = instance->sequence;
	copy->flags = instance->flags;
	copy->stage = instance->stage;
	copy->business_status = instance->business_status;
	if (instance->data) {
		copy->data = copy_text(instance->data, instance->data_len);
		copy->data_len = instance->data_len;
		if (!copy->data) {
			goto error_copy;
		}
	}
	for (uint16_t i = 0; i < instance->template->task_count; i++) {
		const char *reason = instance->tasks[i].reason;
		copy->tasks[i] = instance->tasks[i];
		copy->tasks[i].reason = reason ? copy_text(reason, strlen(reason)) : NULL;
		if (reason && !copy->tasks[i].reason) {
			goto error_copy;
		}
	}
	return copy;

error_copy:
	swm_instance_destroy(copy);
	return NULL;
}

enum swm_instance_status swm_instance_status(const struct swm_instance *instance)
{
	const struct swm_template *template = instance->template;
	if (instance->flags & SWM_INSTANCE_CANCELLED) {
		return SWM_STATUS_CANCELLED;
	}
	if (instance->stage >= template->stage_count) {
		return SWM_STATUS_COMPLETED;
	}
	if (instance->flags & SWM_INSTANCE_PAUSED) {
		return SWM_STATUS_PAUSED;
	}
	const struct swm_stage *stage = &template->stages[instance->stage];
	for (uint16_t i = 0; i < stage->task_count; i++) {
		const struct swm_task_state *task = &instance->tasks[stage->first_task + i];
		if (task->status == SWM_TASK_FAILED && !(task->flags & SWM_TASK_RETRY_OWED)) {
			return SWM_STATUS_FAILED;
		}
	}
	return SWM_STATUS_ACTIVE;
}

struct swm_str swm_instance_stage(const struct swm_instance *instance)
{
	if (instance->stage >= instance->template->stage_count) {
		return (struct swm_str){NULL, 0};
	}
	return instance->template->stages[instance->stage].name;
}

struct swm_str swm_instance_business_status(const struct swm_instance *instance)
{
	if (instance->business_status < 0) {
		return (struct swm_str){NULL, 0};
	}
	return instance->template->tasks[instance->business_status].business_status;
}

struct swm_str swm_instance_status_name(enum swm_instance_status status)
{
	switch (status) {
	case SWM_STATUS_ACTIVE:
		return SWM_STR("ACTIVE");
	case SWM_STATUS_FAILED:
		return SWM_STR("FAILED");
	case SWM_STATUS_PAUSED:
		return SWM_STR("PAUSED");
	case SWM_STATUS_COMPLETED:
		return SWM_STR("COMPLETED");
	case SWM_STATUS_CANCELLED:
		return SWM_STR("CANCELLED");
	}
	return SWM_STR("UNKNOWN");
}

struct swm_str swm_task_status_name(enum swm_task_status status)
{
	switch (status) {
	case SWM_TASK_PENDING:
		return SWM_STR("PENDING");
	case SWM_TASK_SCHEDULED:
		return SWM_STR("SCHEDULED");
	case SWM_TASK_COMPLETED:
		return SWM_STR("COMPLETED");
	case SWM_TASK_FAILED:
		return SWM_STR("FAILED");
	}
	return SWM_STR("UNKNOWN");
}

struct swm_str swm_stage_status_name(const struct swm_instance *instance, uint16_t stage)
{
	if (instance->sequence == 0) {
		return SWM_STR("NOT STARTED");
	}
	if (stage < instance->stage) {
		return SWM_STR("COMPLETED");
	}
	return stage == instance->stage ? SWM_STR("ACTIVE") : SWM_STR("NOT STARTED");
}

size_t swm_instance_bytes(const struct swm_instance *instance)
{
	size_t bytes = sizeof(*instance) + instance->data_len;
	for (uint16_t i = 0; i < instance->template->task_count; i++) {
		const char *reason = instance->tasks[i].reason;
		bytes += sizeof(instance->tasks[i]) + (reason ? strlen(reason) + 1 : 0);
	}
	return bytes;
}
