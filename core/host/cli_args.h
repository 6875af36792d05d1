/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_ARGS_H
#define SWM_HOST_CLI_ARGS_H

/*
 * Between cli.c, which finds and runs a command, and cli_args.c and cli_help.c, which
 * parse and explain its options. Nobody else includes this.
 */

#include "cli.h"

/* The options that every command has. */
struct swm_global_values {
	const char *config;
	const char *log_level;
	const char *output;
	bool help;
	bool version;
};

extern const struct swm_flag swm_global_flags[];

/*
 * Parses the options of `flags` (may be NULL) into `values` and the global ones into
 * `global`, wherever they stand before "--"; with `leading` only up to the first
 * argument. *first is the place of the first argument in argv, which is reordered.
 * False: a message was printed, after `who` ("swm list").
 */
bool swm_args_parse(const char *who, const struct swm_flag *flags, void *values,
	struct swm_global_values *global, bool leading, int argc, char **argv, int *first);

/* "swm --help". */
void swm_help_print_commands(const struct swm_command *const *commands, FILE *to);

/* "swm plugin --help": the commands whose names begin with `group` and a space. */
void swm_help_print_group(
	const struct swm_command *const *commands, const char *group, FILE *to);

/* "swm list --help". */
void swm_help_print_command(const struct swm_command *command, FILE *to);

void swm_help_print_usage(const struct swm_command *command, FILE *to);

#endif
