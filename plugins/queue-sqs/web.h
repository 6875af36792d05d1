/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_WEB_H
#define QUEUE_SQS_WEB_H

/*
 * Requests to SQS. A web is a set of connections that one thread drives, with any number of
 * calls under way on them; a call is one action with its answer, and may be made several
 * times over until it comes to an end or time does.
 *
 * What the client library is kept from (7.88): headers without a value and a date of our
 * own, which it signs in a way that does not match what it sends; queries; redirections;
 * signals; and more than one thread.
 *
 * Concurrency: a web and its calls belong to one thread, but swm_sqs_web_wake().
 */

#include "text.h"

#include <curl/curl.h>
#include <swm/plugin.h>

struct swm_queue;
struct swm_sqs_web;

enum swm_sqs_phase {
	SWM_SQS_IDLE,    /* to be made, once next_ms has come */
	SWM_SQS_RUNNING, /* under way */
	SWM_SQS_ENDED    /* the attempt is over: see `verdict` */
};

/* What an attempt has come to. */
struct swm_sqs_verdict {
	swm_status status;
	bool again; /* worth another attempt */
	bool doubt; /* it may have been done nevertheless */
	struct swm_error why;
};

struct swm_sqs_call {
	struct swm_sqs_web *web;
	CURL *easy;
	struct curl_slist *headers;
	const char *action;          /* a literal */
	struct swm_sqs_text request; /* the body, to be filled before the first attempt */
	struct swm_sqs_text answer;  /* of the last attempt; its reader writes to it */
	struct swm_sqs_call *after;  /* NULL, or one that has to be finished before */
	enum swm_sqs_phase phase;
	bool finished;       /* of swm_sqs_run(): no more attempts */
	bool doubted;        /* an attempt of this call was in doubt */
	bool renew;          /* on a connection of its own: the last one hung */
	int64_t patience_ms; /* how long the server may take by agreement */
	int64_t next_ms;     /* monotonic: not made before */
	int64_t since_ms;    /* monotonic: the answer began to come after this */
	uint32_t tries;
	uint32_t keys_number;
	struct swm_sqs_verdict verdict;
};

struct swm_sqs_web {
	struct swm_queue *queue;
	CURLM *multi;
	uint64_t chance;   /* the state of a small generator, for pauses */
	int64_t looked_ms; /* monotonic: when it was last looked for answers */
};

/* Monotonic. */
int64_t swm_sqs_now_ms(void);
int64_t swm_sqs_until_ms(int64_t timeout_ms);

SWM_NODISCARD swm_status swm_sqs_web_open(
	struct swm_sqs_web *web, struct swm_queue *queue, struct swm_error *err);

/* After its calls are finished. All zero bits are allowed. */
void swm_sqs_web_close(struct swm_sqs_web *web);

/* Another thread's step ends. */
void swm_sqs_web_wake(struct swm_sqs_web *web);

/* A number below `bound`, which is not 0. */
uint32_t swm_sqs_web_chance(struct swm_sqs_web *web, uint32_t bound);

/* An empty call, IDLE. All zero bits beforehand, or a call that was reset. */
void swm_sqs_call_init(struct swm_sqs_call *call, struct swm_sqs_web *web, const char *action);

/* To be used for another request; keeps its memory. An attempt under way is given up. */
void swm_sqs_call_reset(struct swm_sqs_call *call);

void swm_sqs_call_finish(struct swm_sqs_call *call);

/* Begins an attempt, which takes until then at most; it waits for keys, if these have to
 * be fetched, for half the time of a call. If it cannot begin it has ENDED. */
void swm_sqs_call_start(struct swm_sqs_call *call, int64_t until_ms);

/* Gives up an attempt under way: it has ENDED in doubt. */
void swm_sqs_call_abandon(struct swm_sqs_call *call);

/* After an attempt that ended with `again`: IDLE, with a pause before the next. */
void swm_sqs_call_pause(struct swm_sqs_call *call);

/* Lets all calls under way go on. Waits for something to happen until then, a second
 * at most; 0: does not wait. */
void swm_sqs_web_step(struct swm_sqs_web *web, int64_t until_ms);

/* Makes `count` calls, several at a time, each as often as it takes, until all are
 * finished or time is over. What is not finished then is so by its last verdict. */
void swm_sqs_run(struct swm_sqs_web *web, struct swm_sqs_call *const *calls, size_t count,
	int64_t until_ms);

/* The verdict to give when an answer said 200 but cannot be read. */
void swm_sqs_call_garbled(struct swm_sqs_call *call);

#endif
