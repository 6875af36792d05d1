/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_SCHEMA_H
#define QUEUE_SQLITE_SCHEMA_H

/*
 * The tables, and finding a queue by its name. What the tables are for is told in
 * schema.c, next to their text.
 *
 * Concurrency: a struct swm_catalog belongs to one connection and so to one thread.
 */

#include "sqlite_db.h"

/* Names of queues are any text without control characters, up to this many bytes:
 * what every broker's names fit in, so that a route can be moved. */
#define SWM_QUEUE_NAME_MAX 255

/* The statements that find and make queues on one connection. */
struct swm_catalog {
	struct swm_db *db;
	sqlite3_stmt *find;
	sqlite3_stmt *insert;
};

/* Opens a connection to the queue file. As swm_db_open(); additionally SWM_E_CONFIG
 * when the file was written by a newer version. */
SWM_NODISCARD swm_status swm_schema_open(struct swm_db *db, const char *path,
	enum swm_db_sync sync, int64_t call_timeout_ms, struct swm_error *err);

/* A statement to prepare, and where to. */
struct swm_statement {
	const char *sql;
	sqlite3_stmt **stmt;
};

/* Prepares them all; they go when `db` is closed. */
SWM_NODISCARD swm_status swm_statements_prepare(struct swm_db *db,
	const struct swm_statement *all, size_t count, struct swm_error *err);

/* Prepares the statements, which go when `db` is closed. */
SWM_NODISCARD swm_status swm_catalog_init(
	struct swm_catalog *catalog, struct swm_db *db, struct swm_error *err);

/* SWM_E_INVALID for a name that no queue can have. */
SWM_NODISCARD swm_status swm_queue_name_check(struct swm_str name, struct swm_error *err);

/* Reads the id of a queue. SWM_E_NOT_FOUND. */
SWM_NODISCARD swm_status swm_catalog_find(
	struct swm_catalog *catalog, struct swm_str name, int64_t *id, struct swm_error *err);

/* The same, but makes the queue when it is missing. In a write transaction. */
SWM_NODISCARD swm_status swm_catalog_find_or_create(
	struct swm_catalog *catalog, struct swm_str name, int64_t *id, struct swm_error *err);

/* The same for several; takes the write lock only if one is missing and `create`
 * is set. Not in a transaction. */
SWM_NODISCARD swm_status swm_catalog_prepare(struct swm_catalog *catalog,
	const struct swm_str *names, size_t count, bool create, int64_t *ids,
	struct swm_error *err);

#endif
