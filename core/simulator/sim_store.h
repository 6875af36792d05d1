/* SPDX-License-Identifier: MIT */
#ifndef SIM_STORE_H
#define SIM_STORE_H

/*
 * The store of a simulated world: keeps the promises of swm/store.h and not one more,
 * fails as its faults say, and ends the run when the engine breaks its own promises.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "world.h"

/* An outbox row as it stands. Addresses change when anything is added or goes. */
struct sim_row {
	struct swm_outbox_row row; /* times by the store's clock */
	char *bytes;               /* of what the row points to */
	char owner[65];            /* of the lease */
	uint64_t order;            /* of their creation */
};

struct sim_event {
	struct swm_event_row row;
	char *bytes;
};

struct sim_instance {
	struct swm_instance_row row;
	char *bytes;
	struct sim_event *events; /* by sequence */
	size_t event_count;
	size_t event_cap;
};

/* For the judge, who only looks. */
size_t sim_store_instance_count(const struct sim_store *store);
const struct sim_instance *sim_store_instance(const struct sim_store *store, size_t index);
const struct sim_instance *sim_store_find_instance(
	const struct sim_store *store, struct swm_str id); /* NULL: none */
size_t sim_store_row_count(const struct sim_store *store);
const struct sim_row *sim_store_row(const struct sim_store *store, size_t index);
const struct sim_row *sim_store_find_row(
	const struct sim_store *store, struct swm_str id); /* NULL: none */

/* The text of a template version, by its id; absent: none. */
struct swm_str sim_store_template(const struct sim_store *store, struct swm_str id);

/* The store's clock. */
int64_t sim_store_now_ms(const struct sim_store *store);

#endif
