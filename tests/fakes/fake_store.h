/* SPDX-License-Identifier: MIT */
#ifndef SWM_FAKE_STORE_H
#define SWM_FAKE_STORE_H

/*
 * A store in memory, for tests of the engine: keeps the promises of swm/store.h,
 * aborts when the engine breaks its own (an instance twice in a commit, a session used
 * after SWM_E_UNAVAILABLE), and fails when told to.
 *
 * Concurrency: as the port says; one mutex of the environment's inside.
 */

#include "env.h"

#include <swm/store.h>

enum fake_store_op {
	FAKE_SESSION_OPEN,
	FAKE_LOAD,
	FAKE_COMMIT,
	FAKE_OUTBOX_PUT,
	FAKE_OUTBOX_CLAIM,
	FAKE_TEMPLATE_GET,
	FAKE_TEMPLATE_LIST,
	FAKE_STORE_OPS
};

extern const struct swm_store_ops fake_store_ops;

struct swm_store *fake_store_create(const struct swm_env *env);

/* Puts a template as its version 1; the text is JSON with single quotes for double
 * ones. */
void fake_store_put_template(
	struct swm_store *store, const char *component, int64_t version, const char *text);

/*
 * A failure to come: the `after`-th call of the operation from now (1: the next one),
 * and `times` in all, gives this status. With `applied` it is carried out all the same:
 * a lost answer. For commit, SWM_E_INDOUBT, SWM_E_CONFLICT and SWM_E_TOO_LARGE are given
 * per item, everything else for the whole call.
 */
struct fake_store_fault {
	enum fake_store_op op;
	unsigned after;
	unsigned times;
	swm_status status;
	bool applied;
};
void fake_store_inject(struct swm_store *store, const struct fake_store_fault *fault);

/* No more of them. */
void fake_store_heal(struct swm_store *store);

/* Called before each commit, while nothing is locked: the place for a competitor. */
void fake_store_before_commit(struct swm_store *store, void (*hook)(void *ctx), void *ctx);

/* Items with a body and events of more than so many bytes are SWM_E_TOO_LARGE. */
void fake_store_set_item_max(struct swm_store *store, size_t bytes);

unsigned fake_store_calls(struct swm_store *store, enum fake_store_op op);

/* Rows of the outbox in this state, and one of them by its place; NULL: none. What it
 * points to stays until the row goes. */
size_t fake_store_outbox_count(struct swm_store *store, uint32_t state);
const struct swm_outbox_row *fake_store_outbox(
	struct swm_store *store, uint32_t state, size_t index);

#endif
