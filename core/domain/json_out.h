/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_JSON_OUT_H
#define SWM_DOMAIN_JSON_OUT_H

/*
 * A JSON writer into memory of the caller's. It allocates nothing and cannot
 * fail half-way: like snprintf it goes on counting past the end, so that one
 * look at the end tells whether all fitted and how much is needed.
 *
 * It exists because the hot path writes small, known documents, and because
 * numbers must keep their value: a real is written as the shortest text that
 * reads back equal (0.1, 19.99, 1.0), which jansson's writer does not do.
 */

#include <jansson.h>
#include <swm/types.h>

struct swm_json_out {
	char *buf;
	size_t cap; /* of buf, bytes; what does not fit is only counted */
	size_t len; /* written, or needed when larger than cap */
};

void swm_json_out_init(struct swm_json_out *out, char *buf, size_t cap);

/* All that was written is there. */
bool swm_json_out_fits(const struct swm_json_out *out);

/* Bytes as they are: punctuation, and fragments that are JSON already. */
void swm_json_out_raw(struct swm_json_out *out, const char *text, size_t len);
void swm_json_out_str(struct swm_json_out *out, struct swm_str text);

/* A string with its quotes. The text must be UTF-8; control characters, quotes
 * and backslashes are escaped, all else stands as it is. */
void swm_json_out_string(struct swm_json_out *out, struct swm_str text);

void swm_json_out_int(struct swm_json_out *out, int64_t value);

/* A finite real, always with a point or an exponent, so that it stays a real. */
void swm_json_out_real(struct swm_json_out *out, double value);

/* Any value of jansson's, compact, members in the order they were read. Nested at
 * most SWM_JSON_DEPTH_MAX deep, which swm_json_read() has made sure of; walks
 * without recursion. */
void swm_json_out_value(struct swm_json_out *out, json_t *value);

/* The text of a value in memory from malloc, terminated; NULL: out of memory. */
char *swm_json_text(json_t *value, size_t *len);

#endif
