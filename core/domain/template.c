/* SPDX-License-Identifier: MIT */

/*
 * Compiling a template. What comes here has passed every check, so the only thing
 * that can go wrong is memory.
 */

#include "template.h"

#include "duration.h"
#include "json_out.h"
#include "json_read.h"
#include "template_check.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BACKOFF_MS 1000
#define DEFAULT_MAX_BACKOFF_MS 60000

/* A template while it is being built. */
struct build {
	struct swm_template *template;
	struct swm_arena *arena;
	struct swm_stage *stages;
	struct swm_task *tasks;
	uint16_t task_count;
};

static bool copy_field(
	struct build *build, const json_t *object, const char *key, struct swm_str *out)
{
	struct swm_str text;
	*out = (struct swm_str){NULL, 0};
	return !swm_json_get_str(object, key, &text) || swm_arena_copy(build->arena, text, out);
}

/* The part of StartTask that is the same for every instance. */
static void write_fragment(struct swm_json_out *out, const struct swm_template *template,
	const struct swm_stage *stage, const struct swm_task *task, json_t *source)
{
	swm_json_out_str(out, SWM_STR(",\"component_name\":"));
	swm_json_out_string(out, template->component);
	swm_json_out_str(out, SWM_STR(",\"event_name\":\"StartTask\",\"stage_name\":"));
	swm_json_out_string(out, stage->name);
	swm_json_out_str(out, SWM_STR(",\"task_name\":"));
	swm_json_out_string(out, task->name);
	swm_json_out_str(out, SWM_STR(",\"task_type\":"));
	swm_json_out_string(
		out, task->type == SWM_TASK_HUMAN ? SWM_STR("HUMAN") : SWM_STR("SERVICE"));
	void *member = json_object_iter(source);
	for (; member; member = json_object_iter_next(source, member)) {
		const char *key = json_object_iter_key(member);
		if (!swm_task_field_is_ours(key)) {
			swm_json_out_raw(out, ",", 1);
			swm_json_out_string(out, swm_str_from(key));
			swm_json_out_raw(out, ":", 1);
			swm_json_out_value(out, json_object_iter_value(member));
		}
	}
}

static bool build_fragment(struct build *build, const struct swm_stage *stage,
	struct swm_task *task, json_t *source)
{
	struct swm_json_out out;
	swm_json_out_init(&out, NULL, 0);
	write_fragment(&out, build->template, stage, task, source);

	size_t len = out.len;
	char *text = swm_arena_take(build->arena, len);
	if (!text) {
		return false;
	}
	swm_json_out_init(&out, text, len);
	write_fragment(&out, build->template, stage, task, source);
	task->fragment = (struct swm_str){text, len};
	return true;
}

static int64_t duration_or(const json_t *object, const char *key, int64_t otherwise_ms)
{
	struct swm_str text;
	int64_t ms = otherwise_ms;
	if (swm_json_get_str(object, key, &text)) {
		(void)swm_duration_parse(text.ptr, text.len, &ms);
	}
	return ms;
}

static void build_retry(struct swm_task *task, const json_t *source)
{
	const json_t *retry = json_object_get(source, "retry");
	task->max_attempts = 1;
	if (retry) {
		task->max_attempts =
			(uint32_t)json_integer_value(json_object_get(retry, "max_attempts"));
		task->backoff_ms = duration_or(retry, "backoff", DEFAULT_BACKOFF_MS);
		int64_t otherwise_ms = task->backoff_ms > DEFAULT_MAX_BACKOFF_MS
					       ? task->backoff_ms
					       : DEFAULT_MAX_BACKOFF_MS;
		task->max_backoff_ms = duration_or(retry, "max_backoff", otherwise_ms);
		if (task->backoff_ms > task->max_backoff_ms) {
			task->backoff_ms = task->max_backoff_ms;
		}
	}
	task->timeout_ms = duration_or(source, "timeout", 0);
}

static bool build_task(struct build *build, uint16_t stage, json_t *source)
{
	struct swm_task *task = &build->tasks[build->task_count++];
	struct swm_str type = SWM_STR("SERVICE");

	*task = (struct swm_task){.stage = stage};
	(void)swm_json_get_str(source, "task_type", &type);
	task->type = swm_str_equal(type, SWM_STR("HUMAN")) ? SWM_TASK_HUMAN : SWM_TASK_SERVICE;
	build_retry(task, source);
	return copy_field(build, source, "task_name", &task->name) &&
	       copy_field(build, source, "task_queue", &task->queue) &&
	       copy_field(build, source, "business_status", &task->business_status) &&
	       copy_field(build, source, "assigned_to", &task->assigned_to) &&
	       build_fragment(build, &build->stages[stage], task, source);
}

/* Parents by position; the children are counted on the way. */
static bool build_parents(struct build *build, uint16_t at, const json_t *source)
{
	struct swm_task *task = &build->tasks[at];
	const json_t *names = json_object_get(source, "parent_task");
	uint16_t *parents =
		swm_arena_take(build->arena, json_array_size(names) * sizeof(*parents));
	if (!parents) {
		return false;
	}
	for (size_t i = 0; i < json_array_size(names); i++) {
		struct swm_str name = swm_str_from(json_string_value(json_array_get(names, i)));
		int32_t parent = swm_template_task(build->template, task->stage, name);
		assert(parent >= 0);
		parents[i] = (uint16_t)parent;
		build->tasks[parent].child_count++;
	}
	task->parents = parents;
	task->parent_count = (uint16_t)json_array_size(names);
	return true;
}

static bool build_children(struct build *build)
{
	for (uint16_t at = 0; at < build->task_count; at++) {
		struct swm_task *task = &build->tasks[at];
		uint16_t *children =
			swm_arena_take(build->arena, task->child_count * sizeof(*children));
		if (!children) {
			return false;
		}
		uint16_t found = 0;
		for (uint16_t other = 0; found < task->child_count; other++) {
			for (uint16_t i = 0; i < build->tasks[other].parent_count; i++) {
				if (build->tasks[other].parents[i] == at) {
					children[found++] = other;
				}
			}
		}
		task->children = children;
	}
	return true;
}

static bool build_stage(struct build *build, uint16_t at, const json_t *source)
{
	struct swm_stage *stage = &build->stages[at];
	const json_t *tasks = json_object_get(source, "tasks");

	stage->order = json_number_value(json_object_get(source, "stage_order"));
	stage->first_task = build->task_count;
	stage->task_count = (uint16_t)json_array_size(tasks);
	if (!copy_field(build, source, "stage_name", &stage->name)) {
		return false;
	}
	for (uint16_t i = 0; i < stage->task_count; i++) {
		if (!build_task(build, at, json_array_get(tasks, i))) {
			return false;
		}
	}
	build->template->task_count = build->task_count;
	for (uint16_t i = 0; i < stage->task_count; i++) {
		uint16_t task = (uint16_t)(stage->first_task + i);
		if (!build_parents(build, task, json_array_get(tasks, i))) {
			return false;
		}
	}
	return true;
}

/* The stages' places in the document, by their order. */
static void sort_stages(const json_t *stages, uint16_t *places, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		double order = json_number_value(
			json_object_get(json_array_get(stages, i), "stage_order"));
		uint16_t at = i;
		for (; at > 0; at--) {
			const json_t *before = json_array_get(stages, places[at - 1]);
			if (json_number_value(json_object_get(before, "stage_order")) <=
				order) {
				break;
			}
			places[at] = places[at - 1];
		}
		places[at] = i;
	}
}

static bool build_id(struct build *build, int64_t version)
{
	struct swm_template *template = build->template;
	size_t cap = template->component.len + 24;
	char *id = swm_arena_take(build->arena, cap);
	if (!id) {
		return false;
	}
	int len = snprintf(id, cap, "%s:%" PRId64, template->component.ptr, version);
	template->id = (struct swm_str){id, (size_t)len};
	template->version = version;
	return true;
}

static bool build_all(struct build *build, const json_t *root, int64_t version)
{
	struct swm_template *template = build->template;
	const json_t *stages = json_object_get(root, "stages");
	uint16_t places[SWM_STAGES_MAX] = {0};
	size_t tasks = 0;

	template->stage_count = (uint16_t)json_array_size(stages);
	sort_stages(stages, places, template->stage_count);
	for (size_t i = 0; i < template->stage_count; i++) {
		tasks += json_array_size(json_object_get(json_array_get(stages, i), "tasks"));
	}
	build->stages =
		swm_arena_take(build->arena, template->stage_count * sizeof(*build->stages));
	build->tasks = swm_arena_take(build->arena, tasks * sizeof(*build->tasks));
	if (!build->stages || !build->tasks ||
		!copy_field(build, root, "component_name", &template->component) ||
		!copy_field(build, root, "workflow_name", &template->workflow) ||
		!build_id(build, version)) {
		return false;
	}
	memset(build->stages, 0, template->stage_count * sizeof(*build->stages));
	template->stages = build->stages;
	template->tasks = build->tasks;
	for (uint16_t i = 0; i < template->stage_count; i++) {
		if (!build_stage(build, i, json_array_get(stages, places[i]))) {
			return false;
		}
	}
	return build_children(build);
}

static swm_status compile(const json_t *root, int64_t version, struct swm_template **out)
{
	struct swm_arena arena;
	swm_arena_init(&arena);
	struct swm_template *template = swm_arena_take(&arena, sizeof(*template));
	if (!template) {
		return SWM_E_NOMEM;
	}
	*template = (struct swm_template){0};
	struct build build = {.template = template, .arena = &arena};
	if (!build_all(&build, root, version)) {
		swm_arena_finish(&arena);
		return SWM_E_NOMEM;
	}
	template->arena = arena;
	*out = template;
	return SWM_OK;
}

SWM_PRINTF(4, 5)
static swm_status report_at(
	struct swm_findings *findings, struct swm_str text, int32_t line, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	swm_status status = swm_findings_add(findings, text, line, false, "", fmt, args);
	va_end(args);
	return status;
}

static swm_status report_unreadable(
	struct swm_findings *findings, struct swm_str text, const struct swm_error *err)
{
	int32_t line = err->native ? err->native : 1;
	swm_status status = report_at(findings, text, line, "%s", err->message);
	return status == SWM_OK ? SWM_E_INVALID : status;
}

swm_status swm_template_read(struct swm_str text, int64_t version, struct swm_template **out,
	struct swm_findings *findings)
{
	struct swm_error err = {0};
	json_t *root = NULL;

	*findings = (struct swm_findings){0};
	swm_status status = swm_json_read(text, SWM_TEMPLATE_MAX_BYTES, &root, &err);
	if (status == SWM_E_NOMEM) {
		return status;
	}
	if (status != SWM_OK) {
		return report_unreadable(findings, text, &err);
	}
	status = swm_template_check(text, root, findings);
	if (status == SWM_OK && findings->errors) {
		status = SWM_E_INVALID;
	} else if (status == SWM_OK && out) {
		status = compile(root, version, out);
	}
	json_decref(root);
	return status;
}

void swm_template_destroy(struct swm_template *template)
{
	if (template) {
		/* The template lies in its own arena. */
		struct swm_arena arena = template->arena;
		swm_arena_finish(&arena);
	}
}

swm_status swm_template_same(struct swm_str a, struct swm_str b, bool *same)
{
	json_t *first = NULL;
	json_t *second = NULL;
	swm_status status = swm_json_read(a, SWM_TEMPLATE_MAX_BYTES, &first, NULL);
	if (status == SWM_OK) {
		status = swm_json_read(b, SWM_TEMPLATE_MAX_BYTES, &second, NULL);
	}
	if (status == SWM_OK) {
		*same = json_equal(first, second);
	}
	json_decref(first);
	json_decref(second);
	return status == SWM_E_NOMEM || status == SWM_OK ? status : SWM_E_INVALID;
}

int32_t swm_template_stage(const struct swm_template *template, struct swm_str name)
{
	for (uint16_t i = 0; i < template->stage_count; i++) {
		if (swm_str_equal(template->stages[i].name, name)) {
			return i;
		}
	}
	return -1;
}

int32_t swm_template_task(
	const struct swm_template *template, int32_t stage, struct swm_str name)
{
	const struct swm_stage *within = &template->stages[stage];
	for (uint16_t i = 0; i < within->task_count; i++) {
		if (swm_str_equal(template->tasks[within->first_task + i].name, name)) {
			return within->first_task + i;
		}
	}
	return -1;
}
