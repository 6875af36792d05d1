/* SPDX-License-Identifier: MIT */

/*
 * See sim_store.h. Tables are plain arrays, searched from one end to the other: a world is
 * small. sim_session.c has the calls of the port.
 */

#include "store_parts.h"

#include "copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct sim_store *sim_store_create(struct sim_world *world)
{
	struct sim_store *store = sim_must_alloc(sizeof(*store));
	store->world = world;
	return store;
}

void sim_store_destroy(struct sim_store *store)
{
	if (!store) {
		return;
	}
	sim_store_forget_late(store);
	for (size_t i = 0; i < store->instance_count; i++) {
		struct sim_instance *instance = store->instances[i];
		for (size_t j = 0; j < instance->event_count; j++) {
			free(instance->events[j].bytes);
		}
		free(instance->events);
		free(instance->bytes);
		free(instance);
	}
	for (size_t i = 0; i < store->row_count; i++) {
		free(store->rows[i]->bytes);
		free(store->rows[i]);
	}
	for (size_t i = 0; i < store->template_count; i++) {
		free(store->templates[i].bytes);
	}
	free(store->instances);
	free(store->rows);
	free(store->templates);
	free(store);
}

/* What the judge sees. */

size_t sim_store_instance_count(const struct sim_store *store)
{
	return store->instance_count;
}

const struct sim_instance *sim_store_instance(const struct sim_store *store, size_t index)
{
	return store->instances[index];
}

struct sim_instance *sim_store_instance_of(const struct sim_store *store, struct swm_str id)
{
	for (size_t i = 0; i < store->instance_count; i++) {
		if (sim_str_equal(store->instances[i]->row.id, id)) {
			return store->instances[i];
		}
	}
	return NULL;
}

const struct sim_instance *sim_store_find_instance(
	const struct sim_store *store, struct swm_str id)
{
	return sim_store_instance_of(store, id);
}

size_t sim_store_row_count(const struct sim_store *store)
{
	return store->row_count;
}

const struct sim_row *sim_store_row(const struct sim_store *store, size_t index)
{
	return store->rows[index];
}

size_t sim_store_row_index(const struct sim_store *store, struct swm_str id)
{
	size_t i = 0;
	while (i < store->row_count && !sim_str_equal(store->rows[i]->row.id, id)) {
		i++;
	}
	return i;
}

const struct sim_row *sim_store_find_row(const struct sim_store *store, struct swm_str id)
{
	size_t index = sim_store_row_index(store, id);
	return index < store->row_count ? store->rows[index] : NULL;
}

struct swm_str sim_store_template(const struct sim_store *store, struct swm_str id)
{
	for (size_t i = 0; i < store->template_count; i++) {
		if (sim_str_equal(store->templates[i].row.id, id)) {
			return store->templates[i].row.body;
		}
	}
	return (struct swm_str){0};
}

int64_t sim_store_now_ms(const struct sim_store *store)
{
	return sim_world_wall_ms(store->world) + store->clock_ms;
}

bool sim_store_owes(const struct sim_store *store)
{
	for (size_t i = 0; i < store->row_count; i++) {
		if (store->rows[i]->row.state == SWM_OUTBOX_PENDING) {
			return true;
		}
	}
	return false;
}

/* What the world does to it. */

void sim_store_put_template(struct sim_store *store, struct swm_str component, int64_t version,
	struct swm_str id, struct swm_str text)
{
	SIM_MUST_GROW(store->templates, store->template_cap, store->template_count + 1);
	struct sim_template *added = &store->templates[store->template_count];
	*added = (struct sim_template){
		.row =
			{
				.id = id,
				.workflow = component,
				.component = component,
				.body = text,
				.version = version,
				.created_ms = sim_store_now_ms(store),
			},
	};
	added->bytes = sim_copy_template(&added->row);
	store->template_count++;
}

void sim_store_jump(struct sim_store *store, int64_t ms)
{
	store->clock_ms += ms;
}

void sim_store_calm(struct sim_store *store)
{
	store->away_us = 0;
	store->full_us = 0;
	sim_store_forget_late(store);
}

/* Rows of the outbox. */

void sim_store_remove_row(struct sim_store *store, size_t index)
{
	free(store->rows[index]->bytes);
	free(store->rows[index]);
	store->row_count--;
	memmove(&store->rows[index], &store->rows[index + 1],
		(store->row_count - index) * sizeof(struct sim_row *));
}

void sim_store_add_row(struct sim_store *store, const struct swm_outbox_row *row,
	struct swm_str owner, int64_t lease_ms)
{
	int64_t now_ms = sim_store_now_ms(store);
	struct sim_row *added = sim_must_alloc(sizeof(*added));
	added->row = *row;
	added->bytes = sim_copy_outbox(&added->row);
	added->row.created_ms = now_ms;
	added->row.due_ms = now_ms + row->delay_ms;
	added->order = ++store->orders;
	if (row->delay_ms == 0 && row->state == SWM_OUTBOX_PENDING && owner.len > 0) {
		added->row.lease_until_ms = now_ms + lease_ms;
		memcpy(added->owner, owner.ptr, owner.len);
	}
	store->rows = sim_must_grow(
		store->rows, &store->row_cap, store->row_count + 1, sizeof(struct sim_row *));
	store->rows[store->row_count] = added;
	store->row_count++;
}

static bool holds_lease(
	const struct sim_store *store, const struct sim_row *row, struct swm_str owner)
{
	return sim_str_equal((struct swm_str){row->owner, strlen(row->owner)}, owner) &&
	       row->row.lease_until_ms > sim_store_now_ms(store);
}

static void set_reason(struct sim_row *row, struct swm_str reason)
{
	char *old = row->bytes;
	row->row.reason = reason;
	row->bytes = sim_copy_outbox(&row->row);
	free(old);
}

bool sim_store_mark(
	struct sim_store *store, const struct swm_outbox_mark *mark, struct swm_str owner)
{
	size_t index = sim_store_row_index(store, mark->id);
	if (index == store->row_count) {
		return false;
	}
	struct sim_row *row = store->rows[index];
	if (mark->action == SWM_MARK_SENT) {
		sim_store_remove_row(store, index);
		return true;
	}
	if (!holds_lease(store, row, owner)) {
		return false;
	}
	row->owner[0] = '\0';
	row->row.lease_until_ms = 0;
	set_reason(row, mark->reason);
	if (mark->action == SWM_MARK_RETRY) {
		row->row.due_ms = sim_store_now_ms(store) + mark->delay_ms;
	} else {
		row->row.state = SWM_OUTBOX_DEAD;
	}
	return true;
}

static bool is_claimable(const struct sim_row *row, int64_t now_ms)
{
	return row->row.state == SWM_OUTBOX_PENDING && row->row.due_ms <= now_ms &&
	       row->row.lease_until_ms <= now_ms;
}

struct sim_row *sim_store_claim(struct sim_store *store, struct swm_str owner, int64_t lease_ms)
{
	int64_t now_ms = sim_store_now_ms(store);
	struct sim_row *first = NULL;
	for (size_t i = 0; i < store->row_count; i++) {
		struct sim_row *at = store->rows[i];
		if (is_claimable(at, now_ms) &&
			(!first || at->row.due_ms < first->row.due_ms)) {
			first = at;
		}
	}
	if (first) {
		first->row.claims++;
		first->row.lease_until_ms = now_ms + lease_ms;
		memset(first->owner, 0, sizeof(first->owner));
		memcpy(first->owner, owner.ptr, owner.len);
	}
	return first;
}

int64_t sim_store_next_due_ms(const struct sim_store *store)
{
	int64_t now_ms = sim_store_now_ms(store);
	int64_t next_ms = -1;
	for (size_t i = 0; i < store->row_count; i++) {
		const struct swm_outbox_row *row = &store->rows[i]->row;
		if (row->state != SWM_OUTBOX_PENDING) {
			continue;
		}
		int64_t at_ms =
			row->due_ms > row->lease_until_ms ? row->due_ms : row->lease_until_ms;
		int64_t in_ms = at_ms > now_ms ? at_ms - now_ms : 0;
		next_ms = next_ms < 0 || in_ms < next_ms ? in_ms : next_ms;
	}
	return next_ms;
}

/* Instances. */

bool sim_store_has_event(const struct sim_instance *instance, struct swm_str id)
{
	for (size_t i = 0; i < instance->event_count; i++) {
		if (sim_str_equal(instance->events[i].row.id, id)) {
			return true;
		}
	}
	return false;
}

static struct sim_instance *add_instance(struct sim_store *store)
{
	struct sim_instance *instance = sim_must_alloc(sizeof(*instance));
	store->instances = sim_must_grow(store->instances, &store->instance_cap,
		store->instance_count + 1, sizeof(struct sim_instance *));
	store->instances[store->instance_count] = instance;
	store->instance_count++;
	return instance;
}

void sim_store_apply(struct sim_store *store, const struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms)
{
	struct sim_instance *instance = sim_store_instance_of(store, item->next.id);
	if (!instance) {
		instance = add_instance(store);
	}
	char *old = instance->bytes;
	instance->row = item->next;
	instance->bytes = sim_copy_instance(&instance->row);
	free(old);
	for (size_t i = 0; i < item->event_count; i++) {
		SIM_MUST_GROW(instance->events, instance->event_cap, instance->event_count + 1);
		struct sim_event *event = &instance->events[instance->event_count];
		instance->event_count++;
		event->row = item->events[i];
		event->bytes = sim_copy_event(&event->row);
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		sim_store_add_row(store, &item->outbox[i], owner, lease_ms);
	}
	for (size_t i = 0; i < item->cancel_count; i++) {
		size_t index = sim_store_row_index(store, item->cancel[i]);
		if (index < store->row_count) {
			sim_store_remove_row(store, index);
		}
	}
}

int64_t sim_store_version(const struct sim_store *store)
{
	return store->instance_count > 0 ? store->instances[0]->row.version : 0;
}

static int64_t left(int64_t until, int64_t now)
{
	return until > now ? until - now : 0;
}

/* Logs are asked whether an event stands in them, not where; versions count nothing but that
 * somebody was faster, which sim_recall_hash() knows. Which of two rows was owed first does
 * matter: so they are claimed. */
uint64_t sim_store_hash(const struct sim_store *store)
{
	int64_t now_us = store->world->now_us;
	int64_t now_ms = sim_store_now_ms(store);
	int64_t clocks[] = {
		store->clock_ms, left(store->away_us, now_us), left(store->full_us, now_us)};
	uint64_t hash = sim_hash(0, clocks, sizeof(clocks));
	for (size_t i = 0; i < store->instance_count; i++) {
		const struct sim_instance *at = store->instances[i];
		uint64_t events = 0;
		for (size_t j = 0; j < at->event_count; j++) {
			events += sim_hash_str(1, at->events[j].row.id);
		}
		hash = sim_hash_str(sim_hash_str(hash + events, at->row.id), at->row.body);
	}
	for (size_t i = 0; i < store->row_count; i++) {
		const struct sim_row *at = store->rows[i];
		int64_t numbers[] = {at->row.due_ms - now_ms,
			left(at->row.lease_until_ms, now_ms), at->row.claims, at->row.state};
		hash = sim_hash_str(sim_hash(hash, numbers, sizeof(numbers)), at->row.id);
	}
	return hash;
}
