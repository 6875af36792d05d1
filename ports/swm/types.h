/* SPDX-License-Identifier: MIT */
#ifndef SWM_TYPES_H
#define SWM_TYPES_H

/*
 * The vocabulary that every port shares: statuses, errors, borrowed bytes.
 * Freestanding: this header needs nothing but the C11 (or C++11) standard
 * headers, so that a plugin depends on no library of ours, not even on our JSON
 * library. It is the one header of this directory that core/domain includes.
 *
 * ABI rules, for everything under swm/:
 *  - operation tables and descriptors begin with `size` and only ever grow at
 *    the end; a member past `size` is absent (reads as NULL or 0);
 *  - value structs (swm_str, swm_message, swm_event, ...) are frozen for a major
 *    version: they are passed in arrays, so their stride is part of the ABI;
 *  - enumerations travel as fixed-width integers;
 *  - all text is UTF-8; every length is in bytes; every time says its unit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SWM_EXPORT __attribute__((visibility("default")))
#define SWM_NODISCARD __attribute__((warn_unused_result))
#define SWM_PRINTF(fmt_at, first) __attribute__((format(printf, fmt_at, first)))
#else
#define SWM_EXPORT
#define SWM_NODISCARD
#define SWM_PRINTF(fmt_at, first)
#endif

/*
 * What became of a call. The set is small on purpose: each value makes the
 * core do something different, and a plugin maps its client's many codes here.
 */
typedef int32_t swm_status;

enum {
	SWM_OK = 0,
	SWM_E_INVALID = -1,     /* an argument breaks the contract: a bug */
	SWM_E_CONFIG = -2,      /* wrong configuration: stop, do not retry */
	SWM_E_UNSUPPORTED = -3, /* the adapter lacks this capability */
	SWM_E_NOT_FOUND = -4,
	SWM_E_EXISTS = -5,       /* same key, other contents */
	SWM_E_CONFLICT = -6,     /* the version or the lease moved: reload */
	SWM_E_DUPLICATE = -7,    /* already applied: treat as done */
	SWM_E_TIMEOUT = -8,      /* nothing came, or not done, in time */
	SWM_E_INTERRUPTED = -9,  /* a wake() ended the wait */
	SWM_E_THROTTLED = -10,   /* healthy but busy: retry after a pause */
	SWM_E_UNAVAILABLE = -11, /* no connection: reopen the session */
	SWM_E_INDOUBT = -12,     /* sent, not answered: may have been applied */
	SWM_E_TOO_LARGE = -13,   /* will never fit: do not retry */
	SWM_E_DENIED = -14,      /* authentication or authorisation */
	SWM_E_CORRUPT = -15,     /* what is stored cannot be read back */
	SWM_E_NOMEM = -16,
	SWM_E_INTERNAL = -17 /* a bug in the adapter or in its client */
};

#define SWM_ERROR_MESSAGE_MAX 248

/*
 * The reason for a failure, in memory of the caller's. Set only by a call that
 * returns something other than SWM_OK; may always be NULL.
 */
struct swm_error {
	swm_status status;
	int32_t native;                      /* the client library's own code, or 0 */
	char message[SWM_ERROR_MESSAGE_MAX]; /* one line, terminated, no newline */
};

/* A run of bytes somebody else owns. Not terminated. {NULL, 0} is "absent". */
struct swm_str {
	const char *ptr;
	size_t len;
};

/* A header (AMQP, Kafka) or attribute (SQS) of a message. Names are unique within
 * a message, compared byte by byte; ours begin with "swm-" or "ce-". */
struct swm_header {
	struct swm_str name;
	struct swm_str value;
};

#ifdef __cplusplus
}
#endif

#endif
