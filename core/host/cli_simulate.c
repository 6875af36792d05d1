/* SPDX-License-Identifier: MIT */

/*
 * swm simulate: a template run in simulated worlds, where brokers, stores and agents
 * misbehave and orchestrators crash, and what came of it. The engine in there is the one
 * that `swm run` runs.
 */

#include "cli_json.h"
#include "commands.h"
#include "error.h"
#include "judge.h"
#include "swm_limits.h"
#include "template.h"
#include "text.h"
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Without --seed. */
#define SEEDS_DEFAULT 100

/* A table of more rows is not read. */
#define SEEDS_SHOWN 20

/* A template may have a thousand tasks. */
#define STEPS_MAX 50000000

/* A trace that is short enough to be read. */
#define SAMPLE_LINES 30

struct simulate_values {
	int64_t seed;
	int64_t seeds;
	const char *faults;
	bool trace;
	bool list;
};

static const struct swm_flag simulate_flags[] = {
	{
		.name = "seed",
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct simulate_values, seed),
		.min = 1,
		.max = INT64_MAX,
		.metavar = "N",
		.help = "the world with this number only, or the first of --seeds",
	},
	{
		.name = "seeds",
		.type = SWM_FLAG_NUMBER,
		.offset = offsetof(struct simulate_values, seeds),
		.min = 1,
		.max = 100000000,
		.metavar = "COUNT",
		.help = "how many worlds; 100, with --seed 1",
	},
	{
		.name = "faults",
		.type = SWM_FLAG_TEXT,
		.offset = offsetof(struct simulate_values, faults),
		.fallback = "all",
		.metavar = "LIST",
		.help = "what may happen: names with commas between, all, none, -NAME",
	},
	{
		.name = "trace",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct simulate_values, trace),
		.help = "print all that happens in the first world",
	},
	{
		.name = "list",
		.type = SWM_FLAG_SWITCH,
		.offset = offsetof(struct simulate_values, list),
		.help = "print the faults, and the promises that are checked",
	},
	{0},
};

static const struct swm_column seed_columns[] = {
	{"SEED", "seed", true},
	{"RESULT", "result", false},
	{"INSTANCES", "instances", true},
	{"EVENTS", "events", true},
	{"CONFLICTS", "conflicts", true},
	{"PUBLISHED", "published", true},
	{"CRASHES", "crashes", true},
	{"FAULTS", "faults", true},
	{"STEPS", "steps", true},
	{"VIRTUAL MS", "virtual_ms", true},
};

static const struct swm_column fault_columns[] = {
	{"FAULT", "fault", false},
	{"TIMES", "times", true},
	{"WORLDS", "worlds", true},
	{"WHAT HAPPENS", "text", false},
};

static const struct swm_column list_columns[] = {
	{"KIND", "kind", false},
	{"NAME", "name", false},
	{"TEXT", "text", false},
};

/* What all worlds came to. */
struct simulation {
	struct swm_cli *cli;
	const char *file;
	const char *faults;
	struct sim_plan plan;
	struct swm_rows *seeds;
	uint64_t run;
	uint64_t survived;
	uint64_t times[SIM_FAULTS];
	uint64_t worlds[SIM_FAULTS];
	uint64_t longest_seed;
	struct sim_figures longest;
	uint64_t sample_seed; /* 0: none yet */
	uint64_t sample_steps;
	uint64_t failed_seed; /* 0: none */
	struct sim_violation violation;
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t count_faults(const struct sim_figures *figures)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		count += figures->faults[i];
	}
	return count;
}

static void add_seed(
	struct simulation *simulation, uint64_t seed, const struct sim_verdict *verdict)
{
	const struct sim_figures *figures = &verdict->figures;
	const uint64_t numbers[] = {figures->instances, figures->events, figures->conflicts,
		figures->published, figures->crashes, count_faults(figures), figures->steps,
		(uint64_t)figures->virtual_ms};
	struct swm_rows *rows = simulation->seeds;
	swm_rows_addf(rows, SWM_STYLE_BOLD, "%" PRIu64, seed);
	swm_rows_add(rows, verdict->good ? SWM_STYLE_GREEN : SWM_STYLE_RED,
		swm_str_from(verdict->good ? "survived" : verdict->violation.invariant));
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRIu64, numbers[i]);
	}
}

/* A run that shows much in little: few steps, but something happened. */
static bool is_better_sample(
	const struct simulation *simulation, const struct sim_figures *figures)
{
	return count_faults(figures) > 1 &&
	       (simulation->sample_seed == 0 || figures->steps < simulation->sample_steps);
}

static void sum_up(
	struct simulation *simulation, uint64_t seed, const struct sim_verdict *verdict)
{
	const struct sim_figures *figures = &verdict->figures;
	simulation->run++;
	simulation->survived += verdict->good;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		simulation->times[i] += figures->faults[i];
		simulation->worlds[i] += figures->faults[i] > 0;
	}
	if (simulation->longest_seed == 0 || figures->steps > simulation->longest.steps) {
		simulation->longest_seed = seed;
		simulation->longest = *figures;
	}
	if (is_better_sample(simulation, figures)) {
		simulation->sample_seed = seed;
		simulation->sample_steps = figures->steps;
	}
	if (!verdict->good && simulation->failed_seed == 0) {
		simulation->failed_seed = seed;
		simulation->violation = verdict->violation;
	}
}

static void run_seeds(struct simulation *simulation, uint64_t first, uint64_t count)
{
	bool json = simulation->cli->out.format == SWM_OUT_JSON;
	for (uint64_t i = 0; i < count; i++) {
		struct sim_choice choice = {0};
		struct sim_verdict verdict;
		sim_choice_seed(&choice, first + i);
		sim_world_run(&simulation->plan, &choice, &verdict);
		if (json || i < SEEDS_SHOWN || (!verdict.good && !simulation->failed_seed)) {
			add_seed(simulation, first + i, &verdict);
		}
		sum_up(simulation, first + i, &verdict);
		sim_verdict_finish(&verdict);
		sim_choice_finish(&choice);
	}
}

/* Runs a world once more, for its trace; `most` 0: all of it. */
static void print_trace(const struct simulation *simulation, uint64_t seed, size_t most)
{
	const struct swm_out *out = &simulation->cli->out;
	struct sim_plan plan = simulation->plan;
	struct sim_choice choice = {0};
	struct sim_verdict verdict;
	plan.trace = true;
	sim_choice_seed(&choice, seed);
	sim_world_run(&plan, &choice, &verdict);
	size_t count = most > 0 && verdict.line_count > most ? most : verdict.line_count;
	for (size_t i = 0; i < count; i++) {
		swm_out_text(out, swm_str_from(verdict.lines[i]));
		(void)fputc('\n', out->file);
	}
	if (count < verdict.line_count) {
		(void)fprintf(out->file, "... and %zu lines more: --seed %" PRIu64 " --trace\n",
			verdict.line_count - count, seed);
	}
	sim_verdict_finish(&verdict);
	sim_choice_finish(&choice);
}

static swm_status print_faults(const struct simulation *simulation)
{
	struct swm_rows *rows = NULL;
	swm_status status = swm_rows_create(fault_columns, COUNT_OF(fault_columns), &rows);
	if (status != SWM_OK) {
		return status;
	}
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		const struct sim_fault_info *info = sim_fault_info((enum sim_fault)i);
		if (simulation->times[i] == 0) {
			continue;
		}
		swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(info->name));
		swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRIu64, simulation->times[i]);
		swm_rows_addf(rows, SWM_STYLE_PLAIN, "%" PRIu64, simulation->worlds[i]);
		swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(info->text));
	}
	status = swm_rows_print(rows, &simulation->cli->out);
	swm_rows_destroy(rows);
	return status;
}

static swm_status print_result(const struct simulation *simulation, bool trace)
{
	const struct sim_figures *longest = &simulation->longest;
	bool json = simulation->cli->out.format == SWM_OUT_JSON;
	FILE *to = simulation->cli->out.file;
	swm_status status = swm_rows_print(simulation->seeds, &simulation->cli->out);
	if (!json && simulation->run > SEEDS_SHOWN) {
		(void)fprintf(to, "... %" PRIu64 " worlds in all\n", simulation->run);
	}
	if (!json) {
		(void)fputc('\n', to);
	}
	status = status == SWM_OK ? print_faults(simulation) : status;
	if (json || status != SWM_OK) {
		return status;
	}
	(void)fprintf(to,
		"\n%" PRIu64 " of %" PRIu64
		" worlds survived. The longest path is seed %" PRIu64 ": %" PRIu64
		" steps, %" PRIu64 " events, %" PRId64 " s of virtual time.\n",
		simulation->survived, simulation->run, simulation->longest_seed, longest->steps,
		longest->events, longest->virtual_ms / 1000);
	if (!trace && simulation->failed_seed == 0 && simulation->sample_seed > 0) {
		(void)fprintf(to, "\nFor example seed %" PRIu64 ":\n", simulation->sample_seed);
		print_trace(simulation, simulation->sample_seed, SAMPLE_LINES);
	}
	return SWM_OK;
}

static int simulate(struct simulation *simulation, const struct simulate_values *values)
{
	struct swm_cli *cli = simulation->cli;
	uint64_t first = values->seed > 0 ? (uint64_t)values->seed : 1;
	uint64_t count = values->seeds > 0  ? (uint64_t)values->seeds
			 : values->seed > 0 ? 1
					    : SEEDS_DEFAULT;
	swm_status status =
		swm_rows_create(seed_columns, COUNT_OF(seed_columns), &simulation->seeds);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	if (values->trace && cli->out.format != SWM_OUT_JSON) {
		print_trace(simulation, first, 0);
		(void)fputc('\n', cli->out.file);
	}
	run_seeds(simulation, first, count);
	status = print_result(simulation, values->trace);
	swm_rows_destroy(simulation->seeds);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	if (simulation->failed_seed > 0) {
		return swm_cli_fail(cli, SWM_E_INTERNAL,
			"seed %" PRIu64 " breaks %s: %s\nThat is a mistake in swm, not in the "
			"template. To see it again: swm simulate %s --seed %" PRIu64
			" --faults %s --trace",
			simulation->failed_seed, simulation->violation.invariant,
			simulation->violation.text, simulation->file, simulation->failed_seed,
			simulation->faults);
	}
	return SWM_EXIT_DONE;
}

/* Prints what there is, without a template. */
static int print_lists(struct swm_cli *cli)
{
	struct swm_rows *rows = NULL;
	swm_status status = swm_rows_create(list_columns, COUNT_OF(list_columns), &rows);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "out of memory");
	}
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		const struct sim_fault_info *info = sim_fault_info((enum sim_fault)i);
		swm_rows_add(rows, SWM_STYLE_DIM, SWM_STR("fault"));
		swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(info->name));
		swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(info->text));
	}
	for (const struct sim_invariant *at = sim_invariants(); at->name; at++) {
		swm_rows_add(rows, SWM_STYLE_DIM, SWM_STR("promise"));
		swm_rows_add(rows, SWM_STYLE_BOLD, swm_str_from(at->name));
		swm_rows_add(rows, SWM_STYLE_PLAIN, swm_str_from(at->text));
	}
	status = swm_rows_print(rows, &cli->out);
	swm_rows_destroy(rows);
	return status == SWM_OK ? SWM_EXIT_DONE : swm_cli_fail(cli, status, "out of memory");
}

static int run_simulate(struct swm_cli *cli, const void *raw_values, int argc, char **argv)
{
	const struct simulate_values *values = raw_values;
	struct simulation simulation = {.cli = cli, .faults = values->faults};
	struct swm_str bad = {0};
	struct swm_error err = {0};
	char *text = NULL;
	size_t len = 0;
	if (values->list) {
		return print_lists(cli);
	}
	if (argc == 0) {
		return swm_cli_usage(cli, "a template is needed, or --list");
	}
	if (!sim_faults_read(values->faults, &simulation.plan.faults, &bad)) {
		return swm_cli_usage(cli, "--faults: there is no \"%.*s\"; --list tells them",
			(int)bad.len, bad.ptr);
	}
	simulation.file = argv[0];
	swm_status status =
		swm_cli_read_file(argv[0], SWM_TEMPLATE_MAX_BYTES, &text, &len, &err);
	if (status != SWM_OK) {
		return swm_cli_fail(cli, status, "%s", err.message);
	}
	struct swm_findings findings = {0};
	status = swm_template_read((struct swm_str){text, len}, 0, NULL, &findings);
	size_t errors = findings.errors;
	swm_findings_finish(&findings);
	if (status != SWM_OK) {
		free(text);
		return swm_cli_fail(cli, status,
			"%s: %zu error%s; `swm template lint` tells them", argv[0], errors,
			errors == 1 ? "" : "s");
	}
	simulation.plan.templates[0] = text;
	simulation.plan.template_count = 1;
	simulation.plan.steps_max = STEPS_MAX;
	int result = simulate(&simulation, values);
	free(text);
	return result;
}

const struct swm_command swm_command_simulate = {
	.name = "simulate",
	.arguments = "TEMPLATE",
	.summary = "see a template survive crashes, lost answers and bad agents",
	.details =
		"Runs the template in simulated worlds: 1 to 4 orchestrators, a broker and a\n"
		"store that fail, agents that answer late, twice or not at all, people who\n"
		"interfere. Time jumps, so that a world takes about a millisecond; nothing\n"
		"outside is touched, no configuration is read. Each world draws which faults\n"
		"happen; after a while they end, and then every instance has to complete.\n"
		"The same seed is the same world. Exit 1 when a promise of swm was broken.",
	.example = "swm simulate conf/templates/deliver-pizza.json\n"
		   "swm simulate conf/templates/deliver-pizza.json --seeds 10000 "
		   "--faults crash,agent-fails\n"
		   "swm simulate conf/templates/deliver-pizza.json --seed 7 --trace\n",
	.flags = simulate_flags,
	.values_size = sizeof(struct simulate_values),
	.max_args = 1,
	.run = run_simulate,
};
