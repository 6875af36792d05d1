/* SPDX-License-Identifier: MIT */

/* The slots and the list; the idea is in deliveries.h. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "deliveries.h"

#include "status.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_FIRST 64

/* Serials of one consumer before they run into those of the next. */
#define SERIALS_EACH (UINT32_C(1) << 24)

struct swm_rmq_slot {
	struct swm_rmq_delivery *delivery; /* NULL: free */
	uint32_t serial;
	uint32_t free_next; /* index + 1 */
};

void swm_rmq_deliveries_init(struct swm_rmq_deliveries *deliveries, uint32_t number)
{
	*deliveries = (struct swm_rmq_deliveries){.serial = number * SERIALS_EACH};
}

void swm_rmq_deliveries_finish(struct swm_rmq_deliveries *deliveries)
{
	struct swm_rmq_delivery *delivery;

	while ((delivery = deliveries->first) != NULL) {
		deliveries->first = delivery->next;
		free(delivery);
	}
	free(deliveries->slots);
	*deliveries = (struct swm_rmq_deliveries){0};
}

swm_status swm_rmq_deliveries_reserve(
	struct swm_rmq_deliveries *deliveries, uint32_t count, struct swm_error *err)
{
	uint32_t wanted = deliveries->out + count;
	uint32_t size = deliveries->slot_count;
	struct swm_rmq_slot *slots;

	if (wanted < count) {
		return swm_fail(err, SWM_E_NOMEM, 0, "too many deliveries are out");
	}
	if (wanted <= size) {
		return SWM_OK;
	}
	size = size > UINT32_MAX / 2 ? wanted : size * 2;
	size = size < SLOTS_FIRST ? SLOTS_FIRST : size;
	size = size < wanted ? wanted : size;
	slots = reallocarray(deliveries->slots, size, sizeof(*slots));
	if (slots == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	while (size > deliveries->slot_count) {
		uint32_t i = deliveries->slot_count++;

		slots[i] = (struct swm_rmq_slot){.free_next = deliveries->free_first};
		deliveries->free_first = i + 1;
	}
	deliveries->slots = slots;
	return SWM_OK;
}

uint64_t swm_rmq_deliveries_add(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery)
{
	uint32_t index = deliveries->free_first;
	struct swm_rmq_slot *slot;

	assert(index != 0);
	assert(deliveries->last == NULL || deliveries->last->tag < delivery->tag);
	index--;
	slot = &deliveries->slots[index];
	deliveries->free_first = slot->free_next;
	deliveries->serial++;
	slot->delivery = delivery;
	slot->serial = deliveries->serial;
	delivery->previous = deliveries->last;
	delivery->next = NULL;
	if (deliveries->last == NULL) {
		deliveries->first = delivery;
	} else {
		deliveries->last->next = delivery;
	}
	deliveries->last = delivery;
	deliveries->out++;
	delivery->view.token = (uint64_t)slot->serial << 32 | index;
	return delivery->view.token;
}

static struct swm_rmq_slot *find_slot(
	const struct swm_rmq_deliveries *deliveries, uint64_t token)
{
	uint32_t index = (uint32_t)(token & UINT32_MAX);
	struct swm_rmq_slot *slot;

	if (index >= deliveries->slot_count) {
		return NULL;
	}
	slot = &deliveries->slots[index];
	if (slot->delivery == NULL || slot->serial != (uint32_t)(token >> 32)) {
		return NULL;
	}
	return slot;
}

struct swm_rmq_delivery *swm_rmq_deliveries_find(
	const struct swm_rmq_deliveries *deliveries, uint64_t token)
{
	const struct swm_rmq_slot *slot = find_slot(deliveries, token);

	return slot == NULL ? NULL : slot->delivery;
}

static void free_slot(struct swm_rmq_deliveries *deliveries, struct swm_rmq_slot *slot)
{
	slot->delivery = NULL;
	slot->free_next = deliveries->free_first;
	deliveries->free_first = (uint32_t)(slot - deliveries->slots) + 1;
	deliveries->out--;
}

void swm_rmq_deliveries_hold(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery)
{
	struct swm_rmq_slot *slot = find_slot(deliveries, delivery->view.token);

	assert(slot != NULL);
	free_slot(deliveries, slot);
	deliveries->held++;
}

void swm_rmq_deliveries_remove(
	struct swm_rmq_deliveries *deliveries, struct swm_rmq_delivery *delivery)
{
	struct swm_rmq_slot *slot = find_slot(deliveries, delivery->view.token);

	if (slot != NULL) {
		free_slot(deliveries, slot);
	} else {
		deliveries->held--;
	}
	if (delivery->previous == NULL) {
		deliveries->first = delivery->next;
	} else {
		delivery->previous->next = delivery->next;
	}
	if (delivery->next == NULL) {
		deliveries->last = delivery->previous;
	} else {
		delivery->next->previous = delivery->previous;
	}
	free(delivery);
}
