/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_CEILING_RABBITMQ_H
#define SWM_BENCH_CEILING_RABBITMQ_H

/*
 * What the machine could do at best with RabbitMQ: one thread publishes as many messages
 * as the pizza workflow does, as large, persistent, to as many quorum queues, with
 * confirms and without ever waiting for one of them; another consumes and acknowledges
 * them. Over librabbitmq alone; no engine, no port, no order between messages.
 *
 * The broker is that of SWM_BENCH_RABBITMQ_URL and SWM_TEST_RABBITMQ_PASSWORD.
 */

#include "ceiling.h"

/* `prefetch` of the workflow queue. rows_per_event is that of messages. */
void ceiling_rabbitmq_measure(int64_t instances, uint16_t prefetch, struct ceiling_result *out);

#endif
