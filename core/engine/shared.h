/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_SHARED_H
#define SWM_ENGINE_SHARED_H

/*
 * What the threads of one engine have in common, and how they learn that it is time
 * to stop.
 */

#include "engine.h"
#include "router.h"
#include "state.h"
#include "templates.h"

struct swm_dispatcher;

struct swm_shared {
	const struct swm_engine_config *config;
	const struct swm_env *env;
	struct swm_str own_queue; /* gets our own messages */
	struct swm_router *router;
	struct swm_templates *templates;
	struct swm_state *state;
	struct swm_dispatcher *dispatcher;
	struct swm_env_mutex *mutex; /* guards stopping */
	struct swm_env_cond *stop;   /* signalled when stopping turns true */
	bool stopping;
};

/* What a thread owes somebody now and then while it is at work that may take its time:
 * a processor services its consumer. Called between any two calls of the ports. */
struct swm_duty {
	void (*perform)(void *ctx); /* NULL: nothing */
	void *ctx;
};

static inline void swm_duty_perform(const struct swm_duty *duty)
{
	if (duty->perform) {
		duty->perform(duty->ctx);
	}
}

bool swm_shared_stopping(struct swm_shared *shared);

/* Waits pause_ms, or until the engine stops; true: it stops. */
bool swm_shared_pause(struct swm_shared *shared, int64_t pause_ms);

/* 32 hex digits of chance, terminated: the owner of leases, an event without any id. */
#define SWM_CHANCE_LEN 32
struct swm_str swm_chance_id(const struct swm_env *env, char out[SWM_CHANCE_LEN + 1]);

#endif
