/* SPDX-License-Identifier: MIT */

/*
 * A template and events in any order, all from bytes; after each event the invariants
 * of walk_check.c, the body read back, and the log folded to the same bytes.
 */

#include "walk.h"

#include "fold.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Half of the walks have room for very little data. */
#define NARROW_DATA_BYTES 48

static bool walk_init(struct walk *walk, const uint8_t *data, size_t size)
{
	struct swm_findings findings;

	*walk = (struct walk){.bytes = {data, data + size}, .business_status = -1};
	const uint8_t first = fuzz_byte(&walk->bytes);
	walk->options.plain = (first & 1) != 0;
	walk->options.data_max_bytes =
		(first & 2) != 0 ? NARROW_DATA_BYTES : SWM_DATA_MAX_BYTES;
	walk->limits = swm_event_limits_default;
	walk->limits.data_bytes = walk->options.data_max_bytes;
	walk->template_text = walk_template(&walk->bytes);
	const swm_status status = swm_template_read(
		swm_str_from(walk->template_text), 1, &walk->template, &findings);
	swm_findings_finish(&findings);
	if (status != SWM_OK) {
		free(walk->template_text);
		return false;
	}
	walk->instance = swm_instance_create(walk->template);
	fuzz_that(walk->instance != NULL, "no memory");
	walk->before = fuzz_memory(walk->template->task_count * sizeof(*walk->before));
	walk->messages = fuzz_memory(WALK_MESSAGES_MAX * sizeof(*walk->messages));
	swm_effects_init(&walk->effects, &walk->arena);
	return true;
}

static void walk_finish(struct walk *walk)
{
	for (size_t i = 0; i < walk->message_count; i++) {
		free(walk->messages[i].body);
	}
	free(walk->messages);
	free(walk->before);
	json_decref(walk->data);
	swm_arena_finish(&walk->arena);
	swm_instance_destroy(walk->folded);
	swm_instance_destroy(walk->instance);
	swm_template_destroy(walk->template);
	free(walk->template_text);
}

static void reread(struct walk *walk)
{
	char *body = fuzz_instance_body(walk->instance);
	struct swm_instance *read = fuzz_instance_read(walk->template, body);

	swm_instance_destroy(walk->instance);
	walk->instance = read;
	free(body);
}

/* The record folded onto those before it gives the instance's own bytes. */
static void check_fold(struct walk *walk, const struct walk_event *event,
	enum swm_outcome outcome, const char *body)
{
	const struct swm_record record = {swm_str_from(event->raw_id),
		swm_str_from(event->body), walk->records, walk->at_ms, outcome, SWM_RULES};
	struct swm_error err = {0};

	const swm_status status = swm_fold(walk->template, &record, &walk->folded, &err);
	fuzz_that(status == SWM_OK, "does not fold: %s", err.message);
	char *folded = fuzz_instance_body(walk->folded);
	fuzz_that(strcmp(folded, body) == 0, "folds to %s, not to %s", folded, body);
	free(folded);
}

/* Is it one that the engine would bring to this instance? */
static bool is_ours(const struct walk *walk, const struct swm_event *event)
{
	return swm_str_equal(event->component, walk->template->component) &&
	       swm_str_equal(event->business_ref, SWM_STR(WALK_REFERENCE)) &&
	       (walk->instance->sequence > 0 || event->kind == SWM_EVENT_START_WORKFLOW);
}

static void apply(
	struct walk *walk, const struct walk_event *given, const struct swm_event *event)
{
	const struct swm_step step = {
		event, swm_str_from(given->raw_id), walk->at_ms, &walk->options};
	const size_t owed = walk->effects.owed_count;
	const size_t cancelled = walk->effects.cancelled_count;
	struct swm_verdict verdict = {0};
	char *before = fuzz_instance_body(walk->instance);

	if (walk->template->task_count > 0) {
		memcpy(walk->before, walk->instance->tasks,
			walk->template->task_count * sizeof(*walk->before));
	}
	const swm_status status =
		swm_transition(walk->instance, &step, &walk->effects, &verdict);
	fuzz_that(status == SWM_OK, "status %d", (int)status);
	fuzz_that(verdict.outcome == SWM_APPLIED ||
			  (owed == walk->effects.owed_count &&
				  cancelled == walk->effects.cancelled_count),
		"effects of outcome %d", (int)verdict.outcome);
	walk_check_step(walk, event, &verdict, before);
	walk_check_state(walk);
	char *body = fuzz_instance_body(walk->instance);
	swm_instance_destroy(fuzz_instance_read(walk->template, body));
	if (verdict.outcome != SWM_UNRECORDED) {
		check_fold(walk, given, verdict.outcome, body);
	}
	free(body);
	free(before);
}

static void take_step(struct walk *walk)
{
	struct walk_event given;
	struct swm_event event;

	walk_next(walk, &given);
	if (given.reread) {
		reread(walk);
		return;
	}
	const swm_status status =
		swm_event_read(swm_str_from(given.body), &walk->limits, &event, NULL);
	if (status == SWM_OK) {
		if (is_ours(walk, &event)) {
			apply(walk, &given, &event);
		}
		swm_event_finish(&event);
	}
	free(given.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk walk;

	if (!walk_init(&walk, data, size)) {
		return 0;
	}
	for (; walk.bytes.at < walk.bytes.end && walk.step < WALK_STEPS_MAX &&
		walk.message_count < WALK_MESSAGES_MAX / 2;
		walk.step++) {
		take_step(&walk);
	}
	walk_commit(&walk);
	walk_finish(&walk);
	return 0;
}
