/* SPDX-License-Identifier: MIT */

/*
 * See fake_host.h. The fast environment is the POSIX one with its clock and its waits
 * scaled; the manual one has locks that only check that they are used in pairs.
 */

#include "fake_host.h"

#include "env_posix.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define METRICS_MAX 64
#define LOG_BYTES ((size_t)256 * 1024)

/* 2020-01-01T00:00Z: any time will do. */
#define EPOCH_MS INT64_C(1577836800000)

struct metric {
	const char *name;
	int64_t value;
};

struct fake_host {
	struct swm_host host;
	struct swm_env env;
	struct swm_env posix; /* fast */
	int64_t speed;        /* fast */
	int64_t start_us;     /* fast: of the real clock */
	int64_t now_us;       /* manual */
	uint64_t chance;      /* manual */
	pthread_mutex_t mutex;
	pthread_cond_t counted;
	struct metric metrics[METRICS_MAX];
	size_t metric_count;
	char *log;
	size_t log_len;
};

struct swm_env_mutex {
	bool locked;
};

struct swm_env_cond {
	int unused;
};

SWM_PRINTF(4, 5)
static void host_log(void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	struct fake_host *fake = ctx;
	char line[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	pthread_mutex_lock(&fake->mutex);
	if (fake->log_len + strlen(line) + 2 < LOG_BYTES) {
		fake->log_len += (size_t)snprintf(
			fake->log + fake->log_len, LOG_BYTES - fake->log_len, "%s\n", line);
	}
	pthread_mutex_unlock(&fake->mutex);
	if (getenv("SWM_TEST_LOG")) {
		(void)fprintf(stderr, "# %d %s: %s\n", level, source, line);
	}
}

static struct metric *find_metric(struct fake_host *fake, const char *name)
{
	for (size_t i = 0; i < fake->metric_count; i++) {
		if (strcmp(fake->metrics[i].name, name) == 0) {
			return &fake->metrics[i];
		}
	}
	assert(fake->metric_count < METRICS_MAX);
	struct metric *metric = &fake->metrics[fake->metric_count];
	*metric = (struct metric){.name = name};
	fake->metric_count++;
	return metric;
}

static void host_count(void *ctx, const char *name, int64_t delta)
{
	struct fake_host *fake = ctx;
	pthread_mutex_lock(&fake->mutex);
	find_metric(fake, name)->value += delta;
	pthread_cond_broadcast(&fake->counted);
	pthread_mutex_unlock(&fake->mutex);
}

int64_t fake_host_counter(struct fake_host *fake, const char *metric)
{
	pthread_mutex_lock(&fake->mutex);
	int64_t value = find_metric(fake, metric)->value;
	pthread_mutex_unlock(&fake->mutex);
	return value;
}

size_t fake_host_logged(struct fake_host *fake, const char *text)
{
	size_t count = 0;
	pthread_mutex_lock(&fake->mutex);
	for (const char *at = strstr(fake->log, text); at; at = strstr(at + 1, text)) {
		count++;
	}
	pthread_mutex_unlock(&fake->mutex);
	return count;
}

bool fake_host_await(struct fake_host *fake, const char *metric, int64_t value)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	int code = 0;
	pthread_mutex_lock(&fake->mutex);
	struct metric *found = find_metric(fake, metric);
	while (found->value < value && code == 0) {
		code = pthread_cond_timedwait(&fake->counted, &fake->mutex, &until);
	}
	bool reached = found->value >= value;
	pthread_mutex_unlock(&fake->mutex);
	return reached;
}

static int64_t fast_monotonic_us(void *ctx)
{
	const struct fake_host *fake = ctx;
	int64_t now_us = fake->posix.monotonic_us(fake->posix.ctx);
	return (now_us - fake->start_us) * fake->speed;
}

static int64_t manual_monotonic_us(void *ctx)
{
	const struct fake_host *fake = ctx;
	return fake->now_us;
}

static int64_t host_now_ms(void *ctx)
{
	const struct fake_host *fake = ctx;
	return EPOCH_MS + fake->env.monotonic_us(ctx) / 1000;
}

static void fast_cond_wait(
	void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex, int64_t timeout_ms)
{
	struct fake_host *fake = ctx;
	int64_t real_ms = (timeout_ms + fake->speed - 1) / fake->speed;
	fake->posix.cond_wait(fake->posix.ctx, cond, mutex, real_ms);
}

static void manual_random(void *ctx, void *bytes, size_t size)
{
	struct fake_host *fake = ctx;
	unsigned char *at = bytes;
	for (size_t i = 0; i < size; i++) {
		fake->chance = fake->chance * UINT64_C(6364136223846793005) + 1;
		at[i] = (unsigned char)(fake->chance >> 56);
	}
}

static swm_status manual_thread_start(void *ctx, const char *name, void (*run)(void *arg),
	void *arg, struct swm_env_thread **out, struct swm_error *err)
{
	(void)ctx, (void)name, (void)run, (void)arg, (void)out, (void)err;
	return SWM_E_INTERNAL;
}

static void manual_thread_join(void *ctx, struct swm_env_thread *thread)
{
	(void)ctx, (void)thread;
}

static swm_status manual_mutex_create(
	void *ctx, struct swm_env_mutex **out, struct swm_error *err)
{
	(void)ctx, (void)err;
	*out = calloc(1, sizeof(**out));
	return *out ? SWM_OK : SWM_E_NOMEM;
}

static void manual_mutex_destroy(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	assert(!mutex || !mutex->locked);
	free(mutex);
}

static void manual_mutex_lock(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	assert(!mutex->locked);
	mutex->locked = true;
}

static void manual_mutex_unlock(void *ctx, struct swm_env_mutex *mutex)
{
	(void)ctx;
	assert(mutex->locked);
	mutex->locked = false;
}

static swm_status manual_cond_create(
	void *ctx, struct swm_env_cond **out, struct swm_error *err)
{
	(void)ctx, (void)err;
	*out = calloc(1, sizeof(**out));
	return *out ? SWM_OK : SWM_E_NOMEM;
}

static void manual_cond_destroy(void *ctx, struct swm_env_cond *cond)
{
	(void)ctx;
	free(cond);
}

static void manual_cond_wait(
	void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex, int64_t timeout_ms)
{
	(void)cond;
	assert(mutex->locked);
	fake_host_advance(ctx, timeout_ms > 0 ? timeout_ms : 0);
}

static void manual_cond_signal(void *ctx, struct swm_env_cond *cond)
{
	(void)ctx, (void)cond;
}

static struct fake_host *create(void)
{
	struct fake_host *fake = calloc(1, sizeof(*fake));
	assert(fake);
	fake->log = calloc(1, LOG_BYTES);
	assert(fake->log);
	pthread_mutex_init(&fake->mutex, NULL);
	pthread_cond_init(&fake->counted, NULL);
	fake->host = (struct swm_host){
		.size = sizeof(fake->host),
		.abi_major = SWM_ABI_MAJOR,
		.abi_minor = SWM_ABI_MINOR,
		.ctx = fake,
		.log_level = SWM_LOG_DEBUG,
		.log = host_log,
		.now_ms = host_now_ms,
		.count = host_count,
	};
	return fake;
}

struct fake_host *fake_host_create_manual(void)
{
	struct fake_host *fake = create();
	fake->env = (struct swm_env){
		.ctx = fake,
		.host = &fake->host,
		.monotonic_us = manual_monotonic_us,
		.random = manual_random,
		.thread_start = manual_thread_start,
		.thread_join = manual_thread_join,
		.mutex_create = manual_mutex_create,
		.mutex_destroy = manual_mutex_destroy,
		.mutex_lock = manual_mutex_lock,
		.mutex_unlock = manual_mutex_unlock,
		.cond_create = manual_cond_create,
		.cond_destroy = manual_cond_destroy,
		.cond_wait = manual_cond_wait,
		.cond_signal = manual_cond_signal,
	};
	return fake;
}

struct fake_host *fake_host_create_fast(int64_t speed)
{
	struct fake_host *fake = create();
	swm_env_posix_init(&fake->posix, &fake->host);
	fake->speed = speed;
	fake->start_us = fake->posix.monotonic_us(fake->posix.ctx);
	fake->env = fake->posix;
	fake->env.ctx = fake;
	fake->env.monotonic_us = fast_monotonic_us;
	fake->env.cond_wait = fast_cond_wait;
	return fake;
}

void fake_host_destroy(struct fake_host *fake)
{
	if (fake) {
		pthread_cond_destroy(&fake->counted);
		pthread_mutex_destroy(&fake->mutex);
		free(fake->log);
		free(fake);
	}
}

const struct swm_env *fake_host_env(struct fake_host *fake)
{
	return &fake->env;
}

void fake_host_advance(struct fake_host *fake, int64_t ms)
{
	fake->now_us += ms * 1000;
}
