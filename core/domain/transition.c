/* SPDX-License-Identifier: MIT */

/*
 * The rules. Each apply_ function is one row of the table of events: it first finds
 * out whether the event counts, and only then changes anything, so that an event
 * that does not count leaves the instance as it was.
 */

#include "transition.h"

#include "effects.h"
#include "json_read.h"
#include "payload.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an event that does not count is told. */
#define REASON_BYTES 400

struct machine {
	struct swm_instance *instance;
	const struct swm_template *template;
	const struct swm_step *step;
	const struct swm_event *event;
	struct swm_effects *effects;
	struct swm_verdict *verdict;
	struct swm_reference reference;
	uint16_t task; /* the event's; not for StartWorkflow */
};

static swm_status applied(struct machine *machine)
{
	*machine->verdict = (struct swm_verdict){.outcome = SWM_APPLIED};
	return SWM_OK;
}

SWM_PRINTF(3, 4)
static swm_status refused(
	struct machine *machine, enum swm_outcome outcome, const char *fmt, ...)
{
	char text[REASON_BYTES];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	size_t cut = swm_str_cut((struct swm_str){text, strlen(text)}, sizeof(text) - 4);
	struct swm_str reason = {text, (size_t)len < sizeof(text) ? (size_t)len : cut};
	if (!swm_arena_copy(machine->effects->arena, reason, &machine->verdict->reason)) {
		return SWM_E_NOMEM;
	}
	machine->verdict->outcome = outcome;
	return SWM_OK;
}

static struct swm_task_state *state_of(const struct machine *machine, uint16_t task)
{
	return &machine->instance->tasks[task];
}

/* Owes the StartTask of the task's current attempt. */
static swm_status owe_start_task(struct machine *machine, uint16_t task)
{
	const struct swm_task_state *state = state_of(machine, task);
	struct swm_owed owed = {.kind = SWM_MESSAGE_START_TASK,
		.task = task,
		.attempt = state->attempt,
		.destination = machine->template->tasks[task].queue};
	if (!owed.destination.ptr || machine->step->options->none) {
		return SWM_OK; /* a HUMAN task that just waits, or a fold */
	}
	swm_message_id(&machine->reference, machine->template, task, state->attempt, owed.kind,
		state->resends, &owed.id);
	return swm_effects_owe(machine->effects, machine->instance,
		machine->reference.business_ref, machine->step->options->plain, &owed);
}

/* Owes ourselves an event about the task's current attempt, after a delay. */
static swm_status owe_timer(
	struct machine *machine, uint16_t task, enum swm_message_kind kind, int64_t delay_ms)
{
	struct swm_owed owed = {.kind = kind,
		.task = task,
		.attempt = state_of(machine, task)->attempt,
		.delay_ms = delay_ms};
	if (machine->step->options->none) {
		return SWM_OK;
	}
	swm_message_id(
		&machine->reference, machine->template, task, owed.attempt, kind, 0, &owed.id);
	return swm_effects_owe(machine->effects, machine->instance,
		machine->reference.business_ref, false, &owed);
}

static swm_status cancel_timer(
	struct machine *machine, uint16_t task, enum swm_message_kind kind)
{
	struct swm_id id;
	if (machine->step->options->none) {
		return SWM_OK;
	}
	swm_message_id(&machine->reference, machine->template, task,
		state_of(machine, task)->attempt, kind, 0, &id);
	return swm_effects_cancel(machine->effects, &id);
}

/* The current attempt is over, or the retry that would follow it: what we still owe
 * ourselves about it is pointless. */
static swm_status end_attempt(struct machine *machine, uint16_t task)
{
	struct swm_task_state *state = state_of(machine, task);
	swm_status status = SWM_OK;
	if (state->status == SWM_TASK_SCHEDULED && machine->template->tasks[task].timeout_ms) {
		status = cancel_timer(machine, task, SWM_MESSAGE_TASK_TIMED_OUT);
	}
	if (status == SWM_OK && state->flags & SWM_TASK_RETRY_OWED) {
		status = cancel_timer(machine, task, SWM_MESSAGE_TASK_PENDING);
	}
	state->flags &= ~(uint32_t)SWM_TASK_RETRY_OWED;
	return status;
}

static void set_status(struct machine *machine, uint16_t task, enum swm_task_status status)
{
	struct swm_task_state *state = state_of(machine, task);
	state->status = status;
	state->updated_ms = machine->step->at_ms;
	free(state->reason);
	state->reason = NULL;
}

/* Begins the next attempt of a task. */
static swm_status schedule(struct machine *machine, uint16_t task)
{
	struct swm_task_state *state = state_of(machine, task);
	const struct swm_task *defined = &machine->template->tasks[task];

	set_status(machine, task, SWM_TASK_SCHEDULED);
	state->attempt++;
	state->resends = 0;
	swm_status status = owe_start_task(machine, task);
	if (status == SWM_OK && defined->timeout_ms) {
		status = owe_timer(
			machine, task, SWM_MESSAGE_TASK_TIMED_OUT, defined->timeout_ms);
	}
	return status;
}

static bool is_free(const struct machine *machine, uint16_t task)
{
	const struct swm_task *defined = &machine->template->tasks[task];
	if (state_of(machine, task)->status != SWM_TASK_PENDING) {
		return false;
	}
	for (uint16_t i = 0; i < defined->parent_count; i++) {
		if (state_of(machine, defined->parents[i])->status != SWM_TASK_COMPLETED) {
			return false;
		}
	}
	return true;
}

/* Opens the stage that has become the active one, and those behind it while they are
 * empty: an empty stage completes at once. */
static swm_status open_stage(struct machine *machine)
{
	struct swm_instance *instance = machine->instance;
	const struct swm_template *template = machine->template;
	while (instance->stage < template->stage_count &&
		template->stages[instance->stage].task_count == 0) {
		instance->stage++;
	}
	if (instance->stage == template->stage_count) {
		return SWM_OK;
	}
	const struct swm_stage *stage = &template->stages[instance->stage];
	swm_status status = SWM_OK;
	for (uint16_t i = 0; status == SWM_OK && i < stage->task_count; i++) {
		uint16_t task = (uint16_t)(stage->first_task + i);
		if (is_free(machine, task)) {
			status = schedule(machine, task);
		}
	}
	return status;
}

static bool stage_is_done(const struct machine *machine)
{
	const struct swm_stage *stage = &machine->template->stages[machine->instance->stage];
	for (uint16_t i = 0; i < stage->task_count; i++) {
		if (state_of(machine, (uint16_t)(stage->first_task + i))->status !=
			SWM_TASK_COMPLETED) {
			return false;
		}
	}
	return true;
}

/* A task has completed: what became free is scheduled, or the next stage opens. */
static swm_status advance(struct machine *machine, uint16_t task)
{
	const struct swm_task *defined = &machine->template->tasks[task];
	swm_status status = SWM_OK;
	for (uint16_t i = 0; status == SWM_OK && i < defined->child_count; i++) {
		if (is_free(machine, defined->children[i])) {
			status = schedule(machine, defined->children[i]);
		}
	}
	if (status == SWM_OK && stage_is_done(machine)) {
		machine->instance->stage++;
		status = open_stage(machine);
	}
	return status;
}

static void give_data(struct swm_instance *instance, char *data, size_t len)
{
	free(instance->data);
	instance->data = data;
	instance->data_len = len;
}

/* The instance's data with the event's merged in: shallow, the last one wins. *fits
 * tells whether that is within the limit; only then it has been done. */
static swm_status merge_data(struct machine *machine, bool *fits)
{
	struct swm_instance *instance = machine->instance;
	size_t max = machine->step->options->data_max_bytes;
	json_t *merged = NULL;
	size_t len = 0;

	*fits = true;
	if (!machine->event->data) {
		return SWM_OK;
	}
	if (instance->data) {
		const struct swm_str text = {instance->data, instance->data_len};
		(void)swm_json_read(text, SIZE_MAX, &merged, NULL);
	} else {
		merged = json_object();
	}
	if (!merged || json_object_update(merged, machine->event->data) != 0) {
		json_decref(merged);
		return SWM_E_NOMEM;
	}
	char *text = swm_json_text(merged, &len);
	json_decref(merged);
	if (!text) {
		return SWM_E_NOMEM;
	}
	if (len > max) {
		*fits = false;
		free(text);
		return SWM_OK;
	}
	give_data(instance, text, len);
	return SWM_OK;
}

static swm_status apply_start(struct machine *machine)
{
	struct swm_instance *instance = machine->instance;
	bool fits;
	if (instance->sequence > 0) {
		return refused(machine, SWM_DUPLICATE, "the workflow has been started before");
	}
	swm_status status = merge_data(machine, &fits);
	if (status == SWM_OK && !fits) {
		return refused(machine, SWM_REJECTED,
			"data would be over its limit of %zu bytes",
			machine->step->options->data_max_bytes);
	}
	if (status == SWM_OK) {
		status = open_stage(machine);
	}
	return status == SWM_OK ? applied(machine) : status;
}

/* Whether the event's stage and task may move at all. *counts is false when the
 * verdict has been given. */
static swm_status check_active(struct machine *machine, bool *counts)
{
	const struct swm_instance *instance = machine->instance;
	enum swm_instance_status status = swm_instance_status(instance);
	uint16_t stage = machine->template->tasks[machine->task].stage;

	*counts = false;
	if (status == SWM_STATUS_COMPLETED || status == SWM_STATUS_CANCELLED) {
		return refused(machine, SWM_IGNORED, "the workflow is %s",
			swm_instance_status_name(status).ptr);
	}
	if (stage != instance->stage) {
		return refused(machine, SWM_IGNORED, "the stage is %s",
			swm_stage_status_name(instance, stage).ptr);
	}
	*counts = true;
	return SWM_OK;
}

static swm_status refuse_attempt(struct machine *machine)
{
	uint32_t current = state_of(machine, machine->task)->attempt;
	uint32_t attempt = machine->event->attempt;
	if (attempt < current) {
		return refused(machine, SWM_IGNORED,
			"attempt %" PRIu32 " is over, the current one is %" PRIu32, attempt,
			current);
	}
	return refused(machine, SWM_IGNORED,
		"attempt %" PRIu32 " has not been scheduled, the current one is %" PRIu32,
		attempt, current);
}

static swm_status refuse_status(struct machine *machine)
{
	enum swm_task_status status = state_of(machine, machine->task)->status;
	return refused(
		machine, SWM_IGNORED, "the task is %s", swm_task_status_name(status).ptr);
}

static bool can_complete(const struct swm_task_state *state)
{
	return state->status == SWM_TASK_SCHEDULED || state->status == SWM_TASK_FAILED ||
	       (state->status == SWM_TASK_PENDING && state->flags & SWM_TASK_RETRY_ASKED);
}

static swm_status complete(struct machine *machine)
{
	uint16_t task = machine->task;
	swm_status status = end_attempt(machine, task);
	if (status != SWM_OK) {
		return status;
	}
	set_status(machine, task, SWM_TASK_COMPLETED);
	state_of(machine, task)->flags = 0;
	if (machine->template->tasks[task].business_status.ptr) {
		machine->instance->business_status = task;
	}
	return advance(machine, task);
}

/* An older attempt counts as well: the work was done. */
static swm_status apply_completed(struct machine *machine)
{
	const struct swm_task_state *state = state_of(machine, machine->task);
	bool counts;
	bool fits;

	if (state->status == SWM_TASK_COMPLETED) {
		return refused(machine, SWM_DUPLICATE, "the task has been completed before");
	}
	swm_status status = check_active(machine, &counts);
	if (status != SWM_OK || !counts) {
		return status;
	}
	if (!can_complete(state)) {
		return refuse_status(machine);
	}
	if (machine->event->attempt > state->attempt) {
		return refuse_attempt(machine);
	}
	status = merge_data(machine, &fits);
	if (status == SWM_OK && !fits) {
		return refused(machine, SWM_REJECTED,
			"data would be over its limit of %zu bytes after the merge",
			machine->step->options->data_max_bytes);
	}
	if (status == SWM_OK) {
		status = complete(machine);
	}
	return status == SWM_OK ? applied(machine) : status;
}

static swm_status keep_reason(struct machine *machine, struct swm_str reason)
{
	size_t len = swm_str_cut(reason, SWM_REASON_MAX);
	if (len == 0) {
		return SWM_OK;
	}
	char *copy = malloc(len + 1);
	if (!copy) {
		return SWM_E_NOMEM;
	}
	memcpy(copy, reason.ptr, len);
	copy[len] = '\0';
	state_of(machine, machine->task)->reason = copy;
	return SWM_OK;
}

static swm_status fail_task(struct machine *machine, struct swm_str reason)
{
	uint16_t task = machine->task;
	struct swm_task_state *state = state_of(machine, task);
	const struct swm_task *defined = &machine->template->tasks[task];
	uint32_t attempts = state->attempt - state->base;

	swm_status status = end_attempt(machine, task);
	set_status(machine, task, SWM_TASK_FAILED);
	if (status == SWM_OK) {
		status = keep_reason(machine, reason);
	}
	if (status == SWM_OK && attempts < defined->max_attempts &&
		state->attempt < SWM_ATTEMPTS_MAX) {
		struct swm_id id;
		swm_message_id(&machine->reference, machine->template, task, state->attempt,
			SWM_MESSAGE_TASK_PENDING, 0, &id);
		state->flags |= SWM_TASK_RETRY_OWED;
		status = owe_timer(machine, task, SWM_MESSAGE_TASK_PENDING,
			swm_backoff_ms(defined, attempts, &id));
	}
	return status;
}

static swm_status apply_failed(struct machine *machine, struct swm_str reason)
{
	const struct swm_task_state *state = state_of(machine, machine->task);
	uint32_t attempt = machine->event->attempt;
	bool counts;

	swm_status status = check_active(machine, &counts);
	if (status != SWM_OK || !counts) {
		return status;
	}
	if (attempt && attempt != state->attempt) {
		return refuse_attempt(machine);
	}
	if (state->status != SWM_TASK_SCHEDULED) {
		return refuse_status(machine);
	}
	status = fail_task(machine, reason);
	return status == SWM_OK ? applied(machine) : status;
}

static swm_status retry(struct machine *machine)
{
	if (state_of(machine, machine->task)->attempt >= SWM_ATTEMPTS_MAX) {
		return refused(machine, SWM_REJECTED, "over the limit of %d attempts",
			SWM_ATTEMPTS_MAX);
	}
	swm_status status = end_attempt(machine, machine->task);
	if (status == SWM_OK) {
		status = schedule(machine, machine->task);
	}
	return status == SWM_OK ? applied(machine) : status;
}

static swm_status resend(struct machine *machine)
{
	struct swm_task_state *state = state_of(machine, machine->task);
	if (!machine->template->tasks[machine->task].queue.ptr) {
		return refused(machine, SWM_IGNORED, "the task has no queue to send to");
	}
	if (state->resends == UINT32_MAX) {
		return refused(machine, SWM_REJECTED, "over the limit of resends");
	}
	state->resends++;
	swm_status status = owe_start_task(machine, machine->task);
	return status == SWM_OK ? applied(machine) : status;
}

static swm_status apply_pending(struct machine *machine)
{
	struct swm_task_state *state = state_of(machine, machine->task);
	uint32_t attempt = machine->event->attempt;
	bool counts;

	swm_status status = check_active(machine, &counts);
	if (status != SWM_OK || !counts) {
		return status;
	}
	if (attempt && attempt != state->attempt) {
		return refuse_attempt(machine);
	}
	if (state->status == SWM_TASK_SCHEDULED) {
		return attempt ? retry(machine) : resend(machine);
	}
	if (state->status != SWM_TASK_FAILED) {
		return refuse_status(machine);
	}
	if (!attempt && state->attempt < SWM_ATTEMPTS_MAX) {
		state->base = state->attempt; /* a person's: the budget starts anew */
	}
	return retry(machine);
}

/* A timer of ours whose attempt is over says nothing new: it is not recorded. */
static void drop_own_timer(struct machine *machine)
{
	const struct swm_event *event = machine->event;
	enum swm_message_kind kind = event->kind == SWM_EVENT_TASK_TIMED_OUT
					     ? SWM_MESSAGE_TASK_TIMED_OUT
					     : SWM_MESSAGE_TASK_PENDING;
	struct swm_id id;

	if (machine->verdict->outcome != SWM_IGNORED || !event->attempt ||
		(event->kind != SWM_EVENT_TASK_TIMED_OUT &&
			event->kind != SWM_EVENT_TASK_PENDING)) {
		return;
	}
	swm_message_id(&machine->reference, machine->template, machine->task, event->attempt,
		kind, 0, &id);
	if (swm_str_equal(swm_id_str(&id), machine->step->raw_id)) {
		machine->verdict->outcome = SWM_UNRECORDED;
	}
}

static swm_status apply_task_event(struct machine *machine)
{
	const struct swm_event *event = machine->event;
	int32_t stage = swm_template_stage(machine->template, event->stage);
	if (stage < 0) {
		return refused(machine, SWM_REJECTED, "the template has no stage \"%s\"",
			event->stage.ptr);
	}
	int32_t task = swm_template_task(machine->template, stage, event->task);
	if (task < 0) {
		return refused(machine, SWM_REJECTED, "stage \"%s\" has no task \"%s\"",
			event->stage.ptr, event->task.ptr);
	}
	machine->task = (uint16_t)task;
	switch (event->kind) {
	case SWM_EVENT_TASK_COMPLETED:
		return apply_completed(machine);
	case SWM_EVENT_TASK_FAILED:
		return apply_failed(machine, event->reason);
	case SWM_EVENT_TASK_TIMED_OUT:
		return apply_failed(machine, SWM_STR("timeout"));
	case SWM_EVENT_TASK_PENDING:
	case SWM_EVENT_START_WORKFLOW:
	case SWM_EVENT_KINDS:
	default:
		return apply_pending(machine);
	}
}

swm_status swm_transition(struct swm_instance *instance, const struct swm_step *step,
	struct swm_effects *effects, struct swm_verdict *verdict)
{
	struct machine machine = {.instance = instance,
		.template = instance->template,
		.step = step,
		.event = step->event,
		.effects = effects,
		.verdict = verdict,
		.reference = {instance->template->component, step->event->business_ref}};
	swm_status status;

	*verdict = (struct swm_verdict){.outcome = SWM_APPLIED};
	if (step->event->kind == SWM_EVENT_START_WORKFLOW) {
		status = apply_start(&machine);
	} else {
		status = apply_task_event(&machine);
		if (status == SWM_OK) {
			drop_own_timer(&machine);
		}
	}
	if (status == SWM_OK && verdict->outcome != SWM_UNRECORDED) {
		instance->sequence++;
	}
	return status;
}
