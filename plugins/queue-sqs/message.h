/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_MESSAGE_H
#define QUEUE_SQS_MESSAGE_H

/*
 * A message of the port's as SQS has it, and back.
 *
 * SQS carries text, and few attributes. So:
 *  - the id is the attribute swm-message-id;
 *  - of the headers those that others read have an attribute each, five with the id; what
 *    does not fit, and what SQS does not allow, goes into one attribute, swm-headers, as
 *    netstrings: name, value, name, value, ...; the key stands there as well;
 *  - a body that is no text that SQS allows is sent as base64, which swm-headers says. Of
 *    a JSON document with U+FFFE or U+FFFF these two are written as escapes instead.
 *
 * Concurrency: functions over memory of the caller's.
 */

#include "addresses.h"
#include "encode.h"
#include "json.h"

#include <swm/queue.h>

/* More than any message of ours carries. */
#define SWM_SQS_HEADERS_MAX 256

#define SWM_SQS_ATTRIBUTES_MAX 5

/* A message on its way out; memory to be used again. All zero bits to begin with. */
struct swm_sqs_entry {
	struct swm_sqs_text json; /* an object of SendMessageBatch, without its Id */
	struct swm_sqs_text body; /* as it is sent, when that is not as it came */
	struct swm_sqs_text rest; /* netstrings */
	char md5[SWM_SQS_MD5_SIZE];
	size_t bytes; /* what counts for the limits of SQS */
};

void swm_sqs_entry_finish(struct swm_sqs_entry *entry);

/* Fills `entry`. `chance` is 32 characters or more of randomness for what has no id.
 * SWM_E_INVALID: too many headers. */
SWM_NODISCARD swm_status swm_sqs_entry_fill(struct swm_sqs_entry *entry,
	const struct swm_message *message, const struct swm_sqs_address *address,
	const char *chance, struct swm_error *err);

/* A message on its way in: all of it points into the answer that it came in. */
struct swm_sqs_received {
	struct swm_str receipt;
	struct swm_str id; /* SQS's own, or the publisher's */
	struct swm_str key;
	struct swm_str body;
	struct swm_header headers[SWM_SQS_HEADERS_MAX];
	size_t header_count;
	uint32_t attempt;
	bool intact; /* the body is what SQS says it is */
};

/* Reads the next message of a list, which is decoded in place. False: it is none. */
SWM_NODISCARD bool swm_sqs_received_read(
	struct swm_sqs_received *received, struct swm_sqs_json *json);

#endif
