/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_ROUTER_H
#define SWM_ENGINE_ROUTER_H

/*
 * Which broker a destination lives on, and what is known of it: whether it has been
 * prepared, and whether it is refusing, so that this is logged once and not for
 * each message.
 *
 * Concurrency: shared by all threads, behind a mutex. A destination, once found, stays
 * where it is; its name, queue and workflow never change.
 */

#include "engine.h"
#include "table.h"

struct swm_router;

struct swm_destination {
	struct swm_table_node node; /* by name */
	struct swm_destination *next;
	size_t queue;  /* index of the adapter */
	bool workflow; /* one of those that we hear ourselves */
	bool prepared; /* the router's, like refusing */
	bool refusing;
	char name[];
};

/* SWM_E_CONFIG: a pattern with a '*' that is not at its end, or an adapter that does
 * not exist. SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_router_create(
	const struct swm_engine_config *config, struct swm_router **out, struct swm_error *err);

/* NULL is allowed. */
void swm_router_destroy(struct swm_router *router);

/* NULL: out of memory. */
struct swm_destination *swm_router_find(struct swm_router *router, struct swm_str name);

bool swm_router_is_prepared(
	struct swm_router *router, const struct swm_destination *destination);
void swm_router_set_prepared(
	struct swm_router *router, struct swm_destination *destination, bool prepared);

/* Says whether that is news. */
bool swm_router_set_refusing(
	struct swm_router *router, struct swm_destination *destination, bool refusing);

#endif
