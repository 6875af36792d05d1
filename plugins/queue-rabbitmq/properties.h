/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_PROPERTIES_H
#define QUEUE_RABBITMQ_PROPERTIES_H

/*
 * A message of the port's as AMQP has it, and back: its id is the property message-id, its
 * headers are headers, and so is its key, under the name swm-key. Whatever a stranger
 * leaves out is absent.
 *
 * Concurrency: functions over memory of the caller's.
 */

#include "deliveries.h"

#include <amqp.h>
#include <amqp_framing.h>

/* More than any message of ours carries. */
#define SWM_RMQ_HEADERS_MAX 256

/* Memory for the headers of one message on its way out; all zero bits to begin with. */
struct swm_rmq_outbound {
	amqp_table_entry_t entries[SWM_RMQ_HEADERS_MAX + 1];
	amqp_basic_properties_t properties;
	size_t bytes; /* at least what the properties take on the wire */
};

/* Fills `out`, which points into the message. `content_type` may be NULL.
 * SWM_E_INVALID: AMQP cannot say that. */
SWM_NODISCARD swm_status swm_rmq_outbound_fill(struct swm_rmq_outbound *out,
	const struct swm_message *message, const char *content_type, struct swm_error *err);

/* A delivery with all that the properties say, and room for a body of `body_bytes`, of
 * which at most `body_bytes_max` are kept. To be freed with free(). NULL: out of memory. */
struct swm_rmq_delivery *swm_rmq_delivery_create(const amqp_basic_properties_t *properties,
	uint64_t body_bytes, size_t body_bytes_max, bool redelivered);

/* Borrowed bytes for the library, which does not write to them. */
amqp_bytes_t swm_rmq_bytes(struct swm_str text);
struct swm_str swm_rmq_str(amqp_bytes_t bytes);

#endif
