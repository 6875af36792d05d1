/* SPDX-License-Identifier: MIT */

/* The VFS; see shim.h. What it wraps is the VFS that was the default before. */

#define _DEFAULT_SOURCE /* readlink() */

#include "shim.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An open file. The wrapped one lies behind it. */
struct shim_file {
	sqlite3_file base;
	struct shim *shim;
	const struct record *record; /* what `inode` belongs to */
	uint32_t inode;
	uint32_t kind; /* one of SHIM_LOSE_*, or 0 */
	sqlite3_file *real;
};

/* fsync() has no argument for it. Set once, by shim_install(). */
static _Atomic(struct shim *) installed;

static sqlite3_vfs *real_vfs(const sqlite3_vfs *vfs)
{
	const struct shim *shim = vfs->pAppData;

	return shim->real;
}

static struct shim_file *mine(sqlite3_file *file)
{
	return (struct shim_file *)file;
}

/* The record, if this file is in it. */
static struct record *record_of(const struct shim_file *file)
{
	struct record *record = file->shim->record;

	return record && file->record == record && file->inode != RECORD_NOTHING ? record
										 : NULL;
}

static int close_file(sqlite3_file *file)
{
	return mine(file)->real->pMethods->xClose(mine(file)->real);
}

static int read_file(sqlite3_file *file, void *to, int len, sqlite3_int64 offset)
{
	return mine(file)->real->pMethods->xRead(mine(file)->real, to, len, offset);
}

/* Is it the turn of this flush or write? */
static bool is_in_trouble(const struct shim_file *file, bool flushing)
{
	struct shim *shim = file->shim;

	if (!record_of(file) || shim->trouble == SHIM_WELL ||
		flushing != (shim->trouble == SHIM_FLUSH_FAILS)) {
		return false;
	}
	if (shim->trouble_in > 0) {
		shim->trouble_in--;
		return false;
	}
	shim->troubles++;
	return true;
}

static int write_file(sqlite3_file *file, const void *from, int len, sqlite3_int64 offset)
{
	struct record *record = record_of(mine(file));

	if (is_in_trouble(mine(file), false)) {
		errno = mine(file)->shim->trouble == SHIM_DISK_FULL ? ENOSPC : EIO;
		return mine(file)->shim->trouble == SHIM_DISK_FULL ? SQLITE_FULL
								   : SQLITE_IOERR_WRITE;
	}
	if (record) {
		record_write(record, mine(file)->inode, offset, from, (size_t)len);
	}
	return mine(file)->real->pMethods->xWrite(mine(file)->real, from, len, offset);
}

static int cut_file(sqlite3_file *file, sqlite3_int64 len)
{
	struct record *record = record_of(mine(file));

	if (record) {
		record_cut(record, mine(file)->inode, len);
	}
	return mine(file)->real->pMethods->xTruncate(mine(file)->real, len);
}

static int flush_file(sqlite3_file *file, int flags)
{
	struct record *record = record_of(mine(file));

	if ((mine(file)->kind & mine(file)->shim->lose) &&
		!(mine(file)->kind == SHIM_LOSE_WAL && mine(file)->shim->in_checkpoint)) {
		return SQLITE_OK;
	}
	if (is_in_trouble(mine(file), true)) {
		mine(file)->shim->trouble = SHIM_WELL;
		record_fail_flush(record, mine(file)->inode);
		errno = EIO;
		return SQLITE_IOERR_FSYNC;
	}
	if (record) {
		record_flush(record, mine(file)->inode);
	}
	/* Passed on, for it may flush the folder, too. */
	return mine(file)->real->pMethods->xSync(mine(file)->real, flags);
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *len)
{
	return mine(file)->real->pMethods->xFileSize(mine(file)->real, len);
}

static int lock_file(sqlite3_file *file, int level)
{
	return mine(file)->real->pMethods->xLock(mine(file)->real, level);
}

static int unlock_file(sqlite3_file *file, int level)
{
	return mine(file)->real->pMethods->xUnlock(mine(file)->real, level);
}

static int is_reserved(sqlite3_file *file, int *out)
{
	return mine(file)->real->pMethods->xCheckReservedLock(mine(file)->real, out);
}

static int control_file(sqlite3_file *file, int what, void *arg)
{
	if (what == SQLITE_FCNTL_CKPT_START || what == SQLITE_FCNTL_CKPT_DONE) {
		mine(file)->shim->in_checkpoint = what == SQLITE_FCNTL_CKPT_START;
	}
	return mine(file)->real->pMethods->xFileControl(mine(file)->real, what, arg);
}

static int sector_size(sqlite3_file *file)
{
	return mine(file)->real->pMethods->xSectorSize(mine(file)->real);
}

static int characteristics(sqlite3_file *file)
{
	return mine(file)->real->pMethods->xDeviceCharacteristics(mine(file)->real);
}

static int map_shared(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	return mine(file)->real->pMethods->xShmMap(mine(file)->real, region, size, extend, out);
}

static int lock_shared(sqlite3_file *file, int offset, int count, int flags)
{
	return mine(file)->real->pMethods->xShmLock(mine(file)->real, offset, count, flags);
}

static void fence_shared(sqlite3_file *file)
{
	mine(file)->real->pMethods->xShmBarrier(mine(file)->real);
}

static int unmap_shared(sqlite3_file *file, int remove)
{
	return mine(file)->real->pMethods->xShmUnmap(mine(file)->real, remove);
}

/* Version 2 has no xFetch: SQLite writes through xWrite alone. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = close_file,
	.xRead = read_file,
	.xWrite = write_file,
	.xTruncate = cut_file,
	.xSync = flush_file,
	.xFileSize = size_of_file,
	.xLock = lock_file,
	.xUnlock = unlock_file,
	.xCheckReservedLock = is_reserved,
	.xFileControl = control_file,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
	.xShmMap = map_shared,
	.xShmLock = lock_shared,
	.xShmBarrier = fence_shared,
	.xShmUnmap = unmap_shared,
};

static uint32_t kind_of(int flags)
{
	if (flags & SQLITE_OPEN_MAIN_DB) {
		return SHIM_LOSE_DATABASE;
	}
	if (flags & SQLITE_OPEN_WAL) {
		return SHIM_LOSE_WAL;
	}
	return flags & SQLITE_OPEN_MAIN_JOURNAL ? SHIM_LOSE_JOURNAL : 0;
}

static int open_file(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct shim *shim = vfs->pAppData;
	struct shim_file *opened = mine(file);
	uint32_t name;

	*opened = (struct shim_file){.shim = shim, .kind = kind_of(flags)};
	opened->real = (sqlite3_file *)(opened + 1);
	int rc = real_vfs(vfs)->xOpen(real_vfs(vfs), path, opened->real, flags, out_flags);
	if (rc != SQLITE_OK) {
		return rc;
	}
	file->pMethods = &methods;
	if (shim->record && path && record_find(shim->record, path, &name)) {
		opened->record = shim->record;
		opened->inode = record_open(shim->record, name);
	}
	return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *path, int flush_folder)
{
	struct shim *shim = vfs->pAppData;
	uint32_t name;

	if (shim->record && record_find(shim->record, path, &name)) {
		record_remove(shim->record, name);
	}
	return real_vfs(vfs)->xDelete(real_vfs(vfs), path, flush_folder);
}

static int access_file(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	return real_vfs(vfs)->xAccess(real_vfs(vfs), path, flags, out);
}

static int full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	return real_vfs(vfs)->xFullPathname(real_vfs(vfs), path, size, out);
}

/* WAL headers get their salts from here. */
static int draw(sqlite3_vfs *vfs, int len, char *out)
{
	struct shim *shim = vfs->pAppData;

	for (int i = 0; i < len; i++) {
		out[i] = (char)(chance_draw(&shim->chance) & 0xff);
	}
	return len;
}

static int pause_for(sqlite3_vfs *vfs, int us)
{
	return real_vfs(vfs)->xSleep(real_vfs(vfs), us);
}

static int clock_now(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	return real_vfs(vfs)->xCurrentTimeInt64(real_vfs(vfs), out);
}

static int last_error(sqlite3_vfs *vfs, int size, char *out)
{
	return real_vfs(vfs)->xGetLastError(real_vfs(vfs), size, out);
}

void shim_install(struct shim *shim)
{
	shim->real = sqlite3_vfs_find(NULL);
	shim->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = (int)sizeof(struct shim_file) + shim->real->szOsFile,
		.mxPathname = shim->real->mxPathname,
		.zName = "power",
		.pAppData = shim,
		.xOpen = open_file,
		.xDelete = delete_file,
		.xAccess = access_file,
		.xFullPathname = full_path,
		.xRandomness = draw,
		.xSleep = pause_for,
		.xGetLastError = last_error,
		.xCurrentTimeInt64 = clock_now,
	};
	atomic_store(&installed, shim);
	if (sqlite3_vfs_register(&shim->vfs, 1) != SQLITE_OK) {
		power_die("SQLite does not take the VFS");
	}
}

/* Only folders count here: files are written down where SQLite asks for their flush. */
static int flushed(int fd)
{
	struct shim *shim = atomic_load(&installed);
	char link[64];
	char path[PATH_MAX];
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return -1;
	}
	if (!S_ISDIR(st.st_mode) || !shim || !shim->record ||
		(shim->lose & SHIM_LOSE_FOLDERS)) {
		return 0;
	}
	power_path(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	if (len < 0) {
		power_die("%s: %s", link, strerror(errno));
	}
	path[len] = '\0';
	record_flush_folder(shim->record, path);
	return 0;
}

/* In place of the C library's, for SQLite and the plugins alike. */
__attribute__((visibility("default"))) int fsync(int fd)
{
	return flushed(fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return flushed(fd);
}
