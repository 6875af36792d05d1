/* SPDX-License-Identifier: MIT */
#ifndef SIM_ALONE_H
#define SIM_ALONE_H

/*
 * Runs one world in a process of its own, so that an assertion of the engine's, or an
 * endless loop, is a finding like any other.
 *
 * Concurrency: the caller has no other thread.
 */

#include "world.h"

/* Where a run's answers come from. */
struct alone_run {
	const struct sim_plan *plan;
	bool seeded; /* by `seed`; else by the answers */
	uint64_t seed;
	const struct sim_given *given;
	size_t given_count;
};

/* What it came to. */
struct alone_result {
	bool good;
	char invariant[SIM_INVARIANT_MAX]; /* "aborted" and "hangs", too */
	char text[SIM_TEXT_MAX];
	uint64_t step;
	uint64_t drawn;
	struct sim_given
		*given; /* that were not 0; NULL when it ended early; the caller frees */
	size_t given_count;
};

void alone_run(const struct alone_run *run, struct alone_result *out);

/* Runs it in this process, with its trace on stdout, whatever becomes of it. */
void alone_show(const struct alone_run *run);

#endif
