/* SPDX-License-Identifier: MIT */

/*
 * Transactions, the lock and the checkpoints of one SQLite connection; see
 * sqlite_db.h for the idea. Opening is in sqlite_open.c.
 *
 * Concurrency: a connection belongs to one thread. Between connections and
 * processes the lock on PATH-lock (write_lock.h) orders writers.
 */

#include "sqlite_db.h"

#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	COPY_BYTES = 65536
};

swm_status swm_db_lock(struct swm_db *db, struct swm_error *err)
{
	return swm_write_lock_take(&db->lock, db->call_timeout_ms, err);
}

/* Writes a file over itself and flushes it: an SQLite result code. */
static int write_again(sqlite3_file *file, unsigned char *room)
{
	sqlite3_int64 size = 0;
	int rc = file->pMethods->xFileSize(file, &size);

	for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += COPY_BYTES) {
		int len = size - at < COPY_BYTES ? (int)(size - at) : COPY_BYTES;

		rc = file->pMethods->xRead(file, room, len, at);
		if (rc == SQLITE_OK) {
			rc = file->pMethods->xWrite(file, room, len, at);
		}
	}
	return rc == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_FULL) : rc;
}

/* With the lock and outside of a transaction: makes good a flush that was refused, by
 * whomever, and takes the mark away. Readers see the same bytes all the time. */
static bool mend_wal(struct swm_db *db)
{
	sqlite3_file *file = NULL;

	if (!swm_write_lock_is_marked(&db->lock)) {
		return true;
	}
	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
	/* Not opened yet: by a read, which every open does. */
	if (!file || !file->pMethods) {
		return false;
	}
	unsigned char *room = malloc(COPY_BYTES);
	if (!room) {
		return false;
	}
	int rc = write_again(file, room);
	free(room);
	if (rc == SQLITE_OK) {
		swm_write_lock_mark(&db->lock, false);
	}
	return rc == SQLITE_OK;
}

/* The lock, of a file whose WAL may be relied on. */
static swm_status lock_sound(struct swm_db *db, struct swm_error *err)
{
	swm_status status = swm_db_lock(db, err);

	if (status == SWM_OK && !mend_wal(db)) {
		swm_write_lock_give(&db->lock);
		status = swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: the disk refused a flush, and what it lost cannot be written "
			"again",
			db->path);
	}
	return status;
}

void swm_db_unlock(struct swm_db *db)
{
	if (db->flush_refused) {
		db->flush_refused = false;
		swm_write_lock_mark(&db->lock, true);
		(void)mend_wal(db);
	}
	swm_write_lock_give(&db->lock);
}

static void note_refusal(struct swm_db *db, int rc)
{
	db->flush_refused = db->flush_refused || rc == SQLITE_IOERR_FSYNC;
}

static swm_status status_of_io_error(int system_errno)
{
	if (system_errno == ENOSPC || system_errno == EDQUOT) {
		return SWM_E_THROTTLED;
	}
	return SWM_E_UNAVAILABLE;
}

static swm_status status_of(int rc, int system_errno)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return SWM_E_THROTTLED;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_NOMEM ? SWM_E_NOMEM
						: status_of_io_error(system_errno);
	case SQLITE_CANTOPEN:
		return system_errno == EACCES || system_errno == EPERM ? SWM_E_DENIED
								       : SWM_E_UNAVAILABLE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return SWM_E_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_INTERRUPT:
	case SQLITE_PROTOCOL: /* lost a race for the WAL's locks too often */
		return SWM_E_TIMEOUT;
	case SQLITE_READONLY:
		/* Renamed or deleted under us: a new session finds the new file. */
		return rc == SQLITE_READONLY_DBMOVED ? SWM_E_UNAVAILABLE : SWM_E_DENIED;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return SWM_E_DENIED;
	case SQLITE_NOMEM:
		return SWM_E_NOMEM;
	case SQLITE_TOOBIG:
		return SWM_E_TOO_LARGE;
	default:
		return SWM_E_INTERNAL;
	}
}

swm_status swm_db_failed(struct swm_db *db, int rc, const char *what, struct swm_error *err)
{
	int system_errno = db->handle ? sqlite3_system_errno(db->handle) : 0;

	note_refusal(db, rc);
	if (db->handle && rc != SQLITE_NOMEM && sqlite3_extended_errcode(db->handle) == rc) {
		return swm_fail(err, status_of(rc, system_errno), rc, "%s: cannot %s: %s%s%s",
			db->path, what, sqlite3_errmsg(db->handle), system_errno ? ": " : "",
			system_errno ? strerror(system_errno) : "");
	}
	return swm_fail(err, status_of(rc, system_errno), rc, "%s: cannot %s: %s", db->path,
		what, sqlite3_errstr(rc));
}

swm_status swm_db_run(
	struct swm_db *db, sqlite3_stmt *stmt, const char *what, struct swm_error *err)
{
	swm_status status = SWM_OK;
	int rc = sqlite3_step(stmt);

	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		status = swm_db_failed(db, rc, what, err);
	}
	sqlite3_reset(stmt);
	return status;
}

swm_status swm_db_prepare(
	struct swm_db *db, const char *sql, sqlite3_stmt **out, struct swm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc =
		sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

	if (rc != SQLITE_OK) {
		return swm_db_failed(db, rc, "prepare a statement", err);
	}
	*out = stmt;
	return SWM_OK;
}

swm_status swm_db_exec(struct swm_db *db, const char *sql, struct swm_error *err)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? SWM_OK : swm_db_failed(db, rc, "run a statement", err);
}

/* Some errors (disk full, I/O, out of memory) make SQLite roll back by itself. */
static void roll_back(struct swm_db *db)
{
	if (sqlite3_get_autocommit(db->handle)) {
		return;
	}
	sqlite3_step(db->rollback);
	sqlite3_reset(db->rollback);
}

swm_status swm_db_begin(struct swm_db *db, struct swm_error *err)
{
	swm_status status = lock_sound(db, err);

	if (status != SWM_OK) {
		return status;
	}
	status = swm_db_run(db, db->begin_write, "begin to write", err);
	if (status != SWM_OK) {
		roll_back(db);
		swm_db_unlock(db);
	}
	return status;
}

/* With the lock. What is not on the disk in the WAL must not be counted on in the file, so
 * nothing after a flush that was refused. */
static int checkpoint(struct swm_db *db, int mode, int *in_wal, int *copied)
{
	int rc = SQLITE_IOERR_FSYNC;

	if (!db->flush_refused) {
		rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, in_wal, copied);
		note_refusal(db, rc);
	}
	return rc;
}

/* Copies the WAL back after a commit, with the lock held. A failure is no reason to
 * fail the commit, which is done: the next one tries again. */
static void checkpoint_when_due(struct swm_db *db)
{
	if (db->wal_pages < db->checkpoint_at) {
		return;
	}
	(void)checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (db->wal_pages >= SWM_DB_RESTART_PAGES) {
		sqlite3_busy_timeout(db->handle, SWM_DB_RESTART_WAIT_MS);
		(void)checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		sqlite3_busy_timeout(db->handle, (int)db->call_timeout_ms);
	}
	/* What was copied is overwritten by the next commit that meets no reader, and
	 * the count begins again; until then this is done after as much again. */
	db->checkpoint_at = db->wal_pages + SWM_DB_CHECKPOINT_PAGES;
}

/* A disk is full: pages that the file has room for already may leave the WAL, so that
 * it starts over and the next try needs no space. */
static void make_room(struct swm_db *db)
{
	(void)checkpoint(db, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

swm_status swm_db_commit(struct swm_db *db, struct swm_error *err)
{
	int rc = sqlite3_step(db->commit);
	swm_status status = SWM_OK;

	if (rc != SQLITE_DONE) {
		status = swm_db_failed(db, rc, "commit", err);
		if (rc == SQLITE_IOERR_FSYNC) {
			status = swm_fail(err, SWM_E_INDOUBT, rc,
				"%s: the disk refused to flush a commit: %s", db->path,
				strerror(sqlite3_system_errno(db->handle)));
		}
	}
	sqlite3_reset(db->commit);
	if (status == SWM_OK) {
		checkpoint_when_due(db);
	} else {
		roll_back(db);
		if (status == SWM_E_THROTTLED) {
			make_room(db);
		}
	}
	swm_db_unlock(db);
	return status;
}

void swm_db_rollback(struct swm_db *db)
{
	roll_back(db);
	swm_db_unlock(db);
}

swm_status swm_db_read_begin(struct swm_db *db, struct swm_error *err)
{
	return swm_db_run(db, db->begin_read, "begin to read", err);
}

void swm_db_read_end(struct swm_db *db)
{
	roll_back(db);
}

swm_status swm_db_checkpoint(struct swm_db *db, bool truncate, struct swm_error *err)
{
	int in_wal = 0, copied = 0;
	swm_status status = lock_sound(db, err);

	if (status != SWM_OK) {
		return status;
	}
	sqlite3_busy_timeout(db->handle, SWM_DB_RESTART_WAIT_MS);
	int rc = checkpoint(db,
		truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &in_wal,
		&copied);
	if (rc != SQLITE_OK) {
		status = swm_db_failed(db, rc, "checkpoint", err);
	} else if (copied < in_wal) {
		status = swm_fail(err, SWM_E_TIMEOUT, 0,
			"%s: readers keep %d pages from being checkpointed", db->path,
			in_wal - copied);
	}
	sqlite3_busy_timeout(db->handle, (int)db->call_timeout_ms);
	swm_db_unlock(db);
	return status;
}
