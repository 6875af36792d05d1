/* SPDX-License-Identifier: MIT */

/*
 * Settling: deletions and changes of visibility, of which SQS is told ten at a time.
 *
 * A delivery whose lease is over is not settled any more: SQS may have given it to somebody
 * else, whose it is now. Whoever asks is told CONFLICT.
 *
 * If time runs out half way, what SQS has been told is remembered, and the caller may
 * settle all of it again.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "status.h"

#include <assert.h>
#include <stdlib.h>

/* Nothing is settled if one of the items cannot be right. */
static swm_status check_items(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	size_t i;

	if (++consumer->settlement == 0) {
		consumer->settlement = 1; /* 0 is that of a delivery no call has met */
	}
	for (i = 0; i < count; i++) {
		struct swm_sqs_delivery *delivery =
			swm_sqs_deliveries_find(&consumer->deliveries, items[i].token);

		if (delivery == NULL) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"item %zu: not a delivery that is out on this consumer", i);
		}
		if (delivery->settlement == consumer->settlement) {
			return swm_fail(
				err, SWM_E_INVALID, 0, "item %zu: settled twice in a call", i);
		}
		delivery->settlement = consumer->settlement;
		if (items[i].action < SWM_ACK || items[i].action > SWM_EXTEND) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: no such action: %u",
				i, items[i].action);
		}
		if (items[i].action != SWM_ACK && items[i].delay_ms < 0) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: a negative delay", i);
		}
	}
	return SWM_OK;
}

static int64_t seconds_of(const struct swm_settlement *item)
{
	int64_t seconds = swm_sqs_seconds(item->delay_ms);

	if (item->action == SWM_ACK) {
		return -1;
	}
	/* A lease of nothing would give the message away. */
	return item->action == SWM_EXTEND && seconds == 0 ? 1 : seconds;
}

/* The words that SQS is to hear, of what is ours still. How many. */
static size_t write_words(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_sqs_word *words)
{
	int64_t now_ms = swm_sqs_now_ms();
	size_t written = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_sqs_delivery *delivery =
			swm_sqs_deliveries_find(&consumer->deliveries, items[i].token);

		assert(delivery != NULL); /* check_items() has found it */
		if (delivery->done) {
			continue;
		}
		delivery->lost = delivery->lost || now_ms >= delivery->lease_end_ms;
		if (!delivery->lost) {
			words[written++] = (struct swm_sqs_word){
				.delivery = delivery, .seconds = seconds_of(&items[i])};
		}
	}
	return written;
}

/* What SQS has been told. */
static void note_words(struct swm_sqs_word *words, size_t count, int64_t told_ms)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_sqs_delivery *delivery = words[i].delivery;

		delivery->lost = delivery->lost || words[i].state == SWM_SQS_WORD_LOST;
		delivery->done = words[i].state == SWM_SQS_WORD_TAKEN;
		if (delivery->done && words[i].seconds > 0) {
			delivery->lease_end_ms = told_ms + words[i].seconds * 1000;
		}
	}
}

/* All has been said: forgets what is settled for good. How many leases were lost. */
static size_t conclude(
	struct swm_consumer *consumer, const struct swm_settlement *items, size_t count)
{
	size_t lost = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_sqs_delivery *delivery =
			swm_sqs_deliveries_find(&consumer->deliveries, items[i].token);

		lost += delivery->lost;
		if (items[i].action == SWM_EXTEND) {
			delivery->done = false;
		} else {
			swm_sqs_deliveries_remove(&consumer->deliveries, delivery);
		}
	}
	return lost;
}

/* What could not be said for now may be said again; anything else is the end. */
static swm_status give_up(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, swm_status status, struct swm_error *err)
{
	size_t i;

	/* One that was extended may be extended again, or be done by then. */
	for (i = 0; i < count; i++) {
		if (items[i].action == SWM_EXTEND) {
			swm_sqs_deliveries_find(&consumer->deliveries, items[i].token)->done =
				false;
		}
	}
	if (status == SWM_E_THROTTLED) {
		return status;
	}
	if (status == SWM_E_TIMEOUT || status == SWM_E_UNAVAILABLE) {
		if (err != NULL) {
			err->status = SWM_E_TIMEOUT;
		}
		return SWM_E_TIMEOUT;
	}
	if (status == SWM_E_NOMEM) {
		for (i = 0; i < count; i++) {
			swm_sqs_deliveries_remove(&consumer->deliveries,
				swm_sqs_deliveries_find(&consumer->deliveries, items[i].token));
		}
		return status;
	}
	consumer->failed = true;
	status = status == SWM_E_DENIED ? SWM_E_DENIED : SWM_E_UNAVAILABLE;
	if (err != NULL) {
		err->status = status;
	}
	return status;
}

swm_status swm_sqs_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	swm_status status = swm_sqs_consumer_check(consumer, err);
	struct swm_sqs_word *words;
	int64_t told_ms = swm_sqs_now_ms();
	size_t written;
	size_t lost;

	if (status == SWM_OK) {
		status = check_items(consumer, items, count, err);
	}
	if (status != SWM_OK || count == 0) {
		return status;
	}
	words = calloc(count, sizeof(*words));
	if (words == NULL) {
		return give_up(consumer, items, count,
			swm_fail(err, SWM_E_NOMEM, 0, "out of memory"), err);
	}
	written = write_words(consumer, items, count, words);
	if (written > 0) {
		status = swm_sqs_tell(consumer, words, written,
			swm_sqs_until_ms(consumer->queue->call_timeout_ms), err);
		note_words(words, written, told_ms);
	}
	free(words);
	if (status != SWM_OK) {
		return give_up(consumer, items, count, status, err);
	}
	lost = conclude(consumer, items, count);
	if (lost != 0) {
		return swm_fail(err, SWM_E_CONFLICT, 0,
			"%s: of %zu of %zu deliveries the visibility timeout was over",
			consumer->queue->endpoint, lost, count);
	}
	return SWM_OK;
}
