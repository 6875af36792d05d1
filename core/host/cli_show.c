/* SPDX-License-Identifier: MIT */

/* swm show: one workflow, as a picture for people or as its document for programs. */

#include "cli_json.h"
#include "cli_picture.h"
#include "cli_store.h"
#include "commands.h"
#include "text.h"

#include <inttypes.h>

struct show_values {
	int64_t at; /* 0: as it is now */
};

static swm_status print_document(const struct swm_out *out,
	const struct swm_admin_instance *instance, struct swm_str business_ref,
	struct swm_error *err)
{
	json_t *document = NULL;
	swm_status status = swm_document(instance->instance, instance->template_text,
		business_ref, instance->updated_ms, &document, err);
	if (status == SWM_OK) {
		status = swm_cli_json_print(out, document);
		json_decref(document);
	}
	return status;
}

static int run_show(struct swm_cli *cli, struct swm_cli_store *store, const void *values,
	int argc, char **argv)
{
	(void)argc;
	const struct show_values *given = values;
	int result = SWM_EXIT_DONE;
	struct swm_str component = swm_str_from(argv[0]);
	struct swm_str business_ref = swm_str_from(argv[1]);
	struct swm_admin_instance instance = {0};
	struct swm_error err = {.message = "out of memory"};
	swm_status status = given->at == 0 ? swm_admin_instance_get(&store->admin, component,
						     business_ref, &instance, &err)
					   : swm_admin_instance_at(&store->admin, component,
						     business_ref, given->at, &instance, &err);
	if (status == SWM_OK && cli->out.format == SWM_OUT_JSON) {
		status = print_document(&cli->out, &instance, business_ref, &err);
	} else if (status == SWM_OK) {
		swm_cli_picture(&cli->out, &instance, business_ref);
	}
	if (status == SWM_E_NOT_FOUND && given->at == 0) {
		result = swm_cli_fail(
			cli, status, "there is no instance %s %s", argv[0], argv[1]);
	} else if (status != SWM_OK) {
		result = swm_cli_fail(cli, status, "%s", err.message);
	}
	swm_admin_instance_finish(&instance);
	return result;
}

static const struct swm_flag flags[] = {
	{
		.name = "at",
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct show_values, at),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "N",
		.help = "as it was after the record with this sequence",
	},
	{0},
};

const struct swm_command swm_command_show = {
	.name = "show",
	.arguments = "COMPONENT REF",
	.summary = "show a workflow: its stages and tasks, and how far they are",
	.details =
		"With -o json its document: the template with statuses, attempts, times and\n"
		"reasons filled in.",
	.example = "swm show ITALIAN ORDER-001\n"
		   "swm show ITALIAN ORDER-001 --at 3 -o json\n",
	.flags = flags,
	.values_size = sizeof(struct show_values),
	.min_args = 2,
	.max_args = 2,
	.run = swm_cli_store_run,
	.run_in_store = run_show,
};
