/* SPDX-License-Identifier: MIT */

/*
 * Settling. Kafka knows no acknowledgement of a message, only an offset of the group's
 * before which all is done: what is finished is marked, and as far as the oldest of a
 * partition are, their end is stored for the library to commit within half a second.
 *
 * What is given back is kept here and handed out again, by this consumer; the offset does
 * not pass it. So a store that is down holds the partition, and loses nothing.
 *
 * Concurrency: called by the consumer's owner; under its mutex.
 */

#include "consumer.h"
#include "status.h"

#include <assert.h>

/* Nothing is settled if one of the items cannot be right. */
static swm_status check_items(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	size_t i;

	if (++consumer->settlement == 0) {
		consumer->settlement = 1; /* 0 is that of a delivery no call has met */
	}
	for (i = 0; i < count; i++) {
		struct swm_kafka_delivery *delivery =
			swm_kafka_deliveries_find(&consumer->deliveries, items[i].token);

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
				"item %zu: a delivery is held while its partition is assigned, "
				"there is no lease to extend",
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

void swm_kafka_settle_store(struct swm_consumer *consumer)
{
	struct swm_kafka_partition *partition = consumer->deliveries.partitions;
	rd_kafka_topic_partition_list_t *list = NULL;

	if (!consumer->assigned) {
		return;
	}
	for (; partition != NULL; partition = partition->next) {
		if (!partition->advanced) {
			continue;
		}
		if (list == NULL) {
			list = rd_kafka_topic_partition_list_new(1);
		}
		partition->advanced = false;
		rd_kafka_topic_partition_list_add(
			list, consumer->sources[partition->source].ptr, partition->number)
			->offset = partition->finished;
	}
	if (list != NULL) {
		/* Of a partition that is about to go it is refused: a redelivery. */
		(void)rd_kafka_offsets_store(consumer->client->rk, list);
		rd_kafka_topic_partition_list_destroy(list);
	}
}

/* True: it was ours still. */
static bool settle_one(struct swm_consumer *consumer, const struct swm_settlement *item)
{
	struct swm_kafka_deliveries *deliveries = &consumer->deliveries;
	struct swm_kafka_delivery *delivery =
		swm_kafka_deliveries_find(deliveries, item->token);
	struct swm_kafka_partition *partition;

	assert(delivery != NULL); /* check_items() has found it */
	partition = delivery->partition;
	if (item->action == SWM_ACK) {
		swm_kafka_deliveries_finish_one(deliveries, delivery);
	} else {
		swm_kafka_deliveries_give_back(
			deliveries, delivery, swm_kafka_until_ms(item->delay_ms));
	}
	if (partition != NULL) {
		swm_kafka_consumer_bound(consumer, partition);
	}
	return partition != NULL;
}

static swm_status settle_all(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	swm_status status = swm_kafka_consumer_check(consumer, err);
	size_t lost = 0;
	size_t i;

	if (status == SWM_OK) {
		status = check_items(consumer, items, count, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	for (i = 0; i < count; i++) {
		lost += settle_one(consumer, &items[i]) ? 0 : 1;
	}
	swm_kafka_settle_store(consumer);
	return lost == 0 ? SWM_OK
			 : swm_fail(err, SWM_E_CONFLICT, 0,
				   "%zu of %zu deliveries are of partitions that have been "
				   "given to others, or anew: they come again",
				   lost, count);
}

swm_status swm_kafka_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	swm_status status;

	(void)pthread_mutex_lock(&consumer->mutex);
	status = settle_all(consumer, items, count, err);
	(void)pthread_mutex_unlock(&consumer->mutex);
	return status;
}
