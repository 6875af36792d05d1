/* SPDX-License-Identifier: MIT */

/* See agent.h. The loop, and what becomes of each job. */

#include "agent.h"

#include "agent_job.h"
#include "agent_link.h"
#include "agent_memory.h"
#include "error.h"
#include "event.h"
#include "message.h"
#include "text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The port wants to hear from a consumer at least every 5 s. */
#define SERVICE_MS 4000

/* Between two attempts to open the consumer. */
#define REOPEN_FIRST_MS 250
#define REOPEN_MAX_MS 30000

/* What cannot be used is kept for so long before it goes back, since not every broker
 * heeds the delay that is asked for: it must not spin there either. */
#define HOLD_MS 1000

/* The delay asked for: doubling with each delivery. */
#define POISON_MAX_MS INT64_C(600000)

/* From SIGTERM to SIGKILL for a command that has used up its grace. */
#define TERMINATE_MS 2000

enum phase {
	PHASE_TAKING,
	PHASE_DRAINING,   /* asked to stop, or enough done */
	PHASE_TERMINATING /* the grace is over */
};

struct agent {
	const struct swm_agent_config *config;
	struct swm_agent_link link;
	struct swm_agent_job *jobs; /* config->jobs */
	struct swm_agent_memory memory;
	enum phase phase;
	bool stopping;         /* the wish to stop has been seen */
	int64_t deadline_ms;   /* of the phase; INT64_MAX: none */
	int64_t serviced_ms;   /* when the consumer was last called */
	int64_t answers_ms;    /* no answer is sent before: the broker would not take it */
	int64_t taken;         /* tasks begun */
	swm_status failure;    /* ends it: SWM_OK while there is none */
	struct swm_error *err; /* of the failure */
};

static int64_t now_ms(const struct agent *agent)
{
	return swm_env_monotonic_ms(agent->config->env);
}

#define agent_log(agent, level, ...) \
	swm_log_write((agent)->config->log, (level), "agent", __VA_ARGS__)

/* "ITALIAN ORDER-001 ORDER confirm_order #1", for the log. */
static void job_name(const struct swm_agent_job *job, char *out, size_t size)
{
	const struct swm_agent_task *task = &job->task;
	if (task->root == NULL) {
		(void)snprintf(out, size, "a message");
		return;
	}
	(void)snprintf(out, size, "%s %s %s %s #%" PRIu32, task->component.ptr,
		task->business_ref.ptr, task->stage.ptr, task->task.ptr, task->attempt);
}

#define JOB_NAME_MAX 256

/* The consumer is of no use any more: what it delivered will come again. */
static void lose_consumer(struct agent *agent, const struct swm_error *err)
{
	agent_log(agent, SWM_LOG_WARN, "%s: %s", agent->config->queue, err->message);
	swm_agent_link_drop_consumer(&agent->link);
	agent->link.pause.until_ms = now_ms(agent) + REOPEN_FIRST_MS;
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		agent->jobs[i].ours = false;
	}
}

/* The delivery is no longer ours to settle as we like; said once. */
static void lose_delivery(
	struct agent *agent, struct swm_agent_job *job, const struct swm_error *err)
{
	char name[JOB_NAME_MAX];
	if (job->lost) {
		return;
	}
	job->lost = true;
	job_name(job, name, sizeof(name));
	agent_log(agent, SWM_LOG_WARN, "%s: will be delivered again: %s", name, err->message);
}

/* Settles one delivery. True: there is nothing more to be done about it. */
static bool settle(
	struct agent *agent, struct swm_agent_job *job, uint32_t action, int64_t delay_ms)
{
	const struct swm_queue_ops *ops = agent->config->tasks->ops;
	struct swm_settlement item = {
		.token = job->token, .action = action, .delay_ms = delay_ms};
	struct swm_error err = {0};
	if (!job->ours) {
		return true;
	}
	swm_status status = ops->consumer_settle(agent->link.consumer, &item, 1, &err);
	if (status == SWM_E_CONFLICT && action == SWM_EXTEND) {
		/* it counts for the prefetch until it is settled for good */
		lose_delivery(agent, job, &err);
		item.action = SWM_NACK;
		item.delay_ms = 0;
		status = ops->consumer_settle(agent->link.consumer, &item, 1, &err);
	}
	switch (status) {
	case SWM_OK:
		job->ours = item.action == SWM_EXTEND;
		return true;
	case SWM_E_THROTTLED:
	case SWM_E_TIMEOUT:
		return false;
	case SWM_E_UNSUPPORTED:
		job->lease_ms = 0;
		return true;
	case SWM_E_UNAVAILABLE:
	case SWM_E_DENIED:
		lose_consumer(agent, &err);
		return true;
	default:
		lose_delivery(agent, job, &err);
		job->ours = false;
		return true;
	}
}

static void extend(struct agent *agent, struct swm_agent_job *job)
{
	int64_t now = now_ms(agent);
	if (job->lease_ms == 0 || !job->ours || now < job->extend_ms) {
		return;
	}
	bool done = settle(agent, job, SWM_EXTEND, job->lease_ms);
	job->extend_ms = now + job->lease_ms / (done ? 3 : 10);
}

static void log_outcome(const struct agent *agent, const struct swm_agent_job *job,
	const struct swm_agent_outcome *outcome)
{
	char name[JOB_NAME_MAX];
	job_name(job, name, sizeof(name));
	agent_log(agent, SWM_LOG_INFO, "%s: %s%s, %" PRId64 " ms", name,
		outcome->completed ? "completed" : "failed: ",
		outcome->completed ? "" : outcome->reason, now_ms(agent) - job->started_ms);
}

/* Without memory for an answer the StartTask goes back. */
static void answer(
	struct agent *agent, struct swm_agent_job *job, const struct swm_agent_outcome *outcome)
{
	struct swm_error err = {0};
	if (swm_agent_job_answer(job, outcome, now_ms(agent), &err) != SWM_OK) {
		agent_log(agent, SWM_LOG_ERROR, "%s", err.message);
		swm_agent_job_settle(job, SWM_NACK, HOLD_MS, now_ms(agent), HOLD_MS);
	}
}

static void step_running(struct agent *agent, struct swm_agent_job *job)
{
	struct swm_agent_exit ended = {0};
	swm_agent_process_read(&job->process);
	if (!swm_agent_process_reap(&job->process, &ended)) {
		return;
	}
	const struct swm_agent_outcome outcome = {
		.completed = ended.completed, .reason = ended.reason, .data = ended.data};
	log_outcome(agent, job, &outcome);
	if (agent->phase == PHASE_TERMINATING && !ended.completed) {
		/* our signal is no failure of the task */
		swm_agent_job_settle(job, SWM_NACK, 0, now_ms(agent), 0);
	} else {
		answer(agent, job, &outcome);
	}
	json_decref(ended.data);
}

/* The StartTask has been answered before. Without memory to do it again it goes back. */
static void answer_again(struct agent *agent, struct swm_agent_job *job,
	const struct swm_agent_remembered *answered)
{
	struct swm_error err = {0};
	char name[JOB_NAME_MAX];
	job_name(job, name, sizeof(name));
	agent_log(agent, SWM_LOG_INFO, "%s: delivered once more, answered as before", name);
	if (swm_agent_job_repeat(job, (struct swm_str){answered->answer, answered->len},
		    now_ms(agent), &err) != SWM_OK) {
		agent_log(agent, SWM_LOG_ERROR, "%s", err.message);
		swm_agent_job_settle(job, SWM_NACK, HOLD_MS, now_ms(agent), HOLD_MS);
	}
}

/* The answer has been confirmed. */
static void remember(struct agent *agent, struct swm_agent_job *job)
{
	if (swm_agent_memory_find(&agent->memory, &job->task.answer_id) == NULL) {
		swm_agent_memory_add(
			&agent->memory, &job->task.answer_id, job->answer, job->answer_len);
		job->answer = NULL;
	}
}

/* The broker will never take this answer. A failure that says so may pass; if not even
 * that does, the StartTask goes back. */
static void replace_answer(
	struct agent *agent, struct swm_agent_job *job, const struct swm_error *cause)
{
	char reason[SWM_REASON_MAX + 1];
	char name[JOB_NAME_MAX];
	job_name(job, name, sizeof(name));
	agent_log(agent, SWM_LOG_ERROR, "%s: the answer cannot be sent: %s", name,
		cause->message);
	if (job->replaced) {
		swm_agent_job_settle(job, SWM_NACK, POISON_MAX_MS, now_ms(agent), HOLD_MS);
		return;
	}
	job->replaced = true;
	(void)snprintf(reason, sizeof(reason), "the answer cannot be sent: %s", cause->message);
	const struct swm_agent_outcome outcome = {.completed = false, .reason = reason};
	answer(agent, job, &outcome);
}

static void step_answering(struct agent *agent, struct swm_agent_job *job)
{
	if (job->retry_ms < agent->answers_ms) {
		/* one that waits for a broker in vain is enough: leases run meanwhile */
		job->retry_ms = agent->answers_ms;
	}
	if (now_ms(agent) < job->retry_ms) {
		return;
	}
	char key[SWM_INSTANCE_ID_MAX + 1];
	size_t key_len = 0;
	(void)swm_instance_id_write(job->task.component, job->task.business_ref, key, &key_len);
	const struct swm_header header = {
		SWM_STR(SWM_HEADER_EVENT_ID), swm_id_str(&job->task.answer_id)};
	const struct swm_message message = {
		.destination = swm_str_from(agent->config->workflow_queue),
		.id = swm_id_str(&job->task.answer_id),
		.key = {key, key_len},
		.body = {job->answer, job->answer_len},
		.headers = &header,
		.header_count = 1,
	};
	struct swm_error err = {0};
	swm_status status = swm_agent_link_publish(&agent->link, &message, &err);
	if (status == SWM_OK) {
		remember(agent, job);
		swm_agent_job_settle(job, SWM_ACK, 0, now_ms(agent), 0);
	} else if (status == SWM_E_TOO_LARGE || status == SWM_E_INVALID) {
		replace_answer(agent, job, &err);
	} else {
		if (job->pause_ms == 0) {
			agent_log(agent, SWM_LOG_WARN, "%s: %s; trying again",
				agent->config->workflow_queue, err.message);
		}
		swm_agent_job_back_off(job, now_ms(agent));
		agent->answers_ms = job->retry_ms;
	}
}

static void step_settling(struct agent *agent, struct swm_agent_job *job)
{
	if (now_ms(agent) < job->retry_ms) {
		return;
	}
	if (settle(agent, job, job->action, job->delay_ms)) {
		swm_agent_job_finish(job);
	} else {
		swm_agent_job_back_off(job, now_ms(agent));
	}
}

static void step_job(struct agent *agent, struct swm_agent_job *job)
{
	if (job->state == SWM_AGENT_RUNNING) {
		step_running(agent, job);
	}
	if (job->state == SWM_AGENT_ANSWERING) {
		step_answering(agent, job);
	}
	if (job->state == SWM_AGENT_SETTLING) {
		step_settling(agent, job);
	}
	if (job->state != SWM_AGENT_FREE) {
		extend(agent, job);
	}
}

static void enter(struct agent *agent, enum phase phase, int64_t length_ms)
{
	agent->phase = phase;
	agent->deadline_ms = length_ms < 0 ? INT64_MAX : now_ms(agent) + length_ms;
}

/* Ends the agent: what it is told to run cannot be run. */
static void fail(struct agent *agent, swm_status status, const struct swm_error *err)
{
	if (agent->failure == SWM_OK) {
		agent->failure = status;
		(void)swm_error_set(agent->err, status, "%s", err->message);
	}
	if (agent->phase == PHASE_TAKING) {
		enter(agent, PHASE_DRAINING, agent->config->grace_ms);
	}
}

static struct swm_agent_job *free_job(struct agent *agent)
{
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		if (agent->jobs[i].state == SWM_AGENT_FREE) {
			return &agent->jobs[i];
		}
	}
	return NULL;
}

/* A message that is none of ours: back with a growing delay, so that somebody may look
 * at it, and whoever can read it, take it. */
static void refuse(struct agent *agent, struct swm_agent_job *job,
	const struct swm_delivery *delivery, const struct swm_error *err)
{
	int64_t delay_ms = HOLD_MS;
	for (uint32_t i = 1; i < delivery->attempt && delay_ms < POISON_MAX_MS; i++) {
		delay_ms *= 2;
	}
	delay_ms =
		delivery->attempt == 0 || delay_ms > POISON_MAX_MS ? POISON_MAX_MS : delay_ms;
	agent_log(agent, SWM_LOG_ERROR,
		"%s: message %.*s (%zu bytes) goes back for %" PRId64 " s: %s",
		agent->config->queue, (int)swm_str_cut(delivery->id, SWM_REASON_MAX),
		delivery->id.ptr != NULL ? delivery->id.ptr : "", delivery->body.len,
		delay_ms / 1000, err->message);
	swm_agent_job_settle(job, SWM_NACK, delay_ms, now_ms(agent), HOLD_MS);
}

static void start(
	struct agent *agent, struct swm_agent_job *job, const struct swm_delivery *delivery)
{
	const struct swm_agent_config *config = agent->config;
	struct swm_error err = {0};
	job->started_ms = now_ms(agent);
	swm_status status = swm_agent_process_start(&job->process, config->command, &job->task,
		delivery->body, config->data_max_bytes, &err);
	if (status == SWM_OK) {
		job->state = SWM_AGENT_RUNNING;
		status = swm_agent_watch_add(agent->config->watch, job->process.out_fd, &err);
	}
	if (status == SWM_OK) {
		status = swm_agent_watch_add(agent->config->watch, job->process.err_fd, &err);
	}
	if (status == SWM_OK) {
		agent->taken++;
		return;
	}
	if (job->state == SWM_AGENT_RUNNING) {
		swm_agent_process_finish(&job->process);
	}
	agent_log(agent, SWM_LOG_ERROR, "%s", err.message);
	swm_agent_job_settle(job, SWM_NACK, HOLD_MS, now_ms(agent), HOLD_MS);
	if (status == SWM_E_NOT_FOUND || status == SWM_E_DENIED) {
		job->retry_ms = now_ms(agent);
		job->delay_ms = 0;
		fail(agent, status, &err);
	}
}

/* The job that has the same StartTask already: its lease ran out, or it was sent twice. */
static struct swm_agent_job *find_job(struct agent *agent, const struct swm_agent_task *task)
{
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		struct swm_agent_job *job = &agent->jobs[i];
		if (job->state != SWM_AGENT_FREE && job->task.root != NULL &&
			strcmp(job->task.message_id, task->message_id) == 0) {
			return job;
		}
	}
	return NULL;
}

/* The older delivery of a job that has come once more: it goes back by itself, since it
 * counts for the prefetch until it is settled. As a rule its lease is over, and that is
 * news to nobody; but of a StartTask that was sent twice both are ours, and this one is
 * not to come back at once, again and again. There is a free job for each delivery. */
static void give_back_older(struct agent *agent, const struct swm_agent_job *job)
{
	struct swm_agent_job *older = free_job(agent);
	int64_t delay_ms = job->lease_ms > HOLD_MS ? job->lease_ms : HOLD_MS;
	older->token = job->token;
	older->ours = job->ours;
	older->lost = true;
	swm_agent_job_settle(older, SWM_NACK, delay_ms, now_ms(agent), HOLD_MS);
}

static void take(struct agent *agent, const struct swm_delivery *delivery)
{
	const struct swm_agent_config *config = agent->config;
	bool extends = (config->tasks->ops->capabilities & SWM_QUEUE_EXTEND) != 0;
	int64_t wall_ms = swm_env_wall_ms(config->env);
	struct swm_agent_task task = {0};
	struct swm_error err = {0};
	swm_status status =
		swm_agent_task_read(delivery, config->message_max_bytes, &task, &err);
	struct swm_agent_job *job = status == SWM_OK ? find_job(agent, &task) : NULL;
	if (job != NULL) {
		/* it goes on for the newer delivery; one answer settles that */
		char name[JOB_NAME_MAX];
		job_name(job, name, sizeof(name));
		agent_log(agent, SWM_LOG_INFO, "%s: delivered once more while it runs", name);
		give_back_older(agent, job);
		swm_agent_job_deliver(job, delivery, extends, now_ms(agent), wall_ms);
		swm_agent_task_finish(&task);
		return;
	}
	job = free_job(agent);
	swm_agent_job_deliver(job, delivery, extends, now_ms(agent), wall_ms);
	job->task = task;
	if (status != SWM_OK) {
		refuse(agent, job, delivery, &err);
		return;
	}
	const struct swm_agent_remembered *answered =
		swm_agent_memory_find(&agent->memory, &task.answer_id);
	if (answered != NULL) {
		answer_again(agent, job, answered);
	} else {
		start(agent, job, delivery);
	}
}

/* How many more may be taken now. */
static size_t room(const struct agent *agent)
{
	size_t free = 0;
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		free += agent->jobs[i].state == SWM_AGENT_FREE ? 1 : 0;
	}
	if (agent->phase != PHASE_TAKING) {
		return 0;
	}
	int64_t left = agent->config->max_tasks - agent->taken;
	if (agent->config->max_tasks > 0 && left < (int64_t)free) {
		return left > 0 ? (size_t)left : 0;
	}
	return free;
}

/* Receives, or only waits when there is no room or no consumer. */
static void receive(struct agent *agent, int64_t timeout_ms)
{
	struct swm_delivery deliveries[SWM_AGENT_JOBS_MAX];
	size_t max = room(agent);
	size_t count = 0;
	struct swm_error err = {0};
	if (agent->link.consumer == NULL || max == 0) {
		swm_agent_watch_wait(agent->config->watch, timeout_ms);
		timeout_ms = 0;
	}
	if (agent->link.consumer == NULL ||
		(max == 0 && now_ms(agent) < agent->serviced_ms + SERVICE_MS)) {
		return;
	}
	swm_status status = agent->config->tasks->ops->consumer_receive(
		agent->link.consumer, timeout_ms, deliveries, max, &count, &err);
	agent->serviced_ms = now_ms(agent);
	if (status == SWM_OK) {
		for (size_t i = 0; i < count; i++) {
			take(agent, &deliveries[i]);
		}
	} else if (status != SWM_E_TIMEOUT && status != SWM_E_INTERRUPTED) {
		lose_consumer(agent, &err);
	}
}

/* Opens the consumer once more when it is time. What cannot heal ends the agent only at
 * its start: later it is waited for, as a right that was taken may be given back. */
static void reopen(struct agent *agent, bool first)
{
	struct swm_agent_pause *pause = &agent->link.pause;
	struct swm_error err = {0};
	if (agent->link.consumer != NULL || agent->phase != PHASE_TAKING ||
		now_ms(agent) < pause->until_ms) {
		return;
	}
	swm_status status = swm_agent_link_consumer(&agent->link, &err);
	if (status == SWM_OK) {
		agent_log(agent, SWM_LOG_INFO, "takes tasks from %s", agent->config->queue);
		*pause = (struct swm_agent_pause){0};
		agent->serviced_ms = now_ms(agent);
		return;
	}
	if (first && !swm_agent_transient(status)) {
		fail(agent, status, &err);
		return;
	}
	if (pause->length_ms == 0) {
		agent_log(agent, SWM_LOG_WARN, "%s: %s; trying again", agent->config->queue,
			err.message);
	}
	pause->length_ms = pause->length_ms == 0 ? REOPEN_FIRST_MS : pause->length_ms * 2;
	if (pause->length_ms > REOPEN_MAX_MS) {
		pause->length_ms = REOPEN_MAX_MS;
	}
	pause->until_ms = now_ms(agent) + pause->length_ms;
}

static bool busy(const struct agent *agent)
{
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		if (agent->jobs[i].state != SWM_AGENT_FREE) {
			return true;
		}
	}
	return false;
}

/* From one phase to the next. False: it is over. */
static bool advance(struct agent *agent)
{
	const struct swm_agent_config *config = agent->config;
	if (!agent->stopping && swm_stop_wait(config->stop, 0)) {
		agent->stopping = true;
		agent_log(agent, SWM_LOG_INFO, "stopping");
		/* it stays ready, and would end every wait from now on */
		swm_agent_watch_remove(agent->config->watch, swm_stop_fd(config->stop));
		if (agent->phase == PHASE_TAKING) {
			enter(agent, PHASE_DRAINING, config->grace_ms);
		} /* else the grace runs already, since a failure */
	}
	if (agent->phase == PHASE_TAKING && config->max_tasks > 0 &&
		agent->taken >= config->max_tasks && !busy(agent)) {
		return false;
	}
	if (agent->phase != PHASE_TAKING && !busy(agent)) {
		return false;
	}
	if (now_ms(agent) < agent->deadline_ms) {
		return true;
	}
	if (agent->phase == PHASE_TERMINATING) {
		return false;
	}
	agent_log(agent, SWM_LOG_WARN, "the grace is over; what still runs is given back");
	for (uint32_t i = 0; i < config->jobs; i++) {
		if (agent->jobs[i].state == SWM_AGENT_RUNNING) {
			swm_agent_process_signal(&agent->jobs[i].process, SIGTERM);
		}
	}
	enter(agent, PHASE_TERMINATING, TERMINATE_MS);
	return true;
}

/* How long nothing will have to be done. */
static int64_t idle_ms(const struct agent *agent)
{
	int64_t due_ms = agent->deadline_ms;
	for (uint32_t i = 0; i < agent->config->jobs; i++) {
		int64_t of_job_ms = swm_agent_job_due(&agent->jobs[i]);
		due_ms = of_job_ms < due_ms ? of_job_ms : due_ms;
	}
	bool reopens = agent->link.consumer == NULL && agent->phase == PHASE_TAKING;
	if (reopens && agent->link.pause.until_ms < due_ms) {
		due_ms = agent->link.pause.until_ms;
	}
	int64_t now = now_ms(agent);
	int64_t left_ms = due_ms > now ? due_ms - now : 0;
	return left_ms < SERVICE_MS ? left_ms : SERVICE_MS;
}

static void loop(struct agent *agent)
{
	reopen(agent, true);
	while (advance(agent)) {
		reopen(agent, false);
		receive(agent, idle_ms(agent));
		swm_agent_watch_wait(agent->config->watch, 0);
		for (uint32_t i = 0; i < agent->config->jobs; i++) {
			step_job(agent, &agent->jobs[i]);
		}
	}
}

swm_status swm_agent_run(const struct swm_agent_config *config, struct swm_error *err)
{
	struct agent agent = {
		.config = config,
		.link = {.config = config},
		.deadline_ms = INT64_MAX,
		.err = err,
	};
	agent.jobs = calloc(config->jobs, sizeof(*agent.jobs));
	if (agent.jobs == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	loop(&agent);
	for (uint32_t i = 0; i < config->jobs; i++) {
		swm_agent_job_finish(&agent.jobs[i]);
	}
	swm_agent_link_finish(&agent.link);
	swm_agent_memory_finish(&agent.memory);
	free(agent.jobs);
	return agent.failure;
}
