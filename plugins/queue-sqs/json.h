/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_JSON_H
#define QUEUE_SQS_JSON_H

/*
 * Reads JSON once from front to end. Strings are decoded where they stand, since a
 * decoded string is never longer than what it was written as: so the bodies of messages
 * are in the answer's own memory, copied nowhere.
 *
 * What is not JSON breaks the reader: from then on every call fails, so that it is enough
 * to look at `broken` at the end.
 *
 * Concurrency: no state but the caller's.
 */

#include <swm/types.h>

struct swm_sqs_json {
	char *at;
	char *end;
	bool fresh; /* behind an opening bracket: no comma is due */
	bool broken;
};

/* Reads `text`, which is written to. */
void swm_sqs_json_init(struct swm_sqs_json *json, char *text, size_t len);

/* Goes into an object ('{') or an array ('['). False: there is none. */
bool swm_sqs_json_enter(struct swm_sqs_json *json, char bracket);

/* The next member of the object: its value is to be read or skipped. False: the end. */
bool swm_sqs_json_member(struct swm_sqs_json *json, struct swm_str *name);

/* Whether the array has another item, to be read or skipped. */
bool swm_sqs_json_item(struct swm_sqs_json *json);

/* A string, decoded; what is no string is skipped and absent. */
bool swm_sqs_json_text(struct swm_sqs_json *json, struct swm_str *out);

/* Passes over a value; whether it was `false`. */
bool swm_sqs_json_is_false(struct swm_sqs_json *json);

/* Passes over a value of any kind, and checks it. */
bool swm_sqs_json_skip(struct swm_sqs_json *json);

/* Whether all of `text` is one JSON object. */
bool swm_sqs_json_is_object(struct swm_str text);

#endif
