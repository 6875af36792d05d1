/* SPDX-License-Identifier: MIT */

/*
 * A consumer's life, and how it waits: for the socket, for a wake, for its next heartbeat
 * and for what was held back, all in one poll.
 *
 * It listens with one basic.consume per source on one channel. Their prefetch is the
 * broker's affair, per source, since quorum queues know none over several; that no more
 * than the caller's prefetch are out is seen to here.
 *
 * Concurrency: a consumer and its connection belong to one thread. wake() comes from any:
 * it writes to an eventfd.
 */

#include "consumer.h"

#include "frames.h"
#include "properties.h"
#include "status.h"
#include "topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFETCH_FALLBACK 256

/* A header frame is as large as its publisher's frames may be: no less than the broker
 * lets through, which is 128 KiB unless configured. */
#define FRAME_MAX_BYTES (1024 * 1024)

#define TAG_TEXT_MAX 24

static void free_consumer(struct swm_consumer *consumer)
{
	swm_rmq_link_close(&consumer->link, swm_rmq_until_ms(consumer->queue->call_timeout_ms));
	swm_rmq_inbox_finish(consumer);
	swm_rmq_deliveries_finish(&consumer->deliveries);
	if (consumer->wake_fd >= 0) {
		(void)close(consumer->wake_fd);
	}
	free(consumer->sources);
	free(consumer);
}

void swm_rmq_consumer_close(struct swm_consumer *consumer)
{
	if (consumer != NULL) {
		free_consumer(consumer);
	}
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
	consumer->sources = malloc(size);
	if (consumer->sources == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	names = (char *)(consumer->sources + count);
	for (i = 0; i < count; i++) {
		memcpy(names, sources[i].ptr, sources[i].len);
		consumer->sources[i] = (struct swm_str){names, sources[i].len};
		names += sources[i].len;
	}
	consumer->source_count = count;
	return SWM_OK;
}

/* For the consumers that follow. The answer says that the broker has taken what went
 * before, which it does not answer one by one. */
static swm_status set_prefetch(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err)
{
	struct swm_rmq_link *link = &consumer->link;
	size_t each =
		(consumer->prefetch + consumer->source_count - 1) / consumer->source_count;
	swm_status status = swm_rmq_link_ask(link, until_ms, err);

	if (status != SWM_OK) {
		return status;
	}
	(void)amqp_basic_qos(link->state, SWM_RMQ_CHANNEL, 0,
		each > UINT16_MAX ? UINT16_MAX : (uint16_t)each, 0);
	return swm_rmq_link_answer(
		link, amqp_get_rpc_reply(link->state), "set the prefetch", err);
}

static swm_status consume_all(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	swm_rmq_link_cork(&consumer->link, true);
	for (i = 0; i < consumer->source_count && status == SWM_OK; i++) {
		char tag[TAG_TEXT_MAX];
		amqp_basic_consume_t consume = {
			.queue = swm_rmq_bytes(consumer->sources[i]),
			.nowait = 1,
		};

		(void)snprintf(tag, sizeof(tag), "%zu", i);
		consume.consumer_tag = amqp_cstring_bytes(tag);
		status = swm_rmq_link_method(
			&consumer->link, AMQP_BASIC_CONSUME_METHOD, &consume, until_ms, err);
	}
	swm_rmq_link_cork(&consumer->link, false);
	if (status == SWM_OK) {
		status = set_prefetch(consumer, until_ms, err);
	}
	return status == SWM_OK ? swm_rmq_guard_set(consumer, true, until_ms, err) : status;
}

static swm_status listen_to(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	const struct swm_queue *queue = consumer->queue;
	const struct swm_rmq_purpose purpose = {
		.title = "swm consumer",
		.frame_max = FRAME_MAX_BYTES,
		.heartbeat_ms = queue->config->heartbeat_ms,
	};
	int64_t until_ms = swm_rmq_until_ms(queue->call_timeout_ms);
	swm_status status =
		swm_rmq_link_open(&consumer->link, &queue->address, &purpose, until_ms, err);

	consumer->guarded = status == SWM_OK && swm_rmq_guard_is_needed(&consumer->link);
	if (status == SWM_OK && queue->config->create_queues) {
		status = swm_rmq_declare(&consumer->link, queue, sources, count, until_ms, err);
	}
	if (status == SWM_OK) {
		status = set_prefetch(consumer, until_ms, err);
	}
	return status == SWM_OK ? consume_all(consumer, until_ms, err) : status;
}

swm_status swm_rmq_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
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
	swm_rmq_deliveries_init(
		&consumer->deliveries, atomic_fetch_add(&queue->consumer_count, 1));
	consumer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	status = consumer->wake_fd >= 0
			 ? copy_sources(consumer, sources, count, err)
			 : swm_fail(err, SWM_E_NOMEM, errno, "no eventfd to be had");
	if (status == SWM_OK) {
		status = listen_to(consumer, sources, count, err);
	}
	if (status != SWM_OK) {
		free_consumer(consumer);
		return status;
	}
	*out = consumer;
	return SWM_OK;
}

void swm_rmq_consumer_wake(struct swm_consumer *consumer)
{
	/* It cannot fail but when it has been woken almost for ever. */
	(void)eventfd_write(consumer->wake_fd, 1);
}

static bool is_woken(const struct swm_consumer *consumer)
{
	eventfd_t value = 0;

	return eventfd_read(consumer->wake_fd, &value) == 0;
}

swm_status swm_rmq_consumer_check(const struct swm_consumer *consumer, struct swm_error *err)
{
	if (consumer->failed) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: this consumer failed before: open another one",
			consumer->queue->address.name);
	}
	return SWM_OK;
}

/* Everything that does not wait: reads up to `wanted` messages, keeps the connection
 * alive, gives back what is due. */
static swm_status service(struct swm_consumer *consumer, size_t wanted, struct swm_error *err)
{
	swm_status status = swm_rmq_inbox_fill(consumer, wanted, err);

	if (status == SWM_OK) {
		status = swm_rmq_link_beat(&consumer->link, err);
		consumer->failed = status != SWM_OK;
	}
	return status == SWM_OK ? swm_rmq_settle_due(consumer, err) : status;
}

static swm_status hand_out(struct swm_consumer *consumer, size_t max, struct swm_delivery *out,
	size_t *count, struct swm_error *err)
{
	size_t n = max < consumer->inbox_count ? max : consumer->inbox_count;
	swm_status status = swm_rmq_deliveries_reserve(&consumer->deliveries, (uint32_t)n, err);
	size_t i;

	if (status != SWM_OK) {
		return status;
	}
	for (i = 0; i < n; i++) {
		struct swm_rmq_delivery *delivery = swm_rmq_inbox_take(consumer);

		(void)swm_rmq_deliveries_add(&consumer->deliveries, delivery);
		out[i] = delivery->view;
	}
	*count = n;
	return SWM_OK;
}

/* Until there is something to do again. */
static void wait_for_more(const struct swm_consumer *consumer, int64_t until_ms)
{
	int64_t beat_ms = swm_rmq_link_beat_ms(&consumer->link);
	int64_t due_ms = swm_rmq_settle_due_ms(consumer);

	until_ms = beat_ms < until_ms ? beat_ms : until_ms;
	until_ms = due_ms < until_ms ? due_ms : until_ms;
	swm_rmq_link_wait(&consumer->link, false, consumer->wake_fd, until_ms);
}

swm_status swm_rmq_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	swm_status status = swm_rmq_consumer_check(consumer, err);
	int64_t until_ms;
	size_t room;

	if (status != SWM_OK) {
		return status;
	}
	if (timeout_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a negative timeout");
	}
	if (max == 0) {
		status = service(consumer, SIZE_MAX, err);
		return status == SWM_OK
			       ? swm_fail(err, SWM_E_TIMEOUT, 0, "nothing was asked for")
			       : status;
	}
	until_ms = swm_rmq_until_ms(timeout_ms);
	room = consumer->prefetch > consumer->deliveries.out
		       ? consumer->prefetch - consumer->deliveries.out
		       : 0;
	room = max < room ? max : room;
	for (;;) {
		if (is_woken(consumer)) {
			return swm_fail(err, SWM_E_INTERRUPTED, 0, "woken");
		}
		/* With every place taken there is still the connection to listen to. */
		status = service(consumer, room == 0 ? SIZE_MAX : room, err);
		if (status != SWM_OK) {
			return status;
		}
		if (room != 0 && consumer->inbox_count != 0) {
			return hand_out(consumer, room, out, count, err);
		}
		if (swm_rmq_now_ms() >= until_ms) {
			return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing came");
		}
		wait_for_more(consumer, until_ms);
	}
}
