/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_ENV_H
#define SWM_ENGINE_ENV_H

/*
 * Everything that makes one run of the engine differ from the next: time, waiting,
 * chance, threads and what threads meet at. The engine reaches all of it through
 * this one struct and calls the operating system nowhere else, so that a test or
 * a simulator can own it, run the same schedule again, and let hours pass in a
 * moment. The real one is core/host/env_posix.
 *
 * Concurrency: every function may be called from any thread.
 */

#include <swm/plugin.h>

struct swm_env_thread;
struct swm_env_mutex;
struct swm_env_cond;

struct swm_env {
	void *ctx; /* the first argument of each function below */

	/* Log, wall clock and counters are the ones that plugins are given. Recorded
	 * times go by this clock; nothing waits by it. */
	const struct swm_host *host;

	/* A clock that never jumps, from an arbitrary start. */
	int64_t (*monotonic_us)(void *ctx);

	/* Fills `bytes` with chance. Cannot fail. */
	void (*random)(void *ctx, void *bytes, size_t size);

	/* Runs run(arg) in a thread of its own until it returns. `name` (borrowed, like
	 * `arg`, until thread_join) is for people. SWM_E_NOMEM, SWM_E_INTERNAL: none was
	 * started. */
	swm_status (*thread_start)(void *ctx, const char *name, void (*run)(void *arg),
		void *arg, struct swm_env_thread **out, struct swm_error *err);

	/* Waits for its end and frees it. Each thread is joined once. */
	void (*thread_join)(void *ctx, struct swm_env_thread *thread);

	/* Not recursive. SWM_E_NOMEM, SWM_E_INTERNAL. */
	swm_status (*mutex_create)(
		void *ctx, struct swm_env_mutex **out, struct swm_error *err);
	void (*mutex_destroy)(void *ctx, struct swm_env_mutex *mutex); /* NULL is allowed */
	void (*mutex_lock)(void *ctx, struct swm_env_mutex *mutex);
	void (*mutex_unlock)(void *ctx, struct swm_env_mutex *mutex);

	/* SWM_E_NOMEM, SWM_E_INTERNAL. */
	swm_status (*cond_create)(void *ctx, struct swm_env_cond **out, struct swm_error *err);
	void (*cond_destroy)(void *ctx, struct swm_env_cond *cond); /* NULL is allowed */

	/* Waits with the mutex given up, at most timeout_ms, for a signal; may return
	 * without one, so that callers look at their condition again. */
	void (*cond_wait)(void *ctx, struct swm_env_cond *cond, struct swm_env_mutex *mutex,
		int64_t timeout_ms);

	/* Wakes all that wait. */
	void (*cond_signal)(void *ctx, struct swm_env_cond *cond);
};

static inline int64_t swm_env_wall_ms(const struct swm_env *env)
{
	return env->host->now_ms(env->host->ctx);
}

static inline int64_t swm_env_monotonic_ms(const struct swm_env *env)
{
	return env->monotonic_us(env->ctx) / 1000;
}

static inline void swm_env_lock(const struct swm_env *env, struct swm_env_mutex *mutex)
{
	env->mutex_lock(env->ctx, mutex);
}

static inline void swm_env_unlock(const struct swm_env *env, struct swm_env_mutex *mutex)
{
	env->mutex_unlock(env->ctx, mutex);
}

/* `metric` is a literal. */
static inline void swm_env_count(const struct swm_env *env, const char *metric, size_t delta)
{
	if (delta > 0) {
		env->host->count(env->host->ctx, metric, (int64_t)delta);
	}
}

/* swm_env_log(env, SWM_LOG_WARN, "format", ...): one line of the engine's. A macro, so
 * that the compiler checks the format against its arguments. */
#define swm_env_log(env, level, ...) \
	((env)->host->log((env)->host->ctx, (level), "engine", __VA_ARGS__))

/* The arguments of "%.*s" for borrowed bytes. */
#define SWM_FMT(text) (int)(text).len, (text).len > 0 ? (text).ptr : ""

#endif
