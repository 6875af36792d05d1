/* SPDX-License-Identifier: MIT */
#ifndef SIM_QUEUE_PARTS_H
#define SIM_QUEUE_PARTS_H

/*
 * The parts of the simulated broker: what it holds (sim_queue.c), and what it does for those
 * who receive (sim_consumer.c) and publish (sim_publisher.c), with what can go wrong.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "kernel.h"

#define SIM_SOURCE_MAX 200

struct sim_message_list {
	struct sim_message *items;
	size_t count;
	size_t cap;
};

struct sim_queue {
	struct sim_world *world;
	struct sim_message_list inbox;   /* for orchestrators */
	struct sim_message_list outside; /* for agents */
	int64_t outside_us;              /* the first of these is there; INT64_MAX: none */
	int64_t away_us;                 /* virtual: the broker is away until then */
	uint64_t next_token;
};

/* A delivery that has not been settled for good. */
struct sim_held {
	struct swm_delivery delivery;
	struct swm_message message;
	char *bytes;
	bool settled; /* as far as the broker goes; its answer said otherwise */
};

struct swm_consumer {
	struct sim_host *host;
	char source[SIM_SOURCE_MAX];
	uint32_t prefetch;
	struct sim_held *held;
	size_t held_count;
	size_t held_cap;
	int64_t serviced_us;
	bool woken;
	bool broken;
};

struct swm_publisher {
	struct sim_host *host;
	bool broken;
};

/* The engine breaks the contract: the run ends. */
swm_status sim_queue_broken(struct sim_host *host, const char *what);

/* The broker is away, perhaps from now on. */
bool sim_queue_is_away(struct sim_queue *queue);

bool sim_queue_is_workflow(struct swm_str name);

/* The broker has taken a message: it comes after delay_ms, or what the faults make of it. */
void sim_queue_take_in(
	struct sim_queue *queue, const struct swm_message *message, int64_t delay_ms);

void sim_queue_remove(struct sim_message_list *list, size_t index);

/* What the consumer had and did not settle comes back to all. */
void sim_queue_give_back(struct sim_queue *queue, const struct swm_consumer *consumer);

/* The calls of the port. */
swm_status sim_consumer_open(struct swm_queue *port, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err);
swm_status sim_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);
swm_status sim_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err);
void sim_consumer_wake(struct swm_consumer *consumer);
void sim_consumer_close(struct swm_consumer *consumer);
swm_status sim_publisher_open(
	struct swm_queue *port, struct swm_publisher **out, struct swm_error *err);
swm_status sim_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err);
void sim_publisher_close(struct swm_publisher *publisher);

#endif
