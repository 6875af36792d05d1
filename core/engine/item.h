/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_ITEM_H
#define SWM_ENGINE_ITEM_H

/*
 * One instance's part of a batch: its events, taken through the state machine in
 * their order, become one commit item.
 *
 * Concurrency: belongs to a processor's thread.
 */

#include "cache.h"
#include "inbound.h"
#include "link.h"
#include "shared.h"
#include "table.h"

#include "transition.h"

#include <swm/store.h>

/* Where items are computed. */
struct swm_workshop {
	struct swm_shared *shared;
	struct swm_link *link;
	struct swm_cache *cache;
	struct swm_arena *lasting; /* as long as the batch */
	struct swm_arena *round;
	int64_t at_ms; /* the time of all records of this round */
};

struct swm_item {
	struct swm_table_node node; /* by the instance's id */
	struct swm_inbound *first;
	struct swm_inbound *last;
	size_t event_count;
	struct swm_cached *cached; /* NULL: no such instance, or not known yet */
	bool changed;              /* `cached` holds what is not committed */
	swm_status trouble;        /* it has to wait: see swm_item_apply() */
	struct swm_effects effects;
	struct swm_event_row *records;
	size_t record_count;
	struct swm_header *traces; /* by StartTask owed, in order; absent name: none */
	size_t trace_count;
};

/*
 * Applies the item's events to what `load` found; sets the fate of each. Those that
 * can never be applied become UNUSABLE.
 * SWM_OK: the item may be committed, if it has records. item->trouble then is SWM_OK, or
 * SWM_E_UNSUPPORTED when the instance or its template belongs to a newer release; *err
 * says so, and its events stay open.
 * Anything else is a failure of the store or of memory: the item's instance has
 * changed for nothing, and is to be dropped with swm_item_forget().
 */
swm_status swm_item_apply(const struct swm_workshop *workshop, struct swm_item *item,
	const struct swm_load *load, struct swm_error *err);

/* Writes the commit of an item with records. False: out of memory. */
bool swm_item_commit(const struct swm_workshop *workshop, const struct swm_item *item,
	struct swm_commit *out);

/* Drops the cached instance. */
void swm_item_forget(const struct swm_workshop *workshop, struct swm_item *item);

#endif
