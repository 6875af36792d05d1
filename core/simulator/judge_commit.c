/* SPDX-License-Identifier: MIT */

/*
 * See judge.h: a commit. First what it says happened, then what became of the instance,
 * then what it owes.
 */

#include "judge.h"

#include "fold.h"
#include "judge_parts.h"
#include "must.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each means that somebody else came through; then it is this one's turn. */
#define CONFLICTS_MAX 8

struct commit {
	struct sim_judge *judge;
	unsigned orchestrator;
	const struct swm_commit *item;
	struct sim_case *of;
	struct sim_wanted *wanted;
	size_t wanted_count;
	size_t wanted_cap;
};

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool is_text(const json_t *object, const char *key, struct swm_str text)
{
	return swm_str_equal(swm_str_from(text_of(object, key)), text);
}

/* The case. */

static struct sim_case *open_case(struct sim_judge *judge, const struct swm_instance_row *row)
{
	struct sim_case *of = sim_book_find(&judge->cases, sim_book_hash(&row->id, 1));
	if (of) {
		return of;
	}
	struct sim_pattern *pattern = sim_judge_pattern(judge, row->template_id);
	if (!pattern) {
		(void)sim_judge_blame(judge, "identity-changed",
			"%.*s was made of a template that does not exist, %.*s",
			SIM_FMT(row->id), SIM_FMT(row->template_id));
		return NULL;
	}
	of = swm_arena_take(&judge->memory, sizeof(*of));
	if (!of) {
		abort();
	}
	*of = (struct sim_case){
		.next = judge->all_cases,
		.id = sim_judge_copy(judge, row->id),
		.pattern = pattern,
		.model = sim_model_create(pattern->root),
		.created_ms = row->created_ms,
	};
	size_t size = (of->model->task_count + 1) * sizeof(*of->dispatched);
	of->dispatched = swm_arena_take(&judge->memory, size);
	if (!of->dispatched) {
		abort();
	}
	memset(of->dispatched, 0, size);
	judge->all_cases = of;
	(void)sim_book_add(&judge->cases, sim_book_hash(&of->id, 1), of);
	return of;
}

static bool check_identity(const struct commit *commit)
{
	const struct sim_case *of = commit->of;
	const struct swm_instance_row *next = &commit->item->next;
	if (commit->item->expected_version != of->version || next->version != of->version + 1) {
		return sim_judge_blame(commit->judge, "version-gap",
			"%.*s went from version %" PRId64 " to %" PRId64
			", expected was %" PRId64,
			SIM_FMT(of->id), of->version, next->version,
			commit->item->expected_version);
	}
	if (!swm_str_equal(next->template_id, of->pattern->id) ||
		next->created_ms != of->created_ms) {
		return sim_judge_blame(commit->judge, "identity-changed",
			"%.*s changed its template or its birthday", SIM_FMT(of->id));
	}
	return true;
}

/* Records. */

static void note_owed(
	void *ctx, const struct sim_model *model, size_t task, enum sim_model_kind kind)
{
	struct commit *commit = ctx;
	SIM_MUST_GROW(commit->wanted, commit->wanted_cap, commit->wanted_count + 1);
	commit->wanted[commit->wanted_count++] = (struct sim_wanted){
		.task = task,
		.kind = kind,
		.attempt = model->tasks[task].attempt,
		.delay_ms = kind == SIM_MODEL_START_TASK
				    ? 0
				    : sim_model_delay_ms(model, task, kind),
		.data = kind == SIM_MODEL_START_TASK ? json_copy(model->data) : NULL,
	};
}

static bool is_own_timer(const struct commit *commit, const struct sim_heard *heard)
{
	const struct sim_entry *entry = sim_judge_entry(commit->judge, heard->raw_id);
	return entry && swm_str_equal(entry->instance_id, commit->of->id) &&
	       entry->kind != SIM_MODEL_START_TASK &&
	       entry->attempt == sim_model_attempt(heard->event);
}

static bool check_outcome(struct commit *commit, const struct swm_event_row *record,
	const struct sim_heard *heard)
{
	const struct sim_model_listener listener = {commit, note_owed};
	struct sim_model *model = commit->of->model;
	const char *stage = text_of(heard->event, "stage_name");
	const char *task = text_of(heard->event, "task_name");
	size_t at = stage && task ? sim_model_find(model, stage, task) : model->task_count;
	uint32_t attempt = at < model->task_count ? model->tasks[at].attempt : 0;
	uint32_t outcome = sim_model_step(model, heard->event, &listener);
	if (outcome == SIM_MODEL_IGNORED && record->outcome == SIM_MODEL_IGNORED &&
		is_own_timer(commit, heard)) {
		return sim_judge_blame(commit->judge, "timer-recorded",
			"a timer of ours whose attempt is over stands in the log: %.*s",
			SIM_FMT(record->body));
	}
	if (outcome == record->outcome) {
		return true;
	}
	bool stale = sim_model_attempt(heard->event) != attempt &&
		     record->outcome == SIM_MODEL_APPLIED;
	return sim_judge_blame(commit->judge, stale ? "stale-event-counts" : "outcome-differs",
		"record %" PRId64 " of %.*s has the outcome %u, it should be %u%s: %.*s",
		record->sequence, SIM_FMT(commit->of->id), record->outcome, outcome,
		stale ? " since its attempt is not the current one" : "",
		SIM_FMT(record->body));
}

static bool check_fold(struct commit *commit, const struct swm_event_row *row)
{
	const struct swm_record record = {
		.raw_id = row->source_id,
		.body = row->body,
		.sequence = row->sequence,
		.at_ms = row->at_ms,
		.outcome = (enum swm_outcome)row->outcome,
		.rules = row->rules,
	};
	struct swm_error err = {0};
	swm_status status =
		swm_fold(commit->of->pattern->template, &record, &commit->of->folded, &err);
	return status == SWM_OK || sim_judge_blame(commit->judge, "fold-differs", "%.*s: %s",
					   SIM_FMT(commit->of->id), err.message);
}

static bool check_record(struct commit *commit, const struct swm_event_row *record)
{
	struct sim_judge *judge = commit->judge;
	struct sim_case *of = commit->of;
	struct swm_str texts[] = {SWM_STR("key"), of->id, record->id};
	struct sim_heard heard;
	sim_judge_hear(judge, record->body, record->source_id, NULL, 0, &heard);
	if (!heard.event || !swm_str_equal(heard.instance_id, of->id)) {
		return sim_judge_blame(judge, "isolation",
			"in the log of %.*s stands what is not about it: %.*s", SIM_FMT(of->id),
			SIM_FMT(record->body));
	}
	if (record->sequence != of->sequence + 1) {
		return sim_judge_blame(judge, "sequence-gap",
			"record %" PRId64 " of %.*s comes after %" PRId64, record->sequence,
			SIM_FMT(of->id), of->sequence);
	}
	of->sequence++;
	if (!swm_str_equal(heard.raw_id, record->source_id) ||
		!sim_judge_was_given(
			judge, commit->orchestrator, record->source_id, record->body)) {
		return sim_judge_blame(judge, "record-from-nothing",
			"orchestrator %u recorded what it was not given so: %.*s under %.*s",
			commit->orchestrator, SIM_FMT(record->body),
			SIM_FMT(record->source_id));
	}
	bool twice = !sim_judge_note_recorded(judge, &heard, record->body);
	twice = !sim_judge_note(judge, texts, sizeof(texts) / sizeof(texts[0])) || twice;
	if (twice) {
		return sim_judge_blame(judge, "key-twice",
			"the same event stands twice in the log of %.*s: %.*s", SIM_FMT(of->id),
			SIM_FMT(record->body));
	}
	return check_fold(commit, record) && check_outcome(commit, record, &heard);
}

static bool check_records(struct commit *commit)
{
	for (size_t i = 0; i < commit->item->event_count; i++) {
		if (!check_record(commit, &commit->item->events[i])) {
			return false;
		}
	}
	return (commit->item->event_count > 0 &&
		       commit->item->next.sequence == commit->of->sequence) ||
	       sim_judge_blame(commit->judge, "sequence-gap",
		       "%.*s has the sequence %" PRId64 ", its log %" PRId64,
		       SIM_FMT(commit->of->id), commit->item->next.sequence,
		       commit->of->sequence);
}

/* The state. */

static bool check_body(const struct commit *commit)
{
	struct swm_str body = commit->item->next.body;
	char *text = sim_must_alloc(body.len + 1);
	struct swm_json_out out;
	swm_json_out_init(&out, text, body.len);
	swm_instance_write(commit->of->folded, &out);
	bool same = out.len == body.len && memcmp(text, body.ptr, body.len) == 0;
	if (!same) {
		(void)sim_judge_blame(commit->judge, "fold-differs",
			"%.*s is stored as %.*s, its log gives %.*s", SIM_FMT(commit->of->id),
			SIM_FMT(body), (int)(out.len < body.len ? out.len : body.len), text);
	}
	free(text);
	return same;
}

/* The order of the stage that the row says is the active one. */
static double active_order(const struct commit *commit)
{
	struct swm_str name = commit->item->next.stage;
	const json_t *stages = json_object_get(commit->of->pattern->root, "stages");
	json_t *stage;
	size_t i;
	json_array_foreach(stages, i, stage)
	{
		if (is_text(stage, "stage_name", name)) {
			return json_number_value(json_object_get(stage, "stage_order"));
		}
	}
	return HUGE_VAL;
}

/* The state of a task as the store has it, by the model's position. */
static void states_of(const struct sim_case *of, const struct swm_task_state **states)
{
	for (size_t i = 0; i < of->model->task_count; i++) {
		states[of->pattern->places[i]] = &of->folded->tasks[i];
	}
}

/* By themselves, whatever the model thinks of them. */
static bool check_order(const struct commit *commit, const struct swm_task_state *const *states)
{
	const struct sim_case *of = commit->of;
	double active = active_order(commit);
	for (size_t i = 0; i < of->model->task_count; i++) {
		const struct sim_model_task *task = &of->model->tasks[i];
		enum swm_task_status status = states[i]->status;
		if (task->order < active && status != SWM_TASK_COMPLETED) {
			return sim_judge_blame(commit->judge, "stage-too-early",
				"%.*s is beyond stage %s, and task %s of it is not COMPLETED",
				SIM_FMT(of->id), task->stage, task->name);
		}
		if (status == SWM_TASK_PENDING) {
			continue;
		}
		if (task->order > active) {
			return sim_judge_blame(commit->judge, "two-stages-active",
				"task %s of %.*s has begun, and its stage %s has not",
				task->name, SIM_FMT(of->id), task->stage);
		}
		for (const size_t *at = of->pattern->parents[i]; *at != SIZE_MAX; at++) {
			if (states[*at]->status != SWM_TASK_COMPLETED) {
				return sim_judge_blame(commit->judge,
					"scheduled-before-parents",
					"task %s of %.*s has begun before %s was COMPLETED",
					task->name, SIM_FMT(of->id),
					of->model->tasks[*at].name);
			}
		}
	}
	return true;
}

static bool check_columns(const struct commit *commit)
{
	const struct swm_instance_row *next = &commit->item->next;
	const struct sim_model *model = commit->of->model;
	enum swm_instance_status status = SWM_STATUS_ACTIVE;
	if (model->stage == HUGE_VAL) {
		status = SWM_STATUS_COMPLETED;
	} else if (sim_model_is_failed(model)) {
		status = SWM_STATUS_FAILED;
	}
	struct swm_str business_status = swm_str_from(model->business_status);
	if (next->status != (int32_t)status || active_order(commit) != model->stage ||
		!swm_str_equal(next->business_status, business_status)) {
		return sim_judge_blame(commit->judge, "model-differs",
			"%.*s has status %d, stage \"%.*s\", business status \"%.*s\"; the "
			"model has status %d, business status \"%.*s\"",
			SIM_FMT(next->id), next->status, SIM_FMT(next->stage),
			SIM_FMT(next->business_status), (int)status, SIM_FMT(business_status));
	}
	return true;
}

static bool check_data(const struct commit *commit)
{
	const struct swm_instance *folded = commit->of->folded;
	const struct sim_model *model = commit->of->model;
	struct swm_str text = {folded->data, folded->data_len};
	const json_t *data = folded->data ? sim_judge_read(commit->judge, text) : NULL;
	return (!data && json_object_size(model->data) == 0) || json_equal(data, model->data) ||
	       sim_judge_blame(commit->judge, "model-differs", "the data of %.*s is %.*s",
		       SIM_FMT(commit->of->id), SIM_FMT(text));
}

static bool check_model(const struct commit *commit, const struct swm_task_state *const *states)
{
	const struct sim_case *of = commit->of;
	for (size_t i = 0; i < of->model->task_count; i++) {
		const struct sim_model_task *task = &of->model->tasks[i];
		const struct swm_task_state *state = states[i];
		bool owed = state->flags & SWM_TASK_RETRY_OWED;
		if ((int)state->status != (int)task->status ||
			state->attempt != task->attempt || owed != task->retry_owed ||
			state->resends != task->resends) {
			return sim_judge_blame(commit->judge, "model-differs",
				"task %s/%s of %.*s: status %d, attempt %u, resends %u, retry "
				"owed %d; the model: %d, %u, %u, %d",
				task->stage, task->name, SIM_FMT(of->id), (int)state->status,
				state->attempt, state->resends, owed, (int)task->status,
				task->attempt, task->resends, task->retry_owed);
		}
	}
	return check_columns(commit) && check_data(commit);
}

static bool check_state(const struct commit *commit)
{
	size_t count = commit->of->model->task_count;
	const struct swm_task_state **states =
		sim_must_alloc((count + 1) * sizeof(struct swm_task_state *));
	states_of(commit->of, states);
	bool good = check_order(commit, states) &&
		    sim_judge_check_owed(commit->judge, commit->of, commit->item, states,
			    commit->wanted, commit->wanted_count) &&
		    check_model(commit, states) &&
		    sim_judge_check_timers(commit->judge, commit->of, commit->item);
	free(states);
	return good;
}

const struct sim_violation *sim_judge_committed(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_commit *item, int64_t lease_ms)
{
	struct commit commit = {
		.judge = judge,
		.orchestrator = orchestrator,
		.item = item,
		.of = open_case(judge, &item->next),
	};
	if (commit.of && check_identity(&commit)) {
		commit.of->version++;
		judge->seen[SIM_COUNT_COMMITS]++;
		judge->seen[SIM_COUNT_RECORDED] += (int64_t)item->event_count;
		if (check_records(&commit) && check_body(&commit) && check_state(&commit)) {
			sim_judge_lease_fresh(judge, orchestrator, item, lease_ms);
		}
	}
	for (size_t i = 0; i < commit.wanted_count; i++) {
		json_decref(commit.wanted[i].data);
	}
	free(commit.wanted);
	return sim_judge_answer(judge);
}

const struct sim_violation *sim_judge_conflicted(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_commit *item)
{
	for (size_t i = 0; i < item->event_count; i++) {
		const struct swm_event_row *event = &item->events[i];
		uint32_t *count = sim_judge_conflicts(judge, orchestrator, event->id);
		(*count)++;
		if (*count > CONFLICTS_MAX) {
			(void)sim_judge_blame(judge, "tried-too-often",
				"orchestrator %u has met %" PRIu32
				" conflicts over one event of %.*s: %.*s",
				orchestrator, *count, SIM_FMT(item->next.id),
				SIM_FMT(event->body));
		}
	}
	return sim_judge_answer(judge);
}
