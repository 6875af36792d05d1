/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_RETRY_H
#define SWM_ENGINE_RETRY_H

/*
 * How long to wait before the next try: doubling, capped, with jitter, so that many
 * orchestrators that lost the same server do not come back as one.
 */

#include "env.h"

struct swm_retry {
	int64_t first_ms;
	int64_t max_ms;
	uint32_t failures; /* since the last success */
};

/* The pause after one more failure: between half and all of first_ms * 2^n, at most
 * max_ms. */
int64_t swm_retry_next_ms(struct swm_retry *retry, const struct swm_env *env);

/* It worked: the next failure waits first_ms again. */
void swm_retry_reset(struct swm_retry *retry);

/* The same pause for the n-th failure (from 1) of something that counts elsewhere. */
int64_t swm_retry_pause_ms(
	int64_t first_ms, int64_t max_ms, uint64_t failures, const struct swm_env *env);

#endif
