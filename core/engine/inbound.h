/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_INBOUND_H
#define SWM_ENGINE_INBOUND_H

/*
 * A delivery on its way through a batch: what it is, which event, and how far it has
 * come.
 *
 * Concurrency: belongs to a processor's thread.
 */

#include "env.h"
#include "table.h"

#include "arena.h"
#include "event.h"
#include "hash.h"

#include <swm/queue.h>

/* How far a delivery has come. */
enum swm_inbound_state {
	SWM_INBOUND_NEW,      /* not read yet */
	SWM_INBOUND_OPEN,     /* an event of ours, not in the log as far as we know */
	SWM_INBOUND_UNUSABLE, /* to be parked, for `reason` */
	SWM_INBOUND_DONE,     /* committed, seen before, put off or parked: to be acked */
	SWM_INBOUND_SETTLED   /* its memory is the adapter's again */
};

/* What a round made of an open event. */
enum swm_inbound_fate {
	SWM_FATE_NONE,       /* not looked at, or to be looked at again */
	SWM_FATE_RECORDED,   /* done when the item is committed */
	SWM_FATE_PASSED,     /* nothing to record: done when all before it is */
	SWM_FATE_DEFERRED,   /* no such instance yet */
	SWM_FATE_NO_INSTANCE /* nor after all deferrals */
};

/* A delivery and what is known of it. */
struct swm_inbound {
	const struct swm_delivery *delivery;
	struct swm_event event; /* from OPEN on */
	bool has_event;
	bool alone; /* its instance's events are committed one by one */
	enum swm_inbound_state state;
	enum swm_inbound_fate fate;
	struct swm_inbound *first; /* the same event, earlier in the batch; NULL: none */
	struct swm_inbound *next;  /* of the same instance, in this round */
	struct swm_table_node by_key;
	struct swm_str raw_id;
	struct swm_str instance_id; /* the batch's arena, like reason */
	struct swm_str reason;      /* why it is UNUSABLE */
	struct swm_id key;
};

/* What reading needs; borrowed. */
struct swm_reader {
	const struct swm_env *env;
	const struct swm_event_limits *limits;
	struct swm_arena *lasting; /* as long as the batch */
	struct swm_table *keys;    /* of the batch: finds equal events of one instance */
};

/*
 * Takes a NEW one to OPEN, or to UNUSABLE with the reason. What has the id of an event
 * of the same instance earlier in the batch is linked to it.
 * SWM_E_NOMEM: it is still NEW.
 */
swm_status swm_inbound_read(
	const struct swm_reader *reader, struct swm_inbound *inbound, struct swm_error *err);

/* Frees what reading made. */
void swm_inbound_finish(struct swm_inbound *inbound);

/* Makes it UNUSABLE; `reason` is copied into the arena. SWM_E_NOMEM. */
swm_status swm_inbound_give_up(struct swm_inbound *inbound, struct swm_arena *lasting,
	struct swm_str reason, struct swm_error *err);

#endif
