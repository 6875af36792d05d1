/* SPDX-License-Identifier: MIT */

/* One record after the other, through the same rules that made them. */

#include "fold.h"

#include "error.h"

#include <inttypes.h>

static swm_status fail(struct swm_error *err, swm_status status,
	const struct swm_record *record, const char *what)
{
	return swm_error_set(err, status, "record %" PRId64 ": %s", record->sequence, what);
}

static swm_status check_record(const struct swm_record *record,
	const struct swm_instance *instance, struct swm_error *err)
{
	int64_t expected = instance ? instance->sequence + 1 : 1;
	if (record->sequence != expected) {
		return fail(err, SWM_E_CORRUPT, record, "out of sequence");
	}
	if (!instance && record->rules != SWM_RULES) {
		return fail(err, SWM_E_UNSUPPORTED, record,
			"made by the rules of another release, which this one does not have");
	}
	return SWM_OK;
}

static swm_status apply(struct swm_instance *instance, const struct swm_record *record,
	const struct swm_event *event, struct swm_error *err)
{
	const struct swm_payload_options options = {.none = true, .data_max_bytes = SIZE_MAX};
	const struct swm_step step = {.event = event,
		.raw_id = record->raw_id,
		.at_ms = record->at_ms,
		.options = &options};
	struct swm_arena arena;
	struct swm_effects effects;
	struct swm_verdict verdict;

	swm_arena_init(&arena);
	swm_effects_init(&effects, &arena);
	swm_status status = swm_transition(instance, &step, &effects, &verdict);
	swm_arena_finish(&arena);
	if (status != SWM_OK) {
		return fail(err, status, record, "out of memory");
	}
	if (verdict.outcome != SWM_APPLIED) {
		instance->sequence = record->sequence - 1; /* all that has moved */
		return fail(err, SWM_E_CORRUPT, record, "was applied, but does not apply");
	}
	return SWM_OK;
}

static swm_status apply_body(
	struct swm_instance *instance, const struct swm_record *record, struct swm_error *err)
{
	const struct swm_event_limits limits = {SIZE_MAX, SIZE_MAX};
	struct swm_event event;
	struct swm_error problem;
	swm_status status = swm_event_read(record->body, &limits, &event, &problem);
	if (status != SWM_OK) {
		status = status == SWM_E_NOMEM ? status : SWM_E_CORRUPT;
		return fail(err, status, record, problem.message);
	}
	if (instance->sequence == 0 && event.kind != SWM_EVENT_START_WORKFLOW) {
		status = fail(err, SWM_E_CORRUPT, record, "the first is not a StartWorkflow");
	} else {
		status = apply(instance, record, &event, err);
	}
	swm_event_finish(&event);
	return status;
}

swm_status swm_fold(const struct swm_template *template, const struct swm_record *record,
	struct swm_instance **instance, struct swm_error *err)
{
	swm_status status = check_record(record, *instance, err);
	if (status != SWM_OK) {
		return status;
	}
	if (*instance && record->outcome != SWM_APPLIED) {
		(*instance)->sequence++;
		return SWM_OK;
	}
	struct swm_instance *next = *instance ? *instance : swm_instance_create(template);
	if (!next) {
		return fail(err, SWM_E_NOMEM, record, "out of memory");
	}
	status = apply_body(next, record, err);
	if (status != SWM_OK && !*instance) {
		swm_instance_destroy(next);
	} else {
		*instance = next;
	}
	return status;
}
