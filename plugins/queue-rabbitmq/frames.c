/* SPDX-License-Identifier: MIT */

/*
 * Reading and writing on a connection, and what is said by it; see link.h.
 *
 * When poll() calls a socket writable, Linux has at least a third of its buffer free
 * (sk_stream_is_writable). So much as a quarter of it is then given to the library
 * without asking again, and a frame is never larger: its send cannot stop halfway, which
 * is where it would wait without limit.
 */

#include "frames.h"

#include "status.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* A heartbeat is sent after this part of the interval, and the broker given up after
 * that many of it. It sends one every half. */
#define BEAT_PART 3
#define BEATS_MISSED_MAX 2

swm_status swm_rmq_library_status(int rc)
{
	switch (rc) {
	case AMQP_STATUS_NO_MEMORY:
		return SWM_E_NOMEM;
	case AMQP_STATUS_TIMEOUT:
		return SWM_E_TIMEOUT;
	case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
	case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
	case AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD:
		return SWM_E_DENIED;
	default:
		return SWM_E_UNAVAILABLE;
	}
}

/* AMQP 0-9-1's reply codes (its chapter 1.2), and RabbitMQ's use of them. */
static swm_status reply_status(uint16_t code)
{
	switch (code) {
	case AMQP_CONTENT_TOO_LARGE:
		return SWM_E_TOO_LARGE;
	case AMQP_ACCESS_REFUSED:
	case AMQP_NOT_ALLOWED:
		return SWM_E_DENIED;
	case AMQP_NOT_FOUND:
		return SWM_E_NOT_FOUND;
	case AMQP_RESOURCE_LOCKED:
		return SWM_E_DENIED;
	case AMQP_NOT_IMPLEMENTED:
	case AMQP_COMMAND_INVALID:
	case AMQP_SYNTAX_ERROR:
	case AMQP_FRAME_ERROR:
	case AMQP_UNEXPECTED_FRAME:
	case AMQP_CHANNEL_ERROR:
		return SWM_E_INTERNAL;
	default:
		return SWM_E_UNAVAILABLE;
	}
}

static swm_status closed(const struct swm_rmq_link *link, uint16_t code, amqp_bytes_t text,
	swm_status status, struct swm_error *err)
{
	return swm_fail(err, status, code, "%s: %.*s", link->name, (int)text.len,
		text.len == 0 ? "" : (const char *)text.bytes);
}

swm_status swm_rmq_link_closed(const struct swm_rmq_link *link,
	const amqp_channel_close_t *reason, struct swm_error *err)
{
	return closed(link, reason->reply_code, reason->reply_text,
		reply_status(reason->reply_code), err);
}

/* The broker closes the connection: whatever the reason, it cannot be used. */
static swm_status connection_closed(
	struct swm_rmq_link *link, const amqp_connection_close_t *reason, struct swm_error *err)
{
	swm_status status = reply_status(reason->reply_code);

	link->dead = true;
	return closed(link, reason->reply_code, reason->reply_text,
		status == SWM_E_DENIED ? status : SWM_E_UNAVAILABLE, err);
}

static swm_status library_failed(
	struct swm_rmq_link *link, int rc, const char *what, struct swm_error *err)
{
	link->dead = true;
	return swm_fail(err, swm_rmq_library_status(rc), rc, "%s: cannot %s: %s", link->name,
		what, amqp_error_string2(rc));
}

/* The broker waits for it before the channel can be opened again; if it does not even
 * take that, the connection is of no use. */
static void answer_channel_close(struct swm_rmq_link *link)
{
	amqp_channel_close_ok_t ok = {0};

	link->channel_open = false;
	if (swm_rmq_link_method(link, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok, 0, NULL) != SWM_OK) {
		link->dead = true;
	}
}

static void answer_connection_close(struct swm_rmq_link *link)
{
	amqp_connection_close_ok_t ok = {0};

	if (swm_rmq_link_room(link, SWM_RMQ_METHOD_BYTES, 0, NULL) == SWM_OK) {
		(void)amqp_send_method(link->state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
	}
}

swm_status swm_rmq_link_answer(struct swm_rmq_link *link, amqp_rpc_reply_t reply,
	const char *what, struct swm_error *err)
{
	swm_status status;

	link->heard_ms = swm_rmq_now_ms();
	switch (reply.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return SWM_OK;
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		break;
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return library_failed(link, reply.library_error, what, err);
	case AMQP_RESPONSE_NONE:
	default:
		return library_failed(link, AMQP_STATUS_CONNECTION_CLOSED, what, err);
	}
	if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		status = swm_rmq_link_closed(link, reply.reply.decoded, err);
		answer_channel_close(link);
		return status;
	}
	if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		return connection_closed(link, reply.reply.decoded, err);
	}
	return library_failed(link, AMQP_STATUS_WRONG_METHOD, what, err);
}

/* Polls the socket for `events`; false: not within the time. */
static bool socket_ready(const struct swm_rmq_link *link, short events, int64_t until_ms)
{
	struct pollfd poll_fd = {.fd = amqp_get_sockfd(link->state), .events = events};

	for (;;) {
		int64_t left_ms = until_ms == 0 ? 0 : until_ms - swm_rmq_now_ms();
		int rc;

		left_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : left_ms;
		rc = poll(&poll_fd, 1, (int)left_ms);
		if (rc >= 0 || errno != EINTR) {
			return rc != 0;
		}
	}
}

void swm_rmq_link_wait(
	const struct swm_rmq_link *link, bool write, int wake_fd, int64_t until_ms)
{
	struct pollfd poll_fds[] = {
		{.fd = amqp_get_sockfd(link->state),
			.events = (short)(write ? POLLIN | POLLOUT : POLLIN)},
		{.fd = wake_fd, .events = POLLIN},
	};
	int64_t left_ms = until_ms - swm_rmq_now_ms();

	left_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : left_ms;
	(void)poll(poll_fds, 2, (int)left_ms);
}

/* What the connection as a whole is told. */
static swm_status hear_connection(
	struct swm_rmq_link *link, const amqp_frame_t *frame, struct swm_error *err)
{
	swm_status status = SWM_OK;

	if (frame->frame_type != AMQP_FRAME_METHOD) {
		return SWM_OK;
	}
	switch (frame->payload.method.id) {
	case AMQP_CONNECTION_CLOSE_METHOD:
		answer_connection_close(link);
		status = connection_closed(link, frame->payload.method.decoded, err);
		break;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		link->blocked = true;
		break;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		link->blocked = false;
		break;
	default:
		break;
	}
	amqp_maybe_release_buffers_on_channel(link->state, 0);
	return status;
}

/* Whether reading can bring anything. What has been read before is there without the
 * socket; with TLS, so may be some more. */
static bool may_read(struct swm_rmq_link *link)
{
	if (amqp_frames_enqueued(link->state) || amqp_data_in_buffer(link->state)) {
		return true;
	}
	if (socket_ready(link, POLLIN, 0)) {
		link->heard_ms = swm_rmq_now_ms();
		return true;
	}
	return link->tls;
}

swm_status swm_rmq_link_read(
	struct swm_rmq_link *link, amqp_frame_t *frame, struct swm_error *err)
{
	struct timeval now = {0};

	while (!link->dead && may_read(link)) {
		swm_status status;
		int rc;

		*frame = (amqp_frame_t){0};
		rc = amqp_simple_wait_frame_noblock(link->state, frame, &now);
		if (rc == AMQP_STATUS_TIMEOUT) {
			break;
		}
		if (rc != AMQP_STATUS_OK) {
			return library_failed(link, rc, "read", err);
		}
		if (frame->channel == SWM_RMQ_CHANNEL) {
			if (frame->frame_type == AMQP_FRAME_METHOD &&
				frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
				answer_channel_close(link);
			}
			return SWM_OK;
		}
		status = hear_connection(link, frame, err);
		if (status != SWM_OK) {
			return status;
		}
	}
	return link->dead ? swm_fail(err, SWM_E_UNAVAILABLE, 0,
				    "%s: the connection was lost before", link->name)
			  : SWM_E_TIMEOUT;
}

void swm_rmq_link_release(struct swm_rmq_link *link)
{
	amqp_maybe_release_buffers_on_channel(link->state, SWM_RMQ_CHANNEL);
}

size_t swm_rmq_link_quarter(const struct swm_rmq_link *link)
{
	return link->buffer_bytes / 4;
}

swm_status swm_rmq_link_room(
	struct swm_rmq_link *link, size_t frame_bytes, int64_t until_ms, struct swm_error *err)
{
	size_t cost = frame_bytes + SWM_RMQ_FRAME_COST;

	if (link->dead) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0, "%s: the connection was lost before",
			link->name);
	}
	if (link->room_bytes < cost) {
		swm_rmq_link_cork(link, false);
		if (!socket_ready(link, POLLOUT, until_ms)) {
			return swm_fail(err, SWM_E_TIMEOUT, 0,
				"%s: the broker does not take what is sent to it", link->name);
		}
		link->room_bytes = swm_rmq_link_quarter(link);
	}
	link->room_bytes -= link->room_bytes < cost ? link->room_bytes : cost;
	return SWM_OK;
}

swm_status swm_rmq_link_send(struct swm_rmq_link *link, const amqp_frame_t *frame,
	size_t frame_bytes, int64_t until_ms, struct swm_error *err)
{
	swm_status status = swm_rmq_link_room(link, frame_bytes, until_ms, err);
	int rc;

	if (status != SWM_OK) {
		return status;
	}
	rc = amqp_send_frame(link->state, frame);
	if (rc != AMQP_STATUS_OK) {
		status = library_failed(link, rc, "send", err);
		return status == SWM_E_NOMEM ? status : SWM_E_UNAVAILABLE;
	}
	link->said_ms = swm_rmq_now_ms();
	return SWM_OK;
}

swm_status swm_rmq_link_method(struct swm_rmq_link *link, amqp_method_number_t id,
	void *decoded, int64_t until_ms, struct swm_error *err)
{
	amqp_frame_t frame = {
		.frame_type = AMQP_FRAME_METHOD,
		.channel = SWM_RMQ_CHANNEL,
		.payload.method = {.id = id, .decoded = decoded},
	};

	return swm_rmq_link_send(link, &frame, SWM_RMQ_METHOD_BYTES, until_ms, err);
}

void swm_rmq_link_cork(struct swm_rmq_link *link, bool cork)
{
	int value = cork ? 1 : 0;

	if (link->corked != cork && !link->dead) {
		(void)setsockopt(amqp_get_sockfd(link->state), IPPROTO_TCP, TCP_CORK, &value,
			sizeof(value));
	}
	link->corked = cork;
}

swm_status swm_rmq_link_beat(struct swm_rmq_link *link, struct swm_error *err)
{
	int64_t now_ms = swm_rmq_now_ms();
	amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0};
	swm_status status;

	if (link->heartbeat_ms == 0) {
		return SWM_OK;
	}
	if (now_ms - link->heard_ms > BEATS_MISSED_MAX * link->heartbeat_ms) {
		link->dead = true;
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: the broker has not been heard for %lld s", link->name,
			(long long)((now_ms - link->heard_ms) / 1000));
	}
	if (now_ms - link->said_ms < link->heartbeat_ms / BEAT_PART) {
		return SWM_OK;
	}
	/* Without room there is enough on the way that says as much. */
	link->said_ms = now_ms;
	status = swm_rmq_link_send(link, &frame, SWM_RMQ_FRAME_OVERHEAD, 0, err);
	return status == SWM_E_TIMEOUT ? SWM_OK : status;
}

int64_t swm_rmq_link_beat_ms(const struct swm_rmq_link *link)
{
	int64_t say_ms = link->said_ms + link->heartbeat_ms / BEAT_PART;
	int64_t hear_ms = link->heard_ms + BEATS_MISSED_MAX * link->heartbeat_ms + 1;

	if (link->heartbeat_ms == 0) {
		return INT64_MAX;
	}
	return say_ms < hear_ms ? say_ms : hear_ms;
}
