/* SPDX-License-Identifier: MIT */

/*
 * A consumer's life, and how it waits.
 *
 * A receive looks first, with a read that takes no lock, and begins a write
 * transaction only when the look has found something; so an idle consumer writes
 * nothing. Between looks it sleeps on the mapped counter (wake.h): the value is read
 * before the look, so what is committed after the look ends the sleep at once. It looks
 * again without being told when a lease of one of its sources ends, and in any case
 * after LOOK_PERIOD_MS.
 *
 * Concurrency: a consumer and its connection belong to one thread. swm_consumer_wake()
 * comes from any: it sets a flag and signals the consumer's own slot; the flag is read
 * after the counter's value, so one of the two is noticed.
 */

#include "consumer.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	/* How late a message can be found whose signal got lost; see wake.h. */
	LOOK_PERIOD_MS = 1000,
	PREFETCH_FALLBACK = 256
};

static int64_t monotonic_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void free_consumer(struct swm_consumer *consumer)
{
	swm_db_close(&consumer->db);
	swm_deliveries_finish(&consumer->deliveries);
	free(consumer->sources);
	free(consumer->taken);
	free(consumer);
}

void swm_consumer_close(struct swm_consumer *consumer)
{
	if (consumer == NULL) {
		return;
	}
	swm_settle_return_all(consumer);
	free_consumer(consumer);
}

/* One block for the sources and, behind them, their names. */
static swm_status copy_sources(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	size_t size = count * sizeof(*consumer->sources);
	char *names;
	size_t i;

	for (i = 0; i < count; i++) {
		size += sources[i].len;
	}
	consumer->sources = calloc(1, size);
	if (consumer->sources == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	names = (char *)(consumer->sources + count);
	for (i = 0; i < count; i++) {
		memcpy(names, sources[i].ptr, sources[i].len);
		consumer->sources[i].name = (struct swm_str){names, sources[i].len};
		names += sources[i].len;
	}
	consumer->source_count = count;
	return SWM_OK;
}

/* Looks the sources up, and creates the missing ones if that is configured. */
static swm_status resolve_sources(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	struct swm_catalog catalog;
	int64_t *ids = calloc(count, sizeof(*ids));
	swm_status status;
	size_t i;

	if (ids == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = swm_catalog_init(&catalog, &consumer->db, err);
	if (status == SWM_OK) {
		status = swm_catalog_prepare(&catalog, sources, count,
			consumer->queue->config->create_queues, ids, err);
	}
	if (status == SWM_OK) {
		status = copy_sources(consumer, sources, count, err);
	}
	for (i = 0; i < count && status == SWM_OK; i++) {
		consumer->sources[i].queue_id = ids[i];
		consumer->sources[i].mask = swm_wake_queue_mask(ids[i]);
		consumer->mask |= consumer->sources[i].mask;
	}
	free(ids);
	return status;
}

static swm_status prepare_statements(struct swm_consumer *consumer, struct swm_error *err)
{
	swm_status status = swm_db_prepare(&consumer->db,
		"SELECT published - taken, (SELECT min(due) FROM lease WHERE queue = ?1)"
		" FROM queue WHERE id = ?1",
		&consumer->look, err);

	if (status == SWM_OK) {
		status = swm_take_prepare(consumer, err);
	}
	if (status == SWM_OK) {
		status = swm_settle_prepare(consumer, err);
	}
	return status;
}

swm_status swm_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	struct swm_consumer *consumer;
	swm_status status;

	if (count == 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a consumer needs a queue to listen to");
	}
	consumer = calloc(1, sizeof(*consumer));
	if (consumer == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	consumer->queue = queue;
	consumer->prefetch = prefetch == 0 ? PREFETCH_FALLBACK : prefetch;
	consumer->own_mask = swm_wake_private_mask(queue->wake);
	consumer->mask = consumer->own_mask;
	swm_deliveries_init(&consumer->deliveries);
	atomic_init(&consumer->woken, false);
	/* Losing a lease or an ACK in a power cut is a redelivery: no flush for these. */
	status = swm_schema_open(
		&consumer->db, queue->config->path, SWM_DB_NORMAL, queue->call_timeout_ms, err);
	if (status == SWM_OK) {
		status = resolve_sources(consumer, sources, count, err);
	}
	if (status == SWM_OK) {
		status = prepare_statements(consumer, err);
	}
	if (status != SWM_OK) {
		free_consumer(consumer);
		return swm_queue_failed(status, err);
	}
	*out = consumer;
	return SWM_OK;
}

void swm_consumer_wake(struct swm_consumer *consumer)
{
	atomic_store(&consumer->woken, true);
	swm_wake_signal(consumer->queue->wake, consumer->own_mask);
}

/* Looks at one source: sets `ready`, or lowers *wait_ms to the end of the first lease. */
static swm_status look_at(struct swm_consumer *consumer, struct swm_source *source,
	int64_t now_ms, int64_t *wait_ms, struct swm_error *err)
{
	sqlite3_stmt *stmt = consumer->look;
	swm_status status = SWM_OK;
	int rc;

	source->ready = false;
	(void)sqlite3_bind_int64(stmt, 1, source->queue_id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		source->ready = sqlite3_column_int64(stmt, 0) > 0;
		if (!source->ready && sqlite3_column_type(stmt, 1) != SQLITE_NULL) {
			int64_t due_ms = sqlite3_column_int64(stmt, 1);

			source->ready = due_ms <= now_ms;
			if (!source->ready && due_ms - now_ms < *wait_ms) {
				*wait_ms = due_ms - now_ms;
			}
		}
	} else if (rc == SQLITE_DONE) {
		status = swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: queue \"%.*s\" is gone: was the file exchanged?",
			consumer->db.path, (int)source->name.len, source->name.ptr);
	} else {
		status = swm_db_failed(&consumer->db, rc, "look for messages", err);
	}
	(void)sqlite3_reset(stmt);
	return status;
}

/* Looks at all sources, and takes what is there. *wait_ms becomes how long nothing can
 * appear without a signal. */
static swm_status look_and_take(struct swm_consumer *consumer, size_t max,
	struct swm_delivery *out, size_t *count, int64_t *wait_ms, struct swm_error *err)
{
	const struct swm_host *host = consumer->queue->host;
	int64_t now_ms = host->now_ms(host->ctx);
	bool ready = false;
	size_t i;

	*wait_ms = LOOK_PERIOD_MS;
	for (i = 0; i < consumer->source_count; i++) {
		struct swm_source *source = &consumer->sources[i];
		swm_status status = look_at(consumer, source, now_ms, wait_ms, err);

		if (status != SWM_OK) {
			return status;
		}
		ready = ready || source->ready;
	}
	if (!ready) {
		return SWM_OK;
	}
	/* If others take it first, this look has said nothing: look again soon. */
	*wait_ms = 1;
	return swm_take(consumer, max, out, count, err);
}

/* The loop of receive, when there is room for `max` (0: only wait). */
static swm_status wait_and_take(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	struct swm_wake *wake = consumer->queue->wake;
	int64_t now_ms = monotonic_ms();
	int64_t end_ms = timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
	int64_t look_ms = now_ms; /* when to look next, whatever happens */
	uint32_t last_news = 0;
	size_t taken = 0;

	for (;;) {
		uint32_t seen = swm_wake_value(wake);
		uint32_t news = swm_wake_news(wake, consumer->mask);
		int64_t wait_ms = LOOK_PERIOD_MS;

		if (atomic_exchange(&consumer->woken, false)) {
			return swm_fail(err, SWM_E_INTERRUPTED, 0, "woken");
		}
		if (max != 0 && (now_ms >= look_ms || news != last_news)) {
			swm_status status =
				look_and_take(consumer, max, out, &taken, &wait_ms, err);

			if (status != SWM_OK) {
				return status;
			}
			if (taken != 0) {
				*count = taken;
				return SWM_OK;
			}
			now_ms = monotonic_ms();
			look_ms = now_ms + wait_ms;
			last_news = news;
		}
		if (now_ms >= end_ms) {
			return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing came");
		}
		wait_ms = look_ms < end_ms && max != 0 ? look_ms - now_ms : end_ms - now_ms;
		swm_wake_wait(wake, consumer->mask, seen, wait_ms);
		now_ms = monotonic_ms();
	}
}

swm_status swm_consumer_check(const struct swm_consumer *consumer, struct swm_error *err)
{
	if (consumer->failed) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: this consumer failed before: open another one", consumer->db.path);
	}
	return SWM_OK;
}

swm_status swm_consumer_status(
	struct swm_consumer *consumer, swm_status status, struct swm_error *err)
{
	status = swm_queue_failed(status, err);
	if (status == SWM_E_INDOUBT) {
		status = swm_queue_unavailable(err);
	}
	consumer->failed = status == SWM_E_UNAVAILABLE || status == SWM_E_DENIED;
	return status;
}

swm_status swm_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	swm_status status = swm_consumer_check(consumer, err);
	size_t room;

	if (status != SWM_OK) {
		return status;
	}
	if (timeout_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a negative timeout");
	}
	if (max == 0) {
		return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing was asked for");
	}
	room = consumer->prefetch - consumer->deliveries.out;
	status = wait_and_take(consumer, timeout_ms, out, max < room ? max : room, count, err);
	/* A full disk: leases cannot be written, so nothing can be received. */
	if (status == SWM_E_THROTTLED) {
		status = swm_queue_unavailable(err);
	}
	return swm_consumer_status(consumer, status, err);
}
