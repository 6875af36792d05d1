/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_VERDICT_H
#define QUEUE_SQS_VERDICT_H

/*
 * What an attempt has come to: the client library's code, the HTTP status and the error
 * that the server names, as one of the port's statuses, and whether trying again helps.
 *
 * Concurrency: as the call's.
 */

#include "web.h"

/* What the server's names for errors come to. */
struct swm_sqs_meaning {
	swm_status status;
	bool again; /* it may pass by itself */
	bool keys;  /* other keys may do */
	bool clock; /* the clocks differ */
};

/* `name` is a code of SQS's, with or without what stands before a '#'; `http` the status
 * of the answer, or what swm_sqs_batch_http() gives for an entry of a batch. */
struct swm_sqs_meaning swm_sqs_meaning_of(struct swm_str name, long http);

/* Fills call->verdict; the attempt is still attached to its handle. */
void swm_sqs_verdict_of(struct swm_sqs_call *call, CURLcode code);

#endif
