/* SPDX-License-Identifier: MIT */

/*
 * What must hold of an instance whatever comes. Nothing here asks how the rules go:
 * each is a statement about the state, about two states one event apart, or about the
 * messages that are owed.
 */

#include "walk.h"

#include "payload.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const struct swm_task_state *state_of(const struct walk *walk, uint16_t task)
{
	return &walk->instance->tasks[task];
}

static bool parents_done(const struct walk *walk, uint16_t at)
{
	const struct swm_task *task = &walk->template->tasks[at];

	for (uint16_t i = 0; i < task->parent_count; i++) {
		if (state_of(walk, task->parents[i])->status != SWM_TASK_COMPLETED) {
			return false;
		}
	}
	return true;
}

/* How one event may have changed one task. */
static void check_task_step(const struct walk *walk, uint16_t at)
{
	const struct swm_task_state *was = &walk->before[at];
	const struct swm_task_state *is = state_of(walk, at);

	fuzz_that(was->status != SWM_TASK_COMPLETED || is->status == SWM_TASK_COMPLETED,
		"task %u was COMPLETED", at);
	fuzz_that(is->attempt >= was->attempt && is->attempt <= was->attempt + 1,
		"task %u: attempt %u after %u", at, is->attempt, was->attempt);
	fuzz_that(is->attempt == was->attempt || is->status == SWM_TASK_SCHEDULED,
		"task %u: a new attempt that is not SCHEDULED", at);
	fuzz_that(is->status != SWM_TASK_SCHEDULED || was->status == SWM_TASK_SCHEDULED ||
			  is->attempt == was->attempt + 1,
		"task %u: SCHEDULED without a new attempt", at);
	fuzz_that(is->base >= was->base, "task %u: base %u after %u", at, is->base, was->base);
	fuzz_that(is->attempt > was->attempt
			  ? is->resends == 0
			  : is->resends >= was->resends && is->resends <= was->resends + 1,
		"task %u: %u resends after %u", at, is->resends, was->resends);
	const bool same = is->status == was->status && is->attempt == was->attempt;
	fuzz_that(same || is->updated_ms == walk->at_ms, "task %u: not of this time", at);
}

/* The data is what was merged, key by key, by events that were applied. */
static void check_data(struct walk *walk, const struct swm_event *event, bool applied)
{
	const struct swm_instance *instance = walk->instance;

	if (applied && event->data != NULL) {
		walk->data = walk->data != NULL ? walk->data : json_object();
		json_object_update(walk->data, event->data);
	}
	fuzz_that((instance->data == NULL) == (walk->data == NULL), "data comes or goes");
	if (walk->data != NULL) {
		json_t *data =
			fuzz_jansson((struct swm_str){instance->data, instance->data_len});
		fuzz_that(data != NULL && fuzz_same(data, walk->data), "other data");
		fuzz_that(instance->data_len <= walk->options.data_max_bytes, "too much data");
		json_decref(data);
	}
}

void walk_check_step(struct walk *walk, const struct swm_event *event,
	const struct swm_verdict *verdict, const char *body_before)
{
	const bool applied = verdict->outcome == SWM_APPLIED;
	const bool recorded = verdict->outcome != SWM_UNRECORDED;

	fuzz_that(verdict->outcome >= SWM_APPLIED && verdict->outcome <= SWM_UNRECORDED,
		"outcome %d", (int)verdict->outcome);
	fuzz_that((verdict->reason.ptr == NULL) == applied, "a reason of outcome %d",
		(int)verdict->outcome);
	walk->records += recorded;
	fuzz_that(walk->instance->sequence == walk->records, "sequence %d after %d records",
		(int)walk->instance->sequence, (int)walk->records);
	if (!applied) {
		walk->instance->sequence -= recorded;
		char *body = fuzz_instance_body(walk->instance);
		fuzz_that(strcmp(body, body_before) == 0, "moved by outcome %d: %s, was %s",
			(int)verdict->outcome, body, body_before);
		free(body);
		walk->instance->sequence += recorded;
	}
	for (uint16_t i = 0; i < walk->template->task_count; i++) {
		check_task_step(walk, i);
		const bool completed = walk->before[i].status != SWM_TASK_COMPLETED &&
				       state_of(walk, i)->status == SWM_TASK_COMPLETED;
		fuzz_that(!completed || (applied && event->kind == SWM_EVENT_TASK_COMPLETED),
			"task %u completed by itself", i);
		if (completed && walk->template->tasks[i].business_status.ptr != NULL) {
			walk->business_status = i;
		}
	}
	fuzz_that(walk->instance->business_status == walk->business_status,
		"business status of task %d", (int)walk->instance->business_status);
	check_data(walk, event, applied);
}

/* One task, by where its stage is. */
static void check_task(const struct walk *walk, uint16_t at)
{
	const struct swm_task_state *state = state_of(walk, at);
	const struct swm_task *task = &walk->template->tasks[at];
	const uint16_t active = walk->instance->stage;

	if (task->stage < active) {
		fuzz_that(state->status == SWM_TASK_COMPLETED,
			"task %u of a stage that is over", at);
	} else if (task->stage > active) {
		fuzz_that(state->status == SWM_TASK_PENDING && state->attempt == 0,
			"task %u of a stage that is to come", at);
	} else {
		fuzz_that((state->status != SWM_TASK_PENDING) == parents_done(walk, at),
			"task %u is %s, its parents %s", at,
			swm_task_status_name(state->status).ptr,
			parents_done(walk, at) ? "done" : "not done");
	}
	fuzz_that((state->attempt == 0) == (state->status == SWM_TASK_PENDING),
		"task %u: attempt %u", at, state->attempt);
	fuzz_that(state->base <= state->attempt, "task %u: base %u", at, state->base);
	fuzz_that(state->flags == 0 || (state->flags == SWM_TASK_RETRY_OWED &&
					       state->status == SWM_TASK_FAILED),
		"task %u: flags %u", at, state->flags);
	const uint32_t used = state->attempt - state->base;
	fuzz_that((state->flags & SWM_TASK_RETRY_OWED) == 0 || used < task->max_attempts,
		"task %u: retry %u of %u", at, used, task->max_attempts);
	fuzz_that(state->reason == NULL || state->status == SWM_TASK_FAILED, "a reason");
}

static enum swm_instance_status expected_status(const struct walk *walk)
{
	if (walk->instance->stage == walk->template->stage_count) {
		return SWM_STATUS_COMPLETED;
	}
	for (uint16_t i = 0; i < walk->template->task_count; i++) {
		if (state_of(walk, i)->status == SWM_TASK_FAILED &&
			state_of(walk, i)->flags == 0) {
			return SWM_STATUS_FAILED;
		}
	}
	return SWM_STATUS_ACTIVE;
}

void walk_check_state(const struct walk *walk)
{
	const struct swm_instance *instance = walk->instance;
	const struct swm_template *template = walk->template;
	uint16_t open = 0; /* tasks of the active stage that are not completed */

	fuzz_that(instance->stage <= template->stage_count, "stage %u", instance->stage);
	fuzz_that(instance->flags == 0, "flags %u", instance->flags);
	for (uint16_t i = 0; i < template->task_count; i++) {
		check_task(walk, i);
		open = (uint16_t)(open +
				  (template->tasks[i].stage == instance->stage &&
					  state_of(walk, i)->status != SWM_TASK_COMPLETED));
	}
	fuzz_that((instance->stage < template->stage_count) == (open > 0),
		"stage %u is active, with %u open tasks", instance->stage, open);
	fuzz_that(swm_instance_status(instance) == expected_status(walk), "status %s",
		swm_instance_status_name(swm_instance_status(instance)).ptr);
	fuzz_that((swm_instance_stage(instance).ptr == NULL) == (open == 0), "no name");
}

static struct walk_message *find_message(const struct walk *walk, const struct swm_id *id)
{
	for (size_t i = 0; i < walk->message_count; i++) {
		if (memcmp(walk->messages[i].id.hex, id->hex, sizeof(id->hex)) == 0) {
			return &walk->messages[i];
		}
	}
	return NULL;
}

/* The resend number is in the id alone. */
static uint32_t resend_of(const struct walk *walk, const struct swm_owed *owed)
{
	const struct swm_reference reference = {
		walk->template->component, SWM_STR(WALK_REFERENCE)};
	struct swm_id id;

	for (uint32_t resend = 0; resend <= state_of(walk, owed->task)->resends; resend++) {
		swm_message_id(&reference, walk->template, owed->task, owed->attempt,
			owed->kind, resend, &id);
		if (memcmp(id.hex, owed->id.hex, sizeof(id.hex)) == 0) {
			return resend;
		}
	}
	/* Of an attempt before this one, in the same commit: the number is not known. */
	return UINT32_MAX;
}

static void add_message(struct walk *walk, const struct swm_owed *owed)
{
	const struct swm_task *task = &walk->template->tasks[owed->task];
	const bool start = owed->kind == SWM_MESSAGE_START_TASK;
	const struct walk_message *known = find_message(walk, &owed->id);

	fuzz_that(known == NULL, "an id that was owed before: %s",
		known != NULL ? known->body : "");
	fuzz_that(swm_str_equal(
			  owed->destination, start ? task->queue : (struct swm_str){NULL, 0}),
		"to \"%.*s\"", (int)owed->destination.len,
		owed->destination.ptr != NULL ? owed->destination.ptr : "");
	fuzz_that(start ? owed->delay_ms == 0 : owed->delay_ms > 0, "a delay of %d ms",
		(int)owed->delay_ms);
	fuzz_that(
		owed->kind != SWM_MESSAGE_TASK_TIMED_OUT || owed->delay_ms == task->timeout_ms,
		"times out after %d ms", (int)owed->delay_ms);
	fuzz_that(owed->kind != SWM_MESSAGE_TASK_PENDING ||
			  (owed->delay_ms <= task->max_backoff_ms &&
				  owed->delay_ms >= task->backoff_ms * 3 / 4),
		"a retry after %d ms", (int)owed->delay_ms);
	walk->messages[walk->message_count++] = (struct walk_message){.id = owed->id,
		.kind = owed->kind,
		.task = owed->task,
		.attempt = owed->attempt,
		.resend = resend_of(walk, owed),
		.body = fuzz_copy(owed->body)};
}

void walk_commit(struct walk *walk)
{
	const struct swm_effects *effects = &walk->effects;

	for (size_t i = 0; i < effects->cancelled_count; i++) {
		struct walk_message *message = find_message(walk, &effects->cancelled[i]);
		fuzz_that(message != NULL, "%s was never owed", effects->cancelled[i].hex);
		fuzz_that(message->kind != SWM_MESSAGE_START_TASK, "a StartTask is cancelled");
		fuzz_that(!message->cancelled, "cancelled twice: %s", message->body);
		message->cancelled = true;
	}
	for (size_t i = 0; i < effects->owed_count && walk->message_count < WALK_MESSAGES_MAX;
		i++) {
		add_message(walk, &effects->owed[i]);
	}
	swm_arena_reset(&walk->arena);
	swm_effects_init(&walk->effects, &walk->arena);
	walk_check_messages(walk);
}

static bool is_owed(const struct walk *walk, uint16_t task, enum swm_message_kind kind)
{
	const struct swm_task_state *state = state_of(walk, task);

	for (size_t i = walk->message_count; i-- > 0;) {
		const struct walk_message *message = &walk->messages[i];
		if (message->task == task && message->kind == kind &&
			message->attempt == state->attempt && !message->cancelled &&
			(kind != SWM_MESSAGE_START_TASK || message->resend == state->resends)) {
			return true;
		}
	}
	return false;
}

void walk_check_messages(const struct walk *walk)
{
	if (walk->message_count == WALK_MESSAGES_MAX) {
		return;
	}
	for (uint16_t i = 0; i < walk->template->task_count; i++) {
		const struct swm_task *task = &walk->template->tasks[i];
		const struct swm_task_state *state = state_of(walk, i);
		const bool scheduled = state->status == SWM_TASK_SCHEDULED;
		fuzz_that(!scheduled || task->queue.ptr == NULL ||
				  is_owed(walk, i, SWM_MESSAGE_START_TASK),
			"task %u is SCHEDULED, and nobody is told", i);
		fuzz_that(is_owed(walk, i, SWM_MESSAGE_TASK_TIMED_OUT) ==
				  (scheduled && task->timeout_ms > 0),
			"task %u is %s: its timeout is wrong", i,
			swm_task_status_name(state->status).ptr);
		fuzz_that(is_owed(walk, i, SWM_MESSAGE_TASK_PENDING) ==
				  ((state->flags & SWM_TASK_RETRY_OWED) != 0),
			"task %u is %s: its retry is wrong", i,
			swm_task_status_name(state->status).ptr);
	}
	for (size_t i = 0; i < walk->message_count; i++) {
		const struct walk_message *message = &walk->messages[i];
		fuzz_that(message->kind == SWM_MESSAGE_START_TASK || message->cancelled ||
				  message->attempt == state_of(walk, message->task)->attempt,
			"a timer of an attempt that is over: %s", message->body);
	}
}
