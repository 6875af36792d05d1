/* SPDX-License-Identifier: MIT */

/*
 * See shared.h.
 */

#include "shared.h"

#include <stdio.h>

bool swm_shared_stopping(struct swm_shared *shared)
{
	swm_env_lock(shared->env, shared->mutex);
	bool stopping = shared->stopping;
	swm_env_unlock(shared->env, shared->mutex);
	return stopping;
}

bool swm_shared_pause(struct swm_shared *shared, int64_t pause_ms)
{
	const struct swm_env *env = shared->env;
	int64_t until_ms = swm_env_monotonic_ms(env) + pause_ms;
	swm_env_lock(env, shared->mutex);
	while (!shared->stopping) {
		int64_t left_ms = until_ms - swm_env_monotonic_ms(env);
		if (left_ms <= 0) {
			break;
		}
		env->cond_wait(env->ctx, shared->stop, shared->mutex, left_ms);
	}
	bool stopping = shared->stopping;
	swm_env_unlock(env, shared->mutex);
	return stopping;
}

struct swm_str swm_chance_id(const struct swm_env *env, char out[SWM_CHANCE_LEN + 1])
{
	uint64_t chance[2];
	env->random(env->ctx, chance, sizeof(chance));
	(void)snprintf(out, SWM_CHANCE_LEN + 1, "%016llx%016llx", (unsigned long long)chance[0],
		(unsigned long long)chance[1]);
	return (struct swm_str){out, SWM_CHANCE_LEN};
}
