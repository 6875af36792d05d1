/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_CLIENT_H
#define QUEUE_KAFKA_CLIENT_H

/*
 * One client of the library's, a rd_kafka_t: opened with what it logs going to the host,
 * closed in a bounded time. What befell its connections last is kept for the messages of
 * errors, since a call that fails only says that it took too long.
 *
 * Concurrency: a rd_kafka_t has threads of its own, which call log_cb; all its functions
 * may be called from any thread. What is kept here is guarded by a mutex.
 */

#include "clock.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <swm/plugin.h>

struct swm_kafka_client {
	rd_kafka_t *rk;
	const struct swm_host *host;
	const char *instance;
	void *owner; /* the consumer or publisher, for callbacks */
	struct swm_kafka_ending ending;
	pthread_mutex_t mutex;
	swm_status trouble; /* of its connections: SWM_OK, SWM_E_UNAVAILABLE, SWM_E_DENIED */
	char reason[SWM_ERROR_MESSAGE_MAX];
};

/* Takes `conf` over, whatever becomes of it. SWM_E_CONFIG: the library does not take it;
 * SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_kafka_client_open(struct swm_kafka_client **out,
	rd_kafka_type_t type, rd_kafka_conf_t *conf, const struct swm_open_args *args,
	void *owner, struct swm_error *err);

/* Destroys it, in this thread, for as long as the library takes. NULL is allowed. */
void swm_kafka_client_destroy(struct swm_kafka_client *client);

/* The same, but no longer than until then; if that does not do, it is left to end by
 * itself, and a warning logged. NULL is allowed. */
void swm_kafka_client_close(struct swm_kafka_client *client, int64_t until_ms);

/* The status that an error of the library's stands for, where no other is meant. */
swm_status swm_kafka_status(rd_kafka_resp_err_t code);

/* Fills `err` with what went wrong (a verb phrase, as "list the topics") and with the
 * connections' trouble, if there is any. SWM_E_DENIED if that is it, else the code's. */
swm_status swm_kafka_client_fail(struct swm_kafka_client *client, rd_kafka_resp_err_t code,
	const char *what, struct swm_error *err);

/* What the broker has answered: whatever trouble there was is over. */
void swm_kafka_client_worked(struct swm_kafka_client *client);

/* Writes one line to the host's log. */
void swm_kafka_client_log(const struct swm_kafka_client *client, int32_t level, const char *fmt,
	...) SWM_PRINTF(3, 4);

#endif
