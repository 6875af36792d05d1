/* SPDX-License-Identifier: MIT */

/*
 * The plugin's descriptor, its options, and what belongs to the adapter as a whole:
 * open, close, prepare, depth.
 *
 * Concurrency: prepare and depth ask through one client, which any thread may use. It is
 * made when the adapter is opened, so that what the library does not like of the
 * configuration is told then; it connects when it is asked.
 */

#include "queue_kafka.h"

#include "settings.h"
#include "status.h"
#include "topics.h"

#include <stdlib.h>

static void queue_close(struct swm_queue *queue)
{
	if (queue == NULL) {
		return;
	}
	swm_kafka_client_close(queue->control, swm_kafka_until_ms(queue->call_timeout_ms));
	(void)pthread_mutex_destroy(&queue->mutex);
	free(queue);
}

static swm_status open_control(
	struct swm_queue *queue, const struct swm_open_args *args, struct swm_error *err)
{
	rd_kafka_conf_t *conf = NULL;
	swm_status status =
		swm_kafka_settings_make(queue->config, SWM_KAFKA_PRODUCER, &conf, err);

	/* Only to see that they can be made. */
	if (status == SWM_OK) {
		rd_kafka_conf_destroy(conf);
		status = swm_kafka_settings_make(queue->config, SWM_KAFKA_CONSUMER, &conf, err);
	}
	if (status == SWM_OK) {
		rd_kafka_conf_destroy(conf);
		status = swm_kafka_settings_make(queue->config, SWM_KAFKA_CONTROL, &conf, err);
	}
	if (status == SWM_OK) {
		/* A consumer that joins no group may ask for the group's offsets. */
		status = swm_kafka_client_open(
			&queue->control, RD_KAFKA_CONSUMER, conf, args, NULL, err);
	}
	return status;
}

static swm_status queue_open(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	struct swm_queue *queue = calloc(1, sizeof(*queue));
	swm_status status;

	if (queue == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	if (pthread_mutex_init(&queue->mutex, NULL) != 0) {
		free(queue);
		return swm_fail(err, SWM_E_NOMEM, 0, "no mutex to be had");
	}
	queue->config = args->config;
	queue->host = args->host;
	queue->instance = args->instance;
	queue->call_timeout_ms = args->call_timeout_ms;
	atomic_init(&queue->consumer_count, 0);
	status = open_control(queue, args, err);
	if (status != SWM_OK) {
		queue_close(queue);
		return status;
	}
	*out = queue;
	return SWM_OK;
}

static swm_status queue_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, struct swm_error *err)
{
	return swm_kafka_topics_prepare(
		queue, names, count, swm_kafka_until_ms(queue->call_timeout_ms), err);
}

static swm_status queue_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	swm_status status = swm_kafka_name_check(name, err);

	return status == SWM_OK ? swm_kafka_topics_depth(queue, name,
					  swm_kafka_until_ms(queue->call_timeout_ms), out, err)
				: status;
}

static const char *const sasl_choices[] = {
	"none", "plain", "scram-sha-256", "scram-sha-512", NULL};

static const struct swm_option options[] = {
	{
		.name = "brokers",
		.type = SWM_OPTION_LIST,
		.flags = SWM_OPTION_REQUIRED,
		.offset = SWM_OFFSET(struct swm_queue_config, brokers, struct swm_list),
		.doc = "Some of the brokers, as \"HOST:PORT\", to ask for the others.",
	},
	{
		.name = "group",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, group, const char *),
		.fallback = "swm",
		.doc = "The consumer group: all who share a topic's messages have the same.",
	},
	{
		.name = "group_instance_id",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, group_instance_id, const char *),
		.doc = "Makes the consumers static members of the group, by this name and a "
		       "number; no two processes may have the same.",
	},
	{
		.name = "session_timeout",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_queue_config, session_timeout_ms, int64_t),
		.fallback = "15s",
		.min = 1000,
		.max = INT64_C(1800000),
		.doc = "A consumer that the group has not heard of for so long has lost its "
		       "partitions.",
	},
	{
		.name = "tls",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, tls, bool),
		.fallback = "false",
		.doc = "Whether connections are encrypted; the brokers' names are verified "
		       "then.",
	},
	{
		.name = "tls_ca",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_ca, const char *),
		.doc = "With tls: the file of the authorities that the brokers' certificates "
		       "may be from; the system's when unset.",
	},
	{
		.name = "tls_cert",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_cert, const char *),
		.doc = "With tls: the file of our own certificate, for brokers that ask.",
	},
	{
		.name = "tls_key",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_key, const char *),
		.doc = "The file of the key of 'tls_cert'.",
	},
	{
		.name = "tls_key_password",
		.type = SWM_OPTION_STRING,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_key_password, const char *),
		.doc = "Of the file 'tls_key', if it has one.",
	},
	{
		.name = "sasl",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_queue_config, sasl, int32_t),
		.fallback = "none",
		.choices = sasl_choices,
		.doc = "How 'user' proves who it is; other mechanisms through 'client'.",
	},
	{
		.name = "user",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, user, const char *),
		.doc = "With sasl: who logs in.",
	},
	{
		.name = "password",
		.type = SWM_OPTION_STRING,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, password, const char *),
		.doc = "Of 'user'.",
	},
	{
		.name = "create_topics",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, create_topics, bool),
		.fallback = "true",
		.doc = "Whether a topic that is named but missing is created.",
	},
	{
		.name = "partitions",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_queue_config, partitions, int64_t),
		.fallback = "0",
		.min = 0,
		.max = 10000,
		.doc = "Of topics that are created: as many consumers can share the work; 0: "
		       "as the broker is configured.",
	},
	{
		.name = "replication",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct swm_queue_config, replication, int64_t),
		.fallback = "0",
		.min = 0,
		.max = 100,
		.doc = "Of topics that are created: on how many brokers each message is; 0: "
		       "as the broker is configured.",
	},
	{
		.name = "idempotence",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, idempotence, bool),
		.fallback = "true",
		.doc = "Whether the broker drops what the client repeats to it.",
	},
	{
		.name = "prefetch_bytes",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_queue_config, prefetch_bytes, int64_t),
		.fallback = "8MiB",
		.min = 65536,
		.max = INT64_C(512) * 1024 * 1024,
		.doc = "How much a consumer fetches ahead of what it has handed out.",
	},
	{
		.name = "content_type",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, content_type, const char *),
		.fallback = "application/json",
		.doc = "The header content-type of what is sent.",
	},
	{
		.name = "max_message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_queue_config, message_bytes_max, int64_t),
		.fallback = "1000000",
		.min = 1024,
		.max = INT64_C(512) * 1024 * 1024,
		.doc = "The largest body that is sent; the brokers have a limit as well, "
		       "message.max.bytes.",
	},
	{
		.name = "client",
		.type = SWM_OPTION_MAP,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, client, struct swm_map),
		.doc = "Further properties of librdkafka, as \"compression.type\": \"lz4\".",
	},
	{.name = NULL},
};

static const struct swm_queue_ops ops = {
	.size = sizeof(ops),
	.capabilities = 0,
	.open = queue_open,
	.close = queue_close,
	.prepare = queue_prepare,
	.consumer_open = swm_kafka_consumer_open,
	.consumer_receive = swm_kafka_consumer_receive,
	.consumer_settle = swm_kafka_consumer_settle,
	.consumer_wake = swm_kafka_consumer_wake,
	.consumer_close = swm_kafka_consumer_close,
	.publisher_open = swm_kafka_publisher_open,
	.publisher_publish = swm_kafka_publisher_publish,
	.publisher_close = swm_kafka_publisher_close,
	.depth = queue_depth,
};

const struct swm_plugin swm_queue_kafka = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(swm_queue_kafka),
	.kind = SWM_PLUGIN_QUEUE,
	.name = "kafka",
	.version = "0.1.0",
	.license = "MIT",
	.description = "Apache Kafka, and other brokers that speak its protocol",
	.options = options,
	.option_size = sizeof(struct swm_option),
	.config_size = sizeof(struct swm_queue_config),
	.ops = &ops,
};
