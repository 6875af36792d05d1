/* SPDX-License-Identifier: MIT */

/*
 * swm template lint, apply, list, show: from a file to a version in the store, and
 * back.
 */

#include "cli_event.h"
#include "cli_json.h"
#include "cli_store.h"
#include "commands.h"
#include "error.h"
#include "json_read.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What a table shows of the 64 digits of a SHA-256. */
#define DIGEST_SHOWN 12

static const char *severity(const struct swm_finding *finding)
{
	return finding->warning ? "warning" : "error";
}

/* As compilers write it, so that editors jump to the line. */
static void print_findings(const char *file, const struct swm_findings *findings, FILE *to)
{
	struct swm_out out;
	swm_out_init(&out, to, SWM_OUT_TABLE);
	for (size_t i = 0; i < findings->count; i++) {
		const struct swm_finding *finding = &findings->items[i];
		(void)fprintf(to, "%s:%" PRId32 ": ", file, finding->line);
		if (finding->pointer[0] != '\0') {
			swm_out_text(&out, swm_str_from(finding->pointer));
			(void)fputs(": ", to);
		}
		(void)fprintf(to, "%s: ", severity(finding));
		swm_out_text(&out, swm_str_from(finding->message));
		(void)fputc('\n', to);
	}
	if (findings->count == SWM_FINDINGS_MAX) {
		(void)fprintf(
			to, "%s: there may be more than these %d\n", file, SWM_FINDINGS_MAX);
	}
}

static swm_status print_findings_json(
	const struct swm_cli *cli, const char *file, const struct swm_findings *findings)
{
	swm_status status = SWM_OK;
	for (size_t i = 0; i < findings->count && status == SWM_OK; i++) {
		const struct swm_finding *finding = &findings->items[i];
		struct swm_cli_json json;
		swm_cli_json_init(&json);
		swm_cli_json_add(&json, "file", json_string(file));
		swm_cli_json_add(&json, "line", json_integer(finding->line));
		swm_cli_json_add_text(&json, "pointer", swm_str_from(finding->pointer));
		swm_cli_json_add(&json, "severity", json_string(severity(finding)));
		swm_cli_json_add_text(&json, "message", swm_str_from(finding->message));
		status = swm_cli_json_print(&cli->out, json.object);
		swm_cli_json_finish(&json);
	}
	return status;
}

static const char *file_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "stdin" : path;
}

static int run_lint(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)values;
	(void)argc;
	char *text = NULL;
	size_t len = 0;
	struct swm_error err = {0};
	swm_status status =
		swm_cli_read_file(argv[0], SWM_TEMPLATE_MAX_BYTES, &text, &len, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	struct swm_findings findings = {0};
	const char *file = file_name(argv[0]);
	swm_status checked = swm_template_read((struct swm_str){text, len}, 0, NULL, &findings);
	free(text);
	if (cli->out.format == SWM_OUT_JSON) {
		status = print_findings_json(cli, file, &findings);
	} else {
		print_findings(file, &findings, cli->out.file);
	}
	size_t errors = findings.errors;
	swm_findings_finish(&findings);
	if (status != SWM_OK || checked == SWM_E_NOMEM) {
		return swm_cli_fail(cli, SWM_E_NOMEM, "out of memory");
	}
	if (checked == SWM_OK) {
		swm_cli_progress(cli, "%s: fine", file);
		return SWM_EXIT_DONE;
	}
	swm_cli_progress(cli, "%s: %zu error%s", file, errors, errors == 1 ? "" : "s");
	return SWM_EXIT_REFUSED;
}

const struct swm_command swm_command_template_lint = {
	.name = "template lint",
	.arguments = "FILE",
	.summary = "check a template: all that is wrong with it, at once",
	.details = "Prints FILE:LINE: POINTER: error|warning: MESSAGE, one per line, without\n"
		   "looking into the store. FILE is - for stdin. Exit 1 when there are errors.",
	.example = "swm template lint conf/templates/deliver-pizza.json\n",
	.min_args = 1,
	.max_args = 1,
	.run = run_lint,
};

struct apply_values {
	const char *author;
	const char *comment;
};

static swm_status print_applied(
	const struct swm_cli *cli, const struct swm_template_applied *applied)
{
	char id[SWM_NAME_MAX + 24];
	(void)snprintf(id, sizeof(id), "%s:%" PRId64, applied->component, applied->version);
	if (cli->out.format != SWM_OUT_JSON) {
		(void)fprintf(
			cli->out.file, "%s  %s\n", id, applied->created ? "new" : "unchanged");
		return SWM_OK;
	}
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	swm_cli_json_add(&json, "id", json_string(id));
	swm_cli_json_add(&json, "component_name", json_string(applied->component));
	swm_cli_json_add(&json, "version", json_integer(applied->version));
	swm_cli_json_add(&json, "new", json_boolean(applied->created));
	swm_status status = swm_cli_json_print(&cli->out, json.object);
	swm_cli_json_finish(&json);
	return status;
}

static int apply_text(struct swm_cli *cli, const struct apply_values *values, const char *file,
	struct swm_str text)
{
	struct swm_cli_store store = {0};
	int result = swm_cli_store_open(cli, &store);
	if (result != SWM_EXIT_DONE) {
		return result;
	}
	const struct swm_template_apply apply = {
		.text = text,
		.author = swm_str_from(swm_cli_actor(values->author)),
		.comment = swm_str_from(values->comment),
	};
	struct swm_template_applied applied = {0};
	struct swm_findings findings = {0};
	struct swm_error err = {0};
	swm_status status =
		swm_admin_template_apply(&store.admin, &apply, &applied, &findings, &err);
	print_findings(file, &findings, stderr);
	if (status == SWM_OK) {
		status = print_applied(cli, &applied);
	} else if (findings.errors > 0) {
		(void)swm_error_set(&err, status, "%s: %zu error%s, nothing was stored", file,
			findings.errors, findings.errors == 1 ? "" : "s");
	}
	result =
		status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "%s", err.message);
	swm_findings_finish(&findings);
	swm_cli_store_close(&store);
	return result;
}

static int run_apply(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)argc;
	char *text = NULL;
	size_t len = 0;
	struct swm_error err = {0};
	swm_status status = swm_cli_config(cli);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	status = swm_cli_read_file(
		argv[0], (size_t)cli->config->limits.template_bytes, &text, &len, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	int result = apply_text(cli, values, file_name(argv[0]), (struct swm_str){text, len});
	free(text);
	return result;
}

static const struct swm_flag apply_flags[] = {
	{
		.name = "author",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct apply_values, author),
		.metavar = "NAME",
		.help = "who made it, else $SWM_ACTOR, else $USER",
	},
	{
		.name = "comment",
		.letter = 'm',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct apply_values, comment),
		.metavar = "TEXT",
		.help = "why, kept with the version",
	},
	{0},
};

const struct swm_command swm_command_template_apply = {
	.name = "template apply",
	.arguments = "FILE",
	.summary = "make a template the newest version of its component",
	.details = "Contents equal to the newest version make no new one. Workflows that run\n"
		   "keep the version that they began with. FILE is - for stdin.",
	.example = "swm template apply conf/templates/deliver-pizza.json -m 'first version'\n",
	.flags = apply_flags,
	.values_size = sizeof(struct apply_values),
	.min_args = 1,
	.max_args = 1,
	.run = run_apply,
};

static void add_template(
	struct swm_rows *rows, const struct swm_template_row *row, size_t digest_shown)
{
	char created[SWM_TIME_MAX];
	swm_time_write(row->created_ms, created);
	struct swm_str digest = row->sha256;
	digest.len = digest.len < digest_shown ? digest.len : digest_shown;
	swm_rows_add(rows, SWM_STYLE_BOLD, row->id);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->component);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRId64, row->version);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->workflow);
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s", created);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->author);
	swm_rows_add(rows, SWM_STYLE_DIM, digest);
	swm_rows_add(rows, SWM_STYLE_PLAIN, row->comment);
}

static int run_list(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	static const struct swm_column columns[] = {
		{"TEMPLATE", "id", false},
		{"COMPONENT", "component_name", false},
		{"VERSION", "version", true},
		{"WORKFLOW", "workflow_name", false},
		{"APPLIED", "created_at", false},
		{"AUTHOR", "author", false},
		{"SHA256", "sha256", false},
		{"COMMENT", "comment", false},
	};
	(void)values;
	int result = SWM_EXIT_DONE;
	size_t digest_shown = cli->out.format == SWM_OUT_JSON ? SIZE_MAX : DIGEST_SHOWN;
	struct swm_str component = swm_str_from(argc > 0 ? argv[0] : NULL);
	struct swm_cli_cursor cursor = swm_cli_templates(store, &component);
	struct swm_rows *rows = NULL;
	struct swm_error err = {.message = "out of memory"};
	size_t count = 0;
	swm_status status =
		swm_rows_create(columns, sizeof(columns) / sizeof(columns[0]), &rows);
	if (status == SWM_OK) {
		const struct swm_template_row *row = NULL;
		while ((row = swm_cli_cursor_next(&cursor, &err)) != NULL) {
			add_template(rows, row, digest_shown);
			count++;
		}
		status = cursor.status;
	}
	if (status == SWM_OK) {
		status = swm_rows_print(rows, &cli->out);
	}
	if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (count == 0 && argc > 0) {
		char hint[SWM_CLI_HINT_MAX];
		swm_cli_component_hint(store, component, hint);
		result = swm_cli_fail(
			cli, SWM_E_NOT_FOUND, "%s has no template%s", argv[0], hint);
	} else if (count == 0) {
		swm_cli_progress(cli, "no templates yet; swm template apply FILE makes one");
	}
	swm_rows_destroy(rows);
	swm_cli_cursor_finish(&cursor);
	return result;
}

const struct swm_command swm_command_template_list = {
	.name = "template list",
	.arguments = "[COMPONENT]",
	.summary = "list the templates, newest version first",
	.example = "swm template list ITALIAN\n",
	.min_args = 0,
	.max_args = 1,
	.run = swm_cli_store_run,
	.run_in_store = run_list,
};

/* COMPONENT or COMPONENT:VERSION; a component may have a colon itself, so that only
 * digits behind the last one are a version. 0: none given. */
static struct swm_str split_id(const char *text, int64_t *version)
{
	const char *colon = strrchr(text, ':');
	*version = 0;
	if (colon == NULL || colon[1] == '\0' ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
		return swm_str_from(text);
	}
	errno = 0;
	*version = strtoll(colon + 1, NULL, 10);
	if (errno != 0 || *version == 0) {
		*version = INT64_MAX; /* there is none with this number */
	}
	return (struct swm_str){text, (size_t)(colon - text)};
}

static swm_status print_template_json(
	const struct swm_cli *cli, const struct swm_template_row *row)
{
	json_t *template = NULL;
	struct swm_error err = {0};
	swm_status status = swm_json_read(row->body, SWM_TEMPLATE_MAX_BYTES, &template, &err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_cli_json json;
	swm_cli_json_init(&json);
	swm_cli_json_add_text(&json, "id", row->id);
	swm_cli_json_add_text(&json, "component_name", row->component);
	swm_cli_json_add_text(&json, "workflow_name", row->workflow);
	swm_cli_json_add(&json, "version", json_integer(row->version));
	swm_cli_json_add_time(&json, "created_at", row->created_ms);
	swm_cli_json_add_text(&json, "author", row->author);
	swm_cli_json_add_text(&json, "comment", row->comment);
	swm_cli_json_add_text(&json, "sha256", row->sha256);
	swm_cli_json_add(&json, "template", template);
	status = swm_cli_json_print(&cli->out, json.object);
	swm_cli_json_finish(&json);
	return status;
}

static int run_show(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	(void)values;
	(void)argc;
	int result = SWM_EXIT_DONE;
	int64_t version = 0;
	struct swm_str component = split_id(argv[0], &version);
	struct swm_set set = {0};
	struct swm_error err = {0};
	swm_status status =
		swm_admin_template_get(&store->admin, component, version, &set, &err);
	if (status == SWM_E_NOT_FOUND) {
		char hint[SWM_CLI_HINT_MAX];
		swm_cli_component_hint(store, component, hint);
		result = swm_cli_fail(cli, status, "there is no template %s%s", argv[0], hint);
	} else if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	} else if (cli->out.format == SWM_OUT_JSON) {
		status = print_template_json(cli, set.items);
		if (status != SWM_OK) {
			result = swm_cli_fail(cli, status, "cannot print %s", argv[0]);
		}
	} else {
		const struct swm_template_row *row = set.items;
		(void)fwrite(row->body.ptr, 1, row->body.len, cli->out.file);
	}
	swm_set_release(&set);
	return result;
}

const struct swm_command swm_command_template_show = {
	.name = "template show",
	.arguments = "COMPONENT[:VERSION]",
	.summary = "print a template, byte for byte as it was applied",
	.details = "Without a version the newest one. With -o json one object with the\n"
		   "template under `template` and what is known of the version around it.",
	.example = "swm template show ITALIAN:1 >deliver-pizza.json\n",
	.min_args = 1,
	.max_args = 1,
	.run = swm_cli_store_run,
	.run_in_store = run_show,
};
