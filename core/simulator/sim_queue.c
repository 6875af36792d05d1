/* SPDX-License-Identifier: MIT */

/*
 * See sim_queue.h. What waits for orchestrators and what is under way to agents are two
 * lists. A delivery has a copy of its own of the message, freed when it is settled for good.
 */

#include "kernel.h"

#include "copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_MAX 200

/* How long a consumer may leave its connection alone. */
#define SERVICE_MAX_US 5000000

static const int64_t delay_ms[] = {1, 100, 2500, 15000};
static const int64_t lease_ms[] = {20, 500, 4000, 30000};
static const int64_t away_ms[] = {50, 1000, 15000, 60000};

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

struct list {
	struct sim_message *items;
	size_t count;
	size_t cap;
};

struct sim_queue {
	struct sim_world *world;
	struct list inbox;   /* for orchestrators */
	struct list outside; /* for agents */
	int64_t outside_us;  /* the first of these is there; INT64_MAX: none */
	int64_t away_us;     /* virtual: the broker is away until then */
	uint64_t next_token;
};

/* A delivery that has not been settled for good. */
struct held {
	struct swm_delivery delivery;
	struct swm_message message;
	char *bytes;
	bool settled; /* as far as the broker goes; its answer said otherwise */
};

struct swm_consumer {
	struct sim_host *host;
	char source[SOURCE_MAX];
	uint32_t prefetch;
	struct held *held;
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

struct sim_queue *sim_queue_create(struct sim_world *world)
{
	struct sim_queue *queue = sim_must_alloc(sizeof(*queue));
	queue->world = world;
	queue->outside_us = INT64_MAX;
	return queue;
}

static void free_list(struct list *list)
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

static bool is_workflow(struct swm_str name)
{
	return sim_str_equal(
		name, (struct swm_str){SIM_WORKFLOW_QUEUE, sizeof(SIM_WORKFLOW_QUEUE) - 1});
}

static void remove_message(struct list *list, size_t index)
{
	list->count--;
	memmove(&list->items[index], &list->items[index + 1],
		(list->count - index) * sizeof(list->items[0]));
}

static void add(struct sim_queue *queue, const struct swm_message *message, int64_t visible_us)
{
	bool inbound = is_workflow(message->destination);
	struct list *list = inbound ? &queue->inbox : &queue->outside;
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

/* The broker has taken it. */
static void take_in(struct sim_queue *queue, const struct swm_message *message, int64_t delay)
{
	struct sim_world *world = queue->world;
	int64_t visible_us = world->now_us + delay * 1000;
	if (sim_world_happens(world, SIM_FAULT_DELAY, world->rate)) {
		visible_us +=
			sim_world_pick_ms(world, "delay-ms", delay_ms, COUNT(delay_ms)) * 1000;
	}
	add(queue, message, visible_us);
	if (sim_world_happens(world, SIM_FAULT_DUPLICATE, world->rate)) {
		SIM_TRACE(world, "broker: that message will come twice");
		add(queue, message,
			visible_us + sim_world_pick_ms(
					     world, "twice-ms", delay_ms, COUNT(delay_ms)) *
					     1000);
	}
}

void sim_queue_send(struct sim_queue *queue, const struct swm_message *message, int64_t delay)
{
	take_in(queue, message, delay);
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
		remove_message(&queue->outside, i);
		find_outside(queue);
		SIM_TRACE(world, "%.*s: an agent gets %.*s", (int)taken.message.destination.len,
			taken.message.destination.ptr, (int)taken.message.id.len,
			taken.message.id.ptr);
		sim_agents_got(world->agents, &taken.message);
		free(taken.bytes);
	}
}

/* Between the engine and the broker. */

/* Breaks the contract: the run ends. */
static swm_status broken(struct sim_host *host, const char *what)
{
	sim_world_fail(host->world, "contract", "queue: %s", what);
	return SWM_E_INVALID;
}

/* The broker goes away at times, and is away for a while. */
static bool is_away(struct sim_queue *queue)
{
	struct sim_world *world = queue->world;
	if (sim_world_happens(world, SIM_FAULT_BROKER_AWAY, world->rate * 6)) {
		int64_t ms = sim_world_pick_ms(world, "away-ms", away_ms, COUNT(away_ms));
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
	if (is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		status = failures[sim_choose(world->choice, "prepare", COUNT(failures))];
	}
	if (!sim_call_end(&call, (uint64_t)status)) {
		return SIM_CUT(err);
	}
	return sim_fail(status, err, "the queue cannot be prepared");
}

/* Consuming. */

static swm_status consumer_open(struct swm_queue *port, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	static const swm_status failures[] = {
		SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_NOT_FOUND, SWM_E_DENIED};
	struct sim_call call;
	struct sim_world *world = port->host->world;
	if (count != 1 || sources[0].len >= SOURCE_MAX) {
		return broken(port->host, "one source is expected");
	}
	if (!sim_call_begin(&call, port->host, "consumer_open")) {
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		status = failures[sim_choose(world->choice, "open", COUNT(failures))];
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
		message->lease_us =
			world->now_us +
			sim_world_pick_ms(world, "lease-ms", lease_ms, COUNT(lease_ms)) * 1000;
	}
	SIM_MUST_GROW(consumer->held, consumer->held_cap, consumer->held_count + 1);
	struct held *held = &consumer->held[consumer->held_count];
	consumer->held_count++;
	*held = (struct held){.message = message->message};
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
	if (is_away(world->queue)) {
		return SWM_E_UNAVAILABLE;
	}
	if (sim_world_happens(world, SIM_FAULT_RECEIVE, world->rate)) {
		return failures[sim_choose(world->choice, "receive", COUNT(failures))];
	}
	return SWM_OK;
}

/* What it had not settled comes back to all. */
static void give_back(struct sim_queue *queue, const struct swm_consumer *consumer)
{
	for (size_t i = 0; i < queue->inbox.count; i++) {
		struct sim_message *at = &queue->inbox.items[i];
		if (at->holder == consumer) {
			at->holder = NULL;
		}
	}
	sim_flow_wake(queue->world, queue);
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

static swm_status consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_world *world = consumer->host->world;
	if (consumer->broken && !consumer->host->dead) {
		return broken(consumer->host, "a consumer that is lost is asked for messages");
	}
	if (!sim_call_begin(&call, consumer->host, "receive")) {
		return SIM_CUT(err);
	}
	if (is_left_alone(consumer)) {
		return broken(consumer->host, "a consumer was left alone for more than 5 s");
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
		give_back(world->queue, consumer);
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
static bool carry_out(struct swm_consumer *consumer, struct held *held, uint32_t action)
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
	remove_message(&queue->inbox, index);
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
	if (is_away(world->queue)) {
		return (struct settling){SWM_E_UNAVAILABLE, false};
	}
	if (!sim_world_happens(world, SIM_FAULT_LOST_ACK, world->rate)) {
		return (struct settling){SWM_OK, true};
	}
	swm_status status = failures[sim_choose(world->choice, "settle", COUNT(failures))];
	return (struct settling){status, sim_choose(world->choice, "settled", 2) == 1};
}

static void judge_settled(struct swm_consumer *consumer, const struct swm_settlement *item)
{
	struct sim_world *world = consumer->host->world;
	const struct held *held = &consumer->held[find_held(consumer, item->token)];
	SIM_TRACE(world, "%s delivery %llu", item->action == SWM_ACK ? "acks" : "gives back",
		(unsigned long long)item->token);
	sim_world_note(world, item->token);
	if (item->action == SWM_ACK) {
		sim_world_judge(world,
			sim_judge_acked(world->judge, consumer->host->index, &held->delivery));
	}
}

static swm_status consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_world *world = consumer->host->world;
	if (!consumer->host->dead &&
		(consumer->broken || count == 0 || !are_good(consumer, items, count))) {
		return broken(consumer->host,
			"settled by a lost consumer, twice, or what was not received");
	}
	if (!sim_call_begin(&call, consumer->host, "settle")) {
		return SIM_CUT(err);
	}
	struct settling settling = fail_settle(world);
	bool again = settling.status == SWM_E_TIMEOUT || settling.status == SWM_E_THROTTLED;
	bool lost = false;
	for (size_t i = 0; i < count && !world->over; i++) {
		struct held *held = &consumer->held[find_held(consumer, items[i].token)];
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
		give_back(world->queue, consumer);
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

static void consumer_wake(struct swm_consumer *consumer)
{
	consumer->woken = true;
	sim_flow_wake(consumer->host->world, consumer->host->world->queue);
}

static void consumer_close(struct swm_consumer *consumer)
{
	if (!consumer) {
		return;
	}
	give_back(consumer->host->world->queue, consumer);
	for (size_t i = 0; i < consumer->held_count; i++) {
		free(consumer->held[i].bytes);
	}
	free(consumer->held);
	free(consumer);
}

/* A broker notices that a connection has gone at once, or when a lease is over. */
void sim_queue_crashed(struct sim_queue *queue, struct sim_host *host)
{
	struct sim_world *world = queue->world;
	for (size_t i = 0; i < queue->inbox.count; i++) {
		struct sim_message *at = &queue->inbox.items[i];
		if (at->holder && at->holder->host == host) {
			at->holder = NULL;
			if (world->phase == SIM_STORM && !world->over) {
				at->visible_us =
					world->now_us + sim_world_pick_ms(world, "gone-ms",
								delay_ms, COUNT(delay_ms)) *
								1000;
			}
		}
	}
	sim_flow_wake(world, queue);
}

/* Publishing. */

static swm_status publisher_open(
	struct swm_queue *port, struct swm_publisher **out, struct swm_error *err)
{
	static const swm_status failures[] = {SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_DENIED};
	struct sim_call call;
	struct sim_world *world = port->host->world;
	if (!sim_call_begin(&call, port->host, "publisher_open")) {
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_REFUSE, world->rate)) {
		status = failures[sim_choose(world->choice, "open", COUNT(failures))];
	}
	if (!sim_call_end(&call, (uint64_t)status)) {
		return SIM_CUT(err);
	}
	if (status != SWM_OK) {
		return sim_fail(status, err, "the publisher cannot be opened");
	}
	struct swm_publisher *publisher = sim_must_alloc(sizeof(*publisher));
	publisher->host = port->host;
	*out = publisher;
	return SWM_OK;
}

/* What the broker says of one message, and whether it takes it in. */
static swm_status meet_message(
	struct sim_world *world, const struct swm_message *message, bool *taken)
{
	static const swm_status refusals[] = {
		SWM_E_THROTTLED, SWM_E_NOT_FOUND, SWM_E_TIMEOUT, SWM_E_DENIED};
	static const swm_status never[] = {SWM_E_TOO_LARGE, SWM_E_INVALID};
	*taken = false;
	if (sim_world_happens(world, SIM_FAULT_REFUSE, world->rate)) {
		return refusals[sim_choose(world->choice, "refusal", COUNT(refusals))];
	}
	if (!is_workflow(message->destination) &&
		sim_world_happens(world, SIM_FAULT_UNDELIVERABLE, world->rate)) {
		return never[sim_choose(world->choice, "never", COUNT(never))];
	}
	if (sim_world_happens(world, SIM_FAULT_PUBLISH_DOUBT, world->rate)) {
		*taken = sim_choose(world->choice, "published", 2) == 1;
		return SWM_E_INDOUBT;
	}
	*taken = true;
	return SWM_OK;
}

static swm_status publish_one(struct sim_host *host, const struct swm_message *message)
{
	struct sim_world *world = host->world;
	bool taken;
	swm_status status = meet_message(world, message, &taken);
	SIM_TRACE(world, "publishes %.*s to %.*s: %d%s", (int)message->id.len, message->id.ptr,
		(int)message->destination.len, message->destination.ptr, status,
		status == SWM_E_INDOUBT ? (taken ? ", taken" : ", not taken") : "");
	if (!taken) {
		return status;
	}
	world->verdict->figures.published++;
	sim_world_note(world, sim_hash_str(sim_hash_str(0, message->id), message->body));
	sim_world_judge(world, sim_judge_published(world->judge, host->index, message));
	take_in(world->queue, message, 0);
	return status;
}

/* Until when the engine means to be publishing, by what it knew when it began. */
static void judge_leases(const struct sim_host *host, const struct swm_message *messages,
	size_t count, int64_t timeout_ms)
{
	struct sim_world *world = host->world;
	int64_t until_ms = world->current->read_us / 1000 + timeout_ms;
	for (size_t i = 0; i < count; i++) {
		sim_world_judge(world, sim_judge_publishing(world->judge, host->index,
					       world->current, &messages[i], until_ms));
	}
}

static swm_status publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct sim_call call;
	struct sim_host *host = publisher->host;
	struct sim_world *world = host->world;
	if (!host->dead && (publisher->broken || timeout_ms <= 0)) {
		return broken(host, "published through a lost publisher, or without any time");
	}
	if (!host->dead) {
		judge_leases(host, messages, count, timeout_ms);
	}
	if (!sim_call_begin(&call, host, "publish")) {
		return SIM_CUT(err);
	}
	size_t stop = count;
	swm_status rest = SWM_E_UNAVAILABLE;
	if (is_away(world->queue)) {
		stop = 0;
	} else if (count > 1 && sim_world_happens(world, SIM_FAULT_HALF, world->rate)) {
		stop = 1 + sim_choose(world->choice, "half", (uint32_t)count - 1);
		rest = sim_choose(world->choice, "half-status", 2) == 1 ? SWM_E_TIMEOUT
									: SWM_E_UNAVAILABLE;
	}
	swm_status first = SWM_OK;
	uint64_t result = 0;
	for (size_t i = 0; i < count && !world->over; i++) {
		results[i] = i < stop ? publish_one(host, &messages[i]) : rest;
		first = first == SWM_OK ? results[i] : first;
		result = result * 31 + (uint64_t)results[i];
	}
	publisher->broken = first == SWM_E_UNAVAILABLE;
	if (!sim_call_end(&call, result)) {
		publisher->broken = true;
		for (size_t i = 0; i < count; i++) {
			results[i] = SWM_E_UNAVAILABLE;
		}
		return SIM_CUT(err);
	}
	for (size_t i = 0; i < count; i++) {
		if (results[i] == SWM_OK) {
			sim_judge_confirmed(
				world->judge, host->index, world->current, &messages[i]);
		}
	}
	return sim_fail(first, err, "not published");
}

static void publisher_close(struct swm_publisher *publisher)
{
	free(publisher);
}

/* Opening and closing adapters is the host's business, and there is none here. */
const struct swm_queue_ops sim_queue_ops = {
	.size = sizeof(sim_queue_ops),
	.prepare = prepare,
	.consumer_open = consumer_open,
	.consumer_receive = consumer_receive,
	.consumer_settle = consumer_settle,
	.consumer_wake = consumer_wake,
	.consumer_close = consumer_close,
	.publisher_open = publisher_open,
	.publisher_publish = publisher_publish,
	.publisher_close = publisher_close,
};

void sim_queue_calm(struct sim_queue *queue)
{
	queue->away_us = 0;
	sim_flow_wake(queue->world, queue);
}

static uint64_t hash_list(uint64_t hash, const struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct sim_message *at = &list->items[i];
		int64_t numbers[] = {at->visible_us, at->lease_us, at->attempt,
			at->holder ? (int64_t)at->token : 0};
		hash = sim_hash(hash, numbers, sizeof(numbers));
		hash = sim_hash_str(hash, at->message.id);
		hash = sim_hash_str(hash, at->message.body);
	}
	return hash;
}

uint64_t sim_queue_hash(const struct sim_queue *queue)
{
	return hash_list(hash_list((uint64_t)queue->away_us, &queue->inbox), &queue->outside);
}
