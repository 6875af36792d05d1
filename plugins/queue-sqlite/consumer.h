/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_CONSUMER_H
#define QUEUE_SQLITE_CONSUMER_H

/*
 * What the files about consuming share: consumer.c opens, waits and closes; take.c leases
 * messages; settle.c gives leases back.
 *
 * Concurrency: all of a consumer belongs to its thread, but `woken`.
 */

#include "deliveries.h"
#include "queue_sqlite.h"

#include <stdatomic.h>

struct swm_source {
	struct swm_str name; /* in the consumer's own memory */
	int64_t queue_id;
	swm_wake_mask mask;
	bool ready; /* at the last look there was something */
};

/* A delivery before the transaction that leases it is committed. */
struct swm_taken {
	struct swm_lease lease;
	struct swm_delivery delivery;
	int64_t old_due_ms; /* the key of its lease until now; FRESH: it has none */
};

struct swm_consumer {
	struct swm_queue *queue;
	struct swm_db db;
	/* A look: how many fresh ones there are, when the first lease ends. */
	sqlite3_stmt *look;
	/* Taking. */
	sqlite3_stmt *read_returned;
	sqlite3_stmt *lease_returned;
	sqlite3_stmt *read_taken;
	sqlite3_stmt *read_fresh;
	sqlite3_stmt *lease_fresh;
	sqlite3_stmt *write_taken;
	/* Settling. */
	sqlite3_stmt *drop_lease;
	sqlite3_stmt *drop_message;
	sqlite3_stmt *count_leases;
	sqlite3_stmt *drop_leases;
	sqlite3_stmt *drop_messages;
	sqlite3_stmt *move_lease;

	struct swm_source *sources;
	size_t source_count;
	size_t turn;      /* the source to begin with */
	bool fresh_first; /* it is the turn of the fresh ones */
	uint32_t prefetch;
	uint32_t settlement; /* counts the settle calls, see struct swm_lease */
	struct swm_deliveries deliveries;
	struct swm_taken *taken; /* room for those of one receive */
	size_t taken_room;
	swm_wake_mask mask; /* all that can wake it: its sources and its own slot */
	swm_wake_mask own_mask;
	_Atomic bool woken;
	bool failed;
};

/* consumer.c: SWM_E_UNAVAILABLE when it has failed before. */
SWM_NODISCARD swm_status swm_consumer_check(
	const struct swm_consumer *consumer, struct swm_error *err);

/* consumer.c: turns the status of a database call into one of the port's, and
 * remembers whether the consumer is good for anything but closing. */
SWM_NODISCARD swm_status swm_consumer_status(
	struct swm_consumer *consumer, swm_status status, struct swm_error *err);

/* take.c: prepares its statements. */
SWM_NODISCARD swm_status swm_take_prepare(struct swm_consumer *consumer, struct swm_error *err);

/* take.c: leases what there is for the sources that are `ready`, at most `max`, which
 * prefetch allows. SWM_OK with *count 0: others were faster. */
SWM_NODISCARD swm_status swm_take(struct swm_consumer *consumer, size_t max,
	struct swm_delivery *out, size_t *count, struct swm_error *err);

/* settle.c: prepares its statements. */
SWM_NODISCARD swm_status swm_settle_prepare(
	struct swm_consumer *consumer, struct swm_error *err);

/* settle.c: gives everything that is out back, so that it can be taken at once. */
void swm_settle_return_all(struct swm_consumer *consumer);

#endif
