/* SPDX-License-Identifier: MIT */

/*
 * The plugin's descriptor, its options, and what belongs to the adapter as a whole:
 * open, close, prepare, depth.
 *
 * Concurrency: prepare and depth share one connection under a mutex, for they are
 * rare; nothing on the hot path takes it.
 */

#include "queue_rabbitmq.h"

#include "status.h"
#include "timed_lock.h"
#include "topology.h"

#include <stdlib.h>

/* Declarations and their answers are small. */
#define FRAME_MAX_BYTES (32 * 1024)

static void queue_close(struct swm_queue *queue)
{
	if (queue == NULL) {
		return;
	}
	swm_rmq_link_close(&queue->control, swm_rmq_until_ms(queue->call_timeout_ms));
	swm_rmq_address_finish(&queue->address);
	free(queue->arguments.entries);
	(void)pthread_mutex_destroy(&queue->mutex);
	free(queue);
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
	status = swm_rmq_address_read(&queue->address, queue->config, err);
	if (status == SWM_OK) {
		status = swm_rmq_arguments_make(queue->config, &queue->arguments, err);
	}
	if (status != SWM_OK) {
		queue_close(queue);
		return status;
	}
	*out = queue;
	return SWM_OK;
}

/* Another thread may be waiting for the broker with the control connection. */
static swm_status lock_control(struct swm_queue *queue, struct swm_error *err)
{
	return swm_timed_lock(&queue->mutex, queue->call_timeout_ms, queue->address.name, err);
}

/* What is asked on the control connection. */
struct question {
	const struct swm_str *names;
	size_t count;
	int64_t *depth; /* NULL: declare them all */
};

static swm_status ask_once(struct swm_queue *queue, const struct question *question,
	int64_t until_ms, struct swm_error *err)
{
	const struct swm_rmq_purpose purpose = {
		.title = "swm control",
		.frame_max = FRAME_MAX_BYTES,
	};
	struct swm_rmq_link *link = &queue->control;
	swm_status status = SWM_OK;

	if (link->state == NULL) {
		status = swm_rmq_link_open(link, &queue->address, &purpose, until_ms, err);
	}
	if (status == SWM_OK) {
		status = question->depth != NULL ? swm_rmq_look_up(link, question->names[0],
							   until_ms, question->depth, err)
						 : swm_rmq_declare(link, queue, question->names,
							   question->count, until_ms, err);
	}
	if (link->dead) {
		swm_rmq_link_close(link, until_ms);
	}
	return status;
}

/* A connection that has been idle may have been lost meanwhile: then a new one is asked. */
static swm_status ask(
	struct swm_queue *queue, const struct question *question, struct swm_error *err)
{
	int64_t until_ms = swm_rmq_until_ms(queue->call_timeout_ms);
	swm_status status = lock_control(queue, err);
	bool kept;

	if (status != SWM_OK) {
		return status;
	}
	kept = queue->control.state != NULL;
	status = ask_once(queue, question, until_ms, err);
	if (status == SWM_E_UNAVAILABLE && kept) {
		status = ask_once(queue, question, until_ms, err);
	}
	(void)pthread_mutex_unlock(&queue->mutex);
	return status;
}

static swm_status queue_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, struct swm_error *err)
{
	const struct question question = {.names = names, .count = count};

	return ask(queue, &question, err);
}

static swm_status queue_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	int64_t depth = 0;
	const struct question question = {.names = &name, .count = 1, .depth = &depth};
	swm_status status = swm_rmq_name_check(name, err);

	if (status == SWM_OK) {
		status = ask(queue, &question, err);
	}
	if (status == SWM_OK) {
		*out = depth;
	}
	return status;
}

static const char *const queue_types[] = {"quorum", "classic", NULL};

static const struct swm_option options[] = {
	{
		.name = "url",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, url, const char *),
		.fallback = "amqp://guest@localhost:5672/",
		.doc = "The broker, as amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS; the "
		       "password stands in 'password'.",
	},
	{
		.name = "password",
		.type = SWM_OPTION_STRING,
		.flags = SWM_OPTION_SECRET,
		.offset = SWM_OFFSET(struct swm_queue_config, password, const char *),
		.doc = "Of the user in 'url'; not needed for guest.",
	},
	{
		.name = "tls_ca",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_ca, const char *),
		.doc = "With amqps: the file of the authorities that the broker's certificate "
		       "may be from; the system's when unset. The host's name is verified, "
		       "too.",
	},
	{
		.name = "tls_cert",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_cert, const char *),
		.doc = "With amqps: the file of our own certificate, for brokers that ask.",
	},
	{
		.name = "tls_key",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, tls_key, const char *),
		.doc = "The file of the key of 'tls_cert'.",
	},
	{
		.name = "create_queues",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, create_queues, bool),
		.fallback = "true",
		.doc = "Whether a queue that is named but missing is created.",
	},
	{
		.name = "queue_type",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct swm_queue_config, queue_type, int32_t),
		.fallback = "quorum",
		.choices = queue_types,
		.doc = "Of queues that are created; one that exists is taken as it is.",
	},
	{
		.name = "queue_arguments",
		.type = SWM_OPTION_MAP,
		.offset = SWM_OFFSET(struct swm_queue_config, queue_arguments, struct swm_map),
		.doc = "Further arguments of queues that are created, as "
		       "\"x-quorum-initial-group-size\": \"3\"; digits are sent as a number.",
	},
	{
		.name = "heartbeat",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_queue_config, heartbeat_ms, int64_t),
		.fallback = "20s",
		.min = 5000,
		.max = INT64_C(600000),
		.doc = "A consumer's broker that is silent for twice as long is given up, and "
		       "so "
		       "does the broker.",
	},
	{
		.name = "content_type",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, content_type, const char *),
		.fallback = "application/json",
		.doc = "The property content-type of what is sent.",
	},
	{
		.name = "max_message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_queue_config, message_bytes_max, int64_t),
		.fallback = "16MiB",
		.min = 1024,
		.max = INT64_C(512) * 1024 * 1024,
		.doc = "The largest body: a larger one is not sent, and received only so far.",
	},
	{.name = NULL},
};

static const struct swm_queue_ops ops = {
	.size = sizeof(ops),
	.capabilities = 0,
	.open = queue_open,
	.close = queue_close,
	.prepare = queue_prepare,
	.consumer_open = swm_rmq_consumer_open,
	.consumer_receive = swm_rmq_consumer_receive,
	.consumer_settle = swm_rmq_consumer_settle,
	.consumer_wake = swm_rmq_consumer_wake,
	.consumer_close = swm_rmq_consumer_close,
	.publisher_open = swm_rmq_publisher_open,
	.publisher_publish = swm_rmq_publisher_publish,
	.publisher_close = swm_rmq_publisher_close,
	.depth = queue_depth,
};

const struct swm_plugin swm_queue_rabbitmq = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(swm_queue_rabbitmq),
	.kind = SWM_PLUGIN_QUEUE,
	.name = "rabbitmq",
	.version = "0.1.0",
	.license = "MIT",
	.description = "RabbitMQ, and other brokers that speak AMQP 0-9-1 as it does",
	.options = options,
	.option_size = sizeof(struct swm_option),
	.config_size = sizeof(struct swm_queue_config),
	.ops = &ops,
};
