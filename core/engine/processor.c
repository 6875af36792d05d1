/* SPDX-License-Identifier: MIT */

/*
 * See processor.h. The loop around swm_batch_round(): what to wait for, what to do when
 * the store or the broker is away, and that nothing is settled which is not done.
 */

#include "processor.h"

#include "batch.h"
#include "error.h"

#include <stdlib.h>

/* A receive waits no longer than this, well within the 5 s after which a consumer has
 * to be serviced again. */
#define RECEIVE_MAX_MS 3000

/* While it does not receive, a consumer is serviced this often, as far as the calls in
 * between are not longer themselves. */
#define SERVICE_PERIOD_MS 1000

/* Marks are written on their own when the oldest is older than this part of a lease. */
#define MARKS_AGE_PART 4

/* Between two tries of a step that others keep getting ahead of: from the first try on
 * with jitter, and after some ten in a row so long that the others come through. */
#define CONFLICT_FIRST_MS 2
#define CONFLICT_MAX_MS 1000

/* For what only a person can mend, and what only time can. */
#define STUCK_FIRST_MS 500
#define STUCK_MAX_MS 10000

#define REOPEN_FIRST_MS 50
#define REOPEN_MAX_MS 5000

/* Places in the state, from processor->slot on. */
enum {
	SLOT_STORE,
	SLOT_CONSUMER,
	SLOT_WORK
};

struct swm_processor {
	struct swm_shared *shared;
	const struct swm_engine_listen *listen;
	const struct swm_engine_queue *adapter;
	size_t slot;
	struct swm_env_thread *thread; /* NULL: not started */
	struct swm_env_mutex *guard;   /* of `consumer`, against the wake */
	struct swm_consumer *consumer; /* NULL: closed */

	/* The thread's own. */
	int64_t serviced_ms;  /* monotonic, the consumer's last receive */
	swm_status lost;      /* not SWM_OK: servicing has lost the consumer in a round, */
	struct swm_error why; /* for this reason; it is closed after the round */
	struct swm_retry consumer_retry;
	struct swm_retry stuck;
	struct swm_link link;
	struct swm_cache cache;
	struct swm_sender sender;
	struct swm_marks marks;
	struct swm_batch batch;
};

swm_status swm_processor_create(struct swm_shared *shared, size_t listen, size_t slot,
	size_t cache_bytes, struct swm_processor **out, struct swm_error *err)
{
	const struct swm_env *env = shared->env;
	struct swm_processor *processor = calloc(1, sizeof(*processor));
	if (!processor) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	processor->shared = shared;
	processor->listen = &shared->config->listen[listen];
	processor->adapter = &shared->config->queues[processor->listen->queue];
	processor->slot = slot;
	processor->consumer_retry =
		(struct swm_retry){.first_ms = REOPEN_FIRST_MS, .max_ms = REOPEN_MAX_MS};
	processor->stuck =
		(struct swm_retry){.first_ms = STUCK_FIRST_MS, .max_ms = STUCK_MAX_MS};
	swm_link_init(&processor->link, shared, slot + SLOT_STORE);
	swm_cache_init(&processor->cache, env, cache_bytes);

	struct swm_batch_args args = {
		.shared = shared,
		.link = &processor->link,
		.cache = &processor->cache,
		.sender = &processor->sender,
		.marks = &processor->marks,
	};
	swm_status status = env->mutex_create(env->ctx, &processor->guard, err);
	if (status == SWM_OK) {
		status = swm_sender_init(&processor->sender, shared, err);
	}
	if (status == SWM_OK) {
		status = swm_batch_init(&processor->batch, &args, shared->config->batch, err);
	}
	if (status != SWM_OK) {
		swm_processor_destroy(processor);
		return status;
	}
	*out = processor;
	return SWM_OK;
}

void swm_processor_destroy(struct swm_processor *processor)
{
	if (!processor) {
		return;
	}
	const struct swm_env *env = processor->shared->env;
	swm_batch_finish(&processor->batch);
	swm_sender_finish(&processor->sender);
	swm_marks_finish(&processor->marks);
	swm_cache_finish(&processor->cache);
	env->mutex_destroy(env->ctx, processor->guard);
	free(processor);
}

void swm_processor_wake(struct swm_processor *processor)
{
	const struct swm_env *env = processor->shared->env;
	swm_env_lock(env, processor->guard);
	if (processor->consumer) {
		processor->adapter->ops->consumer_wake(processor->consumer);
	}
	swm_env_unlock(env, processor->guard);
}

static void set_consumer(struct swm_processor *processor, struct swm_consumer *consumer)
{
	swm_env_lock(processor->shared->env, processor->guard);
	processor->consumer = consumer;
	swm_env_unlock(processor->shared->env, processor->guard);
}

/* Deliveries that are not settled go back to the broker. */
static void close_consumer(struct swm_processor *processor)
{
	struct swm_consumer *consumer = processor->consumer;
	swm_batch_end(&processor->batch);
	processor->lost = SWM_OK;
	if (consumer) {
		set_consumer(processor, NULL);
		processor->adapter->ops->consumer_close(consumer);
	}
}

static bool ends_consumer(swm_status status)
{
	return status == SWM_E_UNAVAILABLE || status == SWM_E_DENIED;
}

/* A call of the consumer failed; gives the pause before the next one. */
static int64_t consumer_failed(
	struct swm_processor *processor, swm_status status, const struct swm_error *err)
{
	if (ends_consumer(status)) {
		close_consumer(processor);
	}
	if (status == SWM_E_NOMEM) {
		swm_cache_drop_all(&processor->cache);
	}
	swm_env_count(processor->shared->env, "consumer_failures", 1);
	swm_state_set(processor->shared->state, processor->slot + SLOT_CONSUMER,
		"workflow queue", err);
	return swm_retry_next_ms(&processor->consumer_retry, processor->shared->env);
}

static void consumer_worked(struct swm_processor *processor)
{
	swm_retry_reset(&processor->consumer_retry);
	swm_state_set(processor->shared->state, processor->slot + SLOT_CONSUMER,
		"workflow queue", NULL);
}

/* Keeps the consumer's connection alive. What ends it is returned. */
static swm_status service(struct swm_processor *processor, struct swm_error *err)
{
	size_t count = 0;
	processor->serviced_ms = swm_env_monotonic_ms(processor->shared->env);
	swm_status status = processor->adapter->ops->consumer_receive(
		processor->consumer, 0, NULL, 0, &count, err);
	return ends_consumer(status) ? status : SWM_OK;
}

/* The same between two calls of a round, when its time has come. The batch needs its
 * deliveries until the round is over, so a lost consumer is only remembered. */
static void service_between(void *arg)
{
	struct swm_processor *processor = arg;
	int64_t now_ms = swm_env_monotonic_ms(processor->shared->env);
	if (processor->consumer && processor->lost == SWM_OK &&
		now_ms - processor->serviced_ms >= SERVICE_PERIOD_MS) {
		processor->lost = service(processor, &processor->why);
	}
}

/* Waits, and services the consumer meanwhile; ends early when the engine stops or the
 * consumer is lost. */
static void rest(struct swm_processor *processor, int64_t pause_ms)
{
	const struct swm_env *env = processor->shared->env;
	int64_t until_ms = swm_env_monotonic_ms(env) + pause_ms;
	for (;;) {
		int64_t left_ms = until_ms - swm_env_monotonic_ms(env);
		if (left_ms <= 0) {
			return;
		}
		int64_t slice_ms = left_ms < SERVICE_PERIOD_MS ? left_ms : SERVICE_PERIOD_MS;
		if (swm_shared_pause(processor->shared, slice_ms)) {
			return;
		}
		if (!processor->consumer) {
			continue;
		}
		struct swm_error err = {0};
		swm_status status = service(processor, &err);
		if (status != SWM_OK) {
			(void)consumer_failed(processor, status, &err);
			return;
		}
	}
}

static void store_failed(
	struct swm_processor *processor, swm_status status, const struct swm_error *err)
{
	if (status == SWM_E_NOMEM) {
		swm_cache_drop_all(&processor->cache);
	}
	rest(processor, swm_link_failed(&processor->link, status, err));
}

static swm_status open_consumer(struct swm_processor *processor, struct swm_error *err)
{
	const struct swm_queue_ops *ops = processor->adapter->ops;
	struct swm_queue *queue = processor->adapter->queue;
	struct swm_consumer *consumer = NULL;
	swm_status status = ops->prepare(queue, &processor->listen->source, 1, err);
	if (status == SWM_OK) {
		status = ops->consumer_open(queue, &processor->listen->source, 1,
			processor->shared->config->prefetch, &consumer, err);
	}
	if (status == SWM_OK) {
		set_consumer(processor, consumer);
	}
	return status;
}

/* True: session and consumer had been open. Opening them takes time, in which the engine
 * may have begun to stop: the caller looks again. */
static bool is_connected(struct swm_processor *processor)
{
	struct swm_error err = {0};
	if (processor->link.session && processor->consumer) {
		return true;
	}
	if (!processor->link.session) {
		swm_status status = swm_link_open(&processor->link, &err);
		if (status != SWM_OK) {
			store_failed(processor, status, &err);
			return false;
		}
		swm_state_set(
			processor->shared->state, processor->slot + SLOT_STORE, "store", NULL);
	}
	if (!processor->consumer) {
		swm_status status = open_consumer(processor, &err);
		if (status != SWM_OK) {
			rest(processor, consumer_failed(processor, status, &err));
			return false;
		}
		swm_state_set(processor->shared->state, processor->slot + SLOT_CONSUMER,
			"workflow queue", NULL);
	}
	return false;
}

/* Acknowledges what is done. *pause_ms is raised when the broker wants a pause. */
static void settle(struct swm_processor *processor, int64_t *pause_ms)
{
	struct swm_error err = {0};
	if (processor->lost != SWM_OK) {
		(void)consumer_failed(processor, processor->lost, &processor->why);
		return;
	}
	size_t count = swm_batch_collect(&processor->batch);
	if (count == 0) {
		return;
	}
	swm_status status = processor->adapter->ops->consumer_settle(
		processor->consumer, processor->batch.settlements, count, &err);
	if (status == SWM_OK || status == SWM_E_CONFLICT) {
		swm_batch_settled(&processor->batch);
		consumer_worked(processor);
		return;
	}
	int64_t wait_ms = consumer_failed(processor, status, &err);
	if (status == SWM_E_THROTTLED || status == SWM_E_TIMEOUT) {
		*pause_ms = wait_ms > *pause_ms ? wait_ms : *pause_ms;
	} else if (processor->consumer) {
		/* They may come back, and are known then. */
		swm_batch_settled(&processor->batch);
	}
}

/* What a round came to, as the pause before the next one. */
static int64_t conclude_round(struct swm_processor *processor, swm_status status,
	uint32_t *conflicts, const struct swm_error *err)
{
	const struct swm_env *env = processor->shared->env;
	size_t work = processor->slot + SLOT_WORK;
	switch (status) {
	case SWM_OK:
	case SWM_E_CONFLICT:
		swm_link_worked(&processor->link);
		swm_retry_reset(&processor->stuck);
		swm_state_set(processor->shared->state, work, "work", NULL);
		if (status == SWM_OK) {
			return 0;
		}
		(*conflicts)++;
		return swm_retry_pause_ms(CONFLICT_FIRST_MS, CONFLICT_MAX_MS, *conflicts, env);
	case SWM_E_NOMEM:
		swm_cache_drop_all(&processor->cache);
		swm_state_set(processor->shared->state, work, "work", err);
		return swm_retry_next_ms(&processor->stuck, env);
	case SWM_E_UNSUPPORTED:
		swm_link_worked(&processor->link);
		swm_state_set(processor->shared->state, work, "work", err);
		return swm_retry_next_ms(&processor->stuck, env);
	default:
		return swm_link_failed(&processor->link, status, err);
	}
}

static int64_t marks_due_ms(const struct swm_processor *processor)
{
	return processor->marks.oldest_ms +
	       processor->shared->config->lease_ms / MARKS_AGE_PART -
	       swm_env_monotonic_ms(processor->shared->env);
}

static void flush_marks(struct swm_processor *processor)
{
	struct swm_error err = {0};
	swm_status status = swm_link_flush(&processor->link, &processor->marks, &err);
	if (status == SWM_OK) {
		swm_link_worked(&processor->link);
	} else {
		store_failed(processor, status, &err);
	}
}

/* Marks must reach the store within their lease, whatever else is stuck. */
static void flush_due_marks(struct swm_processor *processor)
{
	if (processor->marks.count > 0 && processor->link.session &&
		marks_due_ms(processor) <= 0) {
		flush_marks(processor);
	}
}

/* Takes the batch through as many rounds as it needs. It is given up only when the
 * consumer is lost or the engine stops: its open events come again then. */
static void work(struct swm_processor *processor)
{
	uint32_t conflicts = 0;
	while (swm_batch_open(&processor->batch) > 0) {
		struct swm_error err = {0};
		swm_status status = swm_link_open(&processor->link, &err);
		if (status == SWM_OK) {
			status = swm_batch_round(&processor->batch, &err);
		}
		int64_t pause_ms = conclude_round(processor, status, &conflicts, &err);
		settle(processor, &pause_ms);
		if (swm_batch_open(&processor->batch) == 0 ||
			swm_shared_stopping(processor->shared)) {
			break;
		}
		flush_due_marks(processor);
		rest(processor, pause_ms);
	}
	swm_batch_end(&processor->batch);
	swm_cache_trim(&processor->cache);
}

static void take(struct swm_processor *processor)
{
	struct swm_error err = {0};
	size_t count = 0;
	int64_t timeout_ms = RECEIVE_MAX_MS;
	if (processor->marks.count > 0) {
		int64_t due_ms = marks_due_ms(processor);
		if (due_ms <= 0) {
			return;
		}
		timeout_ms = due_ms < timeout_ms ? due_ms : timeout_ms;
	}
	swm_status status = processor->adapter->ops->consumer_receive(processor->consumer,
		timeout_ms, processor->batch.deliveries, processor->batch.cap, &count, &err);
	processor->serviced_ms = swm_env_monotonic_ms(processor->shared->env);
	switch (status) {
	case SWM_OK:
		consumer_worked(processor);
		swm_batch_begin(&processor->batch, count);
		work(processor);
		break;
	case SWM_E_TIMEOUT:
	case SWM_E_INTERRUPTED:
		consumer_worked(processor);
		break;
	default:
		rest(processor, consumer_failed(processor, status, &err));
		break;
	}
}

static void run(void *arg)
{
	struct swm_processor *processor = arg;
	processor->sender.duty = (struct swm_duty){service_between, processor};
	swm_state_set(processor->shared->state, processor->slot + SLOT_WORK, "work", NULL);
	while (!swm_shared_stopping(processor->shared)) {
		flush_due_marks(processor);
		if (is_connected(processor)) {
			take(processor);
		}
	}
	close_consumer(processor);
	if (processor->link.session) {
		struct swm_error err = {0};
		swm_status status = swm_link_flush(&processor->link, &processor->marks, &err);
		if (status != SWM_OK) {
			swm_env_log(processor->shared->env, SWM_LOG_INFO,
				"%zu sent messages could not be marked, and will be sent once "
				"more: "
				"%s",
				processor->marks.count, err.message);
		}
	}
	swm_sender_finish(&processor->sender);
	swm_link_close(&processor->link);
}

swm_status swm_processor_start(struct swm_processor *processor, struct swm_error *err)
{
	const struct swm_env *env = processor->shared->env;
	return env->thread_start(
		env->ctx, "processor", run, processor, &processor->thread, err);
}

void swm_processor_join(struct swm_processor *processor)
{
	const struct swm_env *env = processor->shared->env;
	if (processor->thread) {
		env->thread_join(env->ctx, processor->thread);
		processor->thread = NULL;
	}
}
