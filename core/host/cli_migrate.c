/* SPDX-License-Identifier: MIT */

/* swm migrate: makes the store's schema what this release needs. */

#include "commands.h"

#include "text.h"

#include <inttypes.h>

struct migrate_values {
	bool check;
};

static const struct swm_flag migrate_flags[] = {
	{
		.name = "check",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct migrate_values, check),
		.help = "change nothing; exit code 1 when something would have to be done",
	},
	{0},
};

static const struct swm_column migrate_columns[] = {
	{"STORE", "store", false},
	{"SCHEMA VERSION", "schema_version", true},
	{"STATE", "state", false},
};

static swm_status print_result(const struct swm_cli *cli, int32_t version)
{
	struct swm_rows *rows = NULL;
	swm_status status = swm_rows_create(
		migrate_columns, sizeof(migrate_columns) / sizeof(migrate_columns[0]), &rows);
	if (status != SWM_OK) {
		return status;
	}
	swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(cli->config->store.plugin));
	swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRId32, version);
	swm_rows_add(rows, SWM_STYLE_GREEN, swm_str_from("up to date"));
	status = swm_rows_print(rows, &cli->out);
	swm_rows_destroy(rows);
	return status;
}

static int run_migrate(struct swm_cli *cli, const void *raw_values, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct migrate_values *values = raw_values;
	swm_status status = swm_cli_adapters(cli, 0);
	if (status != SWM_OK) {
		return (int)swm_exit_code(status);
	}
	struct swm_error err = {0};
	const struct swm_store_adapter *store = NULL;
	status = swm_adapters_store(cli->adapters, &store, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	int32_t version = 0;
	status = store->ops->migrate(store->store,
		values->check ? SWM_MIGRATE_CHECK : SWM_MIGRATE_APPLY, &version, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "store: %s", err.message);
	}
	status = print_result(cli, version);
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "out of memory");
}

const struct swm_command swm_command_migrate = {
	.name = "migrate",
	.summary = "create or upgrade the schema of the store",
	.details = "Safe to be run again, and by several at once. A schema that is newer than\n"
		   "this release is refused.",
	.example = "swm migrate --check || swm migrate\n",
	.flags = migrate_flags,
	.values_size = sizeof(struct migrate_values),
	.run = run_migrate,
};
