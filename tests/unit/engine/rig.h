/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_RIG_H
#define SWM_TESTS_RIG_H

/*
 * The parts of a processor on a bench, over the fakes: one thread, a clock that stands
 * still, and each step taken by hand, so that a test can look between any two.
 * When a rig that owns its world goes, the log of every instance must fold to its
 * body.
 */

#include "fake_host.h"
#include "fake_queue.h"
#include "fake_store.h"

#include "batch.h"
#include "dispatcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WORKFLOW_QUEUE "wf"
#define RIG_LEASE_MS 10000

/* Store, queue and clock; what several rigs may share. */
struct world {
	struct fake_host *host;
	struct swm_store *store;
	struct swm_queue *queue;
};

struct rig {
	struct world world;
	bool owns_world;
	bool odd; /* its store holds what no engine has written: not to be folded */
	struct swm_engine_queue queues[1];
	struct swm_engine_listen listen[1];
	struct swm_engine_config config;
	struct swm_shared shared;
	struct swm_link link;
	struct swm_cache cache;
	struct swm_sender sender;
	struct swm_marks marks;
	struct swm_batch batch;
	struct swm_consumer *consumer;
	struct swm_error err; /* of the last round */
};

/* A world of its own, with the templates below applied. */
struct rig *rig_create(void);

/* A second orchestrator in the same world, which outlives it. */
struct rig *rig_create_in(const struct world *world);
void rig_destroy(struct rig *rig);

/* Templates: "T" has stage ONE with a (queue q_a) and b (q_b, after a), and stage TWO
 * with c (q_c). "R" has stage ONE with r (q_r): two attempts, timeout 30s. */
void world_put_templates(const struct world *world);

/* Sends a message to the workflow queue; all strings may be NULL but name and ref. */
void send_event(const struct world *world, const char *name, const char *component,
	const char *ref, const char *stage, const char *task, const char *event_id);

/* Shorthands for template T: its StartWorkflow, and TaskCompleted for a task. */
void send_start(const struct world *world, const char *ref);
void send_completed(
	const struct world *world, const char *ref, const char *stage, const char *task);

/* Takes up to `max` of what waits into the batch; how many that was. */
size_t rig_receive(struct rig *rig, size_t max);

/* One round; the session is opened before when it is closed, and closed as after
 * swm_link_failed(). */
swm_status rig_round(struct rig *rig);

/* Acknowledges what is done; how many are still open. */
size_t rig_settle(struct rig *rig);

/* Receives all, takes rounds until nothing is open, and expects each to be SWM_OK. */
void rig_drain(struct rig *rig);

int64_t counter(const struct rig *rig, const char *metric);

/* The setup and teardown of tests with a rig: *state is the rig. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* How many messages were published to a destination; how many of the workflow queue are
 * waiting, or out and not settled. */
size_t rig_published(const struct rig *rig, const char *destination);
size_t rig_left_on_queue(const struct rig *rig);

/* The folding of every instance of a store; fails the test when one does not fit. */
void check_folds(const struct world *world);

/* A header of a message, as a string that lives until the next call; NULL: none. */
const char *header_of(const struct swm_header *headers, size_t count, const char *name);

#endif
