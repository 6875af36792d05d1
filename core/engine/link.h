/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_LINK_H
#define SWM_ENGINE_LINK_H

/*
 * A thread's session with the store, through bad times: which failures end the
 * session, how long to wait before the next try, and that people hear of it once.
 *
 * Concurrency: belongs to one thread.
 */

#include "marks.h"
#include "retry.h"
#include "shared.h"

struct swm_link {
	struct swm_shared *shared;
	const struct swm_store_ops *ops;
	struct swm_session *session; /* NULL: closed */
	struct swm_retry retry;
	size_t slot;                    /* of the state */
	char owner[SWM_CHANCE_LEN + 1]; /* of the leases taken through it */
};

void swm_link_init(struct swm_link *link, struct swm_shared *shared, size_t slot);
void swm_link_close(struct swm_link *link);

/* Opens the session unless it is open. A failure is to be passed to
 * swm_link_failed(). */
swm_status swm_link_open(struct swm_link *link, struct swm_error *err);

/* A call, or the open, failed as a whole: closes the session when it is of no use any
 * more. Gives the milliseconds to wait before the next try. */
int64_t swm_link_failed(struct swm_link *link, swm_status status, const struct swm_error *err);

/* A call worked. */
void swm_link_worked(struct swm_link *link);

struct swm_str swm_link_owner(const struct swm_link *link);

/* Settles the marks with a commit of nothing else; they are empty on success. Failures
 * as of commit, to be passed to swm_link_failed(). */
swm_status swm_link_flush(
	struct swm_link *link, struct swm_marks *marks, struct swm_error *err);

#endif
