/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_ASIDE_H
#define SWM_ENGINE_ASIDE_H

/*
 * What cannot go on is put aside in the store: parked for a person, or owed to its
 * queue again after a while. Only then it is done with.
 *
 * Concurrency: belongs to a processor's thread.
 */

#include "item.h"

/*
 * Parks and defers those of the events that a round found so, as rows without an
 * instance; they are DONE then. Failures as of outbox_put, nothing having changed, and
 * SWM_E_NOMEM.
 */
swm_status swm_aside_put(const struct swm_workshop *workshop, struct swm_inbound *events,
	size_t event_count, struct swm_error *err);

#endif
