/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_LOG_H
#define SWM_HOST_LOG_H

/*
 * One line per event for the operator, on stderr, as text or as JSON. Whoever
 * collects the lines (journald, a container's runtime) stores, rotates and ships
 * them; here they are only made, each whole.
 *
 * Concurrency: a log is set up before other threads start and does not change
 * then. A line is one write(2) of at most SWM_LOG_LINE_MAX bytes, so that lines of
 * several threads, or of processes that share a pipe, do not mix.
 */

#include <stdarg.h>
#include <swm/plugin.h>

/* PIPE_BUF of Linux: what a pipe takes atomically. */
#define SWM_LOG_LINE_MAX 4096

enum swm_log_format {
	SWM_LOG_TEXT,
	SWM_LOG_JSON
};

struct swm_log {
	int fd;
	int32_t level; /* SWM_LOG_*: what is above it is not written */
	enum swm_log_format format;
};

/* Writes one line: RFC 3339 time in UTC, level, source, message. Control characters
 * and bytes that are not UTF-8 are escaped or replaced, so that what came with a
 * message cannot forge a line; what does not fit is cut and ends with "...".
 * Failures to write are ignored: there is nowhere to tell. Any thread. */
void swm_log_write(const struct swm_log *log, int32_t level, const char *source,
	const char *fmt, ...) SWM_PRINTF(4, 5);
void swm_log_vwrite(const struct swm_log *log, int32_t level, const char *source,
	const char *fmt, va_list args) SWM_PRINTF(4, 0);

/* "error", "warn", "info", "debug". */
const char *swm_log_level_name(int32_t level);

/* False, and *level untouched, when there is no such level. */
bool swm_log_level_parse(const char *name, int32_t *level);

#endif
