/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_ADDRESS_H
#define QUEUE_RABBITMQ_ADDRESS_H

/*
 * Where the broker is and who we are there: the URL of the configuration, taken apart.
 * The password stands in an option of its own, which the host never prints; one inside
 * of the URL is refused.
 *
 * Concurrency: constant once read.
 */

#include <swm/types.h>

struct swm_queue_config;

struct swm_rmq_address {
	char *text; /* the URL, cut into the strings below; NULL: none */
	const char *host;
	const char *user;
	const char *vhost;
	const char *password; /* the configuration's, as are the files */
	const char *ca;
	const char *cert; /* of ours; NULL: none */
	const char *key;
	int port;
	bool tls;
	char name[128]; /* HOST:PORT/VHOST, for messages */
};

/* SWM_E_CONFIG: it is no such URL, or the options contradict each other. SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_rmq_address_read(struct swm_rmq_address *address,
	const struct swm_queue_config *config, struct swm_error *err);

/* All zero bits is fine. */
void swm_rmq_address_finish(struct swm_rmq_address *address);

#endif
