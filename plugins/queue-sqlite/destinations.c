/* SPDX-License-Identifier: MIT */

/* A sorted array: a publisher knows some dozens of queues, in bad cases thousands, and
 * looks one up per message. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "destinations.h"

#include <stdlib.h>
#include <string.h>

enum {
	ROOM_FIRST = 16
};

void swm_destinations_init(struct swm_destinations *destinations)
{
	*destinations = (struct swm_destinations){0};
}

void swm_destinations_clear(struct swm_destinations *destinations)
{
	size_t i;

	for (i = 0; i < destinations->count; i++) {
		free(destinations->items[i]);
	}
	destinations->count = 0;
	destinations->touched = NULL;
}

void swm_destinations_finish(struct swm_destinations *destinations)
{
	swm_destinations_clear(destinations);
	free(destinations->items);
	swm_destinations_init(destinations);
}

static int compare(const struct swm_destination *item, struct swm_str name)
{
	size_t common = item->name_len < name.len ? item->name_len : name.len;
	int order = memcmp(item->name, name.ptr, common);

	if (order != 0) {
		return order;
	}
	return (item->name_len > name.len) - (item->name_len < name.len);
}

/* Where the name is, or where it would have to be inserted. */
static size_t find_place(const struct swm_destinations *destinations, struct swm_str name)
{
	size_t low = 0;
	size_t high = destinations->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(destinations->items[middle], name) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct swm_destination *swm_destinations_find(
	const struct swm_destinations *destinations, struct swm_str name)
{
	size_t place = find_place(destinations, name);

	if (place == destinations->count || compare(destinations->items[place], name) != 0) {
		return NULL;
	}
	return destinations->items[place];
}

struct swm_destination *swm_destinations_add(
	struct swm_destinations *destinations, struct swm_str name, int64_t queue_id)
{
	size_t place = find_place(destinations, name);
	struct swm_destination *item;

	if (destinations->count == destinations->room) {
		size_t room = destinations->room == 0 ? ROOM_FIRST : destinations->room * 2;
		struct swm_destination **items = reallocarray(
			destinations->items, room, sizeof(struct swm_destination *));

		if (items == NULL) {
			return NULL;
		}
		destinations->items = items;
		destinations->room = room;
	}
	item = malloc(sizeof(*item) + name.len);
	if (item == NULL) {
		return NULL;
	}
	*item = (struct swm_destination){.queue_id = queue_id, .name_len = name.len};
	memcpy(item->name, name.ptr, name.len);
	memmove(&destinations->items[place + 1], &destinations->items[place],
		(destinations->count - place) * sizeof(struct swm_destination *));
	destinations->items[place] = item;
	destinations->count++;
	return item;
}

void swm_destinations_touch(
	struct swm_destinations *destinations, struct swm_destination *destination)
{
	if (!destination->touched) {
		destination->touched = true;
		destination->next_touched = destinations->touched;
		destinations->touched = destination;
	}
}

void swm_destinations_settle(struct swm_destinations *destinations)
{
	struct swm_destination *item;

	while ((item = destinations->touched) != NULL) {
		destinations->touched = item->next_touched;
		item->touched = false;
		item->next_touched = NULL;
	}
}
