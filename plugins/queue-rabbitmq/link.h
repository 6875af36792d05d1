/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_LINK_H
#define QUEUE_RABBITMQ_LINK_H

/*
 * One connection to the broker with one channel, on which nothing waits longer than it
 * is told to.
 *
 * The client library (rabbitmq-c 0.11) is used for what it is good at, the frames; it
 * waits without limit in places, so these are kept from it:
 *  - it sends a frame without a deadline: a frame is given to it only when the socket's
 *    buffer surely takes all of it, which bounds the size of frames as well;
 *  - with heartbeats on, a send can wait for ever (rabbitmq-c#780): its own are off, and
 *    ours are sent and looked for here;
 *  - amqp_consume_message() and amqp_read_message() wait for the rest of a message and
 *    trip over anything else (rabbitmq-c#836): frames are read one by one, as they come.
 * What does wait are calls with an answer (login, declare): under its timeout for these,
 * after which it closes the socket. Looking up a host's name is the system's affair.
 *
 * Concurrency: a link belongs to one thread at a time.
 */

#include "address.h"

#include <amqp.h>
#include <amqp_framing.h>

/* The one channel; it may be closed by the broker and opened again. */
#define SWM_RMQ_CHANNEL 1

struct swm_rmq_link {
	amqp_connection_state_t state; /* NULL: closed */
	const char *name;              /* of the address, for messages */
	bool tls;
	bool dead;         /* only good for close */
	bool channel_open; /* else swm_rmq_link_channel() first */
	bool blocked;      /* the broker asks not to publish */
	bool corked;
	size_t buffer_bytes;  /* of the socket */
	size_t room_bytes;    /* of it, are free for sure */
	size_t frame_max;     /* bytes, of those that are sent */
	int64_t heartbeat_ms; /* 0: none */
	int64_t heard_ms;     /* monotonic, as are all below */
	int64_t said_ms;
};

int64_t swm_rmq_now_ms(void);

/* The earlier of now + timeout_ms, and the end of time. */
int64_t swm_rmq_until_ms(int64_t timeout_ms);

/* What a link is for. */
struct swm_rmq_purpose {
	const char *title;    /* the broker shows it to its operator */
	int frame_max;        /* bytes, an upper limit */
	int64_t heartbeat_ms; /* 0: it is not serviced while idle */
};

/* Connects, logs in and opens the channel; all zero bits on failure.
 * SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_rmq_link_open(struct swm_rmq_link *link,
	const struct swm_rmq_address *address, const struct swm_rmq_purpose *purpose,
	int64_t until_ms, struct swm_error *err);

/* Says good-bye, if there is somebody to say it to, and waits for the answer a little. */
void swm_rmq_link_close(struct swm_rmq_link *link, int64_t until_ms);

/* Opens the channel when the broker has closed it. As link_open. */
SWM_NODISCARD swm_status swm_rmq_link_channel(
	struct swm_rmq_link *link, int64_t until_ms, struct swm_error *err);

/*
 * The next frame of the channel that is there, without waiting; SWM_E_TIMEOUT: none.
 * What the connection says is dealt with here. When the broker closes the channel, that
 * frame is given out like others, already answered.
 * SWM_E_UNAVAILABLE, SWM_E_DENIED: the link is dead.
 */
SWM_NODISCARD swm_status swm_rmq_link_read(
	struct swm_rmq_link *link, amqp_frame_t *frame, struct swm_error *err);

/* What frames of the channel point to is not needed any more. */
void swm_rmq_link_release(struct swm_rmq_link *link);

/* Sends a frame, after waiting for room if need be. SWM_E_TIMEOUT: there is none, and
 * nothing was sent. SWM_E_UNAVAILABLE: the link is dead. */
SWM_NODISCARD swm_status swm_rmq_link_send(struct swm_rmq_link *link, const amqp_frame_t *frame,
	size_t frame_bytes, int64_t until_ms, struct swm_error *err);

/* The same for a small method. */
SWM_NODISCARD swm_status swm_rmq_link_method(struct swm_rmq_link *link, amqp_method_number_t id,
	void *decoded, int64_t until_ms, struct swm_error *err);

/* While true, small frames are gathered into full packets. */
void swm_rmq_link_cork(struct swm_rmq_link *link, bool cork);

/* Waits until there may be something to read, or to write if wanted, or `wake_fd` (-1:
 * none) is ready. */
void swm_rmq_link_wait(
	const struct swm_rmq_link *link, bool write, int wake_fd, int64_t until_ms);

/* Before a call of the library's that has an answer: bounds it. */
SWM_NODISCARD swm_status swm_rmq_link_ask(
	struct swm_rmq_link *link, int64_t until_ms, struct swm_error *err);

/* After it: SWM_OK, or what the answer comes to. SWM_E_TIMEOUT and SWM_E_UNAVAILABLE:
 * the link is dead. */
SWM_NODISCARD swm_status swm_rmq_link_answer(struct swm_rmq_link *link, amqp_rpc_reply_t reply,
	const char *what, struct swm_error *err);

/* The status for what the broker says when it closes the channel. */
swm_status swm_rmq_link_closed(const struct swm_rmq_link *link,
	const amqp_channel_close_t *reason, struct swm_error *err);

/* Sends a heartbeat when it is time. SWM_E_UNAVAILABLE: the broker has not been heard
 * for too long; the link is dead. To be called after everything has been read. */
SWM_NODISCARD swm_status swm_rmq_link_beat(struct swm_rmq_link *link, struct swm_error *err);

/* When link_beat() has something to do next; INT64_MAX: never. */
int64_t swm_rmq_link_beat_ms(const struct swm_rmq_link *link);

#endif
