/* SPDX-License-Identifier: MIT */

/*
 * Capped, jittered, exponential: one formula for everything that is tried again.
 */

#include "retry.h"

int64_t swm_retry_pause_ms(
	int64_t first_ms, int64_t max_ms, uint64_t failures, const struct swm_env *env)
{
	int64_t pause_ms = first_ms < max_ms ? first_ms : max_ms;
	for (uint64_t i = 1; i < failures && pause_ms < max_ms; i++) {
		pause_ms = pause_ms < max_ms / 2 ? pause_ms * 2 : max_ms;
	}

	uint32_t chance = 0;
	env->random(env->ctx, &chance, sizeof(chance));
	int64_t half_ms = pause_ms / 2;
	return pause_ms - half_ms + half_ms * (int64_t)(chance >> 16) / 65535;
}

int64_t swm_retry_next_ms(struct swm_retry *retry, const struct swm_env *env)
{
	if (retry->failures < UINT32_MAX) {
		retry->failures++;
	}
	return swm_retry_pause_ms(retry->first_ms, retry->max_ms, retry->failures, env);
}

void swm_retry_reset(struct swm_retry *retry)
{
	retry->failures = 0;
}
