/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_H
#define SWM_HOST_AGENT_H

/*
 * A task service made of a command: takes StartTasks from a queue, runs the command
 * for each, and answers with how it ended. It knows the queue port alone, so that
 * it works with every broker.
 *
 * A StartTask is settled only after its answer has been confirmed. Whoever kills the
 * agent between the two makes the command run once more; the second answer has the
 * event_id of the first, and counts once. As long as the agent lives it remembers its last
 * answers (agent_memory.h), so that a StartTask whose settlement was lost is answered again
 * without another run. What keeps a StartTask from being answered
 * (the command cannot be started, the answer cannot be sent, it cannot be read) gives it
 * back to the broker, after a pause, so that nothing is lost and nothing spins.
 *
 * Concurrency: one thread does it all; see agent_watch.h for the one beside it.
 */

#include "adapters.h"
#include "agent_watch.h"
#include "env.h"
#include "log.h"
#include "stop.h"

/* Commands at once. */
#define SWM_AGENT_JOBS_MAX 256

/* All of it is borrowed for the call. */
struct swm_agent_config {
	const struct swm_env *env;
	const struct swm_log *log;
	struct swm_stop *stop;
	struct swm_agent_watch *watch; /* of `stop`, too */
	const struct swm_queue_adapter *tasks;
	const char *queue;
	const struct swm_queue_adapter *workflow; /* where answers go */
	const char *workflow_queue;
	char *const *command; /* ends with NULL */
	uint32_t jobs;        /* 1 to SWM_AGENT_JOBS_MAX */
	int64_t max_tasks;    /* ends after so many; 0: never */
	int64_t grace_ms;     /* for what still runs when asked to stop */
	int64_t call_timeout_ms;
	size_t message_max_bytes;
	size_t data_max_bytes;
};

/*
 * Runs until asked to stop, or until max_tasks have been answered.
 * A broker that is away is waited for. SWM_E_NOT_FOUND, SWM_E_DENIED: there is no such
 * queue or command, or it may not be used; other failures of the first opening of the
 * queue. SWM_E_NOMEM, SWM_E_INTERNAL.
 */
swm_status swm_agent_run(const struct swm_agent_config *config, struct swm_error *err);

#endif
