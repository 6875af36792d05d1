/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_MESSAGE_H
#define QUEUE_KAFKA_MESSAGE_H

/*
 * A message of the port's as Kafka has it, and back: its key is the key, its id the header
 * swm-message-id, its headers are headers. Those of CloudEvents are called ce_... on
 * Kafka, by the protocol's binding, and ce-... everywhere else here.
 *
 * Concurrency: functions over memory of the caller's.
 */

#include "deliveries.h"

#include <librdkafka/rdkafka.h>

/* The headers of a message on its way out. `content_type` may be NULL. SWM_E_INVALID: a
 * header's name has a zero byte; SWM_E_NOMEM. The caller's, until it is produced. */
SWM_NODISCARD swm_status swm_kafka_headers_make(const struct swm_message *message,
	const char *content_type, rd_kafka_headers_t **out, struct swm_error *err);

/* A copy of what has been received from `source`, to be freed through the deliveries. One
 * without an id of ours has the broker's: TOPIC/PARTITION/OFFSET/TIMESTAMP. NULL: out of
 * memory. */
struct swm_kafka_delivery *swm_kafka_delivery_create(
	const rd_kafka_message_t *message, struct swm_str source);

#endif
