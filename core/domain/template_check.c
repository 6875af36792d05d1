/* SPDX-License-Identifier: MIT */

/*
 * The checks of a template. Each function looks at one thing and goes on after a
 * mistake, so that one run of lint shows them all. A check that needs sane input
 * (parents, cycles) runs on what passed the others.
 */

#include "template_check.h"

#include "duration.h"
#include "json_out.h"
#include "json_read.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long enough for /stages/63/tasks/1023/ and a field of ours or the start of one. */
#define POINTER_MAX 256

/* Of a key that is somebody else's. */
#define KEY_SHOWN_BYTES 100

struct check {
	struct swm_str text;
	struct swm_findings *findings;
	const json_t *stages;
	bool nomem;
};

/* Where a value stands. */
struct place {
	char pointer[POINTER_MAX];
};

static const char *const task_fields[] = {"task_name", "parent_task", "task_queue", "task_type",
	"business_status", "retry", "timeout", NULL};

/* Written into each StartTask by us, or read from an answer that copies it. */
static const char *const reserved_fields[] = {"business_ref_no", "component_name", "event_name",
	"stage_name", "data", "_swm", "attempt", "event_id", "reason", "actor", NULL};

static const char *const retry_fields[] = {"max_attempts", "backoff", "max_backoff", NULL};

static bool is_one_of(const char *key, const char *const *names)
{
	while (*names && strcmp(*names, key) != 0) {
		names++;
	}
	return *names != NULL;
}

bool swm_task_field_is_ours(const char *key)
{
	return is_one_of(key, task_fields);
}

static struct swm_str nearest_of(const char *key, const char *const *names)
{
	struct swm_str list[16];
	size_t count = 0;
	for (; count < sizeof(list) / sizeof(list[0]) && names[count]; count++) {
		list[count] = swm_str_from(names[count]);
	}
	return swm_str_nearest(swm_str_from(key), list, count);
}

SWM_PRINTF(2, 3) static struct place place_of(const struct place *within, const char *fmt, ...)
{
	struct place place;
	size_t len = strlen(within->pointer);
	memcpy(place.pointer, within->pointer, len);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(place.pointer + len, sizeof(place.pointer) - len, fmt, args);
	va_end(args);
	return place;
}

/* The member of that key, escaped as RFC 6901 says, a long one cut at a letter. */
static struct place place_of_key(const struct place *within, const char *key)
{
	char escaped[2 * KEY_SHOWN_BYTES + 1];
	const size_t shown = swm_str_cut(swm_str_from(key), KEY_SHOWN_BYTES);
	size_t len = 0;
	for (size_t i = 0; i < shown; i++) {
		if (key[i] == '~' || key[i] == '/') {
			escaped[len++] = '~';
			escaped[len++] = key[i] == '~' ? '0' : '1';
		} else {
			escaped[len++] = key[i];
		}
	}
	escaped[len] = '\0';
	return place_of(within, "/%s", escaped);
}

SWM_PRINTF(4, 0)
static void report(struct check *check, bool warning, const struct place *place,
	const char *fmt, va_list args)
{
	swm_status status = swm_findings_add(
		check->findings, check->text, 0, warning, place->pointer, fmt, args);
	if (status != SWM_OK) {
		check->nomem = true;
	}
}

SWM_PRINTF(3, 4)
static void error_at(struct check *check, const struct place *place, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	report(check, false, place, fmt, args);
	va_end(args);
}

SWM_PRINTF(3, 4)
static void warn_at(struct check *check, const struct place *place, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	report(check, true, place, fmt, args);
	va_end(args);
}

static const char *type_name(const json_t *value)
{
	static const char *const names[] = {"an object", "an array", "a string", "an integer",
		"a real", "true", "false", "null"};
	return names[json_typeof(value)];
}

/* A string of 1 to `max` bytes without control characters. Absent is fine unless
 * required. */
static bool check_text(struct check *check, const struct place *within, const json_t *object,
	const char *key, size_t max, bool required)
{
	const json_t *value = json_object_get(object, key);
	if (!value) {
		if (required) {
			error_at(check, within, "\"%s\" is missing", key);
		}
		return !required;
	}
	struct swm_str text = {json_string_value(value), json_string_length(value)};
	if (text.len > 0 && text.len <= max && !swm_str_has_control(text)) {
		return true;
	}
	struct place place = place_of(within, "/%s", key);
	if (!json_is_string(value)) {
		error_at(check, &place, "must be a string, not %s", type_name(value));
	} else if (text.len == 0) {
		error_at(check, &place, "must not be empty");
	} else if (text.len > max) {
		error_at(check, &place, "%zu bytes, over the limit of %zu", text.len, max);
	} else {
		error_at(check, &place, "must not have control characters");
	}
	return false;
}

static int64_t check_duration(
	struct check *check, const struct place *within, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	int64_t ms = 0;
	if (!value) {
		return 0;
	}
	if (!json_is_string(value) ||
		!swm_duration_parse(json_string_value(value), json_string_length(value), &ms) ||
		ms <= 0) {
		struct place place = place_of(within, "/%s", key);
		error_at(check, &place,
			"must be a duration above zero like \"30s\" (ms, s, m, h, d)");
		return 0;
	}
	return ms;
}

static void check_retry(struct check *check, const struct place *task_place, const json_t *task)
{
	const json_t *retry = json_object_get(task, "retry");
	if (!retry) {
		return;
	}
	struct place place = place_of(task_place, "/retry");
	if (!json_is_object(retry)) {
		error_at(check, &place, "must be an object like {\"max_attempts\": 5}, not %s",
			type_name(retry));
		return;
	}
	void *member = json_object_iter(json_object_get(task, "retry"));
	for (; member; member = json_object_iter_next(json_object_get(task, "retry"), member)) {
		const char *key = json_object_iter_key(member);
		if (is_one_of(key, retry_fields)) {
			continue;
		}
		struct swm_str nearest = nearest_of(key, retry_fields);
		struct place field = place_of_key(&place, key);
		error_at(check, &field, "unknown key%s%s%s",
			nearest.ptr ? "; did you mean \"" : "", nearest.ptr ? nearest.ptr : "",
			nearest.ptr ? "\"?" : "");
	}
	const json_t *attempts = json_object_get(retry, "max_attempts");
	if (!json_is_integer(attempts) || json_integer_value(attempts) < 1 ||
		json_integer_value(attempts) > SWM_ATTEMPTS_MAX) {
		struct place field = attempts ? place_of(&place, "/max_attempts") : place;
		error_at(check, &field, "\"max_attempts\" must be an integer from 1 to %d",
			SWM_ATTEMPTS_MAX);
	}
	int64_t backoff_ms = check_duration(check, &place, retry, "backoff");
	int64_t max_backoff_ms = check_duration(check, &place, retry, "max_backoff");
	if (backoff_ms && max_backoff_ms && max_backoff_ms < backoff_ms) {
		struct place field = place_of(&place, "/max_backoff");
		error_at(check, &field, "must not be below \"backoff\"");
	}
}

/* Additional fields travel in each StartTask. */
static void check_fields(struct check *check, const struct place *place, json_t *task)
{
	size_t bytes = 0;
	void *member = json_object_iter(task);
	for (; member; member = json_object_iter_next(task, member)) {
		const char *key = json_object_iter_key(member);
		if (swm_task_field_is_ours(key)) {
			continue;
		}
		struct swm_json_out out;
		swm_json_out_init(&out, NULL, 0);
		swm_json_out_value(&out, json_object_iter_value(member));
		bytes += out.len + strlen(key) + 4;

		bool reserved = is_one_of(key, reserved_fields);
		struct swm_str nearest = nearest_of(key, task_fields);
		if (!reserved && !nearest.ptr) {
			continue;
		}
		struct place field = place_of_key(place, key);
		if (reserved) {
			error_at(check, &field,
				"\"%s\" is reserved: StartTask and its answers use it", key);
		} else {
			warn_at(check, &field, "additional field; did you mean \"%s\"?",
				nearest.ptr);
		}
	}
	size_t max = SWM_MESSAGE_MAX_BYTES - SWM_DATA_MAX_BYTES - 4096;
	if (bytes > max) {
		error_at(check, place,
			"the additional fields take %zu bytes of each StartTask, over the "
			"limit of %zu",
			bytes, max);
	}
}

static void check_task_type(struct check *check, const struct place *place, const json_t *task)
{
	const json_t *value = json_object_get(task, "task_type");
	const char *type = json_string_value(value);
	bool human = type && strcmp(type, "HUMAN") == 0;
	if (value && !human && (!type || strcmp(type, "SERVICE") != 0)) {
		struct place field = place_of(place, "/task_type");
		error_at(check, &field, "must be \"SERVICE\" or \"HUMAN\"");
		human = true;
	}
	check_text(check, place, task, "task_queue", SWM_QUEUE_NAME_MAX, !human);
}

static void check_task(struct check *check, const struct place *place, json_t *task)
{
	if (!json_is_object(task)) {
		error_at(check, place, "a task must be an object, not %s", type_name(task));
		return;
	}
	check_text(check, place, task, "task_name", SWM_NAME_MAX, true);
	check_text(check, place, task, "business_status", SWM_NAME_MAX, false);
	check_text(check, place, task, "assigned_to", SWM_NAME_MAX, false);
	check_task_type(check, place, task);
	check_retry(check, place, task);
	check_duration(check, place, task, "timeout");
	check_fields(check, place, task);
}

static const char *name_of(const json_t *object, const char *key)
{
	const char *name = json_string_value(json_object_get(object, key));
	return name && *name ? name : NULL;
}

/* The position of the first task of that name; -1: none. */
static int32_t find_task(const json_t *tasks, const char *name)
{
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		const char *other = name_of(json_array_get(tasks, i), "task_name");
		if (other && strcmp(other, name) == 0) {
			return (int32_t)i;
		}
	}
	return -1;
}

/* The positions of a stage's tasks by name, the first of each; NULL: out of memory. Up to
 * 65536 parents are looked up in it. */
static json_t *index_tasks(const json_t *tasks)
{
	json_t *index = json_object();
	for (size_t i = 0; index && i < json_array_size(tasks); i++) {
		const char *name = name_of(json_array_get(tasks, i), "task_name");
		if (name && !json_object_get(index, name) &&
			json_object_set_new(index, name, json_integer((json_int_t)i)) != 0) {
			json_decref(index);
			index = NULL;
		}
	}
	return index;
}

/* -1: none. */
static int32_t position_of(const json_t *index, const char *name)
{
	const json_t *position = json_object_get(index, name);
	return position ? (int32_t)json_integer_value(position) : -1;
}

static void report_unknown_parent(
	struct check *check, const struct place *place, const json_t *tasks, const char *parent)
{
	if (check->findings->count >= SWM_FINDINGS_MAX) {
		/* It is only counted: nobody reads what was meant. */
		error_at(check, place, "no task \"%s\" in this stage", parent);
		return;
	}
	for (size_t i = 0; i < json_array_size(check->stages); i++) {
		const json_t *stage = json_array_get(check->stages, i);
		const json_t *others = json_object_get(stage, "tasks");
		if (others != tasks && find_task(others, parent) >= 0) {
			const char *name = name_of(stage, "stage_name");
			error_at(check, place,
				"\"%s\" is a task of stage \"%s\"; a parent must be in the "
				"same stage",
				parent, name ? name : "?");
			return;
		}
	}
	struct swm_str names[SWM_TASKS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < json_array_size(tasks) && count < SWM_TASKS_MAX; i++) {
		const char *name = name_of(json_array_get(tasks, i), "task_name");
		if (name) {
			names[count++] = swm_str_from(name);
		}
	}
	struct swm_str nearest = swm_str_nearest(swm_str_from(parent), names, count);
	error_at(check, place, "no task \"%s\" in this stage%s%s%s", parent,
		nearest.ptr ? "; did you mean \"" : "", nearest.ptr ? nearest.ptr : "",
		nearest.ptr ? "\"?" : "");
}

static void check_parents(struct check *check, const struct place *place, const json_t *tasks,
	const json_t *index, size_t at)
{
	const json_t *task = json_array_get(tasks, at);
	const json_t *parents = json_object_get(task, "parent_task");
	if (!parents) {
		return;
	}
	struct place list = place_of(place, "/parent_task");
	if (!json_is_array(parents)) {
		error_at(check, &list, "must be an array of task names, not %s",
			type_name(parents));
		return;
	}
	if (json_array_size(parents) > SWM_PARENTS_MAX) {
		error_at(check, &list, "%zu parents, over the limit of %d",
			json_array_size(parents), SWM_PARENTS_MAX);
		return;
	}
	for (size_t i = 0; i < json_array_size(parents); i++) {
		struct place field = place_of(&list, "/%zu", i);
		const json_t *value = json_array_get(parents, i);
		const char *parent = json_string_value(value);
		if (!parent) {
			error_at(check, &field, "must be the name of a task, not %s",
				type_name(value));
			continue;
		}
		for (size_t k = 0; k < i; k++) {
			if (json_equal(json_array_get(parents, k), value)) {
				error_at(check, &field, "\"%s\" stands here twice", parent);
				break;
			}
		}
		if (position_of(index, parent) < 0) {
			report_unknown_parent(check, &field, tasks, parent);
		}
	}
}

/* The walk for cycles: which tasks are done, and the path to the one in hand. */
struct walk {
	const json_t *tasks;
	const json_t *index;
	size_t depth;
	bool *done; /* by task, like on_path; both behind the path */
	bool *on_path;
	struct {
		size_t task;
		size_t next_parent;
	} path[]; /* one more than there are tasks */
};

static void report_cycle(
	struct check *check, const struct place *stage, const struct walk *walk, size_t first)
{
	char text[240];
	size_t len = 0;
	size_t from = 0;
	while (walk->path[from].task != first) {
		from++;
	}
	for (size_t i = from; i <= walk->depth && len < sizeof(text); i++) {
		size_t task = i < walk->depth ? walk->path[i].task : first;
		const char *name = name_of(json_array_get(walk->tasks, task), "task_name");
		int count = snprintf(text + len, sizeof(text) - len, "%s%s", len ? " <- " : "",
			name ? name : "?");
		len += (size_t)count;
	}
	struct place place = place_of(stage, "/tasks/%zu/parent_task", first);
	error_at(check, &place, "the tasks wait for each other: %s", text);
}

static void walk_from(
	struct check *check, const struct place *stage, struct walk *walk, size_t start)
{
	walk->depth = 0;
	walk->path[walk->depth].task = start;
	walk->path[walk->depth++].next_parent = 0;
	walk->on_path[start] = true;
	while (walk->depth) {
		size_t task = walk->path[walk->depth - 1].task;
		const json_t *parents =
			json_object_get(json_array_get(walk->tasks, task), "parent_task");
		size_t next = walk->path[walk->depth - 1].next_parent++;
		if (next >= json_array_size(parents)) {
			walk->on_path[task] = false;
			walk->done[task] = true;
			walk->depth--;
			continue;
		}
		const char *name = json_string_value(json_array_get(parents, next));
		int32_t parent = name ? position_of(walk->index, name) : -1;
		if (parent < 0 || walk->done[parent]) {
			continue;
		}
		if (walk->on_path[parent]) {
			report_cycle(check, stage, walk, (size_t)parent);
			continue;
		}
		walk->path[walk->depth].task = (size_t)parent;
		walk->path[walk->depth++].next_parent = 0;
		walk->on_path[parent] = true;
	}
}

static void check_cycles(struct check *check, const struct place *stage, const json_t *tasks,
	const json_t *index)
{
	size_t count = json_array_size(tasks);
	struct walk *walk =
		calloc(1, sizeof(*walk) + (count + 1) * sizeof(walk->path[0]) + 2 * count);
	if (!walk) {
		check->nomem = true;
		return;
	}
	walk->tasks = tasks;
	walk->index = index;
	walk->done = (bool *)&walk->path[count + 1];
	walk->on_path = walk->done + count;
	for (size_t i = 0; i < count; i++) {
		if (!walk->done[i]) {
			walk_from(check, stage, walk, i);
		}
	}
	free(walk);
}

static size_t check_tasks(struct check *check, const struct place *stage, const json_t *tasks)
{
	struct place list = place_of(stage, "/tasks");
	if (!tasks) {
		return 0;
	}
	if (!json_is_array(tasks)) {
		error_at(check, &list, "must be an array of tasks, not %s", type_name(tasks));
		return 0;
	}
	size_t count = json_array_size(tasks);
	if (count > SWM_TASKS_MAX) {
		return count; /* the sum is reported once */
	}
	json_t *index = index_tasks(tasks);
	if (!index) {
		check->nomem = true;
		return count;
	}
	for (size_t i = 0; i < count; i++) {
		struct place place = place_of(&list, "/%zu", i);
		json_t *task = json_array_get(tasks, i);
		check_task(check, &place, task);
		const char *name = name_of(task, "task_name");
		if (name && position_of(index, name) < (int32_t)i) {
			struct place field = place_of(&place, "/task_name");
			error_at(check, &field, "task \"%s\" stands in this stage twice", name);
		}
		check_parents(check, &place, tasks, index, i);
	}
	check_cycles(check, stage, tasks, index);
	json_decref(index);
	return count;
}

static void check_stage_is_unique(struct check *check, const struct place *place, size_t at)
{
	const json_t *stage = json_array_get(check->stages, at);
	const char *name = name_of(stage, "stage_name");
	const json_t *order = json_object_get(stage, "stage_order");
	bool name_told = false;
	bool order_told = false;
	for (size_t i = 0; i < at; i++) {
		const json_t *other = json_array_get(check->stages, i);
		const char *other_name = name_of(other, "stage_name");
		if (!name_told && name && other_name && strcmp(name, other_name) == 0) {
			struct place field = place_of(place, "/stage_name");
			error_at(check, &field, "stage \"%s\" stands here twice", name);
			name_told = true;
		}
		const json_t *other_order = json_object_get(other, "stage_order");
		if (!order_told && json_is_number(order) && json_is_number(other_order) &&
			json_number_value(order) == json_number_value(other_order)) {
			struct place field = place_of(place, "/stage_order");
			error_at(check, &field, "stage_order %g is taken by /stages/%zu",
				json_number_value(order), i);
			order_told = true;
		}
	}
}

static size_t check_stage(struct check *check, const struct place *place, size_t at)
{
	const json_t *stage = json_array_get(check->stages, at);
	if (!json_is_object(stage)) {
		error_at(check, place, "a stage must be an object, not %s", type_name(stage));
		return 0;
	}
	check_text(check, place, stage, "stage_name", SWM_NAME_MAX, true);
	const json_t *order = json_object_get(stage, "stage_order");
	if (!order) {
		error_at(check, place, "\"stage_order\" is missing");
	} else if (!json_is_number(order)) {
		struct place field = place_of(place, "/stage_order");
		error_at(check, &field, "must be a number, not %s", type_name(order));
	}
	check_stage_is_unique(check, place, at);
	return check_tasks(check, place, json_object_get(stage, "tasks"));
}

static void check_stages(struct check *check, const struct place *root)
{
	struct place list = place_of(root, "/stages");
	if (!check->stages) {
		error_at(check, root, "\"stages\" is missing");
		return;
	}
	if (!json_is_array(check->stages)) {
		error_at(check, &list, "must be an array of stages, not %s",
			type_name(check->stages));
		return;
	}
	size_t count = json_array_size(check->stages);
	if (count == 0 || count > SWM_STAGES_MAX) {
		error_at(check, &list, "%zu stages, must be 1 to %d", count, SWM_STAGES_MAX);
		return;
	}
	size_t tasks = 0;
	for (size_t i = 0; i < count; i++) {
		struct place place = place_of(&list, "/%zu", i);
		tasks += check_stage(check, &place, i);
	}
	if (tasks > SWM_TASKS_MAX) {
		error_at(check, &list, "%zu tasks, over the limit of %d", tasks, SWM_TASKS_MAX);
	}
}

swm_status swm_template_check(
	struct swm_str text, const json_t *root, struct swm_findings *findings)
{
	struct check check = {.text = text, .findings = findings};
	struct place place = {""};

	if (!json_is_object(root)) {
		error_at(&check, &place, "a template must be an object, not %s",
			type_name(root));
	} else {
		check.stages = json_object_get(root, "stages");
		check_text(&check, &place, root, "workflow_name", SWM_NAME_MAX, true);
		check_text(&check, &place, root, "component_name", SWM_NAME_MAX, true);
		check_stages(&check, &place);
	}
	return check.nomem ? SWM_E_NOMEM : SWM_OK;
}
