/* SPDX-License-Identifier: MIT */
#ifndef SWM_STORE_H
#define SWM_STORE_H

/*
 * The store port: workflow templates, workflow instances, the events that
 * moved them, and the messages they owe the world (the outbox).
 *
 * What every adapter promises:
 *  - a commit item is atomic: the instance's new state, its events and its
 *    outbox rows become visible together, or none of them ever [commit.atomic];
 *  - it is conditional: it succeeds only on the version it was computed from
 *    [commit.conditional] [commit.no-upsert] [race.version]
 *    [race.version-processes], and changes no other instance [commit.isolated];
 *  - items of one call are independent, so that an adapter may put them all
 *    into one transaction (one fsync) and yet fail only one of them
 *    [commit.independent] [commit.batch];
 *  - a session reads what was committed before, through it or any other
 *    [session.many] [race.visible].
 * What no adapter is asked for: transactions over two instances, joins, or an
 * understanding of `body`, which is the core's. It may index only the columns
 * named here. One document per instance is enough to keep every promise.
 *
 * What stands in brackets is a test of the conformance kit that holds an
 * adapter to the promise before it: swm-conform --list names them all, with
 * "store." before. A promise without one is about what the kit cannot bring
 * about, such as a full disk.
 *
 * Text is UTF-8 without NUL [load.columns]. What comes from outside as it may be, and is handed on
 * as it came, is bytes: bodies, the ids that senders gave, keys, header values
 * [events.columns] [outbox.contents] [commit.large].
 *
 * Time. A store that is shared measures leases and `due_ms` by its own clock, so
 * that orchestrators need not agree on the time; a local one asks the host.
 *
 * Threads and memory: as in swm/queue.h [memory.borrowed]. A swm_store is shared, a
 * swm_session is confined to one thread. Sets are released by the thread that received them.
 */

#include <swm/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct swm_store;
struct swm_session;

enum {
	/* Several orchestrators may use it. Without it a second open with
	 * SWM_OPEN_ORCHESTRATOR, from any process, is SWM_E_EXISTS and names the
	 * holder [open.exclusive] [open.exclusive-here] [open.shared]. */
	SWM_STORE_SHARED = 1 << 0
};

/* What became of an event; written by the core, shown to people. */
enum {
	SWM_OUTCOME_APPLIED = 1,
	SWM_OUTCOME_DUPLICATE = 2,
	SWM_OUTCOME_IGNORED = 3,
	SWM_OUTCOME_REJECTED = 4
};

/* The columns of an instance that are indexed and can be listed by. */
struct swm_instance_row {
	struct swm_str id; /* unique; at most 512 bytes [load.long-id] */
	struct swm_str workflow;
	struct swm_str component;
	struct swm_str business_ref;
	struct swm_str template_id; /* the template version it was born with */
	struct swm_str stage;       /* the active one; empty at the end */
	struct swm_str business_status;
	struct swm_str body; /* opaque bytes of the core's */
	int64_t version;     /* commits: 1 after the first */
	int64_t sequence;    /* of its last event */
	int64_t created_ms;
	int64_t updated_ms;
	int32_t status; /* the core's code, 1 to 31 */
	int32_t reserved0;
	uint64_t reserved[2];
};

struct swm_event_row {
	struct swm_str id;        /* the dedupe key */
	struct swm_str source_id; /* the id that the sender or the broker gave: bytes */
	struct swm_str name;
	struct swm_str stage; /* may be empty, like task */
	struct swm_str task;
	struct swm_str reason;
	struct swm_str actor;
	struct swm_str body; /* the bytes received */
	int64_t sequence;    /* 1, 2, ... within the instance */
	int64_t at_ms;
	uint32_t attempt; /* of the task; 0: none said */
	uint32_t outcome; /* SWM_OUTCOME_* */
	uint32_t rules;   /* the number of the rules that made this record */
	uint32_t reserved0;
	uint64_t reserved[2];
};

enum {
	SWM_OUTBOX_PENDING = 0, /* owed */
	SWM_OUTBOX_DEAD = 1     /* parked: kept, shown, not sent */
};

/* A message owed to the world. Body, key and header values are bytes, not text. */
struct swm_outbox_row {
	struct swm_str id;          /* unique for ever; at most 64 bytes [mark.sent-long-id] */
	struct swm_str instance_id; /* absent: a row of no instance */
	struct swm_str destination;
	struct swm_str key;
	struct swm_str body;
	struct swm_str reason; /* why it is DEAD or was put off */
	const struct swm_header *headers;
	size_t header_count;
	int64_t delay_ms; /* in; 0: now, leased to the committer [outbox.delay] */
	int64_t due_ms;   /* out, like all below */
	int64_t created_ms;
	int64_t lease_until_ms;
	int64_t claims;   /* how often outbox_claim gave it to somebody [outbox.claim-ends] */
	uint32_t state;   /* in and out: SWM_OUTBOX_* */
	uint32_t attempt; /* of the task; 0: of none. The core's, kept as is */
	uint32_t kind;    /* the core's, kept as is */
	uint32_t reserved0;
	uint64_t reserved[2];
};

/* One instance's step, in and out: all of it happens, or none. */
struct swm_commit {
	struct swm_instance_row next; /* .version is expected_version + 1 */
	int64_t expected_version;     /* 0: it must not exist yet [commit.create] */
	const struct swm_event_row *events;
	size_t event_count;
	const struct swm_outbox_row *outbox;
	size_t outbox_count;
	const struct swm_str *cancel; /* rows of this instance that end with this */
	size_t cancel_count; /* step, leased or not; unknown ids are fine [commit.cancel] */
	swm_status result;   /* out: OK, CONFLICT, TOO_LARGE, INDOUBT */
	int32_t reserved0;
	uint64_t reserved[2];
};

/* RETRY and DEAD count only while the lease is the committer's and has not run out:
 * somebody else may have the row since [mark.retry-lease] [mark.dead-lease]. */
enum {
	SWM_MARK_SENT = 1,  /* confirmed by the broker: gone [mark.sent] and without a
			     * trace [mark.sent-long], whatever its lease says
			     * [mark.sent-any-lease] */
	SWM_MARK_RETRY = 2, /* put off by delay_ms [mark.retry] [mark.retry-instance] */
	SWM_MARK_DEAD = 3   /* park it [mark.dead] */
};

struct swm_outbox_mark {
	struct swm_str id;
	struct swm_str instance_id; /* where the row lives [mark.sent-instance]; absent as
				     * in the row */
	struct swm_str reason;
	int64_t delay_ms;
	uint32_t action;
	uint32_t reserved;
};

/* One instance to be loaded. `seen` has event_count places, filled with 1 for
 * each event id that a commit of this instance already holds [seen.events]
 * [seen.many]. */
struct swm_load {
	struct swm_str id;
	const struct swm_str *event_ids;
	uint8_t *seen;
	size_t event_count;
	int64_t have_version; /* the body may be left absent when it is still this
			       * [load.have-version] */
	const struct swm_instance_row *instance; /* out: NULL when there is none
						  * [load.unknown] */
	uint64_t reserved[2];
};

struct swm_template_row {
	struct swm_str id; /* unique: names one version for ever [template.immutable] */
	struct swm_str workflow;
	struct swm_str component;
	struct swm_str body;
	struct swm_str author;
	struct swm_str comment;
	struct swm_str sha256; /* 64 hex digits */
	int64_t version;       /* 1, 2, ... within the component */
	int64_t created_ms;
	uint64_t reserved[2];
};

/* What is given has to hold, all of it [list.filters], as of the last commit
 * [list.follows]. */
struct swm_instance_filter {
	uint32_t size;
	uint32_t status_mask;    /* bit i: status i; 0: any */
	struct swm_str workflow; /* absent: any, here and below */
	struct swm_str component;
	struct swm_str business_ref;
	struct swm_str stage;
	struct swm_str template_id;
	int64_t updated_from_ms; /* inclusive; 0: unbounded */
	int64_t updated_to_ms;   /* inclusive; 0: unbounded */
};

/* Where a page ended; opaque; {NULL, 0} asks for the first page. From page to page each row
 * comes once [list.pages] [events.pages] [outbox.list], also while others are changed
 * [list.stable]. */
struct swm_page {
	struct swm_str after;
	uint32_t limit; /* 1 to 1000 */
	uint32_t reserved;
};

/* Results. The adapter owns what they point to until release() [load.backing]; a set that
 * was never filled is all zero bits and needs none. */
struct swm_set {
	const void *items; /* an array of what the call returns */
	size_t count;
	struct swm_str next; /* for swm_page.after; absent at the end */
	void *owner;
	void (*release)(struct swm_set *set);
};

enum {
	SWM_OUTBOX_REQUEUE = 1,
	SWM_OUTBOX_DROP = 2
};

enum {
	SWM_MIGRATE_CHECK = 0, /* SWM_E_CONFIG when it would have to act */
	SWM_MIGRATE_APPLY = 1
};

/*
 * The operation table. Members marked MUST are never NULL; MAY ones can be, and
 * the core then does without. Each lists the statuses that it may return beyond
 * these, which any may: SWM_E_NOMEM, SWM_E_INTERNAL, SWM_E_INVALID (the caller
 * broke the contract). Those that take a session may also return
 *   SWM_E_UNAVAILABLE  the session is only good for session_close() from now on;
 *                      of template_put, outbox_update, maintain and purge it is
 *                      not known whether they were carried out, all or in part:
 *                      they may be repeated
 *   SWM_E_THROTTLED    nothing was done; the session is fine, try again later
 *                      (a full disk, a server that is out of connections)
 *   SWM_E_TIMEOUT      nothing was done, within call_timeout_ms
 *   SWM_E_DENIED       the rights do not suffice
 *   SWM_E_CORRUPT      what is stored cannot be read back: stop
 * On failure outputs are untouched and `err`, when given, says why [failure.report].
 */
struct swm_store_ops {
	uint32_t size;
	uint32_t capabilities; /* SWM_STORE_* */

	/* MUST. Main thread. Need not connect. With SWM_OPEN_ORCHESTRATOR and without
	 * SWM_STORE_SHARED, SWM_E_EXISTS while another process holds it so; the
	 * message names that process [open.exclusive]. A child of a process that held
	 * it does not hold it on [open.not-inherited]. SWM_E_CONFIG, SWM_E_DENIED,
	 * SWM_E_UNAVAILABLE, SWM_E_CORRUPT. */
	swm_status (*open)(const struct swm_open_args *args, struct swm_store **out,
		struct swm_error *err);

	/* MUST. After its sessions are closed. Main thread. NULL is allowed
	 * [close.null]. */
	void (*close)(struct swm_store *store);

	/* MUST. Creates or upgrades the schema (APPLY), or tells whether that is
	 * needed (CHECK: SWM_E_CONFIG when it is) [migrate.check]. Safe to be run by
	 * several processes at once [migrate.concurrent]. *schema_version is the one
	 * in force afterwards [migrate.repeat]. A schema that is
	 * newer than the adapter is SWM_E_CONFIG. Main thread. SWM_E_UNAVAILABLE,
	 * SWM_E_DENIED, SWM_E_CORRUPT, SWM_E_TIMEOUT. */
	swm_status (*migrate)(struct swm_store *store, uint32_t mode, int32_t *schema_version,
		struct swm_error *err);

	/* MUST. The thread that calls owns the session; there may be many
	 * [session.many]. SWM_E_CONFIG: migrate has not been run [migrate.check]. */
	swm_status (*session_open)(
		struct swm_store *store, struct swm_session **out, struct swm_error *err);

	/* MUST. Sets that came from it and are not released become invalid. NULL is
	 * allowed [close.null]. */
	void (*session_close)(struct swm_session *session);

	/* MUST. The hot path's first round trip. For each item: the instance, or NULL
	 * when there is none, and which event ids its log holds [load.batch]. `backing`
	 * owns what the items point to [load.backing]. An item whose stored version
	 * equals have_version may come back with an absent body [load.have-version].
	 * The row and the answer to `seen` fit together: whoever is told "not seen" at
	 * version V and commits on V is the only one to do so [race.seen]. */
	swm_status (*load)(struct swm_session *session, struct swm_load *items, size_t count,
		struct swm_set *backing, struct swm_error *err);

	/* MUST. The hot path's second round trip. No instance twice among the items.
	 * New rows with delay 0 and state PENDING are leased to `owner` for lease_ms:
	 * the caller publishes them now [outbox.lease]; after that anybody may claim
	 * them [outbox.lease-ends]. DEAD ones are parked [commit.parked]. `marks` are
	 * settled alongside and never make an item fail [commit.marks]. Either array
	 * may be empty [mark.many]. What the call reports as done is durable against
	 * power loss [commit.durable].
	 * SWM_OK: all results are OK. SWM_E_CONFLICT: carried out, read each result
	 * [commit.independent]. SWM_E_INDOUBT: read each result; those marked so may
	 * or may not be applied, now or later: a server may still be at it when the
	 * connection is long gone. SWM_E_TOO_LARGE: carried out, the results of the
	 * others are set as well [commit.too-large]. Anything else: nothing was
	 * applied, neither items nor marks, and nothing will be. */
	swm_status (*commit)(struct swm_session *session, struct swm_str owner,
		int64_t lease_ms, struct swm_commit *items, size_t count,
		const struct swm_outbox_mark *marks, size_t mark_count, struct swm_error *err);

	/* MUST. Adds rows without an instance (parked [put.parked] or deferred
	 * messages), durably [put.durable], all or none [put.whole]. A row with delay 0
	 * and state PENDING is due at once and leased to nobody [put.due]. An id that is
	 * there already is SWM_OK and changes nothing [put.twice].
	 * SWM_E_TOO_LARGE, SWM_E_INDOUBT (repeat it). */
	swm_status (*outbox_put)(struct swm_session *session, const struct swm_outbox_row *rows,
		size_t count, struct swm_error *err);

	/* MUST. The other path: up to `limit` PENDING rows that are due and leased to
	 * nobody (their owner died, or they were put off) [outbox.limit]
	 * [outbox.claim-ends], earliest due first [outbox.order]. Gives each to one
	 * claimer only [race.claim] [race.claim-processes], raises its claims, and
	 * leases it for lease_ms. *next_due_ms: in how many milliseconds a further row
	 * may be due or a lease may end [outbox.next-due], -1 when nothing is owed
	 * [outbox.nothing-owed]; a commit of another process may make it sooner.
	 * Leases and due times go by one clock, the server's where it can compare
	 * within the operation: skew may cause a repeated send with the same id, never
	 * a loss. */
	swm_status (*outbox_claim)(struct swm_session *session, struct swm_str owner,
		int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
		struct swm_error *err);

	/* MUST. For people: DEAD rows only, others are left alone. REQUEUE makes them
	 * PENDING and due now [update.requeue] [update.requeue-instance], DROP deletes
	 * [update.drop]. *changed counts the rows it acted on, this time. */
	swm_status (*outbox_update)(struct swm_session *session, const struct swm_str *ids,
		size_t count, uint32_t action, size_t *changed, struct swm_error *err);

	/* MUST. Templates are never changed: an id once put is SWM_E_EXISTS when its
	 * body differs, SWM_OK when it does not [template.immutable] [template.race].
	 * Durable [template.durable]. */
	swm_status (*template_put)(struct swm_session *session,
		const struct swm_template_row *item, struct swm_error *err);

	/* MUST. One struct swm_template_row [template.columns], or SWM_E_NOT_FOUND
	 * [template.unknown]. */
	swm_status (*template_get)(struct swm_session *session, struct swm_str id,
		struct swm_set *out, struct swm_error *err);

	/* MUST. struct swm_template_row; of one component, newest version first, so
	 * that the first is the one in force [template.list]; of all (component
	 * absent), by component and then newest first [template.list-all]. */
	swm_status (*template_list)(struct swm_session *session, struct swm_str component,
		const struct swm_page *page, struct swm_set *out, struct swm_error *err);

	/* MUST. For people and for replay. struct swm_instance_row, bodies included,
	 * newest created first, since that never changes [list.pages], and by id among
	 * equals [list.equals]. */
	swm_status (*instance_list)(struct swm_session *session,
		const struct swm_instance_filter *filter, const struct swm_page *page,
		struct swm_set *out, struct swm_error *err);

	/* MUST. struct swm_event_row of one instance by sequence; none for an unknown
	 * instance [events.pages]. */
	swm_status (*event_list)(struct swm_session *session, struct swm_str id,
		const struct swm_page *page, struct swm_set *out, struct swm_error *err);

	/* MUST. struct swm_outbox_row, oldest created first; with `dead_only` the
	 * parked ones alone [outbox.list]. */
	swm_status (*outbox_list)(struct swm_session *session, bool dead_only,
		const struct swm_page *page, struct swm_set *out, struct swm_error *err);

	/* MAY. Housekeeping (move events, checkpoint), called when idle; returns after
	 * about budget_ms, SWM_OK when nothing is left to do, SWM_E_TIMEOUT when it
	 * should be called again; nothing is lost by it [maintain]. */
	swm_status (*maintain)(
		struct swm_session *session, int64_t budget_ms, struct swm_error *err);

	/* MAY. Deletes at most `limit` instances that are finished (the status is one
	 * of status_mask) and were last updated before, with their events and all that
	 * the outbox holds of them, parked or not [purge.finished]. Other sessions do
	 * not meet them again [purge.sessions]. */
	swm_status (*purge)(struct swm_session *session, uint32_t status_mask,
		int64_t before_ms, uint32_t limit, int64_t *purged, struct swm_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
