/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_PRODUCER_H
#define QUEUE_KAFKA_PRODUCER_H

/*
 * The producer of a publisher's, and the topics that it has sent to. The library finds out
 * by itself where a topic is, but takes its time with one that it has not met, or that is
 * not there; so each is asked for once before anything is sent to it.
 *
 * Concurrency: belongs to its publisher's thread.
 */

#include "queue_kafka.h"

struct swm_kafka_destination {
	struct swm_kafka_destination *next;
	rd_kafka_topic_t *topic;
	swm_status status; /* SWM_OK: it is there; SWM_E_TIMEOUT: it has to be asked for */
	rd_kafka_resp_err_t code;
	size_t name_len;
	char name[];
};

struct swm_kafka_producer {
	struct swm_queue *queue;
	struct swm_kafka_client *client;
	struct swm_kafka_destination *destinations;
};

/* Its delivery reports go to `report`, called by a poll, with `owner` in the client.
 * SWM_E_NOMEM, SWM_E_CONFIG. */
SWM_NODISCARD swm_status swm_kafka_producer_open(struct swm_kafka_producer *producer,
	struct swm_queue *queue, void *owner,
	void (*report)(rd_kafka_t *rk, const rd_kafka_message_t *message, void *client),
	struct swm_error *err);

/* Whatever it has not sent by then is dropped, and reported. All zero bits are allowed. */
void swm_kafka_producer_close(struct swm_kafka_producer *producer, int64_t until_ms);

/* A broker answers. SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_DENIED. */
SWM_NODISCARD swm_status swm_kafka_producer_reach(
	struct swm_kafka_producer *producer, int64_t until_ms, struct swm_error *err);

/* The topic of that name, which has been checked. NULL: out of memory. */
struct swm_kafka_destination *swm_kafka_producer_find(
	struct swm_kafka_producer *producer, struct swm_str name);

/* Asks for all that have to be. What cannot be had is said in each; that nobody answers,
 * with SWM_E_UNAVAILABLE, SWM_E_TIMEOUT or SWM_E_DENIED. */
SWM_NODISCARD swm_status swm_kafka_producer_ask(
	struct swm_kafka_producer *producer, int64_t until_ms, struct swm_error *err);

/* Sends: hands over to the library, which reports. `ticket` comes with the report.
 * SWM_E_THROTTLED: there is no room for now. Fatal: the library's code is __FATAL. */
SWM_NODISCARD swm_status swm_kafka_producer_send(struct swm_kafka_producer *producer,
	const struct swm_kafka_destination *destination, const struct swm_message *message,
	void *ticket, struct swm_error *err);

#endif
