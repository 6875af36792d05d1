/* SPDX-License-Identifier: MIT */

/* See cli_args.h: getopt_long over tables of struct swm_flag. */

#include "cli_args.h"

#include "duration.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of one command, with the global ones. */
#define FLAGS_MAX 32

/* getopt_long's codes for options: beyond any letter, so that '?' stays an error. */
#define CODE_BASE 1000

const struct swm_flag swm_global_flags[] = {
	{
		.name = "config",
		.letter = 'c',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct swm_global_values, config),
		.metavar = "FILE",
		.help = "configuration, else $SWM_CONFIG, else conf/swm.json",
	},
	{
		.name = "log-level",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct swm_global_values, log_level),
		.metavar = "LEVEL",
		.help = "error, warn, info or debug, instead of the configured one",
	},
	{
		.name = "output",
		.letter = 'o',
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct swm_global_values, output),
		.metavar = "FORMAT",
		.help = "table, or json: one object per line",
	},
	{
		.name = "help",
		.letter = 'h',
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct swm_global_values, help),
		.help = "this text",
	},
	{
		.name = "version",
		.letter = 'V',
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct swm_global_values, version),
		.help = "the version of swm",
	},
	{0},
};

/* Both tables in the form that getopt_long wants. */
struct parser {
	const char *who;
	const struct swm_flag *flags[FLAGS_MAX];
	void *targets[FLAGS_MAX]; /* the struct that each one is written to */
	size_t count;
	struct option longs[FLAGS_MAX + 1];
	char shorts[2 * FLAGS_MAX + 3];
};

static void add_flags(struct parser *parser, const struct swm_flag *flags, void *target)
{
	size_t used = strlen(parser->shorts);
	for (; flags != NULL && flags->name != NULL && parser->count < FLAGS_MAX; flags++) {
		bool has_value = flags->type != SWM_FLAG_SWITCH;
		parser->longs[parser->count] = (struct option){
			.name = flags->name,
			.has_arg = has_value ? required_argument : no_argument,
			.val = CODE_BASE + (int)parser->count,
		};
		if (flags->letter != 0) {
			parser->shorts[used++] = flags->letter;
			if (has_value) {
				parser->shorts[used++] = ':';
			}
		}
		parser->flags[parser->count] = flags;
		parser->targets[parser->count] = target;
		parser->count++;
	}
	parser->shorts[used] = '\0';
}

static bool set_number(const struct parser *parser, const struct swm_flag *flag,
	const char *text, int64_t *out)
{
	int64_t value = 0;
	bool valid = false;
	if (flag->type == SWM_FLAG_DURATION) {
		valid = swm_duration_parse(text, strlen(text), &value);
	} else {
		char *end = NULL;
		errno = 0;
		value = strtoll(text, &end, 10);
		valid = errno == 0 && end != text && *end == '\0';
	}
	if (!valid) {
		(void)fprintf(stderr, "%s: --%s has to be %s, not '%s'\n", parser->who,
			flag->name,
			flag->type == SWM_FLAG_DURATION ? "a duration such as 30s"
							: "a whole number",
			text);
		return false;
	}
	if ((flag->min != 0 || flag->max != 0) && (value < flag->min || value > flag->max)) {
		(void)fprintf(stderr, "%s: --%s has to be from %" PRId64 " to %" PRId64 "%s\n",
			parser->who, flag->name, flag->min, flag->max,
			flag->type == SWM_FLAG_DURATION ? " milliseconds" : "");
		return false;
	}
	*out = value;
	return true;
}

static bool set_flag(const struct parser *parser, const struct swm_flag *flag, void *target,
	const char *text)
{
	char *at = (char *)target + flag->offset;
	if (flag->type == SWM_FLAG_SWITCH) {
		bool on = true;
		memcpy(at, &on, sizeof(on));
		return true;
	}
	if (flag->type == SWM_FLAG_TEXT) {
		memcpy(at, &text, sizeof(text));
		return true;
	}
	int64_t value = 0;
	if (!set_number(parser, flag, text, &value)) {
		return false;
	}
	memcpy(at, &value, sizeof(value));
	return true;
}

static void unknown_option(const struct parser *parser, const char *given)
{
	struct swm_str names[FLAGS_MAX];
	for (size_t i = 0; i < parser->count; i++) {
		names[i] = swm_str_from(parser->flags[i]->name);
	}
	const char *bare = given + strspn(given, "-");
	struct swm_str near = swm_str_nearest(
		(struct swm_str){bare, strcspn(bare, "=")}, names, parser->count);
	if (near.ptr != NULL && strncmp(given, "--", 2) == 0) {
		(void)fprintf(stderr, "%s: there is no option %s; did you mean --%s?\n",
			parser->who, given, near.ptr);
	} else {
		(void)fprintf(stderr, "%s: there is no option %s; see %s --help\n", parser->who,
			given, parser->who);
	}
}

/* What getopt_long stumbled over; its `optind` is past it, `optopt` is its letter. */
static void report(const struct parser *parser, int code, char **argv)
{
	char letter[] = {'-', (char)optopt, '\0'};
	bool is_letter = optopt > 0 && optopt < CODE_BASE;
	const char *given = is_letter ? letter : argv[optind - 1];
	if (code == ':') {
		(void)fprintf(stderr, "%s: option %s needs a value\n", parser->who, given);
	} else {
		unknown_option(parser, given);
	}
}

/* The flag that a code of getopt_long stands for. */
static size_t flag_index(const struct parser *parser, int code)
{
	if (code >= CODE_BASE) {
		return (size_t)(code - CODE_BASE);
	}
	size_t i = 0;
	while (i < parser->count && parser->flags[i]->letter != code) {
		i++;
	}
	return i;
}

static bool set_fallbacks(const struct parser *parser)
{
	for (size_t i = 0; i < parser->count; i++) {
		const struct swm_flag *flag = parser->flags[i];
		if (flag->fallback != NULL &&
			!set_flag(parser, flag, parser->targets[i], flag->fallback)) {
			return false;
		}
	}
	return true;
}

bool swm_args_parse(const char *who, const struct swm_flag *flags, void *values,
	struct swm_global_values *global, bool leading, int argc, char **argv, int *first)
{
	struct parser parser = {.who = who};
	(void)snprintf(parser.shorts, sizeof(parser.shorts), "%s:", leading ? "+" : "");
	add_flags(&parser, flags, values);
	add_flags(&parser, swm_global_flags, global);
	if (!set_fallbacks(&parser)) {
		return false;
	}
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	int code = 0;
	while ((code = getopt_long(argc, argv, parser.shorts, parser.longs, NULL)) != -1) {
		if (code == '?' || code == ':') {
			report(&parser, code, argv);
			return false;
		}
		size_t index = flag_index(&parser, code);
		if (!set_flag(&parser, parser.flags[index], parser.targets[index], optarg)) {
			return false;
		}
	}
	*first = optind;
	return true;
}
