/* SPDX-License-Identifier: MIT */

/*
 * See state.h.
 */

#include "state.h"

#include "error.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX (SWM_ERROR_MESSAGE_MAX + 40)

enum health {
	STARTING,
	WORKING,
	FAILING
};

struct slot {
	enum health health;
	char text[TEXT_MAX]; /* while FAILING */
};

struct swm_state {
	const struct swm_engine_config *config;
	const struct swm_env *env;
	struct swm_env_mutex *mutex; /* guards the slots, and orders the calls of on_state */
	size_t slot_count;
	struct slot slots[];
};

swm_status swm_state_create(const struct swm_engine_config *config, size_t slots,
	struct swm_state **out, struct swm_error *err)
{
	struct swm_state *state = calloc(1, sizeof(*state) + slots * sizeof(state->slots[0]));
	if (!state) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	state->config = config;
	state->env = config->env;
	state->slot_count = slots;
	swm_status status = state->env->mutex_create(state->env->ctx, &state->mutex, err);
	if (status != SWM_OK) {
		free(state);
		return status;
	}
	*out = state;
	return SWM_OK;
}

void swm_state_destroy(struct swm_state *state)
{
	if (state) {
		state->env->mutex_destroy(state->env->ctx, state->mutex);
		free(state);
	}
}

/* With the mutex. */
static void tell(const struct swm_state *state)
{
	struct swm_engine_state now = {.ready = true, .text = "ready"};
	for (size_t i = 0; i < state->slot_count; i++) {
		if (state->slots[i].health == FAILING) {
			now = (struct swm_engine_state){.text = state->slots[i].text};
			break;
		}
		if (state->slots[i].health == STARTING) {
			now = (struct swm_engine_state){.text = "starting"};
		}
	}
	if (state->config->on_state) {
		state->config->on_state(state->config->on_state_ctx, &now);
	}
}

void swm_state_set(
	struct swm_state *state, size_t slot, const char *what, const struct swm_error *problem)
{
	assert(slot < state->slot_count);
	struct slot *at = &state->slots[slot];
	enum health health = problem ? FAILING : WORKING;

	swm_env_lock(state->env, state->mutex);
	enum health before = at->health;
	if (before != health) {
		at->health = health;
		if (problem) {
			(void)snprintf(
				at->text, sizeof(at->text), "%s: %s", what, problem->message);
			swm_env_log(state->env, SWM_LOG_WARN, "%s; trying again", at->text);
		} else if (before == FAILING) {
			swm_env_log(state->env, SWM_LOG_INFO, "%s: works again", what);
		}
		tell(state);
	}
	swm_env_unlock(state->env, state->mutex);
}
