/* SPDX-License-Identifier: MIT */
/*
 * Runs the cases that are directories here; README.md says what they consist of.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "fold.h"
#include "instance.h"
#include "swm_limits.h"
#include "template.h"
#include "text.h"
#include "transition.h"

#include <dirent.h>
#include <jansson.h>

#define CASES_MAX 512
#define STEPS_MAX 256
#define OWED_MAX 1024
#define STEP_MS 1000

/* A message that was owed once: what timers and answers are made of. */
struct owed {
	char task[2 * SWM_NAME_MAX + 2]; /* STAGE/task */
	enum swm_message_kind kind;
	uint32_t attempt;
	char id[SWM_ID_LEN + 1];
	char *body;
};

/* One line of events.jsonl, ready to be applied. */
struct input {
	char *body;
	size_t len;
	char *raw_id;
	int64_t at_ms;
	bool same_commit;
	bool last_of_commit;
};

struct run {
	const char *name;
	struct swm_template *template;
	struct swm_payload_options options;
	struct swm_event_limits limits;
	json_t *lines;    /* of events.jsonl */
	json_t *raw;      /* the same as strings */
	json_t *expected; /* expected.json */
	bool reread;      /* the instance comes from its body before each event */
	struct swm_instance *instance;
	struct swm_arena arena;
	struct swm_effects effects;
	size_t effects_seen; /* owed messages that have been remembered */
	struct owed owed[OWED_MAX];
	size_t owed_count;
	struct input inputs[STEPS_MAX];
	enum swm_outcome outcomes[STEPS_MAX]; /* 0: parked */
	char *bodies[STEPS_MAX];              /* of the instance, after the step */
	size_t step;
	int64_t at_ms;
};

static struct swm_str str(const char *text)
{
	return (struct swm_str){text, strlen(text)};
}

static char *copy_of(struct swm_str text)
{
	char *copy = malloc(text.len + 1);

	assert_non_null(copy);
	if (text.len > 0) {
		memcpy(copy, text.ptr, text.len);
	}
	copy[text.len] = '\0';
	return copy;
}

/* A file of the case as terminated text from malloc; NULL: there is none. */
static char *read_file(const char *name, const char *file, size_t *len)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s/%s", CASES, name, file);
	FILE *in = fopen(path, "rb");
	if (in == NULL) {
		return NULL;
	}
	assert_int_equal(fseek(in, 0, SEEK_END), 0);
	const long size = ftell(in);
	assert_true(size >= 0);
	rewind(in);
	char *text = malloc((size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)size, in), size);
	text[size] = '\0';
	fclose(in);
	*len = (size_t)size;
	return text;
}

static json_t *read_json(const char *name, const char *file)
{
	json_error_t error;
	size_t len = 0;
	char *text = read_file(name, file, &len);

	if (text == NULL) {
		return NULL;
	}
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (value == NULL) {
		fail_msg("%s/%s:%d: %s", name, file, error.line, error.text);
	}
	free(text);
	return value;
}

/* events.jsonl, line by line, as values and as they stand. */
static void read_events(struct run *run)
{
	size_t len = 0;
	char *text = read_file(run->name, "events.jsonl", &len);
	char *rest = NULL;

	assert_non_null(text);
	run->lines = json_array();
	run->raw = json_array();
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		json_error_t error;
		json_t *value = json_loads(line, 0, &error);
		if (!json_is_object(value)) {
			fail_msg("%s/events.jsonl: %s: %s", run->name, line, error.text);
		}
		json_array_append_new(run->lines, value);
		json_array_append_new(run->raw, json_string(line));
	}
	free(text);
	assert_in_range(json_array_size(run->lines), 1, STEPS_MAX);
}

static void read_template(struct run *run, int64_t version)
{
	struct swm_findings findings;
	size_t len = 0;
	char *text = read_file(run->name, "template.json", &len);

	assert_non_null(text);
	const swm_status status = swm_template_read(
		(struct swm_str){text, len}, version, &run->template, &findings);
	if (status != SWM_OK) {
		fail_msg("template.json: status %d, %s", (int)status,
			findings.count > 0 ? findings.items[0].message : "no finding");
	}
	swm_findings_finish(&findings);
	free(text);
}

static void run_init(struct run *run, const char *name, bool reread)
{
	memset(run, 0, sizeof(*run));
	run->name = name;
	run->reread = reread;
	json_t *options = read_json(name, "case.json");
	const json_t *version = json_object_get(options, "template_version");
	const json_t *max = json_object_get(options, "data_max_bytes");
	run->options.plain = json_is_true(json_object_get(options, "plain"));
	run->options.data_max_bytes =
		max != NULL ? (size_t)json_integer_value(max) : SWM_DATA_MAX_BYTES;
	run->limits = swm_event_limits_default;
	run->limits.data_bytes = run->options.data_max_bytes;
	read_template(run, version != NULL ? json_integer_value(version) : 1);
	json_decref(options);
	read_events(run);
	run->expected = read_json(name, "expected.json");
	if (run->expected == NULL) {
		fail_msg("%s/expected.json is missing", name);
	}
	run->instance = swm_instance_create(run->template);
	assert_non_null(run->instance);
}

static void run_finish(struct run *run)
{
	for (size_t i = 0; i < run->owed_count; i++) {
		free(run->owed[i].body);
	}
	for (size_t i = 0; i < STEPS_MAX; i++) {
		free(run->bodies[i]);
		free(run->inputs[i].body);
		free(run->inputs[i].raw_id);
	}
	json_decref(run->lines);
	json_decref(run->raw);
	json_decref(run->expected);
	swm_arena_finish(&run->arena);
	swm_instance_destroy(run->instance);
	swm_template_destroy(run->template);
}

static const char *kind_name(enum swm_message_kind kind)
{
	switch (kind) {
	case SWM_MESSAGE_START_TASK:
		return "StartTask";
	case SWM_MESSAGE_TASK_TIMED_OUT:
		return "TaskTimedOut";
	case SWM_MESSAGE_TASK_PENDING:
		return "TaskPending";
	}
	return "?";
}

/* The last message of the description {"event","task","attempt"}. */
static const struct owed *find_owed(const struct run *run, const json_t *what)
{
	const char *kind = json_string_value(json_object_get(what, "event"));
	const char *task = json_string_value(json_object_get(what, "task"));
	const json_int_t attempt = json_integer_value(json_object_get(what, "attempt"));

	for (size_t i = run->owed_count; i-- > 0;) {
		const struct owed *owed = &run->owed[i];
		if (owed->attempt == attempt && task != NULL && strcmp(owed->task, task) == 0 &&
			strcmp(kind_name(owed->kind), kind != NULL ? kind : "StartTask") == 0) {
			return owed;
		}
	}
	fail_msg("step %zu: no such message was owed", run->step + 1);
	return NULL;
}

/* The bytes of an answer that copies a StartTask. */
static char *answer_body(const struct run *run, const json_t *line)
{
	const struct owed *owed = find_owed(run, json_object_get(line, "to"));
	json_t *copy = json_loads(owed->body, 0, NULL);

	assert_non_null(copy);
	json_object_set(copy, "event_name", json_object_get(line, "answer"));
	char *body = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	return body;
}

static void input_bytes(struct run *run, struct input *input)
{
	const json_t *line = json_array_get(run->lines, run->step);
	const json_t *text = json_object_get(line, "text");

	if (text != NULL) {
		input->body = copy_of(str(json_string_value(text)));
	} else if (json_object_get(line, "owed") != NULL) {
		const struct owed *owed = find_owed(run, json_object_get(line, "owed"));
		input->body = copy_of(str(owed->body));
		input->raw_id = copy_of(str(owed->id));
	} else if (json_object_get(line, "answer") != NULL) {
		input->body = answer_body(run, line);
	} else if (json_object_get(line, "event") != NULL) {
		input->body = json_dumps(json_object_get(line, "event"), JSON_COMPACT);
	} else {
		input->body =
			copy_of(str(json_string_value(json_array_get(run->raw, run->step))));
	}
	assert_non_null(input->body);
	input->len = strlen(input->body);
}

static struct input *next_input(struct run *run)
{
	struct input *input = &run->inputs[run->step];
	const json_t *line = json_array_get(run->lines, run->step);
	const json_t *next = json_array_get(run->lines, run->step + 1);
	const json_t *at = json_object_get(line, "at");
	const json_t *id = json_object_get(line, "id");

	run->at_ms = at != NULL ? json_integer_value(at) : run->at_ms + STEP_MS;
	input->at_ms = run->at_ms;
	input->same_commit = json_is_true(json_object_get(line, "same_commit"));
	input->last_of_commit = !json_is_true(json_object_get(next, "same_commit"));
	input_bytes(run, input);
	if (id != NULL) {
		free(input->raw_id);
		input->raw_id = copy_of(str(json_string_value(id)));
	}
	return input;
}

/* The raw id that the engine would find. */
static struct swm_str raw_id_of(
	const struct run *run, struct input *input, const struct swm_event *event)
{
	char line[32];

	if (input->raw_id == NULL) {
		snprintf(line, sizeof(line), "line-%zu", run->step + 1);
		input->raw_id =
			copy_of(event->event_id.ptr != NULL ? event->event_id : str(line));
	}
	return str(input->raw_id);
}

static char *body_of(const struct swm_instance *instance)
{
	static char body[256 * 1024];
	struct swm_json_out out;

	swm_json_out_init(&out, body, sizeof(body));
	swm_instance_write(instance, &out);
	assert_true(swm_json_out_fits(&out));
	return copy_of((struct swm_str){body, out.len});
}

static void reread_instance(struct run *run)
{
	struct swm_error err = {0};
	char *body = body_of(run->instance);
	struct swm_instance *read = NULL;

	const swm_status status = swm_instance_read(run->template, str(body), &read, &err);
	if (status != SWM_OK) {
		fail_msg("%s cannot be read back: %s", body, err.message);
	}
	char *again = body_of(read);
	assert_string_equal(again, body);
	free(again);
	free(body);
	swm_instance_destroy(run->instance);
	run->instance = read;
}

/* "STAGE/task" */
static void task_path(const struct run *run, uint16_t task, char *out, size_t cap)
{
	const struct swm_task *defined = &run->template->tasks[task];
	const struct swm_str stage = run->template->stages[defined->stage].name;

	snprintf(out, cap, "%.*s/%.*s", (int)stage.len, stage.ptr, (int)defined->name.len,
		defined->name.ptr);
}

static void remember_owed(struct run *run)
{
	for (size_t i = 0; i < run->effects.owed_count; i++) {
		const struct swm_owed *from = &run->effects.owed[i];
		bool known = false;
		for (size_t k = 0; k < run->owed_count && !known; k++) {
			known = memcmp(run->owed[k].id, from->id.hex, SWM_ID_LEN) == 0;
		}
		if (known) {
			continue;
		}
		assert_true(run->owed_count < OWED_MAX);
		struct owed *to = &run->owed[run->owed_count++];
		task_path(run, from->task, to->task, sizeof(to->task));
		to->kind = from->kind;
		to->attempt = from->attempt;
		memcpy(to->id, from->id.hex, sizeof(to->id));
		to->body = copy_of(from->body);
	}
}

/* Applies the line; 0 stands for "parked". */
static enum swm_outcome apply(struct run *run, struct input *input, json_t *actual)
{
	struct swm_event event;
	struct swm_error err = {0};
	struct swm_verdict verdict = {0};

	if (!input->same_commit) {
		swm_arena_reset(&run->arena);
		swm_effects_init(&run->effects, &run->arena);
		if (run->reread) {
			reread_instance(run);
		}
	}
	if (swm_event_read((struct swm_str){input->body, input->len}, &run->limits, &event,
		    &err) != SWM_OK) {
		json_object_set_new(actual, "reason", json_string(err.message));
		return 0;
	}
	const struct swm_step step = {
		&event, raw_id_of(run, input, &event), input->at_ms, &run->options};
	assert_int_equal(swm_transition(run->instance, &step, &run->effects, &verdict), SWM_OK);
	if (verdict.reason.ptr != NULL) {
		json_object_set_new(
			actual, "reason", json_stringn(verdict.reason.ptr, verdict.reason.len));
	}
	swm_event_finish(&event);
	remember_owed(run);
	return verdict.outcome;
}

static json_t *str_or_null(struct swm_str text)
{
	return text.ptr != NULL ? json_stringn(text.ptr, text.len) : json_null();
}

static json_t *actual_messages(const struct run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run->effects.owed_count; i++) {
		const struct swm_owed *owed = &run->effects.owed[i];
		char task[2 * SWM_NAME_MAX + 2];
		task_path(run, owed->task, task, sizeof(task));
		json_array_append_new(list,
			json_pack("{s:s,s:s,s:I,s:o,s:I,s:s,s:o}", "event",
				kind_name(owed->kind), "task", task, "attempt",
				(json_int_t)owed->attempt, "to", str_or_null(owed->destination),
				"delay_ms", (json_int_t)owed->delay_ms, "id", owed->id.hex,
				"body", str_or_null(owed->body)));
	}
	return list;
}

/* Timers by what they are; an id that was never owed stays an id. */
static json_t *actual_cancelled(const struct run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run->effects.cancelled_count; i++) {
		const char *id = run->effects.cancelled[i].hex;
		json_t *what = json_pack("{s:s}", "never owed", id);
		for (size_t k = 0; k < run->owed_count; k++) {
			const struct owed *owed = &run->owed[k];
			if (strcmp(owed->id, id) == 0) {
				json_decref(what);
				what = json_pack("{s:s,s:s,s:I}", "event",
					kind_name(owed->kind), "task", owed->task, "attempt",
					(json_int_t)owed->attempt);
			}
		}
		json_array_append_new(list, what);
	}
	return list;
}

static const char *outcome_name(enum swm_outcome outcome)
{
	static const char *const names[] = {
		"parked", "applied", "duplicate", "ignored", "rejected", "unrecorded"};

	return names[outcome];
}

/* Equal, but for the places where expected.json says it in another way. */
static bool meets(const char *key, const json_t *expected, const json_t *actual)
{
	if (strcmp(key, "body") == 0 && json_is_object(expected)) {
		char *text = json_dumps(expected, JSON_COMPACT);
		const bool equal = strcmp(text, json_string_value(actual)) == 0;
		free(text);
		return equal;
	}
	if (strcmp(key, "delay_ms") == 0 && json_is_array(expected)) {
		const json_int_t delay = json_integer_value(actual);
		return delay >= json_integer_value(json_array_get(expected, 0)) &&
		       delay <= json_integer_value(json_array_get(expected, 1));
	}
	return actual != NULL && json_equal(expected, actual);
}

static void differs(
	const struct run *run, const char *key, const json_t *expected, const json_t *actual)
{
	char *wanted = expected != NULL ? json_dumps(expected, JSON_ENCODE_ANY) : NULL;
	char *got = actual != NULL ? json_dumps(actual, JSON_ENCODE_ANY) : NULL;

	fail_msg("step %zu, %s%s:\n  expected %s\n  got      %s", run->step + 1, key,
		run->reread ? " (instance read back)" : "", wanted != NULL ? wanted : "nothing",
		got != NULL ? got : "nothing");
}

/* Each member that is expected is met, and (but for `reason`) there is no other. */
static void compare_object(
	const struct run *run, const char *where, json_t *expected, json_t *actual)
{
	const char *key;
	json_t *value;

	json_object_foreach(expected, key, value)
	{
		if (!meets(key, value, json_object_get(actual, key))) {
			differs(run, key, value, json_object_get(actual, key));
		}
	}
	json_object_foreach(actual, key, value)
	{
		if (strcmp(key, "reason") != 0 && json_object_get(expected, key) == NULL) {
			differs(run, where, expected, actual);
		}
	}
}

static void compare_list(
	const struct run *run, const char *key, const json_t *expected, const json_t *actual)
{
	if (json_array_size(expected) != json_array_size(actual)) {
		differs(run, key, expected, actual);
	}
	for (size_t i = 0; i < json_array_size(actual); i++) {
		compare_object(
			run, key, json_array_get(expected, i), json_array_get(actual, i));
	}
}

static void compare_step(struct run *run, const struct input *input, json_t *actual)
{
	json_t *expected = json_array_get(json_object_get(run->expected, "steps"), run->step);
	json_t *own = json_copy(expected);

	if (expected == NULL) {
		fail_msg("step %zu is not in expected.json", run->step + 1);
	}
	json_object_del(own, "messages");
	json_object_del(own, "cancelled");
	json_object_set_new(actual, "status",
		str_or_null(swm_instance_status_name(swm_instance_status(run->instance))));
	json_object_set_new(actual, "stage", str_or_null(swm_instance_stage(run->instance)));
	json_object_set_new(actual, "business_status",
		str_or_null(swm_instance_business_status(run->instance)));
	compare_object(run, "the step", own, actual);
	json_decref(own);
	json_t *messages = input->last_of_commit ? actual_messages(run) : json_array();
	json_t *cancelled = input->last_of_commit ? actual_cancelled(run) : json_array();
	compare_list(run, "messages", json_object_get(expected, "messages"), messages);
	compare_list(run, "cancelled", json_object_get(expected, "cancelled"), cancelled);
	json_decref(messages);
	json_decref(cancelled);
}

/* What does not count moves nothing but the sequence, and that only if recorded. */
static void check_sequence(const struct run *run, int64_t before, enum swm_outcome outcome)
{
	const bool recorded = outcome != 0 && outcome != SWM_UNRECORDED;

	assert_int_equal(run->instance->sequence, before + recorded);
	if (!recorded && run->step > 0) {
		assert_string_equal(run->bodies[run->step], run->bodies[run->step - 1]);
	}
}

static void take_step(struct run *run)
{
	struct input *input = next_input(run);
	const int64_t before = run->instance->sequence;
	json_t *actual = json_object();
	const enum swm_outcome outcome = apply(run, input, actual);

	json_object_set_new(actual, "outcome", json_string(outcome_name(outcome)));
	run->outcomes[run->step] = outcome;
	run->bodies[run->step] = body_of(run->instance);
	compare_step(run, input, actual);
	check_sequence(run, before, outcome);
	json_decref(actual);
}

/* The fold invariant, at every sequence. */
static void check_fold(const struct run *run)
{
	struct swm_instance *folded = NULL;
	int64_t sequence = 0;

	for (size_t i = 0; i < json_array_size(run->lines); i++) {
		const struct input *input = &run->inputs[i];
		struct swm_error err = {0};

		if (run->outcomes[i] == 0 || run->outcomes[i] == SWM_UNRECORDED) {
			continue;
		}
		const struct swm_record record = {str(input->raw_id), {input->body, input->len},
			++sequence, input->at_ms, run->outcomes[i], SWM_RULES};
		const swm_status status = swm_fold(run->template, &record, &folded, &err);
		if (status != SWM_OK) {
			fail_msg("fold at step %zu: %d, %s", i + 1, (int)status, err.message);
		}
		char *body = body_of(folded);
		if (strcmp(body, run->bodies[i]) != 0) {
			fail_msg("step %zu folds to\n  %s, not to\n  %s", i + 1, body,
				run->bodies[i]);
		}
		free(body);
	}
	swm_instance_destroy(folded);
}

static void walk_once(const char *name, bool reread)
{
	static struct run run;

	run_init(&run, name, reread);
	const size_t count = json_array_size(run.lines);
	assert_int_equal(json_array_size(json_object_get(run.expected, "steps")), count);
	for (run.step = 0; run.step < count; run.step++) {
		take_step(&run);
	}
	const json_t *expected = json_object_get(run.expected, "body");
	json_t *body = json_string(run.bodies[count - 1]);
	if (!meets("body", expected, body)) {
		differs(&run, "body", expected, body);
	}
	json_decref(body);
	check_fold(&run);
	run_finish(&run);
}

static void test_walk(void **state)
{
	walk_once(*state, false);
	walk_once(*state, true);
}

/* All findings as one text, for a message. */
static char *findings_text(const struct swm_findings *findings)
{
	size_t cap = 64 + findings->count * 512;
	char *text = malloc(cap);
	size_t len = (size_t)snprintf(text, cap, "%zu findings:", findings->count);

	for (size_t i = 0; i < findings->count; i++) {
		const struct swm_finding *item = &findings->items[i];
		len += (size_t)snprintf(text + len, cap - len, "\n  %s line %d %s: %s",
			item->warning ? "warning" : "error", (int)item->line, item->pointer,
			item->message);
	}
	return text;
}

static bool finding_meets(const json_t *expected, const struct swm_finding *actual)
{
	const char *says = json_string_value(json_object_get(expected, "says"));

	return strcmp(json_string_value(json_object_get(expected, "pointer")),
		       actual->pointer) == 0 &&
	       json_integer_value(json_object_get(expected, "line")) == actual->line &&
	       json_is_true(json_object_get(expected, "warning")) == actual->warning &&
	       says != NULL && strstr(actual->message, says) != NULL;
}

static void test_lint(void **state)
{
	const char *name = *state;
	struct swm_findings findings;
	struct swm_template *template = NULL;
	size_t len = 0;
	size_t i;
	json_t *item;
	char *text = read_file(name, "template.json", &len);
	json_t *expected = read_json(name, "findings.json");
	bool met[SWM_FINDINGS_MAX] = {false};

	assert_non_null(text);
	assert_true(json_is_array(expected));
	const swm_status status =
		swm_template_read((struct swm_str){text, len}, 1, &template, &findings);
	char *all = findings_text(&findings);
	assert_int_equal(status, findings.errors > 0 ? SWM_E_INVALID : SWM_OK);
	json_array_foreach(expected, i, item)
	{
		size_t at = 0;
		while (at < findings.count &&
			(met[at] || !finding_meets(item, &findings.items[at]))) {
			at++;
		}
		if (at == findings.count) {
			fail_msg("%s is not among %s",
				json_string_value(json_object_get(item, "pointer")), all);
		}
		met[at] = true;
	}
	if (findings.count != json_array_size(expected)) {
		fail_msg("%zu are expected, not %s", json_array_size(expected), all);
	}
	free(all);
	swm_findings_finish(&findings);
	swm_template_destroy(template);
	json_decref(expected);
	free(text);
}

/* A folder with a template is a case. */
static bool is_case(const char *name)
{
	size_t len = 0;
	char *text = name[0] != '.' ? read_file(name, "template.json", &len) : NULL;

	free(text);
	return text != NULL;
}

int main(void)
{
	static struct CMUnitTest tests[CASES_MAX];
	static char names[CASES_MAX][256];
	struct dirent **entries = NULL;
	const int found = scandir(CASES, &entries, NULL, alphasort);
	size_t count = 0;

	if (found < 0) {
		perror(CASES);
		return 1;
	}
	for (int i = 0; i < found; i++) {
		if (count < CASES_MAX && is_case(entries[i]->d_name)) {
			snprintf(names[count], sizeof(names[count]), "%s", entries[i]->d_name);
			const bool lint = strncmp(names[count], "lint-", 5) == 0;
			tests[count] = (struct CMUnitTest){names[count],
				lint ? test_lint : test_walk, NULL, NULL, names[count]};
			count++;
		}
		free(entries[i]);
	}
	free(entries);
	return _cmocka_run_group_tests("case", tests, count, NULL, NULL);
}
