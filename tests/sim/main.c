/* SPDX-License-Identifier: MIT */

/*
 * swm-sim: runs simulated worlds by their seeds, and makes of one that fails what a person
 * can read: the line that runs it again, the few answers that it takes, and the trace.
 */

#include "alone.h"
#include "crew.h"
#include "judge.h"
#include "list.h"
#include "pool.h"
#include "shrink.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_RUNS_MAX 3000
#define TEMPLATE_MAX_BYTES ((size_t)1 << 20)
#define FAULTS_TEXT_MAX 800

/* A long run writes down after so many seeds how far it is. */
#define SLICE_SEEDS 20000

struct options {
	struct sim_plan plan;
	struct alone_run run; /* of --seed and --answers */
	bool single;
	uint64_t first;
	uint64_t last;
	unsigned workers;
	bool digests;
	bool trace;
	bool shrink;
	const char *resume;
	const char *faults;
	const char *template;
};

static const char usage_text[] =
	"usage: swm-sim --seeds FIRST-LAST [--workers N] [--resume FILE]\n"
	"       swm-sim --seed N | --answers LIST  [--trace]\n"
	"       swm-sim --list\n"
	"\n"
	"  --seeds A-B       run these, and stop at the first that fails\n"
	"  --seed N          run one, and show what is wrong\n"
	"  --answers LIST    run the one with these answers, as a failure prints them\n"
	"  --trace           show all that happens\n"
	"  --faults LIST     only these (see --list), or all but those: -crash,-stall\n"
	"  --template FILE   this template instead of random ones\n"
	"  --orchestrators N, --processors N, --instances N, --batch N\n"
	"                    instead of random numbers\n"
	"  --workers N       processes side by side (default: 2)\n"
	"  --resume FILE     keep there how far it is, and go on from there\n"
	"  --digests         print seed, digest and steps of each run\n"
	"  --no-shrink       show a failing run as it is\n"
	"  --list            the faults and the invariants\n";

enum {
	OPT_SEEDS = 256,
	OPT_SEED,
	OPT_ANSWERS,
	OPT_TRACE,
	OPT_FAULTS,
	OPT_TEMPLATE,
	OPT_ORCHESTRATORS,
	OPT_PROCESSORS,
	OPT_INSTANCES,
	OPT_BATCH,
	OPT_WORKERS,
	OPT_RESUME,
	OPT_DIGESTS,
	OPT_NO_SHRINK,
	OPT_LIST,
	OPT_HELP
};

static const struct option long_options[] = {
	{"seeds", required_argument, NULL, OPT_SEEDS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"answers", required_argument, NULL, OPT_ANSWERS},
	{"trace", no_argument, NULL, OPT_TRACE},
	{"faults", required_argument, NULL, OPT_FAULTS},
	{"template", required_argument, NULL, OPT_TEMPLATE},
	{"orchestrators", required_argument, NULL, OPT_ORCHESTRATORS},
	{"processors", required_argument, NULL, OPT_PROCESSORS},
	{"instances", required_argument, NULL, OPT_INSTANCES},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"resume", required_argument, NULL, OPT_RESUME},
	{"digests", no_argument, NULL, OPT_DIGESTS},
	{"no-shrink", no_argument, NULL, OPT_NO_SHRINK},
	{"list", no_argument, NULL, OPT_LIST},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static void usage(const char *problem)
{
	if (problem) {
		(void)fprintf(stderr, "swm-sim: %s\n", problem);
	}
	(void)fputs(usage_text, problem ? stderr : stdout);
	exit(problem ? 2 : 0);
}

static void print_list(void)
{
	(void)puts("faults:");
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		const struct sim_fault_info *info = sim_fault_info((enum sim_fault)i);
		(void)printf("  %-18s %s\n", info->name, info->text);
	}
	(void)puts("invariants:");
	for (const struct sim_invariant *at = sim_invariants(); at->name; at++) {
		(void)printf("  %-26s %s\n", at->name, at->text);
	}
	(void)printf(
		"  %-26s %s\n", "aborted, hangs", "no assertion fails, no loop is endless");
}

static uint64_t number(const char *text, const char *what)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0) {
		(void)fprintf(stderr, "swm-sim: %s: \"%s\" is no number\n", what, text);
		exit(2);
	}
	return value;
}

static uint32_t small_number(const char *text, const char *what, uint32_t max)
{
	uint64_t value = number(text, what);
	if (value < 1 || value > max) {
		(void)fprintf(stderr, "swm-sim: %s must be from 1 to %" PRIu32 "\n", what, max);
		exit(2);
	}
	return (uint32_t)value;
}

static void read_seeds(struct options *options, char *text)
{
	char *dash = strchr(text, '-');
	if (!dash) {
		usage("--seeds wants FIRST-LAST");
	}
	*dash = '\0';
	options->first = number(text, "--seeds");
	options->last = number(dash + 1, "--seeds");
	if (options->last < options->first) {
		usage("--seeds: the last is before the first");
	}
}

static void read_faults(struct options *options, const char *text)
{
	struct swm_str bad = {0};
	options->faults = text;
	if (!sim_faults_read(text, &options->plan.faults, &bad)) {
		(void)fprintf(stderr, "swm-sim: --faults: there is no \"%.*s\"; see --list\n",
			(int)bad.len, bad.ptr);
		exit(2);
	}
}

static void read_answers(struct options *options, char *text)
{
	struct sim_given *list = NULL;
	const char *bad = NULL;
	if (!list_read(text, &list, &options->run.given_count, &bad)) {
		(void)fprintf(stderr, "swm-sim: --answers: cannot be read at \"%s\"\n", bad);
		exit(2);
	}
	options->run.given = list;
	options->single = true;
}

static void read_template(struct options *options, const char *path)
{
	static char text[TEMPLATE_MAX_BYTES];
	FILE *file = fopen(path, "r");
	size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	if (!file || ferror(file) || len == sizeof(text) - 1) {
		(void)fprintf(stderr, "swm-sim: %s cannot be read\n", path);
		exit(2);
	}
	(void)fclose(file);
	options->template = path;
	options->plan.templates[0] = text;
	options->plan.template_count = 1;
}

static void read_option(struct options *options, int option, char *text)
{
	struct sim_plan *plan = &options->plan;
	switch (option) {
	case OPT_SEEDS:
		read_seeds(options, text);
		break;
	case OPT_SEED:
		options->run.seed = number(text, "--seed");
		options->run.seeded = true;
		options->single = true;
		break;
	case OPT_ANSWERS:
		read_answers(options, text);
		break;
	case OPT_TRACE:
		options->trace = true;
		break;
	case OPT_FAULTS:
		read_faults(options, text);
		break;
	case OPT_TEMPLATE:
		read_template(options, text);
		break;
	case OPT_ORCHESTRATORS:
		plan->orchestrators =
			small_number(text, "--orchestrators", SIM_ORCHESTRATORS_MAX);
		break;
	case OPT_PROCESSORS:
		plan->processors = small_number(text, "--processors", 4);
		break;
	case OPT_INSTANCES:
		plan->instances = small_number(text, "--instances", 100);
		break;
	case OPT_BATCH:
		plan->batch = small_number(text, "--batch", 64);
		break;
	case OPT_WORKERS:
		options->workers = small_number(text, "--workers", CREW_MAX);
		break;
	case OPT_RESUME:
		options->resume = text;
		break;
	case OPT_DIGESTS:
		options->digests = true;
		break;
	case OPT_NO_SHRINK:
		options->shrink = false;
		break;
	case OPT_LIST:
		print_list();
		exit(0);
	default:
		usage(option == OPT_HELP ? NULL : "see above");
	}
}

/* Failures. */

/* The options that make another world of the same answers. */
static void print_plan(const struct options *options)
{
	const struct sim_plan *plan = &options->plan;
	if (options->faults) {
		(void)printf(" --faults %s", options->faults);
	}
	if (options->template) {
		(void)printf(" --template %s", options->template);
	}
	const struct {
		const char *name;
		uint32_t value;
	} numbers[] = {
		{"orchestrators", plan->orchestrators},
		{"processors", plan->processors},
		{"instances", plan->instances},
		{"batch", plan->batch},
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i].value > 0) {
			(void)printf(" --%s %" PRIu32, numbers[i].name, numbers[i].value);
		}
	}
}

struct shrinking {
	struct alone_run run;
	const char *invariant;
};

static bool fails(void *ctx, struct sim_given *list, size_t *count)
{
	struct shrinking *shrinking = ctx;
	struct alone_run run = shrinking->run;
	struct alone_result result;
	run.seeded = false;
	run.given = list;
	run.given_count = *count;
	alone_run(&run, &result);
	bool same = !result.good && strcmp(result.invariant, shrinking->invariant) == 0;
	if (same && result.given && result.given_count <= *count) {
		/* What nobody asked for is not needed. */
		memcpy(list, result.given, result.given_count * sizeof(*list));
		*count = result.given_count;
	}
	free(result.given);
	return same;
}

/* Shows the smallest run that fails as `result` does. */
static void show_shrunk(const struct options *options, const struct alone_result *result)
{
	struct shrinking work = {
		.run = options->run,
		.invariant = result->invariant,
	};
	struct sim_shrinking shrinking = {
		.fails = fails,
		.ctx = &work,
		.runs_max = SHRINK_RUNS_MAX,
	};
	work.run.plan = &options->plan;
	size_t count = result->given_count;
	uint32_t runs = sim_shrink(&shrinking, result->given, &count);
	struct alone_run shrunk = {
		.plan = &options->plan,
		.given = result->given,
		.given_count = count,
	};
	(void)printf("shrunk in %" PRIu32 " runs to %zu answers:\n", runs, count);
	(void)printf("reproduce: swm-sim --trace");
	print_plan(options);
	(void)printf(" --answers '");
	list_write(stdout, result->given, count);
	(void)printf("'\n");
	(void)fflush(stdout);
	alone_show(&shrunk);
}

static void show_failure(const struct options *options, const struct alone_result *result)
{
	char faults[FAULTS_TEXT_MAX];
	sim_faults_write(result->drawn, faults, sizeof(faults));
	(void)printf("violated: %s\n%s\n", result->invariant, result->text);
	if (result->given) {
		(void)printf(
			"after %" PRIu64 " steps, with the faults %s\n", result->step, faults);
	}
	if (options->run.seeded) {
		(void)printf("reproduce: swm-sim --seed %" PRIu64, options->run.seed);
		print_plan(options);
		(void)printf("\n");
	}
	(void)fflush(stdout);
}

/* Runs one; the exit status. */
static int run_single(const struct options *options)
{
	struct alone_run run = options->run;
	struct alone_result result;
	run.plan = &options->plan;
	if (options->trace) {
		alone_show(&run);
	}
	alone_run(&run, &result);
	if (result.good) {
		(void)printf("good\n");
	} else {
		show_failure(options, &result);
	}
	if (!result.good && result.given && options->shrink && run.seeded && !options->trace) {
		show_shrunk(options, &result);
	} else if (!result.good && !options->trace) {
		alone_show(&run);
	}
	free(result.given);
	return result.good ? 0 : 1;
}

/* Many. */

static uint64_t read_progress(const struct options *options)
{
	uint64_t next = options->first;
	FILE *file = options->resume ? fopen(options->resume, "r") : NULL;
	if (file) {
		if (fscanf(file, "%" SCNu64, &next) != 1 || next < options->first) {
			(void)fprintf(
				stderr, "swm-sim: %s: not of this run\n", options->resume);
			exit(2);
		}
		(void)fclose(file);
	}
	return next;
}

static void write_progress(const struct options *options, uint64_t next)
{
	FILE *file = fopen(options->resume, "w");
	if (!file || fprintf(file, "%" PRIu64 "\n", next) < 0 || fclose(file) != 0) {
		perror("swm-sim: --resume");
		exit(3);
	}
}

static void print_figures(const struct crew_result *result)
{
	const struct sim_figures *sum = &result->figures;
	(void)printf("%" PRIu64
		     " seeds in %.1f s, %.0f per second of a core; digest %016" PRIx64 "\n",
		result->seeds, result->seconds, (double)result->seeds / result->cpu_seconds,
		result->digest);
	(void)printf("%" PRIu64 " instances, %" PRIu64 " events, %" PRIu64 " commits, %" PRIu64
		     " conflicts, %" PRIu64 " messages, %" PRIu64 " crashes, %" PRIu64
		     " restarts, %" PRIu64 " virtual hours\n",
		sum->instances, sum->events, sum->commits, sum->conflicts, sum->published,
		sum->crashes, sum->restarts, result->virtual_ms / 3600000);
	(void)printf("faults:");
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		(void)printf(" %s %" PRIu64, sim_fault_info((enum sim_fault)i)->name,
			sum->faults[i]);
	}
	(void)printf("\n");
}

static void add_result(struct crew_result *sum, const struct crew_result *more)
{
	const uint64_t *from = (const uint64_t *)&more->figures;
	uint64_t *to = (uint64_t *)&sum->figures;
	for (size_t i = 0; i < sizeof(sum->figures) / sizeof(*to); i++) {
		to[i] += from[i];
	}
	sum->seeds += more->seeds;
	sum->seconds += more->seconds;
	sum->cpu_seconds += more->cpu_seconds;
	sum->digest += more->digest;
	sum->virtual_ms += more->virtual_ms;
}

static int run_many(struct options *options)
{
	struct crew_result sum = {0};
	uint64_t next = read_progress(options);
	while (next <= options->last) {
		struct crew_job job = {
			.plan = &options->plan,
			.first = next,
			.last = options->last,
			.workers = options->digests ? 1 : options->workers,
			.digests = options->digests,
			.figures = options->resume != NULL,
		};
		if (options->resume && job.last - job.first >= SLICE_SEEDS) {
			job.last = job.first + SLICE_SEEDS - 1;
		}
		struct crew_result result;
		crew_run(&job, &result);
		if (result.failed) {
			(void)printf("seed %" PRIu64 " has failed\n", result.seed);
			options->run.seed = result.seed;
			options->run.seeded = true;
			return run_single(options) == 0 ? 3 : 1;
		}
		add_result(&sum, &result);
		next = job.last + 1;
		if (options->resume) {
			write_progress(options, next);
		}
	}
	if (sum.seeds == 0) {
		(void)printf("none; all have been run before\n");
	} else if (!options->digests) {
		print_figures(&sum);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {
		.plan = {.faults = SIM_FAULTS_ALL},
		.workers = 2,
		.shrink = true,
		.first = 1,
	};
#ifdef WITH_POOL
	pool_use();
#endif
	for (;;) {
		int option = getopt_long(argc, argv, "", long_options, NULL);
		if (option < 0) {
			break;
		}
		read_option(&options, option, optarg);
	}
	if (optind < argc || (!options.single && options.last == 0)) {
		usage("nothing to run");
	}
	return options.single ? run_single(&options) : run_many(&options);
}
