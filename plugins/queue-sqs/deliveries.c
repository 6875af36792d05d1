/* SPDX-License-Identifier: MIT */

/* See deliveries.h. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "deliveries.h"

#include "status.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64

/* Serials of one consumer before they run into those of the next. */
#define SERIALS_EACH (UINT32_C(1) << 24)

void swm_sqs_deliveries_init(struct swm_sqs_deliveries *deliveries, uint32_t number)
{
	*deliveries = (struct swm_sqs_deliveries){.serial = number * SERIALS_EACH};
}

static void destroy(struct swm_sqs_delivery *delivery)
{
	if (--delivery->answer->references == 0) {
		free(delivery->answer->memory);
		free(delivery->answer);
	}
	free(delivery);
}

void swm_sqs_deliveries_finish(struct swm_sqs_deliveries *deliveries)
{
	uint32_t i;

	for (i = 0; i < deliveries->slot_count; i++) {
		if (deliveries->slots[i].delivery != NULL) {
			destroy(deliveries->slots[i].delivery);
		}
	}
	free(deliveries->slots);
	*deliveries = (struct swm_sqs_deliveries){0};
}

static bool make_room(struct swm_sqs_deliveries *deliveries)
{
	uint32_t count = deliveries->slot_count == 0 ? SLOTS_FIRST : deliveries->slot_count * 2;
	struct swm_sqs_slot *slots;

	if (deliveries->free_first != 0) {
		return true;
	}
	if (count <= deliveries->slot_count) {
		return false;
	}
	slots = reallocarray(deliveries->slots, count, sizeof(*slots));
	if (slots == NULL) {
		return false;
	}
	while (deliveries->slot_count < count) {
		uint32_t i = deliveries->slot_count++;

		slots[i] = (struct swm_sqs_slot){.next = deliveries->free_first};
		deliveries->free_first = i + 1;
	}
	deliveries->slots = slots;
	return true;
}

static struct swm_sqs_delivery *create(
	const struct swm_sqs_received *received, struct swm_sqs_answer *answer)
{
	struct swm_sqs_delivery *delivery =
		malloc(sizeof(*delivery) + received->header_count * sizeof(struct swm_header));
	struct swm_header *headers;

	if (delivery == NULL) {
		return NULL;
	}
	_Static_assert(
		alignof(struct swm_header) <= alignof(struct swm_sqs_delivery), "packed");
	headers = (struct swm_header *)(delivery + 1);
	*delivery = (struct swm_sqs_delivery){
		.view = {.id = received->id,
			.key = received->key,
			.body = received->body,
			.headers = headers,
			.header_count = received->header_count,
			.attempt = received->attempt,
			.redelivered = received->attempt > 1 ? 1 : 0},
		.answer = answer,
		.receipt = received->receipt,
	};
	memcpy(headers, received->headers, received->header_count * sizeof(*headers));
	answer->references++;
	return delivery;
}

swm_status swm_sqs_deliveries_add(struct swm_sqs_deliveries *deliveries,
	const struct swm_sqs_received *received, struct swm_sqs_answer *answer, size_t source,
	int64_t lease_end_ms, struct swm_error *err)
{
	struct swm_sqs_delivery *delivery =
		make_room(deliveries) ? create(received, answer) : NULL;
	uint32_t index;

	if (delivery == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	delivery->source = source;
	delivery->lease_end_ms = lease_end_ms;
	index = deliveries->free_first;
	deliveries->free_first = deliveries->slots[index - 1].next;
	deliveries->slots[index - 1] =
		(struct swm_sqs_slot){.delivery = delivery, .serial = ++deliveries->serial};
	delivery->view.token = (uint64_t)deliveries->serial << 32 | (index - 1);
	if (deliveries->inbox_last == 0) {
		deliveries->inbox_first = index;
	} else {
		deliveries->slots[deliveries->inbox_last - 1].next = index;
	}
	deliveries->inbox_last = index;
	deliveries->inbox_count++;
	return SWM_OK;
}

struct swm_sqs_delivery *swm_sqs_deliveries_hand_out(struct swm_sqs_deliveries *deliveries)
{
	struct swm_sqs_slot *slot;

	assert(deliveries->inbox_first != 0);
	slot = &deliveries->slots[deliveries->inbox_first - 1];
	deliveries->inbox_first = slot->next;
	if (slot->next == 0) {
		deliveries->inbox_last = 0;
	}
	slot->next = 0;
	deliveries->inbox_count--;
	deliveries->out++;
	slot->delivery->out = true;
	return slot->delivery;
}

struct swm_sqs_delivery *swm_sqs_deliveries_find(
	const struct swm_sqs_deliveries *deliveries, uint64_t token)
{
	uint32_t index = (uint32_t)(token & UINT32_MAX);
	const struct swm_sqs_slot *slot;

	if (index >= deliveries->slot_count) {
		return NULL;
	}
	slot = &deliveries->slots[index];
	if (slot->delivery == NULL || slot->serial != (uint32_t)(token >> 32) ||
		!slot->delivery->out) {
		return NULL;
	}
	return slot->delivery;
}

struct swm_sqs_delivery *swm_sqs_deliveries_next(
	const struct swm_sqs_deliveries *deliveries, uint32_t *position)
{
	while (*position < deliveries->slot_count) {
		struct swm_sqs_delivery *delivery = deliveries->slots[(*position)++].delivery;

		if (delivery != NULL) {
			return delivery;
		}
	}
	return NULL;
}

static void free_slot(struct swm_sqs_deliveries *deliveries, uint32_t index)
{
	destroy(deliveries->slots[index].delivery);
	deliveries->slots[index] = (struct swm_sqs_slot){.next = deliveries->free_first};
	deliveries->free_first = index + 1;
}

void swm_sqs_deliveries_remove(
	struct swm_sqs_deliveries *deliveries, struct swm_sqs_delivery *delivery)
{
	assert(delivery->out);
	deliveries->out--;
	free_slot(deliveries, (uint32_t)(delivery->view.token & UINT32_MAX));
}

void swm_sqs_deliveries_drop_lost(struct swm_sqs_deliveries *deliveries)
{
	uint32_t index = deliveries->inbox_first;

	deliveries->inbox_first = 0;
	deliveries->inbox_last = 0;
	deliveries->inbox_count = 0;
	while (index != 0) {
		struct swm_sqs_slot *slot = &deliveries->slots[index - 1];
		uint32_t next = slot->next;

		if (slot->delivery->lost) {
			free_slot(deliveries, index - 1);
		} else {
			slot->next = 0;
			if (deliveries->inbox_last == 0) {
				deliveries->inbox_first = index;
			} else {
				deliveries->slots[deliveries->inbox_last - 1].next = index;
			}
			deliveries->inbox_last = index;
			deliveries->inbox_count++;
		}
		index = next;
	}
}
