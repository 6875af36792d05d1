/* SPDX-License-Identifier: MIT */

/*
 * swm list: which workflows there are, or with --human what waits for people. Rows are
 * the store's indexed columns; only --human looks into the bodies.
 */

#include "cli_store.h"
#include "commands.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* The longest name of a status, and the terminator. */
#define STATUS_NAME_MAX 16

struct list_values {
	const char *component;
	const char *status;
	const char *stage;
	int64_t limit;
	bool human;
};

/* The bit of a status by its name, in any case; 0: there is none, and it was said. */
static uint32_t status_mask(const struct swm_cli *cli, const char *given)
{
	struct swm_str names[SWM_STATUS_CANCELLED];
	for (int32_t i = SWM_STATUS_ACTIVE; i <= SWM_STATUS_CANCELLED; i++) {
		names[i - 1] = swm_instance_status_name((enum swm_instance_status)i);
	}
	char upper[STATUS_NAME_MAX] = {0};
	for (size_t i = 0; i + 1 < sizeof(upper) && given[i] != '\0'; i++) {
		upper[i] = (char)toupper((unsigned char)given[i]);
	}
	for (uint32_t i = 0; i < SWM_STATUS_CANCELLED; i++) {
		if (strlen(given) == names[i].len &&
			swm_str_equal(swm_str_from(upper), names[i])) {
			return UINT32_C(1) << (i + 1);
		}
	}
	char hint[SWM_CLI_HINT_MAX];
	swm_cli_did_you_mean(swm_str_from(upper), names, SWM_STATUS_CANCELLED, hint);
	(void)swm_cli_usage(cli, "there is no status '%s'%s", given, hint);
	return 0;
}

static enum swm_style status_style(int32_t status)
{
	switch (status) {
	case SWM_STATUS_FAILED:
		return SWM_STYLE_RED;
	case SWM_STATUS_COMPLETED:
		return SWM_STYLE_GREEN;
	case SWM_STATUS_PAUSED:
	case SWM_STATUS_CANCELLED:
		return SWM_STYLE_DIM;
	default:
		return SWM_STYLE_CYAN;
	}
}

static void add_instance(struct swm_rows *rows, const struct swm_instance_row *row)
{
	char updated[SWM_TIME_MAX];
	char created[SWM_TIME_MAX];
	swm_time_write(row->updated_ms, updated);
	swm_time_write(row->created_ms, created);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->component);
	swm_rows_add(rows, SWM_STYLE_BOLD, row->business_ref);
	swm_rows_add(rows, status_style(row->status),
		swm_instance_status_name((enum swm_instance_status)row->status));
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->stage);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->business_status);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->template_id);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRId64, row->sequence);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", updated);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", created);
}

static const struct swm_column instance_columns[] = {
	{"COMPONENT", "component_name", false},
	{"REF", "business_ref_no", false},
	{"STATUS", "status", false},
	{"STAGE", "stage_name", false},
	{"BUSINESS STATUS", "business_status", false},
	{"TEMPLATE", "template", false},
	{"VERSION", "version", true},
	{"UPDATED", "updated_at", false},
	{"CREATED", "created_at", false},
};

static void add_task(struct swm_rows *rows, const struct swm_instance_row *row,
	const struct swm_template *template, const struct swm_task *task,
	const struct swm_task_state *state)
{
	char since[SWM_TIME_MAX];
	swm_time_write(state->updated_ms, since);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->component);
	swm_rows_add(rows, SWM_STYLE_BOLD, row->business_ref);
	swm_rows_add(rows, SWM_STYLE_PLAIN, template->stages[task->stage].name);
	swm_rows_add(rows, SWM_STYLE_BOLD, task->name);
	swm_rows_add(rows, SWM_STYLE_CYAN, task->assigned_to);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRIu32, state->attempt);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", since);
}

static const struct swm_column human_columns[] = {
	{"COMPONENT", "component_name", false},
	{"REF", "business_ref_no", false},
	{"STAGE", "stage_name", false},
	{"TASK", "task_name", false},
	{"ASSIGNED TO", "assigned_to", false},
	{"ATTEMPT", "attempt", true},
	{"SINCE", "since", false},
};

/* The HUMAN tasks of one instance that wait, at most *left of them. */
static swm_status add_human(struct swm_cli_store *store, struct swm_rows *rows,
	const struct swm_instance_row *row, int64_t *left, struct swm_error *err)
{
	struct swm_admin_instance found = {0};
	swm_status status = swm_admin_instance_read(&store->admin, row, &found, err);
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i<found.template->task_count && * left> 0; i++) {
		const struct swm_task *task = &found.template->tasks[i];
		const struct swm_task_state *state = &found.instance->tasks[i];
		if (task->type == SWM_TASK_HUMAN && state->status == SWM_TASK_SCHEDULED) {
			add_task(rows, row, found.template, task, state);
			--*left;
		}
	}
	swm_admin_instance_finish(&found);
	return SWM_OK;
}

/* *left is how many rows may still be added, before and after. */
static swm_status collect(struct swm_cli_store *store, const struct list_values *values,
	const struct swm_instance_filter *filter, struct swm_rows *rows, int64_t *left,
	struct swm_error *err)
{
	struct swm_cli_cursor cursor = swm_cli_instances(store, filter);
	const struct swm_instance_row *row = NULL;
	swm_status status = SWM_OK;
	while (status == SWM_OK && *left > 0 &&
		(row = swm_cli_cursor_next(&cursor, err)) != NULL) {
		if (values->human) {
			status = add_human(store, rows, row, left, err);
		} else {
			add_instance(rows, row);
			--*left;
		}
	}
	status = status != SWM_OK ? status : cursor.status;
	swm_cli_cursor_finish(&cursor);
	return status;
}

static int list(struct swm_cli *cli, const struct list_values *values,
	const struct swm_instance_filter *filter)
{
	struct swm_cli_store store = {0};
	int result = swm_cli_store_open(cli, &store);
	if (result != SWM_EXIT_DONE) {
		return result;
	}
	struct swm_rows *rows = NULL;
	int64_t left = values->limit;
	struct swm_error err = {.message = "out of memory"};
	swm_status status =
		values->human ? swm_rows_create(human_columns,
					sizeof(human_columns) / sizeof(human_columns[0]), &rows)
			      : swm_rows_create(instance_columns,
					sizeof(instance_columns) / sizeof(instance_columns[0]),
					&rows);
	if (status == SWM_OK) {
		status = collect(&store, values, filter, rows, &left, &err);
	}
	if (status == SWM_OK) {
		status = swm_rows_print(rows, &cli->out);
	}
	if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (left == values->limit) {
		swm_cli_progress(
			cli, values->human ? "nothing waits for people" : "no workflows");
	} else if (left == 0) {
		swm_cli_progress(cli, "there may be more: --limit");
	}
	swm_rows_destroy(rows);
	swm_cli_store_close(&store);
	return result;
}

static int run_list(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct list_values *given = values;
	struct swm_instance_filter filter = {
		.size = sizeof(filter),
		.component = swm_str_from(given->component),
		.stage = swm_str_from(given->stage),
	};
	if (given->status != NULL) {
		filter.status_mask = status_mask(cli, given->status);
		if (filter.status_mask == 0) {
			return SWM_EXIT_USAGE;
		}
	} else if (given->human) {
		/* nothing waits for people in the others */
		filter.status_mask = UINT32_C(1) << SWM_STATUS_ACTIVE |
				     UINT32_C(1) << SWM_STATUS_FAILED |
				     UINT32_C(1) << SWM_STATUS_PAUSED;
	}
	return list(cli, given, &filter);
}

static const struct swm_flag flags[] = {
	{
		.name = "component",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct list_values, component),
		.metavar = "NAME",
		.help = "of this component only",
	},
	{
		.name = "status",
		.letter = 's',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct list_values, status),
		.metavar = "STATUS",
		.help = "active, failed, paused, completed or cancelled",
	},
	{
		.name = "stage",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct list_values, stage),
		.metavar = "NAME",
		.help = "with this stage active",
	},
	{
		.name = "limit",
		.letter = 'n',
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct list_values, limit),
		.fallback = "100",
		.min = 1,
		.max = 1000000,
		.metavar = "N",
		.help = "print at most so many",
	},
	{
		.name = "human",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct list_values, human),
		.help = "HUMAN tasks that wait to be completed",
	},
	{0},
};

const struct swm_command swm_command_list = {
	.name = "list",
	.summary = "list workflows, the newest first, or tasks that wait for people",
	.details = "With -o json one object per line.",
	.example = "swm list --status failed\n"
		   "swm list --human\n",
	.flags = flags,
	.values_size = sizeof(struct list_values),
	.min_args = 0,
	.max_args = 0,
	.run = run_list,
};
