/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_TRANSITION_H
#define SWM_DOMAIN_TRANSITION_H

/*
 * The state machine: one event applied to one instance. It gives the verdict that
 * the log will hold, the messages that are owed to the world, and the ids of the
 * timers that have become pointless. Nothing else happens here: the same events
 * at the same times give the same bytes, whenever they are folded again.
 */

#include "arena.h"
#include "event.h"
#include "instance.h"

#include <swm/types.h>

/* The number of the rules below. A record of StartWorkflow holds it, and a later
 * release folds by those rules or says so. */
#define SWM_RULES 1

/* What became of an event. The first four are recorded, as SWM_OUTCOME_* of the
 * store port; the last is not: a timer of ours whose attempt is over. */
enum swm_outcome {
	SWM_APPLIED = 1,
	SWM_DUPLICATE = 2,
	SWM_IGNORED = 3,
	SWM_REJECTED = 4,
	SWM_UNRECORDED = 5
};

enum swm_message_kind {
	SWM_MESSAGE_START_TASK = 1,
	SWM_MESSAGE_TASK_TIMED_OUT = 2,
	SWM_MESSAGE_TASK_PENDING = 3
};

/* A message owed to the world. */
struct swm_owed {
	struct swm_id id;
	enum swm_message_kind kind;
	uint16_t task;
	uint32_t attempt;
	int64_t delay_ms;
	struct swm_str destination; /* absent: the workflow queue, ours */
	struct swm_str body;
};

/* What the events of one commit ask for, in the order it came about. All memory is
 * the arena's. */
struct swm_effects {
	struct swm_arena *arena;
	struct swm_owed *owed;
	size_t owed_count;
	size_t owed_cap;
	struct swm_id *cancelled; /* timers of earlier commits that end with this one */
	size_t cancelled_count;
	size_t cancelled_cap;
};

void swm_effects_init(struct swm_effects *effects, struct swm_arena *arena);

/* How messages are written. */
struct swm_payload_options {
	bool none;  /* not at all: of a fold only the state is wanted */
	bool plain; /* without `_swm`, for consumers with closed schemas */
	size_t data_max_bytes;
};

/* One event on its way into an instance. */
struct swm_step {
	const struct swm_event *event;
	struct swm_str raw_id; /* tells a timer of ours */
	int64_t at_ms;         /* the record's time: the only clock here */
	const struct swm_payload_options *options;
};

struct swm_verdict {
	enum swm_outcome outcome;
	struct swm_str reason; /* the arena's or a literal; absent when applied */
};

/*
 * Applies the event to the instance, which has been created (StartWorkflow) or read.
 * The sequence is raised unless the outcome is SWM_UNRECORDED.
 * SWM_E_NOMEM: instance and effects are of no use any more, drop both and start
 * from what is stored. No other failure.
 */
swm_status swm_transition(struct swm_instance *instance, const struct swm_step *step,
	struct swm_effects *effects, struct swm_verdict *verdict);

#endif
