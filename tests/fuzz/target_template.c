/* SPDX-License-Identifier: MIT */

/*
 * A template: any bytes at all. What is compiled is a set of directed graphs without
 * cycles whose StartTasks jansson can read; what is not has findings, each with a
 * place in the text. Written by somebody else it is the same template.
 */

#include "fuzz.h"

#include "instance.h"
#include "payload.h"
#include "template.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES ((size_t)512 * 1024)

static int32_t lines_of(struct swm_str text)
{
	int32_t lines = 1;

	for (size_t i = 0; i < text.len; i++) {
		lines += text.ptr[i] == '\n';
	}
	return lines;
}

static void check_findings(const struct swm_findings *findings, struct swm_str text)
{
	size_t errors = 0;

	for (size_t i = 0; i < findings->count; i++) {
		const struct swm_finding *item = &findings->items[i];
		errors += !item->warning;
		fuzz_message(item->message, sizeof(item->message));
		fuzz_that(fuzz_utf8(item->pointer), "a pointer that is not UTF-8");
		fuzz_that(
			item->line >= 0 && item->line <= lines_of(text), "line %d", item->line);
	}
	fuzz_that(findings->count <= SWM_FINDINGS_MAX, "%zu findings", findings->count);
	fuzz_that(errors == findings->errors || findings->count == SWM_FINDINGS_MAX,
		"%zu errors, counted %zu", errors, findings->errors);
}

static void check_name(struct swm_str name, size_t max)
{
	fuzz_that(name.len > 0 && name.len <= max, "a name of %zu bytes", name.len);
	fuzz_that(!swm_str_has_control(name), "a name with a control character");
}

static bool is_parent(const struct swm_task *of, uint16_t task)
{
	for (uint16_t i = 0; i < of->parent_count; i++) {
		if (of->parents[i] == task) {
			return true;
		}
	}
	return false;
}

/* Parents and children mirror each other and stay within the stage. */
static void check_links(const struct swm_template *template, uint16_t at)
{
	const struct swm_task *task = &template->tasks[at];

	for (uint16_t i = 0; i < task->parent_count; i++) {
		fuzz_that(task->parents[i] < template->task_count &&
				  template->tasks[task->parents[i]].stage == task->stage,
			"task %u has parent %u", at, task->parents[i]);
	}
	for (uint16_t i = 0; i < task->child_count; i++) {
		const uint16_t child = task->children[i];
		fuzz_that(
			child < template->task_count && is_parent(&template->tasks[child], at),
			"task %u has child %u", at, child);
		fuzz_that(i == 0 || task->children[i - 1] < child, "a child twice");
	}
}

/* Takes out what waits for nothing, until nothing is left: then there is no cycle. */
static void check_order(const struct swm_template *template)
{
	uint16_t *waits = fuzz_memory(template->task_count * sizeof(*waits));
	uint16_t *ready = fuzz_memory(template->task_count * sizeof(*ready));
	size_t done = 0;
	size_t found = 0;

	for (uint16_t i = 0; i < template->task_count; i++) {
		waits[i] = template->tasks[i].parent_count;
		if (waits[i] == 0) {
			ready[found++] = i;
		}
	}
	for (; done < found; done++) {
		const struct swm_task *task = &template->tasks[ready[done]];
		for (uint16_t i = 0; i < task->child_count; i++) {
			if (--waits[task->children[i]] == 0) {
				ready[found++] = task->children[i];
			}
		}
	}
	fuzz_that(done == template->task_count, "%u tasks wait for each other",
		template->task_count - (unsigned)done);
	free(waits);
	free(ready);
}

/* The StartTask of a task, as an agent reads it. */
static void check_payload(const struct swm_instance *instance, uint16_t at, bool plain)
{
	const struct swm_task *task = &instance->template->tasks[at];
	struct swm_owed owed = {.task = at, .attempt = 1};
	struct swm_json_out out;
	struct swm_str name;
	char *room = fuzz_memory(PAYLOAD_BYTES);

	swm_id_of(&task->name, 1, &owed.id);
	swm_json_out_init(&out, room, PAYLOAD_BYTES);
	swm_payload_start_task(&out, instance, SWM_STR("R-1"), &owed, plain);
	fuzz_that(swm_json_out_fits(&out), "a StartTask of %zu bytes", out.len);
	json_t *payload = fuzz_jansson((struct swm_str){room, out.len});
	fuzz_that(payload != NULL, "jansson cannot read %.*s", (int)out.len, room);
	name = swm_str_from(json_string_value(json_object_get(payload, "task_name")));
	fuzz_that(swm_str_equal(name, task->name), "the StartTask of another task");
	fuzz_that((json_object_get(payload, "_swm") == NULL) == plain, "plain is not plain");
	json_decref(payload);
	free(room);
}

static void check_task(const struct swm_template *template, uint16_t at)
{
	const struct swm_task *task = &template->tasks[at];

	check_name(task->name, SWM_NAME_MAX);
	fuzz_that(task->stage < template->stage_count, "in stage %u", task->stage);
	fuzz_that(swm_template_task(template, task->stage, task->name) == at, "a name twice");
	fuzz_that(task->queue.ptr != NULL || task->type == SWM_TASK_HUMAN, "no queue");
	fuzz_that(task->max_attempts >= 1 && task->max_attempts <= SWM_ATTEMPTS_MAX,
		"%u attempts", task->max_attempts);
	fuzz_that(task->timeout_ms >= 0 && task->timeout_ms <= SWM_DURATION_MAX_MS, "timeout");
	fuzz_that(task->backoff_ms >= 0 && task->backoff_ms <= task->max_backoff_ms &&
			  task->max_backoff_ms <= SWM_DURATION_MAX_MS,
		"backoff");
	check_links(template, at);
}

static void check_template(const struct swm_template *template)
{
	uint16_t tasks = 0;

	check_name(template->component, SWM_NAME_MAX);
	check_name(template->workflow, SWM_NAME_MAX);
	fuzz_that(template->stage_count >= 1 && template->stage_count <= SWM_STAGES_MAX &&
			  template->task_count <= SWM_TASKS_MAX,
		"%u stages, %u tasks", template->stage_count, template->task_count);
	for (uint16_t i = 0; i < template->stage_count; i++) {
		const struct swm_stage *stage = &template->stages[i];
		check_name(stage->name, SWM_NAME_MAX);
		fuzz_that(stage->first_task == tasks, "a gap before stage %u", i);
		fuzz_that(i == 0 || template->stages[i - 1].order < stage->order, "order");
		fuzz_that(swm_template_stage(template, stage->name) == i, "a name twice");
		tasks = (uint16_t)(tasks + stage->task_count);
	}
	fuzz_that(tasks == template->task_count, "%u tasks", tasks);
	struct swm_instance *instance = swm_instance_create(template);
	fuzz_that(instance != NULL, "no memory");
	for (uint16_t i = 0; i < tasks; i++) {
		check_task(template, i);
		check_payload(instance, i, i % 2 == 0);
	}
	swm_instance_destroy(instance);
	check_order(template);
}

/* Other spaces and escapes make no other template. */
static void check_rewritten(const struct swm_template *template, struct swm_str text)
{
	struct swm_findings findings;
	struct swm_template *other = NULL;
	bool same = false;
	json_t *root = fuzz_jansson(text);
	char *again = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	fuzz_that(again != NULL, "jansson cannot read it");
	fuzz_that(swm_template_same(text, swm_str_from(again), &same) == SWM_OK && same,
		"not the same: %s", again);
	if (strlen(again) <= SWM_TEMPLATE_MAX_BYTES) {
		const swm_status status = swm_template_read(
			swm_str_from(again), template->version, &other, &findings);
		fuzz_that(status == SWM_OK, "status %d: %s", status, again);
		fuzz_that(other->task_count == template->task_count, "other tasks");
		for (uint16_t i = 0; i < template->task_count; i++) {
			fuzz_that(swm_str_equal(other->tasks[i].fragment,
					  template->tasks[i].fragment),
				"another StartTask for task %u", i);
		}
		swm_template_destroy(other);
		swm_findings_finish(&findings);
	}
	free(again);
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct swm_str text = {(const char *)data, size};
	struct swm_template *template = NULL;
	struct swm_findings findings;
	bool same = false;

	const swm_status status = swm_template_read(text, 7, &template, &findings);
	check_findings(&findings, text);
	if (status == SWM_OK) {
		fuzz_that(findings.errors == 0, "%zu errors", findings.errors);
		fuzz_that(swm_template_same(text, text, &same) == SWM_OK && same, "not itself");
		check_template(template);
		check_rewritten(template, text);
	} else {
		fuzz_that(status == SWM_E_INVALID && findings.errors > 0, "status %d", status);
		fuzz_that(template == NULL, "a template of what was refused");
	}
	swm_template_destroy(template);
	swm_findings_finish(&findings);
	return 0;
}
