/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_LOCK_FILE_H
#define SWM_COMMON_LOCK_FILE_H

/*
 * A small file of its own beside a database, to be locked with flock or mapped. It
 * stays when nobody uses it: removing a lock file is a race of its own.
 *
 * Concurrency: no state; any thread.
 */

#include <swm/types.h>

/* Opens `path` for reading and writing, O_CLOEXEC, creating it (mode 0600) and its
 * directories (0700) when they are missing; a symbolic link is refused. *fd is the caller's to close.
 * SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_THROTTLED (disk full), SWM_E_NOMEM. */
swm_status swm_lock_file_open(const char *path, int *fd, struct swm_error *err);

/* Maps the first `size` bytes of an open one, shared between processes, after making it
 * that long (zeros). *out is the caller's to munmap. Statuses as above; `path` is for
 * the message. */
swm_status swm_lock_file_map(
	int fd, const char *path, size_t size, void **out, struct swm_error *err);

/* Makes the names in the directory of `path` durable: a file's own flush does not
 * promise that its name survives a power cut. SWM_E_DENIED, SWM_E_UNAVAILABLE,
 * SWM_E_THROTTLED, SWM_E_NOMEM. */
swm_status swm_names_flush(const char *path, struct swm_error *err);

#endif
