/* SPDX-License-Identifier: MIT */

/*
 * A small world in all of its interleavings: whoever may run next, whatever may come twice,
 * wherever an orchestrator is killed, whichever commit is not answered. Where it comes to a
 * state that it has met before, it goes no further: a state is a hash of all that the future
 * depends on (sim_world_hash()), and each is left by every way once. Every path is judged
 * like any other run of the simulator.
 *
 *   swm-exhaustive [-p PROCESSES] [-s SECONDS] [-c] [-l] [SCENE...]
 *
 *   -c   each scene a second time, unreduced (struct sim_plan), and compared
 *
 * Several processes share the set of states and come towards each other from both ends.
 * Prints TAP; the default is what takes a minute, with SWM_TEST_FULL=1 what takes an hour.
 */

#include "snapshot.h"

#include "choice.h"
#include "faults.h"
#include "must.h"
#include "world.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Room for states; memory is taken as they come. */
#define SET_SIZE ((size_t)1 << 28)
#define SET_FULL (SET_SIZE / 8 * 7)

#define ANSWERS_MAX 4096

/* Virtual; the storm ends by itself as soon as nothing moves. */
#define STORM_MS INT64_C(3600000)
#define LEASE_MS 1000

#define BIT(fault) (UINT64_C(1) << (fault))

/* A diamond in two stages: a, then b and c beside each other, then d. */
static const char diamond[] =
	"{\"workflow_name\":\"Diamond\",\"component_name\":\"D\",\"stages\":["
	"{\"stage_name\":\"ONE\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"a\"},"
	"{\"task_name\":\"b\",\"task_queue\":\"b\",\"parent_task\":[\"a\"]},"
	"{\"task_name\":\"c\",\"task_queue\":\"c\",\"parent_task\":[\"a\"]}]},"
	"{\"stage_name\":\"TWO\",\"stage_order\":2,\"tasks\":["
	"{\"task_name\":\"d\",\"task_queue\":\"d\"}]}]}";

/* What may happen: at most so often each. What is not asked for here is answered by 0, the
 * boring way, wherever the world asks for it. */
enum effort {
	ALWAYS,
	IN_FULL, /* with SWM_TEST_FULL=1 */
	BY_NAME  /* hours */
};

struct scene {
	const char *name;
	const char *text;
	uint64_t faults;
	enum effort effort;
	uint32_t copies;       /* messages that come twice; 0: any number */
	enum effort unreduced; /* gone through a second time, without the reduction */
};

static const struct scene scenes[] = {
	{"plain", "who runs when", 0, ALWAYS, 0, ALWAYS},
	{"twice", "a message comes twice", BIT(SIM_FAULT_DUPLICATE), ALWAYS, 1, IN_FULL},
	{"doubt", "a commit is not answered, applied or not", BIT(SIM_FAULT_COMMIT_DOUBT),
		ALWAYS, 0, IN_FULL},
	{"crash", "an orchestrator is killed at any call", BIT(SIM_FAULT_CRASH), ALWAYS, 0,
		ALWAYS},
	{"crash-doubt", "a kill and a doubt",
		BIT(SIM_FAULT_CRASH) | BIT(SIM_FAULT_COMMIT_DOUBT), ALWAYS, 0, BY_NAME},
	{"each", "a kill, a doubt, and a message that comes twice",
		BIT(SIM_FAULT_DUPLICATE) | BIT(SIM_FAULT_CRASH) | BIT(SIM_FAULT_COMMIT_DOUBT),
		IN_FULL, 1, BY_NAME},
	{"whole", "a kill, a doubt, and every message comes once or twice",
		BIT(SIM_FAULT_DUPLICATE) | BIT(SIM_FAULT_CRASH) | BIT(SIM_FAULT_COMMIT_DOUBT),
		BY_NAME, 0, BY_NAME},
};

#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

/* Questions that have every answer; all others have the first. */
static const char *const asked[] = {"run", "duplicate", "crash", "commit-doubt", "applied"};

/* What all processes see. */
struct common {
	_Atomic uint64_t states;
	_Atomic uint64_t stores; /* that differ, among the states */
	_Atomic uint64_t store_sum;
	_Atomic uint64_t paths;
	_Atomic uint64_t pruned;
	_Atomic uint64_t depth;
	_Atomic uint64_t bytes;
	_Atomic bool stop; /* late, full, or violated */
	_Atomic bool violated;
	char invariant[SIM_INVARIANT_MAX];
	char text[SIM_TEXT_MAX];
	uint64_t step;
	struct sim_given answers[ANSWERS_MAX]; /* that led there */
	size_t answer_count;
};

struct exploration {
	struct common *common;
	_Atomic uint64_t *set;
	struct sim_plan plan;
	struct seen *seen;
	time_t until;
};

/* What a run changes: copied with the world. */
struct seen {
	struct sim_choice choice;
	struct sim_verdict verdict;
};

/* The set of states, and of stores. Entries only ever come. True: it is new. */
static bool add(struct exploration *all, uint64_t hash)
{
	uint64_t wanted = hash != 0 ? hash : 1;
	for (size_t i = 0; i < SET_SIZE; i++) {
		_Atomic uint64_t *place = &all->set[(wanted + i) & (SET_SIZE - 1)];
		uint64_t there = atomic_load(place);
		if (there == 0 && atomic_compare_exchange_strong(place, &there, wanted)) {
			return true;
		}
		if (there == wanted) {
			return false;
		}
	}
	return false;
}

static bool prune(void *ctx, uint64_t hash, uint64_t store)
{
	struct exploration *all = ctx;
	struct common *common = all->common;
	if (!add(all, hash)) {
		return true;
	}
	if (add(all, ~store)) {
		(void)atomic_fetch_add(&common->stores, 1);
		(void)atomic_fetch_add(&common->store_sum, store);
	}
	if (atomic_fetch_add(&common->states, 1) > SET_FULL) {
		atomic_store(&common->stop, true);
	}
	return false;
}

static uint32_t ask(void *ctx, const char *what, uint32_t n)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		if (strcmp(asked[i], what) == 0) {
			return snapshot_ask(n);
		}
	}
	return 0;
}

static void run(void *arg)
{
	struct exploration *all = arg;
	sim_world_run(&all->plan, &all->seen->choice, &all->seen->verdict);
}

/* The first violation of all processes is the one that is told. */
static void keep_violation(struct exploration *all)
{
	struct common *common = all->common;
	if (atomic_exchange(&common->violated, true)) {
		return;
	}
	const struct sim_verdict *verdict = &all->seen->verdict;
	(void)snprintf(common->invariant, sizeof(common->invariant), "%s",
		verdict->violation.invariant);
	(void)snprintf(common->text, sizeof(common->text), "%s", verdict->violation.text);
	common->step = verdict->step;
	struct sim_given *given = sim_choice_given(&all->seen->choice, &common->answer_count);
	if (common->answer_count > ANSWERS_MAX) {
		common->answer_count = 0;
	}
	memcpy(common->answers, given, common->answer_count * sizeof(*given));
	free(given);
	atomic_store(&common->stop, true);
}

static bool ended(void *arg)
{
	struct exploration *all = arg;
	struct common *common = all->common;
	const struct sim_verdict *verdict = &all->seen->verdict;
	(void)atomic_fetch_add(&common->paths, !verdict->pruned);
	(void)atomic_fetch_add(&common->pruned, verdict->pruned);
	if (!verdict->good && !verdict->pruned) {
		keep_violation(all);
	}
	if (time(NULL) >= all->until) {
		atomic_store(&common->stop, true);
	}
	return !atomic_load(&common->stop);
}

static struct sim_plan plan_of(const struct scene *scene)
{
	return (struct sim_plan){
		.templates = {diamond},
		.template_count = 1,
		.faults = scene->faults,
		.all_faults = true,
		.small = true,
		.no_operator = true,
		.orchestrators = 2,
		.processors = 1,
		.instances = 1,
		.batch = 2,
		.lease_ms = LEASE_MS,
		.storm_ms = STORM_MS,
		.crashes_max = 1,
		.doubts_max = 1,
		.copies_max = scene->copies,
	};
}

/* One process's part. */
static void explore(struct exploration *all, bool backwards)
{
	const struct snapshot_run what = {
		.run = run, .ended = ended, .arg = all, .backwards = backwards};
	all->plan.prune = prune;
	all->plan.prune_ctx = all;
	all->seen = sim_must_alloc(sizeof(*all->seen));
	sim_choice_ask(&all->seen->choice, ask, all);
	snapshot_explore(&what);
	struct common *common = all->common;
	if (snapshot_depth_max() > atomic_load(&common->depth)) {
		atomic_store(&common->depth, snapshot_depth_max());
	}
	if (snapshot_bytes_max() > atomic_load(&common->bytes)) {
		atomic_store(&common->bytes, snapshot_bytes_max());
	}
}

/* True: all of them have come to their end. */
static bool explore_by(struct exploration *all, unsigned processes)
{
	bool good = true;
	for (unsigned i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			explore(all, i % 2 == 1);
			_exit(0);
		}
		good = good && pid > 0;
	}
	for (unsigned i = 0; i < processes; i++) {
		int status = 0;
		good = wait(&status) > 0 && status == 0 && good;
	}
	return good;
}

/* The path again, as a person can read it. */
static void tell_path(const struct sim_plan *explored, const struct common *common)
{
	struct sim_plan plan = *explored;
	struct sim_choice choice = {0};
	struct sim_verdict verdict;
	plan.trace = true;
	sim_choice_replay(&choice, common->answers, common->answer_count);
	sim_world_run(&plan, &choice, &verdict);
	for (size_t i = 0; i < verdict.line_count; i++) {
		(void)printf("# %s\n", verdict.lines[i]);
	}
	sim_verdict_finish(&verdict);
	sim_choice_finish(&choice);
}

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What came of one. */
struct outcome {
	bool good; /* all of it was seen, and all of it was good */
	uint64_t stores;
	uint64_t store_sum;
};

static void tell_figures(const char *name, const struct common *common, int64_t took_ms)
{
	(void)printf("# %s: %" PRIu64 " states, %" PRIu64 " of the store, %" PRIu64
		     " paths to their end, %" PRIu64 " into known states, %" PRIu64
		     " choices deep, %" PRId64 ".%01" PRId64 " s, %" PRIu64 " KiB a copy\n",
		name, atomic_load(&common->states), atomic_load(&common->stores),
		atomic_load(&common->paths), atomic_load(&common->pruned),
		atomic_load(&common->depth), took_ms / 1000, took_ms % 1000 / 100,
		atomic_load(&common->bytes) / 1024);
}

static struct outcome play(
	const struct scene *scene, unsigned processes, unsigned seconds, bool unreduced)
{
	struct exploration all = {
		.common = snapshot_aside(sizeof(struct common), true),
		.set = snapshot_aside(SET_SIZE * sizeof(uint64_t), true),
		.plan = plan_of(scene),
		.until = time(NULL) + (time_t)seconds,
	};
	struct common *common = all.common;
	if (!common || !all.set) {
		(void)fprintf(stderr, "out of memory\n");
		exit(1);
	}
	all.plan.unreduced = unreduced;
	int64_t began_ms = now_ms();
	bool came_through = explore_by(&all, processes);
	int64_t took_ms = now_ms() - began_ms;
	bool violated = atomic_load(&common->violated);
	if (violated) {
		(void)printf("# %s, step %" PRIu64 ": %s\n", common->invariant, common->step,
			common->text);
		tell_path(&all.plan, common);
	} else if (atomic_load(&common->stop)) {
		(void)printf("# cut short: %s\n", atomic_load(&common->states) > SET_FULL
							  ? "no room for more states"
							  : "out of time");
	}
	tell_figures(scene->name, common, took_ms);
	struct outcome outcome = {
		.good = came_through && !violated && !atomic_load(&common->stop),
		.stores = atomic_load(&common->stores),
		.store_sum = atomic_load(&common->store_sum),
	};
	(void)munmap(all.set, SET_SIZE * sizeof(uint64_t));
	(void)munmap(common, sizeof(*common));
	return outcome;
}

static enum effort effort_wanted(void)
{
	const char *full = getenv("SWM_TEST_FULL");
	return full && strcmp(full, "1") == 0 ? IN_FULL : ALWAYS;
}

static bool is_wanted(const struct scene *scene, char **names, int count)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], scene->name) == 0) {
			return true;
		}
	}
	return count == 0 && scene->effort <= effort_wanted();
}

/* What TAP has been told. */
struct tally {
	int count;
	bool good;
};

static void tell(struct tally *tally, bool good, const char *what, const char *scene)
{
	tally->count++;
	tally->good = tally->good && good;
	(void)printf("%sok %d - %s: %s\n", good ? "" : "not ", tally->count, what, scene);
}

int main(int argc, char **argv)
{
	static char buffer[BUFSIZ];
	unsigned processes = 2;
	unsigned seconds = 3600;
	bool compare = false;
	int option;
	(void)setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	while ((option = getopt(argc, argv, "p:s:cl")) != -1) {
		switch (option) {
		case 'p':
			processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			compare = true;
			break;
		case 'l':
			for (size_t i = 0; i < SCENES; i++) {
				(void)printf("%-12s %s\n", scenes[i].name, scenes[i].text);
			}
			return 0;
		default:
			(void)fprintf(stderr,
				"usage: swm-exhaustive [-p PROCESSES] [-s SECONDS] [-c] [-l] "
				"[SCENE...]\n");
			return 2;
		}
	}
	snapshot_init();
	(void)printf(
		"# 2 orchestrators of one processor and one dispatcher each, batches of 2, "
		"one instance of a diamond in two stages\n"
		"# bounds: calls take no time and nothing is delayed; time passes when nobody "
		"can "
		"run; a lease lasts %d ms; who is killed stays away; at most one kill, one "
		"commit "
		"in doubt and two copies of a message; calls that nobody else can notice are "
		"not "
		"interrupted\n",
		LEASE_MS);
	struct tally tally = {.good = true};
	for (size_t i = 0; i < SCENES; i++) {
		const struct scene *scene = &scenes[i];
		if (!is_wanted(scene, argv + optind, argc - optind)) {
			continue;
		}
		struct outcome reduced = play(scene, processes, seconds, false);
		tell(&tally, reduced.good, "every interleaving", scene->text);
		if (compare || (optind == argc && scene->unreduced <= effort_wanted())) {
			struct outcome all = play(scene, processes, seconds, true);
			tell(&tally,
				all.good && all.stores == reduced.stores &&
					all.store_sum == reduced.store_sum,
				"no store is lost by the reduction", scene->text);
		}
	}
	(void)printf("1..%d\n", tally.count);
	return tally.good && tally.count > 0 ? 0 : 1;
}
