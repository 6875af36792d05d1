/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_CEILING_POSTGRESQL_H
#define SWM_BENCH_CEILING_POSTGRESQL_H

/*
 * What the machine could do at best with PostgreSQL: one thread writes the very rows that
 * the pizza workflow leaves in the store, into the plugin's own tables, as many a
 * transaction, over libpq alone. For each batch one prepared statement reads and one
 * writes, with an array for each column. No JSON, no engine, no port, no compare-and-set.
 *
 * The server is that of SWM_TEST_POSTGRESQL_*, the schema SWM_BENCH_SCHEMA followed by the
 * last part of the folder's name.
 */

#include "ceiling.h"

/* The tables exist and are empty. */
void ceiling_postgresql_measure(
	const char *folder, int64_t instances, int64_t batch, struct ceiling_result *out);

/* What the server has counted on the tables of this folder (pg_stat_statements). */
struct postgresql_calls {
	int64_t loads;
	int64_t commits;
	int64_t claims;
	int64_t all;
};

void ceiling_postgresql_calls(const char *folder, struct postgresql_calls *out);

#endif
