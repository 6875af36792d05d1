/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_JSON_PARSE_H
#define SWM_DOMAIN_JSON_PARSE_H

/*
 * JSON text into jansson's values, without jansson's own reader: that one (2.14) breaks
 * when memory runs out within a word of more than 15 bytes. It reads past the word, trips
 * over an assertion, or leaves a byte out and says nothing. Its values are sound.
 *
 * This one knows neither recursion nor doubt: it stops at the first byte that is not
 * JSON (RFC 8259), and tells which.
 */

#include <jansson.h>
#include <swm/types.h>

struct swm_json_problem {
	size_t at;        /* offset into the text */
	const char *what; /* a literal, for people */
};

/*
 * Reads one value with nothing but white space around it: UTF-8, no duplicate keys, no
 * U+0000, integers of 64 bits, finite reals, SWM_JSON_DEPTH_MAX deep. The caller owns
 * *out. Numbers are read under LC_NUMERIC "C", which the process must not change.
 * SWM_E_INVALID and SWM_E_TOO_LARGE (nested too deep) fill *problem. SWM_E_NOMEM.
 */
swm_status swm_json_parse(struct swm_str text, json_t **out, struct swm_json_problem *problem);

/* Resolves the escapes of a string, given without its quotes, into `out`, which has room
 * for text.len bytes. False: not the inside of a JSON string. */
bool swm_json_unescape(struct swm_str text, char *out, size_t *len);

#endif
