/* SPDX-License-Identifier: MIT */

/*
 * How the simulated broker hands out messages and takes settlements. A delivery has a copy of
 * its own of the message, freed when it is settled for good.
 */

#include "queue_parts.h"

#include "copy.h"

#include <stdlib.h>
#include <string.h>

/* How long a consumer may leave its connection alone. */
#define SERVICE_MAX_US 5000000

static const int64_t lease_ms[] = {20, 500, 4000, 30000};

swm_status sim_consumer_open(struct swm_queue *port, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	static const swm_status failures[] = {
		SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_NOT_FOUND, SWM_E_DENIED};
	struct sim_call call;
	struct sim_world *world = port->host->world;
	if (count != 1 || sources[0].len >= SIM_SOURCE_MAX) {
		return sim_queue_broken(port->host, "one source is expected");
	}
	if (!sim_call_begin(&call, port->host, "consumer_open")) {
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (sim_queue_is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		status = failures[sim_choose(world->choice, "open", SIM_COUNT(failures))];
	}
	if (!sim_call_end(&call, (uint64_t)status)) {
		return SIM_CUT(err);
	}
	if (status != SWM_OK) {
		return sim_fail(status, err, "the consumer cannot be opened");
	}
	struct swm_consumer *consumer = sim_must_alloc(sizeof(*consumer));
	consumer->host = port->host;
	consumer->prefetch = prefetch;
	consumer->serviced_us = world->now_us;
	memcpy(consumer->source, sources[0].ptr, sources[0].len);
	*out = consumer;
	return SWM_OK;
}

static void free_held(struct swm_consumer *consumer, size_t index)
{
	free(consumer->held[index].bytes);
	consumer->held_count--;
	memmove(&consumer->held[index], &consumer->held[index + 1],
		(consumer->held_count - index) * sizeof(consumer->held[0]));
}

/* Waits for a consumer: it is there, and nobody has it any more. */
static bool is_free(const struct sim_message *message, int64_t now_us)
{
	return message->visible_us <= now_us &&
	       (!message->holder || message->lease_us <= now_us);
}

/* When the first message may be free; INT64_MAX: none. */
static int64_t next_free_us(const struct sim_queue *queue)
{
	int64_t next_us = INT64_MAX;
	for (size_t i = 0; i < queue->inbox.count; i++) {
		const struct sim_message *at = &queue->inbox.items[i];
		int64_t free_us = at->holder ? at->lease_us : at->visible_us;
		next_us = free_us < next_us ? free_us : next_us;
	}
	return next_us;
}

static struct sim_message *pick(struct sim_queue *queue)
{
	struct sim_world *world = queue->world;
	uint32_t count = 0;
	size_t first = 0;
	for (size_t i = 0; i < queue->inbox.count; i++) {
		if (is_free(&queue->inbox.items[i], world->now_us)) {
			first = count == 0 ? i : first;
			count++;
		}
	}
	if (count == 0) {
		return NULL;
	}
	uint32_t skip = count > 1 && sim_world_happens(world, SIM_FAULT_REORDER, 2)
				? sim_choose(world->choice, "which", count)
				: 0;
	size_t at = first;
	while (skip > 0) {
		at++;
		skip -= is_free(&queue->inbox.items[at], world->now_us);
	}
	return &queue->inbox.items[at];
}

static bool hand_out(
	struct swm_consumer *consumer, struct sim_message *message, struct swm_delivery *out)
{
	struct sim_world *world = consumer->host->world;
	message->holder = consumer;
	message->token = ++world->queue->next_token;
	message->attempt++;
	message->lease_us = INT64_MAX;
	if (sim_world_happens(world, SIM_FAULT_QUEUE_LEASE, 2)) {
		message->lease_us = world->now_us + sim_world_pick_ms(world, "lease-ms",
							    lease_ms, SIM_COUNT(lease_ms)) *
							    1000;
	}
	SIM_MUST_GROW(consumer->held, consumer->held_cap, consumer->held_count + 1);
	struct sim_held *held = &consumer->held[consumer->held_count];
	consumer->held_count++;
	*held = (struct sim_held){.message = message->message};
	held->bytes = sim_copy_message(&held->message);
	held->delivery = (struct swm_delivery){
		.token = message->token,
		.source = held->message.destination,
		.id = held->message.id,
		.key = held->message.key,
		.body = held->message.body,
		.headers = held->message.headers,
		.header_count = held->message.header_count,
		.attempt = message->attempt,
		.redelivered = message->attempt > 1,
	};
	*out = held->delivery;
	SIM_TRACE(world, "receives %.*s, delivery %llu: %.*s", (int)out->id.len,
		out->id.ptr ? out->id.ptr : "", (unsigned long long)out->token,
		(int)out->body.len, out->body.ptr);
	world->verdict->figures.deliveries++;
	sim_world_note(world, sim_hash_str(message->attempt, out->body));
	sim_world_judge(world, sim_judge_delivered(world->judge, consumer->host->index, out));
	return !world->over;
}

static size_t take(struct swm_consumer *consumer, struct swm_delivery *out, size_t max)
{
	size_t count = 0;
	while (count < max &&
		(consumer->prefetch == 0 || consumer->held_count < consumer->prefetch)) {
		struct sim_message *message = pick(consumer->host->world->queue);
		if (!message || !hand_out(consumer, message, &out[count])) {
			break;
		}
		count++;
	}
	return count;
}

/* One failure of a receive. */
static swm_status fail_receive(struct swm_consumer *consumer)
{
	static const swm_status failures[] = {SWM_E_TIMEOUT, SWM_E_INTERRUPTED,
		SWM_E_UNAVAILABLE, SWM_E_DENIED, SWM_E_INTERNAL};
	struct sim_world *world = consumer->host->world;
	if (sim_queue_is_away(world->queue)) {
		return SWM_E_UNAVAILABLE;
	}
	if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		return failures[sim_choose(world->choice, "receive", SIM_COUNT(failures))];
	}
	return SWM_OK;
}

static swm_status wait_for_some(struct swm_consumer *consumer, int64_t until_us,
	struct swm_delivery *out, size_t max, size_t *count)
{
	struct sim_world *world = consumer->host->world;
	for (;;) {
		*count = max > 0 ? take(consumer, out, max) : 0;
		if (*count > 0) {
			return SWM_OK;
		}
		if (consumer->woken) {
			consumer->woken = false;
			return SWM_E_INTERRUPTED;
		}
		if (max == 0 || world->now_us >= until_us || consumer->host->dead) {
			return SWM_E_TIMEOUT;
		}
		bool full =
			consumer->prefetch > 0 && consumer->held_count >= consumer->prefetch;
		int64_t next_us = full ? INT64_MAX : next_free_us(world->queue);
		sim_flow_wait(world, world->queue, next_us < until_us ? next_us : until_us);
	}
}

static bool is_left_alone(const struct swm_consumer *consumer)
{
	const struct sim_world *world = consumer->host->world;
	uint64_t slowing = sim_fault_bit(SIM_FAULT_SLOW) | sim_fault_bit(SIM_FAULT_STALL);
	return !(world->faults & slowing) &&
	       world->now_us - consumer->serviced_us > SERVICE_MAX_US;
}

swm_status sim_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_world *world = consumer->host->world;
	if (consumer->broken && !consumer->host->dead) {
		return sim_queue_broken(
			consumer->host, "a consumer that is lost is asked for messages");
	}
	if (max > 0 && consumer->held_count == 0) {
		sim_recall_begin(consumer->host);
	}
	if (!sim_call_begin(&call, consumer->host, "receive")) {
		return SIM_CUT(err);
	}
	if (is_left_alone(consumer)) {
		return sim_queue_broken(
			consumer->host, "a consumer was left alone for more than 5 s");
	}
	size_t got = 0;
	swm_status status = fail_receive(consumer);
	if (status == SWM_OK) {
		status = wait_for_some(
			consumer, world->now_us + timeout_ms * 1000, out, max, &got);
	}
	consumer->serviced_us = world->now_us;
	if (status == SWM_E_UNAVAILABLE || status == SWM_E_DENIED) {
		consumer->broken = true;
		sim_queue_give_back(world->queue, consumer);
	}
	uint64_t result = (uint64_t)status;
	for (size_t i = 0; i < got; i++) {
		result = sim_hash_str(result, out[i].body);
	}
	if (!sim_call_end(&call, result)) {
		consumer->broken = true;
		return SIM_CUT(err);
	}
	consumer->serviced_us = world->now_us;
	if (status == SWM_OK) {
		*count = got;
	}
	return sim_fail(status, err, "nothing was received");
}

/* The message of a token, if the delivery still is its last. */
static struct sim_message *message_of(
	struct sim_queue *queue, const struct swm_consumer *consumer, uint64_t token)
{
	for (size_t i = 0; i < queue->inbox.count; i++) {
		struct sim_message *at = &queue->inbox.items[i];
		if (at->holder == consumer && at->token == token) {
			return at;
		}
	}
	return NULL;
}

/* What the broker makes of one settlement. False: the lease was lost. */
static bool carry_out(struct swm_consumer *consumer, struct sim_held *held, uint32_t action)
{
	struct sim_world *world = consumer->host->world;
	struct sim_queue *queue = world->queue;
	if (held->settled) {
		return true;
	}
	held->settled = true;
	struct sim_message *message = message_of(queue, consumer, held->delivery.token);
	if (!message) {
		return false;
	}
	if (action == SWM_NACK || sim_world_happens(world, SIM_FAULT_LOST_ACK, world->rate)) {
		message->holder = NULL;
		sim_flow_wake(world, queue);
		return true;
	}
	size_t index = (size_t)(message - queue->inbox.items);
	free(message->bytes);
	sim_queue_remove(&queue->inbox, index);
	return true;
}

static size_t find_held(const struct swm_consumer *consumer, uint64_t token)
{
	size_t i = 0;
	while (i < consumer->held_count && consumer->held[i].delivery.token != token) {
		i++;
	}
	return i;
}

/* Each token has to be one of the consumer's, once. */
static bool are_good(
	const struct swm_consumer *consumer, const struct swm_settlement *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (find_held(consumer, items[i].token) == consumer->held_count ||
			(items[i].action != SWM_ACK && items[i].action != SWM_NACK)) {
			return false;
		}
		for (size_t j = 0; j < i; j++) {
			if (items[j].token == items[i].token) {
				return false;
			}
		}
	}
	return true;
}

struct settling {
	swm_status status;
	bool carried_out;
};

/* A settle that fails, with or without its effect. */
static struct settling fail_settle(struct sim_world *world)
{
	static const swm_status failures[] = {
		SWM_E_TIMEOUT, SWM_E_THROTTLED, SWM_E_UNAVAILABLE, SWM_E_INTERNAL};
	if (sim_queue_is_away(world->queue)) {
		return (struct settling){SWM_E_UNAVAILABLE, false};
	}
	if (!sim_world_happens(world, SIM_FAULT_LOST_ACK, world->rate)) {
		return (struct settling){SWM_OK, true};
	}
	swm_status status = failures[sim_choose(world->choice, "settle", SIM_COUNT(failures))];
	return (struct settling){status, sim_choose(world->choice, "settled", 2) == 1};
}

static void judge_settled(struct swm_consumer *consumer, const struct swm_settlement *item)
{
	struct sim_world *world = consumer->host->world;
	const struct sim_held *held = &consumer->held[find_held(consumer, item->token)];
	SIM_TRACE(world, "%s delivery %llu", item->action == SWM_ACK ? "acks" : "gives back",
		(unsigned long long)item->token);
	sim_world_note(world, item->token);
	if (item->action == SWM_ACK) {
		sim_world_judge(world,
			sim_judge_acked(world->judge, consumer->host->index, &held->delivery));
	}
}

swm_status sim_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_world *world = consumer->host->world;
	if (!consumer->host->dead &&
		(consumer->broken || count == 0 || !are_good(consumer, items, count))) {
		return sim_queue_broken(consumer->host,
			"settled by a lost consumer, twice, or what was not received");
	}
	if (!sim_call_begin(&call, consumer->host, "settle")) {
		return SIM_CUT(err);
	}
	struct settling settling = fail_settle(world);
	bool again = settling.status == SWM_E_TIMEOUT || settling.status == SWM_E_THROTTLED;
	bool lost = false;
	for (size_t i = 0; i < count && !world->over; i++) {
		struct sim_held *held = &consumer->held[find_held(consumer, items[i].token)];
		judge_settled(consumer, &items[i]);
		if (settling.carried_out) {
			lost = !carry_out(consumer, held, items[i].action) || lost;
		} else if (!again) {
			(void)carry_out(consumer, held, SWM_NACK);
		}
	}
	if (settling.status == SWM_OK && lost) {
		settling.status = SWM_E_CONFLICT;
	}
	if (settling.status == SWM_E_UNAVAILABLE) {
		consumer->broken = true;
		sim_queue_give_back(world->queue, consumer);
	}
	if (!sim_call_end(&call, (uint64_t)settling.status)) {
		consumer->broken = true;
		return SIM_CUT(err);
	}
	for (size_t i = 0; i < count && !again; i++) {
		free_held(consumer, find_held(consumer, items[i].token));
	}
	return sim_fail(settling.status, err, "not settled");
}

void sim_consumer_wake(struct swm_consumer *consumer)
{
	consumer->woken = true;
	sim_flow_wake(consumer->host->world, consumer->host->world->queue);
}

void sim_consumer_close(struct swm_consumer *consumer)
{
	if (!consumer) {
		return;
	}
	sim_queue_give_back(consumer->host->world->queue, consumer);
	for (size_t i = 0; i < consumer->held_count; i++) {
		free(consumer->held[i].bytes);
	}
	free(consumer->held);
	free(consumer);
}
