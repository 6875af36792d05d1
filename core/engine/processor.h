/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_PROCESSOR_H
#define SWM_ENGINE_PROCESSOR_H

/*
 * One processor: a thread with a consumer, publishers and a store session of its own,
 * which takes a batch of events at a time all the way from receive to settle. Any
 * number of them, in any number of processes, compete for the events.
 *
 * Concurrency: create, start, stop and destroy belong to the engine's owner. The
 * consumer is the thread's; a mutex guards the pointer to it, for the wake at the end.
 */

#include "shared.h"

struct swm_processor;

/* The places in the state that a processor takes. */
#define SWM_PROCESSOR_SLOTS 3

/* Hears config->listen[listen]. `slot` is the first of its places in the state.
 * SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_processor_create(struct swm_shared *shared, size_t listen, size_t slot,
	size_t cache_bytes, struct swm_processor **out, struct swm_error *err);

/* SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_processor_start(struct swm_processor *processor, struct swm_error *err);

/* The engine is stopping: ends the wait in receive. */
void swm_processor_wake(struct swm_processor *processor);

/* Waits for the thread, if it was started. */
void swm_processor_join(struct swm_processor *processor);

/* NULL is allowed. */
void swm_processor_destroy(struct swm_processor *processor);

#endif
