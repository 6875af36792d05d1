/* SPDX-License-Identifier: MIT */

/* See agent_job.h. */

#include "agent_job.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

/* A lease that is said to be shorter than this is extended as if it were not: less
 * would be nothing but extending. */
#define LEASE_MIN_MS 300

/* Of attempts to answer or settle. */
#define PAUSE_FIRST_MS 250
#define PAUSE_MAX_MS 10000

void swm_agent_job_deliver(struct swm_agent_job *job, const struct swm_delivery *delivery,
	bool extends, int64_t now_ms, int64_t wall_ms)
{
	job->token = delivery->token;
	job->ours = true;
	job->lost = false;
	job->lease_ms = 0;
	if (extends && delivery->lease_until_ms > 0) {
		int64_t left_ms = delivery->lease_until_ms - wall_ms;
		job->lease_ms = left_ms < LEASE_MIN_MS ? LEASE_MIN_MS : left_ms;
		job->extend_ms = now_ms + job->lease_ms / 3;
	}
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t swm_agent_job_due(const struct swm_agent_job *job)
{
	int64_t due_ms = INT64_MAX;
	if (job->state == SWM_AGENT_ANSWERING || job->state == SWM_AGENT_SETTLING) {
		due_ms = job->retry_ms;
	}
	if (job->state != SWM_AGENT_FREE && job->ours && job->lease_ms > 0) {
		due_ms = least(due_ms, job->extend_ms);
	}
	return due_ms;
}

void swm_agent_job_back_off(struct swm_agent_job *job, int64_t now_ms)
{
	job->pause_ms =
		job->pause_ms == 0 ? PAUSE_FIRST_MS : least(job->pause_ms * 2, PAUSE_MAX_MS);
	job->retry_ms = now_ms + job->pause_ms;
}

void swm_agent_job_settle(struct swm_agent_job *job, uint32_t action, int64_t delay_ms,
	int64_t now_ms, int64_t hold_ms)
{
	job->state = SWM_AGENT_SETTLING;
	job->action = action;
	job->delay_ms = delay_ms;
	job->retry_ms = now_ms + hold_ms;
	job->pause_ms = 0;
}

/* Takes the text over. */
static void set_answer(struct swm_agent_job *job, char *answer, size_t len, int64_t now_ms)
{
	free(job->answer);
	job->answer = answer;
	job->answer_len = len;
	job->state = SWM_AGENT_ANSWERING;
	job->retry_ms = now_ms;
	job->pause_ms = 0;
}

swm_status swm_agent_job_answer(struct swm_agent_job *job,
	const struct swm_agent_outcome *outcome, int64_t now_ms, struct swm_error *err)
{
	size_t len = 0;
	char *answer = swm_agent_answer_write(&job->task, outcome, &len);
	if (answer == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	set_answer(job, answer, len, now_ms);
	return SWM_OK;
}

swm_status swm_agent_job_repeat(
	struct swm_agent_job *job, struct swm_str answer, int64_t now_ms, struct swm_error *err)
{
	char *copy = malloc(answer.len);
	if (copy == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	memcpy(copy, answer.ptr, answer.len);
	set_answer(job, copy, answer.len, now_ms);
	return SWM_OK;
}

void swm_agent_job_finish(struct swm_agent_job *job)
{
	if (job->state == SWM_AGENT_RUNNING) {
		swm_agent_process_finish(&job->process);
	}
	swm_agent_task_finish(&job->task);
	free(job->answer);
	*job = (struct swm_agent_job){.state = SWM_AGENT_FREE};
}
