/* SPDX-License-Identifier: MIT */
#ifndef STORE_POSTGRESQL_STORE_H
#define STORE_POSTGRESQL_STORE_H

/*
 * What the files of this plugin share: its two objects and the functions behind the
 * op table.
 *
 *   plugin.c      descriptor, options, op table       statements.{h,c}  all SQL but the schema's
 *   store.c       open, close, names of tables        schema.c, view.c  tables, migrate, the view
 *   session.c     sessions                            wire.{h,c}        one connection, deadlines
 *   load.c        the hot path's first call           params.{h,c}      structs to parameters
 *   commit.c      ... and its second                  rows.{h,c}        ... and columns back
 *   outbox.c      put, claim, update                  lists.c           instances, events, outbox
 *   templates.c   workflow definitions                housekeeping.c    purge
 *
 * Concurrency: a struct swm_store is read-only once open and shared by all threads. A
 * struct swm_session is one connection, confined to the thread that opened it. Sessions
 * of any thread, process or machine meet only in the server.
 */

#include "params.h"
#include "statements.h"
#include "wire.h"

#include <swm/store.h>

enum {
	STORE_SCHEMA_VERSION = 2,

	/* The bytes that one commit item or row may hold: the server ends at 1 GB for a
	 * value, and needs memory for it a few times over. */
	STORE_ITEM_BYTES_MAX = 64 * 1024 * 1024,
	/* What one statement carries, likewise; see commit.c for the rest of a batch. */
	STORE_CALL_BYTES_MAX = 128 * 1024 * 1024,
	/* purge() deletes this many instances in one transaction, to hold locks briefly. */
	STORE_PURGE_SLICE = 200,
	/* PostgreSQL 13 is the oldest one that is still maintained when this is written. */
	STORE_SERVER_MIN = 130000,
	/* Longer names would not leave room for what the tables are called. */
	STORE_NAME_MAX = 31
};

/* The values of `sslmode`, in the order of its choices. */
enum {
	STORE_SSL_DISABLE,
	STORE_SSL_REQUIRE,
	STORE_SSL_VERIFY_CA,
	STORE_SSL_VERIFY_FULL
};

struct store_config {
	const char *host;
	const char *database;
	const char *user;
	const char *password; /* NULL: as libpq finds one */
	const char *sslrootcert;
	const char *sslcert;
	const char *sslkey;
	const char *schema;
	const char *table_prefix;
	const char *application_name;
	struct swm_map parameters; /* libpq's own, beyond these */
	int64_t port;
	int32_t sslmode;
};

struct swm_store {
	const struct swm_host *host;
	const char *instance;
	const struct store_config *config;
	struct wire_target target;
	char *texts[STMT_COUNT]; /* with the names of the tables */
};

struct swm_session {
	struct swm_store *store;
	struct wire wire;
	struct params params; /* of the statement under way; its memory is used again */
	void *scratch;
	size_t scratch_bytes;
	bool prepared[STMT_COUNT];
};

/* `bytes` of the session's memory, good until the next call; NULL: no memory. */
void *store_scratch(struct swm_session *session, size_t bytes);

/* store.c */
swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err);
void store_close(struct swm_store *store);

/* A copy of `text` in which {instance} and the like are the names of the tables, quoted
 * and with their schema; NULL: no memory. The caller frees it. */
char *store_expand(const struct store_config *config, const char *text);

/* schema.c */
swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err);

/* SWM_OK when the database's schema is ours, else SWM_E_CONFIG with what to do. */
swm_status store_schema_check(
	struct swm_store *store, struct wire *wire, struct swm_error *err);

/* view.c: the view that shows instances as documents. */
extern const char *const store_document_view;

/* session.c */
swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err);
void store_session_close(struct swm_session *session);

/* Connects, makes the connection one of ours (settings, checks of the server). */
swm_status store_connect(
	const struct swm_store *store, struct wire *wire, struct swm_error *err);

/* An operation begins: its deadline, and no parameters yet. */
struct params *store_begin(struct swm_session *session);

/* Runs a statement with session->params, preparing it at its first use. */
swm_status store_run(struct swm_session *session, enum store_statement statement,
	enum wire_effect effect, const char *what, PGresult **out, struct swm_error *err);

/* load.c */
swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err);

/* commit.c */
swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err);

/* outbox.c */

/* An outbox row on its way into a statement. */
struct store_owed {
	const struct swm_outbox_row *row;
	struct swm_str instance_id;
	struct swm_str headers; /* packed */
	int64_t item;           /* of a commit, from 1 */
};

/* Puts the arrays of OWED_PARAMETERS; `pointers` has room for `count`. */
void store_put_owed(struct params *params, const struct store_owed *owed, size_t count,
	const void **pointers);

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
swm_status store_purge(struct swm_session *session, uint32_t status_mask, int64_t before_ms,
	uint32_t limit, int64_t *purged, struct swm_error *err);

/* plugin.c; entry.c shows it to the host. */
extern const struct swm_plugin store_postgresql_plugin;

#endif
