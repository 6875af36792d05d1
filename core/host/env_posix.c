/* SPDX-License-Identifier: MIT */

/*
 * core/engine/env.h over POSIX. Waits go by the monotonic clock, so that a step of
 * the wall clock neither ends nor prolongs them.
 */

#include "env_posix.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

struct swm_env_thread {
	pthread_t id;
	const char *name;
	void (*run)(void *arg);
	void *arg;
};

struct swm_env_mutex {
	pthread_mutex_t mutex;
};

struct swm_env_cond {
	pthread_cond_t cond;
};

static swm_status failed(int code, const char *what, struct swm_error *err)
{
	swm_status status = code == ENOMEM ? SWM_E_NOMEM : SWM_E_INTERNAL;
	if (err != NULL) {
		err->status = status;
		err->native = code;
		(void)snprintf(err->message, sizeof(err->message),
			"%s failed (error %d); raise the "
			"limits on threads and memory of this process",
			what, code);
	}
	return status;
}

static int64_t monotonic_us(void *ctx)
{
	(void)ctx;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void random_bytes(void *ctx, void *bytes, size_t size)
{
	(void)ctx;
	char *at = bytes;
	while (size > 0) {
		ssize_t got = getrandom(at, size, 0);
		if (got < 0) {
			/* Linux documents no failure but an interruption for valid memory. */
			assert(errno == EINTR);
			continue;
		}
		at += got;
		size -= (size_t)got;
	}
}

static void *thread_main(void *arg)
{
	struct swm_env_thread *thread = arg;
	/* For those who look with top or gdb; the kernel keeps 15 bytes of it. */
	(void)prctl(PR_SET_NAME, thread->name);
	thread->run(thread->arg);
	return NULL;
}

static swm_status thread_start(void *ctx, const char *name, void (*run)(void *arg), void *arg,
	struct swm_env_thread **out, struct swm_error *err)
{
	(void)ctx;
	struct swm_env_thread *thread = malloc(sizeof(*thread));
	if (thread == NULL) {
		return failed(ENOMEM, name, err);
	}
	thread->name = name;
	thread->run = run;
	thread->arg = arg;
	int code = pthread_create(&thread->id, NULL, thread_main, thread);
	if (code != 0) {
		free(thread);
		return failed(code, name, err);
	}
	*out = thread;
	return SWM_OK;
}

static void thread_join(void *ctx, struct swm_env_thread *thread)
{
	(void)ctx;
	int code = pthread_join(thread->id, NULL);
	assert(code == 0);
	(void)code;
	free(thread);
}

static swm_status mutex_create(void *ctx, struct swm_env_mutex **out, struct swm_error *err)
{
	(void)ctx;
	struct swm_env_mutex *mutex = malloc(sizeof(*mutex));
	if (mutex == NULL) {
		return failed(ENOMEM, "mutex", err);
	}
	int code = pthread_mutex_init(&mutex->mutex, NULL);
	if (code != 0) {
		free(mutex);
		return failed(code, "mutex", err);
	}
	*out = mutex;
	return SWM_OK;
}

static void mutex_destroy(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	if (mutex == NULL) {
		return;
	}
	pthread_mutex_destroy(&mutex->mutex);
	free(mutex);
}

static void mutex_lock(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	int code = pthread_mutex_lock(&mutex->mutex);
	assert(code == 0);
	(void)code;
}

static void mutex_unlock(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	int code = pthread_mutex_unlock(&mutex->mutex);
	assert(code == 0);
	(void)code;
}

static swm_status cond_create(void *ctx, struct swm_env_cond **out, struct swm_error *err)
{
	(void)ctx;
	struct swm_env_cond *cond = malloc(sizeof(*cond));
	if (cond == NULL) {
		return failed(ENOMEM, "condition variable", err);
	}
	pthread_condattr_t attributes;
	int code = pthread_condattr_init(&attributes);
	if (code != 0) {
		goto error_cond;
	}
	code = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (code == 0) {
		code = pthread_cond_init(&cond->cond, &attributes);
	}
	pthread_condattr_destroy(&attributes);
	if (code != 0) {
		goto error_cond;
	}
	*out = cond;
	return SWM_OK;

error_cond:
	free(cond);
	return failed(code, "condition variable", err);
}

static void cond_destroy(void *ctx, struct swm_env_cond *cond)
{
	(void)ctx;
	if (cond == NULL) {
		return;
	}
	pthread_cond_destroy(&cond->cond);
	free(cond);
}

static void cond_wait(
	void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex, int64_t timeout_ms)
{
	(void)ctx;
	if (timeout_ms <= 0) {
		return;
	}
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	int code = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &until);
	assert(code == 0 || code == ETIMEDOUT);
	(void)code;
}

static void cond_signal(void *ctx, struct swm_env_cond *cond)
{
	(void)ctx;
	pthread_cond_broadcast(&cond->cond);
}

void swm_env_posix_init(struct swm_env *env, const struct swm_host *host)
{
	*env = (struct swm_env){
		.host = host,
		.monotonic_us = monotonic_us,
		.random = random_bytes,
		.thread_start = thread_start,
		.thread_join = thread_join,
		.mutex_create = mutex_create,
		.mutex_destroy = mutex_destroy,
		.mutex_lock = mutex_lock,
		.mutex_unlock = mutex_unlock,
		.cond_create = cond_create,
		.cond_destroy = cond_destroy,
		.cond_wait = cond_wait,
		.cond_signal = cond_signal,
	};
}
