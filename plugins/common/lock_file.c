/* SPDX-License-Identifier: MIT */

/* Files beside a database; see lock_file.h. Concurrency: no state; any thread. */

#include "lock_file.h"

#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whatever stands before the last slash of `path`, in memory of the caller's. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash) {
		return strdup(".");
	}
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

swm_status swm_names_flush(const char *path, struct swm_error *err)
{
	swm_status status = SWM_OK;
	char *parent = parent_of(path);

	if (!parent) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		/* One that may be used and not be read is left to the file system. */
		status = errno == EACCES ? SWM_OK : swm_fail_errno(err, parent, "open");
	} else {
		/* EINVAL: there is nothing to flush where this directory is. */
		if (fsync(fd) != 0 && errno != EINVAL) {
			status = swm_fail_errno(err, parent, "flush the directory");
		}
		close(fd);
	}
	free(parent);
	return status;
}

/* Creates the directories that `path` names and that are missing, durably. One that was
 * not missing may have been made a moment ago, by somebody who has not flushed it yet. */
static swm_status make_parents(const char *path, struct swm_error *err)
{
	swm_status status = SWM_OK;
	char *copy = strdup(path);

	if (!copy) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (char *slash = strchr(copy + 1, '/'); copy[0] && slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
			status = swm_fail_errno(err, copy, "create the directory");
			break;
		}
		status = swm_names_flush(copy, err);
		if (status != SWM_OK) {
			break;
		}
		*slash = '/';
	}
	free(copy);
	return status;
}

swm_status swm_lock_file_open(const char *path, int *fd, struct swm_error *err)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
	int opened = open(path, flags, 0600);

	if (opened < 0 && errno == ENOENT) {
		swm_status status = make_parents(path, err);

		if (status != SWM_OK) {
			return status;
		}
		opened = open(path, flags, 0600);
	}
	if (opened < 0) {
		return swm_fail_errno(err, path, "open");
	}
	*fd = opened;
	return SWM_OK;
}

swm_status swm_lock_file_map(
	int fd, const char *path, size_t size, void **out, struct swm_error *err)
{
	void *mapped;
	int number;

	/* With room on the disk for all of it, since the first touch of a hole on a full
	 * disk is a SIGBUS. Never shrinks the file, so doing it twice does no harm. */
	do {
		number = posix_fallocate(fd, 0, (off_t)size);
	} while (number == EINTR);
	if (number != 0) {
		errno = number;
		return swm_fail_errno(err, path, "extend");
	}
	mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED) {
		return swm_fail_errno(err, path, "map");
	}
	*out = mapped;
	return SWM_OK;
}
