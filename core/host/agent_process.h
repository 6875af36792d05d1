/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_PROCESS_H
#define SWM_HOST_AGENT_PROCESS_H

/*
 * One run of an agent's command: a child process with the StartTask on its stdin and
 * its stdout and stderr in pipes of ours.
 *
 * The child is a process group of its own, so that Ctrl-C at a terminal ends the agent
 * and leaves the command its grace, and so that all that it started can be signalled
 * together. It inherits no descriptor of ours: each is opened close-on-exec.
 *
 * Concurrency: belongs to one thread.
 */

#include "agent_output.h"
#include "agent_task.h"

#include <sys/types.h>

struct swm_agent_process {
	pid_t pid;  /* 0: none */
	int out_fd; /* -1: closed, as is err_fd */
	int err_fd;
	struct swm_agent_output output;
	struct swm_agent_lines lines;
};

/* How it ended. */
struct swm_agent_exit {
	bool completed;
	char reason[SWM_REASON_MAX + 1]; /* of a failure */
	json_t *data;                    /* of a completion, or NULL; the caller's */
};

/*
 * Starts the command with the environment that names the task. `data_max_bytes` bounds
 * what of its stdout is kept.
 * SWM_E_NOT_FOUND, SWM_E_DENIED: there is no such command, or it may not be run.
 * SWM_E_THROTTLED: too many processes, or no memory for one, for now. SWM_E_NOMEM,
 * SWM_E_INTERNAL.
 */
swm_status swm_agent_process_start(struct swm_agent_process *process, char *const *command,
	const struct swm_agent_task *task, struct swm_str body, size_t data_max_bytes,
	struct swm_error *err);

/* Takes what it has printed, without waiting. */
void swm_agent_process_read(struct swm_agent_process *process);

/* Has it ended? Then *out says how, all that it printed has been taken, and nothing of
 * it is left. Does not wait. */
bool swm_agent_process_reap(struct swm_agent_process *process, struct swm_agent_exit *out);

/* Sends a signal to it and to all that it started. */
void swm_agent_process_signal(const struct swm_agent_process *process, int number);

/* Kills it if it runs, waits for its end, and frees what it held. */
void swm_agent_process_finish(struct swm_agent_process *process);

#endif
