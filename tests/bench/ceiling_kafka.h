/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_CEILING_KAFKA_H
#define SWM_BENCH_CEILING_KAFKA_H

/*
 * What the machine could do at best with Kafka: one thread publishes as many messages as
 * the pizza workflow does, as large, to as many topics, by an idempotent producer that
 * waits for all replicas, without ever waiting for a report itself; another consumes them
 * as a group and stores their offsets. Over librdkafka alone; no engine, no port, no
 * order between messages.
 *
 * The broker is that of SWM_TEST_KAFKA_BROKERS.
 */

#include "ceiling.h"

/* rows_per_event is that of messages. */
void ceiling_kafka_measure(int64_t instances, struct ceiling_result *out);

#endif
