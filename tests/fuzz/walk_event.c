/* SPDX-License-Identifier: MIT */

/*
 * An event from bytes. The first one says what, the others about which task and how:
 *
 *   0..4   an event of that kind about a task
 *   5      a message that was owed, sent once more: a timer as it stands, a StartTask
 *          as the answer that copies it
 *   6      bytes of the input as they stand
 *   7      no event: the instance is read back
 */

#include "walk.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WALK_OWED = 5,
	WALK_BYTES = 6,
	WALK_REREAD = 7,
	WALK_KINDS = 8
};

/* Bits of the first byte above the kind. */
enum {
	MORE_SAME_COMMIT = 1 << 3,
	MORE_DATA = 1 << 4,
	MORE_REASON = 1 << 5,
	MORE_ATTEMPT = 1 << 6,
	MORE_OUR_ID = 1 << 7 /* says that it is a message of ours */
};

/* Small, larger, nested, and one that a narrow limit refuses. */
static json_t *make_data(uint8_t byte)
{
	static const char *const keys[] = {"a", "b", "price", "tags"};
	static const char *const values[] = {"1", "19.99", "\"text\"",
		"{\"deep\":[1,{\"x\":0.1}]}", "null",
		"\"a text that is longer than what a narrow limit leaves for all\"", "[]",
		"-9223372036854775808"};
	json_t *value = json_loads(values[(byte >> 2) & 7], JSON_DECODE_ANY, NULL);

	return json_pack("{s:o}", keys[byte & 3], value);
}

static void set_task(struct walk *walk, json_t *event, uint8_t choice)
{
	const struct swm_template *template = walk->template;

	if (choice == 255 || template->task_count == 0) {
		json_object_set_new(event, "stage_name", json_string("NOWHERE"));
		json_object_set_new(event, "task_name", json_string("nothing"));
		return;
	}
	const struct swm_task *task = &template->tasks[choice % template->task_count];
	const struct swm_str stage = template->stages[task->stage].name;
	json_object_set_new(event, "stage_name", json_stringn(stage.ptr, stage.len));
	json_object_set_new(event, "task_name", json_stringn(task->name.ptr, task->name.len));
}

/* The current attempt, one next to it, or any. */
static uint32_t take_attempt(const struct walk *walk, uint8_t choice, uint8_t byte)
{
	const uint16_t count = walk->template->task_count;
	const uint32_t now = count > 0 ? walk->instance->tasks[choice % count].attempt : 0;

	switch (byte & 3) {
	case 0:
	case 1:
		return now;
	case 2:
		return now > 1 ? now - 1 : now + 1;
	default:
		return (uint32_t)byte;
	}
}

static void make_event(
	struct walk *walk, uint8_t first, enum swm_event_kind kind, struct walk_event *out)
{
	const uint8_t choice = fuzz_byte(&walk->bytes);
	const struct swm_str name = swm_event_name(kind);
	json_t *event = json_pack("{s:s,s:o,s:s}", "business_ref_no", WALK_REFERENCE,
		"component_name",
		json_stringn(walk->template->component.ptr, walk->template->component.len),
		"event_name", name.ptr);

	if (kind != SWM_EVENT_START_WORKFLOW) {
		set_task(walk, event, choice);
	}
	if ((first & MORE_ATTEMPT) != 0) {
		const uint32_t attempt = take_attempt(walk, choice, fuzz_byte(&walk->bytes));
		json_object_set_new(
			event, "attempt", attempt > 0 ? json_integer(attempt) : json_null());
	}
	if ((first & MORE_DATA) != 0) {
		json_object_set_new(event, "data", make_data(fuzz_byte(&walk->bytes)));
	}
	if ((first & MORE_REASON) != 0) {
		json_object_set_new(event, "reason", json_string("no \"dough\"\n left"));
	}
	out->body = json_dumps(event, JSON_COMPACT);
	fuzz_that(out->body != NULL, "no event");
	json_decref(event);
	(void)snprintf(out->raw_id, sizeof(out->raw_id), "step-%zu", walk->step);
	if ((first & MORE_OUR_ID) != 0 && walk->message_count > 0) {
		const size_t at = fuzz_byte(&walk->bytes) % walk->message_count;
		(void)snprintf(
			out->raw_id, sizeof(out->raw_id), "%s", walk->messages[at].id.hex);
	}
}

/* What a service makes of a StartTask: a copy of it with another name. */
static char *answer(const struct walk_message *message, uint8_t first)
{
	json_t *copy = json_loads(message->body, JSON_REJECT_DUPLICATES, NULL);

	fuzz_that(copy != NULL, "not JSON: %s", message->body);
	json_object_set_new(copy, "event_name",
		json_string((first & MORE_REASON) != 0 ? "TaskFailed" : "TaskCompleted"));
	char *body = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	return body;
}

static void make_owed(struct walk *walk, uint8_t first, struct walk_event *out)
{
	const size_t back = fuzz_byte(&walk->bytes) % walk->message_count;
	struct walk_message *message = &walk->messages[walk->message_count - 1 - back];

	if (message->kind == SWM_MESSAGE_START_TASK) {
		out->body = answer(message, first);
		(void)snprintf(out->raw_id, sizeof(out->raw_id), "answer-%zu", walk->step);
	} else {
		out->body = fuzz_copy(swm_str_from(message->body));
		(void)snprintf(out->raw_id, sizeof(out->raw_id), "%s", message->id.hex);
		message->heard = true;
	}
}

void walk_next(struct walk *walk, struct walk_event *out)
{
	const uint8_t first = fuzz_byte(&walk->bytes);
	const uint8_t what = first % WALK_KINDS;

	*out = (struct walk_event){.same_commit = (first & MORE_SAME_COMMIT) != 0};
	walk->at_ms += 1 + first;
	if (!out->same_commit) {
		walk_commit(walk);
	}
	if (what == WALK_REREAD) {
		out->reread = true;
	} else if (what == WALK_BYTES) {
		out->body = fuzz_copy(fuzz_text(&walk->bytes, fuzz_byte(&walk->bytes)));
		(void)snprintf(out->raw_id, sizeof(out->raw_id), "bytes-%zu", walk->step);
	} else if (what == WALK_OWED && walk->message_count > 0) {
		make_owed(walk, first, out);
	} else {
		make_event(walk, first,
			what < SWM_EVENT_KINDS ? (enum swm_event_kind)what
					       : SWM_EVENT_TASK_COMPLETED,
			out);
	}
}
