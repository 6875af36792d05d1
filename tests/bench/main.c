/* SPDX-License-Identifier: MIT */

/*
 * The benchmark of a pair of adapters: prints a table of what was measured, what is
 * aimed at, and whether that is met. Ends with 0 whatever the figures are: a slow
 * machine is no failure. Only statements to the store more than promised are one.
 * tests/bench/run calls it.
 *
 *   swm-bench FOLDER SWM TEMPLATE PAIR [--smoke]
 */

#include "calls.h"
#include "ceiling.h"
#include "load.h"
#include "pair.h"
#include "process.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef SWM_BENCH_SERVERS
#include "ceiling_kafka.h"
#include "ceiling_postgresql.h"
#include "ceiling_rabbitmq.h"
#endif

#define PATH_BYTES 512

#define ROUNDS 5
#define LATENCY_INSTANCES 200
#define WAKES 300

/* Of the engine's consumer, as configured when nothing is said. */
#define PREFETCH 512

struct plan {
	const char *folder;
	const char *swm;
	const char *template_file;
	const char *self;
	const struct pair *pair;
	double latency_target_ms;
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
	load_open(&load, plan->pair, folder, plan->template_file);
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

/* What the bare loops came to; where one loop does both, it is the store's. */
struct ceilings {
	struct ceiling_result store;
	struct ceiling_result queue;
};

static void measure_ceilings(
	const struct plan *plan, const char *folder, int64_t batch, struct ceilings *out)
{
	const struct pair *pair = plan->pair;
	int64_t instances = plan->ceiling_instances;
	if (!pair->served) {
		ceiling_measure(
			CEILING_STORE | CEILING_QUEUE, folder, instances, batch, &out->store);
		out->queue = out->store;
		return;
	}
	if (!pair->postgresql) {
		ceiling_measure(CEILING_STORE, folder, instances, batch, &out->store);
	}
	if (!pair->rabbitmq && !pair->kafka) {
		ceiling_measure(CEILING_QUEUE, folder, instances, batch, &out->queue);
	}
#ifdef SWM_BENCH_SERVERS
	if (pair->postgresql) {
		ceiling_postgresql_measure(folder, instances, batch, &out->store);
	}
	if (pair->rabbitmq) {
		ceiling_rabbitmq_measure(instances, PREFETCH, &out->queue);
	}
	if (pair->kafka) {
		ceiling_kafka_measure(instances, &out->queue);
	}
#endif
}

/* The engine and the bare loops in turn, so that what the machine does meanwhile hits
 * all of them. */
static void measure_ratio(const struct plan *plan)
{
	bool apart = plan->pair->served;
	struct series ours = {0};
	struct series store = {0};
	struct series queue = {0};
	struct series ratio = {0};
	struct ceilings ceilings = {0};
	struct round round = {0};
	for (size_t i = 0; i < plan->rounds; i++) {
		static struct load load;
		char folder[PATH_BYTES];
		measure_round(plan, plan->ceiling_instances, &round);
		new_folder(plan, folder);
		load_open(&load, plan->pair, folder, plan->template_file); /* makes tables */
		load_close(&load);
		int64_t batch = (int64_t)(round.events_per_commit + 0.5);
		measure_ceilings(plan, folder, batch, &ceilings);
		double at_store = ceilings.store.events_per_second;
		double at_queue = ceilings.queue.events_per_second;
		series_add(&ours, round.events_per_second);
		series_add(&store, at_store);
		series_add(&queue, at_queue);
		series_add(&ratio,
			round.events_per_second / (at_store < at_queue ? at_store : at_queue));
	}
	if (apart) {
		table_line("ceiling: bare loop of the same rows, store", series_median(&store),
			"events/s");
		table_line("ceiling: bare loop of the same messages, queue",
			series_median(&queue), "events/s");
	} else {
		table_line("ceiling: bare loop of the same rows", series_median(&store),
			"events/s");
	}
	table_line("the engine on as many instances", series_median(&ours), "events/s");
	table_line("rows written per event", ceilings.store.rows_per_event, "");
	table_line("events per commit", round.events_per_commit, "");
	table_target(
		apart ? "the engine over the lower ceiling" : "the engine over the ceiling",
		series_median(&ratio), "ratio", false, apart ? 0.4 : 0.5);
}

#ifdef SWM_BENCH_SERVERS

/* A number that is not what it has to be, whatever the machine. */
static bool is_equal(const char *what, int64_t got, int64_t expected)
{
	if (got != expected) {
		(void)fprintf(stderr, "%s: %lld, %lld expected\n", what, (long long)got,
			(long long)expected);
	}
	return got == expected;
}

/* One load and one commit for each batch that commits: by what the engine calls and by
 * what the server has run. */
static bool judge_statements(
	const struct calls *calls, const struct postgresql_calls *server, bool plain)
{
	if (calls->failures > 0) {
		return true; /* a server that refuses is another test's concern */
	}
	bool good = is_equal("load statements", server->loads, calls->loads);
	good = is_equal("commit statements", server->commits,
		       calls->commits + calls->marks_commits) &&
	       good;
	good = is_equal("commits without a load", calls->unloaded, 0) && good;
	if (plain) {
		good = is_equal("loads of batches that commit", calls->loads, calls->commits) &&
		       good;
	}
	return good;
}

static bool measure_statements(const struct plan *plan)
{
	static struct load load;
	struct postgresql_calls before = {0};
	struct postgresql_calls after = {0};
	char folder[PATH_BYTES];
	if (!plan->pair->postgresql) {
		return true;
	}
	new_folder(plan, folder);
	load_open(&load, plan->pair, folder, plan->template_file);
	ceiling_postgresql_calls(folder, &before);
	load_start(&load, plan->ceiling_instances);
	load_wait(&load);
	/* Messages that came twice are loaded, and there is nothing to commit. */
	bool plain = load_counter(&load, "events_received") ==
		     load_counter(&load, "events_recorded");
	load_close(&load);
	ceiling_postgresql_calls(folder, &after);
	struct calls calls = calls_now();
	double commits = (double)calls.commits;
	table_target("load statements per batch that commits", (double)after.loads / commits,
		"", true, 1);
	table_target("commit statements per batch that commits",
		(double)(after.commits - calls.marks_commits) / commits, "", true, 1);
	table_line("commits of marks alone", (double)calls.marks_commits, "");
	table_line("claims of the dispatcher", (double)(after.claims - before.claims), "");
	table_line("other statements",
		(double)(after.all - before.all - (after.loads - before.loads) -
			 (after.commits - before.commits) - (after.claims - before.claims)),
		"");
	return judge_statements(&calls, &after, plain);
}

#else

static bool measure_statements(const struct plan *plan)
{
	return !plan->pair->postgresql;
}

#endif

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
		if (!plan->pair->postgresql) {
			table_line("  syncs", round.syncs_per_event, "/event");
		}
		small_cpu = size == plan->cpu_small ? series_median(&cpu) : small_cpu;
		large_cpu = size == plan->cpu_large ? series_median(&cpu) : large_cpu;
	}
	if (plan->cpu_small == 0) {
		return;
	}
	char what[80];
	(void)snprintf(what, sizeof(what), "CPU per event, %lld instances over %lld",
		(long long)plan->cpu_large, (long long)plan->cpu_small);
	table_target(what, large_cpu / small_cpu, "ratio", true, 1.2);
}

/* At most the target, which is one for the embedded pair. */
static void embedded_target(
	const struct plan *plan, const char *what, double value, const char *unit, double most)
{
	if (plan->pair->served) {
		table_line(what, value, unit);
	} else {
		table_target(what, value, unit, true, most);
	}
}

static void measure_latency(const struct plan *plan)
{
	static struct load load;
	static double ms[LATENCY_INSTANCES];
	char folder[PATH_BYTES];
	new_folder(plan, folder);
	load_open(&load, plan->pair, folder, plan->template_file);
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
		percentile(ms, LATENCY_INSTANCES, 0.5), "ms", true, plan->latency_target_ms);
	table_line("one instance, p99", percentile(ms, LATENCY_INSTANCES, 0.99), "ms");

	static double wake_ms[WAKES];
	wake_measure(plan->self, folder, wake_ms, WAKES);
	table_line("wake of another process, p50", percentile(wake_ms, WAKES, 0.5), "ms");
	embedded_target(plan, "wake of another process, p99", percentile(wake_ms, WAKES, 0.99),
		"ms", 20);
}

static void measure_process(const struct plan *plan)
{
	static struct load load;
	struct series ready = {0};
	struct process_result result = {0};
	char folder[PATH_BYTES];
	new_folder(plan, folder);
	load_open(&load, plan->pair, folder, plan->template_file);
	load_start(&load, 100);
	load_wait(&load);
	load_close(&load);
	for (size_t i = 0; i < plan->rounds; i++) {
		process_measure(plan->swm, folder, i == 0 ? plan->idle_ms : 0, &result);
		if (i == 0) {
			embedded_target(
				plan, "idle RSS of swm run", result.idle_rss_mib, "MiB", 16);
			table_line("idle CPU of swm run", result.idle_cpu_ms, "ms/min");
			table_line("idle context switches of swm run", result.idle_switches,
				"/min");
		}
		series_add(&ready, result.ready_ms);
	}
	embedded_target(plan, "swm run, start to ready", series_median(&ready), "ms", 100);
}

static const struct plan full_plan = {
	.latency_target_ms = 10,
	.rounds = ROUNDS,
	.sizes = {1, 10, 100, 1000, 10000, 100000},
	.ceiling_instances = 10000,
	.cpu_small = 1000,
	.cpu_large = 100000,
	.idle_ms = 60000,
};

static const struct plan smoke_plan = {
	.latency_target_ms = 10,
	.rounds = 1,
	.sizes = {1, 100, 1000},
	.ceiling_instances = 2000,
	.cpu_small = 100,
	.cpu_large = 1000,
	.idle_ms = 5000,
};

/* Servers have costs of their own: less of everything does. */
static const struct plan full_servers_plan = {
	.latency_target_ms = 30,
	.rounds = ROUNDS,
	.sizes = {1, 10, 100, 1000, 10000},
	.ceiling_instances = 10000,
	.idle_ms = 20000,
};

static const struct plan smoke_servers_plan = {
	.latency_target_ms = 30,
	.rounds = 1,
	.sizes = {100},
	.ceiling_instances = 300,
	.idle_ms = 1000,
};

static const struct plan *choose_plan(const struct pair *pair, bool smoke)
{
	if (pair->served) {
		return smoke ? &smoke_servers_plan : &full_servers_plan;
	}
	return smoke ? &smoke_plan : &full_plan;
}

int main(int argc, char **argv)
{
	static struct pair pair;
	if (argc == 4 && strcmp(argv[1], "--wake-publisher") == 0) {
		return wake_publish(argv[2], strtoul(argv[3], NULL, 10));
	}
	if (argc != 5 && (argc != 6 || strcmp(argv[5], "--smoke") != 0)) {
		(void)fputs("usage: swm-bench FOLDER SWM TEMPLATE PAIR [--smoke]\n", stderr);
		return 2;
	}
	pair_read(&pair, argv[4]);
	struct plan plan = *choose_plan(&pair, argc == 6);
	plan.folder = argv[1];
	plan.swm = argv[2];
	plan.template_file = argv[3];
	plan.self = argv[0];
	plan.pair = &pair;

	table_head();
	measure_ratio(&plan);
	bool good = measure_statements(&plan);
	measure_latency(&plan);
	measure_process(&plan);
	measure_sizes(&plan);
	table_line("peak RSS of all of the above", (double)count_peak_rss_bytes() / 1048576,
		"MiB");
	return good ? 0 : 1;
}
