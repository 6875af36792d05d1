/* SPDX-License-Identifier: MIT */

/*
 * swm parked list, show, requeue, drop: messages that nobody could use, kept with
 * their exact bytes until a person decides.
 */

#include "cli_json.h"
#include "cli_store.h"
#include "commands.h"
#include "error.h"
#include "text.h"

#include <inttypes.h>
#include <unistd.h>

/* What requeue --all changes in one call. */
#define ALL_ROWS 500

static void add_parked(struct swm_rows *rows, const struct swm_outbox_row *row)
{
	char parked[SWM_TIME_MAX];
	swm_time_write(row->created_ms, parked);
	swm_rows_add(rows, SWM_STYLE_BOLD, row->id);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", parked);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->destination);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%zu", row->body.len);
	swm_rows_add(rows, SWM_STYLE_RED, row->reason);
}

static int run_list(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	static const struct swm_column columns[] = {
		{"ID", "id", false},
		{"PARKED", "created_at", false},
		{"SOURCE", "source", false},
		{"BYTES", "bytes", true},
		{"REASON", "reason", false},
	};
	(void)values;
	(void)argc;
	(void)argv;
	int result = SWM_EXIT_DONE;
	struct swm_rows *rows = NULL;
	struct swm_error err = {.message = "out of memory"};
	size_t count = 0;
	struct swm_cli_cursor cursor = swm_cli_parked(store);
	swm_status status =
		swm_rows_create(columns, sizeof(columns) / sizeof(columns[0]), &rows);
	if (status == SWM_OK) {
		const struct swm_outbox_row *row = NULL;
		while ((row = swm_cli_cursor_next(&cursor, &err)) != NULL) {
			add_parked(rows, row);
			count++;
		}
		status = cursor.status;
	}
	if (status == SWM_OK) {
		status = swm_rows_print(rows, &cli->out);
	}
	if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (count == 0) {
		swm_cli_progress(cli, "nothing is parked");
	}
	swm_rows_destroy(rows);
	swm_cli_cursor_finish(&cursor);
	return result;
}

const struct swm_command swm_command_parked_list = {
	.name = "parked list",
	.summary = "list the messages that nobody could use, the oldest first",
	.example = "swm parked list\n",
	.min_args = 0,
	.max_args = 0,
	.run = swm_cli_store_run,
	.run_in_store = run_list,
};

struct show_values {
	bool body;
};

static void print_line(const struct swm_out *out, const char *title, struct swm_str text)
{
	(void)fprintf(out->file, "%s%s:%s ", swm_out_style(out, SWM_STYLE_DIM), title,
		swm_out_style(out, SWM_STYLE_PLAIN));
	swm_out_text(out, text);
	(void)fputc('\n', out->file);
}

/* Like a mail: what is known of it, an empty line, then its bytes. A terminal gets
 * them made harmless. */
static void print_parked(const struct swm_out *out, const struct swm_outbox_row *row)
{
	char parked[SWM_TIME_MAX];
	swm_time_write(row->created_ms, parked);
	print_line(out, "id", row->id);
	print_line(out, "parked", swm_str_from(parked));
	print_line(out, "source", row->destination);
	print_line(out, "reason", row->reason);
	if (row->key.len > 0) {
		print_line(out, "key", row->key);
	}
	for (size_t i = 0; i < row->header_count; i++) {
		(void)fputs("header ", out->file);
		swm_out_text(out, row->headers[i].name);
		(void)fputs(": ", out->file);
		swm_out_text(out, row->headers[i].value);
		(void)fputc('\n', out->file);
	}
	(void)fprintf(out->file, "bytes: %zu\n\n", row->body.len);
	if (isatty(fileno(out->file)) == 1) {
		swm_out_text(out, row->body);
		(void)fputc('\n', out->file);
	} else {
		(void)fwrite(row->body.ptr, 1, row->body.len, out->file);
	}
}

static swm_status print_parked_json(const struct swm_out *out, const struct swm_outbox_row *row)
{
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	swm_cli_json_add_text(&json, "id", row->id);
	swm_cli_json_add_time(&json, "created_at", row->created_ms);
	swm_cli_json_add_text(&json, "source", row->destination);
	swm_cli_json_add_text(&json, "reason", row->reason);
	swm_cli_json_add_text(&json, "key", row->key);
	json_t *headers = json_array();
	for (size_t i = 0; i < row->header_count; i++) {
		struct swm_cli_json header;
		swm_cli_json_init(&header);
		swm_cli_json_add_text(&header, "name", row->headers[i].name);
		swm_cli_json_add_text(&header, "value", row->headers[i].value);
		if (json_array_append_new(headers, header.object) != 0) {
			json_decref(headers);
			headers = NULL;
		}
	}
	swm_cli_json_add(&json, "headers", headers);
	swm_cli_json_add(&json, "bytes", json_integer((json_int_t)row->body.len));
	swm_cli_json_add_text(&json, "body", row->body);
	swm_status status = swm_cli_json_print(out, json.object);
	swm_cli_json_finish(&json);
	return status;
}

static int run_show(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	(void)argc;
	const struct show_values *given = values;
	int result = SWM_EXIT_DONE;
	struct swm_set set = {0};
	const struct swm_outbox_row *row = NULL;
	struct swm_error err = {0};
	swm_status status =
		swm_admin_parked_get(&store->admin, swm_str_from(argv[0]), &set, &row, &err);
	if (status == SWM_E_NOT_FOUND) {
		result = swm_cli_fail(cli, status, "no message %s is parked", argv[0]);
	} else if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (given->body) {
		(void)fwrite(row->body.ptr, 1, row->body.len, cli->out.file);
	} else if (cli->out.format != SWM_OUT_JSON) {
		print_parked(&cli->out, row);
	} else if (print_parked_json(&cli->out, row) != SWM_OK) {
		result = swm_cli_fail(cli, SWM_E_NOMEM, "out of memory");
	}
	swm_set_release(&set);
	return result;
}

static const struct swm_flag show_flags[] = {
	{
		.name = "body",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct show_values, body),
		.help = "print the message's exact bytes and nothing else",
	},
	{0},
};

const struct swm_command swm_command_parked_show = {
	.name = "parked show",
	.arguments = "ID",
	.summary = "print a parked message: why, from where, its headers and its bytes",
	.details =
		"Lines of what is known, an empty line, the bytes as they are (escaped on a\n"
		"terminal). With -o json the body is a string, or when it is not UTF-8\n"
		"`body_base64`.",
	.example = "swm parked show 0f3a... --body >message\n",
	.flags = show_flags,
	.values_size = sizeof(struct show_values),
	.min_args = 1,
	.max_args = 1,
	.run = swm_cli_store_run,
	.run_in_store = run_show,
};

/* One by one, so that those that are not parked can be named. */
static int update_given(struct swm_cli *cli, struct swm_cli_store *store, uint32_t action,
	char **ids, size_t count)
{
	int result = SWM_EXIT_DONE;
	const char *done = action == SWM_OUTBOX_REQUEUE ? "requeued" : "dropped";
	for (size_t i = 0; i < count; i++) {
		struct swm_str id = swm_str_from(ids[i]);
		size_t changed = 0;
		struct swm_error err = {0};
		swm_status status = store->admin.store->outbox_update(
			store->admin.session, &id, 1, action, &changed, &err);
		if (status != SWM_OK) {
			return swm_cli_fail(cli, status, "%s: %s", ids[i], err.message);
		}
		if (changed == 0) {
			result = swm_cli_fail(
				cli, SWM_E_NOT_FOUND, "no message %s is parked", ids[i]);
		} else {
			swm_cli_progress(cli, "%s: %s", ids[i], done);
		}
	}
	return result;
}

/* The first page again and again, until it is the last: what is requeued is not parked
 * any more. */
static swm_status requeue_all(struct swm_cli_store *store, size_t *total, struct swm_error *err)
{
	struct swm_admin *admin = &store->admin;
	const struct swm_page page = {.limit = ALL_ROWS};
	struct swm_str ids[ALL_ROWS];
	bool more = false;
	do {
		struct swm_set set = {0};
		swm_status status =
			admin->store->outbox_list(admin->session, true, &page, &set, err);
		if (status != SWM_OK) {
			return status;
		}
		const struct swm_outbox_row *rows = set.items;
		size_t count = set.count < ALL_ROWS ? set.count : ALL_ROWS;
		for (size_t i = 0; i < count; i++) {
			ids[i] = rows[i].id;
		}
		size_t changed = 0;
		if (count > 0) {
			status = admin->store->outbox_update(
				admin->session, ids, count, SWM_OUTBOX_REQUEUE, &changed, err);
		}
		more = set.next.ptr != NULL && changed > 0;
		swm_set_release(&set);
		if (status != SWM_OK) {
			return status;
		}
		*total += changed;
	} while (more);
	return SWM_OK;
}

struct requeue_values {
	bool all;
};

static int run_requeue(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	const struct requeue_values *given = values;
	if (given->all == (argc > 0)) {
		return swm_cli_usage(
			cli, given->all ? "--all takes no ids" : "give ids, or --all");
	}
	struct swm_cli_store store = {0};
	int result = swm_cli_store_open(cli, &store);
	if (result != SWM_EXIT_DONE) {
		return result;
	}
	if (given->all) {
		size_t total = 0;
		struct swm_error err = {0};
		swm_status status = requeue_all(&store, &total, &err);
		swm_cli_progress(cli, "%zu requeued", total);
		result = status == SWM_OK ? SWM_EXIT_DONE
					  : swm_cli_fail(cli, status, "%s", err.message);
	} else {
		result = update_given(cli, &store, SWM_OUTBOX_REQUEUE, argv, (size_t)argc);
	}
	swm_cli_store_close(&store);
	return result;
}

static const struct swm_flag requeue_flags[] = {
	{
		.name = "all",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct requeue_values, all),
		.help = "all that are parked now",
	},
	{0},
};

const struct swm_command swm_command_parked_requeue = {
	.name = "parked requeue",
	.arguments = "ID... | --all",
	.summary = "send parked messages to the queue that they came from again",
	.details = "They keep the id that they had first. The orchestrator sends them; what\n"
		   "still cannot be used is parked again.",
	.example = "swm parked requeue --all\n",
	.flags = requeue_flags,
	.values_size = sizeof(struct requeue_values),
	.min_args = 0,
	.max_args = -1,
	.run = run_requeue,
};

static int run_drop(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	(void)values;
	return update_given(cli, store, SWM_OUTBOX_DROP, argv, (size_t)argc);
}

const struct swm_command swm_command_parked_drop = {
	.name = "parked drop",
	.arguments = "ID...",
	.summary = "delete parked messages for good",
	.example = "swm parked drop 0f3a...\n",
	.min_args = 1,
	.max_args = -1,
	.run = swm_cli_store_run,
	.run_in_store = run_drop,
};
