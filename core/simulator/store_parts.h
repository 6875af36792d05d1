/* SPDX-License-Identifier: MIT */
#ifndef SIM_STORE_PARTS_H
#define SIM_STORE_PARTS_H

/*
 * The two halves of the simulated store: what it holds (sim_store.c) and the calls of the
 * port, with what can go wrong in them (sim_session.c).
 *
 * Concurrency: belongs to the world's thread.
 */

#include "kernel.h"

struct sim_late;

struct sim_template {
	struct swm_template_row row;
	char *bytes;
};

struct sim_store {
	struct sim_world *world;
	struct sim_instance **instances;
	size_t instance_count;
	size_t instance_cap;
	struct sim_row **rows; /* the oldest first */
	size_t row_count;
	size_t row_cap;
	struct sim_template *templates;
	size_t template_count;
	size_t template_cap;
	struct sim_late *late; /* commits that will be applied after a while */
	uint64_t orders;
	int64_t clock_ms; /* what its clock is ahead */
	int64_t away_us;  /* virtual: away until then, or full */
	int64_t full_us;
};

struct sim_instance *sim_store_instance_of(
	const struct sim_store *store, struct swm_str id); /* NULL: none */
bool sim_store_has_event(const struct sim_instance *instance, struct swm_str id);

/* Carries out an item whose version is the right one. */
void sim_store_apply(struct sim_store *store, const struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms);

/* Does so, and tells everybody. */
void sim_store_carry_out(struct sim_host *host, const struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms);

/* Carries it out after a while, if its version is the right one then: the server goes on when
 * the client has lost its connection. */
void sim_store_delay(struct sim_host *host, const struct swm_commit *item, struct swm_str owner,
	int64_t lease_ms);

/* Forgets those that are still to come. */
void sim_store_forget_late(struct sim_store *store);

/* row_count: there is none. */
size_t sim_store_row_index(const struct sim_store *store, struct swm_str id);
void sim_store_remove_row(struct sim_store *store, size_t index);

/* `owner` absent: leased to nobody. */
void sim_store_add_row(struct sim_store *store, const struct swm_outbox_row *row,
	struct swm_str owner, int64_t lease_ms);

/* False: it changes nothing. */
bool sim_store_mark(
	struct sim_store *store, const struct swm_outbox_mark *mark, struct swm_str owner);

/* Leases the row that is due first; NULL: none. */
struct sim_row *sim_store_claim(
	struct sim_store *store, struct swm_str owner, int64_t lease_ms);
int64_t sim_store_next_due_ms(const struct sim_store *store);

#endif
