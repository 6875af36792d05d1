/* SPDX-License-Identifier: MIT */

/*
 * A message on the workflow queue: any bytes at all. What is taken for an event keeps
 * its promises (names, limits, identity), and is the same event when its JSON is
 * written by somebody else; what is not is refused with a reason.
 *
 * The first byte says how narrow the limits are.
 */

#include "fuzz.h"

#include "event.h"
#include "json_out.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static void check_name(const char *what, struct swm_str name, size_t max)
{
	fuzz_that(name.len > 0 && name.len <= max, "%s has %zu bytes", what, name.len);
	fuzz_that(!swm_str_has_control(name), "%s has a control character", what);
	fuzz_that(strlen(name.ptr) == name.len, "%s has a zero byte", what);
}

static size_t data_bytes(json_t *data)
{
	struct swm_json_out out;

	swm_json_out_init(&out, NULL, 0);
	swm_json_out_value(&out, data);
	return out.len;
}

static void check_event(const struct swm_event *event, const struct swm_event_limits *limits)
{
	check_name("component", event->component, SWM_NAME_MAX);
	check_name("business_ref", event->business_ref, SWM_BUSINESS_REF_MAX);
	fuzz_that(event->event_id.len <= SWM_RAW_ID_MAX, "an id of %zu", event->event_id.len);
	fuzz_that(event->actor.len <= SWM_ACTOR_MAX, "an actor of %zu", event->actor.len);
	fuzz_that(event->attempt <= SWM_ATTEMPTS_MAX, "attempt %u", event->attempt);
	fuzz_that(event->data == NULL || json_is_object(event->data), "data is no object");
	if (event->kind == SWM_EVENT_START_WORKFLOW) {
		fuzz_that(event->stage.ptr == NULL && event->task.ptr == NULL, "a task");
		fuzz_that(event->template_version >= 0, "version below zero");
		fuzz_that(event->data == NULL || data_bytes(event->data) <= limits->data_bytes,
			"%zu bytes of data", data_bytes(event->data));
	} else {
		check_name("stage", event->stage, SWM_NAME_MAX);
		check_name("task", event->task, SWM_NAME_MAX);
		fuzz_that(event->template_version == 0, "the version of a task");
	}
}

static bool same_text(struct swm_str a, struct swm_str b)
{
	return (a.ptr == NULL) == (b.ptr == NULL) && swm_str_equal(a, b);
}

/* The same message, with other spaces and escapes. */
static void check_rewritten(const struct swm_event *event)
{
	const struct swm_event_limits limits = {SIZE_MAX, SIZE_MAX};
	struct swm_event other;
	struct swm_error err = {0};
	struct swm_id ids[2];
	char *text = json_dumps(event->root, JSON_INDENT(1) | JSON_ENSURE_ASCII);

	fuzz_that(text != NULL, "jansson cannot write it");
	const swm_status status = swm_event_read(swm_str_from(text), &limits, &other, &err);
	fuzz_that(status == SWM_OK, "%s: %s", err.message, text);
	fuzz_that(other.kind == event->kind && other.attempt == event->attempt &&
			  other.template_version == event->template_version &&
			  same_text(other.component, event->component) &&
			  same_text(other.business_ref, event->business_ref) &&
			  same_text(other.stage, event->stage) &&
			  same_text(other.task, event->task) &&
			  same_text(other.event_id, event->event_id) &&
			  same_text(other.reason, event->reason) &&
			  same_text(other.actor, event->actor),
		"another event: %s", text);
	fuzz_that((other.data == NULL) == (event->data == NULL), "other data: %s", text);
	fuzz_that(event->data == NULL || json_equal(event->data, other.data), "other data");
	swm_event_key(event, event->event_id, &ids[0]);
	swm_event_key(&other, event->event_id, &ids[1]);
	fuzz_that(strcmp(ids[0].hex, ids[1].hex) == 0, "another key: %s", text);
	fuzz_that(strlen(ids[0].hex) == SWM_ID_LEN, "a key of another length");
	swm_event_finish(&other);
	free(text);
}

static struct swm_str unescaped(const char *from, size_t len, char *out)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		out[used++] = from[i];
		if (from[i] == '%') {
			out[used - 1] = from[i + 1] == '2' && from[i + 2] == 'F' ? '/' : '%';
			i += 2;
		}
	}
	return (struct swm_str){out, used};
}

/* The instance's id tells component and reference, and has no room for doubt. */
static void check_id(const struct swm_event *event)
{
	char *id = fuzz_memory(SWM_INSTANCE_ID_MAX + 1);
	char back[SWM_INSTANCE_ID_MAX];
	size_t len = 0;

	fuzz_that(swm_instance_id_write(event->component, event->business_ref, id, &len),
		"no id of what was taken");
	const char *slash = memchr(id, '/', len);
	fuzz_that(slash != NULL && strchr(slash + 1, '/') == NULL && strlen(id) == len,
		"the id is %s", id);
	struct swm_str part = unescaped(id, (size_t)(slash - id), back);
	fuzz_that(swm_str_equal(part, event->component), "the id is %s", id);
	part = unescaped(slash + 1, len - (size_t)(slash - id) - 1, back);
	fuzz_that(swm_str_equal(part, event->business_ref), "the id is %s", id);
	free(id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = {data, data + size};
	const uint8_t narrow = fuzz_byte(&bytes);
	const struct swm_str text = fuzz_rest(&bytes);
	struct swm_event_limits limits = swm_event_limits_default;
	struct swm_event event = {.attempt = UINT32_MAX};
	struct swm_error err = {0};

	if (narrow >= 0x80) {
		limits.message_bytes = (size_t)(narrow & 0x7f) * 16;
		limits.data_bytes = narrow & 0x7f;
	}
	const swm_status status = swm_event_read(text, &limits, &event, &err);
	if (status == SWM_OK) {
		fuzz_that(text.len <= limits.message_bytes, "%zu bytes", text.len);
		check_event(&event, &limits);
		check_id(&event);
		check_rewritten(&event);
		swm_event_finish(&event);
		return 0;
	}
	fuzz_that(status == SWM_E_INVALID || status == SWM_E_TOO_LARGE, "status %d", status);
	fuzz_that(event.attempt == UINT32_MAX && event.root == NULL, "touched on failure");
	fuzz_that(err.status == status, "the error says %d", err.status);
	fuzz_message(err.message, sizeof(err.message));
	return 0;
}
