/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_STORE_H
#define STORE_MONGODB_STORE_H

/*
 * What the files of this plugin share: its two objects and the functions behind the op
 * table.
 *
 *   plugin.c        descriptor, options, op table     wire.{h,c}    commands, their failures
 *   store.c         open, close, where to connect     fields.{h,c}  structs and documents
 *   session.c       sessions                          sets.{h,c}    documents as result sets
 *   clock.{h,c}     the server's time                 schema.c      collections, indexes
 *   load.c          the hot path's first call         events.{h,c}  the log's two places
 *   commit.c        ... and its second, made of       outbox.c      put, update
 *   steps.{h,c}     the documents of one step         claim.c       claim
 *   marks.{h,c}     what became of messages           lists.c       instances, events, outbox
 *   templates.c     workflow definitions              housekeeping.c maintain, purge
 *   document.{h,c}  the readable form                 json.{h,c}    JSON as BSON
 *
 * One document per instance holds all that a step changes: the state, the events of the
 * last steps, and the messages that are owed. So a step is one update of one document, by
 * its version, and needs no transaction. README.md shows the document.
 *
 * Concurrency: a struct swm_store is read-only once open and shared by all threads. A
 * struct swm_session is one client of the library's pool, confined to the thread that
 * opened it. Sessions of any thread, process or machine meet only in the server.
 */

#include "clock.h"
#include "wire.h"

#include <swm/store.h>

enum {
	STORE_SCHEMA_VERSION = 1,

	/* The server's limit for a document is 16 MiB. One step, or one row, holds this much
	 * at most... */
	STORE_ITEM_BYTES_MAX = 8 * 1024 * 1024,
	/* ... and a document with all that is kept in it no more than this, which leaves room
	 * for the names of fields and for the readable form. */
	STORE_DOCUMENT_BYTES_MAX = 12 * 1024 * 1024,
	/* A step that finds more than this in a document has its events moved first: every
	 * update writes all of the document. */
	STORE_KEPT_BYTES_MAX = 1024 * 1024,
	/* What an event or a row takes beside its texts and bodies: names and numbers. */
	STORE_EVENT_OVERHEAD = 320,
	STORE_ROW_OVERHEAD = 512,
	/* purge() and maintain() handle this many instances at a time. */
	STORE_SLICE = 50,
	/* A commit whose answer was lost among later ones is found again among so many. */
	STORE_TOKENS = 16,
	/* Wire version 6 is MongoDB 3.6, the oldest with all that is used here. */
	STORE_WIRE_VERSION_MIN = 6,
	STORE_NAME_MAX = 31
};

/* The last millisecond that a date in the server's shell can show. */
#define STORE_TIME_MAX INT64_C(253402300799999)

/* The values of `body`, in the order of its choices. */
enum {
	STORE_BODY_BYTES,
	STORE_BODY_DOCUMENT
};

struct store_config {
	const char *uri;
	const char *password; /* NULL: none */
	const char *tls_ca;
	const char *tls_cert_key;
	const char *database;
	const char *collection_prefix;
	const char *application_name;
	int32_t body;
};

enum store_collection {
	COLLECTION_DEFINITION,
	COLLECTION_INSTANCE,
	COLLECTION_EVENT,
	COLLECTION_OUTBOX, /* carriers: rows without an instance */
	COLLECTION_VERSION,
	COLLECTION_COUNT
};

struct swm_store {
	const struct swm_host *host;
	const char *instance;
	const struct store_config *config;
	int64_t timeout_ms;
	mongoc_client_pool_t *pool;
	char *where;
	char names[COLLECTION_COUNT][2 * STORE_NAME_MAX];
};

struct documents;

struct swm_session {
	struct swm_store *store;
	struct documents *documents; /* NULL: "body" is "bytes" */
	struct wire wire;
	struct clock clock;
	mongoc_collection_t *collections[COLLECTION_COUNT];
};

/* store.c */
swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err);
void store_close(struct swm_store *store);

/* schema.c */
swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err);

/* SWM_OK when the database's schema is ours, else SWM_E_CONFIG with what to do. */
swm_status store_schema_check(struct swm_session *session, struct swm_error *err);

/* session.c */
swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err);
void store_session_close(struct swm_session *session);

/* The same without a look at the schema. */
swm_status store_connect(
	struct swm_store *store, struct swm_session **out, struct swm_error *err);

/* An empty list of writes for a collection; the server may do them in any order unless
 * `ordered`. The caller destroys it. */
mongoc_bulk_operation_t *store_bulk(
	struct swm_session *session, enum store_collection collection, bool ordered);

/* load.c */
swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err);

/* commit.c */
swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err);

/* outbox.c */
swm_status store_outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err);
swm_status store_outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err);

/* claim.c */
swm_status store_outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err);

/* templates.c */
swm_status store_template_put(struct swm_session *session, const struct swm_template_row *item,
	struct swm_error *err);
swm_status store_template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err);
swm_status store_template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err);

/* lists.c */
swm_status store_instance_list(struct swm_session *session,
	const struct swm_instance_filter *filter, const struct swm_page *page,
	struct swm_set *out, struct swm_error *err);
swm_status store_event_list(struct swm_session *session, struct swm_str id,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err);
swm_status store_outbox_list(struct swm_session *session, bool dead_only,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err);

/* housekeeping.c */
swm_status store_maintain(
	struct swm_session *session, int64_t budget_ms, struct swm_error *err);
swm_status store_purge(struct swm_session *session, uint32_t status_mask, int64_t before_ms,
	uint32_t limit, int64_t *purged, struct swm_error *err);

/* Deletes what is left of an instance that is being purged, so that its id is free. */
swm_status store_purge_rest(
	struct swm_session *session, struct swm_str id, struct swm_error *err);

/* plugin.c; entry.c shows it to the host. */
extern const struct swm_plugin store_mongodb_plugin;

#endif
