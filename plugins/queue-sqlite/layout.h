/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_LAYOUT_H
#define QUEUE_SQLITE_LAYOUT_H

/*
 * How rows of different queues share one table of messages.
 *
 * A message's row id is its queue's id and, below, its number in that queue, from 1
 * without a gap. So the table itself is sorted by queue and by age, and needs no
 * index: "the oldest of this queue that nobody was given yet" is the row behind
 * `queue.taken`, and how many of these there are is a subtraction.
 */

#include <assert.h>
#include <stdint.h>

enum {
	/* 2^43 messages last 278 years at a thousand a second; 20 bits are left. */
	SWM_ROW_NUMBER_BITS = 43
};

#define SWM_ROW_NUMBER_MAX ((INT64_C(1) << SWM_ROW_NUMBER_BITS) - 1)
#define SWM_QUEUE_ID_MAX ((INT64_C(1) << (63 - SWM_ROW_NUMBER_BITS)) - 1)

/* The row of the message with this number. Both are in range: ids and numbers are
 * given out by us, and the schema checks them. */
static inline int64_t swm_row_id(int64_t queue_id, int64_t number)
{
	assert(queue_id > 0 && queue_id <= SWM_QUEUE_ID_MAX);
	assert(number >= 0 && number <= SWM_ROW_NUMBER_MAX);
	return queue_id << SWM_ROW_NUMBER_BITS | number;
}

/* The number that a row id holds. */
static inline int64_t swm_row_number(int64_t row)
{
	return row & SWM_ROW_NUMBER_MAX;
}

#endif
