/* SPDX-License-Identifier: MIT */
#ifndef POWER_IMAGE_H
#define POWER_IMAGE_H

/*
 * What a disk may hold after the power failed at some point of a record.
 *
 * For certain it holds what was flushed. Of everything since, an image keeps what chance
 * decides:
 *  - each write to a file since that file's last flush may be there or not, whatever
 *    became of the others before and after it (so any reordering), or only some of its
 *    sectors of 512 or 4096 bytes; bytes beside it stay (SQLite calls that power-safe
 *    overwrite and counts on it);
 *  - a cut of the file likewise; a file may have grown without its data, and then holds
 *    zeros or rubbish there;
 *  - names (creation, removal) follow one of two models:
 *    STRICT  POSIX at its word: durable only after a flush of the folder; of what was
 *            done to a name since, the first few steps are there, each name for itself;
 *    EXT4    a journal: durable after any flush; the first few steps since are there,
 *            in the order in which they were made, over all names.
 * Cuts are as in STRICT under both, and a flush of one file never helps another, so both
 * are harsher than any file system that keeps its promises.
 *
 * A flush that failed leaves nothing of what it was for, ever: see record_fail_flush().
 *
 * The files that the plugins map, and SQLite's shared memory, are missing or hold
 * rubbish.
 *
 * Concurrency: one thread.
 */

#include "chance.h"
#include "record.h"

enum image_how {
	IMAGE_NOTHING,    /* of what was not flushed */
	IMAGE_EVERYTHING, /* the machine stopped, the disk did not */
	IMAGE_PREFIX,     /* up to some point in time, where a write is torn */
	IMAGE_ONE_LOST,   /* all but one */
	IMAGE_SOME,       /* each write by chance */
	IMAGE_TORN,       /* each sector by chance */
	IMAGE_HOW_COUNT
};

struct image_plan {
	enum image_how how;
	bool strict;
	bool rubbish;       /* what grows without data holds rubbish, not zeros */
	bool grown;         /* files are as long as if nothing were lost */
	uint32_t sector;    /* 512 or 4096 */
	uint32_t percent;   /* of what is kept, for SOME and TORN */
	struct chance seed; /* for all else */
};

struct image_file;

/* The state of the disk at one point of a record. */
struct image_disk {
	const struct record *record;
	struct image_file *files; /* by inode */
	size_t at;                /* entries done */
	size_t last_flush;        /* the entry behind the last flush of anything */
	unsigned char *room;      /* where contents are put together */
	size_t room_bytes;
};

void image_begin(struct image_disk *disk, const struct record *record);
void image_end(struct image_disk *disk);

/* Goes on to the point before entry `point`, which never lies behind. */
void image_advance(struct image_disk *disk, size_t point);

void image_plan_draw(struct image_plan *plan, struct chance *chance);

/* One line: how the image is made. */
void image_plan_print(const struct image_plan *plan, char *out, size_t size);

/* Writes an image of the disk into the folder `to`, which is empty. The same plan at the
 * same point gives the same image. */
void image_write(struct image_disk *disk, const struct image_plan *plan, const char *to);

#endif
