/* SPDX-License-Identifier: MIT */

/*
 * The bare loop over librabbitmq: two threads, a connection each, as an engine and its
 * agents have theirs.
 *
 * Concurrency: `taken` is all that the threads share.
 */

#include "ceiling_rabbitmq.h"

#include "count.h"
#include "workload.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CHANNEL 1
#define URL_BYTES 256
#define FRAME_BYTES (128 * 1024)

/* So many are sent at once, may wait for their confirms, and lie in the queues. */
#define SEND_COUNT 64
#define WINDOW_COUNT 1024
#define LAG_COUNT 4096

/* Acknowledged together. */
#define ACK_COUNT 128

/* As an agent with the adapter's own prefetch has them, spread over the queues of tasks. */
#define TASK_PREFETCH 52

#define QUEUES (1 + WORKLOAD_TASKS)
#define PATIENCE_SECONDS 60

/* The queues of an instance's messages, in the order in which they come about. */
static const char *const queues[QUEUES] = {"bench_ceiling_workflow", "bench_ceiling_1",
	"bench_ceiling_2", "bench_ceiling_3", "bench_ceiling_4", "bench_ceiling_5"};
static const int queue_of[WORKLOAD_MESSAGES] = {0, 1, 0, 2, 3, 0, 0, 4, 0, 5, 0};

struct broker {
	amqp_connection_state_t state;
	int fd;
};

struct loop {
	struct broker in;  /* the publisher's */
	struct broker out; /* the consumer's */
	uint64_t total;
	_Atomic uint64_t taken;
	/* The publisher's, by delivery tag. */
	bool *confirmed;
	uint64_t sent;
	uint64_t confirmed_until; /* all tags up to this one */
	uint64_t confirmed_count;
};

static void check(int rc, const char *what)
{
	if (rc != AMQP_STATUS_OK) {
		workload_fail(what, amqp_error_string2(rc));
	}
}

static void check_answer(const struct broker *broker, const char *what)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(broker->state);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
		workload_fail(what, "the broker refuses it");
	}
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		workload_fail(name, "not set: run tests/bench/run");
	}
	return value;
}

static void open_broker(struct broker *broker)
{
	char url[URL_BYTES];
	struct amqp_connection_info info;
	(void)snprintf(url, sizeof(url), "%s", setting("SWM_BENCH_RABBITMQ_URL"));
	amqp_default_connection_info(&info);
	check(amqp_parse_url(url, &info), url);
	broker->state = amqp_new_connection();
	amqp_socket_t *socket = broker->state ? amqp_tcp_socket_new(broker->state) : NULL;
	if (!socket) {
		abort();
	}
	check(amqp_socket_open(socket, info.host, info.port), "connect");
	amqp_rpc_reply_t reply = amqp_login(broker->state, info.vhost, 0, FRAME_BYTES, 0,
		AMQP_SASL_METHOD_PLAIN, info.user, setting("SWM_TEST_RABBITMQ_PASSWORD"));
	if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
		workload_fail("log in", "the broker refuses it");
	}
	(void)amqp_channel_open(broker->state, CHANNEL);
	check_answer(broker, "channel");
	broker->fd = amqp_get_sockfd(broker->state);
}

static void close_broker(struct broker *broker)
{
	(void)amqp_connection_close(broker->state, AMQP_REPLY_SUCCESS);
	(void)amqp_destroy_connection(broker->state);
}

static void cork(const struct broker *broker, int value)
{
	(void)setsockopt(broker->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

/* Without waiting. */
static bool has_more(const struct broker *broker)
{
	struct pollfd poll_fd = {.fd = broker->fd, .events = POLLIN};
	return amqp_frames_enqueued(broker->state) || amqp_data_in_buffer(broker->state) ||
	       poll(&poll_fd, 1, 0) > 0;
}

/* Publishing. */

static amqp_table_entry_t text_entry(const char *name, const char *value)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
		.value = {.kind = AMQP_FIELD_KIND_UTF8,
			.value.bytes = amqp_cstring_bytes(value)}};
}

/* A task has the headers that the engine gives it, an answer those of our agent. */
static void publish(struct loop *loop, int queue, uint64_t number)
{
	char id[WORKLOAD_ID_BYTES];
	workload_id(id, (int64_t)number);
	amqp_table_entry_t entries[] = {
		text_entry("swm-key", "ITALIAN/ORDER-000000001"),
		text_entry("swm-message-id", id),
		text_entry("swm-attempt", "1"),
		text_entry("ce-specversion", "1.0"),
		text_entry("ce-id", id),
		text_entry("ce-source", "/swm"),
		text_entry("ce-type", "swm.StartTask"),
		text_entry("ce-subject", "ITALIAN/ORDER-000000001"),
	};
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
			  AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG,
		.delivery_mode = AMQP_DELIVERY_PERSISTENT,
		.message_id = amqp_cstring_bytes(id),
		.content_type = amqp_cstring_bytes("application/json"),
		.headers = {queue == 0 ? 1 : sizeof(entries) / sizeof(entries[0]), entries},
	};
	check(amqp_basic_publish(loop->in.state, CHANNEL, amqp_empty_bytes,
		      amqp_cstring_bytes(queues[queue]), 1, 0, &properties,
		      amqp_cstring_bytes(workload_message)),
		"publish");
}

static void note_confirm(struct loop *loop, uint64_t tag, bool multiple)
{
	uint64_t from = multiple ? loop->confirmed_until + 1 : tag;
	for (uint64_t at = from; at <= tag && at <= loop->sent; at++) {
		loop->confirmed_count += !loop->confirmed[at];
		loop->confirmed[at] = true;
	}
	while (loop->confirmed_until < loop->sent &&
		loop->confirmed[loop->confirmed_until + 1]) {
		loop->confirmed_until++;
	}
}

/* Reads confirms, waiting for the first one at most so long. */
static void hear_confirms(struct loop *loop, int64_t wait_us)
{
	struct timeval wait = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
	do {
		amqp_frame_t frame;
		int rc = amqp_simple_wait_frame_noblock(loop->in.state, &frame, &wait);
		if (rc == AMQP_STATUS_TIMEOUT) {
			return;
		}
		check(rc, "confirms");
		if (frame.frame_type == AMQP_FRAME_METHOD &&
			frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
			const amqp_basic_ack_t *ack = frame.payload.method.decoded;
			note_confirm(loop, ack->delivery_tag, ack->multiple != 0);
		} else {
			workload_fail("confirms", "the broker says something else");
		}
		amqp_maybe_release_buffers(loop->in.state);
		wait = (struct timeval){0};
	} while (has_more(&loop->in));
}

static void publish_all(struct loop *loop)
{
	while (loop->confirmed_count < loop->total) {
		uint64_t lag = loop->sent - atomic_load(&loop->taken);
		uint64_t open = loop->sent - loop->confirmed_count;
		uint64_t left = loop->total - loop->sent;
		if (left == 0 || open > WINDOW_COUNT - SEND_COUNT) {
			hear_confirms(loop, INT64_C(1000000) * PATIENCE_SECONDS);
			continue;
		}
		if (lag > LAG_COUNT) {
			hear_confirms(loop, 1000);
			continue;
		}
		cork(&loop->in, 1);
		for (uint64_t i = 0; i < SEND_COUNT && i < left; i++) {
			publish(loop, queue_of[loop->sent % WORKLOAD_MESSAGES], loop->sent);
			loop->sent++;
		}
		cork(&loop->in, 0);
		if (has_more(&loop->in)) {
			hear_confirms(loop, 0);
		}
	}
}

/* Consuming. */

static void acknowledge(struct loop *loop, uint64_t tag, uint64_t *waiting)
{
	if (*waiting > 0) {
		check(amqp_basic_ack(loop->out.state, CHANNEL, tag, 1), "ack");
		*waiting = 0;
	}
}

static void *consume_all(void *arg)
{
	struct loop *loop = arg;
	uint64_t waiting = 0;
	uint64_t tag = 0;
	for (uint64_t taken = 0; taken < loop->total; taken++) {
		struct timeval wait = {.tv_sec = PATIENCE_SECONDS};
		amqp_envelope_t envelope;
		if (waiting == ACK_COUNT || !has_more(&loop->out)) {
			acknowledge(loop, tag, &waiting);
		}
		amqp_maybe_release_buffers(loop->out.state);
		amqp_rpc_reply_t reply =
			amqp_consume_message(loop->out.state, &envelope, &wait, 0);
		if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
			workload_fail("consume", amqp_error_string2(reply.library_error));
		}
		tag = envelope.delivery_tag;
		waiting++;
		amqp_destroy_envelope(&envelope);
		atomic_store(&loop->taken, taken + 1);
	}
	acknowledge(loop, tag, &waiting);
	return NULL;
}

static void open_queues(struct loop *loop, uint16_t prefetch)
{
	amqp_table_entry_t type = text_entry("x-queue-type", "quorum");
	const amqp_table_t arguments = {1, &type};
	for (int i = 0; i < QUEUES; i++) {
		amqp_bytes_t name = amqp_cstring_bytes(queues[i]);
		(void)amqp_queue_declare(loop->out.state, CHANNEL, name, 0, 1, 0, 0, arguments);
		check_answer(&loop->out, "declare");
		(void)amqp_basic_qos(
			loop->out.state, CHANNEL, 0, i == 0 ? prefetch : TASK_PREFETCH, 0);
		check_answer(&loop->out, "prefetch");
		(void)amqp_basic_consume(
			loop->out.state, CHANNEL, name, name, 0, 0, 0, amqp_empty_table);
		check_answer(&loop->out, "consume");
	}
	(void)amqp_confirm_select(loop->in.state, CHANNEL);
	check_answer(&loop->in, "confirms");
}

static void close_queues(struct loop *loop)
{
	for (int i = 0; i < QUEUES; i++) {
		(void)amqp_queue_delete(
			loop->out.state, CHANNEL, amqp_cstring_bytes(queues[i]), 0, 0);
		check_answer(&loop->out, "delete");
	}
}

void ceiling_rabbitmq_measure(int64_t instances, uint16_t prefetch, struct ceiling_result *out)
{
	struct loop loop = {.total = (uint64_t)instances * WORKLOAD_MESSAGES};
	pthread_t consumer;
	open_broker(&loop.in);
	open_broker(&loop.out);
	open_queues(&loop, prefetch);
	loop.confirmed = calloc(loop.total + 1, sizeof(*loop.confirmed));
	struct count before = count_now();
	if (!loop.confirmed || pthread_create(&consumer, NULL, consume_all, &loop) != 0) {
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
	free(loop.confirmed);
	close_queues(&loop);
	close_broker(&loop.in);
	close_broker(&loop.out);
}
