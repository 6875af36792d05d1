/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_CONFIRMS_H
#define QUEUE_RABBITMQ_CONFIRMS_H

/*
 * What has been published and not been answered: a ring over the delivery tags, which
 * count 1, 2, 3 ... on a channel. The broker answers in any order, one by one or all up to
 * a tag. An answer may come after the call that published has given up: such entries stay
 * until then, without a message.
 *
 * Concurrency: belongs to its publisher's thread.
 */

#include <swm/types.h>

/* So many may be on the way. */
#define SWM_RMQ_CONFIRMS_MAX 1024

/* No message of the call that goes on. */
#define SWM_RMQ_NO_MESSAGE SIZE_MAX

struct swm_rmq_confirm {
	size_t message; /* its place in the call, or SWM_RMQ_NO_MESSAGE */
	bool answered;
	bool returned; /* it has no queue to go to */
};

struct swm_rmq_confirms {
	struct swm_rmq_confirm ring[SWM_RMQ_CONFIRMS_MAX];
	uint64_t first; /* the oldest tag without an answer */
	uint64_t next;  /* the tag of the next message */
	size_t mine;    /* how many of them are of the call that goes on */
};

/* A new channel: tags begin at 1. */
void swm_rmq_confirms_init(struct swm_rmq_confirms *confirms);

bool swm_rmq_confirms_full(const struct swm_rmq_confirms *confirms);
bool swm_rmq_confirms_empty(const struct swm_rmq_confirms *confirms);

/* The next tag is that of message `message`. Not when full. */
void swm_rmq_confirms_add(struct swm_rmq_confirms *confirms, size_t message);

/* The one that waits for an answer under this tag; NULL: none does. */
struct swm_rmq_confirm *swm_rmq_confirms_find(struct swm_rmq_confirms *confirms, uint64_t tag);

/* It has been answered. */
void swm_rmq_confirms_remove(struct swm_rmq_confirms *confirms, struct swm_rmq_confirm *one);

/* The call is over: what is not answered belongs to no message any more. */
void swm_rmq_confirms_forget(struct swm_rmq_confirms *confirms);

#endif
