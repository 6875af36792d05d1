/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_TIMED_LOCK_H
#define SWM_COMMON_TIMED_LOCK_H

/*
 * A mutex that is not waited for longer than a call of a port may take: other threads may
 * hold it while they wait for a broker or for a file.
 */

#include <pthread.h>
#include <swm/plugin.h>

/* Locks `mutex`, which the caller unlocks after SWM_OK; any thread. `name` is what the
 * mutex guards, for the message. SWM_E_TIMEOUT: not to be had within timeout_ms.
 * SWM_E_INTERNAL: there is no clock. */
swm_status swm_timed_lock(
	pthread_mutex_t *mutex, int64_t timeout_ms, const char *name, struct swm_error *err);

#endif
