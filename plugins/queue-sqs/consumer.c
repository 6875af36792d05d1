/* SPDX-License-Identifier: MIT */

/*
 * A consumer's life, and how it waits: for its polls, for a wake and for the next lease to
 * be extended, all in one poll of its web.
 *
 * Concurrency: a consumer and its connections belong to one thread. wake() comes from any:
 * it sets a flag and wakes the web.
 */

#include "consumer.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

#define PREFETCH_FALLBACK 256

/* Gives back all that is held, so that it need not wait for its leases to end. */
static void give_back(struct swm_consumer *consumer, int64_t until_ms)
{
	struct swm_sqs_word *words =
		calloc(consumer->deliveries.slot_count + 1, sizeof(*words));
	struct swm_sqs_delivery *delivery;
	int64_t now_ms = swm_sqs_now_ms();
	uint32_t position = 0;
	size_t count = 0;

	if (words == NULL) {
		return;
	}
	while ((delivery = swm_sqs_deliveries_next(&consumer->deliveries, &position)) != NULL) {
		if (!delivery->lost && !delivery->done && now_ms < delivery->lease_end_ms) {
			words[count++] = (struct swm_sqs_word){.delivery = delivery};
		}
	}
	if (count > 0) {
		/* If it fails, the leases end. */
		(void)!swm_sqs_tell(consumer, words, count, until_ms, NULL);
	}
	free(words);
}

static void free_consumer(struct swm_consumer *consumer)
{
	swm_sqs_polls_finish(consumer);
	swm_sqs_web_close(&consumer->web);
	swm_sqs_deliveries_finish(&consumer->deliveries);
	swm_sqs_book_finish(&consumer->book);
	free(consumer->sources);
	free(consumer);
}

void swm_sqs_consumer_close(struct swm_consumer *consumer)
{
	int64_t until_ms;

	if (consumer == NULL) {
		return;
	}
	until_ms = swm_sqs_until_ms(consumer->queue->call_timeout_ms);
	if (!consumer->failed) {
		/* What a poll has brought and nobody has looked at goes back as well. */
		swm_sqs_polls_await(consumer);
		if (swm_sqs_polls_take(consumer, NULL) == SWM_OK) {
			give_back(consumer, until_ms);
		}
	}
	free_consumer(consumer);
}

/* One block for the sources and, behind them, their names. */
static swm_status copy_sources(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	size_t size = count * sizeof(*consumer->sources);
	char *names;
	size_t i;

	for (i = 0; i < count; i++) {
		size += sources[i].len;
	}
	consumer->sources = calloc(1, size);
	if (consumer->sources == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	names = (char *)(consumer->sources + count);
	for (i = 0; i < count; i++) {
		struct swm_sqs_listened *source = &consumer->sources[i];

		memcpy(names, sources[i].ptr, sources[i].len);
		source->name = (struct swm_str){names, sources[i].len};
		source->address = swm_sqs_book_find(&consumer->book, source->name);
		source->width = 1;
		source->wait_ms = SWM_SQS_WAIT_FIRST_MS;
		names += sources[i].len;
	}
	consumer->source_count = count;
	return SWM_OK;
}

static swm_status set_up(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	swm_status status = swm_sqs_web_open(&consumer->web, queue, err);

	if (status == SWM_OK) {
		status = swm_sqs_book_look_up(&consumer->book, &consumer->web, sources, count,
			queue->config->create_queues, swm_sqs_until_ms(queue->call_timeout_ms),
			err);
	}
	if (status == SWM_OK) {
		status = copy_sources(consumer, sources, count, err);
	}
	if (status == SWM_OK) {
		consumer->poll_count = (size_t)queue->config->connections;
		consumer->polls = calloc(consumer->poll_count, sizeof(*consumer->polls));
		if (consumer->polls == NULL) {
			consumer->poll_count = 0;
			status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
	}
	consumer->heard_ms = swm_sqs_now_ms();
	consumer->leases_ms = consumer->heard_ms;
	return status;
}

swm_status swm_sqs_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	struct swm_consumer *consumer;
	swm_status status;

	if (count == 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a consumer needs a queue to listen to");
	}
	consumer = calloc(1, sizeof(*consumer));
	if (consumer == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	consumer->queue = queue;
	consumer->prefetch = prefetch == 0 ? PREFETCH_FALLBACK : prefetch;
	atomic_init(&consumer->woken, false);
	swm_sqs_deliveries_init(
		&consumer->deliveries, atomic_fetch_add(&queue->consumer_count, 1));
	status = set_up(consumer, sources, count, err);
	if (status != SWM_OK) {
		free_consumer(consumer);
		return status;
	}
	*out = consumer;
	return SWM_OK;
}

void swm_sqs_consumer_wake(struct swm_consumer *consumer)
{
	atomic_store(&consumer->woken, true);
	swm_sqs_web_wake(&consumer->web);
}

swm_status swm_sqs_consumer_check(const struct swm_consumer *consumer, struct swm_error *err)
{
	if (consumer->failed) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: this consumer failed before: open another one",
			consumer->queue->endpoint);
	}
	return SWM_OK;
}

/* Everything that does not wait: takes what has come, and keeps what is held. */
static swm_status service(struct swm_consumer *consumer, struct swm_error *err)
{
	swm_status status = swm_sqs_polls_take(consumer, err);

	return status == SWM_OK ? swm_sqs_leases_extend(consumer, err) : status;
}

static void hand_out(
	struct swm_consumer *consumer, size_t max, struct swm_delivery *out, size_t *count)
{
	const struct swm_queue *queue = consumer->queue;
	int64_t wall_ms = queue->host->now_ms(queue->host->ctx) - swm_sqs_now_ms();
	size_t n =
		max < consumer->deliveries.inbox_count ? max : consumer->deliveries.inbox_count;
	size_t i;

	for (i = 0; i < n; i++) {
		struct swm_sqs_delivery *delivery =
			swm_sqs_deliveries_hand_out(&consumer->deliveries);

		delivery->view.source = consumer->sources[delivery->source].name;
		delivery->view.lease_until_ms = delivery->lease_end_ms + wall_ms;
		out[i] = delivery->view;
	}
	*count = n;
}

/* Until there is something to do again. */
static void wait_for_more(struct swm_consumer *consumer, int64_t until_ms)
{
	int64_t next_ms = swm_sqs_polls_next_ms(consumer);

	until_ms = next_ms < until_ms ? next_ms : until_ms;
	until_ms = consumer->leases_ms < until_ms ? consumer->leases_ms : until_ms;
	swm_sqs_web_step(&consumer->web, until_ms);
}

swm_status swm_sqs_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	swm_status status = swm_sqs_consumer_check(consumer, err);
	int64_t until_ms = swm_sqs_until_ms(timeout_ms);

	if (status != SWM_OK) {
		return status;
	}
	if (timeout_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a negative timeout");
	}
	swm_sqs_web_step(&consumer->web, 0);
	for (;;) {
		if (max != 0 && atomic_exchange(&consumer->woken, false)) {
			return swm_fail(err, SWM_E_INTERRUPTED, 0, "woken");
		}
		status = service(consumer, err);
		if (status != SWM_OK) {
			return status;
		}
		if (max == 0) {
			return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing was asked for");
		}
		/* The next ones are on their way while these are worked at. */
		swm_sqs_polls_begin(consumer);
		if (consumer->deliveries.inbox_count != 0) {
			hand_out(consumer, max, out, count);
			swm_sqs_web_step(&consumer->web, 0);
			return SWM_OK;
		}
		if (swm_sqs_now_ms() >= until_ms) {
			swm_sqs_web_step(&consumer->web, 0);
			return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing came");
		}
		wait_for_more(consumer, until_ms);
	}
}
