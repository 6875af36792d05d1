/* SPDX-License-Identifier: MIT */

/*
 * See kernel.h: what a thread of an engine still knows, for the hash of a small world.
 *
 * A thread's local state is a function of all that its calls have returned since it began.
 * That is far too much to tell states apart by: what it did before it asked for new work is
 * over, and of it only this is left in the engine.
 *
 *   the cached instance   as of the load or the commit that came last, and its body is the
 *                         store's as of that version. A version that is not the store's
 *                         any more is as good as none: both read the body anew.
 *   the marks             of what it has sent and not yet marked, and the age of the first
 *   nothing else          templates never change here and who reads them is not noticed;
 *                         no broker and no session fails, so no pause is longer for that
 *
 * So the history begins anew where the work does: at the receive of a processor and at the
 * claim of a dispatcher. That the engine knows no more and no less is not taken on trust:
 * every load says what is cached, every commit what is marked, and both are compared with
 * what is written down here.
 */

#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>

static struct sim_recall *recall_of(const struct sim_host *host)
{
	const struct sim_world *world = host->world;
	return world->plan->small && world->current && !host->dead ? &world->current->recall
								   : NULL;
}

static void give_up(const char *what)
{
	(void)fputs("the engine knows something else than the small world: ", stderr);
	(void)fputs(what, stderr);
	abort();
}

void sim_recall_begin(struct sim_host *host)
{
	struct sim_flow *flow = host->world->current;
	if (recall_of(host) && !host->world->plan->unreduced) {
		flow->history = 1; /* 0: it has not begun */
		flow->since_us = host->world->now_us;
	}
}

void sim_recall_loaded(struct sim_host *host, const struct swm_load *item)
{
	struct sim_recall *recall = recall_of(host);
	if (!recall) {
		return;
	}
	if (item->have_version != recall->version) {
		give_up("the cached version\n");
	}
	recall->version = item->instance ? item->instance->version : 0;
}

void sim_recall_committed(struct sim_host *host, const struct swm_commit *item)
{
	struct sim_recall *recall = recall_of(host);
	if (recall) {
		bool kept = item->result == SWM_OK &&
			    item->next.status != SWM_STATUS_COMPLETED &&
			    item->next.status != SWM_STATUS_CANCELLED;
		recall->version = kept ? item->next.version : 0;
	}
}

void sim_recall_published(struct sim_host *host, struct swm_str id)
{
	struct sim_recall *recall = recall_of(host);
	if (recall) {
		recall->marked_us =
			recall->marks == 0 ? host->world->now_us : recall->marked_us;
		recall->marks += sim_hash_str(1, id) | 1;
	}
}

void sim_recall_marked(struct sim_host *host, const struct swm_outbox_mark *marks, size_t count,
	swm_status status)
{
	struct sim_recall *recall = recall_of(host);
	uint64_t sum = 0;
	if (!recall) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		sum += sim_hash_str(1, marks[i].id) | 1;
	}
	if (sum != recall->marks) {
		give_up("what is to be marked\n");
	}
	if (status == SWM_OK || status == SWM_E_CONFLICT) {
		recall->marks = 0;
	}
}

uint64_t sim_recall_hash(const struct sim_flow *flow)
{
	const struct sim_world *world = flow->world;
	const struct sim_recall *recall = &flow->recall;
	bool fresh = recall->version > 0 && recall->version == sim_store_version(world->store);
	uint64_t parts[] = {fresh, recall->marks,
		recall->marks > 0 ? (uint64_t)(world->now_us - recall->marked_us) : 0,
		flow->history, (uint64_t)(world->now_us - flow->since_us)};
	return sim_hash(0, parts, sizeof(parts));
}
