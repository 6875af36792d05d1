/* SPDX-License-Identifier: MIT */

/*
 * Room beside what is held back. A delivery whose NACK waits here (settle.c) keeps its
 * place in the broker's prefetch, and when all places are taken by such, nothing else can
 * come: one message that nobody can read would stop a consumer with one place. So for
 * each prefetch full of them the queue is listened to once more on the same channel, until
 * they are given back. What had come that way by then stays in the inbox.
 *
 * Only for a consumer of one queue: of several, one does not stop the others.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "properties.h"

#include <stdio.h>

/* Then messages are given back early, to make room. */
#define SPARES_MAX 8

#define TAG_TEXT_MAX 32

static uint32_t wanted(const struct swm_consumer *consumer)
{
	uint32_t full = consumer->deliveries.held / consumer->prefetch;

	if (consumer->source_count != 1) {
		return 0;
	}
	return full < SPARES_MAX ? full : SPARES_MAX;
}

bool swm_rmq_spares_used_up(const struct swm_consumer *consumer)
{
	uint32_t most = consumer->source_count == 1 ? SPARES_MAX : 0;

	return consumer->deliveries.held / consumer->prefetch > most;
}

/* "0." and its number: the part before the dot is that of the source. No number comes twice:
 * to a queue a tag that comes back is the old one, with what was delivered to it (3.10.8). */
static amqp_bytes_t tag_of(uint32_t number, char text[TAG_TEXT_MAX])
{
	(void)snprintf(text, TAG_TEXT_MAX, "0.%u", number);
	return amqp_cstring_bytes(text);
}

static swm_status add_spares(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err)
{
	swm_status status = swm_rmq_guard_set(consumer, false, until_ms, err);
	char text[TAG_TEXT_MAX];

	while (status == SWM_OK && consumer->spares < wanted(consumer)) {
		amqp_basic_consume_t consume = {
			.queue = swm_rmq_bytes(consumer->sources[0]),
			.consumer_tag = tag_of(++consumer->spares_ever, text),
			.nowait = 1,
		};

		consumer->spares++;
		status = swm_rmq_link_method(
			&consumer->link, AMQP_BASIC_CONSUME_METHOD, &consume, until_ms, err);
	}
	return status == SWM_OK ? swm_rmq_guard_set(consumer, true, until_ms, err) : status;
}

swm_status swm_rmq_spares_adjust(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err)
{
	swm_status status = SWM_OK;
	char text[TAG_TEXT_MAX];

	if (consumer->spares < wanted(consumer)) {
		status = add_spares(consumer, until_ms, err);
	}
	while (status == SWM_OK && consumer->spares > wanted(consumer)) {
		amqp_basic_cancel_t cancel = {
			.consumer_tag =
				tag_of(consumer->spares_ever - --consumer->spares, text),
			.nowait = 1,
		};

		status = swm_rmq_link_method(
			&consumer->link, AMQP_BASIC_CANCEL_METHOD, &cancel, until_ms, err);
	}
	return status;
}
