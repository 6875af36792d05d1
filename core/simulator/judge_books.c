/* SPDX-License-Identifier: MIT */

/*
 * See judge_parts.h: what the judge reads and remembers.
 */

#include "judge_parts.h"

#include "json_read.h"
#include "must.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What came of a body. */
struct sim_reading {
	struct sim_reading *next;
	json_t *root;               /* NULL: not JSON */
	bool heard;                 /* what follows is known */
	const char *why;            /* it is no event; NULL: it is one */
	struct swm_str event_id;    /* absent: it has none within */
	struct swm_str instance_id; /* of an event */
};

static void *take(struct sim_judge *judge, size_t size)
{
	void *memory = swm_arena_take(&judge->memory, size);
	if (!memory) {
		abort();
	}
	memset(memory, 0, size);
	return memory;
}

bool sim_judge_blame(struct sim_judge *judge, const char *invariant, const char *format, ...)
{
	if (!judge->violation.invariant) {
		va_list args;
		va_start(args, format);
		(void)vsnprintf(
			judge->violation.text, sizeof(judge->violation.text), format, args);
		va_end(args);
		judge->violation.invariant = invariant;
	}
	return false;
}

const struct sim_violation *sim_judge_answer(const struct sim_judge *judge)
{
	return judge->violation.invariant ? &judge->violation : NULL;
}

struct swm_str sim_judge_copy(struct sim_judge *judge, struct swm_str text)
{
	struct swm_str copy = {0};
	if (text.ptr && !swm_arena_copy(&judge->memory, text, &copy)) {
		abort();
	}
	return copy;
}

static struct sim_reading *reading_of(struct sim_judge *judge, struct swm_str body)
{
	uint64_t hash = sim_book_hash(&body, 1);
	struct sim_reading *reading = sim_book_find(&judge->texts, hash);
	if (!reading) {
		reading = take(judge, sizeof(*reading));
		(void)swm_json_read(body, SIZE_MAX, &reading->root, NULL);
		reading->next = judge->readings;
		judge->readings = reading;
		(void)sim_book_add(&judge->texts, hash, reading);
	}
	return reading;
}

json_t *sim_judge_read(struct sim_judge *judge, struct swm_str body)
{
	return reading_of(judge, body)->root;
}

bool sim_judge_note(struct sim_judge *judge, const struct swm_str *texts, size_t count)
{
	return sim_book_add(&judge->facts, sim_book_hash(texts, count), judge);
}

bool sim_judge_noted(const struct sim_judge *judge, const struct swm_str *texts, size_t count)
{
	return sim_book_find(&judge->facts, sim_book_hash(texts, count)) != NULL;
}

/* Events. */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool is_name(const json_t *event, const char *key)
{
	const char *text = text_of(event, key);
	return text && text[0] != '\0';
}

static bool is_absent_or_count(const json_t *value)
{
	return !value || json_is_null(value) ||
	       (json_is_integer(value) && json_integer_value(value) >= 1);
}

/* Why nobody can use it; NULL: it is an event. */
static const char *flaw_of(const json_t *event)
{
	static const char *const names[] = {
		"StartWorkflow", "TaskCompleted", "TaskFailed", "TaskTimedOut", "TaskPending"};
	const char *name = text_of(event, "event_name");
	const json_t *id = json_object_get(event, "event_id");
	size_t kind = 0;
	while (name && kind < 5 && strcmp(name, names[kind]) != 0) {
		kind++;
	}
	if (!name || kind == 5) {
		return "no event_name that we know";
	}
	if (!is_name(event, "component_name") || !is_name(event, "business_ref_no")) {
		return "it names no instance";
	}
	if (kind > 0 && (!is_name(event, "stage_name") || !is_name(event, "task_name"))) {
		return "it names no task";
	}
	if (id && !json_is_null(id) && !json_is_string(id)) {
		return "event_id is no string";
	}
	if (kind > 0 && !is_absent_or_count(json_object_get(event, "attempt"))) {
		return "attempt is no count";
	}
	return NULL;
}

static size_t write_escaped(char *out, size_t size, const char *text)
{
	size_t at = 0;
	for (; *text && at + 4 < size; text++) {
		if (*text == '%' || *text == '/') {
			memcpy(out + at, *text == '%' ? "%25" : "%2F", 3);
			at += 3;
		} else {
			out[at++] = *text;
		}
	}
	return at;
}

/* What it says by itself, whoever brings it and as often as it comes. */
static void listen(struct sim_judge *judge, struct sim_reading *reading)
{
	const json_t *root = reading->root;
	char id[SWM_INSTANCE_ID_MAX + 1];
	reading->heard = true;
	reading->why = root ? flaw_of(root) : "not JSON";
	if (reading->why) {
		return;
	}
	if (is_name(root, "event_id")) {
		reading->event_id = swm_str_from(text_of(root, "event_id"));
	}
	size_t len = write_escaped(id, sizeof(id) - 1, text_of(root, "component_name"));
	id[len++] = '/';
	len += write_escaped(id + len, sizeof(id) - len, text_of(root, "business_ref_no"));
	reading->instance_id = sim_judge_copy(judge, (struct swm_str){id, len});
}

void sim_judge_hear(struct sim_judge *judge, struct swm_str body, struct swm_str id,
	const struct swm_header *headers, size_t header_count, struct sim_heard *out)
{
	struct sim_reading *reading = reading_of(judge, body);
	if (!reading->heard) {
		listen(judge, reading);
	}
	*out = (struct sim_heard){.why = reading->why, .raw_id = id};
	for (size_t i = 0; i < header_count; i++) {
		if (swm_str_equal(headers[i].name, SWM_STR("swm-event-id")) &&
			headers[i].value.len > 0) {
			out->raw_id = headers[i].value;
		}
	}
	if (out->why) {
		return;
	}
	out->event = reading->root;
	out->instance_id = reading->instance_id;
	if (reading->event_id.len > 0) {
		out->raw_id = reading->event_id;
	}
}

#define IDENTITY_TEXTS 8

/* What makes an event the same event again. */
static size_t identity_of(const struct sim_heard *heard, struct swm_str body, uint32_t *attempt,
	struct swm_str texts[IDENTITY_TEXTS])
{
	*attempt = sim_model_attempt(heard->event);
	texts[0] = SWM_STR("recorded");
	texts[1] = heard->instance_id;
	texts[2] = swm_str_from(text_of(heard->event, "event_name"));
	texts[3] = swm_str_from(text_of(heard->event, "stage_name"));
	texts[4] = swm_str_from(text_of(heard->event, "task_name"));
	texts[5] = (struct swm_str){(const char *)attempt, sizeof(*attempt)};
	texts[6] = heard->raw_id;
	texts[7] = body;
	if (heard->raw_id.len > 0) {
		texts[7] = (struct swm_str){0};
	} /* else the engine makes an id up, and the bytes have to do */
	return IDENTITY_TEXTS;
}

void sim_judge_note_put_off(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body)
{
	struct swm_str texts[IDENTITY_TEXTS];
	uint32_t attempt;
	size_t count = identity_of(heard, body, &attempt, texts);
	texts[0] = SWM_STR("put off");
	(void)sim_judge_note(judge, texts, count);
}

bool sim_judge_is_put_off(
	const struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body)
{
	struct swm_str texts[IDENTITY_TEXTS];
	uint32_t attempt;
	size_t count = identity_of(heard, body, &attempt, texts);
	texts[0] = SWM_STR("put off");
	return sim_judge_noted(judge, texts, count);
}

bool sim_judge_note_recorded(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body)
{
	struct swm_str texts[IDENTITY_TEXTS];
	uint32_t attempt;
	struct sim_heard anonymous = *heard;
	anonymous.raw_id = (struct swm_str){0};
	(void)sim_book_add(&judge->recorded_bodies, sim_book_hash(&body, 1), judge);
	(void)sim_judge_note(judge, texts, identity_of(&anonymous, body, &attempt, texts));
	return sim_judge_note(judge, texts, identity_of(heard, body, &attempt, texts));
}

bool sim_judge_is_recorded(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body)
{
	struct swm_str texts[IDENTITY_TEXTS];
	uint32_t attempt;
	return sim_judge_noted(judge, texts, identity_of(heard, body, &attempt, texts));
}

void sim_judge_note_given(struct sim_judge *judge, unsigned orchestrator, struct swm_str raw_id,
	struct swm_str body)
{
	struct sim_given_book *book = &judge->given[orchestrator];
	const struct swm_str texts[] = {raw_id, body};
	uint64_t hash = sim_book_hash(texts, sizeof(texts) / sizeof(texts[0]));
	if (sim_book_find(&book->facts, hash)) {
		return;
	}
	struct sim_given_fact *fact = take(judge, sizeof(*fact));
	*fact = (struct sim_given_fact){book->all, hash, sim_book_hash(&body, 1)};
	book->all = fact;
	(void)sim_book_add(&book->facts, hash, fact);
}

bool sim_judge_was_given(struct sim_judge *judge, unsigned orchestrator, struct swm_str raw_id,
	struct swm_str body)
{
	const struct sim_book *facts = &judge->given[orchestrator].facts;
	struct swm_str texts[] = {raw_id, body};
	size_t count = sizeof(texts) / sizeof(texts[0]);
	bool given = sim_book_find(facts, sim_book_hash(texts, count)) != NULL;
	texts[0] = (struct swm_str){0}; /* an id that was made up */
	return given || sim_book_find(facts, sim_book_hash(texts, count)) != NULL;
}

uint32_t *sim_judge_conflicts(
	struct sim_judge *judge, unsigned orchestrator, struct swm_str event_id)
{
	const char digit = (char)('0' + orchestrator);
	const struct swm_str texts[] = {{&digit, 1}, event_id};
	uint64_t hash = sim_book_hash(texts, sizeof(texts) / sizeof(texts[0]));
	uint32_t *count = sim_book_find(&judge->conflicts, hash);
	if (!count) {
		count = take(judge, sizeof(*count));
		(void)sim_book_add(&judge->conflicts, hash, count);
	}
	return count;
}

/* Rows. */

struct sim_entry *sim_judge_entry(const struct sim_judge *judge, struct swm_str id)
{
	return sim_book_find(&judge->entries, sim_book_hash(&id, 1));
}

struct sim_entry *sim_judge_add_entry(
	struct sim_judge *judge, const struct swm_outbox_row *row, struct swm_str event_id)
{
	struct sim_entry *entry = take(judge, sizeof(*entry));
	entry->id = sim_judge_copy(judge, row->id);
	entry->instance_id = sim_judge_copy(judge, row->instance_id);
	entry->destination = sim_judge_copy(judge, row->destination);
	entry->body = sim_judge_copy(judge, row->body);
	entry->event_id = sim_judge_copy(judge, event_id);
	entry->state = row->state == SWM_OUTBOX_DEAD ? SIM_PARKED : SIM_OWED;
	entry->next = judge->all_entries;
	judge->all_entries = entry;
	(void)sim_book_add(&judge->entries, sim_book_hash(&row->id, 1), entry);
	return entry;
}

bool sim_judge_is_awaited(const struct sim_case *of, const struct sim_entry *entry)
{
	return of->model->tasks[entry->task].attempt == entry->attempt &&
	       sim_model_awaits(of->model, entry->task, entry->kind);
}

/* Templates. */

/* The positions of a task's parents, with SIZE_MAX behind. */
static size_t *parents_of(struct sim_judge *judge, const struct sim_model *model,
	const struct sim_model_task *task)
{
	const json_t *names = json_object_get(task->object, "parent_task");
	size_t count = json_array_size(names);
	size_t *parents = take(judge, (count + 1) * sizeof(*parents));
	for (size_t i = 0; i < count; i++) {
		parents[i] = sim_model_find(
			model, task->stage, json_string_value(json_array_get(names, i)));
	}
	parents[count] = SIZE_MAX;
	return parents;
}

static void fill_pattern(struct sim_judge *judge, struct sim_pattern *pattern)
{
	const struct swm_template *template = pattern->template;
	struct sim_model *model = sim_model_create(pattern->root);
	pattern->places = take(judge, (model->task_count + 1) * sizeof(*pattern->places));
	pattern->parents = take(judge, (model->task_count + 1) * sizeof(size_t *));
	for (size_t i = 0; i < template->task_count; i++) {
		const struct swm_task *task = &template->tasks[i];
		pattern->places[i] = sim_model_find(
			model, template->stages[task->stage].name.ptr, task->name.ptr);
	}
	for (size_t i = 0; i < model->task_count; i++) {
		pattern->parents[i] = parents_of(judge, model, &model->tasks[i]);
	}
	sim_model_destroy(model);
}

/* The version that the id says, which only the fold's messages hold. */
static int64_t version_of(struct swm_str id)
{
	int64_t version = 0;
	for (size_t i = 0; i < id.len; i++) {
		version = id.ptr[i] == ':' ? 0 : version * 10 + (id.ptr[i] - '0');
	}
	return version;
}

struct sim_pattern *sim_judge_pattern(struct sim_judge *judge, struct swm_str id)
{
	struct sim_pattern *pattern = judge->patterns;
	while (pattern && !swm_str_equal(pattern->id, id)) {
		pattern = pattern->next;
	}
	struct swm_str text = sim_store_template(sim_world_store(judge->world), id);
	if (pattern || !text.ptr) {
		return pattern;
	}
	json_t *root = sim_judge_read(judge, text);
	struct swm_findings findings = {0};
	struct swm_template *template = NULL;
	swm_status status = swm_template_read(text, version_of(id), &template, &findings);
	swm_findings_finish(&findings);
	if (!root || status != SWM_OK) {
		return NULL;
	}
	pattern = take(judge, sizeof(*pattern));
	pattern->id = sim_judge_copy(judge, id);
	pattern->root = root;
	pattern->template = template;
	pattern->next = judge->patterns;
	judge->patterns = pattern;
	fill_pattern(judge, pattern);
	return pattern;
}

/* Life. */

struct sim_judge *sim_judge_create(struct sim_world *world)
{
	struct sim_judge *judge = sim_must_alloc(sizeof(*judge));
	judge->world = world;
	judge->uncounted = sim_world_may(world, SIM_FAULT_CRASH) ||
			   sim_world_may(world, SIM_FAULT_COMMIT_DOUBT) ||
			   sim_world_may(world, SIM_FAULT_SLOW) ||
			   sim_world_may(world, SIM_FAULT_STALL);
	swm_arena_init(&judge->memory);
	return judge;
}

void sim_judge_destroy(struct sim_judge *judge)
{
	if (!judge) {
		return;
	}
	for (struct sim_case *at = judge->all_cases; at; at = at->next) {
		sim_model_destroy(at->model);
		swm_instance_destroy(at->folded);
	}
	for (struct sim_pattern *at = judge->patterns; at; at = at->next) {
		swm_template_destroy(at->template);
	}
	for (struct sim_reading *at = judge->readings; at; at = at->next) {
		json_decref(at->root);
	}
	sim_book_finish(&judge->texts);
	sim_book_finish(&judge->entries);
	sim_book_finish(&judge->cases);
	sim_book_finish(&judge->facts);
	sim_book_finish(&judge->recorded_bodies);
	sim_book_finish(&judge->conflicts);
	for (size_t i = 0; i < SIM_ORCHESTRATORS_MAX; i++) {
		sim_book_finish(&judge->given[i].facts);
	}
	swm_arena_finish(&judge->memory);
	free(judge);
}
