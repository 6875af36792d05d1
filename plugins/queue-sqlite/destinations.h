/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_DESTINATIONS_H
#define QUEUE_SQLITE_DESTINATIONS_H

/*
 * The queues a publisher has sent to, by name, so that a message costs no look-up in
 * the database; and within a transaction, which of them it has touched and how far it
 * has numbered their messages.
 *
 * Queues are never deleted and never change their id, so an entry stays right for
 * ever, but for one of a transaction that was rolled back (it may have created the
 * queue): then all are forgotten.
 *
 * Concurrency: confined to the thread of the publisher.
 */

#include <swm/types.h>

struct swm_destination {
	struct swm_destination *next_touched; /* within one transaction */
	bool touched;
	int64_t queue_id;
	int64_t published; /* the number of its last message; while touched */
	size_t name_len;
	char name[];
};

struct swm_destinations {
	struct swm_destination **items; /* sorted by name */
	size_t count;
	size_t room;
	struct swm_destination *touched;
};

void swm_destinations_init(struct swm_destinations *destinations);
void swm_destinations_finish(struct swm_destinations *destinations);

/* NULL when it is not known yet. */
struct swm_destination *swm_destinations_find(
	const struct swm_destinations *destinations, struct swm_str name);

/* Adds one that find did not find. NULL: out of memory. */
struct swm_destination *swm_destinations_add(
	struct swm_destinations *destinations, struct swm_str name, int64_t queue_id);

/* Puts one on the list of the current transaction, if it is not on it. */
void swm_destinations_touch(
	struct swm_destinations *destinations, struct swm_destination *destination);

/* Empties the list after a commit. */
void swm_destinations_settle(struct swm_destinations *destinations);

/* Forgets everything, after a rollback. */
void swm_destinations_clear(struct swm_destinations *destinations);

#endif
