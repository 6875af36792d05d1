/* SPDX-License-Identifier: MIT */

/*
 * A message that is held for longer than its visibility timeout would be delivered again. So
 * whoever services the consumer keeps what it holds: when half of a lease is over it is
 * extended, whether the message was handed out or waits for that. A holder that does not call
 * receive any more loses its messages when their leases end.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "status.h"

#include <stdlib.h>

static int64_t half_ms(const struct swm_consumer *consumer)
{
	return consumer->queue->config->visibility_ms / 2;
}

static bool is_due(const struct swm_consumer *consumer, const struct swm_sqs_delivery *delivery,
	int64_t now_ms)
{
	return !delivery->lost && !delivery->done &&
	       delivery->lease_end_ms - now_ms <= half_ms(consumer);
}

/* When the next one is due; at the latest in half a lease, when new ones may be. */
static int64_t find_next_ms(const struct swm_consumer *consumer, int64_t now_ms)
{
	int64_t next_ms = now_ms + half_ms(consumer);
	const struct swm_sqs_delivery *delivery;
	uint32_t position = 0;

	while ((delivery = swm_sqs_deliveries_next(&consumer->deliveries, &position)) != NULL) {
		int64_t due_ms = delivery->lease_end_ms - half_ms(consumer);

		if (!delivery->lost && !delivery->done && due_ms < next_ms) {
			next_ms = due_ms;
		}
	}
	/* If it could not be extended, not at once again. */
	return next_ms < now_ms + 100 ? now_ms + 100 : next_ms;
}

static size_t gather(struct swm_consumer *consumer, struct swm_sqs_word *words)
{
	int64_t now_ms = swm_sqs_now_ms();
	struct swm_sqs_delivery *delivery;
	uint32_t position = 0;
	size_t count = 0;

	while ((delivery = swm_sqs_deliveries_next(&consumer->deliveries, &position)) != NULL) {
		if (delivery->lease_end_ms <= now_ms) {
			delivery->lost = true;
		} else if (is_due(consumer, delivery, now_ms)) {
			words[count++] = (struct swm_sqs_word){.delivery = delivery,
				.seconds = swm_sqs_seconds(
					consumer->queue->config->visibility_ms)};
		}
	}
	return count;
}

static void note(struct swm_consumer *consumer, struct swm_sqs_word *words, size_t count,
	int64_t told_ms)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (words[i].state == SWM_SQS_WORD_TAKEN) {
			words[i].delivery->lease_end_ms =
				told_ms + consumer->queue->config->visibility_ms;
		} else if (words[i].state == SWM_SQS_WORD_LOST) {
			words[i].delivery->lost = true;
		}
	}
}

swm_status swm_sqs_leases_extend(struct swm_consumer *consumer, struct swm_error *err)
{
	int64_t now_ms = swm_sqs_now_ms();
	const struct swm_host *host = consumer->queue->host;
	struct swm_sqs_word *words;
	struct swm_error why = {0};
	swm_status status = SWM_OK;
	size_t count;

	if (now_ms < consumer->leases_ms) {
		return SWM_OK;
	}
	words = calloc(consumer->deliveries.slot_count + 1, sizeof(*words));
	if (words == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	count = gather(consumer, words);
	if (count > 0) {
		status = swm_sqs_tell(consumer, words, count,
			swm_sqs_until_ms(consumer->queue->call_timeout_ms / 2), &why);
		note(consumer, words, count, now_ms);
		host->count(host->ctx, "sqs_leases_extended", (int64_t)count);
	}
	if (status != SWM_OK) {
		host->log(host->ctx, SWM_LOG_WARN, consumer->queue->instance,
			"visibility timeouts cannot be extended: %s", why.message);
	}
	free(words);
	swm_sqs_deliveries_drop_lost(&consumer->deliveries);
	consumer->leases_ms = find_next_ms(consumer, swm_sqs_now_ms());
	return SWM_OK;
}
