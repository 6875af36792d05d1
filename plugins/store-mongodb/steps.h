/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_STEPS_H
#define STORE_MONGODB_STEPS_H

/*
 * What one step writes: the document of a new instance, or the update of one; and the
 * documents of rows, which a carrier has as well.
 *
 * Concurrency: no state.
 */

#include "fields.h"
#include "store.h"

/* What the steps of one call share. */
struct steps {
	struct documents *documents; /* NULL: no readable form */
	struct swm_str owner; /* of rows without delay; absent: they are leased to nobody */
	int64_t lease_ms;
	int64_t earliest_ms; /* the server's time, see clock.h */
	int64_t latest_ms;
	bson_oid_t token; /* of this call: who won a version is told by it */
};

struct steps steps_begin(struct swm_session *session, struct swm_str owner, int64_t lease_ms);

/* `ms` from now on, or as late as can be. */
int64_t steps_after(int64_t now_ms, int64_t ms);

/* What a step adds to a document beside its state, and what it holds altogether. */
size_t step_kept_bytes(const struct swm_commit *item);
size_t step_bytes(const struct swm_commit *item);

/* Appends rows to a document of _swm that is being made: outbox, payload, due, parked. */
void put_rows(struct put *put, const struct steps *steps, const struct swm_outbox_row *rows,
	size_t count);

/* The document of a new instance. */
void step_document(const struct steps *steps, const struct swm_commit *item, struct put *out);

/* The update of an instance whose document keeps no more than `kept_max` bytes. */
void step_update(const struct steps *steps, const struct swm_commit *item, int64_t kept_max,
	struct put *filter, struct put *update);

#endif
