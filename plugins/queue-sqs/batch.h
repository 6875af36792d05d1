/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_BATCH_H
#define QUEUE_SQS_BATCH_H

/*
 * The answer to an action on up to ten entries: 200 says nothing yet, each entry has a
 * result of its own.
 *
 * Concurrency: functions over memory of the caller's.
 */

#include "verdict.h"

/* Entries of a batch ("Amazon SQS message quotas"). */
#define SWM_SQS_BATCH_MAX 10

struct swm_sqs_result {
	bool known; /* the answer names it */
	bool taken;
	bool servers_fault;  /* when it was not taken: SQS says that it is its own */
	struct swm_str md5;  /* of the body, when it was sent */
	struct swm_str code; /* when it was not taken */
	struct swm_str said;
};

/* What swm_sqs_meaning_of() wants of an entry that was not taken. */
long swm_sqs_batch_http(const struct swm_sqs_result *result);

/* The results of a call that got an answer, by the number that is the entry's Id; they
 * point into it. False: it cannot be read. */
SWM_NODISCARD bool swm_sqs_batch_read(
	struct swm_sqs_call *call, struct swm_sqs_result results[SWM_SQS_BATCH_MAX]);

#endif
