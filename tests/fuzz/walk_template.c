/* SPDX-License-Identifier: MIT */

/* A template from bytes: the text itself, or stages and tasks as the bits say. */

#include "walk.h"

#include <stdio.h>
#include <stdlib.h>

#define STAGES 5
#define TASKS 7

enum {
	TASK_HUMAN = 1 << 0,
	TASK_QUEUE = 1 << 1, /* of a HUMAN task */
	TASK_RETRY = 1 << 2,
	TASK_TIMEOUT = 1 << 3,
	TASK_BUSINESS_STATUS = 1 << 4,
	TASK_FIELD = 1 << 5
};

static json_t *retry_of(uint8_t byte)
{
	return json_pack("{s:i,s:s}", "max_attempts", 1 + byte % 4, "backoff",
		byte < 128 ? "1s" : "250ms");
}

static json_t *make_task(struct fuzz_bytes *bytes, size_t at)
{
	const uint8_t traits = fuzz_byte(bytes);
	const uint8_t parents = fuzz_byte(bytes);
	char name[32];
	json_t *task = json_object();
	json_t *list = json_array();

	(void)snprintf(name, sizeof(name), "t%zu", at);
	json_object_set_new(task, "task_name", json_string(name));
	for (size_t i = 0; i < at; i++) {
		if ((parents >> i & 1) != 0) {
			(void)snprintf(name, sizeof(name), "t%zu", i);
			json_array_append_new(list, json_string(name));
		}
	}
	json_object_set_new(task, "parent_task", list);
	if ((traits & TASK_HUMAN) != 0) {
		json_object_set_new(task, "task_type", json_string("HUMAN"));
	}
	if ((traits & TASK_HUMAN) == 0 || (traits & TASK_QUEUE) != 0) {
		json_object_set_new(task, "task_queue", json_string("agents"));
	}
	if ((traits & TASK_RETRY) != 0) {
		json_object_set_new(task, "retry", retry_of(fuzz_byte(bytes)));
	}
	if ((traits & TASK_TIMEOUT) != 0) {
		json_object_set_new(task, "timeout", json_string("30s"));
	}
	if ((traits & TASK_BUSINESS_STATUS) != 0) {
		json_object_set_new(task, "business_status", json_string("DONE"));
	}
	if ((traits & TASK_FIELD) != 0) {
		json_object_set_new(task, "price", json_real((double)parents / 10));
	}
	return task;
}

static json_t *make_stage(struct fuzz_bytes *bytes, size_t at)
{
	const int order = fuzz_byte(bytes) * STAGES + (int)at;
	const size_t count = fuzz_byte(bytes) % (TASKS + 1);
	char name[32];
	json_t *tasks = json_array();

	(void)snprintf(name, sizeof(name), "S%zu", at);
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(tasks, make_task(bytes, i));
	}
	return json_pack(
		"{s:s,s:i,s:o}", "stage_name", name, "stage_order", order, "tasks", tasks);
}

char *walk_template(struct fuzz_bytes *bytes)
{
	if (bytes->at < bytes->end && *bytes->at == '{') {
		size_t len = 0;
		while (bytes->at + len < bytes->end && bytes->at[len] != '\0') {
			len++;
		}
		char *text = fuzz_copy(fuzz_text(bytes, len));
		(void)fuzz_byte(bytes);
		return text;
	}
	const size_t count = 1 + fuzz_byte(bytes) % STAGES;
	json_t *stages = json_array();
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(stages, make_stage(bytes, i));
	}
	json_t *root = json_pack("{s:s,s:s,s:o}", "workflow_name", "W", "component_name",
		WALK_COMPONENT, "stages", stages);
	char *text = json_dumps(root, JSON_COMPACT);
	fuzz_that(text != NULL, "no template");
	json_decref(root);
	return text;
}
