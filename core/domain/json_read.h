/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_JSON_READ_H
#define SWM_DOMAIN_JSON_READ_H

/*
 * The one way in for JSON text: limits first, then json_parse.c, and a message that
 * says where. Also tells at which line a JSON pointer stands, which a value
 * does not know.
 */

#include <jansson.h>
#include <swm/types.h>

/*
 * Reads one JSON text: UTF-8, no duplicate keys, nothing after it, at most
 * max_bytes long and SWM_JSON_DEPTH_MAX deep. The caller owns *out.
 * SWM_E_TOO_LARGE: over a limit. SWM_E_INVALID: not JSON, or an integer outside
 * 64 bits; the message has line, column and the JSON pointer, err->native the line.
 * SWM_E_NOMEM.
 */
swm_status swm_json_read(
	struct swm_str text, size_t max_bytes, json_t **out, struct swm_error *err);

/* The line, from 1, where the value at the pointer (RFC 6901) begins in a text
 * that swm_json_read() accepts; 0 when there is no such value. */
int32_t swm_json_line(struct swm_str text, const char *pointer);

/* The pointer of the value that the byte at `offset` belongs to, written to `out`,
 * cut when it does not fit. Any text will do: it stops at what is not JSON. */
void swm_json_pointer_at(struct swm_str text, size_t offset, char *out, size_t cap);

/* A member that is a string, borrowed from the object. False, and *out untouched,
 * when it is absent or something else. */
bool swm_json_get_str(const json_t *object, const char *key, struct swm_str *out);

#endif
