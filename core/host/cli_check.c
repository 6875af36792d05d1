/* SPDX-License-Identifier: MIT */

/*
 * swm check: is the configuration good? Offline it looks at the file and at the option
 * tables of its plugins; with --connect also at the store and the brokers. It goes on
 * after a mistake, to list them all.
 */

#include "commands.h"

#include "error.h"
#include "reference.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct check_values {
	bool connect;
	bool reference;
};

static const struct swm_flag check_flags[] = {
	{
		.name = "connect",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct check_values, connect),
		.help = "also reach the store and the brokers",
	},
	{
		.name = "reference",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct check_values, reference),
		.help = "print the reference of all options, as markdown",
	},
	{0},
};

static const struct swm_column value_columns[] = {
	{"SECTION", "section", false},
	{"OPTION", "option", false},
	{"VALUE", "value", false},
};

static const struct swm_column step_columns[] = {
	{"WHAT", "what", false},
	{"RESULT", "result", false},
	{"MESSAGE", "message", false},
};

/* The values in force, as somebody would have to write them. */
static void add_values(struct swm_rows *rows, const char *section,
	const struct swm_option_table *table, const void *values)
{
	struct swm_option option;
	for (size_t i = 0; swm_option_get(table, i, &option); i++) {
		char text[1024];
		swm_option_show(&option, values, text, sizeof(text));
		swm_rows_add(rows, SWM_STYLE_DIM, swm_str_from(section));
		swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(option.name));
		swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(text));
	}
}

static void add_own_sections(struct swm_rows *rows, const struct swm_config *config)
{
	const struct swm_config_section *section = swm_config_sections();
	for (; section->name != NULL; section++) {
		const void *values = swm_config_section_values(config, section);
		if (values != NULL) {
			add_values(rows, section->name, &section->table, values);
		}
	}
}

/* Prepares one adapter; its values go to `rows`, what is wrong to `problems`. */
static swm_status check_adapter(struct swm_cli *cli, uint32_t kind,
	const struct swm_adapter_config *adapter, struct swm_rows *rows,
	struct swm_problems *problems)
{
	struct swm_prepared prepared = {0};
	swm_status status =
		swm_adapter_prepare(cli->loader, kind, adapter, problems, &prepared);
	if (status != SWM_OK) {
		return status;
	}
	const char *section = adapter->pointer + 1;
	swm_rows_add(rows, SWM_STYLE_DIM, swm_str_from(section));
	swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from("plugin"));
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%s (%s)", prepared.module->plugin.name,
		prepared.module->file);
	add_values(
		rows, section, &prepared.module->options, swm_options_config(prepared.options));
	swm_options_destroy(prepared.options);
	return SWM_OK;
}

/* The lines of what the plugins' tables found, which the parser of our own sections
 * had no part in. */
static void locate(const struct swm_config *config, struct swm_problems *problems)
{
	char *text = NULL;
	size_t len = 0;
	if (config->file == NULL || swm_cli_read_file(config->file, SWM_CONFIG_MAX_BYTES, &text,
					    &len, NULL) != SWM_OK) {
		return;
	}
	swm_problems_locate(problems, (struct swm_str){text, len});
	free(text);
}

static swm_status check_offline(struct swm_cli *cli, struct swm_rows *rows)
{
	struct swm_problems problems = {0};
	const struct swm_config *config = cli->config;
	add_own_sections(rows, config);
	swm_status worst =
		check_adapter(cli, SWM_PLUGIN_STORE, &config->store, rows, &problems);
	for (size_t i = 0; i < config->queue_count; i++) {
		swm_status status = check_adapter(
			cli, SWM_PLUGIN_QUEUE, &config->queues[i], rows, &problems);
		worst = status != SWM_OK ? status : worst;
	}
	locate(config, &problems);
	swm_problems_print(&problems, config->file, stderr);
	swm_problems_finish(&problems);
	return worst;
}

static void add_step(
	struct swm_rows *rows, const char *what, swm_status status, const struct swm_error *err)
{
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(what));
	swm_rows_add(rows, status == SWM_OK ? SWM_STYLE_GREEN : SWM_STYLE_RED,
		swm_str_from(status == SWM_OK ? "ok" : "failed"));
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(status == SWM_OK ? "" : err->message));
}

/* The worse of two, by what it asks of people: unreachable may pass by itself. */
static swm_status worse(swm_status a, swm_status b)
{
	if (a == SWM_OK || swm_exit_code(a) == SWM_EXIT_UNREACHABLE) {
		return b != SWM_OK ? b : a;
	}
	return a;
}

static swm_status connect_store(struct swm_cli *cli, struct swm_rows *rows)
{
	struct swm_error err = {0};
	const struct swm_store_adapter *store = NULL;
	swm_status status = swm_adapters_store(cli->adapters, &store, &err);
	add_step(rows, "open the store", status, &err);
	if (status != SWM_OK) {
		return status;
	}
	int32_t version = 0;
	status = store->ops->migrate(store->store, SWM_MIGRATE_CHECK, &version, &err);
	add_step(rows, "look at its schema", status, &err);
	return status;
}

static swm_status connect_listen(
	struct swm_cli *cli, const struct swm_listen *listen, struct swm_rows *rows)
{
	char what[512];
	struct swm_error err = {0};
	const struct swm_queue_adapter *queue = NULL;
	(void)snprintf(what, sizeof(what), "open queue adapter %s", listen->adapter);
	swm_status status = swm_adapters_queue(cli->adapters, listen->adapter, &queue, &err);
	add_step(rows, what, status, &err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_str name = swm_str_from(listen->queue);
	(void)snprintf(what, sizeof(what), "reach queue %s", listen->queue);
	status = queue->ops->prepare(queue->queue, &name, 1, &err);
	add_step(rows, what, status, &err);
	return status;
}

static swm_status check_online(struct swm_cli *cli)
{
	struct swm_rows *rows = NULL;
	swm_status worst = swm_cli_adapters(cli, 0);
	if (worst != SWM_OK) {
		return worst;
	}
	worst = swm_rows_create(
		step_columns, sizeof(step_columns) / sizeof(step_columns[0]), &rows);
	if (worst != SWM_OK) {
		return worst;
	}
	worst = connect_store(cli, rows);
	for (size_t i = 0; i < cli->config->listen_count; i++) {
		worst = worse(worst, connect_listen(cli, &cli->config->listen[i], rows));
	}
	swm_status printed = swm_rows_print(rows, &cli->out);
	swm_rows_destroy(rows);
	return printed != SWM_OK ? printed : worst;
}

static bool reference_of(void *ctx, const struct swm_candidate *candidate)
{
	const struct swm_cli *cli = ctx;
	if (candidate->module != NULL && !candidate->shadowed) {
		swm_reference_plugin(candidate->module, cli->out.file);
	}
	return true;
}

static int print_reference(struct swm_cli *cli)
{
	const struct swm_config_section *section = swm_config_sections();
	for (; section->name != NULL; section++) {
		swm_reference_section(section, cli->out.file);
	}
	struct swm_error err = {0};
	swm_status status = swm_loader_scan(cli->loader, reference_of, cli, &err);
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "%s", err.message);
}

static int run_check(struct swm_cli *cli, const void *raw_values, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct check_values *values = raw_values;
	swm_status status = swm_cli_config(cli);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	if (values->reference) {
		return print_reference(cli);
	}
	struct swm_rows *rows = NULL;
	status = swm_rows_create(
		value_columns, sizeof(value_columns) / sizeof(value_columns[0]), &rows);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	status = check_offline(cli, rows);
	if (status == SWM_OK && !values->connect) {
		status = swm_rows_print(rows, &cli->out);
	} else if (status == SWM_OK) {
		status = check_online(cli);
	}
	swm_rows_destroy(rows);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "the configuration is not ready for use");
	}
	swm_cli_progress(cli, "%s: fine",
		cli->config->file != NULL ? cli->config->file : "the defaults");
	return SWM_EXIT_DONE;
}

const struct swm_command swm_command_check = {
	.name = "check",
	.summary = "is the configuration good? prints the values in force",
	.details =
		"Without --connect nothing is opened: the file, its plugins and their options\n"
		"are looked at. With it the store's schema is looked at and the workflow\n"
		"queues are made ready, as `swm run` would do.",
	.example = "swm check --config conf/swm.json\n"
		   "swm check --connect -o json\n",
	.flags = check_flags,
	.values_size = sizeof(struct check_values),
	.run = run_check,
};
