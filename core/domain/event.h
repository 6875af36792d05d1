/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_EVENT_H
#define SWM_DOMAIN_EVENT_H

/*
 * An event: a message on the workflow queue that may move an instance. Here it is
 * read from its bytes and gets its identity.
 */

#include "hash.h"
#include "swm_limits.h"

#include <jansson.h>
#include <swm/types.h>

/* Operator events (ReplayTask, PauseWorkflow, ...) will follow. */
enum swm_event_kind {
	SWM_EVENT_START_WORKFLOW,
	SWM_EVENT_TASK_COMPLETED,
	SWM_EVENT_TASK_FAILED,
	SWM_EVENT_TASK_TIMED_OUT,
	SWM_EVENT_TASK_PENDING,
	SWM_EVENT_KINDS
};

/* The `event_name` of a kind. */
struct swm_str swm_event_name(enum swm_event_kind kind);

/* All strings are borrowed from `root`. */
struct swm_event {
	enum swm_event_kind kind;
	uint32_t attempt; /* 0: not said, means the current one */
	struct swm_str component;
	struct swm_str business_ref;
	struct swm_str stage; /* absent in StartWorkflow, like task */
	struct swm_str task;
	struct swm_str event_id; /* absent: take the header's or the broker's */
	struct swm_str reason;
	struct swm_str actor;
	int64_t template_version; /* StartWorkflow; 0: the newest */
	json_t *data;             /* an object of root, or NULL */
	json_t *root;
};

struct swm_event_limits {
	size_t message_bytes;
	size_t data_bytes;
};
extern const struct swm_event_limits swm_event_limits_default;

/*
 * Reads a message. What cannot ever be an event of ours is SWM_E_INVALID or, over a
 * limit, SWM_E_TOO_LARGE, with the field in the message: such a one is parked.
 * SWM_E_NOMEM. The caller finishes *out after success. Fields that it does not
 * know are left alone: they are kept in the record.
 */
swm_status swm_event_read(struct swm_str body, const struct swm_event_limits *limits,
	struct swm_event *out, struct swm_error *err);
void swm_event_finish(struct swm_event *event);

/* component '/' business_ref, '%' and '/' within them percent-encoded. Writes at most
 * SWM_INSTANCE_ID_MAX bytes and a terminator. False: it would be longer. */
bool swm_instance_id_write(struct swm_str component, struct swm_str business_ref,
	char out[SWM_INSTANCE_ID_MAX + 1], size_t *len);

/* The dedupe key: of the event's name, stage, task, attempt and raw id; the raw id
 * alone would swallow a TaskCompleted that copies the properties of a TaskFailed. */
void swm_event_key(const struct swm_event *event, struct swm_str raw_id, struct swm_id *out);

#endif
