/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_CONSUMER_H
#define QUEUE_SQS_CONSUMER_H

/*
 * What the files about consuming share: consumer.c opens, waits and closes; polls.c has
 * long polls under way and puts what they bring into the inbox; settle.c tells SQS what
 * became of it; tell.c speaks of many messages at once.
 *
 * Concurrency: all of a consumer belongs to its thread, but `woken` and the wake of its web.
 */

#include "batch.h"
#include "deliveries.h"
#include "queue_sqs.h"

#include <stdatomic.h>

/* The shortest poll that waits at all. */
#define SWM_SQS_WAIT_FIRST_MS 1000

/* A queue that is listened to. */
struct swm_sqs_listened {
	struct swm_str name; /* in one block with the sources */
	const struct swm_sqs_address *address;
	uint32_t polls;  /* under way */
	uint32_t width;  /* how many are worth it */
	int64_t wait_ms; /* how long the next poll waits at the server */
	uint32_t tries;  /* that failed one after the other */
	int64_t next_ms; /* monotonic: not asked before */
};

/* One long poll. */
struct swm_sqs_poll {
	struct swm_sqs_call call;
	bool busy;
	size_t source;
	uint32_t asked;
	int64_t ends_ms; /* monotonic: when the server answers at the latest, if it is there */
};

struct swm_consumer {
	struct swm_queue *queue;
	struct swm_sqs_web web;
	struct swm_sqs_book book;
	struct swm_sqs_listened *sources;
	size_t source_count;
	size_t source_next; /* whose turn it is */
	struct swm_sqs_poll *polls;
	size_t poll_count;
	size_t polls_busy;
	uint32_t asked; /* messages that may yet come */
	uint32_t prefetch;
	uint32_t settlement; /* counts the settle calls */
	_Atomic bool woken;
	bool failed;
	int64_t leases_ms; /* monotonic: when leases are to be looked at */
	int64_t heard_ms;  /* monotonic: the last answer, or the beginning */
	int64_t silent_ms; /* monotonic: since when answers are missing; 0: they are not */
	struct swm_sqs_deliveries deliveries;
};

/* What SQS is to be told of a message. */
struct swm_sqs_word {
	struct swm_sqs_delivery *delivery;
	int64_t seconds; /* of visibility from now on; -1: delete it */
	enum {
		SWM_SQS_WORD_OPEN, /* nothing is known yet */
		SWM_SQS_WORD_TAKEN,
		SWM_SQS_WORD_LOST /* the message is not ours any more */
	} state;
};

/* tell.c: tells SQS of all that are open, several requests at a time, each as often as it
 * takes, until then at most. What is not SWM_OK is why some are open still. */
SWM_NODISCARD swm_status swm_sqs_tell(struct swm_consumer *consumer, struct swm_sqs_word *words,
	size_t count, int64_t until_ms, struct swm_error *err);

/* polls.c: takes what the polls have brought. Any failure ends the consumer. */
SWM_NODISCARD swm_status swm_sqs_polls_take(
	struct swm_consumer *consumer, struct swm_error *err);

/* polls.c: the server has answered. */
void swm_sqs_polls_heard(struct swm_consumer *consumer);

/* polls.c: begins polls, as many as there is room for. */
void swm_sqs_polls_begin(struct swm_consumer *consumer);

/* polls.c: when the next one may begin that waits for its time. */
int64_t swm_sqs_polls_next_ms(const struct swm_consumer *consumer);

/* polls.c: waits a little for those under way, since the server may give a message to a poll
 * that nobody listens to any more. */
void swm_sqs_polls_await(struct swm_consumer *consumer);

void swm_sqs_polls_finish(struct swm_consumer *consumer);

/* leases.c: extends the leases of what is held, half of whose time is over. SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_sqs_leases_extend(
	struct swm_consumer *consumer, struct swm_error *err);

/* consumer.c: SWM_E_UNAVAILABLE when it has failed before. */
SWM_NODISCARD swm_status swm_sqs_consumer_check(
	const struct swm_consumer *consumer, struct swm_error *err);

/* Whole seconds, as SQS has them, at most what it allows. */
int64_t swm_sqs_seconds(int64_t duration_ms);

#endif
