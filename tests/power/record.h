/* SPDX-License-Identifier: MIT */
#ifndef POWER_RECORD_H
#define POWER_RECORD_H

/*
 * What was done to the files of a folder, in order: the material that crash images
 * are made of (image.h). The shim (shim.h) writes it down.
 *
 * A name and what it stands for are two things, since they become durable apart: a
 * folder's flush makes names durable, a file's flush its contents.
 *
 * Concurrency: one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_what {
	RECORD_NAME_ADDED,    /* `name` stands for `inode` from now on */
	RECORD_NAME_REMOVED,  /* `name` stands for nothing */
	RECORD_WRITTEN,       /* `bytes` at `offset` of `inode` */
	RECORD_CUT,           /* `inode` has `offset` bytes */
	RECORD_FLUSHED,       /* `inode`: contents and size are durable */
	RECORD_FLUSH_FAILED,  /* `inode`: what was not flushed never will be */
	RECORD_FOLDER_FLUSHED /* `name`, a folder: the names in it are durable */
};

struct record_entry {
	enum record_what what;
	uint32_t name;
	uint32_t inode;
	int64_t offset;
	size_t len;
	unsigned char *bytes;
};

enum {
	RECORD_ROOT = 0,   /* the name of the folder itself */
	RECORD_NOTHING = 0 /* the inode of a name that stands for nothing */
};

struct record_name {
	char *path; /* below the root, without a slash in front */
	uint32_t folder;
	uint32_t inode; /* at present */
	uint32_t first; /* when the record began: durable */
};

/* A file, or a folder: that has no contents of its own. */
struct record_inode {
	bool is_folder;
	unsigned char *bytes; /* when the record began: durable */
	size_t len;
};

struct record {
	char *root;
	struct record_name *names;
	struct record_inode *inodes;
	struct record_entry *entries;
	size_t name_count, name_room;
	size_t inode_count, inode_room;
	size_t entry_count, entry_room;
};

/* A record of `root`, an absolute path. What is there already counts as durable; files
 * that SQLite is not asked for (locks, shared memory) are left out. Out of memory ends
 * the program, here and below: it has nothing to rescue. */
void record_init(struct record *record, const char *root);
void record_finish(struct record *record);

/* The name of an absolute path below the root; false when it is elsewhere. A new one
 * stands for nothing. */
bool record_find(struct record *record, const char *path, uint32_t *name);

/* The inode that a name stands for; makes one, and the folders above, when there is
 * none. */
uint32_t record_open(struct record *record, uint32_t name);

void record_remove(struct record *record, uint32_t name);
void record_write(
	struct record *record, uint32_t inode, int64_t offset, const void *bytes, size_t len);
void record_cut(struct record *record, uint32_t inode, int64_t len);
void record_flush(struct record *record, uint32_t inode);

/* As Linux does it when a disk refuses: the pages count as written from then on. They
 * are seen as long as the machine runs, and later flushes pass them over. */
void record_fail_flush(struct record *record, uint32_t inode);

/* `path` is a folder; one that is elsewhere is passed over. */
void record_flush_folder(struct record *record, const char *path);

#define POWER_PATH_MAX 512

/* Memory that is there: ends the program when there is none. */
void *power_alloc(size_t count, size_t size);
void *power_grow(void *array, size_t count, size_t *room, size_t size);

/* As snprintf(); a path that does not fit ends the program. */
__attribute__((format(printf, 3, 4))) void power_path(
	char *out, size_t size, const char *fmt, ...);

/* Says why and ends the program: something outside of what is tested went wrong. */
__attribute__((noreturn, format(printf, 1, 2))) void power_die(const char *fmt, ...);

#endif
