/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing a connection; see link.h. Reading and writing are in frames.c.
 */

#include "link.h"

#include "frames.h"
#include "status.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

/* Asked for; the system gives what net.core.wmem_max allows. */
#define SOCKET_BUFFER_BYTES (512 * 1024)
#define SOCKET_BUFFER_MIN ((size_t)4 * (AMQP_FRAME_MIN_SIZE + SWM_RMQ_FRAME_COST))

/* The kernel gives up a connection on which nothing is acknowledged for so long, and
 * begins to ask after an idle one. */
#define SILENCE_MAX_MS 30000
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_PERIOD_S 10
#define KEEPALIVE_COUNT 3

/* Good-byes are worth waiting for so long. */
#define GOODBYE_MAX_MS 1000

int64_t swm_rmq_now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t swm_rmq_until_ms(int64_t timeout_ms)
{
	int64_t now_ms = swm_rmq_now_ms();

	return timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
}

/* What is left until then, at least a moment: zero means for ever in places. */
static struct timeval time_left(int64_t until_ms)
{
	int64_t left_ms = until_ms - swm_rmq_now_ms();

	left_ms = left_ms < 1 ? 1 : left_ms > INT_MAX ? INT_MAX : left_ms;
	return (struct timeval){
		.tv_sec = (time_t)(left_ms / 1000),
		.tv_usec = (suseconds_t)(left_ms % 1000) * 1000,
	};
}

static amqp_socket_t *make_socket(
	struct swm_rmq_link *link, const struct swm_rmq_address *address, struct swm_error *err)
{
	amqp_socket_t *socket = address->tls ? amqp_ssl_socket_new(link->state)
					     : amqp_tcp_socket_new(link->state);

	if (socket == NULL) {
		(void)swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		return NULL;
	}
	if (!address->tls) {
		return socket;
	}
	amqp_ssl_socket_set_verify_peer(socket, 1);
	amqp_ssl_socket_set_verify_hostname(socket, 1);
	if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) !=
		AMQP_STATUS_OK) {
		(void)swm_fail(err, SWM_E_INTERNAL, 0, "TLS 1.2 is not to be had");
		return NULL;
	}
	if (amqp_ssl_socket_set_cacert(socket, address->ca) != AMQP_STATUS_OK) {
		(void)swm_fail(
			err, SWM_E_DENIED, 0, "%s holds no certificates to trust", address->ca);
		return NULL;
	}
	if (address->cert != NULL && amqp_ssl_socket_set_key(socket, address->cert,
					     address->key) != AMQP_STATUS_OK) {
		(void)swm_fail(err, SWM_E_DENIED, 0, "%s and %s are no certificate and its key",
			address->cert, address->key);
		return NULL;
	}
	return socket;
}

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void tune_socket(struct swm_rmq_link *link)
{
	int fd = amqp_get_sockfd(link->state);
	int bytes = 0;
	socklen_t size = sizeof(bytes);

	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MAX_MS);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PERIOD_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
	(void)getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size);
	/* Never less than the smallest frame that AMQP allows. */
	link->buffer_bytes = bytes > 0 ? (size_t)bytes : 0;
	if (link->buffer_bytes < SOCKET_BUFFER_MIN) {
		link->buffer_bytes = SOCKET_BUFFER_MIN;
	}
}

static swm_status connect_socket(struct swm_rmq_link *link,
	const struct swm_rmq_address *address, int64_t until_ms, struct swm_error *err)
{
	amqp_socket_t *socket = make_socket(link, address, err);
	struct timeval left = time_left(until_ms);
	int rc;

	if (socket == NULL) {
		return err == NULL ? SWM_E_DENIED : err->status;
	}
	rc = amqp_socket_open_noblock(socket, address->host, address->port, &left);
	if (rc != AMQP_STATUS_OK) {
		return swm_fail(err, swm_rmq_library_status(rc), rc, "%s: cannot connect: %s",
			link->name, amqp_error_string2(rc));
	}
	tune_socket(link);
	return SWM_OK;
}

static amqp_table_entry_t flag_entry(const char *name)
{
	return (amqp_table_entry_t){
		.key = amqp_cstring_bytes(name),
		.value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1},
	};
}

/* Without its capabilities a client is not told that its queue is gone, nor that the
 * broker has no memory left. */
static swm_status log_in(struct swm_rmq_link *link, const struct swm_rmq_address *address,
	const struct swm_rmq_purpose *purpose, int64_t until_ms, struct swm_error *err)
{
	amqp_table_entry_t capabilities[] = {
		flag_entry("publisher_confirms"),
		flag_entry("basic.nack"),
		flag_entry("consumer_cancel_notify"),
		flag_entry("connection.blocked"),
		flag_entry("authentication_failure_close"),
	};
	amqp_table_entry_t entries[] = {
		{
			.key = amqp_cstring_bytes("capabilities"),
			.value = {.kind = AMQP_FIELD_KIND_TABLE,
				.value.table = {sizeof(capabilities) / sizeof(capabilities[0]),
					capabilities}},
		},
		{
			.key = amqp_cstring_bytes("connection_name"),
			.value = {.kind = AMQP_FIELD_KIND_UTF8,
				.value.bytes = amqp_cstring_bytes(purpose->title)},
		},
	};
	amqp_table_t properties = {sizeof(entries) / sizeof(entries[0]), entries};
	struct timeval left = time_left(until_ms);

	if (amqp_set_handshake_timeout(link->state, &left) != AMQP_STATUS_OK) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	return swm_rmq_link_answer(link,
		amqp_login_with_properties(link->state, address->vhost, 0, purpose->frame_max,
			(int)(purpose->heartbeat_ms / 1000), &properties,
			AMQP_SASL_METHOD_PLAIN, address->user, address->password),
		"log in", err);
}

/* From here on heartbeats are ours: the library's would wait in the wrong places. */
static swm_status take_over_heartbeats(struct swm_rmq_link *link, struct swm_error *err)
{
	link->heartbeat_ms = (int64_t)amqp_get_heartbeat(link->state) * 1000;
	if (amqp_tune_connection(link->state, amqp_get_channel_max(link->state),
		    amqp_get_frame_max(link->state), 0) != AMQP_STATUS_OK) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	link->heard_ms = swm_rmq_now_ms();
	link->said_ms = link->heard_ms;
	link->frame_max = (size_t)amqp_get_frame_max(link->state);
	if (link->frame_max > swm_rmq_link_quarter(link) - SWM_RMQ_FRAME_COST) {
		link->frame_max = swm_rmq_link_quarter(link) - SWM_RMQ_FRAME_COST;
	}
	return SWM_OK;
}

swm_status swm_rmq_link_open(struct swm_rmq_link *link, const struct swm_rmq_address *address,
	const struct swm_rmq_purpose *purpose, int64_t until_ms, struct swm_error *err)
{
	struct swm_error why = {0};
	swm_status status;

	*link = (struct swm_rmq_link){
		.state = amqp_new_connection(), .name = address->name, .tls = address->tls};
	if (link->state == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = connect_socket(link, address, until_ms, &why);
	if (status == SWM_OK) {
		status = log_in(link, address, purpose, until_ms, &why);
	}
	if (status == SWM_OK) {
		status = take_over_heartbeats(link, &why);
	}
	if (status == SWM_OK) {
		status = swm_rmq_link_channel(link, until_ms, &why);
	}
	if (status != SWM_OK) {
		link->dead = true;
		swm_rmq_link_close(link, until_ms);
		if (err != NULL) {
			*err = why;
		}
	}
	return status;
}

swm_status swm_rmq_link_channel(
	struct swm_rmq_link *link, int64_t until_ms, struct swm_error *err)
{
	swm_status status;

	if (link->channel_open) {
		return SWM_OK;
	}
	status = swm_rmq_link_ask(link, until_ms, err);
	if (status == SWM_OK) {
		(void)amqp_channel_open(link->state, SWM_RMQ_CHANNEL);
		status = swm_rmq_link_answer(
			link, amqp_get_rpc_reply(link->state), "open a channel", err);
	}
	link->channel_open = status == SWM_OK;
	return status;
}

void swm_rmq_link_close(struct swm_rmq_link *link, int64_t until_ms)
{
	int64_t goodbye_ms = swm_rmq_until_ms(GOODBYE_MAX_MS);

	if (link->state == NULL) {
		return;
	}
	if (goodbye_ms > until_ms) {
		goodbye_ms = until_ms;
	}
	swm_rmq_link_cork(link, false);
	if (!link->dead && swm_rmq_link_ask(link, goodbye_ms, NULL) == SWM_OK) {
		(void)amqp_connection_close(link->state, AMQP_REPLY_SUCCESS);
	}
	(void)amqp_destroy_connection(link->state);
	*link = (struct swm_rmq_link){0};
}

swm_status swm_rmq_link_ask(struct swm_rmq_link *link, int64_t until_ms, struct swm_error *err)
{
	struct timeval left;
	swm_status status = swm_rmq_link_room(link, SWM_RMQ_METHOD_BYTES, until_ms, err);

	if (status != SWM_OK) {
		return status;
	}
	left = time_left(until_ms);
	if (amqp_set_rpc_timeout(link->state, &left) != AMQP_STATUS_OK) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	link->said_ms = swm_rmq_now_ms();
	return SWM_OK;
}
