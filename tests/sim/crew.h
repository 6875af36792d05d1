/* SPDX-License-Identifier: MIT */
#ifndef SIM_CREW_H
#define SIM_CREW_H

/*
 * Many seeds, over several processes. Each takes the next few seeds from a common counter
 * until there are none left or one has failed.
 *
 * Concurrency: the caller has no other thread.
 */

#include "world.h"

#define CREW_MAX 64

struct crew_job {
	const struct sim_plan *plan;
	uint64_t first;
	uint64_t last;
	unsigned workers;
	bool digests; /* print one for each seed; for one worker */
	bool figures; /* say from time to time how far it is, on stderr */
};

struct crew_result {
	uint64_t seeds; /* run */
	bool failed;
	uint64_t seed; /* that failed */
	double seconds;
	double cpu_seconds; /* of all workers together */
	uint64_t digest;    /* over all, whatever their order */
	struct sim_figures figures;
	uint64_t virtual_ms;
};

void crew_run(const struct crew_job *job, struct crew_result *out);

#endif
