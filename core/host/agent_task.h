/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_TASK_H
#define SWM_HOST_AGENT_TASK_H

/*
 * What an agent understands of its messages: a StartTask in, an answer out. The
 * answer's event_id follows from the StartTask's id, so that the same StartTask run
 * twice gives the same event, which counts once.
 */

#include "hash.h"

#include <jansson.h>
#include <swm/queue.h>

struct swm_agent_task {
	json_t *root;             /* owns the four names */
	struct swm_str component; /* all terminated */
	struct swm_str business_ref;
	struct swm_str stage;
	struct swm_str task;
	char *message_id; /* owned */
	uint32_t attempt; /* 0: not said */
	struct swm_id answer_id;
};

/*
 * Reads a StartTask; all of it is copied out of the delivery. Its id is the first that
 * there is: `_swm`, the header, the broker's, the hash of its bytes.
 * SWM_E_INVALID, SWM_E_TOO_LARGE: no StartTask. SWM_E_NOMEM.
 */
swm_status swm_agent_task_read(const struct swm_delivery *delivery, size_t max_bytes,
	struct swm_agent_task *out, struct swm_error *err);

/* All zero bits is fine. */
void swm_agent_task_finish(struct swm_agent_task *task);

/* How a command ended, as the workflow is to know it. */
struct swm_agent_outcome {
	bool completed;
	const char *reason; /* UTF-8; of a failure */
	json_t *data;       /* an object, or NULL; of a completion */
};

/* The answer's text, from malloc; NULL: out of memory. */
char *swm_agent_answer_write(const struct swm_agent_task *task,
	const struct swm_agent_outcome *outcome, size_t *len);

#endif
