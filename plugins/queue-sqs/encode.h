/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_ENCODE_H
#define QUEUE_SQS_ENCODE_H

/*
 * How SQS wants things written: which characters a text may have, base64, digests.
 *
 * Concurrency: no state; any thread.
 */

#include "text.h"

/* Hexadecimal, terminated. */
#define SWM_SQS_MD5_SIZE 33

/* base64url of a SHA-256, terminated. */
#define SWM_SQS_HASH_SIZE 44

void swm_sqs_md5(struct swm_str bytes, char out[SWM_SQS_MD5_SIZE]);

/* base64url without padding, as an id that SQS allows. */
void swm_sqs_hash(struct swm_str bytes, char out[SWM_SQS_HASH_SIZE]);

void swm_sqs_base64_add(struct swm_sqs_text *text, struct swm_str bytes);

/* Decodes in place and sets the length. False: it is none. */
bool swm_sqs_base64_decode(char *text, size_t *len);

enum swm_sqs_legal {
	SWM_SQS_LEGAL,        /* goes as it is */
	SWM_SQS_NONCHARACTER, /* UTF-8, but with U+FFFE or U+FFFF, which XML lacks */
	SWM_SQS_ILLEGAL       /* empty, not UTF-8, or with control characters */
};

/* Whether a body or an attribute's value may be these bytes: "#x9 | #xA | #xD | #x20 to
 * #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF" (SendMessage, Amazon SQS API). */
enum swm_sqs_legal swm_sqs_legal(struct swm_str text);

#endif
