/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_JSON_H
#define STORE_MONGODB_JSON_H

/*
 * JSON as a BSON document, for the readable form alone: nothing reads it back.
 *
 * The client library's own reader gives fields that begin with $ a meaning of their own, and
 * here they are a team's fields like any other. MongoDB takes $ and . in the names of fields
 * for operators and paths; so they become their full-width twins (U+FF04, U+FF0E), as its
 * documentation used to advise, and an empty name becomes a full-width low line (U+FF3F).
 *
 * Concurrency: no state.
 */

#include <bson/bson.h>

#include <swm/types.h>

/* Appends the members of the object that `text` is. False: it is no JSON object, or nested
 * more than JSON_DEPTH_MAX deep, or there is no memory; then *out is of no use. */
bool json_to_bson(struct swm_str text, bson_t *out);

enum {
	/* The core takes 32; the server 100. */
	JSON_DEPTH_MAX = 40
};

#endif
