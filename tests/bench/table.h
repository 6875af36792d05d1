/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_TABLE_H
#define SWM_BENCH_TABLE_H

/*
 * Numbers of several rounds, and the lines that are printed of them.
 */

#include <stdbool.h>
#include <stddef.h>

#define ROUNDS_MAX 16

struct series {
	double values[ROUNDS_MAX];
	size_t count;
};

void series_add(struct series *series, double value);
double series_median(const struct series *series);

/* The p-th part (0 to 1) of `count` numbers, which are sorted on the way. */
double percentile(double *values, size_t count, double p);

/* One line of the table. A target is met when the value is at least (or, with `most`,
 * at most) the target. */
void table_head(void);
void table_line(const char *what, double value, const char *unit);
void table_target(const char *what, double value, const char *unit, bool most, double target);

#endif
