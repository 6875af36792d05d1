/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_TOPICS_H
#define QUEUE_KAFKA_TOPICS_H

/*
 * Topics: whether they are there, making them, how much waits in one. A question to the
 * broker each.
 *
 * Concurrency: any thread; the client that asks may be asked by several at once.
 */

#include "queue_kafka.h"

/* The longest name that a broker allows. */
#define SWM_KAFKA_NAME_MAX 249

/* SWM_E_INVALID: no topic may have such a name. */
SWM_NODISCARD swm_status swm_kafka_name_check(struct swm_str name, struct swm_error *err);

/* What a broker knows of a topic. */
struct swm_kafka_topic {
	struct swm_str name;
	rd_kafka_resp_err_t code; /* 0: it is there */
	int partitions;
	bool led; /* all of them have a leader */
};

/* Asks for `count` topics at once, whose names are set and have been checked, and fills in
 * the rest. SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_DENIED: no answer. */
SWM_NODISCARD swm_status swm_kafka_topics_ask(struct swm_kafka_client *client,
	struct swm_kafka_topic *topics, size_t count, int64_t until_ms, struct swm_error *err);

/* They are all there, or are made, if `create_topics`. As swm_queue_ops.prepare. */
SWM_NODISCARD swm_status swm_kafka_topics_prepare(struct swm_queue *queue,
	const struct swm_str *names, size_t count, int64_t until_ms, struct swm_error *err);

/* As swm_queue_ops.depth. */
SWM_NODISCARD swm_status swm_kafka_topics_depth(struct swm_queue *queue, struct swm_str name,
	int64_t until_ms, int64_t *depth, struct swm_error *err);

#endif
