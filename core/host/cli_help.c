/* SPDX-License-Identifier: MIT */

/* See cli_args.h: what --help prints, from the tables. */

#include "cli_args.h"

#include <string.h>

void swm_help_print_usage(const struct swm_command *command, FILE *to)
{
	const char *arguments = command->arguments != NULL ? command->arguments : "";
	(void)fprintf(to, "usage: swm %s [OPTION]...%s%s\n", command->name,
		arguments[0] != '\0' ? " " : "", arguments);
}

static void print_flags(const struct swm_flag *flags, FILE *to)
{
	for (; flags != NULL && flags->name != NULL; flags++) {
		char left[64];
		char letter[] = {'-', flags->letter, ',', ' ', '\0'};
		(void)snprintf(left, sizeof(left), "%s--%s%s%s",
			flags->letter != 0 ? letter : "    ", flags->name,
			flags->metavar != NULL ? " " : "",
			flags->metavar != NULL ? flags->metavar : "");
		(void)fprintf(to, "  %-26s %s", left, flags->help);
		if (flags->fallback != NULL) {
			(void)fprintf(to, " (default: %s)", flags->fallback);
		}
		(void)fputc('\n', to);
	}
}

/* Each line of a text, moved to the right. */
static void print_indented(const char *text, FILE *to)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		(void)fprintf(to, "  %.*s\n", (int)len, text);
		text += len + (text[len] == '\n' ? 1 : 0);
	}
}

void swm_help_print_command(const struct swm_command *command, FILE *to)
{
	swm_help_print_usage(command, to);
	(void)fprintf(to, "\n%s\n", command->summary);
	if (command->details != NULL) {
		(void)fprintf(to, "\n%s\n", command->details);
	}
	if (command->flags != NULL) {
		(void)fputs("\noptions:\n", to);
		print_flags(command->flags, to);
	}
	(void)fputs("\nglobal options:\n", to);
	print_flags(swm_global_flags, to);
	(void)fputs("\nexample:\n", to);
	print_indented(command->example, to);
}

void swm_help_print_commands(const struct swm_command *const *commands, FILE *to)
{
	(void)fputs("usage: swm [OPTION]... COMMAND [ARGUMENT]...\n"
		    "\n"
		    "Runs workflows over the message broker and the database that you have.\n"
		    "\n"
		    "commands:\n",
		to);
	for (; *commands != NULL; commands++) {
		(void)fprintf(to, "  %-16s %s\n", (*commands)->name, (*commands)->summary);
	}
	(void)fputs("\noptions:\n", to);
	print_flags(swm_global_flags, to);
	(void)fputs("\n`swm COMMAND --help` explains one, with an example.\n"
		    "exit codes: 0 done, 1 refused or invalid, 2 usage, 3 not found, "
		    "4 unreachable\n",
		to);
}

void swm_help_print_group(
	const struct swm_command *const *commands, const char *group, FILE *to)
{
	size_t len = strlen(group);
	(void)fprintf(
		to, "usage: swm %s COMMAND [OPTION]... [ARGUMENT]...\n\ncommands:\n", group);
	for (; *commands != NULL; commands++) {
		const char *name = (*commands)->name;
		if (strncmp(name, group, len) == 0 && name[len] == ' ') {
			(void)fprintf(to, "  %-16s %s\n", name + len + 1, (*commands)->summary);
		}
	}
}
