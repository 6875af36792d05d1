/* SPDX-License-Identifier: MIT */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

/*
 * Makes a failing run simpler: fewer and smaller answers that are not 0, as long as it goes
 * on failing. What is left is what the failure takes.
 *
 * Concurrency: none of its own.
 */

#include "choice.h"

/* What is tried. */
struct sim_shrinking {
	/* Runs with these answers; true: it fails as before. It may replace them by those that
	 * the run asked for, in list and *count. */
	bool (*fails)(void *ctx, struct sim_given *list, size_t *count);
	void *ctx;
	uint32_t runs_max;
};

/* Shortens the list in place; gives the runs that it took. */
uint32_t sim_shrink(
	const struct sim_shrinking *shrinking, struct sim_given *list, size_t *count);

#endif
