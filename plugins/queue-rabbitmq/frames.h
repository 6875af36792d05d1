/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_RABBITMQ_FRAMES_H
#define QUEUE_RABBITMQ_FRAMES_H

/*
 * What link.c and frames.c share about frames: how much they take, and what the
 * library's and the broker's codes come to.
 *
 * Concurrency: as link.h.
 */

#include "link.h"

/* Head and end of a frame (AMQP 0-9-1, 4.2.3). */
#define SWM_RMQ_FRAME_OVERHEAD 8

/* More than any method that we send has: names of at most 255 bytes, a small table. */
#define SWM_RMQ_METHOD_BYTES 4096

/* How many bytes a socket that is writable surely takes, FRAME_COST for each frame
 * included. */
#define SWM_RMQ_FRAME_COST 512
size_t swm_rmq_link_quarter(const struct swm_rmq_link *link);

/* Waits until a frame of so many bytes surely fits into the socket's buffer.
 * SWM_E_TIMEOUT, SWM_E_UNAVAILABLE. */
SWM_NODISCARD swm_status swm_rmq_link_room(
	struct swm_rmq_link *link, size_t frame_bytes, int64_t until_ms, struct swm_error *err);

/* What a status of the library's comes to. */
swm_status swm_rmq_library_status(int rc);

#endif
