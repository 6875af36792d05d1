/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_JOB_H
#define SWM_HOST_AGENT_JOB_H

/*
 * One StartTask on its way through an agent: running, then answering, then settling.
 * Each state has the time at which something is next to be done, and goes on trying.
 * Internal to agent.c.
 */

#include "agent_process.h"

enum swm_agent_state {
	SWM_AGENT_FREE,
	SWM_AGENT_RUNNING,
	SWM_AGENT_ANSWERING, /* the answer has not been confirmed */
	SWM_AGENT_SETTLING   /* nothing is left but to tell the broker */
};

struct swm_agent_job {
	enum swm_agent_state state;
	struct swm_agent_task task; /* all zero bits when it could not be read */
	struct swm_agent_process process;
	int64_t started_ms;

	/* The delivery. */
	uint64_t token;
	bool ours;         /* false: it will come back, and there is nothing to settle */
	bool lost;         /* its lease is known to be over; while ours, still to be settled */
	int64_t lease_ms;  /* 0: held while connected */
	int64_t extend_ms; /* when the lease is to be extended */

	/* ANSWERING. */
	char *answer;
	size_t answer_len;
	bool replaced; /* by a TaskFailed that says why the first was not taken */

	/* ANSWERING and SETTLING. */
	int64_t retry_ms; /* when to try (again) */
	int64_t pause_ms; /* before the next attempt but one */

	/* SETTLING. */
	uint32_t action;
	int64_t delay_ms;
};

/* Takes over which delivery it is, and until when its lease runs. `now_ms` is
 * monotonic, `wall_ms` the wall clock. */
void swm_agent_job_deliver(struct swm_agent_job *job, const struct swm_delivery *delivery,
	bool extends, int64_t now_ms, int64_t wall_ms);

/* The next time at which something is to be done for it; INT64_MAX: never. */
int64_t swm_agent_job_due(const struct swm_agent_job *job);

/* Puts the next attempt off, longer each time. */
void swm_agent_job_back_off(struct swm_agent_job *job, int64_t now_ms);

/* From now on it is to be settled like this, but not before `hold_ms` have passed. */
void swm_agent_job_settle(struct swm_agent_job *job, uint32_t action, int64_t delay_ms,
	int64_t now_ms, int64_t hold_ms);

/* The answer is to be sent. SWM_E_NOMEM. */
swm_status swm_agent_job_answer(struct swm_agent_job *job,
	const struct swm_agent_outcome *outcome, int64_t now_ms, struct swm_error *err);

/* Likewise; but the answer is there already, and copied. */
swm_status swm_agent_job_repeat(struct swm_agent_job *job, struct swm_str answer,
	int64_t now_ms, struct swm_error *err);

/* Ends its process and makes it free. */
void swm_agent_job_finish(struct swm_agent_job *job);

#endif
