/* SPDX-License-Identifier: MIT */

/*
 * The body of an instance, as the store gives it back: any bytes at all. What is read
 * is written back with the same value, and from then on byte for byte; it can be
 * shown, copied and moved by any event without harm. The rest is corrupt, or of a
 * newer release.
 *
 * The first byte chooses the template, the second one an event that comes next.
 */

#include "fuzz.h"

#include "document.h"
#include "fuzz_instance.h"
#include "json_read.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS 6

#define TASK(name, more) "{\"task_name\":\"" name "\",\"task_queue\":\"q\"" more "}"
#define STAGE(name, order, tasks) \
	"{\"stage_name\":\"" name "\",\"stage_order\":" order ",\"tasks\":[" tasks "]}"
#define TEMPLATE(stages) \
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":[" stages "]}"

static const char *const templates[] = {
	TEMPLATE(STAGE("S", "1", TASK("a", ",\"business_status\":\"A\""))),
	TEMPLATE(STAGE("S1", "1",
		TASK("a", ",\"retry\":{\"max_attempts\":3},\"timeout\":"
			  "\"5s\"") "," TASK("b", ",\"parent_task\":[\"a\"]") "," TASK("c",
			",\"parent_task\":[\"a\"],\"business_status\":"
			"\"C\"") ","
				 "{\"task_name\":\"d\",\"task_type\":"
				 "\"HUMAN\",\"parent_task\":[\"b\","
				 "\"c\"]}") "," STAGE("S2", "2", "") "," STAGE("S3", "3",
		TASK("a", ",\"timeout\":\"1s\"") "," TASK("z", ""))),
	TEMPLATE(STAGE("NONE", "1", "")),
};

#define TEMPLATES (sizeof(templates) / sizeof(templates[0]))

static struct swm_template *compiled[TEMPLATES];

static const struct swm_template *template_at(size_t at)
{
	struct swm_findings findings;

	if (compiled[at] == NULL) {
		const swm_status status = swm_template_read(
			swm_str_from(templates[at]), 1, &compiled[at], &findings);
		fuzz_that(status == SWM_OK, "template %zu: %s", at, findings.items[0].message);
		swm_findings_finish(&findings);
	}
	return compiled[at];
}

static json_int_t number(const json_t *object, const char *key, json_int_t otherwise)
{
	const json_t *value = json_object_get(object, key);

	return value != NULL ? json_integer_value(value) : otherwise;
}

/* Two tasks of two bodies, what was left out counting as zero. */
static void compare_tasks(const json_t *a, const json_t *b)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		fuzz_that(json_integer_value(json_array_get(a, i)) ==
				  json_integer_value(json_array_get(b, i)),
			"number %zu of a task", i);
	}
	const json_t *reason = json_array_get(a, NUMBERS);
	const json_t *other = json_array_get(b, NUMBERS);
	fuzz_that((reason == NULL) == (other == NULL), "a reason comes or goes");
	fuzz_that(reason == NULL || json_equal(reason, other), "another reason");
}

/* As jansson reads both, the written body says what the given one said. */
static void compare(struct swm_str given, const char *written)
{
	json_t *a = fuzz_jansson(given);
	json_t *b = fuzz_jansson(swm_str_from(written));
	size_t i;
	json_t *task;

	fuzz_that(a != NULL && b != NULL, "jansson cannot read %s", written);
	fuzz_that(number(a, "f", -1) == number(b, "f", -1) &&
			  number(a, "seq", -1) == number(b, "seq", -1) &&
			  number(a, "stage", -1) == number(b, "stage", -1) &&
			  number(a, "bs", -1) == number(b, "bs", -1) &&
			  number(a, "flags", 0) == number(b, "flags", 0),
		"another number: %s", written);
	const json_t *data = json_object_get(a, "data");
	const json_t *other = json_object_get(b, "data");
	fuzz_that((data == NULL) == (other == NULL), "data comes or goes: %s", written);
	fuzz_that(data == NULL || fuzz_same(data, other), "other data: %s", written);
	const json_t *tasks = json_object_get(a, "tasks");
	fuzz_that(json_array_size(tasks) == json_array_size(json_object_get(b, "tasks")),
		"other tasks: %s", written);
	json_array_foreach(tasks, i, task)
	{
		compare_tasks(task, json_array_get(json_object_get(b, "tasks"), i));
	}
	json_decref(a);
	json_decref(b);
}

static void check_views(const struct swm_instance *instance, size_t at)
{
	struct swm_error err = {0};
	json_t *document = NULL;

	const enum swm_instance_status status = swm_instance_status(instance);
	fuzz_that(
		swm_instance_status_name(status).len > 0, "no name of status %d", (int)status);
	(void)swm_instance_stage(instance);
	(void)swm_instance_business_status(instance);
	fuzz_that(swm_instance_bytes(instance) >= sizeof(*instance), "no size");
	const swm_status shown = swm_document(
		instance, swm_str_from(templates[at]), SWM_STR("R"), 5, &document, &err);
	fuzz_that(shown == SWM_OK, "no document: %s", err.message);
	json_decref(document);
}

/* Whatever state that was: an event is judged, and what comes of it can be stored. */
static void check_moved(struct swm_instance *instance, uint8_t choice)
{
	static const char *const kinds[] = {
		"TaskCompleted", "TaskFailed", "TaskTimedOut", "TaskPending", "StartWorkflow"};
	const struct swm_payload_options options = {.data_max_bytes = 64};
	const struct swm_template *template = instance->template;
	const bool none = template->task_count == 0;
	const size_t task = none ? 0 : (size_t)(choice >> 3) % template->task_count;
	struct swm_event event;
	struct swm_verdict verdict;
	struct swm_effects effects;
	struct swm_arena arena = {0};
	char text[512];

	(void)snprintf(text, sizeof(text),
		"{\"event_name\":\"%s\",\"component_name\":\"C\",\"business_ref_no\":\"R\","
		"\"stage_name\":\"%s\",\"task_name\":\"%s\",\"data\":{\"k\":\"v\"}}",
		kinds[(choice & 7) % 5],
		none ? "?" : template->stages[template->tasks[task].stage].name.ptr,
		none ? "?" : template->tasks[task].name.ptr);
	fuzz_that(swm_event_read(swm_str_from(text), &swm_event_limits_default, &event, NULL) ==
			  SWM_OK,
		"no event: %s", text);
	const struct swm_step step = {&event, SWM_STR("raw"), 9000, &options};
	swm_effects_init(&effects, &arena);
	fuzz_that(swm_transition(instance, &step, &effects, &verdict) == SWM_OK, "no verdict");
	char *moved = fuzz_instance_body(instance);
	struct swm_instance *read = fuzz_instance_read(template, moved);
	swm_instance_destroy(read);
	free(moved);
	swm_event_finish(&event);
	swm_arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = {data, data + size};
	const size_t at = fuzz_byte(&bytes) % TEMPLATES;
	const uint8_t choice = fuzz_byte(&bytes);
	const struct swm_str text = fuzz_rest(&bytes);
	const struct swm_template *template = template_at(at);
	struct swm_instance *instance = NULL;
	struct swm_error err = {0};

	const swm_status status = swm_instance_read(template, text, &instance, &err);
	if (status != SWM_OK) {
		fuzz_that(status == SWM_E_CORRUPT || status == SWM_E_UNSUPPORTED, "status %d",
			status);
		fuzz_that(instance == NULL, "an instance of what was refused");
		fuzz_message(err.message, sizeof(err.message));
		return 0;
	}
	char *written = fuzz_instance_body(instance);
	compare(text, written);
	check_views(instance, at);
	struct swm_instance *read = fuzz_instance_read(template, written);
	struct swm_instance *copy = swm_instance_copy(instance);
	swm_instance_destroy(instance);
	fuzz_that(copy != NULL, "no memory");
	char *copied = fuzz_instance_body(copy);
	fuzz_that(strcmp(copied, written) == 0, "a copy of %s is %s", written, copied);
	swm_instance_destroy(copy);
	check_moved(read, choice);
	swm_instance_destroy(read);
	free(copied);
	free(written);
	return 0;
}
