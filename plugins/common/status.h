/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_STATUS_H
#define SWM_COMMON_STATUS_H

/*
 * How a plugin says that something failed: one call that fills the caller's
 * struct swm_error and is the status to be returned.
 *
 *	return swm_fail(err, SWM_E_CONFIG, 0, "%s: no such directory", path);
 *
 * Concurrency: no state; any thread.
 */

#include <swm/types.h>

/* Fills `err` (which may be NULL) and returns `status`. `native` is the client
 * library's own code, or 0. The message becomes one line: control characters turn
 * into spaces, and what does not fit is cut at a character's boundary. */
swm_status swm_fail(struct swm_error *err, swm_status status, int native, const char *fmt, ...)
	SWM_PRINTF(4, 5);

/* The same for a system call that just failed on a file: "PATH: cannot WHAT: reason",
 * with the status that errno stands for: SWM_E_DENIED, SWM_E_THROTTLED (disk full),
 * SWM_E_NOMEM, else SWM_E_UNAVAILABLE. */
swm_status swm_fail_errno(struct swm_error *err, const char *path, const char *what);

#endif
