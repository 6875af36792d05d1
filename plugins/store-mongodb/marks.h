/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_MARKS_H
#define STORE_MONGODB_MARKS_H

/*
 * What became of messages that were sent, as writes. Those of instances stand among the
 * writes of a commit; those of carriers are another collection's.
 *
 * Concurrency: no state.
 */

#include "steps.h"

/* The marks of a call, those of one instance beside each other. */
struct marks {
	const struct swm_outbox_mark **items;
	size_t count;
	size_t of_instances; /* the first ones */
};

/* SWM_E_NOMEM. marks_finish() after SWM_OK. */
swm_status marks_sort(const struct swm_outbox_mark *marks, size_t count, struct marks *out,
	struct swm_error *err);
void marks_finish(struct marks *marks);

/* Adds the writes for the mark at *next and those of the same kind and instance behind it,
 * which *next then is past. Returns how many writes that makes. */
size_t marks_add(const struct marks *marks, size_t *next, const struct steps *steps,
	mongoc_bulk_operation_t *bulk);

/* Settles the marks of carriers. */
swm_status marks_of_carriers(struct swm_session *session, const struct marks *marks,
	const struct steps *steps, struct swm_error *err);

/* Removes rows from their carriers, only DEAD ones if so asked: then *removed
 * counts them. */
swm_status carriers_remove(struct swm_session *session, const struct swm_str *ids, size_t count,
	bool dead_only, size_t *removed, struct swm_error *err);

#endif
