/* SPDX-License-Identifier: MIT */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

/*
 * The broker of a simulated world: keeps the promises of swm/queue.h and not one more,
 * fails as its faults say, and ends the run when the engine breaks its own promises.
 * Queues need no declaration. What is published to the workflow queue waits for an
 * orchestrator; what is published to any other reaches the agents.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "world.h"

/* A message that the broker has: waiting, out with a consumer, or not there yet. */
struct sim_message {
	struct swm_message message;
	char *bytes;                       /* of what the message points to */
	int64_t visible_us;                /* virtual: not before */
	const struct swm_consumer *holder; /* has it; NULL: it waits */
	uint64_t token;                    /* of that delivery */
	int64_t lease_us; /* virtual: when it comes back of itself; INT64_MAX: never */
	uint32_t attempt; /* deliveries so far */
};

/* For the judge, who only looks. */
size_t sim_queue_count(const struct sim_queue *queue);
const struct sim_message *sim_queue_message(const struct sim_queue *queue, size_t index);

#endif
