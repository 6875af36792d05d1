/* SPDX-License-Identifier: MIT */

/*
 * Three tables.
 *
 *   queue    one row per queue: how many messages were ever published to it and how
 *            many of them were ever handed out. Messages between the two have never
 *            been delivered.
 *   message  what was published, never changed. The row id holds queue and number
 *            (layout.h), so this table needs no index.
 *   lease    a small row per message that was handed out and is not settled. `due` is
 *            when it may be handed out again: the end of the lease while a consumer has
 *            it (held = 1), or what a NACK asked for. `attempt` counts deliveries; it
 *            fences a lease too, since every new one of a message adds one.
 *
 * So receiving writes small rows only, next to each other, never a body; a
 * fresh message is found without looking at those that are out; and the earliest due
 * time of a queue is the first row of its range.
 */

#include "schema.h"

#include "layout.h"
#include "status.h"

#include <stdio.h>

/* "swmQ" */
#define APPLICATION_ID UINT32_C(0x73776d51)

enum {
	SCHEMA_VERSION = 1
};

/* 2^43 - 1 and 2^20 - 1 are the limits of layout.h. The highest id of a table without
 * AUTOINCREMENT grows by one: queues are never deleted. */
static const char schema_sql[] =
	"CREATE TABLE queue ("
	" id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 1048575),"
	" name BLOB NOT NULL UNIQUE,"
	" published INTEGER NOT NULL DEFAULT 0 CHECK (published <= 8796093022207),"
	" taken INTEGER NOT NULL DEFAULT 0 CHECK (taken <= published));"
	"CREATE TABLE message ("
	" id INTEGER PRIMARY KEY,"
	" message_id BLOB, key BLOB, headers BLOB, body BLOB);"
	"CREATE TABLE lease ("
	" queue INTEGER NOT NULL, due INTEGER NOT NULL, message INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL, held INTEGER NOT NULL,"
	" PRIMARY KEY (queue, due, message)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

static_assert(SWM_QUEUE_ID_MAX == 1048575, "as in the schema");
static_assert(SWM_ROW_NUMBER_MAX == INT64_C(8796093022207), "as in the schema");

static swm_status read_version(struct swm_db *db, int *version, struct swm_error *err)
{
	swm_status status = SWM_OK;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc == SQLITE_ROW) {
		*version = sqlite3_column_int(stmt, 0);
	} else {
		status = swm_db_failed(db, rc, "read the version", err);
	}
	(void)sqlite3_finalize(stmt);
	return status;
}

static swm_status check_version(const struct swm_db *db, int version, struct swm_error *err)
{
	if (version > SCHEMA_VERSION) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: has queue format %d, this plugin knows up to %d: install a newer "
			"one",
			db->path, version, SCHEMA_VERSION);
	}
	return SWM_OK;
}

/* Another process may be creating the tables as well: who gets the lock first does. */
static swm_status create_tables(struct swm_db *db, struct swm_error *err)
{
	int version = 0;
	swm_status status = swm_db_begin(db, err);

	if (status != SWM_OK) {
		return status;
	}
	status = read_version(db, &version, err);
	if (status == SWM_OK && version == 0) {
		status = swm_db_exec(db, schema_sql, err);
	}
	if (status != SWM_OK) {
		swm_db_rollback(db);
		return status;
	}
	status = swm_db_commit(db, err);
	return status == SWM_OK ? check_version(db, version, err) : status;
}

swm_status swm_schema_open(struct swm_db *db, const char *path, enum swm_db_sync sync,
	int64_t call_timeout_ms, struct swm_error *err)
{
	int version = 0;
	swm_status status = swm_db_open(db, path, sync, call_timeout_ms, APPLICATION_ID, err);

	if (status != SWM_OK) {
		return status;
	}
	status = read_version(db, &version, err);
	if (status == SWM_OK) {
		status =
			version == 0 ? create_tables(db, err) : check_version(db, version, err);
	}
	if (status != SWM_OK) {
		swm_db_close(db);
	}
	return status;
}

swm_status swm_statements_prepare(
	struct swm_db *db, const struct swm_statement *all, size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = swm_db_prepare(db, all[i].sql, all[i].stmt, err);
	}
	return status;
}

swm_status swm_catalog_init(
	struct swm_catalog *catalog, struct swm_db *db, struct swm_error *err)
{
	const struct swm_statement all[] = {
		{"SELECT id FROM queue WHERE name = ?1", &catalog->find},
		{"INSERT INTO queue (name) VALUES (?1)", &catalog->insert},
	};

	catalog->db = db;
	return swm_statements_prepare(db, all, sizeof(all) / sizeof(all[0]), err);
}

swm_status swm_queue_name_check(struct swm_str name, struct swm_error *err)
{
	size_t i;

	if (name.ptr == NULL || name.len == 0 || name.len > SWM_QUEUE_NAME_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a queue's name has 1 to %d bytes, this one has %zu",
			SWM_QUEUE_NAME_MAX, name.len);
	}
	for (i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"byte %zu of a queue's name is a control character: %.*s",
				i + 1, (int)name.len, name.ptr);
		}
	}
	return SWM_OK;
}

swm_status swm_catalog_find(
	struct swm_catalog *catalog, struct swm_str name, int64_t *id, struct swm_error *err)
{
	swm_status status = SWM_OK;
	int rc;

	(void)sqlite3_bind_blob(catalog->find, 1, name.ptr, (int)name.len, SQLITE_STATIC);
	rc = sqlite3_step(catalog->find);
	if (rc == SQLITE_ROW) {
		*id = sqlite3_column_int64(catalog->find, 0);
	} else if (rc == SQLITE_DONE) {
		status = swm_fail(err, SWM_E_NOT_FOUND, 0,
			"%s: there is no queue \"%.*s\": create it, or set create_queues",
			catalog->db->path, (int)name.len, name.ptr);
	} else {
		status = swm_db_failed(catalog->db, rc, "look for a queue", err);
	}
	(void)sqlite3_reset(catalog->find);
	return status;
}

swm_status swm_catalog_find_or_create(
	struct swm_catalog *catalog, struct swm_str name, int64_t *id, struct swm_error *err)
{
	swm_status status = swm_catalog_find(catalog, name, id, err);

	if (status != SWM_E_NOT_FOUND) {
		return status;
	}
	(void)sqlite3_bind_blob(catalog->insert, 1, name.ptr, (int)name.len, SQLITE_STATIC);
	status = swm_db_run(catalog->db, catalog->insert, "create a queue", err);
	if (status == SWM_OK) {
		*id = sqlite3_last_insert_rowid(catalog->db->handle);
	}
	return status;
}

/* One pass over the names, with or without creating. */
static swm_status find_all(struct swm_catalog *catalog, const struct swm_str *names,
	size_t count, bool create, int64_t *ids, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = create ? swm_catalog_find_or_create(catalog, names[i], &ids[i], err)
				: swm_catalog_find(catalog, names[i], &ids[i], err);
	}
	return status;
}

swm_status swm_catalog_prepare(struct swm_catalog *catalog, const struct swm_str *names,
	size_t count, bool create, int64_t *ids, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = swm_queue_name_check(names[i], err);
	}
	if (status == SWM_OK) {
		status = find_all(catalog, names, count, false, ids, err);
	}
	if (status != SWM_E_NOT_FOUND || !create) {
		return status;
	}
	status = swm_db_begin(catalog->db, err);
	if (status != SWM_OK) {
		return status;
	}
	status = find_all(catalog, names, count, true, ids, err);
	if (status != SWM_OK) {
		swm_db_rollback(catalog->db);
		return status;
	}
	return swm_db_commit(catalog->db, err);
}
