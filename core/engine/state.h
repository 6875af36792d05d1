/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_STATE_H
#define SWM_ENGINE_STATE_H

/*
 * How the orchestrator stands. Every thread says of each thing it depends on whether
 * it works; this makes one answer of it for the host, and one log line of each
 * change, however often a thing is tried.
 *
 * Concurrency: shared by all threads, behind a mutex.
 */

#include "engine.h"

struct swm_state;

/* `slots` things, none of which works yet. SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_state_create(const struct swm_engine_config *config, size_t slots,
	struct swm_state **out, struct swm_error *err);

/* NULL is allowed. */
void swm_state_destroy(struct swm_state *state);

/* `what` is a literal ("store"); `problem` NULL: it works. */
void swm_state_set(struct swm_state *state, size_t slot, const char *what,
	const struct swm_error *problem);

#endif
