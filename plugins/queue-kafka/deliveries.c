/* SPDX-License-Identifier: MIT */

/* The slots and the rows; the idea is in deliveries.h. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "deliveries.h"

#include "status.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_FIRST 64

/* Serials of one consumer before they run into those of the next. */
#define SERIALS_EACH (UINT32_C(1) << 24)

struct swm_kafka_slot {
	struct swm_kafka_delivery *delivery; /* NULL: free */
	uint32_t serial;
	uint32_t free_next; /* index + 1 */
};

void swm_kafka_deliveries_init(struct swm_kafka_deliveries *deliveries, uint32_t number)
{
	*deliveries = (struct swm_kafka_deliveries){.serial = number * SERIALS_EACH};
}

swm_status swm_kafka_deliveries_reserve(
	struct swm_kafka_deliveries *deliveries, uint32_t count, struct swm_error *err)
{
	uint32_t wanted = deliveries->out + count;
	uint32_t size = deliveries->slot_count;
	struct swm_kafka_slot *slots;

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

		slots[i] = (struct swm_kafka_slot){.free_next = deliveries->free_first};
		deliveries->free_first = i + 1;
	}
	deliveries->slots = slots;
	return SWM_OK;
}

static uint64_t take_slot(
	struct swm_kafka_deliveries *deliveries, struct swm_kafka_delivery *delivery)
{
	uint32_t index = deliveries->free_first;
	struct swm_kafka_slot *slot;

	assert(index != 0);
	index--;
	slot = &deliveries->slots[index];
	deliveries->free_first = slot->free_next;
	deliveries->serial++;
	slot->delivery = delivery;
	slot->serial = deliveries->serial;
	deliveries->out++;
	delivery->state = SWM_KAFKA_OUT;
	delivery->view.token = (uint64_t)slot->serial << 32 | index;
	return delivery->view.token;
}

static struct swm_kafka_slot *find_slot(
	const struct swm_kafka_deliveries *deliveries, uint64_t token)
{
	uint32_t index = (uint32_t)(token & UINT32_MAX);
	struct swm_kafka_slot *slot;

	if (index >= deliveries->slot_count) {
		return NULL;
	}
	slot = &deliveries->slots[index];
	if (slot->delivery == NULL || slot->serial != (uint32_t)(token >> 32)) {
		return NULL;
	}
	return slot;
}

struct swm_kafka_delivery *swm_kafka_deliveries_find(
	const struct swm_kafka_deliveries *deliveries, uint64_t token)
{
	const struct swm_kafka_slot *slot = find_slot(deliveries, token);

	return slot == NULL ? NULL : slot->delivery;
}

static void free_slot(
	struct swm_kafka_deliveries *deliveries, const struct swm_kafka_delivery *delivery)
{
	struct swm_kafka_slot *slot = find_slot(deliveries, delivery->view.token);

	assert(slot != NULL);
	slot->delivery = NULL;
	slot->free_next = deliveries->free_first;
	deliveries->free_first = (uint32_t)(slot - deliveries->slots) + 1;
	deliveries->out--;
}

static void free_delivery(struct swm_kafka_delivery *delivery)
{
	free(delivery->content);
	free(delivery);
}

/* Rows. */

struct swm_kafka_partition *swm_kafka_partition_find(
	const struct swm_kafka_deliveries *deliveries, size_t source, int32_t number)
{
	struct swm_kafka_partition *partition = deliveries->partitions;

	while (partition != NULL &&
		(partition->source != source || partition->number != number)) {
		partition = partition->next;
	}
	return partition;
}

struct swm_kafka_partition *swm_kafka_partition_add(
	struct swm_kafka_deliveries *deliveries, size_t source, int32_t number)
{
	struct swm_kafka_partition *partition = calloc(1, sizeof(*partition));

	if (partition == NULL) {
		return NULL;
	}
	partition->source = source;
	partition->number = number;
	partition->received = -1;
	partition->finished = -1;
	partition->next = deliveries->partitions;
	deliveries->partitions = partition;
	return partition;
}

/* Takes those of a partition out of the list of what was given back. */
static void unlink_back(
	struct swm_kafka_deliveries *deliveries, const struct swm_kafka_partition *partition)
{
	struct swm_kafka_delivery *delivery = deliveries->back_first;

	deliveries->back_first = NULL;
	deliveries->back_last = NULL;
	while (delivery != NULL) {
		struct swm_kafka_delivery *next = delivery->back_next;

		delivery->back_next = NULL;
		if (delivery->partition != partition) {
			if (deliveries->back_last == NULL) {
				deliveries->back_first = delivery;
			} else {
				deliveries->back_last->back_next = delivery;
			}
			deliveries->back_last = delivery;
		}
		delivery = next;
	}
}

void swm_kafka_partition_restart(
	struct swm_kafka_deliveries *deliveries, struct swm_kafka_partition *partition)
{
	struct swm_kafka_delivery *delivery;

	unlink_back(deliveries, partition);
	while ((delivery = partition->first) != NULL) {
		partition->first = delivery->next;
		delivery->next = NULL;
		if (delivery->state == SWM_KAFKA_OUT) {
			delivery->partition = NULL; /* its slot has it */
		} else {
			free_delivery(delivery);
		}
	}
	partition->last = NULL;
	partition->count = 0;
	partition->received = -1;
	partition->finished = -1;
	partition->advanced = false;
}

void swm_kafka_partitions_drop(struct swm_kafka_deliveries *deliveries)
{
	struct swm_kafka_partition *partition;

	while ((partition = deliveries->partitions) != NULL) {
		swm_kafka_partition_restart(deliveries, partition);
		deliveries->partitions = partition->next;
		free(partition);
	}
}

void swm_kafka_deliveries_finish(struct swm_kafka_deliveries *deliveries)
{
	uint32_t i;

	swm_kafka_partitions_drop(deliveries);
	for (i = 0; i < deliveries->slot_count; i++) {
		if (deliveries->slots[i].delivery != NULL) {
			free_delivery(deliveries->slots[i].delivery);
		}
	}
	free(deliveries->slots);
	*deliveries = (struct swm_kafka_deliveries){0};
}

uint64_t swm_kafka_deliveries_add(struct swm_kafka_deliveries *deliveries,
	struct swm_kafka_partition *partition, struct swm_kafka_delivery *delivery)
{
	assert(delivery->offset >= partition->received);
	delivery->partition = partition;
	delivery->next = NULL;
	if (partition->last == NULL) {
		partition->first = delivery;
	} else {
		partition->last->next = delivery;
	}
	partition->last = delivery;
	partition->count++;
	partition->received = delivery->offset + 1;
	return take_slot(deliveries, delivery);
}

/* As far as the oldest are all done. */
static void advance(struct swm_kafka_partition *partition)
{
	struct swm_kafka_delivery *delivery;

	while ((delivery = partition->first) != NULL && delivery->state == SWM_KAFKA_DONE) {
		partition->finished = delivery->offset + 1;
		partition->advanced = true;
		partition->first = delivery->next;
		partition->count--;
		free_delivery(delivery);
	}
	if (partition->first == NULL) {
		partition->last = NULL;
	}
}

void swm_kafka_deliveries_finish_one(
	struct swm_kafka_deliveries *deliveries, struct swm_kafka_delivery *delivery)
{
	free_slot(deliveries, delivery);
	if (delivery->partition == NULL) {
		free_delivery(delivery);
		return;
	}
	delivery->state = SWM_KAFKA_DONE;
	free(delivery->content);
	delivery->content = NULL;
	advance(delivery->partition);
}

void swm_kafka_deliveries_give_back(struct swm_kafka_deliveries *deliveries,
	struct swm_kafka_delivery *delivery, int64_t due_ms)
{
	free_slot(deliveries, delivery);
	if (delivery->partition == NULL) {
		free_delivery(delivery);
		return;
	}
	delivery->state = SWM_KAFKA_BACK;
	delivery->due_ms = due_ms;
	delivery->view.redelivered = 1;
	delivery->back_next = NULL;
	if (deliveries->back_last == NULL) {
		deliveries->back_first = delivery;
	} else {
		deliveries->back_last->back_next = delivery;
	}
	deliveries->back_last = delivery;
}

struct swm_kafka_delivery *swm_kafka_deliveries_take_back(
	struct swm_kafka_deliveries *deliveries, int64_t now_ms)
{
	struct swm_kafka_delivery *before = NULL;
	struct swm_kafka_delivery *delivery = deliveries->back_first;

	while (delivery != NULL && delivery->due_ms > now_ms) {
		before = delivery;
		delivery = delivery->back_next;
	}
	if (delivery == NULL) {
		return NULL;
	}
	if (before == NULL) {
		deliveries->back_first = delivery->back_next;
	} else {
		before->back_next = delivery->back_next;
	}
	if (deliveries->back_last == delivery) {
		deliveries->back_last = before;
	}
	delivery->back_next = NULL;
	(void)take_slot(deliveries, delivery);
	return delivery;
}

int64_t swm_kafka_deliveries_due_ms(const struct swm_kafka_deliveries *deliveries)
{
	const struct swm_kafka_delivery *delivery = deliveries->back_first;
	int64_t soonest_ms = INT64_MAX;

	for (; delivery != NULL; delivery = delivery->back_next) {
		if (delivery->due_ms < soonest_ms) {
			soonest_ms = delivery->due_ms;
		}
	}
	return soonest_ms;
}
