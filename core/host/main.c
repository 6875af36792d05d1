/* SPDX-License-Identifier: MIT */

/* Where the process begins: the table of commands, and what has to be done once. */

#include "cli.h"
#include "commands.h"

#include <jansson.h>

static const struct swm_command *const commands[] = {
	&swm_command_run,
	&swm_command_agent,
	&swm_command_start,
	&swm_command_complete,
	&swm_command_fail,
	&swm_command_retry,
	&swm_command_send,
	&swm_command_list,
	&swm_command_show,
	&swm_command_events,
	&swm_command_template_lint,
	&swm_command_template_apply,
	&swm_command_template_list,
	&swm_command_template_show,
	&swm_command_simulate,
	&swm_command_parked_list,
	&swm_command_parked_show,
	&swm_command_parked_requeue,
	&swm_command_parked_drop,
	&swm_command_plugin_list,
	&swm_command_plugin_describe,
	&swm_command_migrate,
	&swm_command_check,
	NULL,
};

int main(int argc, char **argv)
{
	/* Before any thread, and before any object: else whoever sends keys of their
	 * choice could make all of them collide (CVE-2013-6401). */
	json_object_seed(0);
	return swm_cli_main(commands, argc, argv);
}
