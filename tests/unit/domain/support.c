/* SPDX-License-Identifier: MIT */
/*
 * See support.h.
 */

#include "support.h"

uint64_t noise_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

struct swm_str str(const char *text)
{
	return (struct swm_str){text, strlen(text)};
}

void assert_str(struct swm_str actual, const char *expected)
{
	if (actual.len != strlen(expected) || memcmp(actual.ptr, expected, actual.len) != 0) {
		fail_msg("\"%.*s\" != \"%s\"", (int)actual.len,
			actual.ptr != NULL ? actual.ptr : "", expected);
	}
}

char *file_read(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		fail_msg("%s cannot be opened", path);
		return NULL;
	}
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	const long size = ftell(file);
	assert_true(size >= 0);
	rewind(file);
	char *text = malloc((size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)size, file), size);
	text[size] = '\0';
	fclose(file);
	return text;
}

void walk_init(struct walk *walk, const char *template_text)
{
	struct swm_findings findings = {0};

	memset(walk, 0, sizeof(*walk));
	walk->at_ms = WALK_START_MS;
	walk->options.data_max_bytes = SWM_DATA_MAX_BYTES;
	const swm_status status =
		swm_template_read(str(template_text), 1, &walk->template, &findings);
	if (status != SWM_OK) {
		fail_msg("the template is refused (%d): %s", (int)status,
			findings.count > 0 ? findings.items[0].message : "no finding");
	}
	swm_findings_finish(&findings);
	walk->instance = swm_instance_create(walk->template);
	assert_non_null(walk->instance);
}

void walk_finish(struct walk *walk)
{
	swm_arena_finish(&walk->arena);
	swm_instance_destroy(walk->instance);
	swm_template_destroy(walk->template);
}

void walk_message(char *out, size_t cap, const char *event, const char *stage, const char *task,
	unsigned attempt, const char *more)
{
	size_t len = (size_t)snprintf(out, cap,
		"{\"business_ref_no\":\"R-1\",\"component_name\":\"C\",\"event_name\":\"%s\"",
		event);

	if (stage != NULL) {
		len += (size_t)snprintf(out + len, cap - len,
			",\"stage_name\":\"%s\",\"task_name\":\"%s\"", stage, task);
	}
	if (attempt > 0) {
		len += (size_t)snprintf(out + len, cap - len, ",\"attempt\":%u", attempt);
	}
	len += (size_t)snprintf(out + len, cap - len, "%s}", more != NULL ? more : "");
	assert_true(len < cap);
}

enum swm_outcome walk_apply(struct walk *walk, const char *message, const char *raw_id)
{
	struct swm_event event;
	struct swm_error err = {0};
	char fresh[32];

	const swm_status status =
		swm_event_read(str(message), &swm_event_limits_default, &event, &err);
	if (status != SWM_OK) {
		fail_msg("%s: cannot be read (%d): %s", message, (int)status, err.message);
	}
	walk->sent++;
	walk->at_ms += 1000;
	snprintf(fresh, sizeof(fresh), "id-%u", walk->sent);
	swm_arena_reset(&walk->arena);
	swm_effects_init(&walk->effects, &walk->arena);
	const struct swm_step step = {
		.event = &event,
		.raw_id = str(raw_id != NULL ? raw_id : fresh),
		.at_ms = walk->at_ms,
		.options = &walk->options,
	};
	walk->verdict = (struct swm_verdict){0};
	assert_int_equal(
		swm_transition(walk->instance, &step, &walk->effects, &walk->verdict), SWM_OK);
	swm_event_finish(&event);
	return walk->verdict.outcome;
}

enum swm_outcome walk_send(struct walk *walk, const char *event, const char *stage,
	const char *task, unsigned attempt, const char *more)
{
	static char message[WALK_BODY_MAX];

	walk_message(message, sizeof(message), event, stage, task, attempt, more);
	return walk_apply(walk, message, NULL);
}

const char *walk_body(struct walk *walk)
{
	struct swm_json_out out;

	swm_json_out_init(&out, walk->body, sizeof(walk->body) - 1);
	swm_instance_write(walk->instance, &out);
	assert_true(swm_json_out_fits(&out));
	walk->body[out.len] = '\0';
	return walk->body;
}

static uint16_t walk_position(const struct walk *walk, const char *stage, const char *task)
{
	const int32_t at = swm_template_stage(walk->template, str(stage));
	const int32_t position = swm_template_task(walk->template, at, str(task));

	assert_true(position >= 0);
	return (uint16_t)position;
}

const struct swm_task_state *walk_task(
	const struct walk *walk, const char *stage, const char *task)
{
	return &walk->instance->tasks[walk_position(walk, stage, task)];
}

struct swm_id walk_id(const struct walk *walk, const char *stage, const char *task,
	unsigned attempt, enum swm_message_kind kind)
{
	const struct swm_reference reference = {walk->template->component, str("R-1")};
	struct swm_id id;

	swm_message_id(&reference, walk->template, walk_position(walk, stage, task), attempt,
		kind, 0, &id);
	return id;
}

size_t walk_owed(const struct walk *walk, enum swm_message_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < walk->effects.owed_count; i++) {
		count += walk->effects.owed[i].kind == kind;
	}
	return count;
}
