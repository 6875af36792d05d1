/* SPDX-License-Identifier: MIT */

/* swm events: the log of an instance, which is its audit. */

#include "cli_json.h"
#include "cli_store.h"
#include "commands.h"
#include "error.h"
#include "json_read.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>

static const char *outcome_name(uint32_t outcome)
{
	switch (outcome) {
	case SWM_OUTCOME_APPLIED:
		return "applied";
	case SWM_OUTCOME_DUPLICATE:
		return "duplicate";
	case SWM_OUTCOME_IGNORED:
		return "ignored";
	case SWM_OUTCOME_REJECTED:
		return "rejected";
	default:
		return "unknown";
	}
}

static enum swm_style outcome_style(uint32_t outcome)
{
	switch (outcome) {
	case SWM_OUTCOME_APPLIED:
		return SWM_STYLE_GREEN;
	case SWM_OUTCOME_REJECTED:
		return SWM_STYLE_RED;
	default:
		return SWM_STYLE_YELLOW;
	}
}

static void add_event(struct swm_rows *rows, const struct swm_event_row *row)
{
	char at[SWM_TIME_MAX];
	swm_time_write(row->at_ms, at);
	swm_rows_addf(rows, SWM_STYLE_DIM, "%" PRId64, row->sequence);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", at);
	swm_rows_add(rows, SWM_STYLE_BOLD, row->name);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->stage);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->task);
	if (row->attempt > 0) {
		swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRIu32, row->attempt);
	} else {
		swm_rows_add(rows, SWM_STYLE_PLAIN, SWM_STR(""));
	}
	swm_rows_add(
		rows, outcome_style(row->outcome), swm_str_from(outcome_name(row->outcome)));
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->actor);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->reason);
}

static swm_status print_table(
	const struct swm_out *out, struct swm_cli_cursor *cursor, struct swm_error *err)
{
	static const struct swm_column columns[] = {
		{"SEQ", "sequence", true},
		{"TIME", "at", false},
		{"EVENT", "event_name", false},
		{"STAGE", "stage_name", false},
		{"TASK", "task_name", false},
		{"ATTEMPT", "attempt", true},
		{"OUTCOME", "outcome", false},
		{"ACTOR", "actor", false},
		{"REASON", "reason", false},
	};
	struct swm_rows *rows = NULL;
	swm_status status =
		swm_rows_create(columns, sizeof(columns) / sizeof(columns[0]), &rows);
	if (status != SWM_OK) {
		return swm_error_set(err, status, "out of memory");
	}
	const struct swm_event_row *row = NULL;
	while ((row = swm_cli_cursor_next(cursor, err)) != NULL) {
		add_event(rows, row);
	}
	status = cursor->status;
	if (status == SWM_OK && swm_rows_print(rows, out) != SWM_OK) {
		status = swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	swm_rows_destroy(rows);
	return status;
}

/* The body as the value that it is. Whatever was recorded has been read before. */
static void add_body(struct swm_cli_json *json, struct swm_str body)
{
	json_t *value = NULL;
	if (swm_json_read(body, SIZE_MAX, &value, NULL) == SWM_OK) {
		swm_cli_json_add(json, "body", value);
	} else {
		swm_cli_json_add_text(json, "body", body);
	}
}

/* Absent and empty are the same in a record. */
static void add_filled(struct swm_cli_json *json, const char *key, struct swm_str text)
{
	if (text.len > 0) {
		swm_cli_json_add_text(json, key, text);
	}
}

static swm_status print_event_json(const struct swm_out *out, const struct swm_event_row *row)
{
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	swm_cli_json_add(&json, "sequence", json_integer(row->sequence));
	swm_cli_json_add_time(&json, "at", row->at_ms);
	swm_cli_json_add_text(&json, "event_name", row->name);
	add_filled(&json, "stage_name", row->stage);
	add_filled(&json, "task_name", row->task);
	if (row->attempt > 0) {
		swm_cli_json_add(&json, "attempt", json_integer(row->attempt));
	}
	swm_cli_json_add(&json, "outcome", json_string(outcome_name(row->outcome)));
	add_filled(&json, "reason", row->reason);
	add_filled(&json, "actor", row->actor);
	swm_cli_json_add_text(&json, "key", row->id);
	swm_cli_json_add_text(&json, "event_id", row->source_id);
	if (row->rules > 0) {
		swm_cli_json_add(&json, "rules", json_integer(row->rules));
	}
	add_body(&json, row->body);
	swm_status status = swm_cli_json_print(out, json.object);
	swm_cli_json_finish(&json);
	return status;
}

static swm_status print_json(
	const struct swm_out *out, struct swm_cli_cursor *cursor, struct swm_error *err)
{
	const struct swm_event_row *row = NULL;
	while ((row = swm_cli_cursor_next(cursor, err)) != NULL) {
		if (print_event_json(out, row) != SWM_OK) {
			return swm_error_set(err, SWM_E_NOMEM, "out of memory");
		}
	}
	return cursor->status;
}

static int run_events(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	(void)values;
	(void)argc;
	char id[SWM_INSTANCE_ID_MAX + 1];
	struct swm_str instance_id = {id, 0};
	if (!swm_instance_id_write(
		    swm_str_from(argv[0]), swm_str_from(argv[1]), id, &instance_id.len)) {
		return swm_cli_fail(cli, SWM_E_INVALID, "the names are too long");
	}
	int result = SWM_EXIT_DONE;
	struct swm_error err = {0};
	struct swm_cli_cursor cursor = swm_cli_events(store, &instance_id);
	swm_status status = cli->out.format == SWM_OUT_JSON
				    ? print_json(&cli->out, &cursor, &err)
				    : print_table(&cli->out, &cursor, &err);
	if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (cursor.at == 0) {
		/* an instance begins with a record */
		result = swm_cli_fail(
			cli, SWM_E_NOT_FOUND, "there is no instance %s %s", argv[0], argv[1]);
	}
	swm_cli_cursor_finish(&cursor);
	return result;
}

const struct swm_command swm_command_events = {
	.name = "events",
	.arguments = "COMPONENT REF",
	.summary = "print the log of a workflow: every event, and what became of it",
	.details = "With -o json one object per line, with the ids and the body as received.",
	.example = "swm events ITALIAN ORDER-001\n",
	.min_args = 2,
	.max_args = 2,
	.run = swm_cli_store_run,
	.run_in_store = run_events,
};
