/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_DISPATCHER_H
#define SWM_ENGINE_DISPATCHER_H

/*
 * Sends what no processor sends at once: rows whose delay is over (retries, timeouts,
 * deferred events), rows that a broker refused for a while, and the orphans of a
 * process that died between its commit and its publish. The store hands each row to
 * one claimer only, so every orchestrator runs a dispatcher, and none is special.
 *
 * Concurrency: one thread of its own; create, start, stop and destroy belong to the
 * engine's owner; wake is for any thread.
 */

#include "shared.h"

struct swm_dispatcher;

/* `slot` of the state is its own. SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_dispatcher_create(struct swm_shared *shared, size_t slot,
	struct swm_dispatcher **out, struct swm_error *err);

/* SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_dispatcher_start(struct swm_dispatcher *dispatcher, struct swm_error *err);

/* A row is due in so many milliseconds: sleeps no longer than that. */
void swm_dispatcher_wake(struct swm_dispatcher *dispatcher, int64_t due_ms);

/* The engine is stopping: waits for the thread, if it was started. */
void swm_dispatcher_stop(struct swm_dispatcher *dispatcher);

/* NULL is allowed. */
void swm_dispatcher_destroy(struct swm_dispatcher *dispatcher);

#endif
