/* SPDX-License-Identifier: MIT */

/*
 * Messages from frames: basic.deliver, a header with the properties, as many body frames
 * as it takes. Each frame is copied as it comes, so that the library's memory can go at
 * once, and nothing ever waits for the rest of a message.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "properties.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

struct swm_rmq_delivery *swm_rmq_inbox_take(struct swm_consumer *consumer)
{
	struct swm_rmq_delivery *delivery = consumer->inbox_first;

	consumer->inbox_first = delivery->next;
	if (consumer->inbox_first == NULL) {
		consumer->inbox_last = NULL;
	}
	consumer->inbox_count--;
	return delivery;
}

void swm_rmq_inbox_finish(struct swm_consumer *consumer)
{
	while (consumer->inbox_count != 0) {
		free(swm_rmq_inbox_take(consumer));
	}
	free(consumer->incoming);
	consumer->incoming = NULL;
}

static void put(struct swm_consumer *consumer, struct swm_rmq_delivery *delivery)
{
	delivery->next = NULL;
	if (consumer->inbox_last == NULL) {
		consumer->inbox_first = delivery;
	} else {
		consumer->inbox_last->next = delivery;
	}
	consumer->inbox_last = delivery;
	consumer->inbox_count++;
}

/* The consumer's tag is the number of its source, in decimal; that of a spare one goes on
 * with a dot. */
static bool find_source(
	const struct swm_consumer *consumer, amqp_bytes_t consumer_tag, size_t *out)
{
	struct swm_str tag = swm_rmq_str(consumer_tag);
	size_t number = 0;
	size_t i;

	for (i = 0; i < tag.len && tag.ptr[i] != '.'; i++) {
		if (tag.ptr[i] < '0' || tag.ptr[i] > '9' || number > UINT32_MAX) {
			return false;
		}
		number = number * 10 + (size_t)(tag.ptr[i] - '0');
	}
	*out = number;
	return tag.len != 0 && number < consumer->source_count;
}

static swm_status unexpected(const struct swm_consumer *consumer, struct swm_error *err)
{
	return swm_fail(err, SWM_E_UNAVAILABLE, 0, "%s: the broker sends frames out of order",
		consumer->link.name);
}

static swm_status cancelled(const struct swm_consumer *consumer,
	const amqp_basic_cancel_t *cancel, struct swm_error *err)
{
	size_t source = 0;
	struct swm_str name = {0};

	if (find_source(consumer, cancel->consumer_tag, &source)) {
		name = consumer->sources[source];
	}
	return swm_fail(err, SWM_E_UNAVAILABLE, 0,
		"%s: queue \"%.*s\" is gone, or has moved to another node", consumer->link.name,
		(int)name.len, name.len == 0 ? "" : name.ptr);
}

static swm_status hear_method(
	struct swm_consumer *consumer, const amqp_method_t *method, struct swm_error *err)
{
	struct swm_rmq_announcement *announced = &consumer->announced;
	const amqp_basic_deliver_t *deliver = method->decoded;
	swm_status status;

	switch (method->id) {
	case AMQP_BASIC_DELIVER_METHOD:
		announced->tag = deliver->delivery_tag;
		announced->redelivered = deliver->redelivered != 0;
		if (announced->pending || consumer->incoming != NULL ||
			!find_source(consumer, deliver->consumer_tag, &announced->source)) {
			return unexpected(consumer, err);
		}
		announced->pending = true;
		return SWM_OK;
	case AMQP_BASIC_CANCEL_METHOD:
		return cancelled(consumer, method->decoded, err);
	case AMQP_CHANNEL_CLOSE_METHOD:
		status = swm_rmq_link_closed(&consumer->link, method->decoded, err);
		if (status != SWM_E_DENIED && err != NULL) {
			err->status = SWM_E_UNAVAILABLE;
		}
		return status == SWM_E_DENIED ? status : SWM_E_UNAVAILABLE;
	default:
		return SWM_OK;
	}
}

/* All of it is there, or as much as is kept. */
static void conclude_incoming(struct swm_consumer *consumer)
{
	struct swm_rmq_delivery *delivery = consumer->incoming;

	if (delivery->body_left == 0) {
		consumer->incoming = NULL;
		put(consumer, delivery);
	}
}

static swm_status hear_header(
	struct swm_consumer *consumer, const amqp_frame_t *frame, struct swm_error *err)
{
	const struct swm_queue *queue = consumer->queue;
	struct swm_rmq_announcement *announced = &consumer->announced;
	uint64_t body_bytes = frame->payload.properties.body_size;
	size_t limit = (size_t)queue->config->message_bytes_max;
	struct swm_rmq_delivery *delivery;

	if (!announced->pending) {
		return unexpected(consumer, err);
	}
	announced->pending = false;
	delivery = swm_rmq_delivery_create(
		frame->payload.properties.decoded, body_bytes, limit, announced->redelivered);
	if (delivery == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	delivery->tag = announced->tag;
	delivery->view.source = consumer->sources[announced->source];
	if (body_bytes > limit) {
		queue->host->log(queue->host->ctx, SWM_LOG_WARN, queue->instance,
			"a message of %llu bytes on queue %.*s is cut to the %zu of "
			"max_message",
			(unsigned long long)body_bytes, (int)delivery->view.source.len,
			delivery->view.source.ptr, limit);
	}
	consumer->incoming = delivery;
	conclude_incoming(consumer);
	return SWM_OK;
}

static swm_status hear_body(
	struct swm_consumer *consumer, amqp_bytes_t fragment, struct swm_error *err)
{
	struct swm_rmq_delivery *delivery = consumer->incoming;
	size_t kept;

	if (delivery == NULL || fragment.len > delivery->body_left) {
		return unexpected(consumer, err);
	}
	kept = delivery->body_room - delivery->view.body.len;
	kept = fragment.len < kept ? fragment.len : kept;
	if (kept != 0) {
		memcpy(delivery->body + delivery->view.body.len, fragment.bytes, kept);
	}
	delivery->view.body.len += kept;
	delivery->body_left -= fragment.len;
	conclude_incoming(consumer);
	return SWM_OK;
}

static swm_status hear(
	struct swm_consumer *consumer, const amqp_frame_t *frame, struct swm_error *err)
{
	switch (frame->frame_type) {
	case AMQP_FRAME_METHOD:
		return hear_method(consumer, &frame->payload.method, err);
	case AMQP_FRAME_HEADER:
		return hear_header(consumer, frame, err);
	case AMQP_FRAME_BODY:
		return hear_body(consumer, frame->payload.body_fragment, err);
	default:
		return SWM_OK;
	}
}

swm_status swm_rmq_inbox_fill(
	struct swm_consumer *consumer, size_t wanted, struct swm_error *err)
{
	swm_status status = SWM_OK;

	while (status == SWM_OK && consumer->inbox_count < wanted) {
		amqp_frame_t frame;

		status = swm_rmq_link_read(&consumer->link, &frame, err);
		if (status == SWM_OK) {
			status = hear(consumer, &frame, err);
			swm_rmq_link_release(&consumer->link);
		}
	}
	if (status == SWM_E_TIMEOUT) {
		return SWM_OK;
	}
	consumer->failed = consumer->failed || status != SWM_OK;
	return status;
}
