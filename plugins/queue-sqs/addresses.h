/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_ADDRESSES_H
#define QUEUE_SQS_ADDRESSES_H

/*
 * Which queue of SQS a destination is: its name there, and the URL under which actions
 * speak of it.
 *
 * SQS has letters, digits, '-' and '_' in names, 80 at most, and ".fifo" at the end of what
 * is a FIFO queue. A name that it has not is written with '-' for what is not allowed, and
 * with the beginning of its SHA-256 behind it, so that two do not become one.
 *
 * Concurrency: a book belongs to its owner's thread.
 */

#include "web.h"

#define SWM_SQS_NAME_MAX 80

struct swm_sqs_address {
	char *name; /* the port's */
	size_t name_len;
	char *url;
	bool fifo;
};

/* Those that are known, sorted by name; each stays where it is. */
struct swm_sqs_book {
	struct swm_sqs_address **items;
	size_t count;
	size_t room;
};

/* The name in SQS, terminated. SWM_E_INVALID: an empty name. */
SWM_NODISCARD swm_status swm_sqs_name(const struct swm_queue *queue, struct swm_str name,
	char out[SWM_SQS_NAME_MAX + 1], struct swm_error *err);

void swm_sqs_book_finish(struct swm_sqs_book *book);

/* NULL: not known. */
struct swm_sqs_address *swm_sqs_book_find(const struct swm_sqs_book *book, struct swm_str name);

/* Forgets one: the queue is not there any more. */
void swm_sqs_book_forget(struct swm_sqs_book *book, struct swm_str name);

/*
 * Asks the server for all that are not known, several at a time, and makes those that are
 * missing if `create`. What is returned is the first that is not SWM_OK: SWM_E_NOT_FOUND, SWM_E_INVALID, SWM_E_DENIED,
 * SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_THROTTLED.
 */
SWM_NODISCARD swm_status swm_sqs_book_look_up(struct swm_sqs_book *book,
	struct swm_sqs_web *web, const struct swm_str *names, size_t count, bool create,
	int64_t until_ms, struct swm_error *err);

#endif
