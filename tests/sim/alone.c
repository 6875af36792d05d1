/* SPDX-License-Identifier: MIT */

/*
 * See alone.h.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "alone.h"

#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVEN_MAX ((size_t)1 << 18)
#define SECONDS_MAX 60

/* What the two processes share. */
struct outcome {
	bool done;
	struct alone_result result;
	size_t given_count;
	struct sim_given given[GIVEN_MAX];
};

static void begin(const struct alone_run *run, struct sim_choice *choice)
{
	if (run->seeded) {
		sim_choice_seed(choice, run->seed);
	} else {
		sim_choice_replay(choice, run->given, run->given_count);
	}
}

static void run_here(const struct alone_run *run, struct outcome *out)
{
	struct sim_choice choice = {0};
	struct sim_verdict verdict;
	begin(run, &choice);
	sim_world_run(run->plan, &choice, &verdict);
	struct alone_result *result = &out->result;
	result->good = verdict.good;
	result->step = verdict.step;
	result->drawn = verdict.drawn;
	if (!verdict.good) {
		(void)snprintf(result->invariant, sizeof(result->invariant), "%s",
			verdict.violation.invariant);
		(void)snprintf(
			result->text, sizeof(result->text), "%s", verdict.violation.text);
	}
	struct sim_given *given = sim_choice_given(&choice, &out->given_count);
	if (out->given_count <= GIVEN_MAX) {
		memcpy(out->given, given, out->given_count * sizeof(*given));
		out->done = true;
	}
	free(given);
	sim_verdict_finish(&verdict);
	sim_choice_finish(&choice);
}

static void silence(void)
{
	if (!freopen("/dev/null", "w", stderr)) {
		_exit(3);
	}
}

void alone_run(const struct alone_run *run, struct alone_result *out)
{
	struct outcome *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED) {
		perror("swm-sim: mmap");
		exit(3);
	}
	pid_t child = fork();
	if (child == 0) {
		silence();
		(void)alarm(SECONDS_MAX);
		run_here(run, outcome);
		_exit(0);
	}
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("swm-sim: fork");
		exit(3);
	}
	*out = outcome->result;
	if (outcome->done) {
		out->given_count = outcome->given_count;
		out->given = sim_must_alloc((out->given_count + 1) * sizeof(*out->given));
		memcpy(out->given, outcome->given, out->given_count * sizeof(*out->given));
	} else {
		bool late = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
		(void)snprintf(out->invariant, sizeof(out->invariant), "%s",
			late ? "hangs" : "aborted");
		(void)snprintf(out->text, sizeof(out->text), "the process ended with %s %d",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	(void)munmap(outcome, sizeof(*outcome));
}

static void say(void *ctx, const char *line)
{
	(void)ctx;
	(void)puts(line);
	(void)fflush(stdout);
}

void alone_show(const struct alone_run *run)
{
	struct sim_choice choice = {0};
	struct sim_verdict verdict;
	struct sim_plan plan = *run->plan;
	plan.on_line = say;
	begin(run, &choice);
	sim_world_run(&plan, &choice, &verdict);
	sim_verdict_finish(&verdict);
	sim_choice_finish(&choice);
}
