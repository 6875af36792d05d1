/* SPDX-License-Identifier: MIT */

/* See cli_picture.h. */

#include "cli_picture.h"

#include "document.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer names do not widen the columns of the others. */
#define NAME_WIDTH_MAX 40

/* "SCHEDULED", the longest status of a task. */
#define TASK_STATUS_WIDTH 9

enum symbol {
	SYMBOL_WAITING,
	SYMBOL_RUNNING,
	SYMBOL_DONE,
	SYMBOL_FAILED,
	SYMBOL_SKIPPED
};

struct picture {
	const struct swm_out *out;
	const struct swm_template *template;
	const struct swm_instance *instance;
	size_t name_width;
	bool unicode;
};

static bool mentions_utf8(const char *locale)
{
	return strstr(locale, "UTF-8") != NULL || strstr(locale, "utf8") != NULL;
}

/* A terminal whose locale says so; files and pipes get ASCII, which greps well. */
static bool has_unicode(const struct swm_out *out)
{
	static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	if (isatty(fileno(out->file)) != 1) {
		return false;
	}
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = getenv(variables[i]);
		if (value != NULL && value[0] != '\0') {
			return mentions_utf8(value);
		}
	}
	return false;
}

/* Places on the screen, near enough: characters. */
static size_t width_of(struct swm_str text)
{
	size_t width = 0;
	for (size_t i = 0; i < text.len; i++) {
		width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80 ? 1 : 0;
	}
	return width;
}

static void put(const struct picture *picture, const char *text)
{
	(void)fputs(text, picture->out->file);
}

static void put_styled(const struct picture *picture, enum swm_style style, struct swm_str text)
{
	put(picture, swm_out_style(picture->out, style));
	swm_out_text(picture->out, text);
	put(picture, swm_out_style(picture->out, SWM_STYLE_PLAIN));
}

/* The same, with spaces up to a width and one column's distance. */
static void put_column(
	const struct picture *picture, enum swm_style style, struct swm_str text, size_t width)
{
	put_styled(picture, style, text);
	for (size_t own = width_of(text); own < width; own++) {
		put(picture, " ");
	}
	put(picture, "  ");
}

static enum swm_style symbol_style(enum symbol symbol)
{
	switch (symbol) {
	case SYMBOL_RUNNING:
		return SWM_STYLE_CYAN;
	case SYMBOL_DONE:
		return SWM_STYLE_GREEN;
	case SYMBOL_FAILED:
		return SWM_STYLE_RED;
	case SYMBOL_SKIPPED:
		return SWM_STYLE_YELLOW;
	case SYMBOL_WAITING:
	default:
		return SWM_STYLE_DIM;
	}
}

static void put_symbol(const struct picture *picture, enum symbol symbol)
{
	static const char *const plain[] = {".", ">", "+", "!", "-"};
	static const char *const unicode[] = {
		"\xe2\x97\x8b", /* white circle */
		"\xe2\x96\xb6", /* triangle to the right */
		"\xe2\x9c\x94", /* check mark */
		"\xe2\x9c\x98", /* ballot x */
		"\xe2\x86\xb7"  /* arrow over */
	};
	const char *text = picture->unicode ? unicode[symbol] : plain[symbol];
	put_styled(picture, symbol_style(symbol), swm_str_from(text));
	put(picture, " ");
}

static enum symbol task_symbol(const struct swm_task_state *state)
{
	if (state->flags & SWM_TASK_SKIPPED) {
		return SYMBOL_SKIPPED;
	}
	switch (state->status) {
	case SWM_TASK_SCHEDULED:
		return SYMBOL_RUNNING;
	case SWM_TASK_COMPLETED:
		return SYMBOL_DONE;
	case SWM_TASK_FAILED:
		return SYMBOL_FAILED;
	case SWM_TASK_PENDING:
	default:
		return SYMBOL_WAITING;
	}
}

static void put_note(const struct picture *picture, enum swm_style style, const char *label,
	struct swm_str text)
{
	put(picture, "  ");
	put(picture, swm_out_style(picture->out, style));
	put(picture, label);
	swm_out_text(picture->out, text);
	put(picture, swm_out_style(picture->out, SWM_STYLE_PLAIN));
}

static void put_parents(const struct picture *picture, const struct swm_task *task)
{
	put(picture, swm_out_style(picture->out, SWM_STYLE_DIM));
	for (size_t i = 0; i < task->parent_count; i++) {
		put(picture, i == 0 ? "  after " : ", ");
		swm_out_text(picture->out, picture->template->tasks[task->parents[i]].name);
	}
	put(picture, swm_out_style(picture->out, SWM_STYLE_PLAIN));
}

static void draw_task(const struct picture *picture, size_t at)
{
	const struct swm_task *task = &picture->template->tasks[at];
	const struct swm_task_state *state = &picture->instance->tasks[at];
	enum symbol symbol = task_symbol(state);
	put(picture, "  ");
	put_symbol(picture, symbol);
	put_column(picture, SWM_STYLE_PLAIN, task->name, picture->name_width);
	put_column(picture, symbol_style(symbol), swm_task_status_name(state->status),
		TASK_STATUS_WIDTH);
	if (state->attempt > 0) {
		char since[SWM_TIME_MAX];
		swm_time_write(state->updated_ms, since);
		(void)fprintf(picture->out->file, "#%-3" PRIu32 " %s", state->attempt, since);
	}
	put_parents(picture, task);
	if (task->type == SWM_TASK_HUMAN) {
		put_note(picture, SWM_STYLE_YELLOW, "HUMAN ", task->assigned_to);
	}
	if (state->flags & SWM_TASK_SKIPPED) {
		put_note(picture, SWM_STYLE_YELLOW, "skipped", SWM_STR(""));
	}
	if (state->flags & SWM_TASK_RETRY_OWED) {
		put_note(picture, SWM_STYLE_YELLOW, "will be tried again", SWM_STR(""));
	}
	if (state->reason != NULL && state->reason[0] != '\0') {
		put_note(picture, SWM_STYLE_RED, "", swm_str_from(state->reason));
	}
	put(picture, "\n");
}

static void draw_stage(const struct picture *picture, uint16_t at)
{
	const struct swm_stage *stage = &picture->template->stages[at];
	enum symbol symbol = SYMBOL_WAITING;
	if (at < picture->instance->stage) {
		symbol = SYMBOL_DONE;
	} else if (at == picture->instance->stage) {
		symbol = SYMBOL_RUNNING;
	}
	put_symbol(picture, symbol);
	put_column(picture, SWM_STYLE_BOLD, stage->name, picture->name_width + 2);
	put_styled(picture, symbol_style(symbol), swm_stage_status_name(picture->instance, at));
	put(picture, "\n");
	for (size_t i = 0; i < stage->task_count; i++) {
		draw_task(picture, stage->first_task + i);
	}
}

static void draw_head(const struct picture *picture, const struct swm_admin_instance *instance,
	struct swm_str business_ref)
{
	enum swm_instance_status status = swm_instance_status(picture->instance);
	enum symbol symbol = status == SWM_STATUS_COMPLETED ? SYMBOL_DONE
			     : status == SWM_STATUS_FAILED  ? SYMBOL_FAILED
			     : status == SWM_STATUS_ACTIVE  ? SYMBOL_RUNNING
							    : SYMBOL_SKIPPED;
	struct swm_str business_status = swm_instance_business_status(picture->instance);
	char updated[SWM_TIME_MAX];
	swm_time_write(instance->updated_ms, updated);
	put_styled(picture, SWM_STYLE_BOLD, picture->template->component);
	put(picture, " ");
	put_styled(picture, SWM_STYLE_BOLD, business_ref);
	put_note(picture, symbol_style(symbol), "", swm_instance_status_name(status));
	if (business_status.len > 0) {
		put_note(picture, SWM_STYLE_PLAIN, "", business_status);
	}
	put(picture, "\n");
	swm_out_text(picture->out, picture->template->workflow);
	put_note(picture, SWM_STYLE_PLAIN, "template ", picture->template->id);
	(void)fprintf(picture->out->file, "  version %" PRId64 "  %s\n\n", instance->sequence,
		updated);
}

void swm_cli_picture(const struct swm_out *out, const struct swm_admin_instance *instance,
	struct swm_str business_ref)
{
	struct picture picture = {
		.out = out,
		.template = instance->template,
		.instance = instance->instance,
		.unicode = has_unicode(out),
	};
	for (size_t i = 0; i < picture.template->task_count; i++) {
		size_t width = width_of(picture.template->tasks[i].name);
		if (width > picture.name_width && width <= NAME_WIDTH_MAX) {
			picture.name_width = width;
		}
	}
	draw_head(&picture, instance, business_ref);
	for (uint16_t i = 0; i < picture.template->stage_count; i++) {
		draw_stage(&picture, i);
	}
	if (picture.instance->data != NULL) {
		put(&picture, "\ndata ");
		swm_out_text(out,
			(struct swm_str){picture.instance->data, picture.instance->data_len});
		put(&picture, "\n");
	}
}
