/* SPDX-License-Identifier: MIT */

/* See timed_lock.h. */

#include "timed_lock.h"

#include "status.h"

#include <errno.h>
#include <time.h>

swm_status swm_timed_lock(
	pthread_mutex_t *mutex, int64_t timeout_ms, const char *name, struct swm_error *err)
{
	struct timespec until;

	if (clock_gettime(CLOCK_REALTIME, &until) != 0) {
		return swm_fail(err, SWM_E_INTERNAL, errno, "no clock");
	}
	until.tv_sec += (time_t)(timeout_ms / 1000);
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	if (pthread_mutex_timedlock(mutex, &until) != 0) {
		return swm_fail(err, SWM_E_TIMEOUT, 0, "%s: other threads kept it busy", name);
	}
	return SWM_OK;
}
