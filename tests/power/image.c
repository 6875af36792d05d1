/* SPDX-License-Identifier: MIT */

/* Crash images; see image.h. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file's contents that are flushed, and what came after, as numbers of entries. */
struct image_file {
	unsigned char *bytes;
	size_t len, room;
	size_t *pending;
	size_t pending_count, pending_room;
};

enum {
	NOT_CUT = -1
};

/* One image being made. */
struct making {
	struct image_disk *disk;
	const struct image_plan *plan;
	struct chance chance;
	size_t special;    /* PREFIX: where it ends; ONE_LOST: which entry */
	size_t names_kept; /* EXT4: steps since the last flush */
	size_t len;        /* of what is in disk->room */
};

void image_begin(struct image_disk *disk, const struct record *record)
{
	*disk = (struct image_disk){.record = record};
	disk->files = power_alloc(record->inode_count, sizeof(*disk->files));
	for (size_t i = 0; i < record->inode_count; i++) {
		const struct record_inode *inode = &record->inodes[i];
		struct image_file *file = &disk->files[i];

		file->room = inode->len;
		file->len = inode->len;
		file->bytes = power_alloc(1, inode->len);
		if (inode->len > 0) {
			memcpy(file->bytes, inode->bytes, inode->len);
		}
	}
}

void image_end(struct image_disk *disk)
{
	for (size_t i = 0; i < disk->record->inode_count; i++) {
		free(disk->files[i].bytes);
		free(disk->files[i].pending);
	}
	free(disk->files);
	free(disk->room);
	*disk = (struct image_disk){0};
}

/* Makes `*bytes` hold at least `len` bytes. */
static void reserve(unsigned char **bytes, size_t *room, size_t len)
{
	if (len > *room) {
		*room = len * 2;
		*bytes = reallocarray(*bytes, *room, 1);
		if (!*bytes) {
			power_die("out of memory");
		}
	}
}

static void flush(struct image_disk *disk, uint32_t inode)
{
	struct image_file *file = &disk->files[inode];

	for (size_t i = 0; i < file->pending_count; i++) {
		const struct record_entry *entry = &disk->record->entries[file->pending[i]];
		size_t end = (size_t)entry->offset + entry->len;

		reserve(&file->bytes, &file->room, end);
		if (end > file->len) {
			memset(file->bytes + file->len, 0, end - file->len);
		}
		if (entry->what == RECORD_WRITTEN) {
			memcpy(file->bytes + entry->offset, entry->bytes, entry->len);
		}
		if (end > file->len || entry->what == RECORD_CUT) {
			file->len = end;
		}
	}
	file->pending_count = 0;
}

void image_advance(struct image_disk *disk, size_t point)
{
	for (; disk->at < point; disk->at++) {
		const struct record_entry *entry = &disk->record->entries[disk->at];
		struct image_file *file = &disk->files[entry->inode];

		switch (entry->what) {
		case RECORD_WRITTEN:
		case RECORD_CUT:
			file->pending = power_grow(file->pending, file->pending_count,
				&file->pending_room, sizeof(*file->pending));
			file->pending[file->pending_count++] = disk->at;
			break;
		case RECORD_FLUSHED:
			flush(disk, entry->inode);
			disk->last_flush = disk->at + 1;
			break;
		case RECORD_FLUSH_FAILED:
			file->pending_count = 0;
			break;
		case RECORD_FOLDER_FLUSHED:
			disk->last_flush = disk->at + 1;
			break;
		case RECORD_NAME_ADDED:
		case RECORD_NAME_REMOVED:
			break;
		}
	}
}

void image_plan_draw(struct image_plan *plan, struct chance *chance)
{
	static const uint32_t percents[] = {5, 50, 50, 95};

	*plan = (struct image_plan){
		.how = chance_below(chance, IMAGE_HOW_COUNT),
		.strict = chance_percent(chance, 50),
		.rubbish = chance_percent(chance, 50),
		.grown = chance_percent(chance, 30),
		.sector = chance_percent(chance, 50) ? 512 : 4096,
		.percent = percents[chance_below(chance, 4)],
		.seed = {chance_draw(chance)},
	};
}

void image_plan_print(const struct image_plan *plan, char *out, size_t size)
{
	static const char *const hows[IMAGE_HOW_COUNT] = {
		"nothing that was not flushed",
		"everything",
		"all up to a point",
		"all but one write",
		"some of the writes",
		"some of the sectors",
	};

	(void)snprintf(out, size, "%s, names %s, sectors of %u, %u %%%s%s", hows[plan->how],
		plan->strict ? "strict" : "as ext4", plan->sector, plan->percent,
		plan->grown ? ", grown without data" : "", plan->rubbish ? ", rubbish" : "");
}

/* What a name stands for in the image. */
static uint32_t find_inode(struct making *making, uint32_t name)
{
	const struct image_disk *disk = making->disk;
	const struct record *record = disk->record;
	uint32_t folder = record->names[name].folder;
	uint32_t inode = record->names[name].first;
	size_t durable = disk->last_flush;
	size_t steps = 0, kept;

	if (making->plan->strict) {
		for (durable = disk->at; durable > 0; durable--) {
			const struct record_entry *entry = &record->entries[durable - 1];

			if (entry->what == RECORD_FOLDER_FLUSHED && entry->name == folder) {
				break;
			}
		}
		for (size_t i = durable; i < disk->at; i++) {
			const struct record_entry *entry = &record->entries[i];

			steps += entry->what <= RECORD_NAME_REMOVED && entry->name == name;
		}
		kept = chance_below(&making->chance, steps + 1);
		if (making->plan->how == IMAGE_NOTHING) {
			kept = 0;
		} else if (making->plan->how == IMAGE_EVERYTHING) {
			kept = steps;
		}
	} else {
		kept = making->names_kept;
	}
	for (size_t i = 0; i < disk->at; i++) {
		const struct record_entry *entry = &record->entries[i];

		if (entry->what > RECORD_NAME_REMOVED) {
			continue;
		}
		if (i >= durable && (!making->plan->strict || entry->name == name)) {
			if (kept == 0) {
				break;
			}
			kept--;
		}
		if (entry->name == name) {
			inode = entry->inode;
		}
	}
	return inode;
}

/* Draws what holds for all files of an image. */
static void draw_special(struct making *making)
{
	const struct image_disk *disk = making->disk;
	size_t first = disk->at, steps = 0, count = 0;

	for (size_t i = 0; i < disk->record->inode_count; i++) {
		const struct image_file *file = &disk->files[i];

		count += file->pending_count;
		if (file->pending_count > 0 && file->pending[0] < first) {
			first = file->pending[0];
		}
	}
	making->special = first + chance_below(&making->chance, disk->at - first + 1);
	if (making->plan->how == IMAGE_ONE_LOST && count > 0) {
		size_t at = chance_below(&making->chance, count);

		for (size_t i = 0; i < disk->record->inode_count; i++) {
			const struct image_file *file = &disk->files[i];

			if (at < file->pending_count) {
				making->special = file->pending[at];
				break;
			}
			at -= file->pending_count;
		}
	}
	for (size_t i = disk->last_flush; i < disk->at; i++) {
		steps += disk->record->entries[i].what <= RECORD_NAME_REMOVED;
	}
	making->names_kept = chance_below(&making->chance, steps + 1);
	if (making->plan->how == IMAGE_NOTHING) {
		making->names_kept = 0;
	} else if (making->plan->how == IMAGE_EVERYTHING) {
		making->names_kept = steps;
	}
}

/* Makes the file in disk->room at least `len` long. */
static void grow(struct making *making, size_t len)
{
	struct image_disk *disk = making->disk;

	if (len <= making->len) {
		return;
	}
	reserve(&disk->room, &disk->room_bytes, len);
	for (size_t i = making->len; i < len; i++) {
		disk->room[i] =
			making->plan->rubbish ? (unsigned char)chance_draw(&making->chance) : 0;
	}
	making->len = len;
}

static void put_piece(
	struct making *making, const struct record_entry *entry, size_t from, size_t to)
{
	size_t offset = (size_t)entry->offset;

	grow(making, to);
	memcpy(making->disk->room + from, entry->bytes + (from - offset), to - from);
}

/* Writes those sectors of a write that chance keeps. */
static void put_torn(struct making *making, const struct record_entry *entry, uint32_t percent)
{
	size_t from = (size_t)entry->offset;
	size_t end = from + entry->len;

	while (from < end) {
		size_t to = from / making->plan->sector * making->plan->sector +
			    making->plan->sector;

		to = to < end ? to : end;
		if (chance_percent(&making->chance, percent)) {
			put_piece(making, entry, from, to);
		}
		from = to;
	}
}

/* One of the writes and cuts that were not flushed. */
static void put_pending(struct making *making, size_t number)
{
	const struct record_entry *entry = &making->disk->record->entries[number];
	const struct image_plan *plan = making->plan;
	bool kept = true;

	switch (plan->how) {
	case IMAGE_NOTHING:
		kept = false;
		break;
	case IMAGE_PREFIX:
		if (number == making->special && entry->what == RECORD_WRITTEN) {
			put_torn(making, entry, 50);
		}
		kept = number < making->special;
		break;
	case IMAGE_ONE_LOST:
		kept = number != making->special;
		break;
	case IMAGE_SOME:
		kept = chance_percent(&making->chance, plan->percent);
		break;
	case IMAGE_TORN:
		if (entry->what == RECORD_WRITTEN) {
			put_torn(making, entry, plan->percent);
			return;
		}
		kept = chance_percent(&making->chance, plan->percent);
		break;
	case IMAGE_EVERYTHING:
	case IMAGE_HOW_COUNT:
		break;
	}
	if (!kept) {
		return;
	}
	if (entry->what == RECORD_CUT) {
		grow(making, (size_t)entry->offset);
		making->len = (size_t)entry->offset;
	} else {
		put_piece(making, entry, (size_t)entry->offset,
			(size_t)entry->offset + entry->len);
	}
}

static void write_file(const char *path, const unsigned char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0) {
		power_die("%s: %s", path, strerror(errno));
	}
	while (len > 0) {
		ssize_t done = write(fd, bytes, len);

		if (done < 0) {
			power_die("%s: %s", path, strerror(errno));
		}
		bytes += done;
		len -= (size_t)done;
	}
	(void)close(fd);
}

static void write_contents(struct making *making, uint32_t inode, const char *path)
{
	struct image_disk *disk = making->disk;
	const struct image_file *file = &disk->files[inode];

	making->len = 0;
	reserve(&disk->room, &disk->room_bytes, file->len + 1);
	memcpy(disk->room, file->bytes, file->len);
	making->len = file->len;
	for (size_t i = 0; i < file->pending_count; i++) {
		put_pending(making, file->pending[i]);
	}
	for (size_t i = 0; making->plan->grown && i < file->pending_count; i++) {
		const struct record_entry *entry = &disk->record->entries[file->pending[i]];

		if (entry->what == RECORD_WRITTEN) {
			grow(making, (size_t)entry->offset + entry->len);
		}
	}
	write_file(path, disk->room, making->len);
}

/* What stands beside a database and needs not to survive. */
static void write_rubbish(struct making *making, const char *database)
{
	static const char *const tails[] = {"-lock", "-wake", "-orchestrator", "-shm"};
	unsigned char bytes[8192];
	char path[POWER_PATH_MAX];

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		if (chance_percent(&making->chance, 50)) {
			continue;
		}
		size_t len = chance_below(&making->chance, sizeof(bytes) + 1);
		for (size_t k = 0; k < len; k++) {
			bytes[k] = (unsigned char)chance_draw(&making->chance);
		}
		power_path(path, sizeof(path), "%s%s", database, tails[i]);
		write_file(path, bytes, len);
	}
}

void image_write(struct image_disk *disk, const struct image_plan *plan, const char *to)
{
	const struct record *record = disk->record;
	struct making making = {.disk = disk, .plan = plan, .chance = plan->seed};
	bool *there = power_alloc(record->name_count, sizeof(*there));
	char path[POWER_PATH_MAX];

	draw_special(&making);
	there[RECORD_ROOT] = true;
	for (uint32_t name = 1; name < record->name_count; name++) {
		const char *below = record->names[name].path;
		size_t len = strlen(below);
		uint32_t inode = find_inode(&making, name);

		there[name] = there[record->names[name].folder] && inode != RECORD_NOTHING;
		if (!there[name]) {
			continue;
		}
		power_path(path, sizeof(path), "%s/%s", to, below);
		if (record->inodes[inode].is_folder) {
			if (mkdir(path, 0700) != 0) {
				power_die("%s: %s", path, strerror(errno));
			}
			continue;
		}
		write_contents(&making, inode, path);
		if (len > 3 && strcmp(below + len - 3, ".db") == 0) {
			write_rubbish(&making, path);
		}
	}
	free(there);
}
