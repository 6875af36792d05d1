/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_MEMORY_H
#define SWM_HOST_AGENT_MEMORY_H

/*
 * The answers that an agent has given last, by their ids: a StartTask that comes once more
 * after its answer is answered alike, and its command is not run again. Internal to agent.c.
 */

#include "hash.h"

/* Beyond either of these the oldest are forgotten. */
#define SWM_AGENT_REMEMBERED_MAX 1024
#define SWM_AGENT_REMEMBERED_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct swm_agent_remembered {
	struct swm_id id;
	char *answer; /* owned */
	size_t len;
};

/* All zero bits: nothing is remembered. */
struct swm_agent_memory {
	struct swm_agent_remembered items[SWM_AGENT_REMEMBERED_MAX]; /* a ring */
	size_t first;
	size_t count;
	size_t bytes;
};

/* Takes the answer over, which is from malloc. The id must not be there already. */
void swm_agent_memory_add(
	struct swm_agent_memory *memory, const struct swm_id *id, char *answer, size_t len);

/* NULL: it is not remembered. Valid until the next add. */
const struct swm_agent_remembered *swm_agent_memory_find(
	const struct swm_agent_memory *memory, const struct swm_id *id);

void swm_agent_memory_finish(struct swm_agent_memory *memory);

#endif
