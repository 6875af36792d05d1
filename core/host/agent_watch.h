/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_WATCH_H
#define SWM_HOST_AGENT_WATCH_H

/*
 * One place to wait for messages and for processes at the same time. A consumer of the
 * queue port is no descriptor that could be polled; so while the agent waits in
 * receive(), a thread polls what has to do with its commands (their pipes, the end
 * of children, the signal to stop) and wakes the consumer.
 *
 * Concurrency: all functions belong to the agent's thread. The watcher's thread only
 * waits for readiness, calls consumer_wake(), and looks at nothing else.
 */

#include "env.h"
#include "stop.h"

#include <swm/queue.h>

struct swm_agent_watch;

/* Sets SIGCHLD to its default action, so that children wait to be seen, and blocks it.
 * So it comes before any other thread: before adapters are opened, as client libraries
 * have theirs. Watches `stop`, which outlives it.
 * SWM_E_INTERNAL, SWM_E_NOMEM. */
swm_status swm_agent_watch_open(const struct swm_env *env, struct swm_stop *stop,
	struct swm_agent_watch **out, struct swm_error *err);

/* After the consumer has been detached. NULL is allowed. */
void swm_agent_watch_close(struct swm_agent_watch *watch);

/* From now on readiness wakes this consumer. SWM_E_INTERNAL, SWM_E_NOMEM. */
swm_status swm_agent_watch_attach(struct swm_agent_watch *watch,
	const struct swm_queue_ops *ops, struct swm_consumer *consumer, struct swm_error *err);

/* Before the consumer is closed; fine without one. */
void swm_agent_watch_detach(struct swm_agent_watch *watch);

/* A descriptor that may have something to read; closing it ends that. */
swm_status swm_agent_watch_add(struct swm_agent_watch *watch, int fd, struct swm_error *err);

/* For one that stays open. */
void swm_agent_watch_remove(struct swm_agent_watch *watch, int fd);

/* Waits until something is ready, without a consumer, at most timeout_ms. */
void swm_agent_watch_wait(struct swm_agent_watch *watch, int64_t timeout_ms);

#endif
