/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_TOPOLOGY_H
#define QUEUE_RABBITMQ_TOPOLOGY_H

/*
 * Queues: which names they can have, which arguments ours are declared with, and
 * declaring many of them in a few round trips.
 *
 * A queue that is there is taken as it is: who declares it with other arguments than it
 * has is told so by the broker, and content when it exists.
 *
 * Concurrency: functions over a link of the caller's.
 */

#include "queue_rabbitmq.h"

/* AMQP's names are short strings. */
#define SWM_RMQ_NAME_MAX 255

/* SWM_E_INVALID for a name that the broker does not allow. */
SWM_NODISCARD swm_status swm_rmq_name_check(struct swm_str name, struct swm_error *err);

/* The arguments that the configuration asks for, to be freed with free(entries).
 * SWM_E_CONFIG, SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_rmq_arguments_make(
	const struct swm_queue_config *config, amqp_table_t *arguments, struct swm_error *err);

/* Makes sure that the queues are there; creates the missing ones if that is configured.
 * SWM_E_NOT_FOUND, SWM_E_INVALID, SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_TIMEOUT. */
SWM_NODISCARD swm_status swm_rmq_declare(struct swm_rmq_link *link,
	const struct swm_queue *queue, const struct swm_str *names, size_t count,
	int64_t until_ms, struct swm_error *err);

/* Whether a queue is there, and how many messages wait in it (NULL: not asked).
 * As swm_rmq_declare(). */
SWM_NODISCARD swm_status swm_rmq_look_up(struct swm_rmq_link *link, struct swm_str name,
	int64_t until_ms, int64_t *depth, struct swm_error *err);

#endif
