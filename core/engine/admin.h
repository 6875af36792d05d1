/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_ADMIN_H
#define SWM_ENGINE_ADMIN_H

/*
 * What people do with a store: apply and read templates, look at instances as they
 * are and as they were, prove them against their log, find a parked message, and
 * wait for an event that they have sent. The command line calls this; nothing here
 * changes an instance, since only events do that.
 *
 * Plain listings need no use case: call the operation table with admin->session,
 *   admin->store->instance_list(admin->session, &filter, &page, &set, err)
 * and likewise template_list, event_list, outbox_list (dead_only) and
 * outbox_update (SWM_OUTBOX_REQUEUE, SWM_OUTBOX_DROP).
 *
 * A set is released by `if (set.release != NULL) set.release(&set)`, as
 * swm_set_release() does; what its rows point to is gone then.
 *
 * Any call may fail with a status of the store's (swm/store.h); after
 * SWM_E_UNAVAILABLE only swm_admin_close() is left.
 *
 * Concurrency: an admin belongs to one thread.
 */

#include "env.h"

#include "event.h"
#include "fold.h"
#include "instance.h"
#include "template.h"

#include <swm/store.h>

struct swm_templates;

/* Read-only for callers. */
struct swm_admin {
	const struct swm_env *env;
	const struct swm_store_ops *store;
	struct swm_session *session;
	struct swm_payload_options payload;
	struct swm_event_limits limits;
	struct swm_templates *templates; /* compiled, kept until close */
};

/* What an admin works with; as in struct swm_engine_config. */
struct swm_admin_args {
	const struct swm_env *env;
	const struct swm_store_ops *store_ops;
	struct swm_store *store;
	struct swm_payload_options payload;
	struct swm_event_limits limits;
};

/* Opens a session. SWM_E_CONFIG: the store has not been migrated. */
swm_status swm_admin_open(
	const struct swm_admin_args *args, struct swm_admin *out, struct swm_error *err);

/* NULL and an admin of zero bits are allowed. */
void swm_admin_close(struct swm_admin *admin);

/* All zero bits, or released, is fine. */
void swm_set_release(struct swm_set *set);

/* Templates. */

struct swm_template_apply {
	struct swm_str text;
	struct swm_str author;
	struct swm_str comment;
};

struct swm_template_applied {
	char component[SWM_NAME_MAX + 1];
	int64_t version;
	bool created; /* false: contents equal to the newest, which `version` is */
};

/*
 * Makes the text the newest version of its component, or finds that it is that
 * already. `findings` as in swm_template_read(); the caller finishes them in any
 * case. SWM_E_INVALID: there are errors in it, nothing was stored.
 */
swm_status swm_admin_template_apply(struct swm_admin *admin,
	const struct swm_template_apply *apply, struct swm_template_applied *out,
	struct swm_findings *findings, struct swm_error *err);

/* One struct swm_template_row; version 0: the newest. The caller releases the set.
 * SWM_E_NOT_FOUND. */
swm_status swm_admin_template_get(struct swm_admin *admin, struct swm_str component,
	int64_t version, struct swm_set *out, struct swm_error *err);

/* Instances. */

struct swm_admin_instance {
	struct swm_instance *instance;
	const struct swm_template *template; /* the pinned one, the admin's */
	struct swm_str template_text;        /* the admin's: as it was applied */
	int64_t sequence;                    /* of the last record in it */
	int64_t created_ms;
	int64_t updated_ms; /* of the last record */
};

/* Frees what a call below filled. NULL and zero bits are allowed. */
void swm_admin_instance_finish(struct swm_admin_instance *instance);

/*
 * The instance as it is; the caller finishes *out.
 * SWM_E_NOT_FOUND; SWM_E_INVALID: the names are over a limit; SWM_E_CORRUPT,
 * SWM_E_UNSUPPORTED as swm_instance_read().
 */
swm_status swm_admin_instance_get(struct swm_admin *admin, struct swm_str component,
	struct swm_str business_ref, struct swm_admin_instance *out, struct swm_error *err);

/* The same of a row that instance_list gave, which is borrowed for the call. */
swm_status swm_admin_instance_read(struct swm_admin *admin, const struct swm_instance_row *row,
	struct swm_admin_instance *out, struct swm_error *err);

/* The instance as it was after the record with this sequence: the log folded so far.
 * SWM_E_NOT_FOUND: no such instance, or the log ends before. */
swm_status swm_admin_instance_at(struct swm_admin *admin, struct swm_str component,
	struct swm_str business_ref, int64_t sequence, struct swm_admin_instance *out,
	struct swm_error *err);

/* Folds the whole log and compares with the row's body and columns. SWM_E_CORRUPT: they
 * differ, and the message says how. An instance that moved meanwhile, between the row
 * and its log, is SWM_E_CONFLICT: read the row again. */
swm_status swm_admin_instance_verify(
	struct swm_admin *admin, const struct swm_instance_row *row, struct swm_error *err);

/* Parked messages. */

/* The parked row with this id: a set that holds it among others, and *row within. The
 * caller releases the set. SWM_E_NOT_FOUND. */
swm_status swm_admin_parked_get(struct swm_admin *admin, struct swm_str id, struct swm_set *out,
	const struct swm_outbox_row **row, struct swm_error *err);

/* Events. */

struct swm_admin_verdict {
	uint32_t outcome; /* SWM_OUTCOME_*; 0: parked */
	int64_t sequence; /* of the record; 0: parked */
	char reason[SWM_REASON_MAX + 1];
};

/*
 * Waits until an event is in the log of its instance, or parked. `body` is the
 * message that was sent; `raw_id` what identifies it when the body has no event_id
 * (its header swm-event-id), else absent.
 * SWM_E_TIMEOUT: not within timeout_ms. SWM_E_INVALID: not an event.
 */
swm_status swm_admin_event_wait(struct swm_admin *admin, struct swm_str body,
	struct swm_str raw_id, int64_t timeout_ms, struct swm_admin_verdict *out,
	struct swm_error *err);

#endif
