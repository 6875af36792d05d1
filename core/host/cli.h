/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_H
#define SWM_HOST_CLI_H

/*
 * The command line: one table of commands, each with its options as data, so that
 * --help, "did you mean" and the parsing cannot disagree.
 *
 * To add a command: define a `const struct swm_command` in a cli_NAME.c of its own and
 * put its address into the table of main.c.
 *
 * Data goes to stdout (cli->out), all else to stderr; the result is an enum swm_exit.
 */

#include "adapters.h"
#include "exit_code.h"
#include "out.h"
#include "services.h"

struct swm_cli;
struct swm_cli_store;

enum swm_flag_type {
	SWM_FLAG_SWITCH,  /* bool */
	SWM_FLAG_TEXT,    /* const char *, of argv; NULL when not given */
	SWM_FLAG_NUMBER,  /* int64_t */
	SWM_FLAG_DURATION /* int64_t, milliseconds; "30s" */
};

/* An option of a command; the value is written at `offset` of its zeroed values. */
struct swm_flag {
	const char *name; /* "jobs" is --jobs; NULL ends the table */
	char letter;      /* 'j' is -j; 0: none */
	enum swm_flag_type type;
	size_t offset;
	const char *fallback; /* as it would be typed; NULL: zero bits */
	int64_t min;          /* numbers only; both 0: unbounded */
	int64_t max;
	const char *metavar; /* "N"; not for a switch */
	const char *help;    /* one line */
};

struct swm_command {
	const char *name;             /* "list", or "plugin list" */
	const char *arguments;        /* "COMPONENT REF", for the usage line */
	const char *summary;          /* one line, for the list of commands */
	const char *details;          /* a paragraph or NULL; lines of at most 80 */
	const char *example;          /* lines that can be typed, each with its newline */
	const struct swm_flag *flags; /* may be NULL */
	size_t values_size;           /* of the struct that the flags fill, 0 without */
	int min_args;                 /* what is left after the options */
	int max_args;                 /* -1: any number */
	/* `values` are the options, argv the arguments. Returns an enum swm_exit. */
	int (*run)(struct swm_cli *cli, const void *values, int argc, char **argv);
	/* With .run = swm_cli_store_run (cli_store.h): runs while the store is open. */
	int (*run_in_store)(struct swm_cli *cli, struct swm_cli_store *store,
		const void *values, int argc, char **argv);
};

/* What a command works with. */
struct swm_cli {
	struct swm_services services;
	struct swm_out out; /* stdout */
	const struct swm_command *command;
	const char *config_path;       /* --config, or NULL */
	int32_t log_level;             /* --log-level, or -1 */
	struct swm_config *config;     /* after swm_cli_config() */
	struct swm_loader *loader;     /* after swm_cli_config() */
	struct swm_adapters *adapters; /* after swm_cli_adapters() */
};

/* Runs the command that argv names out of a table that ends with NULL, after the
 * global options; prints help and usage errors. Returns the exit code of the process. */
int swm_cli_main(const struct swm_command *const *commands, int argc, char **argv);

/* Reads the configuration and makes the loader, once; sets the log up from it. Prints
 * what is wrong. Returns a status for swm_exit_code(). */
swm_status swm_cli_config(struct swm_cli *cli);

/* The same, and the adapters, with these SWM_OPEN_* flags; none is opened yet. */
swm_status swm_cli_adapters(struct swm_cli *cli, uint32_t flags);

/* Prints "swm COMMAND: MESSAGE" on stderr and returns the exit code for `status`. */
int swm_cli_fail(const struct swm_cli *cli, swm_status status, const char *fmt, ...)
	SWM_PRINTF(3, 4);

/* The same for a mistake in the command line itself: SWM_EXIT_USAGE, with the usage. */
int swm_cli_usage(const struct swm_cli *cli, const char *fmt, ...) SWM_PRINTF(2, 3);

/* Prints one line on stderr, for people who wait; nothing with -o json. */
void swm_cli_progress(const struct swm_cli *cli, const char *fmt, ...) SWM_PRINTF(2, 3);

/* The content of an argument: "@FILE" is a file's, "-" (when allowed) is stdin's, else the
 * text itself. At most max_bytes. The caller frees *out, which is terminated beyond *len.
 * SWM_E_NOT_FOUND, SWM_E_TOO_LARGE, SWM_E_INVALID (cannot be read), SWM_E_NOMEM. */
swm_status swm_cli_read_argument(const char *argument, bool dash_is_stdin, size_t max_bytes,
	char **out, size_t *len, struct swm_error *err);

/* The whole of a file, or of stdin when it is "-"; the same otherwise. */
swm_status swm_cli_read_file(
	const char *path, size_t max_bytes, char **out, size_t *len, struct swm_error *err);

#endif
