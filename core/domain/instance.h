/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_INSTANCE_H
#define SWM_DOMAIN_INSTANCE_H

/*
 * A workflow instance: how far one business reference has come through a template.
 * Names are the template's; an instance knows positions only.
 *
 * Its body, which the store keeps without understanding it, is one compact JSON
 * object:
 *
 *   {"f":1,"seq":7,"stage":2,"bs":0,"flags":1,"data":{...},
 *    "tasks":[[status,attempt,time_ms,flags,base,resends,"reason"],...]}
 *
 * f       format: a larger one than ours is SWM_E_UNSUPPORTED, never "corrupt"
 * seq     the sequence of the last record
 * stage   position of the ACTIVE stage, or the number of stages at the end
 * bs      the task whose business_status is in force; absent: none yet
 * flags   1 cancelled, 2 paused; absent: 0 (room for the operator's events)
 * data    absent: none
 * tasks   by position in the template; trailing zeros and an empty reason are left
 *         out, so a task that has not been scheduled is [0]
 *
 * The same state gives the same bytes: that is what the fold is compared with.
 */

#include "json_out.h"
#include "template.h"

#include <swm/types.h>

#define SWM_BODY_FORMAT 1

enum swm_task_status {
	SWM_TASK_PENDING,
	SWM_TASK_SCHEDULED,
	SWM_TASK_COMPLETED,
	SWM_TASK_FAILED
};

enum {
	SWM_TASK_RETRY_OWED = 1 << 0,  /* a TaskPending of ours is in the outbox */
	SWM_TASK_RETRY_ASKED = 1 << 1, /* while paused; PENDING */
	SWM_TASK_SKIPPED = 1 << 2,
	SWM_TASK_FLAGS = (1 << 3) - 1
};

enum {
	SWM_INSTANCE_CANCELLED = 1 << 0,
	SWM_INSTANCE_PAUSED = 1 << 1,
	SWM_INSTANCE_FLAGS = (1 << 2) - 1
};

/* Derived from the state; the store keeps the number to list by. */
enum swm_instance_status {
	SWM_STATUS_ACTIVE = 1,
	SWM_STATUS_FAILED = 2,
	SWM_STATUS_PAUSED = 3,
	SWM_STATUS_COMPLETED = 4,
	SWM_STATUS_CANCELLED = 5
};

struct swm_task_state {
	enum swm_task_status status;
	uint32_t flags;
	uint32_t attempt; /* 0: never scheduled */
	uint32_t base;    /* attempts before the retry budget last began */
	uint32_t resends; /* of this attempt */
	int64_t updated_ms;
	char *reason; /* owned, terminated; NULL: none */
};

struct swm_instance {
	const struct swm_template *template; /* borrowed */
	int64_t sequence;
	uint32_t flags;
	uint16_t stage;
	int32_t business_status; /* a task's position; -1: none */
	char *data;              /* owned JSON text of an object; NULL: none */
	size_t data_len;
	struct swm_task_state tasks[]; /* template->task_count */
};

/* Nothing has happened yet: sequence 0, no stage open. NULL: out of memory. The
 * template must outlive it. */
struct swm_instance *swm_instance_create(const struct swm_template *template);

/* NULL is allowed. */
void swm_instance_destroy(struct swm_instance *instance);

/* A deep copy; NULL: out of memory. */
struct swm_instance *swm_instance_copy(const struct swm_instance *instance);

/*
 * From the bytes of a body; the caller destroys *out.
 * SWM_E_UNSUPPORTED: written by a newer release; do not touch, do not go on.
 * SWM_E_CORRUPT: cannot be read, or does not fit the template. SWM_E_NOMEM.
 */
swm_status swm_instance_read(const struct swm_template *template, struct swm_str body,
	struct swm_instance **out, struct swm_error *err);

/* Writes the body. */
void swm_instance_write(const struct swm_instance *instance, struct swm_json_out *out);

enum swm_instance_status swm_instance_status(const struct swm_instance *instance);

/* The name of the active stage; absent at the end. */
struct swm_str swm_instance_stage(const struct swm_instance *instance);

/* The business status in force; absent: none yet. */
struct swm_str swm_instance_business_status(const struct swm_instance *instance);

/* As the original writes them: "ACTIVE", "NOT STARTED", ... */
struct swm_str swm_instance_status_name(enum swm_instance_status status);
struct swm_str swm_task_status_name(enum swm_task_status status);
struct swm_str swm_stage_status_name(const struct swm_instance *instance, uint16_t stage);

/* Bytes that it holds, for the cache's bound. */
size_t swm_instance_bytes(const struct swm_instance *instance);

#endif
