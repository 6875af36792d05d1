/* SPDX-License-Identifier: MIT */
#ifndef SIM_JUDGE_PARTS_H
#define SIM_JUDGE_PARTS_H

/*
 * What the parts of the judge share: its books, and how it reads. See judge.h.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "book.h"
#include "judge.h"
#include "sim_store.h"

#include "arena.h"
#include "instance.h"
#include "swm_limits.h"
#include "template.h"

enum sim_entry_state {
	SIM_OWED,
	SIM_PARKED,
	SIM_GONE
};

/* A row of the outbox that was committed or put at any time. */
struct sim_entry {
	struct swm_str id;
	struct swm_str instance_id;
	struct swm_str destination;
	struct swm_str body;
	struct swm_str event_id; /* that it will carry on the workflow queue */
	struct sim_entry *next;  /* all of them, the newest first */
	struct sim_entry *next_timer;
	enum sim_entry_state state;
	enum sim_model_kind kind;                /* 0: none of the model's */
	size_t task;                             /* with a kind */
	uint32_t attempt;                        /* with a kind */
	bool published;                          /* the broker has had it */
	const void *told[SIM_ORCHESTRATORS_MAX]; /* the last thread that knows so */
	bool answered; /* by a TaskFailed of ours, since no broker takes it */
	struct sim_leases {
		int64_t until_ms; /* virtual, of the longest */
		uint32_t count;   /* that have not been used */
	} leases[SIM_ORCHESTRATORS_MAX];
};

/* A version of a template. */
struct sim_pattern {
	struct sim_pattern *next;
	struct swm_str id;
	json_t *root;
	struct swm_template *template; /* for the fold alone */
	size_t *places;                /* the model's task, by the domain's position */
	size_t **parents;              /* by the model's position; each ends with SIZE_MAX */
	double *stages;                /* their orders, in the order of the text */
};

/* How many StartTasks a task has had for its last attempt. */
struct sim_dispatched {
	uint32_t attempt;
	uint32_t count;
};

struct sim_case {
	struct sim_case *next;
	struct swm_str id;
	struct sim_pattern *pattern;
	struct sim_model *model;
	struct swm_instance *folded;
	struct sim_dispatched *dispatched; /* by the model's position */
	struct sim_entry *timers;
	int64_t version;
	int64_t sequence;
	int64_t created_ms;
};

/* What an orchestrator counts, and the judge as well. */
enum sim_counter {
	SIM_COUNT_RECEIVED,
	SIM_COUNT_RECORDED,
	SIM_COUNT_COMMITS,
	SIM_COUNT_PUBLISHED,
	SIM_COUNTERS
};

struct sim_reading;

/* That an orchestrator was given a message. When the log has it, it is no longer of
 * interest: to be recorded a second time would be blamed whoever does it. */
struct sim_given_fact {
	struct sim_given_fact *next;
	uint64_t fact;
	uint64_t body;
};

struct sim_given_book {
	struct sim_book facts;
	struct sim_given_fact *all;
};

struct sim_judge {
	struct sim_world *world;
	struct swm_arena memory;
	struct sim_book texts;   /* a body: struct sim_reading */
	struct sim_book entries; /* an id: struct sim_entry */
	struct sim_book cases;   /* an id: struct sim_case */
	struct sim_book facts;   /* what has been seen; see sim_judge_note() */
	struct sim_given_book given[SIM_ORCHESTRATORS_MAX];
	struct sim_book recorded_bodies;
	struct sim_book conflicts; /* an orchestrator's event: uint32_t, how many */
	struct sim_entry *all_entries;
	struct sim_case *all_cases;
	struct sim_pattern *patterns;
	struct sim_reading *readings;
	int64_t seen[SIM_COUNTERS];    /* by the judge */
	int64_t claimed[SIM_COUNTERS]; /* by the orchestrators */
	bool uncounted; /* a crash takes counts along, a doubt hides them, some come late */
	struct sim_violation violation;
};

/* Notes a violation, the first only. Always false. */
bool sim_judge_blame(struct sim_judge *judge, const char *invariant, const char *format, ...)
	SWM_PRINTF(3, 4);
const struct sim_violation *sim_judge_answer(const struct sim_judge *judge);

/* A copy that lives as long as the judge. */
struct swm_str sim_judge_copy(struct sim_judge *judge, struct swm_str text);

/* Facts are lists of texts, the first says of what kind. False: noted before. */
bool sim_judge_note(struct sim_judge *judge, const struct swm_str *texts, size_t count);
bool sim_judge_noted(const struct sim_judge *judge, const struct swm_str *texts, size_t count);

/* An event by itself, whatever brought it. */
struct sim_heard {
	json_t *event; /* NULL: nobody can use it, for `why` */
	const char *why;
	struct swm_str raw_id;      /* absent: it has none */
	struct swm_str instance_id; /* the judge's */
};
void sim_judge_hear(struct sim_judge *judge, struct swm_str body, struct swm_str id,
	const struct swm_header *headers, size_t header_count, struct sim_heard *out);

/* The fact that this event is in the log of its instance. `any_id`: under whatever id. */
bool sim_judge_note_recorded(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body);
bool sim_judge_is_recorded(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body);

/* The fact that this event, in whatever words, is put off or parked. */
void sim_judge_note_put_off(
	struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body);
bool sim_judge_is_put_off(
	const struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body);

/* The fact that an orchestrator was given this message. */
void sim_judge_note_given(struct sim_judge *judge, unsigned orchestrator, struct swm_str raw_id,
	struct swm_str body);
bool sim_judge_was_given(struct sim_judge *judge, unsigned orchestrator, struct swm_str raw_id,
	struct swm_str body);

/* How often this event's commit has met a conflict at that orchestrator. */
uint32_t *sim_judge_conflicts(
	struct sim_judge *judge, unsigned orchestrator, struct swm_str event_id);

struct sim_entry *sim_judge_entry(const struct sim_judge *judge, struct swm_str id);
struct sim_entry *sim_judge_add_entry(
	struct sim_judge *judge, const struct swm_outbox_row *row, struct swm_str event_id);

/* NULL: the store has no such template, or it cannot be read. */
struct sim_pattern *sim_judge_pattern(struct sim_judge *judge, struct swm_str id);
void sim_judge_finish_patterns(struct sim_judge *judge);

/* Whether a timer of this row is still of use. */
bool sim_judge_is_awaited(const struct sim_case *of, const struct sim_entry *entry);

/* What the model says that a commit owes. */
struct sim_wanted {
	size_t task;
	enum sim_model_kind kind;
	uint32_t attempt;
	double delay_ms;
	json_t *data; /* of a StartTask; owned */
	bool found;
};

/* The rows of a commit are those that the model wants, and each task has had as many
 * StartTasks as it should. `states` are what the store has, by the model's position. */
bool sim_judge_check_owed(struct sim_judge *judge, struct sim_case *of,
	const struct swm_commit *item, const struct swm_task_state *const *states,
	struct sim_wanted *wanted, size_t count);

/* What it cancels is pointless, and what is pointless it has cancelled. */
bool sim_judge_check_timers(
	struct sim_judge *judge, struct sim_case *of, const struct swm_commit *item);

/* An orchestrator may send this row, once, until then. */
void sim_judge_lease(struct sim_judge *judge, unsigned orchestrator, struct sim_entry *entry,
	int64_t lease_ms);

/* The rows that are due at once are the committer's to send. */
void sim_judge_lease_fresh(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_commit *item, int64_t lease_ms);

/* The bounds of "%.*s" for a text of any bytes. */
#define SIM_FMT(text) (int)((text).len < 120 ? (text).len : 120), (text).ptr ? (text).ptr : ""

#endif
