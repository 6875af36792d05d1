/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_HEADERS_H
#define QUEUE_SQLITE_HEADERS_H

/*
 * The headers of a message as one column. Nothing ever searches by a header, so a
 * table of them would only cost rows: they are kept as one blob,
 *
 *   count, then per header: name length, value length, name, value
 *
 * with 32-bit little-endian numbers. No headers at all is NULL.
 *
 * Concurrency: pure functions.
 */

#include <swm/types.h>

/* More than any message of ours carries; bounds what a receive allocates. */
#define SWM_HEADERS_MAX 256

/* How many bytes the blob of these headers has; 0 for none. Lengths that do not fit
 * the format give SIZE_MAX. */
size_t swm_headers_size(const struct swm_header *headers, size_t count);

/* Writes exactly swm_headers_size() bytes. */
void swm_headers_write(const struct swm_header *headers, size_t count, unsigned char *out);

/* How many headers a blob holds, 0 for an empty one. SWM_E_CORRUPT if it is none:
 * `count` is untouched then. */
SWM_NODISCARD swm_status swm_headers_count(
	const unsigned char *blob, size_t blob_len, size_t *count);

/* Points out[0..count) into `blob`, which swm_headers_count() has accepted. */
void swm_headers_read(const unsigned char *blob, struct swm_header *out, size_t count);

#endif
