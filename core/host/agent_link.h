/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_LINK_H
#define SWM_HOST_AGENT_LINK_H

/*
 * An agent's two connections: the consumer of its task queue and the publisher of its
 * answers, opened anew when they break, with growing pauses. Internal to agent.c.
 */

#include "agent.h"

/* When to try to open something again. */
struct swm_agent_pause {
	int64_t until_ms;
	int64_t length_ms;
};

struct swm_agent_link {
	const struct swm_agent_config *config;
	struct swm_consumer *consumer;   /* NULL: not open */
	struct swm_publisher *publisher; /* likewise */
	struct swm_agent_pause pause;
};

/* May it heal by itself? */
bool swm_agent_transient(swm_status status);

/* Opens the consumer and attaches it to the watch; SWM_OK when it is open already.
 * Statuses of prepare and consumer_open. */
swm_status swm_agent_link_consumer(struct swm_agent_link *link, struct swm_error *err);

/* The consumer is broken, or not needed any more; its deliveries come back. */
void swm_agent_link_drop_consumer(struct swm_agent_link *link);

/* Sends one answer and waits for the confirm. Statuses of publisher_publish's results;
 * after SWM_E_UNAVAILABLE the next call opens the publisher anew. */
swm_status swm_agent_link_publish(
	struct swm_agent_link *link, const struct swm_message *message, struct swm_error *err);

/* Closes both. */
void swm_agent_link_finish(struct swm_agent_link *link);

#endif
