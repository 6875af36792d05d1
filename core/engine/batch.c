/* SPDX-License-Identifier: MIT */

/*
 * See batch.h. Nothing is acknowledged here and nothing published that is not
 * committed: an event becomes DONE only by an answer of the store's.
 */

#include "batch.h"

#include "aside.h"
#include "dispatcher.h"
#include "error.h"
#include "text.h"

#include <assert.h>
#include <stdlib.h>

/* One round: the items in the order of their first events. */
struct round {
	struct swm_batch *batch;
	struct swm_item *items;
	struct swm_load *loads;
	struct swm_commit *commits;
	struct swm_item **committing; /* by position in commits */
	size_t item_count;
	size_t commit_count;
	swm_status trouble; /* of single items; SWM_OK: none */
	size_t committed;   /* counted, for the metrics */
	size_t recorded;
	size_t passed;
	size_t conflicts;
	size_t doubtful;
};

static swm_status no_memory(struct swm_error *err)
{
	return swm_error_set(err, SWM_E_NOMEM, "out of memory");
}

swm_status swm_batch_init(struct swm_batch *batch, const struct swm_batch_args *args,
	size_t cap, struct swm_error *err)
{
	*batch = (struct swm_batch){
		.sender = args->sender,
		.marks = args->marks,
		.cap = cap,
		.deliveries = calloc(cap, sizeof(*batch->deliveries)),
		.settlements = calloc(cap, sizeof(*batch->settlements)),
		.events = calloc(cap, sizeof(*batch->events)),
	};
	batch->workshop = (struct swm_workshop){
		.shared = args->shared,
		.link = args->link,
		.cache = args->cache,
		.lasting = &batch->lasting,
		.round = &batch->round,
	};
	const struct swm_env *env = args->shared->env;
	env->random(env->ctx, &batch->keys.seed, sizeof(batch->keys.seed));
	batch->items.seed = batch->keys.seed;
	if (!batch->deliveries || !batch->settlements || !batch->events) {
		swm_batch_finish(batch);
		return no_memory(err);
	}
	return SWM_OK;
}

void swm_batch_finish(struct swm_batch *batch)
{
	swm_batch_end(batch);
	free(batch->deliveries);
	free(batch->settlements);
	free(batch->events);
	swm_table_finish(&batch->keys);
	swm_table_finish(&batch->items);
	swm_arena_finish(&batch->lasting);
	swm_arena_finish(&batch->round);
	*batch = (struct swm_batch){0};
}

void swm_batch_begin(struct swm_batch *batch, size_t count)
{
	assert(batch->count == 0 && count <= batch->cap);
	batch->count = count;
	for (size_t i = 0; i < count; i++) {
		batch->events[i] = (struct swm_inbound){
			.delivery = &batch->deliveries[i],
			.state = SWM_INBOUND_NEW,
		};
	}
	swm_env_count(batch->workshop.shared->env, "events_received", count);
}

void swm_batch_end(struct swm_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		swm_inbound_finish(&batch->events[i]);
	}
	batch->count = 0;
	swm_table_clear(&batch->keys);
	swm_arena_reset(&batch->lasting);
}

size_t swm_batch_open(const struct swm_batch *batch)
{
	size_t open = 0;
	for (size_t i = 0; i < batch->count; i++) {
		open += batch->events[i].state != SWM_INBOUND_SETTLED;
	}
	return open;
}

/* Reading, grouping and loading. */

static swm_status read_events(struct swm_batch *batch, struct swm_error *err)
{
	const struct swm_reader reader = {
		.env = batch->workshop.shared->env,
		.limits = &batch->workshop.shared->config->limits,
		.lasting = &batch->lasting,
		.keys = &batch->keys,
	};
	swm_status status = SWM_OK;
	for (size_t i = 0; i < batch->count && status == SWM_OK; i++) {
		if (batch->events[i].state == SWM_INBOUND_NEW) {
			status = swm_inbound_read(&reader, &batch->events[i], err);
		}
	}
	return status;
}

/* False: out of memory. */
static bool group_event(struct round *round, struct swm_inbound *inbound)
{
	struct swm_batch *batch = round->batch;
	struct swm_item *item =
		(struct swm_item *)swm_table_find(&batch->items, inbound->instance_id);
	if (item && inbound->alone) {
		return true;
	}
	if (!item) {
		item = &round->items[round->item_count];
		*item = (struct swm_item){.node.key = inbound->instance_id};
		if (!swm_table_insert(&batch->items, &item->node)) {
			return false; /* and none of the later ones may overtake it */
		}
		round->item_count++;
		item->cached = swm_cache_find(batch->workshop.cache, item->node.key);
		item->first = inbound;
	} else {
		item->last->next = inbound;
	}
	item->last = inbound;
	item->event_count++;
	inbound->next = NULL;
	return true;
}

static bool take_arrays(struct round *round)
{
	size_t count = round->batch->count;
	struct swm_arena *arena = &round->batch->round;
	round->items = swm_arena_take(arena, count * sizeof(*round->items));
	round->loads = swm_arena_take(arena, count * sizeof(*round->loads));
	round->commits = swm_arena_take(arena, count * sizeof(*round->commits));
	round->committing = swm_arena_take(arena, count * sizeof(struct swm_item *));
	return round->items && round->loads && round->commits && round->committing;
}

static bool prepare_load(
	struct round *round, const struct swm_item *item, struct swm_load *load)
{
	struct swm_arena *arena = &round->batch->round;
	struct swm_str *ids = swm_arena_take(arena, item->event_count * sizeof(*ids));
	uint8_t *seen = swm_arena_take(arena, item->event_count);
	if (!ids || !seen) {
		return false;
	}
	size_t count = 0;
	for (const struct swm_inbound *at = item->first; at; at = at->next) {
		ids[count] = swm_id_str(&at->key);
		seen[count] = 0;
		count++;
	}
	*load = (struct swm_load){
		.id = item->node.key,
		.event_ids = ids,
		.seen = seen,
		.event_count = count,
		.have_version = item->cached ? item->cached->version : 0,
	};
	return true;
}

/* Computes all items over what the store has. */
static swm_status apply_items(struct round *round, struct swm_error *err)
{
	const struct swm_workshop *workshop = &round->batch->workshop;
	const struct swm_link *link = workshop->link;
	struct swm_set backing = {0};
	for (size_t i = 0; i < round->item_count; i++) {
		if (!prepare_load(round, &round->items[i], &round->loads[i])) {
			return no_memory(err);
		}
	}
	swm_status status =
		link->ops->load(link->session, round->loads, round->item_count, &backing, err);
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i < round->item_count && status == SWM_OK; i++) {
		struct swm_item *item = &round->items[i];
		status = swm_item_apply(workshop, item, &round->loads[i], err);
		if (status == SWM_OK && item->trouble != SWM_OK) {
			round->trouble = item->trouble;
		}
		if (status == SWM_OK && item->record_count > 0) {
			round->committing[round->commit_count] = item;
			status = swm_item_commit(
					 workshop, item, &round->commits[round->commit_count])
					 ? SWM_OK
					 : no_memory(err);
			round->commit_count++;
		}
	}
	if (backing.release) {
		backing.release(&backing);
	}
	return status;
}

/* What is computed and not committed is no state of anything. */
static void forget_changes(struct round *round)
{
	for (size_t i = 0; i < round->item_count; i++) {
		if (round->items[i].changed) {
			swm_item_forget(&round->batch->workshop, &round->items[i]);
		}
	}
}

/* Committing. */

static void conclude_committed(
	struct round *round, struct swm_item *item, const struct swm_commit *commit)
{
	struct swm_batch *batch = round->batch;
	for (struct swm_inbound *at = item->first; at; at = at->next) {
		if (at->state == SWM_INBOUND_OPEN &&
			(at->fate == SWM_FATE_RECORDED || at->fate == SWM_FATE_PASSED)) {
			at->state = SWM_INBOUND_DONE;
			round->passed += at->fate == SWM_FATE_PASSED;
		}
	}
	if (commit->next.status == SWM_STATUS_COMPLETED ||
		commit->next.status == SWM_STATUS_CANCELLED) {
		/* It hears little more: its place is of better use to another one. */
		swm_item_forget(&batch->workshop, item);
	} else {
		item->changed = false;
		swm_cache_committed(batch->workshop.cache, item->cached, commit->next.version);
	}
	round->committed++;
	round->recorded += commit->event_count;
}

/* It will never fit. Several events are tried one by one; one alone is given up. */
static swm_status conclude_too_large(
	struct round *round, struct swm_item *item, struct swm_error *err)
{
	struct swm_inbound *only = NULL;
	size_t count = 0;
	for (struct swm_inbound *at = item->first; at; at = at->next) {
		if (at->state == SWM_INBOUND_OPEN && at->fate == SWM_FATE_RECORDED) {
			only = at;
			count++;
		}
		at->alone = true;
	}
	if (count != 1) {
		return SWM_OK;
	}
	return swm_inbound_give_up(only, &round->batch->lasting,
		SWM_STR("the instance would become too large for the store with it"), err);
}

/* Reads the answers. *err is kept when an item is in doubt. */
static void conclude_commits(struct round *round, struct swm_error *err)
{
	for (size_t i = 0; i < round->commit_count; i++) {
		struct swm_item *item = round->committing[i];
		const struct swm_commit *commit = &round->commits[i];
		switch (commit->result) {
		case SWM_OK:
			conclude_committed(round, item, commit);
			break;
		case SWM_E_TOO_LARGE:
			if (conclude_too_large(round, item, err) != SWM_OK) {
				round->trouble = SWM_E_NOMEM;
			}
			break;
		case SWM_E_INDOUBT:
			round->trouble = SWM_E_INDOUBT;
			round->doubtful++;
			break;
		default:
			if (round->trouble == SWM_OK) {
				round->trouble = SWM_E_CONFLICT;
			}
			round->conflicts++;
			break;
		}
	}
	forget_changes(round);
}

/* Events of items that have nothing to record are done as they are. */
static void conclude_passed(struct round *round)
{
	for (size_t i = 0; i < round->item_count; i++) {
		struct swm_item *item = &round->items[i];
		if (item->record_count > 0) {
			continue;
		}
		item->changed = false;
		for (struct swm_inbound *at = item->first; at; at = at->next) {
			if (at->state == SWM_INBOUND_OPEN && at->fate == SWM_FATE_PASSED) {
				at->state = SWM_INBOUND_DONE;
				round->passed++;
			}
		}
	}
}

static swm_status commit_items(struct round *round, struct swm_error *err)
{
	const struct swm_workshop *workshop = &round->batch->workshop;
	struct swm_link *link = workshop->link;
	struct swm_marks *marks = round->batch->marks;
	if (round->commit_count == 0) {
		return SWM_OK;
	}
	swm_env_count(workshop->shared->env, "commit_calls", 1);
	swm_status status = link->ops->commit(link->session, swm_link_owner(link),
		workshop->shared->config->lease_ms, round->commits, round->commit_count,
		marks->items, marks->count, err);
	switch (status) {
	case SWM_OK:
	case SWM_E_CONFLICT:
	case SWM_E_TOO_LARGE:
		swm_marks_clear(marks);
		conclude_commits(round, err);
		return SWM_OK;
	case SWM_E_INDOUBT:
		/* The marks may not have been settled: they go along once more. */
		conclude_commits(round, err);
		return SWM_OK;
	default:
		return status;
	}
}

/* Publishing. */

/* Sends the fresh rows of what was committed just now, which are leased to us, and has
 * the dispatcher wait no longer than until the first of the delayed ones is due. */
static swm_status publish_fresh(struct round *round, int64_t leased_ms, struct swm_error *err)
{
	struct swm_batch *batch = round->batch;
	size_t total = 0;
	for (size_t i = 0; i < round->commit_count; i++) {
		total += round->commits[i].outbox_count;
	}
	const struct swm_outbox_row **rows =
		swm_arena_take(&batch->round, total * sizeof(struct swm_outbox_row *));
	if (!rows) {
		return SWM_OK; /* the dispatcher will find them */
	}
	int64_t soonest_ms = -1;
	size_t count = 0;
	for (size_t i = 0; i < round->commit_count; i++) {
		const struct swm_commit *commit = &round->commits[i];
		if (commit->result != SWM_OK) {
			continue;
		}
		for (size_t j = 0; j < commit->outbox_count; j++) {
			const struct swm_outbox_row *row = &commit->outbox[j];
			if (row->delay_ms == 0) {
				rows[count] = row;
				count++;
			} else if (soonest_ms < 0 || row->delay_ms < soonest_ms) {
				soonest_ms = row->delay_ms;
			}
		}
	}
	if (soonest_ms >= 0) {
		swm_dispatcher_wake(batch->workshop.shared->dispatcher, soonest_ms);
	}
	return swm_sender_send(
		batch->sender, batch->workshop.link, rows, count, leased_ms, batch->marks, err);
}

static swm_status run_round(struct round *round, struct swm_error *err)
{
	struct swm_batch *batch = round->batch;
	swm_duty_perform(&batch->sender->duty);
	swm_status status = read_events(batch, err);
	if (status != SWM_OK) {
		return status;
	}
	if (!take_arrays(round)) {
		return no_memory(err);
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct swm_inbound *inbound = &batch->events[i];
		inbound->fate = SWM_FATE_NONE;
		if (inbound->state == SWM_INBOUND_OPEN && !inbound->first &&
			!group_event(round, inbound)) {
			return no_memory(err);
		}
	}
	if (round->item_count > 0) {
		status = apply_items(round, err);
	}
	swm_duty_perform(&batch->sender->duty);
	if (status == SWM_OK) {
		status = swm_aside_put(&batch->workshop, batch->events, batch->count, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	conclude_passed(round);
	swm_duty_perform(&batch->sender->duty);
	int64_t leased_ms = swm_env_monotonic_ms(batch->workshop.shared->env);
	status = commit_items(round, err);
	swm_duty_perform(&batch->sender->duty);
	return status == SWM_OK ? publish_fresh(round, leased_ms, err) : status;
}

static void count_round(const struct round *round)
{
	const struct swm_env *env = round->batch->workshop.shared->env;
	swm_env_count(env, "commits", round->committed);
	swm_env_count(env, "events_recorded", round->recorded);
	swm_env_count(env, "events_unrecorded", round->passed);
	swm_env_count(env, "commit_conflicts", round->conflicts);
	swm_env_count(env, "commits_in_doubt", round->doubtful);
}

swm_status swm_batch_round(struct swm_batch *batch, struct swm_error *err)
{
	struct round round = {.batch = batch, .trouble = SWM_OK};
	swm_arena_reset(&batch->round);
	swm_table_clear(&batch->items);
	batch->workshop.at_ms = swm_env_wall_ms(batch->workshop.shared->env);
	swm_status status = run_round(&round, err);
	count_round(&round);
	if (status != SWM_OK) {
		forget_changes(&round);
	}
	return status == SWM_OK ? round.trouble : status;
}

/* Settling. */

size_t swm_batch_collect(struct swm_batch *batch)
{
	size_t count = 0;
	for (size_t i = 0; i < batch->count; i++) {
		struct swm_inbound *inbound = &batch->events[i];
		if (inbound->state == SWM_INBOUND_OPEN && inbound->first &&
			inbound->first->state >= SWM_INBOUND_DONE) {
			inbound->state = SWM_INBOUND_DONE;
			swm_env_count(batch->workshop.shared->env, "events_seen", 1);
		}
		if (inbound->state == SWM_INBOUND_DONE) {
			batch->settlements[count] = (struct swm_settlement){
				.token = inbound->delivery->token,
				.action = SWM_ACK,
			};
			count++;
		}
	}
	return count;
}

void swm_batch_settled(struct swm_batch *batch)
{
	size_t count = 0;
	for (size_t i = 0; i < batch->count; i++) {
		struct swm_inbound *inbound = &batch->events[i];
		if (inbound->state == SWM_INBOUND_DONE) {
			inbound->state = SWM_INBOUND_SETTLED;
			count++;
		}
	}
	swm_env_count(batch->workshop.shared->env, "deliveries_acked", count);
}
