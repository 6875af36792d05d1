/* SPDX-License-Identifier: MIT */

/* Medians, and lines of the table. */

#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void series_add(struct series *series, double value)
{
	if (series->count < ROUNDS_MAX) {
		series->values[series->count++] = value;
	}
}

static int by_value(const void *a, const void *b)
{
	const double *first = a;
	const double *second = b;
	return (*first > *second) - (*first < *second);
}

double percentile(double *values, size_t count, double p)
{
	qsort(values, count, sizeof(values[0]), by_value);
	size_t at = (size_t)(p * (double)count);
	return values[at < count ? at : count - 1];
}

double series_median(const struct series *series)
{
	double values[ROUNDS_MAX];
	memcpy(values, series->values, series->count * sizeof(values[0]));
	return series->count ? percentile(values, series->count, 0.5) : 0;
}

void table_head(void)
{
	(void)printf("%-52s %14s %-10s %16s %s\n", "what", "measured", "", "target", "");
}

void table_line(const char *what, double value, const char *unit)
{
	(void)printf("%-52s %14.2f %-10s\n", what, value, unit);
	(void)fflush(stdout);
}

void table_target(const char *what, double value, const char *unit, bool most, double target)
{
	bool met = most ? value <= target : value >= target;
	(void)printf("%-52s %14.2f %-10s %s %13.2f %s\n", what, value, unit,
		most ? "<=" : ">=", target, met ? "met" : "missed");
	(void)fflush(stdout);
}
