/* SPDX-License-Identifier: MIT */

/*
 * The benchmark of the embedded pair: prints a table of what was measured, what is
 * aimed at, and whether that is met. Ends with 0 whatever the figures are: a slow
 * machine is no failure. tests/bench/run calls it.
 *
 *   swm-bench FOLDER SWM TEMPLATE [--smoke]
 */

#include "ceiling.h"
#include "load.h"
#include "process.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES 512

#define ROUNDS 5
#define LATENCY_INSTANCES 200
#define WAKES 300

struct plan {
	const char *folder;
	const char *swm;
	const char *template_file;
	const char *self;
	size_t rounds;
	int64_t sizes[8]; /* numbers of instances, rising; 0 ends */
	int64_t ceiling_instances;
	int64_t cpu_small; /* the sizes whose cost per event is compared */
	int64_t cpu_large;
	int idle_ms;
};

static int folders;

/* A new folder below the plan's for one round. */
static void new_folder(const struct plan *plan, char out[PATH_BYTES])
{
	(void)snprintf(out, PATH_BYTES, "%s/%d", plan->folder, folders++);
	if (mkdir(out, 0700) != 0) {
		perror(out);
		exit(1);
	}
}

/* What a round under load came to. */
struct round {
	double events_per_second;
	double cpu_us_per_event;
	double allocations_per_event;
	double syncs_per_event;
	double events_per_commit;
};

static void measure_round(const struct plan *plan, int64_t instances, struct round *out)
{
	static struct load load;
	char folder[PATH_BYTES];
	new_folder(plan, folder);
	load_open(&load, folder, plan->template_file);
	struct count before = count_now();
	load_start(&load, instances);
	load_wait(&load);
	struct count cost = count_since(&before);
	double events = (double)instances * EVENTS_PER_INSTANCE;
	out->events_per_second = events / ((double)cost.wall_ns / 1e9);
	out->cpu_us_per_event = (double)cost.cpu_ns / 1e3 / events;
	out->allocations_per_event = (double)cost.allocations / events;
	out->syncs_per_event = (double)cost.syncs / events;
	out->events_per_commit = events / (double)load_counter(&load, "commit_calls");
	load_close(&load);
}

/* Both loops in turn, so that what the machine does meanwhile hits both. */
static double measure_ratio(const struct plan *plan)
{
	struct series ours = {0};
	struct series bare = {0};
	struct series ratio = {0};
	struct ceiling_result ceiling = {0};
	struct round round = {0};
	for (size_t i = 0; i < plan->rounds; i++) {
		static struct load load;
		char folder[PATH_BYTES];
		measure_round(plan, plan->ceiling_instances, &round);
		new_folder(plan, folder);
		load_open(&load, folder, plan->template_file); /* creates the files */
		load_close(&load);
		int64_t batch = (int64_t)(round.events_per_commit + 0.5);
		ceiling_measure(folder, plan->ceiling_instances, batch, &ceiling);
		series_add(&ours, round.events_per_second);
		series_add(&bare, ceiling.events_per_second);
		series_add(&ratio, round.events_per_second / ceiling.events_per_second);
	}
	table_line("ceiling: bare loop of the same rows", series_median(&bare), "events/s");
	table_line("the engine on as many instances", series_median(&ours), "events/s");
	table_line("rows written per event", ceiling.rows_per_event, "");
	table_line("events per commit", round.events_per_commit, "");
	return series_median(&ratio);
}

static void measure_sizes(const struct plan *plan)
{
	double small_cpu = 0;
	double large_cpu = 0;
	for (size_t i = 0; plan->sizes[i]; i++) {
		int64_t size = plan->sizes[i];
		struct series speed = {0};
		struct series cpu = {0};
		struct round round = {0};
		char what[80];
		for (size_t k = 0; k < plan->rounds; k++) {
			measure_round(plan, size, &round);
			series_add(&speed, round.events_per_second);
			series_add(&cpu, round.cpu_us_per_event);
		}
		(void)snprintf(what, sizeof(what), "%lld instances", (long long)size);
		table_line(what, series_median(&speed), "events/s");
		table_line("  instances", series_median(&speed) / EVENTS_PER_INSTANCE,
			"instances/s");
		table_line(
			"  CPU, agents and starter included", series_median(&cpu), "us/event");
		table_line("  allocations", round.allocations_per_event, "/event");
		table_line("  syncs", round.syncs_per_event, "/event");
		small_cpu = size == plan->cpu_small ? series_median(&cpu) : small_cpu;
		large_cpu = size == plan->cpu_large ? series_median(&cpu) : large_cpu;
	}
	char what[80];
	(void)snprintf(what, sizeof(what), "CPU per event, %lld instances over %lld",
		(long long)plan->cpu_large, (long long)plan->cpu_small);
	table_target(what, large_cpu / small_cpu, "ratio", true, 1.2);
}

static void measure_latency(const struct plan *plan)
{
	static struct load load;
	static double ms[LATENCY_INSTANCES];
	char folder[PATH_BYTES];
	new_folder(plan, folder);
	load_open(&load, folder, plan->template_file);
	load_start(&load, 1); /* compiles the template, fills caches */
	load_wait(&load);
	for (size_t i = 0; i < LATENCY_INSTANCES; i++) {
		struct count before = count_now();
		load_start(&load, 1);
		load_wait(&load);
		ms[i] = (double)count_since(&before).wall_ns / 1e6;
	}
	load_close(&load);
	table_target("one instance, StartWorkflow to COMPLETED, p50",
		percentile(ms, LATENCY_INSTANCES, 0.5), "ms", true, 10);
	table_line("one instance, p99", percentile(ms, LATENCY_INSTANCES, 0.99), "ms");

	static double wake_ms[WAKES];
	wake_measure(plan->self, folder, wake_ms, WAKES);
	table_line("wake of another process, p50", percentile(wake_ms, WAKES, 0.5), "ms");
	table_target("wake of another process, p99", percentile(wake_ms, WAKES, 0.99), "ms",
		true, 20);
}

static void measure_process(const struct plan *plan)
{
	static struct load load;
	struct series ready = {0};
	struct process_result result = {0};
	char folder[PATH_BYTES];
	new_folder(plan, folder);
	load_open(&load, folder, plan->template_file);
	load_start(&load, 100);
	load_wait(&load);
	load_close(&load);
	for (size_t i = 0; i < plan->rounds; i++) {
		process_measure(plan->swm, folder, i == 0 ? plan->idle_ms : 0, &result);
		if (i == 0) {
			table_target(
				"idle RSS of swm run", result.idle_rss_mib, "MiB", true, 16);
			table_line("idle CPU of swm run", result.idle_cpu_ms, "ms/min");
			table_line("idle context switches of swm run", result.idle_switches,
				"/min");
		}
		series_add(&ready, result.ready_ms);
	}
	table_target("swm run, start to ready", series_median(&ready), "ms", true, 100);
}

static const struct plan full_plan = {
	.rounds = ROUNDS,
	.sizes = {1, 10, 100, 1000, 10000, 100000},
	.ceiling_instances = 10000,
	.cpu_small = 1000,
	.cpu_large = 100000,
	.idle_ms = 60000,
};

static const struct plan smoke_plan = {
	.rounds = 1,
	.sizes = {1, 100, 1000},
	.ceiling_instances = 2000,
	.cpu_small = 100,
	.cpu_large = 1000,
	.idle_ms = 5000,
};

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--wake-publisher") == 0) {
		return wake_publish(argv[2], strtoul(argv[3], NULL, 10));
	}
	if (argc != 4 && (argc != 5 || strcmp(argv[4], "--smoke") != 0)) {
		(void)fputs("usage: swm-bench FOLDER SWM TEMPLATE [--smoke]\n", stderr);
		return 2;
	}
	struct plan plan = argc == 5 ? smoke_plan : full_plan;
	plan.folder = argv[1];
	plan.swm = argv[2];
	plan.template_file = argv[3];
	plan.self = argv[0];

	table_head();
	double ratio = measure_ratio(&plan);
	table_target("the engine over the ceiling", ratio, "ratio", false, 0.5);
	measure_latency(&plan);
	measure_process(&plan);
	measure_sizes(&plan);
	table_line("peak RSS of all of the above", (double)count_peak_rss_bytes() / 1048576,
		"MiB");
	return 0;
}
