/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_SQLITE_DB_H
#define SWM_COMMON_SQLITE_DB_H

/*
 * One connection to one SQLite file, under the discipline that both SQLite
 * plugins keep.
 *
 * Several processes open the same file: the orchestrator, commands, agents. In
 * the versions of SQLite up to 3.51.2 two connections that write and checkpoint a
 * WAL at the same instant can lose committed data (sqlite.org/wal.html, "The
 * WAL-Reset Bug"). So every write transaction and every checkpoint, of every
 * process, as well as the first open of a file, happens under an advisory lock
 * (flock) on a file of its own, PATH-lock. SQLite's own checkpoints are turned
 * off. Reading takes no lock: WAL readers see a snapshot and block nobody.
 *
 * The WAL is kept short by whoever commits: past SWM_DB_CHECKPOINT_PAGES it is
 * copied back while the lock is still held, so the file stays bounded also while
 * other connections read.
 *
 * When a disk refuses a flush, the kernel may count the pages as written all the same:
 * they are seen and are not on the disk, and the next flush passes them over (LWN 752063,
 * "PostgreSQL's fsync() surprise"). In a WAL that would cost every later commit, since
 * what follows a gap is not read. So such a WAL is written over itself, byte for byte, and
 * flushed, before anybody writes or checkpoints again; a mark in the lock file, which all
 * processes see, stands until that has worked.
 *
 * Concurrency: a struct swm_db belongs to one thread at a time, nothing in it is
 * shared. Each has a lock descriptor of its own, because a flock belongs to the
 * open file description: two connections of one process exclude each other like
 * two processes do. Only local file systems; no fork with open connections, but
 * fork followed by exec is fine (all descriptors are O_CLOEXEC).
 */

#include "write_lock.h"

#include <sqlite3.h>
#include <swm/types.h>

enum {
	/* A commit that leaves more pages than this in the WAL copies them back: 16 MiB
	 * of 4 KiB pages, so that a page which changes often is written back once per
	 * several thousand writes, and opening after a crash reads at most about this. */
	SWM_DB_CHECKPOINT_PAGES = 4096,
	/* Readers can keep the WAL from starting over. Past this many pages the commit
	 * waits a little for them, so that 256 MiB is about the largest WAL. */
	SWM_DB_RESTART_PAGES = 65536,
	/* ... this long. Readers of ours finish within a few milliseconds. */
	SWM_DB_RESTART_WAIT_MS = 20,
	/* What swm_db_check looks at: some 2 ms for each MiB in the page cache. */
	SWM_DB_CHECK_BYTES = 8 * 1024 * 1024
};

enum swm_db_sync {
	SWM_DB_FULL,  /* a commit survives a power cut */
	SWM_DB_NORMAL /* a commit survives a crash of the process, not a power cut */
};

/* Not to be moved or copied while open. `handle` is for the plugin's own calls;
 * the other members are sqlite_db.c's. */
struct swm_db {
	sqlite3 *handle;
	sqlite3_stmt *begin_write;
	sqlite3_stmt *begin_read;
	sqlite3_stmt *commit;
	sqlite3_stmt *rollback;
	const char *path;
	char *lock_path;
	struct swm_write_lock lock;
	int64_t call_timeout_ms;
	bool flush_refused; /* since the lock was taken */
	int wal_pages;      /* after the last commit of this connection */
	int checkpoint_at;  /* the size of the WAL that calls for the next one */
};

/*
 * Opens `path` (borrowed: must outlive `db`), creating it (mode 0600) and its
 * directory (0700) when they are missing, switches it to WAL, and sets up the
 * connection. No wait for the lock is longer than `call_timeout_ms`.
 * `application_id` tells one kind of file from another: a new file gets it, an old
 * one must have it. On failure `db` is closed.
 * SWM_E_CONFIG (a file of another kind), SWM_E_DENIED, SWM_E_UNAVAILABLE,
 * SWM_E_TIMEOUT, SWM_E_THROTTLED, SWM_E_CORRUPT, SWM_E_NOMEM.
 */
swm_status swm_db_open(struct swm_db *db, const char *path, enum swm_db_sync sync,
	int64_t call_timeout_ms, uint32_t application_id, struct swm_error *err);

/* Is the file whole? Looks at all of it when it is not larger than SWM_DB_CHECK_BYTES;
 * damage in a larger one is found when it is read. Takes no lock. SWM_E_CORRUPT: it is
 * damaged; the message says what to do. */
swm_status swm_db_check(struct swm_db *db, struct swm_error *err);

/* Finalizes every statement, rolls back what is open, closes. A zeroed struct, NULL
 * and a closed one are fine. Leaves the WAL as it is. */
void swm_db_close(struct swm_db *db);

/* Compiles a statement to be used again and again. It belongs to `db`:
 * swm_db_close finalizes it. */
swm_status swm_db_prepare(
	struct swm_db *db, const char *sql, sqlite3_stmt **out, struct swm_error *err);

/* Runs statements that return nothing, in the transaction that is open, if any. */
swm_status swm_db_exec(struct swm_db *db, const char *sql, struct swm_error *err);

/* Takes the lock and begins a write transaction. SWM_E_TIMEOUT when the lock was not
 * free within call_timeout_ms; SWM_E_UNAVAILABLE while the disk refuses flushes. Upon success swm_db_commit or swm_db_rollback must
 * follow. */
swm_status swm_db_begin(struct swm_db *db, struct swm_error *err);

/* Ends the transaction and gives the lock back, whatever the outcome. On failure
 * everything is rolled back; SWM_E_INDOUBT: it may come back after a crash, since
 * the disk refused the flush. */
swm_status swm_db_commit(struct swm_db *db, struct swm_error *err);

/* Ends the transaction without effect and gives the lock back. Fine when none is
 * open. */
void swm_db_rollback(struct swm_db *db);

/* Begins and ends a read transaction: what is read between the two is one snapshot.
 * Takes no lock. */
swm_status swm_db_read_begin(struct swm_db *db, struct swm_error *err);
void swm_db_read_end(struct swm_db *db);

/* Copies the WAL back into the file, under the lock; with `truncate` empties it as
 * well when no reader is in the way. SWM_E_TIMEOUT when something is left to do. */
swm_status swm_db_checkpoint(struct swm_db *db, bool truncate, struct swm_error *err);

/* Turns the result code `rc` of a call on db->handle, made just now, into a status:
 * "PATH: cannot WHAT: reason". */
swm_status swm_db_failed(struct swm_db *db, int rc, const char *what, struct swm_error *err);

/* Steps a statement that returns no row, and resets it. */
swm_status swm_db_run(
	struct swm_db *db, sqlite3_stmt *stmt, const char *what, struct swm_error *err);

/* For sqlite_open.c: the lock alone. */
swm_status swm_db_lock(struct swm_db *db, struct swm_error *err);
void swm_db_unlock(struct swm_db *db);

#endif
