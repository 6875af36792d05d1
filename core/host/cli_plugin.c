/* SPDX-License-Identifier: MIT */

/* swm plugin list, swm plugin describe: what can be put into the configuration. */

#include "commands.h"

#include "error.h"
#include "reference.h"
#include "text.h"

#include <string.h>

static const struct swm_column list_columns[] = {
	{"KIND", "kind", false},
	{"NAME", "name", false},
	{"VERSION", "version", false},
	{"LICENSE", "license", false},
	{"STATE", "state", false},
	{"FILE", "file", false},
};

struct listing {
	struct swm_rows *rows;
	size_t refused;
};

static bool add_candidate(void *ctx, const struct swm_candidate *candidate)
{
	struct listing *listing = ctx;
	struct swm_rows *rows = listing->rows;
	const struct swm_module *module = candidate->module;
	const char *state = module == NULL        ? candidate->refusal
			    : candidate->shadowed ? "not used: another directory comes first"
						  : "ok";
	swm_rows_add(
		rows, SWM_STYLE_PLAIN, swm_str_from(swm_plugin_kind_name(candidate->kind)));
	swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(candidate->name));
	swm_rows_add(rows, SWM_STYLE_PLAIN,
		swm_str_from(module != NULL ? module->plugin.version : NULL));
	swm_rows_add(rows, SWM_STYLE_PLAIN,
		swm_str_from(module != NULL ? module->plugin.license : NULL));
	swm_rows_add(rows,
		module == NULL        ? SWM_STYLE_RED
		: candidate->shadowed ? SWM_STYLE_DIM
				      : SWM_STYLE_GREEN,
		swm_str_from(state));
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(candidate->file));
	listing->refused += module == NULL ? 1 : 0;
	return true;
}

static int run_list(struct swm_cli *cli, const void *values, int argc, char **argv)
{
	(void)values;
	(void)argc;
	(void)argv;
	swm_status status = swm_cli_config(cli);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	struct listing listing = {0};
	status = swm_rows_create(
		list_columns, sizeof(list_columns) / sizeof(list_columns[0]), &listing.rows);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	struct swm_error err = {0};
	status = swm_loader_scan(cli->loader, add_candidate, &listing, &err);
	if (status == SWM_OK) {
		status = swm_rows_print(listing.rows, &cli->out);
	}
	swm_rows_destroy(listing.rows);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	return SWM_EXIT_DONE;
}

const struct swm_command swm_command_plugin_list = {
	.name = "plugin list",
	.summary = "every plugin that is found, and why one is refused",
	.details =
		"Looks into the directories of SWM_PLUGIN_PATH, the configured plugin_dir and\n"
		"the one that was compiled in, in this order. Needs no broker and no store.",
	.example = "swm plugin list\n"
		   "SWM_PLUGIN_PATH=$PWD/build swm plugin list -o json\n",
	.run = run_list,
};

struct describe_values {
	const char *kind;
	bool markdown;
};

static const struct swm_flag describe_flags[] = {
	{
		.name = "kind",
		.letter = 'k',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct describe_values, kind),
		.metavar = "KIND",
		.help = "queue or store, when the name has both",
	},
	{
		.name = "markdown",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct describe_values, markdown),
		.help = "as a section of the configuration reference",
	},
	{0},
};

static int describe(struct swm_cli *cli, const struct describe_values *values,
	const struct swm_module *module)
{
	swm_status status = SWM_OK;
	if (values->markdown) {
		swm_reference_plugin(module, cli->out.file);
	} else if (cli->out.format == SWM_OUT_JSON) {
		status = swm_reference_plugin_json(module, &cli->out);
	} else {
		status = swm_reference_plugin_table(module, &cli->out);
	}
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "out of memory");
}

/* The kinds that --kind allows, as a mask of 1 << SWM_PLUGIN_*; 0: no such kind. */
static unsigned wanted_kinds(const char *kind)
{
	if (kind == NULL) {
		return 1U << SWM_PLUGIN_QUEUE | 1U << SWM_PLUGIN_STORE;
	}
	if (strcmp(kind, "queue") == 0) {
		return 1U << SWM_PLUGIN_QUEUE;
	}
	return strcmp(kind, "store") == 0 ? 1U << SWM_PLUGIN_STORE : 0;
}

static int run_describe(struct swm_cli *cli, const void *raw_values, int argc, char **argv)
{
	(void)argc;
	const struct describe_values *values = raw_values;
	unsigned kinds = wanted_kinds(values->kind);
	if (kinds == 0) {
		return swm_cli_usage(
			cli, "--kind has to be queue or store, not '%s'", values->kind);
	}
	swm_status status = swm_cli_config(cli);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	const char *name = argv[0];
	struct swm_error err = {0};
	const struct swm_module *module = NULL;
	if (name[0] == '/') {
		status = swm_loader_open(cli->loader, 0, name, &module, &err);
		return status == SWM_OK ? describe(cli, values, module)
					: swm_cli_fail(cli, status, "%s", err.message);
	}
	int result = -1;
	for (uint32_t kind = SWM_PLUGIN_QUEUE; kind <= SWM_PLUGIN_STORE; kind++) {
		if ((kinds & 1U << kind) == 0) {
			continue;
		}
		status = swm_loader_find(cli->loader, kind, name, &module, &err);
		if (status == SWM_OK) {
			result = describe(cli, values, module);
		} else if (status != SWM_E_NOT_FOUND) {
			return swm_cli_fail(cli, status, "%s", err.message);
		}
	}
	return result >= 0 ? result : swm_cli_fail(cli, SWM_E_NOT_FOUND, "%s", err.message);
}

const struct swm_command swm_command_plugin_describe = {
	.name = "plugin describe",
	.arguments = "NAME|/FILE",
	.summary = "what a plugin is, can do and can be told",
	.details =
		"A bare name is looked up as in the configuration, for both kinds; a path has\n"
		"to be absolute.",
	.example = "swm plugin describe sqlite\n"
		   "swm plugin describe --kind store --markdown sqlite\n",
	.flags = describe_flags,
	.values_size = sizeof(struct describe_values),
	.min_args = 1,
	.max_args = 1,
	.run = run_describe,
};
