/* SPDX-License-Identifier: MIT */

/*
 * The readable form; see document.h.
 *
 * The core keeps of an instance what changes, by position in its template, as one JSON
 * object: {"f":1,"seq":…,"stage":…,"flags":…,"data":…,"tasks":[[status, attempt, time,
 * flags, base, resends, "reason"], …]}, where trailing zeros are left out. Stages are
 * counted in the order of stage_order, tasks stage after stage. A body of another format
 * has no readable form; a release that writes one brings it along. A test compares with
 * what the core shows.
 *
 * Concurrency: confined to the session's thread.
 */

#include "document.h"

#include "fields.h"
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEPT_TEMPLATES = 8,
	STAGES_MAX = 256,
	BODY_FORMAT = 1,
	/* What STORE_DOCUMENT_BYTES_MAX leaves for it; as BSON a list of small numbers takes six
	 * times what it took as JSON. */
	READABLE_BYTES_MAX = 2 * 1024 * 1024,
	TASK_SKIPPED = 4
};

/* A template as it was parsed: they never change. */
struct kept {
	char *id;
	bson_t *document;
	int64_t version;
};

struct documents {
	struct swm_session *session;
	struct kept kept[KEPT_TEMPLATES];
	size_t next; /* to be replaced */
};

struct documents *documents_create(struct swm_session *session)
{
	struct documents *documents = calloc(1, sizeof(*documents));

	if (documents) {
		documents->session = session;
	}
	return documents;
}

static void forget(struct kept *kept)
{
	free(kept->id);
	bson_destroy(kept->document);
	*kept = (struct kept){0};
}

void documents_destroy(struct documents *documents)
{
	if (!documents) {
		return;
	}
	for (size_t i = 0; i < KEPT_TEMPLATES; i++) {
		forget(&documents->kept[i]);
	}
	free(documents);
}

/* Parses what was found for an id; NULL: that is no template. */
static const struct kept *keep(
	struct documents *documents, struct swm_str id, const struct swm_template_row *row)
{
	struct kept *kept = &documents->kept[documents->next];

	forget(kept);
	kept->id = strndup(id.ptr, id.len);
	kept->document = bson_new();
	kept->version = row->version;
	if (!kept->id || !json_to_bson(row->body, kept->document)) {
		forget(kept);
		return NULL;
	}
	documents->next = (documents->next + 1) % KEPT_TEMPLATES;
	return kept;
}

static const struct kept *template_of(struct documents *documents, struct swm_str id)
{
	struct swm_session *session = documents->session;
	const struct kept *found = NULL;
	struct docs docs = {0};
	bson_t filter = BSON_INITIALIZER;
	struct put put = {&filter, false};

	for (size_t i = 0; i < KEPT_TEMPLATES; i++) {
		const struct kept *kept = &documents->kept[i];

		if (kept->id && strlen(kept->id) == id.len &&
			memcmp(kept->id, id.ptr, id.len) == 0) {
			return kept;
		}
	}
	put_text(&put, "_id", id);
	if (id.ptr && !put.bad &&
		wire_find(&session->wire, session->collections[COLLECTION_DEFINITION], &filter,
			NULL, "read a template", &docs, NULL) == SWM_OK &&
		docs.count == 1) {
		struct swm_template_row row = {.version = 0};

		if (take_document(docs.items[0], &template_fields, &row)) {
			found = keep(documents, id, &row);
		}
	}
	docs_finish(&docs);
	bson_destroy(&filter);
	return found;
}

/* --- The state --- */

struct state {
	bson_t *body;
	int64_t stage;
	int64_t sequence;
};

/* The state of task number `at`, a list; false: there is none. */
static bool task_state(const struct state *state, size_t at, bson_iter_t *out)
{
	char path[32];
	bson_iter_t task;

	(void)snprintf(path, sizeof(path), "tasks.%zu", at);
	return find_value(state->body, path, &task) && BSON_ITER_HOLDS_ARRAY(&task) &&
	       bson_iter_recurse(&task, out);
}

struct task {
	int64_t status;
	int64_t attempt;
	int64_t updated_ms;
	int64_t flags;
	struct swm_str reason;
};

static bool read_task(const struct state *state, size_t at, struct task *task)
{
	bson_iter_t iter;
	int64_t *const numbers[] = {
		&task->status, &task->attempt, &task->updated_ms, &task->flags};

	*task = (struct task){.reason = {"", 0}};
	if (!task_state(state, at, &iter)) {
		return false;
	}
	for (size_t i = 0; bson_iter_next(&iter); i++) {
		if (BSON_ITER_HOLDS_UTF8(&iter)) {
			task->reason = bytes_of(&iter);
		} else if (i < sizeof(numbers) / sizeof(numbers[0])) {
			*numbers[i] = bson_iter_as_int64(&iter);
		}
	}
	return task->status >= 0 && task->status <= 3;
}

static const char *const task_statuses[] = {"PENDING", "SCHEDULED", "COMPLETED", "FAILED"};

static bool is_one_of(const char *name, const char *const *names)
{
	bool found = false;

	for (size_t i = 0; names[i] && !found; i++) {
		found = strcmp(name, names[i]) == 0;
	}
	return found;
}

/* Copies the fields of a document that are not ours to fill. */
static void copy_fields(const bson_iter_t *of, const char *const *ours, bson_t *out)
{
	bson_iter_t iter;

	if (!BSON_ITER_HOLDS_DOCUMENT(of) || !bson_iter_recurse(of, &iter)) {
		return;
	}
	while (bson_iter_next(&iter)) {
		if (!is_one_of(bson_iter_key(&iter), ours)) {
			bson_append_iter(out, NULL, 0, &iter);
		}
	}
}

static bool has_field(const bson_iter_t *of, const char *name)
{
	bson_iter_t iter;

	return BSON_ITER_HOLDS_DOCUMENT(of) && bson_iter_recurse(of, &iter) &&
	       bson_iter_find(&iter, name);
}

static bool append_task(
	const struct state *state, const bson_iter_t *defined, size_t at, bson_t *out)
{
	static const char *const ours[] = {
		"status", "attempt", "reason", "last_updated_time", "skipped", NULL};
	struct task task;
	bson_t none = BSON_INITIALIZER;

	if (!read_task(state, at, &task)) {
		return false;
	}
	copy_fields(defined, ours, out);
	if (!has_field(defined, "task_type")) {
		bson_append_utf8(out, "task_type", -1, "SERVICE", -1);
	}
	if (!has_field(defined, "parent_task")) {
		bson_append_array(out, "parent_task", -1, &none);
	}
	bson_append_utf8(out, "status", -1, task_statuses[task.status], -1);
	if (task.attempt > 0) {
		bson_append_int64(out, "attempt", -1, task.attempt);
		bson_append_utf8(out, "reason", -1, task.reason.ptr, (int)task.reason.len);
		bson_append_date_time(out, "last_updated_time", -1, task.updated_ms);
	}
	if (task.flags & TASK_SKIPPED) {
		bson_append_bool(out, "skipped", -1, true);
	}
	return true;
}

/* --- Stages --- */

struct stage {
	bson_iter_t defined;
	double order;
	size_t tasks;
	size_t first_task;
	int64_t position;
};

static size_t count_tasks(const bson_iter_t *stage)
{
	bson_iter_t iter, task;
	size_t count = 0;

	if (bson_iter_recurse(stage, &iter) && bson_iter_find(&iter, "tasks") &&
		BSON_ITER_HOLDS_ARRAY(&iter) && bson_iter_recurse(&iter, &task)) {
		while (bson_iter_next(&task)) {
			count++;
		}
	}
	return count;
}

/* Where each stage stands by its order. */
static void place_stages(struct stage *stages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		stages[i].position = 0;
		stages[i].first_task = 0;
		for (size_t k = 0; k < count; k++) {
			if (stages[k].order < stages[i].order) {
				stages[i].position++;
				stages[i].first_task += stages[k].tasks;
			}
		}
	}
}

static bool read_stages(const bson_t *template, struct stage *stages, size_t *count)
{
	bson_iter_t iter, list, order;

	*count = 0;
	if (!bson_iter_init_find(&iter, template, "stages") || !BSON_ITER_HOLDS_ARRAY(&iter) ||
		!bson_iter_recurse(&iter, &list)) {
		return false;
	}
	while (bson_iter_next(&list)) {
		if (*count == STAGES_MAX || !BSON_ITER_HOLDS_DOCUMENT(&list) ||
			!bson_iter_recurse(&list, &order) ||
			!bson_iter_find(&order, "stage_order") ||
			!BSON_ITER_HOLDS_NUMBER(&order)) {
			return false;
		}
		stages[(*count)++] = (struct stage){.defined = list,
			.order = bson_iter_as_double(&order),
			.tasks = count_tasks(&list)};
	}
	place_stages(stages, *count);
	return true;
}

static bool append_tasks(const struct state *state, const struct stage *stage, bson_t *out)
{
	bson_iter_t iter, task;
	bson_t list, one;
	char number[16];
	bool ok = true;

	if (!bson_iter_recurse(&stage->defined, &iter) || !bson_iter_find(&iter, "tasks") ||
		!BSON_ITER_HOLDS_ARRAY(&iter) || !bson_iter_recurse(&iter, &task)) {
		return true;
	}
	bson_append_array_begin(out, "tasks", -1, &list);
	for (size_t i = 0; bson_iter_next(&task); i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		bson_append_document_begin(&list, key, -1, &one);
		ok = append_task(state, &task, stage->first_task + i, &one) && ok;
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(out, &list);
	return ok;
}

static bool append_stage(const struct state *state, const struct stage *stage, bson_t *out)
{
	static const char *const ours[] = {"status", "tasks", NULL};
	const char *status = "NOT STARTED";

	if (state->sequence > 0 && stage->position < state->stage) {
		status = "COMPLETED";
	} else if (state->sequence > 0 && stage->position == state->stage) {
		status = "ACTIVE";
	}
	copy_fields(&stage->defined, ours, out);
	bool ok = append_tasks(state, stage, out);
	bson_append_utf8(out, "status", -1, status, -1);
	return ok;
}

static bool append_stages(const struct state *state, const bson_t *template, bson_t *out)
{
	struct stage *stages = calloc(STAGES_MAX, sizeof(*stages));
	bson_t list, one;
	char number[16];
	size_t count = 0;
	bool ok = stages && read_stages(template, stages, &count);

	bson_append_array_begin(out, "stages", -1, &list);
	for (size_t i = 0; i < count && ok; i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		bson_append_document_begin(&list, key, -1, &one);
		ok = append_stage(state, &stages[i], &one);
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(out, &list);
	free(stages);
	return ok;
}

/* --- The instance --- */

/* Fields that are ours, whoever else has one of that name. */
static const char *const our_fields[] = {"_id", OUR, "workflow_name", "component_name",
	"business_ref_no", "business_status", "created_at", "updated_at", "status", "stages",
	"version", "template_version", "data", NULL};

static bool read_state(const struct swm_instance_row *row, struct state *state)
{
	int64_t format = 0;

	state->sequence = row->sequence;
	return json_to_bson(row->body, state->body) && find_int64(state->body, "f", &format) &&
	       format == BODY_FORMAT && find_int64(state->body, "stage", &state->stage);
}

static bool append_all(const struct kept *template, const struct state *state,
	const struct swm_instance_row *row, bson_t *out, bool *data)
{
	static const char *const statuses[] = {
		"", "ACTIVE", "FAILED", "PAUSED", "COMPLETED", "CANCELLED"};
	bson_iter_t iter;

	if (row->status < 1 || row->status > 5 ||
		!append_stages(state, template->document, out)) {
		return false;
	}
	bson_append_utf8(out, "status", -1, statuses[row->status], -1);
	bson_append_int64(out, "version", -1, row->sequence);
	bson_append_int64(out, "template_version", -1, template->version);
	*data = bson_iter_init_find(&iter, state->body, "data");
	if (*data) {
		bson_append_iter(out, "data", -1, &iter);
	}
	if (!bson_iter_init(&iter, template->document)) {
		return false;
	}
	while (bson_iter_next(&iter)) {
		/* Two names that have become one would make an update that is refused. */
		if (!is_one_of(bson_iter_key(&iter), our_fields) &&
			!bson_has_field(out, bson_iter_key(&iter))) {
			bson_append_iter(out, NULL, 0, &iter);
		}
	}
	return out->len <= READABLE_BYTES_MAX;
}

bool document_append(struct documents *documents, const struct swm_instance_row *row,
	bson_t *out, bool *data)
{
	struct state state = {.body = bson_new()};
	bson_t readable = BSON_INITIALIZER;
	const struct kept *template = NULL;
	bool ok = documents && read_state(row, &state);

	*data = false;
	if (ok) {
		template = template_of(documents, row->template_id);
		ok = template && append_all(template, &state, row, &readable, data);
	}
	if (ok) {
		bson_concat(out, &readable);
	}
	bson_destroy(&readable);
	bson_destroy(state.body);
	return ok;
}

void document_unset(bool appended, bool data, bson_t *unset)
{
	static const char *const fields[] = {
		"stages", "status", "version", "template_version", NULL};

	for (size_t i = 0; fields[i] && !appended; i++) {
		bson_append_utf8(unset, fields[i], -1, "", 0);
	}
	if (!data || !appended) {
		bson_append_utf8(unset, "data", -1, "", 0);
	}
}
