/* SPDX-License-Identifier: MIT */

/* See producer.h. */

#define LIBRDKAFKA_TYPECHECKS 0 /* they are no ISO C */

#include "producer.h"

#include "message.h"
#include "settings.h"
#include "status.h"
#include "topics.h"

#include <stdlib.h>
#include <string.h>

/* Topics that are asked for at a time. */
#define ASK_MAX 64

swm_status swm_kafka_producer_open(struct swm_kafka_producer *producer, struct swm_queue *queue,
	void *owner, void (*report)(rd_kafka_t *, const rd_kafka_message_t *, void *),
	struct swm_error *err)
{
	const struct swm_open_args args = {
		.size = sizeof(args),
		.host = queue->host,
		.instance = queue->instance,
	};
	rd_kafka_conf_t *conf = NULL;
	swm_status status =
		swm_kafka_settings_make(queue->config, SWM_KAFKA_PRODUCER, &conf, err);

	*producer = (struct swm_kafka_producer){.queue = queue};
	if (status != SWM_OK) {
		return status;
	}
	rd_kafka_conf_set_dr_msg_cb(conf, report);
	return swm_kafka_client_open(
		&producer->client, RD_KAFKA_PRODUCER, conf, &args, owner, err);
}

void swm_kafka_producer_close(struct swm_kafka_producer *producer, int64_t until_ms)
{
	struct swm_kafka_destination *destination;

	if (producer->client == NULL) {
		return;
	}
	(void)rd_kafka_purge(producer->client->rk, RD_KAFKA_PURGE_F_QUEUE |
							   RD_KAFKA_PURGE_F_INFLIGHT |
							   RD_KAFKA_PURGE_F_NON_BLOCKING);
	(void)rd_kafka_poll(producer->client->rk, 0);
	while ((destination = producer->destinations) != NULL) {
		producer->destinations = destination->next;
		rd_kafka_topic_destroy(destination->topic);
		free(destination);
	}
	swm_kafka_client_close(producer->client, until_ms);
	producer->client = NULL;
}

swm_status swm_kafka_producer_reach(
	struct swm_kafka_producer *producer, int64_t until_ms, struct swm_error *err)
{
	const struct rd_kafka_metadata *answer = NULL;
	rd_kafka_resp_err_t code = rd_kafka_metadata(
		producer->client->rk, 0, NULL, &answer, swm_kafka_left_ms(until_ms));

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		(void)rd_kafka_poll(producer->client->rk, 0);
		return swm_kafka_client_fail(producer->client, code, "reach a broker", err);
	}
	rd_kafka_metadata_destroy(answer);
	return SWM_OK;
}

static struct swm_kafka_destination *add(
	struct swm_kafka_producer *producer, struct swm_str name)
{
	struct swm_kafka_destination *destination =
		calloc(1, sizeof(*destination) + name.len + 1);

	if (destination == NULL) {
		return NULL;
	}
	memcpy(destination->name, name.ptr, name.len);
	destination->name_len = name.len;
	destination->status = SWM_E_TIMEOUT;
	destination->topic = rd_kafka_topic_new(producer->client->rk, destination->name, NULL);
	if (destination->topic == NULL) {
		free(destination);
		return NULL;
	}
	destination->next = producer->destinations;
	producer->destinations = destination;
	return destination;
}

struct swm_kafka_destination *swm_kafka_producer_find(
	struct swm_kafka_producer *producer, struct swm_str name)
{
	struct swm_kafka_destination *destination = producer->destinations;

	for (; destination != NULL; destination = destination->next) {
		if (destination->name_len == name.len &&
			memcmp(destination->name, name.ptr, name.len) == 0) {
			return destination;
		}
	}
	return add(producer, name);
}

/* One page of them, from *next on. */
static swm_status ask_page(struct swm_kafka_producer *producer,
	struct swm_kafka_destination **next, int64_t until_ms, struct swm_error *err)
{
	struct swm_kafka_destination *asked[ASK_MAX];
	struct swm_kafka_topic topics[ASK_MAX] = {0};
	struct swm_kafka_destination *destination = *next;
	size_t count = 0;
	swm_status status;
	size_t i;

	for (; destination != NULL && count < ASK_MAX; destination = destination->next) {
		if (destination->status == SWM_E_TIMEOUT) {
			asked[count] = destination;
			topics[count].name =
				(struct swm_str){destination->name, destination->name_len};
			count++;
		}
	}
	*next = destination;
	if (count == 0) {
		return SWM_OK;
	}
	status = swm_kafka_topics_ask(producer->client, topics, count, until_ms, err);
	for (i = 0; i < count && status == SWM_OK; i++) {
		asked[i]->code = topics[i].code;
		asked[i]->status = swm_kafka_status(topics[i].code);
	}
	return status;
}

swm_status swm_kafka_producer_ask(
	struct swm_kafka_producer *producer, int64_t until_ms, struct swm_error *err)
{
	struct swm_kafka_destination *next = producer->destinations;
	swm_status status = SWM_OK;

	while (next != NULL && status == SWM_OK) {
		status = ask_page(producer, &next, until_ms, err);
	}
	return status;
}

/* The library wants what it does not write to without const. */
static void *bytes_of(struct swm_str text)
{
	union {
		const char *in;
		void *out;
	} ptr = {.in = text.ptr};

	return text.len == 0 ? NULL : ptr.out;
}

swm_status swm_kafka_producer_send(struct swm_kafka_producer *producer,
	const struct swm_kafka_destination *destination, const struct swm_message *message,
	void *ticket, struct swm_error *err)
{
	static char nothing[1]; /* no value is another thing to Kafka than an empty one */
	void *body = message->body.len == 0 ? nothing : bytes_of(message->body);
	rd_kafka_headers_t *headers = NULL;
	rd_kafka_resp_err_t code;
	swm_status status = swm_kafka_headers_make(
		message, producer->queue->config->content_type, &headers, err);

	if (status != SWM_OK) {
		return status;
	}
	code = rd_kafka_producev(producer->client->rk, RD_KAFKA_V_RKT(destination->topic),
		RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY(bytes_of(message->key), message->key.len),
		RD_KAFKA_V_VALUE(body, message->body.len), RD_KAFKA_V_HEADERS(headers),
		RD_KAFKA_V_OPAQUE(ticket), RD_KAFKA_V_END);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		return SWM_OK;
	}
	rd_kafka_headers_destroy(headers);
	return swm_fail(err, swm_kafka_status(code), (int)code, "topic \"%s\": %s",
		destination->name, rd_kafka_err2str(code));
}
