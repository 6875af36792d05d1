/* SPDX-License-Identifier: MIT */
#ifndef STORE_SQLITE_ROWS_H
#define STORE_SQLITE_ROWS_H

/*
 * Values into statements and out of them, in order, so that a statement's text and
 * the code beside it read alike:
 *
 *	struct params params = params_of(session, STMT_EVENT_SEEN);
 *
 *	put_int(&params, instance);
 *	put_text(&params, id);
 *	status = run(&params, "look for an event", err);
 *
 * Errors collect in the struct and come out at the end. Parameters are borrowed
 * until the statement is reset; columns are copied into an arena.
 *
 * Concurrency: confined to the session's thread.
 */

#include "arena.h"
#include "store.h"

struct params {
	struct swm_session *session;
	sqlite3_stmt *stmt;
	int last; /* the number of the parameter that was put last */
	int rc;
};

struct params params_of(struct swm_session *session, enum store_statement statement);
void put_int(struct params *params, int64_t value);
void put_text(struct params *params, struct swm_str text); /* absent: NULL */
void put_blob(struct params *params, struct swm_str blob); /* absent: NULL */

/* Steps once and resets: for statements that return no row. *changed, which may be
 * NULL, is the number of rows it changed. A violated UNIQUE is SWM_E_INVALID. */
swm_status run(
	struct params *params, const char *what, int64_t *changed, struct swm_error *err);

/* Steps to the next row. SWM_OK with *row false at the end or on failure; the
 * statement is then reset, which otherwise is the caller's: finish(). */
swm_status next_row(struct params *params, const char *what, bool *row, struct swm_error *err);
void finish(struct params *params);

/* The columns of the row that a statement stands on. */
struct columns {
	sqlite3_stmt *stmt;
	struct arena *arena;
	int next;
	swm_status status; /* SWM_E_NOMEM, SWM_E_CORRUPT: the row is not good */
};

/* What to return for columns.status, with a message. */
swm_status columns_failed(
	struct swm_session *session, swm_status status, struct swm_error *err);

struct columns columns_of(const struct params *params, struct arena *arena);
int64_t take_int(struct columns *columns);
struct swm_str take_bytes(struct columns *columns); /* NULL: absent */

/* Reads one row into `item`, which is zeroed. The column lists are *_COLUMNS. */
typedef void (*take_row_fn)(struct columns *columns, void *item);

#define INSTANCE_COLUMNS \
	"id, workflow, component, business_ref, template_id, stage, business_status, " \
	"version, " \
	"sequence, created_ms, updated_ms, status, body"
void take_instance(struct columns *columns, void *item);

/* The same but for the body, which stays absent. */
void take_instance_without_body(struct columns *columns, void *item);

#define EVENT_COLUMNS \
	"id, source_id, name, stage, task, reason, actor, sequence, at_ms, attempt, outcome, " \
	"rules, body"
void take_event(struct columns *columns, void *item);

#define OUTBOX_COLUMNS \
	"id, instance_id, destination, key, reason, headers, due_ms, created_ms, " \
	"lease_until_ms, claims, state, attempt, kind, body"
void take_outbox(struct columns *columns, void *item);

#define TEMPLATE_COLUMNS \
	"id, workflow, component, author, comment, sha256, version, created_ms, body"
void take_template(struct columns *columns, void *item);

/* Packs headers, as store_rules.h has it, into the session's scratch. None: absent. */
swm_status pack_headers(struct swm_session *session, const struct swm_header *headers,
	size_t count, struct swm_str *out, struct swm_error *err);

/* All rows of a statement that is asked for one more than page->limit, as a set of
 * `item_bytes` large items. Their first column is not part of the item: it is where
 * the next page begins, as an integer, or text, and becomes set.next. */
swm_status take_page(struct params *params, uint32_t limit, take_row_fn take, size_t item_bytes,
	const char *what, struct swm_set *out, struct swm_error *err);

#endif
