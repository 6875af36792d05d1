/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_JSON_H
#define SWM_HOST_CLI_JSON_H

/*
 * JSON documents that commands print and events that they send: built with jansson,
 * written by the domain's writer, so that 0.1 is printed as 0.1.
 *
 * Building cannot fail half-way: a member that found no memory is noticed at the end,
 * by swm_cli_json_print() and swm_json_text() being given NULL.
 */

#include "out.h"

#include <jansson.h>

/* An object under construction; `object` is NULL once memory has run out. */
struct swm_cli_json {
	json_t *object;
};

void swm_cli_json_init(struct swm_cli_json *json);
void swm_cli_json_finish(struct swm_cli_json *json);

/* Adds a member; takes the reference, and NULL for "out of memory". */
void swm_cli_json_add(struct swm_cli_json *json, const char *key, json_t *value);

/* Text of anybody's: what is not UTF-8 is added in base64, under the key with "_base64"
 * behind it. Absent text adds nothing. */
void swm_cli_json_add_text(struct swm_cli_json *json, const char *key, struct swm_str text);

/* A time in ISO 8601; 0 adds nothing. */
void swm_cli_json_add_time(struct swm_cli_json *json, const char *key, int64_t at_ms);

/* Prints a value on one line. SWM_E_NOMEM, also when it is NULL. */
swm_status swm_cli_json_print(const struct swm_out *out, json_t *value);

#endif
