/* SPDX-License-Identifier: MIT */

/* See trust.h. */

#include "trust.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Owner and mode of one file or directory. Each message ends with its path, so that
 * the mend can be copied and a long path is all that is cut. */
static swm_status check_hands(const struct stat *info, const char *path, struct swm_error *err)
{
	unsigned mode = (unsigned)info->st_mode & 07777U;
	if (info->st_uid != 0 && info->st_uid != geteuid()) {
		return swm_error_set(err, SWM_E_DENIED,
			"refused, it belongs to user %u, who could change it: chown root %s",
			(unsigned)info->st_uid, path);
	}
	bool sticky_directory = S_ISDIR(info->st_mode) && (mode & 01000U) != 0;
	if ((mode & 022U) != 0 && !sticky_directory) {
		return swm_error_set(err, SWM_E_DENIED,
			"refused, others can write %s (mode %04o): chmod go-w %s",
			S_ISDIR(info->st_mode) ? "the directory" : "it", mode, path);
	}
	return SWM_OK;
}

/* `directory` and all above it, from the root down. It is canonical: no links. */
static swm_status check_directories(const char *directory, struct swm_error *err)
{
	char path[PATH_MAX];
	size_t len = strlen(directory);
	for (size_t end = 1; end <= len; end++) {
		if (end != 1 && end != len && directory[end] != '/') {
			continue;
		}
		memcpy(path, directory, end);
		path[end] = '\0';
		struct stat info;
		if (lstat(path, &info) != 0) {
			return swm_error_set(err, SWM_E_DENIED, "cannot look at %s: %s", path,
				strerror(errno));
		}
		swm_status status = check_hands(&info, path, err);
		if (status != SWM_OK) {
			return status;
		}
	}
	return SWM_OK;
}

static swm_status check_file(const char *path, struct swm_error *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ELOOP) {
		return swm_error_set(err, SWM_E_DENIED,
			"refused, it is a symbolic link; name the file itself: %s", path);
	}
	if (fd < 0) {
		return swm_error_set(err, errno == ENOENT ? SWM_E_NOT_FOUND : SWM_E_DENIED,
			"cannot open %s: %s", path, strerror(errno));
	}
	struct stat info;
	swm_status status = SWM_OK;
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
		status = swm_error_set(
			err, SWM_E_DENIED, "refused, it is not a regular file: %s", path);
	} else {
		status = check_hands(&info, path, err);
	}
	(void)close(fd);
	return status;
}

swm_status swm_trust_check(const char *path, char **out, struct swm_error *err)
{
	const char *slash = strrchr(path, '/');
	if (path[0] != '/' || slash[1] == '\0' || strlen(path) >= PATH_MAX) {
		return swm_error_set(
			err, SWM_E_DENIED, "has to be an absolute path of a file: %s", path);
	}
	char parent[PATH_MAX];
	size_t parent_len = slash == path ? 1 : (size_t)(slash - path);
	memcpy(parent, path, parent_len);
	parent[parent_len] = '\0';
	char *directory = realpath(parent, NULL);
	if (directory == NULL) {
		return swm_error_set(err, errno == ENOENT ? SWM_E_NOT_FOUND : SWM_E_DENIED,
			"cannot open %s: %s", parent, strerror(errno));
	}
	size_t size = strlen(directory) + strlen(slash) + 1;
	char *canonical = malloc(size);
	swm_status status = SWM_OK;
	if (canonical == NULL) {
		status = swm_error_set(err, SWM_E_NOMEM, "out of memory");
		goto done;
	}
	(void)snprintf(
		canonical, size, "%s%s", strcmp(directory, "/") == 0 ? "" : directory, slash);
	status = check_directories(directory, err);
	if (status == SWM_OK) {
		status = check_file(canonical, err);
	}
done:
	free(directory);
	if (status != SWM_OK) {
		free(canonical);
		return status;
	}
	*out = canonical;
	return SWM_OK;
}
