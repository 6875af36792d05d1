/* SPDX-License-Identifier: MIT */

/* What was done to files; see record.h. */

#define _DEFAULT_SOURCE /* reallocarray(), DT_DIR */

#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void power_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fputs("power: ", stderr);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(2);
}

void *power_alloc(size_t count, size_t size)
{
	void *memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

	if (!memory) {
		power_die("out of memory");
	}
	return memory;
}

void *power_grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room) {
		return array;
	}
	*room = *room == 0 ? 16 : *room * 2;
	array = reallocarray(array, *room, size);
	if (!array) {
		power_die("out of memory");
	}
	return array;
}

void power_path(char *out, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(out, size, fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= size) {
		power_die("too long: %s...", out);
	}
}

static char *copy_text(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = power_alloc(1, size);

	memcpy(copy, text, size);
	return copy;
}

static uint32_t add_inode(struct record *record, bool is_folder)
{
	record->inodes = power_grow(record->inodes, record->inode_count, &record->inode_room,
		sizeof(*record->inodes));
	record->inodes[record->inode_count] = (struct record_inode){.is_folder = is_folder};
	return (uint32_t)record->inode_count++;
}

static struct record_entry *add_entry(struct record *record, enum record_what what)
{
	record->entries = power_grow(record->entries, record->entry_count, &record->entry_room,
		sizeof(*record->entries));
	struct record_entry *entry = &record->entries[record->entry_count++];
	*entry = (struct record_entry){.what = what};
	return entry;
}

/* `path` is below the root already. Folders above it get names, too. */
static uint32_t find_name(struct record *record, const char *path)
{
	uint32_t folder = RECORD_ROOT;
	uint32_t name = RECORD_ROOT;

	for (const char *end = path; *path; end++) {
		if (*end != '/' && *end != '\0') {
			continue;
		}
		size_t len = (size_t)(end - path);
		for (name = 1; name < record->name_count; name++) {
			if (strncmp(record->names[name].path, path, len) == 0 &&
				record->names[name].path[len] == '\0') {
				break;
			}
		}
		if (name == record->name_count) {
			record->names = power_grow(record->names, record->name_count,
				&record->name_room, sizeof(*record->names));
			record->names[record->name_count++] = (struct record_name){
				.path = power_alloc(1, len + 1), .folder = folder};
			memcpy(record->names[name].path, path, len);
		}
		folder = name;
		if (*end == '\0') {
			break;
		}
	}
	return name;
}

bool record_find(struct record *record, const char *path, uint32_t *name)
{
	size_t len = strlen(record->root);

	if (strncmp(path, record->root, len) != 0) {
		return false;
	}
	if (path[len] == '\0') {
		*name = RECORD_ROOT;
		return true;
	}
	if (path[len] != '/') {
		return false;
	}
	*name = find_name(record, path + len + 1);
	return true;
}

static void give_inode(struct record *record, uint32_t name, bool is_folder)
{
	uint32_t inode = add_inode(record, is_folder);
	struct record_entry *entry = add_entry(record, RECORD_NAME_ADDED);

	entry->name = name;
	entry->inode = inode;
	record->names[name].inode = inode;
}

uint32_t record_open(struct record *record, uint32_t name)
{
	uint32_t folder = record->names[name].folder;

	if (folder != RECORD_ROOT && record->names[folder].inode == RECORD_NOTHING) {
		give_inode(record, folder, true);
	}
	if (record->names[name].inode == RECORD_NOTHING) {
		give_inode(record, name, false);
	}
	return record->names[name].inode;
}

void record_remove(struct record *record, uint32_t name)
{
	if (record->names[name].inode != RECORD_NOTHING) {
		add_entry(record, RECORD_NAME_REMOVED)->name = name;
		record->names[name].inode = RECORD_NOTHING;
	}
}

void record_write(
	struct record *record, uint32_t inode, int64_t offset, const void *bytes, size_t len)
{
	struct record_entry *entry = add_entry(record, RECORD_WRITTEN);

	entry->inode = inode;
	entry->offset = offset;
	entry->len = len;
	entry->bytes = power_alloc(1, len);
	memcpy(entry->bytes, bytes, len);
}

void record_cut(struct record *record, uint32_t inode, int64_t len)
{
	struct record_entry *entry = add_entry(record, RECORD_CUT);

	entry->inode = inode;
	entry->offset = len;
}

void record_flush(struct record *record, uint32_t inode)
{
	add_entry(record, RECORD_FLUSHED)->inode = inode;
}

void record_fail_flush(struct record *record, uint32_t inode)
{
	add_entry(record, RECORD_FLUSH_FAILED)->inode = inode;
}

static bool is_left_out(const char *name)
{
	static const char *const tails[] = {"-lock", "-wake", "-orchestrator", "-shm"};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		size_t tail = strlen(tails[i]);

		if (len > tail && strcmp(name + len - tail, tails[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void read_contents(struct record_inode *inode, const char *path)
{
	FILE *file = fopen(path, "re");
	long len;

	if (!file || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0) {
		power_die("%s: %s", path, strerror(errno));
	}
	rewind(file);
	inode->len = (size_t)len;
	inode->bytes = power_alloc(1, inode->len);
	if (fread(inode->bytes, 1, inode->len, file) != inode->len) {
		power_die("%s: cannot be read", path);
	}
	(void)fclose(file);
}

static DIR *open_folder(const char *folder)
{
	DIR *dir = opendir(folder);

	if (!dir) {
		power_die("%s: %s", folder, strerror(errno));
	}
	return dir;
}

/* The next thing in a folder that counts, and its path; NULL: no more. */
static const struct dirent *next_item(DIR *dir, const char *folder, char path[POWER_PATH_MAX])
{
	const struct dirent *item;

	while ((item = readdir(dir))) {
		if (item->d_name[0] != '.' && !is_left_out(item->d_name)) {
			power_path(path, POWER_PATH_MAX, "%s/%s", folder, item->d_name);
			return item;
		}
	}
	return NULL;
}

/* Takes in what a folder holds. */
static void take_in(struct record *record, const char *folder)
{
	DIR *dir = open_folder(folder);
	const struct dirent *item;
	char path[POWER_PATH_MAX];

	while ((item = next_item(dir, folder, path))) {
		uint32_t name;

		if (!record_find(record, path, &name)) {
			power_die("%s: is not below %s", path, record->root);
		}
		uint32_t inode = add_inode(record, item->d_type == DT_DIR);
		if (!record->inodes[inode].is_folder) {
			read_contents(&record->inodes[inode], path);
		}
		record->names[name].inode = inode;
		record->names[name].first = inode;
	}
	(void)closedir(dir);
}

/* The names that nobody told of: of folders, and of files that SQLite did not make. */
static void take_in_new(struct record *record, const char *folder)
{
	DIR *dir = open_folder(folder);
	const struct dirent *item;
	char path[POWER_PATH_MAX];

	while ((item = next_item(dir, folder, path))) {
		uint32_t name;

		if (record_find(record, path, &name) &&
			record->names[name].inode == RECORD_NOTHING) {
			give_inode(record, name, item->d_type == DT_DIR);
		}
	}
	(void)closedir(dir);
}

void record_flush_folder(struct record *record, const char *path)
{
	uint32_t name;

	if (record_find(record, path, &name)) {
		take_in_new(record, path);
		add_entry(record, RECORD_FOLDER_FLUSHED)->name = name;
	}
}

void record_init(struct record *record, const char *root)
{
	char path[POWER_PATH_MAX];

	*record = (struct record){.root = copy_text(root)};
	(void)add_inode(record, false); /* RECORD_NOTHING */
	record->names = power_grow(NULL, 0, &record->name_room, sizeof(*record->names));
	record->names[record->name_count++] = (struct record_name){.path = copy_text("")};
	record->names[RECORD_ROOT].inode = add_inode(record, true);
	record->names[RECORD_ROOT].first = record->names[RECORD_ROOT].inode;
	for (uint32_t name = RECORD_ROOT; name < record->name_count; name++) {
		if (record->inodes[record->names[name].inode].is_folder) {
			power_path(path, sizeof(path), "%s%s%s", root,
				name == RECORD_ROOT ? "" : "/", record->names[name].path);
			take_in(record, path);
		}
	}
}

void record_finish(struct record *record)
{
	for (size_t i = 0; i < record->entry_count; i++) {
		free(record->entries[i].bytes);
	}
	for (size_t i = 0; i < record->inode_count; i++) {
		free(record->inodes[i].bytes);
	}
	for (size_t i = 0; i < record->name_count; i++) {
		free(record->names[i].path);
	}
	free(record->entries);
	free(record->inodes);
	free(record->names);
	free(record->root);
	*record = (struct record){0};
}
