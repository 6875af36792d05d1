/* SPDX-License-Identifier: MIT */

/*
 * How the simulated broker takes messages, and what it answers.
 */

#include "queue_parts.h"

#include <stdlib.h>

swm_status sim_publisher_open(
	struct swm_queue *port, struct swm_publisher **out, struct swm_error *err)
{
	static const swm_status failures[] = {SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_DENIED};
	struct sim_call call;
	struct sim_world *world = port->host->world;
	if (!sim_call_begin(&call, port->host, "publisher_open")) {
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (sim_queue_is_away(world->queue)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_REFUSE, world->rate)) {
		status = failures[sim_choose(world->choice, "open", SIM_COUNT(failures))];
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
		return refusals[sim_choose(world->choice, "refusal", SIM_COUNT(refusals))];
	}
	if (!sim_queue_is_workflow(message->destination) &&
		sim_world_happens(world, SIM_FAULT_UNDELIVERABLE, world->rate)) {
		return never[sim_choose(world->choice, "never", SIM_COUNT(never))];
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
	sim_queue_take_in(world->queue, message, 0);
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

swm_status sim_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct sim_call call;
	struct sim_host *host = publisher->host;
	struct sim_world *world = host->world;
	if (!host->dead && (publisher->broken || timeout_ms <= 0)) {
		return sim_queue_broken(
			host, "published through a lost publisher, or without any time");
	}
	if (!host->dead) {
		judge_leases(host, messages, count, timeout_ms);
	}
	if (!sim_call_begin(&call, host, "publish")) {
		return SIM_CUT(err);
	}
	size_t stop = count;
	swm_status rest = SWM_E_UNAVAILABLE;
	if (sim_queue_is_away(world->queue)) {
		stop = 0;
	} else if (count > 1 && sim_world_happens(world, SIM_FAULT_HALF, world->rate / 4 + 1)) {
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
		sim_judge_told(
			world->judge, host->index, world->current, &messages[i], results[i]);
		if (results[i] == SWM_OK) {
			sim_recall_published(host, messages[i].id);
		}
	}
	return sim_fail(first, err, "not published");
}

void sim_publisher_close(struct swm_publisher *publisher)
{
	free(publisher);
}
