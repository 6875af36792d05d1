/* SPDX-License-Identifier: MIT */
#ifndef POWER_WORK_H
#define POWER_WORK_H

/*
 * What is going on when the power fails: one thread that asks store and queue for this
 * and that, as the seed has it, through the ports, and tells the model.
 *
 * Every operation is one transaction at most, so that a state between two operations is
 * never a right one. Nothing fails but what a disk in trouble makes fail: any other
 * status that is not expected ends the program.
 *
 * Concurrency: one thread.
 */

#include "model.h"
#include "rig.h"

enum {
	WORK_SESSIONS = 2,
	WORK_CONSUMERS = 2,
	WORK_QUEUES = 3,
	WORK_OUT_MAX = 64
};

/* A delivery that is out. */
struct work_out {
	uint64_t token;
	uint32_t message;
	uint32_t consumer;
};

struct work {
	struct rig *rig;
	struct model *model;
	struct record *record;
	const char *folder;
	struct chance chance;
	bool large;               /* bodies so large that the files' own checkpoints come */
	bool troubled;            /* the disk fails at times; see shim.h */
	uint64_t failures;        /* that it caused */
	bool doubt[MODEL_PLACES]; /* the last operation there may come back */
	struct rig_store store;
	struct swm_session *sessions[WORK_SESSIONS];
	struct rig_queue queue;
	struct swm_publisher *publisher;
	struct swm_consumer *consumers[WORK_CONSUMERS];
	struct work_out out[WORK_OUT_MAX];
	size_t out_count;
	void **pieces; /* memory of one operation */
	size_t piece_count, piece_room;
};

/* Opens both plugins on `folder`, which may be empty or hold an image. What is recorded
 * and what is in the model stands in the other members, which the caller fills. */
void work_open(struct work *work);

/* One operation. */
void work_step(struct work *work);

/* Closes all; nothing of that belongs to the model. */
void work_close(struct work *work);

/* --- Shared by work.c, work_store.c and work_queue.c --- */

void work_op_begin(struct work *work, enum model_place place, const char *what, bool durable);
void work_op_end(struct work *work);

/* Ends the program when the status is not SWM_OK. */
void work_must(swm_status status, const struct swm_error *err, const char *what);

/* Around a call that a disk in trouble may make fail. Returns whether it did, of which
 * `status` must tell; and then the operation is undone in the model, once all that it
 * would have done stands there. */
void work_risk(struct work *work);
bool work_failed(
	struct work *work, swm_status status, const struct swm_error *err, const char *what);
void work_undo(struct work *work, swm_status status);

/* Zeroed, until the operation ends. */
void *work_alloc(struct work *work, size_t count, size_t size);

/* A letter and a number, as ids are made here; and back. */
struct swm_str work_name(struct work *work, char letter, uint32_t number);
uint32_t work_number_of(struct swm_str name);

/* Bytes by chance: mostly few, sometimes more than a page. */
struct swm_str work_body(struct work *work);

/* Up to two headers. */
const struct swm_header *work_headers(struct work *work, size_t *count);

/* Somebody opens and closes a database with SQLite alone, as the `sqlite3` command does:
 * the last one to close it checkpoints, and removes the WAL. FILE is below the folder. */
void work_visit(struct work *work, const char *file);

void work_store_open(struct work *work);
void work_store_step(struct work *work);
void work_store_write(struct work *work);
void work_store_close(struct work *work);
void work_queue_open(struct work *work);
void work_queue_step(struct work *work);
void work_queue_write(struct work *work);
void work_queue_close(struct work *work);
void work_consumers_open(struct work *work);
void work_consumers_close(struct work *work);

#endif
