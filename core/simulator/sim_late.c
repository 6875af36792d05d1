/* SPDX-License-Identifier: MIT */

/*
 * Commits that come late: the client has lost its connection and asks again, and the server
 * is still at what it was told before. The compare-and-set is all that keeps the two apart.
 */

#include "store_parts.h"

#include "copy.h"

#include <stdlib.h>
#include <string.h>

static const int64_t late_ms[] = {5, 80, 700, 4000};

struct sim_late {
	struct sim_late *next;
	struct sim_host *host;
	struct swm_commit item; /* all that it points to is copied */
	struct swm_event_row *events;
	struct swm_outbox_row *outbox;
	struct swm_str *cancel;
	char *owner;
	size_t owner_len;
	int64_t lease_ms;
	char **blocks;
	size_t block_count;
};

static void free_late(struct sim_late *late)
{
	for (size_t i = 0; i < late->block_count; i++) {
		free(late->blocks[i]);
	}
	free(late->blocks);
	free(late->events);
	free(late->outbox);
	free(late->cancel);
	free(late->owner);
	free(late);
}

static void keep(struct sim_late *late, char *block)
{
	late->blocks[late->block_count] = block;
	late->block_count++;
}

static struct sim_late *copy(const struct swm_commit *item, struct swm_str owner)
{
	struct sim_late *late = sim_must_alloc(sizeof(*late));
	size_t blocks = 1 + item->event_count + item->outbox_count + item->cancel_count;
	late->item = *item;
	late->blocks = sim_must_alloc(blocks * sizeof(char *));
	late->events = sim_must_alloc(item->event_count * sizeof(*late->events));
	late->outbox = sim_must_alloc(item->outbox_count * sizeof(*late->outbox));
	late->cancel = sim_must_alloc(item->cancel_count * sizeof(*late->cancel));
	late->owner = sim_must_copy(owner);
	late->owner_len = owner.len;
	keep(late, sim_copy_instance(&late->item.next));
	for (size_t i = 0; i < item->event_count; i++) {
		late->events[i] = item->events[i];
		keep(late, sim_copy_event(&late->events[i]));
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		late->outbox[i] = item->outbox[i];
		keep(late, sim_copy_outbox(&late->outbox[i]));
	}
	for (size_t i = 0; i < item->cancel_count; i++) {
		char *text = sim_must_copy(item->cancel[i]);
		late->cancel[i] = (struct swm_str){text, item->cancel[i].len};
		keep(late, text);
	}
	late->item.events = late->events;
	late->item.outbox = late->outbox;
	late->item.cancel = late->cancel;
	return late;
}

/* False: it has been forgotten. */
static bool take_out(struct sim_store *store, const struct sim_late *late)
{
	struct sim_late **at = &store->late;
	while (*at && *at != late) {
		at = &(*at)->next;
	}
	if (!*at) {
		return false;
	}
	*at = late->next;
	return true;
}

static void come(struct sim_world *world, void *arg)
{
	struct sim_late *late = arg;
	if (!take_out(world->store, late)) {
		return;
	}
	const struct sim_instance *instance =
		sim_store_instance_of(world->store, late->item.next.id);
	int64_t version = instance ? instance->row.version : 0;
	if (version == late->item.expected_version) {
		SIM_TRACE(world, "a commit of orchestrator %u comes late", late->host->index);
		sim_store_carry_out(late->host, &late->item,
			(struct swm_str){late->owner, late->owner_len}, late->lease_ms);
	}
	free_late(late);
}

void sim_store_delay(struct sim_host *host, const struct swm_commit *item, struct swm_str owner,
	int64_t lease_ms)
{
	struct sim_world *world = host->world;
	struct sim_late *late = copy(item, owner);
	int64_t ms = sim_world_pick_ms(world, "late-ms", late_ms, SIM_COUNT(late_ms));
	SIM_TRACE(world, "it may be applied in %lld ms", (long long)ms);
	late->host = host;
	late->lease_ms = lease_ms;
	late->next = world->store->late;
	world->store->late = late;
	sim_world_plan(world, world->now_us + ms * 1000, come, late);
}

void sim_store_forget_late(struct sim_store *store)
{
	while (store->late) {
		struct sim_late *next = store->late->next;
		free_late(store->late);
		store->late = next;
	}
}
