/* SPDX-License-Identifier: MIT */

/* The slot table and the batches; the idea is in deliveries.h. */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "deliveries.h"

#include "status.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

enum {
	SLOTS_FIRST = 64,
	/* A block holds a receive of small messages whole; a larger one makes more. */
	BLOCK_BYTES = 32 * 1024
};

struct swm_slot {
	struct swm_lease lease;
	struct swm_batch *batch; /* NULL: free */
	uint32_t serial;
	uint32_t free_next; /* index + 1 */
};

struct block {
	struct block *next;
	size_t size; /* of `bytes` */
	size_t used;
	alignas(max_align_t) unsigned char bytes[];
};

struct swm_batch {
	struct block *blocks; /* the one being filled first */
	uint32_t out;
};

void swm_deliveries_init(struct swm_deliveries *deliveries)
{
	*deliveries = (struct swm_deliveries){0};
}

static void free_batch(struct swm_batch *batch)
{
	struct block *block;

	if (batch == NULL) {
		return;
	}
	while ((block = batch->blocks) != NULL) {
		batch->blocks = block->next;
		free(block);
	}
	free(batch);
}

void swm_batch_discard(struct swm_deliveries *deliveries, struct swm_batch *batch)
{
	struct block *block;

	if (batch == NULL) {
		return;
	}
	/* Keep one batch with one block of the usual size; the rest is for malloc. */
	if (deliveries->spare != NULL) {
		free_batch(batch);
		return;
	}
	while ((block = batch->blocks) != NULL &&
		(block->next != NULL || block->size != BLOCK_BYTES)) {
		batch->blocks = block->next;
		free(block);
	}
	if (block != NULL) {
		block->used = 0;
	}
	deliveries->spare = batch;
}

void swm_deliveries_finish(struct swm_deliveries *deliveries)
{
	uint32_t i;

	for (i = 0; i < deliveries->slot_count; i++) {
		struct swm_batch *batch = deliveries->slots[i].batch;

		if (batch != NULL && --batch->out == 0) {
			free_batch(batch);
		}
	}
	free_batch(deliveries->spare);
	free(deliveries->slots);
	swm_deliveries_init(deliveries);
}

swm_status swm_deliveries_reserve(
	struct swm_deliveries *deliveries, uint32_t count, struct swm_error *err)
{
	uint32_t wanted = deliveries->out + count;
	uint32_t size = deliveries->slot_count;
	struct swm_slot *slots;

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

		slots[i] = (struct swm_slot){.free_next = deliveries->free_first};
		deliveries->free_first = i + 1;
	}
	deliveries->slots = slots;
	return SWM_OK;
}

struct swm_batch *swm_batch_create(struct swm_deliveries *deliveries)
{
	struct swm_batch *batch = deliveries->spare;

	if (batch != NULL) {
		deliveries->spare = NULL;
		return batch;
	}
	return calloc(1, sizeof(*batch));
}

void *swm_batch_alloc(struct swm_batch *batch, size_t size)
{
	struct block *block = batch->blocks;
	size_t room;
	void *at;

	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	if (block == NULL || block->size - block->used < size) {
		room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		block = malloc(sizeof(*block) + room);
		if (block == NULL) {
			return NULL;
		}
		block->size = room;
		block->used = 0;
		block->next = batch->blocks;
		batch->blocks = block;
	}
	at = block->bytes + block->used;
	block->used += size;
	return at;
}

uint64_t swm_deliveries_add(struct swm_deliveries *deliveries, struct swm_batch *batch,
	const struct swm_lease *lease)
{
	uint32_t index = deliveries->free_first;
	struct swm_slot *slot;

	assert(index != 0);
	index--;
	slot = &deliveries->slots[index];
	deliveries->free_first = slot->free_next;
	deliveries->serial++;
	slot->lease = *lease;
	slot->batch = batch;
	slot->serial = deliveries->serial;
	batch->out++;
	deliveries->out++;
	return (uint64_t)slot->serial << 32 | index;
}

static struct swm_slot *find_slot(struct swm_deliveries *deliveries, uint64_t token)
{
	uint32_t index = (uint32_t)(token & UINT32_MAX);
	struct swm_slot *slot;

	if (index >= deliveries->slot_count) {
		return NULL;
	}
	slot = &deliveries->slots[index];
	if (slot->batch == NULL || slot->serial != (uint32_t)(token >> 32)) {
		return NULL;
	}
	return slot;
}

struct swm_lease *swm_deliveries_find(struct swm_deliveries *deliveries, uint64_t token)
{
	struct swm_slot *slot = find_slot(deliveries, token);

	return slot == NULL ? NULL : &slot->lease;
}

void swm_deliveries_remove(struct swm_deliveries *deliveries, uint64_t token)
{
	struct swm_slot *slot = find_slot(deliveries, token);

	assert(slot != NULL);
	if (--slot->batch->out == 0) {
		swm_batch_discard(deliveries, slot->batch);
	}
	slot->batch = NULL;
	slot->free_next = deliveries->free_first;
	deliveries->free_first = (uint32_t)(token & UINT32_MAX) + 1;
	deliveries->out--;
}

struct swm_lease *swm_deliveries_next(struct swm_deliveries *deliveries, uint32_t *position)
{
	while (*position < deliveries->slot_count) {
		struct swm_slot *slot = &deliveries->slots[(*position)++];

		if (slot->batch != NULL) {
			return &slot->lease;
		}
	}
	return NULL;
}
