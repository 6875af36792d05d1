/* SPDX-License-Identifier: MIT */

/*
 * See crew.h. What the processes share is memory with atomic counters; a worker that dies or
 * does not come on has failed with the seed that it was at.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "crew.h"

#include "coroutine.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAKEN_AT_ONCE 50
#define SAY_EVERY_S 30

/* A world takes milliseconds; under a sanitizer on a busy machine some hundred times that. */
#define SECONDS_MAX 60

struct worker {
	uint64_t seed; /* that it is at */
	bool failed;
	uint64_t seeds;
	uint64_t digest;
	uint64_t virtual_ms;
	struct sim_figures figures;
};

struct shared {
	_Atomic uint64_t next;
	_Atomic bool stop;
	_Atomic uint64_t done;
	struct worker workers[CREW_MAX];
};

static double now_s(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of the workers that have ended. */
static double cpu_s(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void add_figures(struct sim_figures *sum, const struct sim_figures *more)
{
	sum->steps += more->steps;
	sum->deliveries += more->deliveries;
	sum->commits += more->commits;
	sum->events += more->events;
	sum->conflicts += more->conflicts;
	sum->published += more->published;
	sum->crashes += more->crashes;
	sum->restarts += more->restarts;
	sum->instances += more->instances;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		sum->faults[i] += more->faults[i];
	}
}

static bool run_seed(const struct crew_job *job, struct worker *worker,
	const struct sim_plan *plan, struct sim_choice *choice, uint64_t seed)
{
	struct sim_verdict verdict;
	(void)alarm(SECONDS_MAX);
	worker->seed = seed;
	sim_choice_seed(choice, seed);
	sim_world_run(plan, choice, &verdict);
	worker->seeds++;
	worker->digest += verdict.digest * (seed + 1);
	worker->virtual_ms += (uint64_t)verdict.figures.virtual_ms;
	add_figures(&worker->figures, &verdict.figures);
	if (job->digests) {
		(void)printf("%" PRIu64 " %016" PRIx64 " %" PRIu64 "\n", seed, verdict.digest,
			verdict.figures.steps);
	}
	worker->failed = !verdict.good;
	return verdict.good;
}

static void work(const struct crew_job *job, struct shared *shared, struct worker *worker)
{
	struct sim_plan plan = *job->plan;
	struct sim_choice choice = {0};
	plan.stacks = sim_stacks_create();
	while (!worker->failed && !shared->stop) {
		uint64_t seed = atomic_fetch_add(&shared->next, TAKEN_AT_ONCE);
		uint64_t end = seed + TAKEN_AT_ONCE;
		end = end > job->last + 1 ? job->last + 1 : end;
		if (seed > job->last) {
			break;
		}
		for (; seed < end && !shared->stop; seed++) {
			if (!run_seed(job, worker, &plan, &choice, seed)) {
				shared->stop = true;
			}
			atomic_fetch_add(&shared->done, 1);
		}
	}
	sim_choice_finish(&choice);
	sim_stacks_destroy(plan.stacks);
}

/* Waits for one of them; false: there is none any more. */
static bool wait_for_one(const struct crew_job *job, struct shared *shared,
	const pid_t *children, double began, double *said)
{
	for (;;) {
		int status = 0;
		pid_t child = waitpid(-1, &status, WNOHANG);
		if (child < 0) {
			return errno == EINTR;
		}
		for (unsigned i = 0; i < job->workers && child > 0; i++) {
			if (children[i] == child && status != 0) {
				shared->workers[i].failed = true;
				shared->stop = true;
			}
		}
		if (child > 0) {
			return true;
		}
		if (job->figures && now_s() - *said > SAY_EVERY_S) {
			*said = now_s();
			(void)fprintf(stderr, "sim: %" PRIu64 " seeds, %.0f per second\n",
				shared->done, (double)shared->done / (*said - began));
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

static void add_up(
	const struct crew_job *job, const struct shared *shared, struct crew_result *out)
{
	for (unsigned i = 0; i < job->workers; i++) {
		const struct worker *worker = &shared->workers[i];
		out->seeds += worker->seeds;
		out->digest += worker->digest;
		out->virtual_ms += worker->virtual_ms;
		add_figures(&out->figures, &worker->figures);
		if (worker->failed && (!out->failed || worker->seed < out->seed)) {
			out->failed = true;
			out->seed = worker->seed;
		}
	}
}

void crew_run(const struct crew_job *job, struct crew_result *out)
{
	*out = (struct crew_result){0};
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("swm-sim: mmap");
		exit(3);
	}
	pid_t children[CREW_MAX] = {0};
	double began = now_s();
	double cpu_before = cpu_s();
	double said = began;
	shared->next = job->first;
	(void)fflush(stdout);
	for (unsigned i = 0; i < job->workers; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			work(job, shared, &shared->workers[i]);
			exit(0); /* the leak checker looks now */
		}
		if (children[i] < 0) {
			perror("swm-sim: fork");
			exit(3);
		}
	}
	while (wait_for_one(job, shared, children, began, &said)) {
	}
	add_up(job, shared, out);
	out->seconds = now_s() - began;
	out->cpu_seconds = cpu_s() - cpu_before;
	(void)munmap(shared, sizeof(*shared));
}
