/* SPDX-License-Identifier: MIT */

/*
 * Settling. What is received together is mostly acknowledged together: as far as the
 * acknowledged ones are the oldest that the broker waits for, one basic.ack names the last
 * of them and stands for all.
 *
 * A NACK with a delay is held back here until it is due, for the broker would deliver the
 * message again at once, and again.
 *
 * Acknowledgements are not answered; one that gets lost with the connection is a
 * redelivery.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "status.h"

#include <assert.h>

/* A longer delay is cut to this: the broker closes the channel of a consumer that keeps a
 * message for longer than its consumer_timeout, 30 minutes unless configured. */
#define DELAY_MAX_MS 600000

/* While there is no place left for anything else, they are held back no longer than this. */
#define DELAY_FULL_MS 1000

/* Nothing is settled if one of the items cannot be right. */
static swm_status check_items(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	size_t i;

	if (++consumer->settlement == 0) {
		consumer->settlement = 1; /* 0 is that of a delivery no call has met */
	}
	for (i = 0; i < count; i++) {
		struct swm_rmq_delivery *delivery =
			swm_rmq_deliveries_find(&consumer->deliveries, items[i].token);

		if (delivery == NULL) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"item %zu: not a delivery that is out on this consumer", i);
		}
		if (delivery->settlement == consumer->settlement) {
			return swm_fail(
				err, SWM_E_INVALID, 0, "item %zu: settled twice in a call", i);
		}
		delivery->settlement = consumer->settlement;
		if (items[i].action == SWM_EXTEND) {
			return swm_fail(err, SWM_E_UNSUPPORTED, 0,
				"item %zu: a delivery is held while connected, there is no "
				"lease to extend",
				i);
		}
		if (items[i].action != SWM_ACK && items[i].action != SWM_NACK) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: no such action: %u",
				i, items[i].action);
		}
		if (items[i].action == SWM_NACK && items[i].delay_ms < 0) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: a negative delay", i);
		}
	}
	return SWM_OK;
}

static swm_status send_ack(struct swm_consumer *consumer, uint64_t tag, bool multiple,
	int64_t until_ms, struct swm_error *err)
{
	amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple ? 1 : 0};

	return swm_rmq_link_method(&consumer->link, AMQP_BASIC_ACK_METHOD, &ack, until_ms, err);
}

static swm_status send_nack(
	struct swm_consumer *consumer, uint64_t tag, int64_t until_ms, struct swm_error *err)
{
	amqp_basic_nack_t nack = {.delivery_tag = tag, .requeue = 1};

	return swm_rmq_link_method(
		&consumer->link, AMQP_BASIC_NACK_METHOD, &nack, until_ms, err);
}

/* Notes what is to be told of each. */
static void note_items(
	struct swm_consumer *consumer, const struct swm_settlement *items, size_t count)
{
	struct swm_rmq_deliveries *deliveries = &consumer->deliveries;
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_rmq_delivery *delivery =
			swm_rmq_deliveries_find(deliveries, items[i].token);
		int64_t delay_ms =
			items[i].delay_ms < DELAY_MAX_MS ? items[i].delay_ms : DELAY_MAX_MS;

		assert(delivery != NULL); /* check_items() has found it */
		delivery->action = items[i].action;
		if (items[i].action == SWM_NACK && delay_ms != 0) {
			delivery->due_ms = swm_rmq_now_ms() + delay_ms;
			swm_rmq_deliveries_hold(deliveries, delivery);
		}
	}
}

/* Gives back what is due at `now_ms`. */
static swm_status give_back(
	struct swm_consumer *consumer, int64_t now_ms, int64_t until_ms, struct swm_error *err)
{
	struct swm_rmq_deliveries *deliveries = &consumer->deliveries;
	struct swm_rmq_delivery *delivery = deliveries->first;
	swm_status status = SWM_OK;

	while (delivery != NULL && status == SWM_OK) {
		struct swm_rmq_delivery *next = delivery->next;

		if (delivery->action == SWM_NACK && delivery->due_ms <= now_ms) {
			status = send_nack(consumer, delivery->tag, until_ms, err);
			if (status == SWM_OK) {
				swm_rmq_deliveries_remove(deliveries, delivery);
			}
		}
		delivery = next;
	}
	return status;
}

/* Acknowledges the oldest ones, as far as all of them are to be, at once. */
static swm_status ack_oldest(
	struct swm_consumer *consumer, int64_t until_ms, struct swm_error *err)
{
	struct swm_rmq_deliveries *deliveries = &consumer->deliveries;
	struct swm_rmq_delivery *delivery = deliveries->first;
	uint64_t last_tag = 0;
	size_t count = 0;
	swm_status status;

	for (; delivery != NULL && delivery->action == SWM_ACK; delivery = delivery->next) {
		last_tag = delivery->tag;
		count++;
	}
	if (count == 0) {
		return SWM_OK;
	}
	status = send_ack(consumer, last_tag, count > 1, until_ms, err);
	for (; count > 0 && status == SWM_OK; count--) {
		swm_rmq_deliveries_remove(deliveries, deliveries->first);
	}
	return status;
}

static swm_status ack_others(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, int64_t until_ms, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		struct swm_rmq_delivery *delivery =
			swm_rmq_deliveries_find(&consumer->deliveries, items[i].token);

		if (delivery != NULL && delivery->action == SWM_ACK) {
			status = send_ack(consumer, delivery->tag, false, until_ms, err);
			if (status == SWM_OK) {
				swm_rmq_deliveries_remove(&consumer->deliveries, delivery);
			}
		}
	}
	return status;
}

/* A consumer that cannot tell the broker is of no use: what was told and what was not is
 * all sorted out when its connection is closed. */
static swm_status conclude(
	struct swm_consumer *consumer, swm_status status, struct swm_error *err)
{
	if (status == SWM_OK) {
		return SWM_OK;
	}
	consumer->failed = true;
	if (status != SWM_E_DENIED && err != NULL) {
		err->status = SWM_E_UNAVAILABLE;
	}
	return status == SWM_E_DENIED ? status : SWM_E_UNAVAILABLE;
}

swm_status swm_rmq_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	int64_t until_ms = swm_rmq_until_ms(consumer->queue->call_timeout_ms);
	swm_status status = swm_rmq_consumer_check(consumer, err);

	if (status == SWM_OK) {
		status = check_items(consumer, items, count, err);
	}
	if (status != SWM_OK || count == 0) {
		return status;
	}
	note_items(consumer, items, count);
	swm_rmq_link_cork(&consumer->link, true);
	status = give_back(consumer, swm_rmq_now_ms(), until_ms, err);
	if (status == SWM_OK) {
		status = ack_oldest(consumer, until_ms, err);
	}
	if (status == SWM_OK) {
		status = ack_others(consumer, items, count, until_ms, err);
	}
	if (status == SWM_OK) {
		status = swm_rmq_spares_adjust(consumer, until_ms, err);
	}
	swm_rmq_link_cork(&consumer->link, false);
	return conclude(consumer, status, err);
}

/* When it is given back, given that there may be no place for anything else. */
static int64_t due_ms(
	const struct swm_consumer *consumer, const struct swm_rmq_delivery *delivery)
{
	int64_t cut_ms = swm_rmq_now_ms() + DELAY_FULL_MS;

	if (swm_rmq_spares_used_up(consumer) && delivery->due_ms > cut_ms) {
		return cut_ms;
	}
	return delivery->due_ms;
}

swm_status swm_rmq_settle_due(struct swm_consumer *consumer, struct swm_error *err)
{
	int64_t until_ms = swm_rmq_until_ms(consumer->queue->call_timeout_ms);
	struct swm_rmq_delivery *delivery = consumer->deliveries.first;
	swm_status status;

	if (consumer->deliveries.held == 0) {
		return SWM_OK;
	}
	for (; delivery != NULL; delivery = delivery->next) {
		if (delivery->action == SWM_NACK) {
			delivery->due_ms = due_ms(consumer, delivery);
		}
	}
	status = give_back(consumer, swm_rmq_now_ms(), until_ms, err);
	if (status == SWM_OK) {
		status = swm_rmq_spares_adjust(consumer, until_ms, err);
	}
	return conclude(consumer, status, err);
}

int64_t swm_rmq_settle_due_ms(const struct swm_consumer *consumer)
{
	const struct swm_rmq_delivery *delivery = consumer->deliveries.first;
	int64_t soonest_ms = INT64_MAX;

	if (consumer->deliveries.held == 0) {
		return soonest_ms;
	}
	for (; delivery != NULL; delivery = delivery->next) {
		if (delivery->action == SWM_NACK && delivery->due_ms < soonest_ms) {
			soonest_ms = delivery->due_ms;
		}
	}
	return soonest_ms;
}
