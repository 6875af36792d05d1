/* SPDX-License-Identifier: MIT */
#ifndef SWM_LIMITS_H
#define SWM_LIMITS_H

#include <stddef.h>

/*
 * Every limit of the state machine, with its reason. Those that an operator may
 * set are the defaults of the configuration; the others are part of the format.
 * All sizes are in bytes of UTF-8.
 */

/* Names become parts of keys, headers and log lines of every adapter. */
#define SWM_NAME_MAX 128

/* With the component and escapes it must fit the 512 bytes of an instance's id;
 * the id itself is checked as well, since an escaped byte takes three. */
#define SWM_BUSINESS_REF_MAX 255
#define SWM_INSTANCE_ID_MAX 512

/* The shortest of the brokers' own limits is SQS's 80; they check theirs. */
#define SWM_QUEUE_NAME_MAX 200

/* Positions are stored in 16 bits and walked in full on some events. */
#define SWM_STAGES_MAX 64
#define SWM_TASKS_MAX 1024
#define SWM_PARENTS_MAX 64

#define SWM_TEMPLATE_MAX_BYTES ((size_t)1024 * 1024)

/* What SQS carries in one message. */
#define SWM_MESSAGE_MAX_BYTES ((size_t)256 * 1024)

/* Data travels in every StartTask: with the fields of a task it has to fit one
 * message. */
#define SWM_DATA_MAX_BYTES ((size_t)32 * 1024)

/* jansson parses by recursion; this keeps any thread's stack safe. */
#define SWM_JSON_DEPTH_MAX 32

/* Ids that senders or brokers give; the longest is Kafka's topic + position. */
#define SWM_RAW_ID_MAX 512

/* A reason is kept in the body; the whole one stands in the record. */
#define SWM_REASON_MAX 512

#define SWM_ACTOR_MAX 128

/* A hundred years, so that sums of times stay far from overflow. */
#define SWM_DURATION_MAX_MS INT64_C(3155760000000)

/* Attempts are counted in 32 bits; a sane retry ends long before. */
#define SWM_ATTEMPTS_MAX 1000000

#endif
