/* SPDX-License-Identifier: MIT */
#ifndef STORE_SQLITE_STORE_H
#define STORE_SQLITE_STORE_H

/*
 * What the files of this plugin share: its two objects, the statements of a
 * session, and the functions behind the op table.
 *
 *   plugin.c      descriptor, options, op table         schema.c     tables, migrate
 *   store.c       open, close, the orchestrator's lock  session.c    sessions, statements
 *   load.c        the hot path's first call             commit.c     ... and its second
 *   outbox.c      put, claim, update, marks             lists.c      instances, events, outbox
 *   templates.c   workflow definitions                  housekeeping.c  maintain, purge
 *   rows.{h,c}    structs to parameters and columns back  arena.{h,c}   memory of a set
 *
 * Concurrency: a struct swm_store is read-only once open and shared by all threads.
 * A struct swm_session is one SQLite connection, confined to the thread that opened
 * it. Sessions of any thread or process meet only in the file, under the discipline
 * of common/sqlite_db.h.
 */

#include "sqlite_db.h"

#include <swm/store.h>

enum {
	STORE_SCHEMA_VERSION = 1,
	STORE_APPLICATION_ID = 0x73776d53, /* "swmS" */

	/* The bytes that one commit item or row may hold. Memory for it is needed a few
	 * times over (WAL, page cache, sets), and SQLite itself ends at 1 GB. */
	STORE_ITEM_BYTES_MAX = 64 * 1024 * 1024,
	/* purge() deletes this many instances under one lock, so that commits get in. */
	STORE_PURGE_SLICE = 200,
	/* Instances whose number a session remembers between load and commit: several
	 * batches of the hot path. A power of two. */
	STORE_HINTS = 1024
};

struct store_config {
	const char *path;
	int64_t cache_bytes;
};

struct swm_store {
	const struct swm_host *host;
	const char *instance;
	const struct store_config *config;
	int64_t call_timeout_ms;
	int orchestrator_fd; /* -1: not opened as the orchestrator */
};

/* The statements of a session; their text is in session.c. */
enum store_statement {
	STMT_SCHEMA_VERSION,
	STMT_INSTANCE_LOAD,
	STMT_INSTANCE_FIND,
	STMT_INSTANCE_INSERT,
	STMT_INSTANCE_UPDATE,
	STMT_INSTANCE_LIST,
	STMT_INSTANCE_FINISHED,
	STMT_INSTANCE_DELETE,
	STMT_EVENT_SEEN,
	STMT_EVENT_INSERT,
	STMT_EVENT_LIST,
	STMT_EVENT_DELETE,
	STMT_OUTBOX_INSERT,
	STMT_OUTBOX_PUT,
	STMT_OUTBOX_CANCEL,
	STMT_OUTBOX_SENT,
	STMT_OUTBOX_RETRY,
	STMT_OUTBOX_PARK,
	STMT_OUTBOX_DUE,
	STMT_OUTBOX_NEXT,
	STMT_OUTBOX_LEASE,
	STMT_OUTBOX_GET,
	STMT_OUTBOX_LIST,
	STMT_OUTBOX_LIST_DEAD,
	STMT_OUTBOX_REQUEUE,
	STMT_OUTBOX_FINISHED,
	STMT_OUTBOX_DROP,
	STMT_TEMPLATE_INSERT,
	STMT_TEMPLATE_GET,
	STMT_TEMPLATE_LIST,
	STMT_TEMPLATE_LIST_OF,
	STMT_COUNT
};

/* Memory that is used again by every call of a session. */
struct store_scratch {
	void *ptr;
	size_t bytes;
};

/* The number of the instance whose id has this hash, as it was found last. Only a
 * hint: what is done with it compares the id. */
struct store_hint {
	uint64_t hash;
	int64_t number;
};

struct swm_session {
	struct swm_db db;
	sqlite3_stmt *statements[STMT_COUNT];
	struct swm_store *store;
	struct store_scratch headers; /* one outbox row's headers, packed */
	struct store_scratch results; /* one commit's results; one claim's rows */
	struct store_hint hints[STORE_HINTS];
};

/* Makes room for `bytes`. False: no memory, and the old contents stay. */
bool store_scratch_reserve(struct store_scratch *scratch, size_t bytes);

int64_t store_now_ms(const struct swm_store *store);

/* now + delay, without overflow. */
int64_t store_due_ms(int64_t now_ms, int64_t delay_ms);

/* store.c */
swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err);
void store_close(struct swm_store *store);

/* schema.c */
swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err);

/* SWM_OK when the file's schema is ours, else SWM_E_CONFIG with what to do. */
swm_status store_schema_check(
	const struct swm_store *store, int64_t version, struct swm_error *err);

/* SWM_E_CONFIG when there is no file at all, so that looking does not create one. */
swm_status store_file_check(const struct swm_store *store, struct swm_error *err);

/* session.c */
swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err);
void store_session_close(struct swm_session *session);

/* load.c */

/* Remembers an instance's number; what is remembered for that id; 0: nothing. */
void store_hint_put(struct swm_session *session, struct swm_str id, int64_t number);
int64_t store_hint_get(const struct swm_session *session, struct swm_str id);

swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err);

/* commit.c */
swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err);

/* outbox.c */

/* Who gets the fresh rows of a commit, and until when. An absent owner: nobody. */
struct store_lease {
	struct swm_str owner;
	int64_t now_ms;
	int64_t until_ms;
};

/* Within a write transaction: adds a row with `statement` (STMT_OUTBOX_INSERT or
 * _PUT). The row was checked before. */
swm_status store_outbox_insert(struct swm_session *session, enum store_statement statement,
	struct swm_str instance_id, const struct swm_outbox_row *row,
	const struct store_lease *lease, struct swm_error *err);

/* Within a write transaction: settles one mark. */
swm_status store_outbox_settle(struct swm_session *session, const struct store_lease *lease,
	const struct swm_outbox_mark *mark, struct swm_error *err);

swm_status store_outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err);
swm_status store_outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err);
swm_status store_outbox_update(struct swm_session *session, const struct swm_str *ids,
	size_t count, uint32_t action, size_t *changed, struct swm_error *err);

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

/* plugin.c; entry.c shows it to the host. */
extern const struct swm_plugin store_sqlite_plugin;

#endif
