/* SPDX-License-Identifier: MIT */

/*
 * See judge_parts.h: what a commit owes the world, and what it takes back.
 */

#include "judge_parts.h"

#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The fields that every StartTask has, before the task's own. */
#define FIXED_FIELDS ((size_t)6)

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool has_text(const json_t *object, const char *key, const char *text)
{
	const char *found = text_of(object, key);
	return found && strcmp(found, text) == 0;
}

static enum sim_model_kind kind_of(const json_t *body)
{
	if (has_text(body, "event_name", "StartTask")) {
		return SIM_MODEL_START_TASK;
	}
	if (has_text(body, "event_name", "TaskTimedOut")) {
		return SIM_MODEL_TIME_OUT;
	}
	return has_text(body, "event_name", "TaskPending") ? SIM_MODEL_RETRY : 0;
}

static bool is_structural(const char *key)
{
	static const char *const keys[] = {"task_name", "parent_task", "task_queue",
		"task_type", "business_status", "retry", "timeout"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i], key) == 0) {
			return true;
		}
	}
	return false;
}

/* A StartTask has the task's own fields as the template has them, the instance's data, and
 * nothing else. */
static bool is_start_task(const struct sim_case *of, const struct sim_wanted *wanted,
	const struct swm_outbox_row *row, const json_t *body)
{
	const struct sim_model_task *task = &of->model->tasks[wanted->task];
	const json_t *ours = json_object_get(body, "_swm");
	const json_t *data = json_object_get(body, "data");
	const char *type = text_of(task->object, "task_type");
	struct swm_str message_id = swm_str_from(text_of(ours, "message_id"));
	size_t count = FIXED_FIELDS + (ours != NULL) + (data != NULL);
	bool good = true;
	for (void *at = json_object_iter(task->object); at;
		at = json_object_iter_next(task->object, at)) {
		const char *key = json_object_iter_key(at);
		if (!is_structural(key)) {
			count++;
			good = good && json_equal(json_object_iter_value(at),
					       json_object_get(body, key));
		}
	}
	return good && has_text(body, "task_type", type ? type : "SERVICE") &&
	       (ours == NULL || swm_str_equal(message_id, row->id)) &&
	       (data ? json_equal(data, wanted->data) : json_object_size(wanted->data) == 0) &&
	       json_object_size(body) == count && row->delay_ms == 0 &&
	       swm_str_equal(row->destination, swm_str_from(task->queue));
}

static bool is_timer(const struct sim_wanted *wanted, const struct swm_outbox_row *row)
{
	double least_ms =
		wanted->kind == SIM_MODEL_RETRY ? wanted->delay_ms * 3 / 4 : wanted->delay_ms;
	double delay_ms = (double)row->delay_ms;
	return delay_ms > least_ms - 1 && delay_ms < wanted->delay_ms + 1 &&
	       swm_str_equal(row->destination, SWM_STR(SIM_WORKFLOW_QUEUE));
}

/* What the row is about. */
struct subject {
	json_t *body;
	enum sim_model_kind kind;
	size_t task; /* task_count: none of the template's */
	uint32_t attempt;
};

static struct subject subject_of(
	struct sim_judge *judge, const struct sim_case *of, const struct swm_outbox_row *row)
{
	struct subject subject = {.body = sim_judge_read(judge, row->body)};
	const char *stage = text_of(subject.body, "stage_name");
	const char *task = text_of(subject.body, "task_name");
	subject.kind = kind_of(subject.body);
	subject.task =
		stage && task ? sim_model_find(of->model, stage, task) : of->model->task_count;
	subject.attempt = subject.body ? sim_model_attempt(subject.body) : 0;
	if (subject.attempt == 0) {
		subject.attempt = row->attempt; /* written plain */
	}
	return subject;
}

/* StartTasks come for attempts 1, 2, ... one for each, and more for what is resent. */
static bool count_dispatch(
	struct sim_judge *judge, struct sim_case *of, const struct subject *subject)
{
	struct sim_dispatched *dispatched = &of->dispatched[subject->task];
	if (subject->kind != SIM_MODEL_START_TASK) {
		return true;
	}
	if (subject->attempt == dispatched->attempt + 1) {
		dispatched->attempt++;
		dispatched->count = 0;
	}
	dispatched->count++;
	return subject->attempt == dispatched->attempt ||
	       sim_judge_blame(judge, "attempt-gap",
		       "task %s of %.*s has a StartTask of attempt %u after that of %u",
		       of->model->tasks[subject->task].name, SIM_FMT(of->id), subject->attempt,
		       dispatched->attempt);
}

static bool blame_uncalled(
	struct sim_judge *judge, const struct sim_case *of, const struct subject *subject)
{
	const struct sim_model_task *task = &of->model->tasks[subject->task];
	if (subject->kind == SIM_MODEL_RETRY) {
		return sim_judge_blame(judge, "retry-over-limit",
			"after attempt %u of task %s of %.*s there is no retry, and one is "
			"owed",
			subject->attempt, task->name, SIM_FMT(of->id));
	}
	return sim_judge_blame(judge, "dispatch-uncalled",
		"nothing asked for attempt %u of task %s of %.*s, and it is owed",
		subject->attempt, task->name, SIM_FMT(of->id));
}

static struct sim_wanted *find_wanted(
	const struct subject *subject, struct sim_wanted *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!wanted[i].found && wanted[i].task == subject->task &&
			wanted[i].kind == subject->kind &&
			wanted[i].attempt == subject->attempt) {
			return &wanted[i];
		}
	}
	return NULL;
}

static bool check_row(struct sim_judge *judge, struct sim_case *of,
	const struct swm_outbox_row *row, struct sim_wanted *wanted, size_t count)
{
	struct subject subject = subject_of(judge, of, row);
	if (subject.kind == 0 || subject.task == of->model->task_count ||
		row->state != SWM_OUTBOX_PENDING || subject.attempt != row->attempt ||
		!has_text(subject.body, "component_name",
			text_of(of->pattern->root, "component_name")) ||
		!swm_str_equal(row->instance_id, of->id) || !swm_str_equal(row->key, of->id)) {
		return sim_judge_blame(judge, "payload-differs",
			"%.*s owes what is not about it: %.*s", SIM_FMT(of->id),
			SIM_FMT(row->body));
	}
	if (sim_judge_entry(judge, row->id)) {
		return sim_judge_blame(judge, "row-twice",
			"the id %.*s is given to a second row: %.*s", SIM_FMT(row->id),
			SIM_FMT(row->body));
	}
	if (!count_dispatch(judge, of, &subject)) {
		return false;
	}
	struct sim_wanted *reason = find_wanted(&subject, wanted, count);
	if (!reason) {
		return blame_uncalled(judge, of, &subject);
	}
	reason->found = true;
	if (subject.kind == SIM_MODEL_START_TASK ? !is_start_task(of, reason, row, subject.body)
						 : !is_timer(reason, row)) {
		return sim_judge_blame(judge, "payload-differs",
			"%.*s, for %.*s after %" PRId64 " ms, is not what the template says",
			SIM_FMT(row->body), SIM_FMT(row->destination), row->delay_ms);
	}
	struct sim_entry *entry = sim_judge_add_entry(judge, row, (struct swm_str){0});
	entry->kind = subject.kind;
	entry->task = subject.task;
	entry->attempt = subject.attempt;
	if (subject.kind != SIM_MODEL_START_TASK) {
		entry->next_timer = of->timers;
		of->timers = entry;
	}
	return true;
}

static bool is_still_wanted(const struct sim_case *of, const struct sim_wanted *wanted)
{
	return wanted->kind == SIM_MODEL_START_TASK ||
	       (of->model->tasks[wanted->task].attempt == wanted->attempt &&
		       sim_model_awaits(of->model, wanted->task, wanted->kind));
}

static bool check_dispatched(struct sim_judge *judge, const struct sim_case *of, size_t task,
	const struct swm_task_state *state)
{
	const struct sim_dispatched *dispatched = &of->dispatched[task];
	uint32_t count = state->attempt > 0 ? state->resends + 1 : 0;
	return !of->model->tasks[task].queue ||
	       (dispatched->attempt == state->attempt && dispatched->count == count) ||
	       sim_judge_blame(judge, "attempt-gap",
		       "task %s of %.*s is at attempt %u, resent %u times; there were %u "
		       "StartTasks of attempt %u",
		       of->model->tasks[task].name, SIM_FMT(of->id), state->attempt,
		       state->resends, dispatched->count, dispatched->attempt);
}

bool sim_judge_check_owed(struct sim_judge *judge, struct sim_case *of,
	const struct swm_commit *item, const struct swm_task_state *const *states,
	struct sim_wanted *wanted, size_t count)
{
	for (size_t i = 0; i < item->outbox_count; i++) {
		if (!check_row(judge, of, &item->outbox[i], wanted, count)) {
			return false;
		}
	}
	for (size_t i = 0; i < of->model->task_count; i++) {
		if (!check_dispatched(judge, of, i, states[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (!wanted[i].found && is_still_wanted(of, &wanted[i])) {
			bool timer = wanted[i].kind != SIM_MODEL_START_TASK;
			return sim_judge_blame(judge,
				timer ? "timer-missing" : "dispatch-missing",
				"%s of attempt %u of task %s of %.*s is not owed",
				timer ? "the timer" : "the StartTask", wanted[i].attempt,
				of->model->tasks[wanted[i].task].name, SIM_FMT(of->id));
		}
	}
	return true;
}

static bool check_cancelled(
	struct sim_judge *judge, const struct sim_case *of, struct swm_str id)
{
	struct sim_entry *entry = sim_judge_entry(judge, id);
	if (!entry || entry->state == SIM_GONE) {
		return true;
	}
	if (!swm_str_equal(entry->instance_id, of->id)) {
		return sim_judge_blame(judge, "isolation", "%.*s cancels a row of %.*s",
			SIM_FMT(of->id), SIM_FMT(entry->instance_id));
	}
	if (entry->kind == SIM_MODEL_START_TASK || sim_judge_is_awaited(of, entry)) {
		return sim_judge_blame(judge, "cancelled-wrongly",
			"%.*s cancels what it still owes: %.*s", SIM_FMT(of->id),
			SIM_FMT(entry->body));
	}
	entry->state = SIM_GONE;
	return true;
}

bool sim_judge_check_timers(
	struct sim_judge *judge, struct sim_case *of, const struct swm_commit *item)
{
	for (size_t i = 0; i < item->cancel_count; i++) {
		if (!check_cancelled(judge, of, item->cancel[i])) {
			return false;
		}
	}
	for (struct sim_entry **at = &of->timers; *at;) {
		struct sim_entry *entry = *at;
		if (entry->state == SIM_GONE) {
			*at = entry->next_timer;
			continue;
		}
		if (!sim_judge_is_awaited(of, entry)) {
			return sim_judge_blame(judge, "timer-kept",
				"%.*s keeps a timer whose attempt is over: %.*s",
				SIM_FMT(of->id), SIM_FMT(entry->body));
		}
		at = &entry->next_timer;
	}
	return true;
}

void sim_judge_lease_fresh(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_commit *item, int64_t lease_ms)
{
	for (size_t i = 0; i < item->outbox_count; i++) {
		const struct swm_outbox_row *row = &item->outbox[i];
		struct sim_entry *entry = sim_judge_entry(judge, row->id);
		if (entry && row->delay_ms == 0) {
			sim_judge_lease(judge, orchestrator, entry, lease_ms);
		}
	}
}
