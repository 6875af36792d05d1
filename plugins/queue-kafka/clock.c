/* SPDX-License-Identifier: MIT */

/* See clock.h. */

#include "clock.h"

#include <limits.h>
#include <time.h>

int64_t swm_kafka_now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t swm_kafka_until_ms(int64_t timeout_ms)
{
	int64_t now_ms = swm_kafka_now_ms();

	return timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
}

int swm_kafka_left_ms(int64_t until_ms)
{
	int64_t left_ms = until_ms - swm_kafka_now_ms();

	if (left_ms <= 0) {
		return 0;
	}
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

bool swm_kafka_ending_init(struct swm_kafka_ending *ending)
{
	pthread_condattr_t attr;
	bool made = false;

	*ending = (struct swm_kafka_ending){0};
	if (pthread_condattr_init(&attr) != 0) {
		return false;
	}
	if (pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
		pthread_cond_init(&ending->cond, &attr) == 0) {
		made = pthread_mutex_init(&ending->mutex, NULL) == 0;
		if (!made) {
			(void)pthread_cond_destroy(&ending->cond);
		}
	}
	(void)pthread_condattr_destroy(&attr);
	return made;
}

void swm_kafka_ending_finish(struct swm_kafka_ending *ending)
{
	(void)pthread_mutex_destroy(&ending->mutex);
	(void)pthread_cond_destroy(&ending->cond);
}

bool swm_kafka_ending_wait(struct swm_kafka_ending *ending, int64_t until_ms)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000L,
	};
	int failed = 0;
	bool ended;

	(void)pthread_mutex_lock(&ending->mutex);
	while (!ending->ended && failed == 0) {
		failed = pthread_cond_timedwait(&ending->cond, &ending->mutex, &until);
	}
	ended = ending->ended;
	ending->abandoned = !ended;
	(void)pthread_mutex_unlock(&ending->mutex);
	return ended;
}

bool swm_kafka_ending_tell(struct swm_kafka_ending *ending)
{
	bool abandoned;

	(void)pthread_mutex_lock(&ending->mutex);
	ending->ended = true;
	abandoned = ending->abandoned;
	(void)pthread_cond_signal(&ending->cond);
	(void)pthread_mutex_unlock(&ending->mutex);
	return abandoned;
}
