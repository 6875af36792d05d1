/* SPDX-License-Identifier: MIT */

/* The ring; the idea is in confirms.h. */

#include "confirms.h"

#include <assert.h>

void swm_rmq_confirms_init(struct swm_rmq_confirms *confirms)
{
	confirms->first = 1;
	confirms->next = 1;
	confirms->mine = 0;
}

bool swm_rmq_confirms_full(const struct swm_rmq_confirms *confirms)
{
	return confirms->next - confirms->first == SWM_RMQ_CONFIRMS_MAX;
}

bool swm_rmq_confirms_empty(const struct swm_rmq_confirms *confirms)
{
	return confirms->next == confirms->first;
}

static struct swm_rmq_confirm *entry(struct swm_rmq_confirms *confirms, uint64_t tag)
{
	return &confirms->ring[tag % SWM_RMQ_CONFIRMS_MAX];
}

void swm_rmq_confirms_add(struct swm_rmq_confirms *confirms, size_t message)
{
	assert(!swm_rmq_confirms_full(confirms));
	*entry(confirms, confirms->next) = (struct swm_rmq_confirm){.message = message};
	confirms->next++;
	confirms->mine++;
}

struct swm_rmq_confirm *swm_rmq_confirms_find(struct swm_rmq_confirms *confirms, uint64_t tag)
{
	if (tag < confirms->first || tag >= confirms->next || entry(confirms, tag)->answered) {
		return NULL;
	}
	return entry(confirms, tag);
}

void swm_rmq_confirms_remove(struct swm_rmq_confirms *confirms, struct swm_rmq_confirm *one)
{
	if (one->message != SWM_RMQ_NO_MESSAGE) {
		confirms->mine--;
	}
	one->answered = true;
	while (confirms->first < confirms->next && entry(confirms, confirms->first)->answered) {
		confirms->first++;
	}
}

void swm_rmq_confirms_forget(struct swm_rmq_confirms *confirms)
{
	uint64_t tag;

	for (tag = confirms->first; tag < confirms->next; tag++) {
		entry(confirms, tag)->message = SWM_RMQ_NO_MESSAGE;
	}
	confirms->mine = 0;
}
