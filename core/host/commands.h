/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_COMMANDS_H
#define SWM_HOST_COMMANDS_H

/* The commands, each defined in its cli_*.c, for the table in main.c. */

#include "cli.h"

/* cli_plugin.c */
extern const struct swm_command swm_command_plugin_list;
extern const struct swm_command swm_command_plugin_describe;

/* cli_migrate.c */
extern const struct swm_command swm_command_migrate;

/* cli_check.c */
extern const struct swm_command swm_command_check;

#endif
