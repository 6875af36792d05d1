/* SPDX-License-Identifier: MIT */
#ifndef POWER_SHIM_H
#define POWER_SHIM_H

/*
 * A layer between SQLite and the file system of this process: a VFS of SQLite's
 * (sqlite.org/vfs.html) that passes everything on and writes down what is done to files.
 * It is the default VFS, so plugins open their databases through it without knowing.
 *
 * SQLite flushes folders without asking its VFS, and the plugins flush theirs
 * themselves; so fsync() and fdatasync() of the whole process are ours as well, and
 * pass nothing on: what is durable is decided by the record, not by a disk.
 *
 * Shared memory, locks and the files that plugins map are not recorded: nothing of
 * them needs to survive.
 *
 * Concurrency: one thread uses the shim, apart from fsync(), which other threads may
 * call for files of their own.
 */

#include "chance.h"
#include "record.h"

#include <sqlite3.h>

/* Flushes that the shim swallows: reported as done and not. For the test's own test. */
enum {
	SHIM_LOSE_DATABASE = 1 << 0,
	SHIM_LOSE_WAL = 1 << 1, /* when a transaction ends; checkpoints flush it still */
	SHIM_LOSE_JOURNAL = 1 << 2,
	SHIM_LOSE_FOLDERS = 1 << 3
};

/* A disk that is in trouble for a while: the operation's next flush fails, or its next
 * writes do. */
enum shim_trouble {
	SHIM_WELL,
	SHIM_FLUSH_FAILS, /* once, and what was to be flushed is lost; see record.h */
	SHIM_WRITE_FAILS, /* I/O error */
	SHIM_DISK_FULL
};

/* What the shim does now. */
struct shim {
	struct record *record; /* NULL: nothing is written down */
	uint32_t lose;
	bool in_checkpoint;
	enum shim_trouble trouble;
	uint32_t trouble_in;  /* so many flushes or writes before it */
	uint32_t troubles;    /* that came */
	struct chance chance; /* what SQLite draws */
	sqlite3_vfs vfs;      /* shim.c's, like what follows */
	sqlite3_vfs *real;
};

/* Puts the shim under SQLite, for good; there is one, and it outlives the process's use
 * of SQLite. */
void shim_install(struct shim *shim);

#endif
