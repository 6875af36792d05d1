/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_PAYLOAD_H
#define SWM_DOMAIN_PAYLOAD_H

/*
 * What goes out: the ids and bodies of StartTask and of our own timers. Both are
 * functions of the instance's identity, the task and the attempt, so that a
 * message that is sent again is the same message.
 */

#include "event.h"
#include "transition.h"

/* The identity of an instance, as it stands in every message. */
struct swm_reference {
	struct swm_str component;
	struct swm_str business_ref;
};

/* `resend`: 0 for the first one of an attempt. */
void swm_message_id(const struct swm_reference *reference, const struct swm_template *template,
	uint16_t task, uint32_t attempt, enum swm_message_kind kind, uint32_t resend,
	struct swm_id *out);

/* The body of a StartTask, with the task's fields, the instance's data, and `_swm`. */
void swm_payload_start_task(struct swm_json_out *out, const struct swm_instance *instance,
	struct swm_str business_ref, const struct swm_owed *owed, bool plain);

/* The body of TaskTimedOut and TaskPending. */
void swm_payload_timer(struct swm_json_out *out, const struct swm_instance *instance,
	struct swm_str business_ref, const struct swm_owed *owed);

/* The body of the TaskFailed that we send ourselves when a broker refuses a StartTask
 * for good. */
void swm_payload_undeliverable(struct swm_json_out *out, const struct swm_reference *reference,
	struct swm_str stage, struct swm_str task, uint32_t attempt, struct swm_str reason);

/* How long to wait before attempt `attempts` + 1 of the budget: doubling from backoff
 * to max_backoff, less up to a quarter by a jitter that the message's id decides. */
int64_t swm_backoff_ms(const struct swm_task *task, uint32_t attempts, const struct swm_id *id);

#endif
