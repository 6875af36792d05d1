/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_COMMANDS_H
#define SWM_HOST_COMMANDS_H

/* The commands, each defined in its cli_*.c, for the table in main.c. */

#include "cli.h"

/* cli_run.c */
extern const struct swm_command swm_command_run;

/* cli_agent.c */
extern const struct swm_command swm_command_agent;

/* cli_change.c */
extern const struct swm_command swm_command_start;
extern const struct swm_command swm_command_complete;
extern const struct swm_command swm_command_fail;
extern const struct swm_command swm_command_retry;

/* cli_send.c */
extern const struct swm_command swm_command_send;

/* cli_list.c, cli_show.c, cli_events.c */
extern const struct swm_command swm_command_list;
extern const struct swm_command swm_command_show;
extern const struct swm_command swm_command_events;

/* cli_template.c */
extern const struct swm_command swm_command_template_lint;
extern const struct swm_command swm_command_template_apply;
extern const struct swm_command swm_command_template_list;
extern const struct swm_command swm_command_template_show;

/* cli_parked.c */
extern const struct swm_command swm_command_parked_list;
extern const struct swm_command swm_command_parked_show;
extern const struct swm_command swm_command_parked_requeue;
extern const struct swm_command swm_command_parked_drop;

/* cli_plugin.c */
extern const struct swm_command swm_command_plugin_list;
extern const struct swm_command swm_command_plugin_describe;

/* cli_migrate.c */
extern const struct swm_command swm_command_migrate;

/* cli_simulate.c */
extern const struct swm_command swm_command_simulate;

/* cli_check.c */
extern const struct swm_command swm_command_check;

#endif
