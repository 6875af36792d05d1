/* SPDX-License-Identifier: MIT */

/* See settings.h. Why each of them: README.md and the comments beside it. */

#include "settings.h"

#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 24

/* Headers and framing beside the largest body. */
#define OVERHEAD_BYTES (INT64_C(64) * 1024)

/* Beyond what is fetched, for the rest of an answer. */
#define RECEIVE_EXTRA_BYTES (INT64_C(1024) * 1024)

/* A member of the group that does not answer a rebalance holds up all others for so long,
 * unless its session is longer still. */
#define REBALANCE_MIN_MS 60000

/* How soon a rebalance is heard of: one of the others waits for it. */
#define HEARTBEAT_MAX_MS 1000

struct property {
	const char *name;
	const char *value;
};

/* Waits and reconnections of ours are shorter than the library's, which is made for
 * clients that have nobody to tell. */
static const struct property common[] = {
	{"client.id", "swm"},
	{"allow.auto.create.topics", "false"}, /* with the broker's idea of partitions */
	{"socket.nagle.disable", "true"},
	{"socket.keepalive.enable", "true"},
	{"socket.timeout.ms", "10000"},
	{"socket.connection.setup.timeout.ms", "10000"},
	{"reconnect.backoff.max.ms", "5000"},
	{"topic.metadata.refresh.interval.ms", "15000"},
	{"log.connection.close", "false"},
};

/* Offsets are stored when all before them are finished, and committed from there. The
 * cooperative assignor loses assignments in librdkafka 2.0.2 (#4059, #4800). On a lost
 * offset begin at the oldest: what is known already does no harm, what is skipped does. */
static const struct property consumers[] = {
	{"enable.auto.commit", "true"},
	{"auto.commit.interval.ms", "500"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "earliest"},
	{"partition.assignment.strategy", "range,roundrobin"},
	{"enable.partition.eof", "false"},
	{"queued.min.messages", "1000"},
	{"fetch.error.backoff.ms", "100"},
};

/* The instance decides the partition, in the same way as with Java's clients. */
static const struct property producers[] = {
	{"acks", "all"},
	{"linger.ms", "1"},
	{"message.timeout.ms", "30000"},
	{"request.timeout.ms", "10000"},
	{"partitioner", "murmur2_random"},
	{"delivery.report.only.error", "false"},
	{"queue.buffering.max.kbytes", "262144"},
};

/* What "client" may not say: the option that does, or that nothing may. */
static const struct {
	const char *name;
	const char *option;
} reserved[] = {
	{"bootstrap.servers", "brokers"},
	{"metadata.broker.list", "brokers"},
	{"group.id", "group"},
	{"group.instance.id", "group_instance_id"},
	{"session.timeout.ms", "session_timeout"},
	{"sasl.username", "user"},
	{"sasl.password", "password"},
	{"ssl.ca.location", "tls_ca"},
	{"ssl.certificate.location", "tls_cert"},
	{"ssl.key.location", "tls_key"},
	{"ssl.key.password", "tls_key_password"},
	{"enable.idempotence", "idempotence"},
	{"message.max.bytes", "max_message"},
	{"queued.max.messages.kbytes", "prefetch_bytes"},
	{"enable.auto.commit", NULL},
	{"auto.commit.enable", NULL},
	{"enable.auto.offset.store", NULL},
	{"auto.offset.reset", NULL},
	{"partition.assignment.strategy", NULL},
	{"enable.partition.eof", NULL},
	{"acks", NULL},
	{"request.required.acks", NULL},
	{"transactional.id", NULL},
	{"delivery.report.only.error", NULL},
};

static swm_status set(
	rd_kafka_conf_t *conf, const char *name, const char *value, struct swm_error *err)
{
	char unsaid[16]; /* the library's message would repeat the value */

	if (rd_kafka_conf_set(conf, name, value, unsaid, sizeof(unsaid)) != RD_KAFKA_CONF_OK) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"librdkafka has no property \"%s\", or does not take the value that "
			"it is given",
			name);
	}
	return SWM_OK;
}

static swm_status set_number(
	rd_kafka_conf_t *conf, const char *name, int64_t value, struct swm_error *err)
{
	char text[NUMBER_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	return set(conf, name, text, err);
}

/* Leaves it alone when there is no value. */
static swm_status set_some(
	rd_kafka_conf_t *conf, const char *name, const char *value, struct swm_error *err)
{
	return value == NULL ? SWM_OK : set(conf, name, value, err);
}

static swm_status set_all(rd_kafka_conf_t *conf, const struct property *properties,
	size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = set(conf, properties[i].name, properties[i].value, err);
	}
	return status;
}

static swm_status set_brokers(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	const struct swm_list *brokers = &config->brokers;
	size_t size = 1;
	swm_status status;
	char *text;
	char *at;
	size_t i;

	for (i = 0; i < brokers->count; i++) {
		size += strlen(brokers->items[i]) + 1;
	}
	text = calloc(1, size);
	if (text == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	at = text;
	for (i = 0; i < brokers->count; i++) {
		size_t len = strlen(brokers->items[i]);

		if (i != 0) {
			*at++ = ',';
		}
		memcpy(at, brokers->items[i], len);
		at += len;
	}
	status = set(conf, "bootstrap.servers", text, err);
	free(text);
	return status;
}

static swm_status set_security(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	static const char *const mechanisms[] = {
		NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
	bool sasl = config->sasl != SWM_KAFKA_SASL_NONE;
	swm_status status;

	if (sasl != (config->user != NULL) || sasl != (config->password != NULL)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"sasl, user and password belong together: all of them, or none");
	}
	if (!config->tls && (config->tls_ca != NULL || config->tls_cert != NULL ||
				    config->tls_key != NULL)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"tls_ca, tls_cert and tls_key need \"tls\": true");
	}
	if (config->tls) {
		status = set(conf, "security.protocol", sasl ? "sasl_ssl" : "ssl", err);
	} else {
		status = set(
			conf, "security.protocol", sasl ? "sasl_plaintext" : "plaintext", err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "sasl.mechanisms", mechanisms[config->sasl], err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "sasl.username", config->user, err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "sasl.password", config->password, err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "ssl.ca.location", config->tls_ca, err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "ssl.certificate.location", config->tls_cert, err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "ssl.key.location", config->tls_key, err);
	}
	if (status == SWM_OK) {
		status = set_some(conf, "ssl.key.password", config->tls_key_password, err);
	}
	return status;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static swm_status set_sizes(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	int64_t message_bytes = config->message_bytes_max + OVERHEAD_BYTES;
	int64_t fetch_bytes = larger(config->prefetch_bytes, message_bytes);
	swm_status status = set_number(conf, "message.max.bytes", message_bytes, err);

	if (status == SWM_OK) {
		status = set_number(conf, "fetch.max.bytes", fetch_bytes, err);
	}
	if (status == SWM_OK) {
		status = set_number(conf, "receive.message.max.bytes",
			fetch_bytes + RECEIVE_EXTRA_BYTES, err);
	}
	return status;
}

static swm_status set_consumer(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	int64_t session_ms = config->session_timeout_ms;
	swm_status status =
		set_all(conf, consumers, sizeof(consumers) / sizeof(consumers[0]), err);

	if (status == SWM_OK) {
		status = set_number(conf, "session.timeout.ms", session_ms, err);
	}
	if (status == SWM_OK) {
		status = set_number(conf, "heartbeat.interval.ms",
			smaller(HEARTBEAT_MAX_MS, session_ms / 3), err);
	}
	if (status == SWM_OK) {
		status = set_number(conf, "max.poll.interval.ms",
			larger(REBALANCE_MIN_MS, session_ms), err);
	}
	if (status == SWM_OK) {
		status = set_number(
			conf, "queued.max.messages.kbytes", config->prefetch_bytes / 1024, err);
	}
	return status;
}

static swm_status set_producer(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	swm_status status =
		set_all(conf, producers, sizeof(producers) / sizeof(producers[0]), err);

	if (status == SWM_OK) {
		status = set(conf, "enable.idempotence", config->idempotence ? "true" : "false",
			err);
	}
	return status;
}

static swm_status set_own(
	const struct swm_queue_config *config, rd_kafka_conf_t *conf, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;
	size_t j;

	for (i = 0; i < config->client.count && status == SWM_OK; i++) {
		const struct swm_pair *pair = &config->client.items[i];

		for (j = 0; j < sizeof(reserved) / sizeof(reserved[0]); j++) {
			if (strcmp(pair->name, reserved[j].name) != 0) {
				continue;
			}
			return swm_fail(err, SWM_E_CONFIG, 0, "client: \"%s\" %s%s", pair->name,
				reserved[j].option != NULL ? "is the option "
							   : "is the adapter's own",
				reserved[j].option != NULL ? reserved[j].option : "");
		}
		status = set(conf, pair->name, pair->value, err);
	}
	return status;
}

static swm_status fill(const struct swm_queue_config *config, enum swm_kafka_purpose purpose,
	rd_kafka_conf_t *conf, struct swm_error *err)
{
	swm_status status = set_all(conf, common, sizeof(common) / sizeof(common[0]), err);

	if (status == SWM_OK) {
		status = set_brokers(config, conf, err);
	}
	if (status == SWM_OK) {
		status = set_security(config, conf, err);
	}
	if (status == SWM_OK) {
		status = set_sizes(config, conf, err);
	}
	if (status == SWM_OK && purpose != SWM_KAFKA_PRODUCER) {
		status = set(conf, "group.id", config->group, err);
	}
	/* The control client joins no group, but is of the same kind to the library. */
	if (status == SWM_OK && purpose != SWM_KAFKA_PRODUCER) {
		status = set_consumer(config, conf, err);
	}
	if (status == SWM_OK && purpose == SWM_KAFKA_PRODUCER) {
		status = set_producer(config, conf, err);
	}
	return status == SWM_OK ? set_own(config, conf, err) : status;
}

swm_status swm_kafka_settings_make(const struct swm_queue_config *config,
	enum swm_kafka_purpose purpose, rd_kafka_conf_t **out, struct swm_error *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	swm_status status;

	if (conf == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = fill(config, purpose, conf, err);
	if (status != SWM_OK) {
		rd_kafka_conf_destroy(conf);
		return status;
	}
	*out = conf;
	return SWM_OK;
}

swm_status swm_kafka_settings_set_member(const struct swm_queue_config *config,
	rd_kafka_conf_t *conf, unsigned number, uint32_t topics, struct swm_error *err)
{
	size_t size = strlen(config->group_instance_id) + NUMBER_TEXT_MAX;
	char *text = malloc(size);
	swm_status status;

	if (text == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)snprintf(
		text, size, "%s-%08" PRIx32 "-%u", config->group_instance_id, topics, number);
	status = set(conf, "group.instance.id", text, err);
	free(text);
	return status;
}
