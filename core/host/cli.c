/* SPDX-License-Identifier: MIT */

/* See cli.h: from argv to a command that runs, and what commands share. */

#include "cli_args.h"
#include "error.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMANDS_MAX 64
#define COMMAND_NAME_MAX 64

static const struct swm_command *find(
	const struct swm_command *const *commands, const char *name)
{
	for (; *commands != NULL; commands++) {
		if (strcmp((*commands)->name, name) == 0) {
			return *commands;
		}
	}
	return NULL;
}

static bool is_group(const struct swm_command *const *commands, const char *word)
{
	size_t len = strlen(word);
	for (; *commands != NULL; commands++) {
		if (strncmp((*commands)->name, word, len) == 0 &&
			(*commands)->name[len] == ' ') {
			return true;
		}
	}
	return false;
}

static int unknown_command(const struct swm_command *const *commands, const char *name)
{
	struct swm_str names[COMMANDS_MAX];
	size_t count = 0;
	for (; *commands != NULL && count < COMMANDS_MAX; commands++) {
		names[count++] = swm_str_from((*commands)->name);
	}
	struct swm_str near = swm_str_nearest(swm_str_from(name), names, count);
	if (near.ptr != NULL) {
		(void)fprintf(stderr, "swm: there is no command '%s'; did you mean '%.*s'?\n",
			name, (int)near.len, near.ptr);
	} else {
		(void)fprintf(stderr, "swm: there is no command '%s'; see swm --help\n", name);
	}
	return SWM_EXIT_USAGE;
}

/* The command that begins at argv[0]: two words before one. *words is how many it took;
 * 0: none, and *result is the exit code. */
static const struct swm_command *choose(const struct swm_command *const *commands, int argc,
	char **argv, int *words, int *result)
{
	char name[COMMAND_NAME_MAX];
	*words = 0;
	if (is_group(commands, argv[0])) {
		bool help = argc > 1 &&
			    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
		if (argc < 2 || help) {
			swm_help_print_group(commands, argv[0], help ? stdout : stderr);
			*result = help ? SWM_EXIT_DONE : SWM_EXIT_USAGE;
			return NULL;
		}
		(void)snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
		*words = 2;
	} else {
		(void)snprintf(name, sizeof(name), "%s", argv[0]);
		*words = 1;
	}
	const struct swm_command *command = find(commands, name);
	if (command == NULL) {
		*result = unknown_command(commands, name);
	}
	return command;
}

/* The global options, once all are known. False: a message was printed. */
static bool apply_global(
	struct swm_cli *cli, const char *who, const struct swm_global_values *global)
{
	enum swm_out_format format = SWM_OUT_TABLE;
	if (global->output != NULL && strcmp(global->output, "json") == 0) {
		format = SWM_OUT_JSON;
	} else if (global->output != NULL && strcmp(global->output, "table") != 0) {
		(void)fprintf(stderr, "%s: --output has to be table or json, not '%s'\n", who,
			global->output);
		return false;
	}
	swm_out_init(&cli->out, stdout, format);
	cli->config_path = global->config;
	cli->log_level = -1;
	if (global->log_level != NULL &&
		!swm_log_level_parse(global->log_level, &cli->log_level)) {
		(void)fprintf(stderr,
			"%s: --log-level has to be error, warn, info or debug, not '%s'\n", who,
			global->log_level);
		return false;
	}
	if (cli->log_level >= 0) {
		swm_services_set_log(&cli->services, cli->log_level, SWM_LOG_TEXT);
	}
	return true;
}

static int run_command(struct swm_cli *cli, const struct swm_command *command,
	struct swm_global_values *global, int argc, char **argv)
{
	char who[COMMAND_NAME_MAX + 8];
	(void)snprintf(who, sizeof(who), "swm %s", command->name);
	cli->command = command;
	void *values = calloc(1, command->values_size + 1);
	if (values == NULL) {
		return swm_cli_fail(cli, SWM_E_NOMEM, "out of memory");
	}
	int result = SWM_EXIT_USAGE;
	int first = 0;
	if (!swm_args_parse(who, command->flags, values, global, false, argc, argv, &first)) {
		goto done;
	}
	if (global->help) {
		swm_help_print_command(command, stdout);
		result = SWM_EXIT_DONE;
		goto done;
	}
	int count = argc - first;
	if (count < command->min_args ||
		(command->max_args >= 0 && count > command->max_args)) {
		result = swm_cli_usage(cli, "%s",
			count < command->min_args ? "an argument is missing"
						  : "too many arguments");
		goto done;
	}
	if (apply_global(cli, who, global)) {
		result = command->run(cli, values, count, argv + first);
	}
done:
	free(values);
	return result;
}

/* Everything in its reverse order; what could not be written is a failure. */
static int finish(struct swm_cli *cli, int result)
{
	swm_adapters_destroy(cli->adapters);
	swm_loader_destroy(cli->loader);
	swm_config_destroy(cli->config);
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		(void)fprintf(stderr, "swm: cannot write the output: %s\n", strerror(errno));
		return result == SWM_EXIT_DONE ? SWM_EXIT_REFUSED : result;
	}
	return result;
}

int swm_cli_main(const struct swm_command *const *commands, int argc, char **argv)
{
	struct swm_cli cli = {.log_level = -1};
	swm_services_init(&cli.services, STDERR_FILENO, SWM_LOG_INFO, SWM_LOG_TEXT);
	struct swm_global_values global = {0};
	int first = 0;
	if (!swm_args_parse("swm", NULL, NULL, &global, true, argc, argv, &first)) {
		return SWM_EXIT_USAGE;
	}
	if (global.version) {
		(void)printf("swm %s\n", SWM_VERSION);
		return finish(&cli, SWM_EXIT_DONE);
	}
	if (first == argc) {
		swm_help_print_commands(commands, global.help ? stdout : stderr);
		return finish(&cli, global.help ? SWM_EXIT_DONE : SWM_EXIT_USAGE);
	}
	int words = 0;
	int result = SWM_EXIT_USAGE;
	const struct swm_command *command =
		choose(commands, argc - first, argv + first, &words, &result);
	if (command != NULL) {
		/* the last word of the name takes the place of argv[0] */
		int start = first + words - 1;
		result = run_command(&cli, command, &global, argc - start, argv + start);
	}
	return finish(&cli, result);
}

swm_status swm_cli_config(struct swm_cli *cli)
{
	if (cli->config != NULL) {
		return SWM_OK;
	}
	struct swm_problems problems = {0};
	const char *file = NULL;
	swm_status status = swm_config_load(cli->config_path, &problems, &file, &cli->config);
	swm_problems_print(&problems, file, stderr);
	swm_problems_finish(&problems);
	if (status == SWM_E_NOMEM) {
		(void)swm_cli_fail(cli, status, "out of memory");
	}
	if (status != SWM_OK) {
		return status;
	}
	swm_services_set_log(&cli->services,
		cli->log_level >= 0 ? cli->log_level : cli->config->log.level,
		(enum swm_log_format)cli->config->log.format);
	status = swm_loader_create(&cli->services.host, cli->config->plugin_dir, &cli->loader);
	if (status != SWM_OK) {
		(void)swm_cli_fail(cli, status, "out of memory");
	}
	return status;
}

swm_status swm_cli_adapters(struct swm_cli *cli, uint32_t flags)
{
	swm_status status = swm_cli_config(cli);
	if (status != SWM_OK || cli->adapters != NULL) {
		return status;
	}
	status = swm_adapters_create(
		cli->config, cli->loader, &cli->services.host, flags, &cli->adapters);
	if (status != SWM_OK) {
		(void)swm_cli_fail(cli, status, "out of memory");
	}
	return status;
}

int swm_cli_fail(const struct swm_cli *cli, swm_status status, const char *fmt, ...)
{
	(void)fprintf(stderr, "swm %s: ", cli->command->name);
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return (int)swm_exit_code(status);
}

int swm_cli_usage(const struct swm_cli *cli, const char *fmt, ...)
{
	(void)fprintf(stderr, "swm %s: ", cli->command->name);
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	swm_help_print_usage(cli->command, stderr);
	(void)fprintf(stderr, "see swm %s --help\n", cli->command->name);
	return SWM_EXIT_USAGE;
}

void swm_cli_progress(const struct swm_cli *cli, const char *fmt, ...)
{
	if (cli->out.format == SWM_OUT_JSON) {
		return;
	}
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
}
