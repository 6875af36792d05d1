/* SPDX-License-Identifier: MIT */
#ifndef SWM_FAKE_QUEUE_H
#define SWM_FAKE_QUEUE_H

/*
 * A broker in memory, for tests of the engine: keeps the promises of swm/queue.h,
 * aborts when the engine breaks its own (a token settled twice, a consumer used after
 * SWM_E_UNAVAILABLE), fails when told to, and remembers all that was published.
 *
 * Concurrency: as the port says; one mutex of the environment's inside.
 */

#include "env.h"

#include <swm/queue.h>

enum fake_queue_op {
	FAKE_PREPARE,
	FAKE_CONSUMER_OPEN,
	FAKE_RECEIVE,
	FAKE_SETTLE,
	FAKE_PUBLISHER_OPEN,
	FAKE_PUBLISH,
	FAKE_QUEUE_OPS
};

extern const struct swm_queue_ops fake_queue_ops;

struct swm_queue *fake_queue_create(const struct swm_env *env);

/* Puts a message on a queue; a body with single quotes for double ones. `id` and
 * `event_id` (a header) may be NULL. */
void fake_queue_send(struct swm_queue *queue, const char *name, const char *body,
	const char *id, const char *event_id);

/* As in fake_store.h. A fault of FAKE_PUBLISH is each message's result; with `applied`
 * it is sent all the same. */
struct fake_queue_fault {
	enum fake_queue_op op;
	unsigned after;
	unsigned times;
	swm_status status;
	bool applied;
};
void fake_queue_inject(struct swm_queue *queue, const struct fake_queue_fault *fault);

/* Publishing to this destination gives this status from now on; SWM_OK: works again. */
void fake_queue_refuse(struct swm_queue *queue, const char *destination, swm_status status);

/* From now on each message takes so long to publish, and those for which the time-out
 * leaves no time are not sent; 0: none. */
void fake_queue_slow(struct swm_queue *queue, int64_t message_ms);

/* How often a consumer was only serviced: receive with max 0. */
unsigned fake_queue_serviced(struct swm_queue *queue);

/* Called for each message that was published, while nothing is locked. */
void fake_queue_on_publish(struct swm_queue *queue,
	void (*hook)(void *ctx, const struct swm_message *message), void *ctx);

unsigned fake_queue_calls(struct swm_queue *queue, enum fake_queue_op op);

/* Messages on a queue: waiting, or out and not settled. */
size_t fake_queue_waiting(struct swm_queue *queue, const char *name);
size_t fake_queue_unsettled(struct swm_queue *queue, const char *name);

/* What was published to a destination, in order, sent or not; NULL: no more. It stays
 * until close. */
size_t fake_queue_published_count(struct swm_queue *queue, const char *destination);
const struct swm_message *fake_queue_published(
	struct swm_queue *queue, const char *destination, size_t index);

#endif
