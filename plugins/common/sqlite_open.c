/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing a SQLite file under the discipline of sqlite_db.h: lock
 * file first, then creation, the switch to WAL and the settings of the connection,
 * all with the lock held.
 *
 * Concurrency: see sqlite_db.h. The data file is never opened by us but by SQLite,
 * except to create it: closing a descriptor of it would drop SQLite's POSIX locks
 * of the whole process (sqlite.org/howtocorrupt.html).
 */

#include "sqlite_db.h"

#include "lock_file.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static swm_status open_lock(struct swm_db *db, struct swm_error *err)
{
	size_t room = strlen(db->path) + sizeof("-lock");

	db->lock_path = malloc(room);
	if (!db->lock_path) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)snprintf(db->lock_path, room, "%s-lock", db->path);
	return swm_write_lock_open(&db->lock, db->lock_path, err);
}

/* SQLite would create the file readable for everybody that the umask lets in; the
 * -wal and -shm files inherit its mode. */
static swm_status create_file(struct swm_db *db, struct swm_error *err)
{
	struct stat st;

	/* SQLite would put the WAL beside the file that a link points to, and we our locks
	 * beside the link: under two names the file would have two locks. */
	if (lstat(db->path, &st) == 0 && S_ISLNK(st.st_mode)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: is a symbolic link: name the file that it points to", db->path);
	}
	int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd >= 0) {
		close(fd);
	} else if (errno != EEXIST) {
		return swm_fail_errno(err, db->path, "create");
	}
	return SWM_OK;
}

static swm_status read_int(
	struct swm_db *db, const char *sql, int64_t *out, struct swm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc == SQLITE_ROW) {
		*out = sqlite3_column_int64(stmt, 0);
	}
	swm_status status = rc == SQLITE_ROW ? SWM_OK : swm_db_failed(db, rc, "read", err);

	sqlite3_finalize(stmt);
	return status;
}

/* A new file, still without a single page, gets our mark; any other must have it. */
static swm_status check_kind(struct swm_db *db, uint32_t application_id, struct swm_error *err)
{
	char pragma[64];
	int64_t found = 0, pages = 0;
	swm_status status = read_int(db, "PRAGMA application_id", &found, err);

	if (status != SWM_OK || (uint32_t)found == application_id) {
		return status;
	}
	status = read_int(db, "PRAGMA page_count", &pages, err);
	if (status != SWM_OK) {
		return status;
	}
	if (found != 0 || pages != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: is a SQLite file of something else (application_id 0x%08x): "
			"choose another path",
			db->path, (unsigned)found);
	}
	(void)snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%ld",
		(long)(int32_t)application_id);
	return swm_db_exec(db, pragma, err);
}

static int count_wal_pages(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct swm_db *db = ctx;

	(void)handle;
	(void)name;
	if (pages < db->wal_pages) {
		db->checkpoint_at = SWM_DB_CHECKPOINT_PAGES; /* it has started over */
	}
	db->wal_pages = pages;
	return SQLITE_OK;
}

static swm_status switch_to_wal(struct swm_db *db, struct swm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	swm_status status = SWM_OK;
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc != SQLITE_ROW) {
		status = swm_db_failed(db, rc, "switch to WAL", err);
	} else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0) {
		status = swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: the file system does not support SQLite's WAL: use a local one",
			db->path);
	}
	sqlite3_finalize(stmt);
	return status;
}

static swm_status set_up(struct swm_db *db, enum swm_db_sync sync, uint32_t application_id,
	struct swm_error *err)
{
	sqlite3 *handle = db->handle;
	swm_status status = check_kind(db, application_id, err);

	if (status == SWM_OK) {
		status = switch_to_wal(db, err);
	}
	if (status == SWM_OK) {
		status = swm_db_exec(db,
			"PRAGMA wal_autocheckpoint=0;"
			"PRAGMA cell_size_check=ON;"
			"PRAGMA trusted_schema=OFF;"
			"PRAGMA foreign_keys=ON;"
			"PRAGMA temp_store=MEMORY;"
			/* Debian builds with it on; it rewrites pages only to blank them. */
			"PRAGMA secure_delete=OFF;"
			/* What is left of the WAL when it starts over after a peak. */
			"PRAGMA journal_size_limit=67108864;",
			err);
	}
	if (status == SWM_OK) {
		status = swm_db_exec(db,
			sync == SWM_DB_FULL ? "PRAGMA synchronous=FULL"
					    : "PRAGMA synchronous=NORMAL",
			err);
	}
	if (status != SWM_OK) {
		return status;
	}
	sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_wal_hook(handle, count_wal_pages, db);
	return SWM_OK;
}

/* SQLite flushes the directory through the connection that created the WAL, and this
 * may be one that flushes nothing else (SWM_DB_NORMAL). So no connection counts on
 * another: file and WAL are there, by name, before it begins. */
static swm_status flush_names(struct swm_db *db, struct swm_error *err)
{
	int64_t pages = 0;
	swm_status status = read_int(db, "PRAGMA page_count", &pages, err);

	return status == SWM_OK ? swm_names_flush(db->path, err) : status;
}

static swm_status open_handle(struct swm_db *db, struct swm_error *err)
{
	swm_status status = create_file(db, err);

	if (status != SWM_OK) {
		return status;
	}
	int rc = sqlite3_open_v2(db->path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK) {
		return swm_db_failed(db, rc, "open", err);
	}
	sqlite3_busy_timeout(db->handle, (int)db->call_timeout_ms);
	/* Before anything else: a connection that fails half-way must not checkpoint. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return SWM_OK;
}

static swm_status prepare_own(struct swm_db *db, struct swm_error *err)
{
	swm_status status = swm_db_prepare(db, "BEGIN IMMEDIATE", &db->begin_write, err);

	if (status == SWM_OK) {
		status = swm_db_prepare(db, "BEGIN", &db->begin_read, err);
	}
	if (status == SWM_OK) {
		status = swm_db_prepare(db, "COMMIT", &db->commit, err);
	}
	if (status == SWM_OK) {
		status = swm_db_prepare(db, "ROLLBACK", &db->rollback, err);
	}
	return status;
}

swm_status swm_db_open(struct swm_db *db, const char *path, enum swm_db_sync sync,
	int64_t call_timeout_ms, uint32_t application_id, struct swm_error *err)
{
	memset(db, 0, sizeof(*db));
	db->path = path;
	db->call_timeout_ms = call_timeout_ms < INT_MAX ? call_timeout_ms : INT_MAX;
	db->checkpoint_at = SWM_DB_CHECKPOINT_PAGES;
	swm_status status = open_lock(db, err);

	if (status == SWM_OK) {
		status = swm_db_lock(db, err);
	}
	if (status == SWM_OK) {
		status = open_handle(db, err);
	}
	if (status == SWM_OK) {
		status = set_up(db, sync, application_id, err);
	}
	if (status == SWM_OK) {
		status = flush_names(db, err);
	}
	if (status == SWM_OK) {
		status = prepare_own(db, err);
	}
	if (status == SWM_OK) {
		swm_db_unlock(db);
	} else {
		swm_db_close(db);
	}
	return status;
}

static swm_status damaged(const struct swm_db *db, const char *finding, struct swm_error *err)
{
	return swm_fail(err, SWM_E_CORRUPT, SQLITE_CORRUPT,
		"%s: the file is damaged: put a backup in its place, or what "
		"`sqlite3 %s .recover` saves (%s)",
		db->path, db->path, finding);
}

swm_status swm_db_check(struct swm_db *db, struct swm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int64_t pages = 0, page_bytes = 0;
	swm_status status = read_int(db, "PRAGMA page_count", &pages, err);

	if (status == SWM_OK) {
		status = read_int(db, "PRAGMA page_size", &page_bytes, err);
	}
	if (status != SWM_OK || pages * page_bytes > SWM_DB_CHECK_BYTES) {
		return status;
	}
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc == SQLITE_ROW) {
		const char *finding = (const char *)sqlite3_column_text(stmt, 0);

		if (!finding) {
			status = swm_db_failed(db, SQLITE_NOMEM, "check the file", err);
		} else if (strcmp(finding, "ok") != 0) {
			status = damaged(db, finding, err);
		}
	} else {
		status = rc == SQLITE_CORRUPT ? damaged(db, sqlite3_errmsg(db->handle), err)
					      : swm_db_failed(db, rc, "check the file", err);
	}
	sqlite3_finalize(stmt);
	return status;
}

void swm_db_close(struct swm_db *db)
{
	if (!db || !db->path) {
		return;
	}
	if (db->handle) {
		sqlite3_stmt *stmt;

		while ((stmt = sqlite3_next_stmt(db->handle, NULL))) {
			sqlite3_finalize(stmt);
		}
	}
	sqlite3_close(db->handle);
	swm_write_lock_close(&db->lock);
	free(db->lock_path);
	memset(db, 0, sizeof(*db));
}
