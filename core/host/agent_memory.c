/* SPDX-License-Identifier: MIT */

/* See agent_memory.h. */

#include "agent_memory.h"

#include <stdlib.h>
#include <string.h>

static void forget_oldest(struct swm_agent_memory *memory)
{
	struct swm_agent_remembered *oldest = &memory->items[memory->first];
	memory->bytes -= oldest->len;
	free(oldest->answer);
	*oldest = (struct swm_agent_remembered){0};
	memory->first = (memory->first + 1) % SWM_AGENT_REMEMBERED_MAX;
	memory->count--;
}

void swm_agent_memory_add(
	struct swm_agent_memory *memory, const struct swm_id *id, char *answer, size_t len)
{
	while (memory->count == SWM_AGENT_REMEMBERED_MAX ||
		(memory->count > 0 && memory->bytes + len > SWM_AGENT_REMEMBERED_BYTES_MAX)) {
		forget_oldest(memory);
	}
	size_t place = (memory->first + memory->count) % SWM_AGENT_REMEMBERED_MAX;
	struct swm_agent_remembered *newest = &memory->items[place];
	newest->id = *id;
	newest->answer = answer;
	newest->len = len;
	memory->count++;
	memory->bytes += len;
}

const struct swm_agent_remembered *swm_agent_memory_find(
	const struct swm_agent_memory *memory, const struct swm_id *id)
{
	for (size_t i = 0; i < memory->count; i++) {
		size_t place = (memory->first + i) % SWM_AGENT_REMEMBERED_MAX;
		if (strcmp(memory->items[place].id.hex, id->hex) == 0) {
			return &memory->items[place];
		}
	}
	return NULL;
}

void swm_agent_memory_finish(struct swm_agent_memory *memory)
{
	while (memory->count > 0) {
		forget_oldest(memory);
	}
}
