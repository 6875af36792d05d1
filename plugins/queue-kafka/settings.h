/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_SETTINGS_H
#define QUEUE_KAFKA_SETTINGS_H

/*
 * The configuration as the library's properties: what this adapter stands on, then the
 * options, then the operator's own ("client"), which may not touch the first.
 *
 * Concurrency: functions over memory of the caller's.
 */

#include "queue_kafka.h"

enum swm_kafka_sasl {
	SWM_KAFKA_SASL_NONE = 0,
	SWM_KAFKA_SASL_PLAIN = 1,
	SWM_KAFKA_SASL_SCRAM_SHA_256 = 2,
	SWM_KAFKA_SASL_SCRAM_SHA_512 = 3
};

enum swm_kafka_purpose {
	SWM_KAFKA_CONTROL,
	SWM_KAFKA_CONSUMER,
	SWM_KAFKA_PRODUCER
};

/* For a client of that purpose; the caller's, until a client takes it over. No message has
 * a value in it, since any may be a secret. SWM_E_CONFIG, SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_kafka_settings_make(const struct swm_queue_config *config,
	enum swm_kafka_purpose purpose, rd_kafka_conf_t **out, struct swm_error *err);

/* Makes one of a consumer the static member `number` of its group, of those that listen to
 * the same topics, which `topics` is a digest of: a group gives a member that comes back
 * what it had before, whatever it subscribes to now. */
SWM_NODISCARD swm_status swm_kafka_settings_set_member(const struct swm_queue_config *config,
	rd_kafka_conf_t *conf, unsigned number, uint32_t topics, struct swm_error *err);

#endif
