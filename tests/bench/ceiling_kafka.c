/* SPDX-License-Identifier: MIT */

/*
 * The bare loop over librdkafka: two threads, a client each, as an engine and its agents
 * have theirs.
 *
 * Concurrency: `taken` is all that the threads share.
 */

#define LIBRDKAFKA_TYPECHECKS 0 /* they are no ISO C */

#include "ceiling_kafka.h"

#include "count.h"
#include "workload.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOPICS (1 + WORKLOAD_TASKS)
#define NAME_BYTES 64
#define PATIENCE_MS 60000

/* So many lie in the topics. */
#define LAG_COUNT 4096

/* After so many the producer is looked after. */
#define SEND_COUNT 64

/* The topics of an instance's messages, in the order in which they come about. */
static const int topic_of[WORKLOAD_MESSAGES] = {0, 1, 0, 2, 3, 0, 0, 4, 0, 5, 0};

struct loop {
	rd_kafka_t *in;  /* the producer */
	rd_kafka_t *out; /* the consumer */
	char names[TOPICS][NAME_BYTES];
	rd_kafka_topic_t *topics[TOPICS];
	uint64_t total;
	uint64_t reported;
	_Atomic uint64_t taken;
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[256];
	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
		workload_fail(name, reason);
	}
}

static void take_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct loop *loop = opaque;
	(void)rk;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		workload_fail("publish", rd_kafka_err2str(message->err));
	}
	loop->reported++;
}

static rd_kafka_t *open_client(struct loop *loop, rd_kafka_type_t type)
{
	const char *brokers = getenv("SWM_TEST_KAFKA_BROKERS");
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];
	if (!brokers) {
		workload_fail("SWM_TEST_KAFKA_BROKERS", "not set: run tests/bench/run");
	}
	set(conf, "bootstrap.servers", brokers);
	set(conf, "socket.nagle.disable", "true");
	rd_kafka_conf_set_opaque(conf, loop);
	if (type == RD_KAFKA_PRODUCER) {
		set(conf, "enable.idempotence", "true");
		set(conf, "linger.ms", "1");
		set(conf, "partitioner", "murmur2_random");
		rd_kafka_conf_set_dr_msg_cb(conf, take_report);
	} else {
		set(conf, "group.id", loop->names[0]);
		set(conf, "enable.auto.offset.store", "false");
		set(conf, "auto.commit.interval.ms", "500");
		set(conf, "auto.offset.reset", "earliest");
	}
	rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (!client) {
		workload_fail("client", reason);
	}
	return client;
}

static void make_topics(struct loop *loop)
{
	rd_kafka_NewTopic_t *wanted[TOPICS];
	rd_kafka_queue_t *answers = rd_kafka_queue_new(loop->in);
	for (int i = 0; i < TOPICS; i++) {
		wanted[i] = rd_kafka_NewTopic_new(loop->names[i], -1, -1, NULL, 0);
		loop->topics[i] = rd_kafka_topic_new(loop->in, loop->names[i], NULL);
	}
	rd_kafka_CreateTopics(loop->in, wanted, TOPICS, NULL, answers);
	rd_kafka_event_t *event = rd_kafka_queue_poll(answers, PATIENCE_MS);
	if (!event || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		workload_fail("topics", "the broker does not make them");
	}
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy_array(wanted, TOPICS);
	rd_kafka_queue_destroy(answers);
}

/* Until it has its partitions, which is no part of the measurement. */
static void subscribe(struct loop *loop)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TOPICS);
	rd_kafka_topic_partition_list_t *assigned = NULL;
	for (int i = 0; i < TOPICS; i++) {
		rd_kafka_topic_partition_list_add(list, loop->names[i], RD_KAFKA_PARTITION_UA);
	}
	(void)rd_kafka_poll_set_consumer(loop->out);
	(void)rd_kafka_subscribe(loop->out, list);
	rd_kafka_topic_partition_list_destroy(list);
	for (int i = 0; i < PATIENCE_MS / 100; i++) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(loop->out, 100);
		if (message) {
			rd_kafka_message_destroy(message);
		}
		if (rd_kafka_assignment(loop->out, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR) {
			break;
		}
		int count = assigned->cnt;
		rd_kafka_topic_partition_list_destroy(assigned);
		if (count >= TOPICS) {
			return;
		}
	}
	workload_fail("subscribe", "the group does not come about");
}

static void add_header(rd_kafka_headers_t *headers, const char *name, const char *value)
{
	(void)rd_kafka_header_add(headers, name, -1, value, -1);
}

/* A task has the headers that the engine gives it, an answer those of our agent. */
static void publish(struct loop *loop, int topic, uint64_t number)
{
	char id[WORKLOAD_ID_BYTES];
	union {
		const char *in;
		void *out;
	} key = {.in = "ITALIAN/ORDER-000000001"}, body = {.in = workload_message};
	rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
	workload_id(id, (int64_t)number);
	add_header(headers, "swm-message-id", id);
	add_header(headers, "content-type", "application/json");
	if (topic != 0) {
		add_header(headers, "swm-attempt", "1");
		add_header(headers, "ce_specversion", "1.0");
		add_header(headers, "ce_id", id);
		add_header(headers, "ce_source", "/swm");
		add_header(headers, "ce_type", "swm.StartTask");
		add_header(headers, "ce_subject", key.in);
	}
	rd_kafka_resp_err_t code = rd_kafka_producev(loop->in,
		RD_KAFKA_V_RKT(loop->topics[topic]), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		/* Orders have keys of their own, so that all partitions have their share. */
		RD_KAFKA_V_KEY(id, strlen(id)), RD_KAFKA_V_VALUE(body.out, strlen(body.in)),
		RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		workload_fail("publish", rd_kafka_err2str(code));
	}
}

static void publish_all(struct loop *loop)
{
	uint64_t sent = 0;
	while (loop->reported < loop->total) {
		uint64_t lag = sent - atomic_load(&loop->taken);
		if (sent == loop->total || lag > LAG_COUNT) {
			(void)rd_kafka_poll(loop->in, 1);
			continue;
		}
		for (int i = 0; i < SEND_COUNT && sent < loop->total; i++) {
			publish(loop, topic_of[sent % WORKLOAD_MESSAGES], sent);
			sent++;
		}
		(void)rd_kafka_poll(loop->in, 0);
	}
}

static void *consume_all(void *arg)
{
	struct loop *loop = arg;
	uint64_t taken = 0;
	while (taken < loop->total) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(loop->out, PATIENCE_MS);
		if (!message) {
			workload_fail("consume", "nothing comes");
			return NULL;
		}
		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			(void)rd_kafka_offset_store(
				message->rkt, message->partition, message->offset);
			atomic_store(&loop->taken, ++taken);
		}
		rd_kafka_message_destroy(message);
	}
	return NULL;
}

static void open_loop(struct loop *loop)
{
	static unsigned rounds;
	for (int i = 0; i < TOPICS; i++) {
		(void)snprintf(loop->names[i], sizeof(loop->names[i]), "bench-ceiling-%d-%u-%d",
			(int)getpid(), rounds, i);
	}
	rounds++;
	loop->in = open_client(loop, RD_KAFKA_PRODUCER);
	loop->out = open_client(loop, RD_KAFKA_CONSUMER);
	make_topics(loop);
	subscribe(loop);
}

static void close_loop(struct loop *loop)
{
	for (int i = 0; i < TOPICS; i++) {
		rd_kafka_topic_destroy(loop->topics[i]);
	}
	(void)rd_kafka_consumer_close(loop->out);
	rd_kafka_destroy(loop->out);
	rd_kafka_destroy(loop->in);
}

void ceiling_kafka_measure(int64_t instances, struct ceiling_result *out)
{
	struct loop loop = {.total = (uint64_t)instances * WORKLOAD_MESSAGES};
	pthread_t consumer;
	open_loop(&loop);
	struct count before = count_now();
	if (pthread_create(&consumer, NULL, consume_all, &loop) != 0) {
		abort();
	}
	publish_all(&loop);
	(void)pthread_join(consumer, NULL);
	struct count cost = count_since(&before);
	double events = (double)instances * WORKLOAD_EVENTS;
	*out = (struct ceiling_result){
		.events_per_second = events / ((double)cost.wall_ns / 1e9),
		.rows_per_event = (double)loop.total / events,
	};
	close_loop(&loop);
}
