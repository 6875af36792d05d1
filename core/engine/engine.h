/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_H
#define SWM_ENGINE_H

/*
 * The orchestrator at work: processors that take events from the workflow queues
 * and move instances, and one dispatcher that sends what has become due. The host
 * opens the adapters, starts an engine over them and stops it; everything between
 * is the engine's.
 *
 * Concurrency: start and stop belong to one thread, the host's. The engine runs
 * one thread per processor and one dispatcher, each with its own store session,
 * consumer and publishers; they share the router, the compiled templates and the
 * state, each behind a mutex.
 *
 * Counters, all through env->host->count():
 *   events_received        deliveries taken from a workflow queue
 *   events_recorded        appended to an instance's log
 *   events_seen            recorded before: acknowledged, nothing changed
 *   events_unrecorded      timers of ours whose attempt was over
 *   events_deferred        put off, since their instance is not there yet
 *   events_parked          kept as DEAD rows for a person
 *   deliveries_acked       settled for good
 *   commits                instances' steps that were committed
 *   commit_conflicts       steps that had to be computed again
 *   commit_calls           round trips of commit
 *   commits_in_doubt       steps whose commit was not answered
 *   messages_published     confirmed by a broker
 *   messages_refused       not taken, to be tried again
 *   messages_undeliverable never will be taken
 *   messages_in_doubt      sent, not confirmed
 *   messages_left          not sent in time, left to the dispatcher
 *   outbox_claimed         rows that the dispatcher took over
 *   store_failures         store calls that failed as a whole
 *   consumer_failures      receives and settles that failed
 */

#include "env.h"

#include "event.h"
#include "transition.h"

#include <swm/queue.h>
#include <swm/store.h>

struct swm_engine;

/* A broker's adapter, open. */
struct swm_engine_queue {
	const char *name; /* in the configuration */
	const struct swm_queue_ops *ops;
	struct swm_queue *queue;
};

/* A workflow queue to hear. */
struct swm_engine_listen {
	size_t queue; /* index of the adapter */
	struct swm_str source;
	uint32_t processors; /* at least 1 */
};

/* Where messages for a destination go: an exact name, or a prefix and '*'. The
 * longest pattern that fits wins, an exact name over any. A workflow queue goes to
 * the adapter it is heard on, what no route names to that of the first one. */
struct swm_engine_route {
	struct swm_str pattern;
	size_t queue;
};

/* How the orchestrator stands, for `on_state`. */
struct swm_engine_state {
	bool ready;       /* hears its queues and reaches its store */
	const char *text; /* one line for people */
};

/* All of it is borrowed and outlives the engine. */
struct swm_engine_config {
	const struct swm_env *env;
	const struct swm_store_ops *store_ops;
	struct swm_store *store;
	const struct swm_engine_queue *queues;
	size_t queue_count;
	const struct swm_engine_listen *listen; /* the first one gets our own messages */
	size_t listen_count;
	const struct swm_engine_route *routes;
	size_t route_count;
	uint32_t batch;     /* events taken at once, 1 to SWM_ENGINE_BATCH_MAX */
	uint32_t prefetch;  /* deliveries that a broker may send ahead, at least `batch` */
	int64_t lease_ms;   /* of a fresh outbox row */
	size_t cache_bytes; /* of instances, over all processors */
	struct swm_payload_options payload;
	struct swm_event_limits limits;

	/* May be NULL. Called when the state changes, by any thread, one call at a
	 * time; must not call the engine. */
	void (*on_state)(void *ctx, const struct swm_engine_state *state);
	void *on_state_ctx;
};

/* What a commit carries; more only delays the first of them. */
#define SWM_ENGINE_BATCH_MAX 4096
#define SWM_ENGINE_BATCH_DEFAULT 256

/* Shorter ones leave no time to publish between two round trips. */
#define SWM_ENGINE_LEASE_MIN_MS 100
#define SWM_ENGINE_LEASE_DEFAULT_MS 10000

/* Some 100,000 instances of a dozen tasks. */
#define SWM_ENGINE_CACHE_DEFAULT_BYTES ((size_t)64 * 1024 * 1024)

/*
 * Starts all threads and returns; on_state says when they are ready. A store or
 * broker that is away is no failure: they go on trying. The schema must have been
 * migrated.
 * SWM_E_CONFIG: the configuration contradicts itself. SWM_E_NOMEM, SWM_E_INTERNAL.
 */
swm_status swm_engine_start(
	const struct swm_engine_config *config, struct swm_engine **out, struct swm_error *err);

/* Stops receiving, lets each thread finish its step, flushes what is confirmed, joins
 * them and frees the engine. Takes a few adapter calls at most. NULL is allowed. */
void swm_engine_stop(struct swm_engine *engine);

#endif
