/* SPDX-License-Identifier: MIT */
#ifndef POWER_MODEL_H
#define POWER_MODEL_H

/*
 * What store and queue have to hold: a list of what was asked of them, and of all that
 * ever stood in them, each thing with the operation that brought it and the one that
 * ended it. A thing that changes is another thing.
 *
 * The state after an operation is a sum of hashes, so that a state that was read back
 * is found among those that were, and nothing else passes: a row that is missing, half
 * written, or from another time makes another sum.
 *
 * Concurrency: one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <swm/queue.h>
#include <swm/store.h>

/* Each has a file of its own, and so a history of its own. */
enum model_place {
	MODEL_STORE,
	MODEL_QUEUE,
	MODEL_PLACES
};

enum model_kind {
	MODEL_SCHEMA,
	MODEL_TEMPLATE,
	MODEL_INSTANCE,
	MODEL_EVENT,
	MODEL_ROW,     /* of the outbox */
	MODEL_NAME,    /* a queue */
	MODEL_MESSAGE, /* in a queue, with the attempt that its next delivery has */
	MODEL_KINDS
};

#define MODEL_FOR_EVER UINT32_MAX

struct model_item {
	uint64_t hash;
	uint64_t fixed; /* ROW, MESSAGE: the hash of what never changes */
	enum model_kind kind;
	uint32_t born; /* the operation that brought it */
	uint32_t died; /* the operation that ended it, or MODEL_FOR_EVER */
	uint32_t number;
	/* What the next operations have to know. */
	uint32_t of;      /* an event's or row's instance (0: none), a message's queue */
	uint32_t state;   /* ROW */
	int64_t version;  /* INSTANCE; MESSAGE: the next attempt */
	int64_t sequence; /* INSTANCE, EVENT */
	int64_t created_ms;
	int64_t due_ms; /* ROW, here and below */
	int64_t lease_until_ms;
	int64_t claims;
	uint64_t reason; /* a hash, 0: none */
	int32_t status;  /* INSTANCE */
	bool leased;     /* ROW */
};

struct model_op {
	const char *what;
	enum model_place place;
	bool durable;  /* the port promises that its effect stays, once reported */
	size_t begins; /* the record's entries before it, and after it was reported */
	size_t ends;
	uint64_t sums[MODEL_PLACES]; /* the states after it */
	bool doubtful;               /* it failed, but a crash may bring it */
	uint64_t doubt;              /* the state of its place then */
};

/*
 * What was written and lost in an earlier crash may lie in the WAL still, behind a gap.
 * If what is written first now fills the gap with the very same bytes (a queue that is
 * made anew, say: no time stands in it), SQLite reads on, and what was lost is there after
 * all: a right state, of another history. These are its states, in order, from the one that
 * was recovered.
 */
struct model_lost {
	uint64_t *sums;
	size_t count, room;
};

struct model {
	struct model_item *items;
	struct model_op *ops; /* the first one stands for what was there before */
	size_t item_count, item_room;
	size_t op_count, op_room;
	uint64_t sums[MODEL_PLACES];
	struct model_lost lost[MODEL_PLACES];
	uint32_t last_number;
};

void model_init(struct model *model);
void model_finish(struct model *model);

/* A number that nothing else has. */
uint32_t model_number(struct model *model);

/* Between the two, things are brought and ended. `at`: the record's length. */
void model_op_begin(
	struct model *model, enum model_place place, const char *what, bool durable, size_t at);
void model_op_end(struct model *model, size_t at);

/* Before model_op_end(): it failed, so all that was brought and ended is undone. With
 * `doubtful` a crash may bring it back, until another operation there succeeds. */
void model_op_fail(struct model *model, bool doubtful);

void model_bring(struct model *model, const struct model_item *item);
void model_end(struct model *model, size_t index);

/* Ends one and brings another in its place. */
void model_replace(struct model *model, size_t index, const struct model_item *item);

/* The index of what is there now; SIZE_MAX: nothing is. */
size_t model_find(const struct model *model, enum model_kind kind, uint32_t number);

/* The same, one by chance (`chance` is any number). */
size_t model_pick(const struct model *model, enum model_kind kind, uint64_t chance);

/* What a crash at point `at` leaves open: the states after the operations from *low to
 * *high, both included. */
void model_bounds(const struct model *model, enum model_place place, size_t at, uint32_t *low,
	uint32_t *high);

/* Is `sum` a state of what was lost before, reached from one of the states after the
 * operations `low` to `high`? */
bool model_was_lost(const struct model *model, enum model_place place, uint32_t low,
	uint32_t high, uint64_t sum);

/* Goes back to the states after operations `ops` and forgets the others: what follows
 * is a new list of operations. */
void model_go_back(struct model *model, const uint32_t ops[MODEL_PLACES]);

enum model_place model_place_of(enum model_kind kind);

/* --- Hashes of what the ports show --- */

uint64_t hash_text(const char *text);
uint64_t hash_str(struct swm_str text);
uint64_t hash_schema(void);
uint64_t hash_template(const struct swm_template_row *row);
uint64_t hash_instance(const struct swm_instance_row *row);
uint64_t hash_event(struct swm_str instance, const struct swm_event_row *row);
uint64_t hash_row_fixed(const struct swm_outbox_row *row);

/* Of the members that change, in `item`, and item->fixed. */
uint64_t hash_row(const struct model_item *item);
uint64_t hash_name(struct swm_str name);
uint64_t hash_message_fixed(struct swm_str queue, struct swm_str id, struct swm_str key,
	struct swm_str body, const struct swm_header *headers, size_t header_count);
uint64_t hash_message(uint64_t fixed, int64_t attempt);

#endif
