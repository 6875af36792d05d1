/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_TEXT_H
#define QUEUE_SQS_TEXT_H

/*
 * Bytes that grow: the bodies of requests and of answers. A text that could not grow says
 * so once, at the end, so that whoever writes a request need not ask after every word.
 *
 * Concurrency: no state but the caller's.
 */

#include <swm/types.h>

/* All zero bits: empty. What it holds is terminated, the terminator not counted. */
struct swm_sqs_text {
	char *ptr;
	size_t len;
	size_t room;
	bool failed; /* no memory: it lacks something */
};

void swm_sqs_text_finish(struct swm_sqs_text *text);

/* Empties it and keeps its memory. */
void swm_sqs_text_reset(struct swm_sqs_text *text);

void swm_sqs_text_add(struct swm_sqs_text *text, const void *bytes, size_t len);
void swm_sqs_text_say(struct swm_sqs_text *text, const char *words);
void swm_sqs_text_number(struct swm_sqs_text *text, int64_t number);

/* As a JSON string with its quotes. `string` is UTF-8. */
void swm_sqs_text_quote(struct swm_sqs_text *text, struct swm_str string);

/* `"name":"value"`, after a comma unless it stands first behind a brace. */
void swm_sqs_text_member(struct swm_sqs_text *text, const char *name, struct swm_str value);

/* The whole of it. */
struct swm_str swm_sqs_text_str(const struct swm_sqs_text *text);

/* A terminated string, borrowed. NULL is absent. */
struct swm_str swm_sqs_str(const char *string);

bool swm_sqs_str_is(struct swm_str string, const char *other);

#endif
