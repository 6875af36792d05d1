/* SPDX-License-Identifier: MIT */

/*
 * See sim_queue.h. What waits for orchestrators and what is under way to agents are two
 * lists. sim_consumer.c and sim_publisher.c have the calls of the port.
 */

#include "queue_parts.h"

#include "copy.h"

#include <stdlib.h>
#include <string.h>

static const int64_t delay_ms[] = {1, 100, 2500, 15000};
static const int64_t away_ms[] = {50, 1000, 15000, 60000};

struct sim_queue *sim_queue_create(struct sim_world *world)
{
	struct sim_queue *queue = sim_must_alloc(sizeof(*queue));
	queue->world = world;
	queue->outside_us = INT64_MAX;
	return queue;
}

static void free_list(struct sim_message_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].bytes);
	}
	free(list->items);
}

void sim_queue_destroy(struct sim_queue *queue)
{
	if (queue) {
		free_list(&queue->inbox);
		free_list(&queue->outside);
		free(queue);
	}
}

size_t sim_queue_count(const struct sim_queue *queue)
{
	return queue->inbox.count + queue->outside.count;
}

const struct sim_message *sim_queue_message(const struct sim_queue *queue, size_t index)
{
	return index < queue->inbox.count ? &queue->inbox.items[index]
					  : &queue->outside.items[index - queue->inbox.count];
}

bool sim_queue_is_workflow(struct swm_str name)
{
	return sim_str_equal(
		name, (struct swm_str){SIM_WORKFLOW_QUEUE, sizeof(SIM_WORKFLOW_QUEUE) - 1});
}

void sim_queue_remove(struct sim_message_list *list, size_t index)
{
	list->count--;
	memmove(&list->items[index], &list->items[index + 1],
		(list->count - index) * sizeof(list->items[0]));
}

static void add(struct sim_queue *queue, const struct swm_message *message, int64_t visible_us)
{
	bool inbound = sim_queue_is_workflow(message->destination);
	struct sim_message_list *list = inbound ? &queue->inbox : &queue->outside;
	SIM_MUST_GROW(list->items, list->cap, list->count + 1);
	struct sim_message *added = &list->items[list->count];
	*added = (struct sim_message){.message = *message, .visible_us = visible_us};
	added->bytes = sim_copy_message(&added->message);
	list->count++;
	if (inbound) {
		sim_flow_wake(queue->world, queue);
	} else if (visible_us < queue->outside_us) {
		queue->outside_us = visible_us;
	}
}

/* An agent knows a message by its id: where nothing is delayed the second one comes with the
 * first and is gone before anybody runs, so that a small world need not ask for it. */
static bool shows_twice(const struct sim_world *world, const struct swm_message *message)
{
	return !world->plan->small || sim_queue_is_workflow(message->destination);
}

void sim_queue_take_in(
	struct sim_queue *queue, const struct swm_message *message, int64_t delay)
{
	struct sim_world *world = queue->world;
	int64_t visible_us = world->now_us + delay * 1000;
	if (sim_world_happens(world, SIM_FAULT_DELAY, world->rate)) {
		visible_us +=
			sim_world_pick_ms(world, "delay-ms", delay_ms, SIM_COUNT(delay_ms)) *
			1000;
	}
	add(queue, message, visible_us);
	if (world->copies_left > 0 && shows_twice(world, message) &&
		sim_world_happens(world, SIM_FAULT_DUPLICATE, world->rate)) {
		world->copies_left--;
		SIM_TRACE(world, "broker: that message will come twice");
		add(queue, message,
			visible_us + sim_world_pick_ms(
					     world, "twice-ms", delay_ms, SIM_COUNT(delay_ms)) *
					     1000);
	}
}

void sim_queue_send(struct sim_queue *queue, const struct swm_message *message, int64_t delay)
{
	sim_queue_take_in(queue, message, delay);
}

int64_t sim_queue_next_us(const struct sim_queue *queue)
{
	return queue->outside_us;
}

static void find_outside(struct sim_queue *queue)
{
	queue->outside_us = INT64_MAX;
	for (size_t i = 0; i < queue->outside.count; i++) {
		if (queue->outside.items[i].visible_us < queue->outside_us) {
			queue->outside_us = queue->outside.items[i].visible_us;
		}
	}
}

void sim_queue_deliver(struct sim_queue *queue)
{
	struct sim_world *world = queue->world;
	while (!world->over && queue->outside_us <= world->now_us) {
		size_t i = 0;
		while (queue->outside.items[i].visible_us > world->now_us) {
			i++;
		}
		struct sim_message taken = queue->outside.items[i];
		sim_queue_remove(&queue->outside, i);
		find_outside(queue);
		SIM_TRACE(world, "%.*s: an agent gets %.*s", (int)taken.message.destination.len,
			taken.message.destination.ptr, (int)taken.message.id.len,
			taken.message.id.ptr);
		sim_agents_got(world->agents, &taken.message);
		free(taken.bytes);
	}
}

/* Between the engine and the broker. */

swm_status sim_queue_broken(struct sim_host *host, const char *what)
{
	sim_world_fail(host->world, "contract", "queue: %s", what);
	return SWM_E_INVALID;
}

bool sim_queue_is_away(struct sim_queue *queue)
{
	struct sim_world *world = queue->world;
	if (sim_world_happens(world, SIM_FAULT_BROKER_AWAY, world->rate * 6)) {
		int64_t ms = sim_world_pick_ms(world, "away-ms", away_ms, SIM_COUNT(away_ms));
		SIM_TRACE(world, "the broker is away for %lld ms", (long long)ms);
		queue->away_us = world->now_us + ms * 1000;
	}
	return world->now_us < queue->away_us;
}

static swm_status prepare(struct swm_queue *port, const struct swm_str *names, size_t count,
	struct swm_error *err)
{
	static const swm_status failures[] = {
		SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_NOT_FOUND, SWM_E_DENIED};
	struct sim_call call;
	struct sim_world *world = port->host->world;
	(void)names, (void)count;
	if (!sim_call_begin(&call, port->host, "prepare")) {
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (sim_queue_is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		status = failures[sim_choose(world->choice, "prepare", SIM_COUNT(failures))];
	}
	if (!sim_call_end(&call, (uint64_t)status)) {
		return SIM_CUT(err);
	}
	return sim_fail(status, err, "the queue cannot be prepared");
}

void sim_queue_give_back(struct sim_queue *queue, const struct swm_consumer *consumer)
{
	for (size_t i = 0; i < queue->inbox.count; i++) {
		struct sim_message *at = &queue->inbox.items[i];
		if (at->holder == consumer) {
			at->holder = NULL;
		}
	}
	sim_flow_wake(queue->world, queue);
}

/* A broker notices that a connection has gone at once, or when a lease is over. */
void sim_queue_crashed(struct sim_queue *queue, const struct sim_host *host)
{
	struct sim_world *world = queue->world;
	for (size_t i = 0; i < queue->inbox.count; i++) {
		struct sim_message *at = &queue->inbox.items[i];
		if (at->holder && at->holder->host == host) {
			at->holder = NULL;
			if (world->phase == SIM_STORM && !world->over) {
				at->visible_us =
					world->now_us + sim_world_pick_ms(world, "gone-ms",
								delay_ms, SIM_COUNT(delay_ms)) *
								1000;
			}
		}
	}
	sim_flow_wake(world, queue);
}

/* Opening and closing adapters is the host's business, and there is none here. */
const struct swm_queue_ops sim_queue_ops = {
	.size = sizeof(sim_queue_ops),
	.prepare = prepare,
	.consumer_open = sim_consumer_open,
	.consumer_receive = sim_consumer_receive,
	.consumer_settle = sim_consumer_settle,
	.consumer_wake = sim_consumer_wake,
	.consumer_close = sim_consumer_close,
	.publisher_open = sim_publisher_open,
	.publisher_publish = sim_publisher_publish,
	.publisher_close = sim_publisher_close,
};

void sim_queue_calm(struct sim_queue *queue)
{
	queue->away_us = 0;
	sim_flow_wake(queue->world, queue);
}

static int64_t left_us(int64_t until_us, int64_t now_us)
{
	return until_us > now_us && until_us != INT64_MAX ? until_us - now_us : 0;
}

/* Who holds a message is a part of the holder's hash. */
static uint64_t hash_list(uint64_t hash, const struct sim_message_list *list, int64_t now_us)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct sim_message *at = &list->items[i];
		int64_t numbers[] = {left_us(at->visible_us, now_us),
			at->holder ? left_us(at->lease_us, now_us) : 0, at->attempt,
			at->holder != NULL};
		hash = sim_hash(hash, numbers, sizeof(numbers));
		hash = sim_hash_str(hash, at->message.id);
		hash = sim_hash_str(hash, at->message.body);
	}
	return hash;
}

uint64_t sim_queue_hash(const struct sim_queue *queue)
{
	int64_t now_us = queue->world->now_us;
	uint64_t hash = (uint64_t)left_us(queue->away_us, now_us);
	return hash_list(hash_list(hash, &queue->inbox, now_us), &queue->outside, now_us);
}

uint64_t sim_queue_hash_of(const struct sim_queue *queue, const struct sim_host *host)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < queue->inbox.count; i++) {
		const struct sim_message *at = &queue->inbox.items[i];
		if (at->holder && at->holder->host == host) {
			hash = sim_hash(hash, &i, sizeof(i));
		}
	}
	return hash;
}
