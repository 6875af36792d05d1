/* SPDX-License-Identifier: MIT */

/*
 * Settling: all items of a call in one transaction.
 *
 * Each lease is addressed by its whole key and by its generation, `attempt`: if the
 * lease ran out and somebody else took the message, no row matches and nothing of
 * theirs is touched. A lease that ran out but that nobody took is still ours.
 *
 * What is received together is mostly acknowledged together, and its rows are
 * neighbours: a run of these is deleted as a range, which costs half as much as row by
 * row, after counting that all of the leases are still ours.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "status.h"

#include <assert.h>

enum {
	/* Two rows one by one are as fast as a range. */
	RUN_MIN = 3
};

#define THE_LEASE " WHERE queue = ?1 AND due = ?2 AND message = ?3 AND attempt = ?4"
#define THE_LEASES \
	" WHERE queue = ?1 AND due = ?2 AND message BETWEEN ?3 AND ?5 AND attempt = ?4"

swm_status swm_settle_prepare(struct swm_consumer *consumer, struct swm_error *err)
{
	const struct swm_statement all[] = {
		{"DELETE FROM lease" THE_LEASE, &consumer->drop_lease},
		{"DELETE FROM message WHERE id = ?1", &consumer->drop_message},
		{"UPDATE lease SET due = ?5, held = ?6" THE_LEASE, &consumer->move_lease},
		{"SELECT count(*) FROM lease" THE_LEASES, &consumer->count_leases},
		{"DELETE FROM lease" THE_LEASES, &consumer->drop_leases},
		{"DELETE FROM message WHERE id BETWEEN ?1 AND ?2", &consumer->drop_messages},
	};

	return swm_statements_prepare(&consumer->db, all, sizeof(all) / sizeof(all[0]), err);
}

/* Nothing is settled if one of the items cannot be right. */
static swm_status check_items(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	size_t i;

	if (++consumer->settlement == 0) {
		consumer->settlement = 1; /* 0 is that of a lease no call has met */
	}
	for (i = 0; i < count; i++) {
		struct swm_lease *lease =
			swm_deliveries_find(&consumer->deliveries, items[i].token);

		if (lease == NULL) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"item %zu: not a delivery that is out on this consumer", i);
		}
		if (lease->settlement == consumer->settlement) {
			return swm_fail(
				err, SWM_E_INVALID, 0, "item %zu: settled twice in a call", i);
		}
		lease->settlement = consumer->settlement;
		if (items[i].action < SWM_ACK || items[i].action > SWM_EXTEND) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: no such action: %u",
				i, items[i].action);
		}
		if (items[i].action != SWM_ACK && items[i].delay_ms < 0) {
			return swm_fail(err, SWM_E_INVALID, 0, "item %zu: a negative delay", i);
		}
	}
	return SWM_OK;
}

static void bind_lease(
	const struct swm_consumer *consumer, const struct swm_lease *lease, sqlite3_stmt *stmt)
{
	(void)sqlite3_bind_int64(stmt, 1, consumer->sources[lease->source].queue_id);
	(void)sqlite3_bind_int64(stmt, 2, lease->due_ms);
	(void)sqlite3_bind_int64(stmt, 3, lease->row);
	(void)sqlite3_bind_int64(stmt, 4, lease->attempt);
}

/* Runs a statement that changes one row if the lease is still ours. */
static swm_status run_fenced(struct swm_consumer *consumer, struct swm_lease *lease,
	sqlite3_stmt *stmt, struct swm_error *err)
{
	swm_status status = swm_db_run(&consumer->db, stmt, "settle a delivery", err);

	if (status == SWM_OK && sqlite3_changes(consumer->db.handle) == 0) {
		lease->lost = true;
	}
	return status;
}

static swm_status drop(
	struct swm_consumer *consumer, struct swm_lease *lease, struct swm_error *err)
{
	swm_status status;

	bind_lease(consumer, lease, consumer->drop_lease);
	status = run_fenced(consumer, lease, consumer->drop_lease, err);
	if (status != SWM_OK || lease->lost) {
		return status;
	}
	(void)sqlite3_bind_int64(consumer->drop_message, 1, lease->row);
	return swm_db_run(&consumer->db, consumer->drop_message, "remove a message", err);
}

static swm_status move(struct swm_consumer *consumer, struct swm_lease *lease, int64_t due_ms,
	bool held, struct swm_error *err)
{
	bind_lease(consumer, lease, consumer->move_lease);
	(void)sqlite3_bind_int64(consumer->move_lease, 5, due_ms);
	(void)sqlite3_bind_int(consumer->move_lease, 6, held ? 1 : 0);
	return run_fenced(consumer, lease, consumer->move_lease, err);
}

/* When a moved lease is due. A NACK without delay sorts before everything, so that
 * what is given back keeps its place, whatever the clock does. */
static int64_t due_of(const struct swm_settlement *item, int64_t now_ms)
{
	int64_t delay_ms =
		item->delay_ms < SWM_DELAY_MAX_MS ? item->delay_ms : SWM_DELAY_MAX_MS;

	return item->action == SWM_NACK && delay_ms == 0 ? 0 : now_ms + delay_ms;
}

static swm_status apply(struct swm_consumer *consumer, const struct swm_settlement *item,
	int64_t now_ms, struct swm_error *err)
{
	struct swm_lease *lease = swm_deliveries_find(&consumer->deliveries, item->token);

	assert(lease != NULL); /* check_items() has found it */
	if (lease->lost) {
		return SWM_OK;
	}
	if (item->action == SWM_ACK) {
		return drop(consumer, lease, err);
	}
	return move(consumer, lease, due_of(item, now_ms), item->action == SWM_EXTEND, err);
}

/* How many of the items from the first on can be dropped as one range: acknowledged
 * neighbours, leased by the same receive. At least 1. */
static size_t measure_run(
	struct swm_consumer *consumer, const struct swm_settlement *items, size_t count)
{
	const struct swm_lease *first =
		swm_deliveries_find(&consumer->deliveries, items[0].token);
	size_t n;

	for (n = 1; n < count; n++) {
		const struct swm_lease *next =
			swm_deliveries_find(&consumer->deliveries, items[n].token);

		if (items[n].action != SWM_ACK || next->lost ||
			next->row != first->row + (int64_t)n || next->due_ms != first->due_ms ||
			next->attempt != first->attempt) {
			break;
		}
	}
	return n;
}

/* Drops a run of `n` from `first` on, if all of it is still ours: then *dropped. */
static swm_status drop_run(struct swm_consumer *consumer, const struct swm_lease *first,
	size_t n, bool *dropped, struct swm_error *err)
{
	int64_t last_row = first->row + (int64_t)n - 1;
	sqlite3_stmt *stmt = consumer->count_leases;
	swm_status status = SWM_OK;
	int rc;

	bind_lease(consumer, first, stmt);
	(void)sqlite3_bind_int64(stmt, 5, last_row);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*dropped = sqlite3_column_int64(stmt, 0) == (int64_t)n;
	} else {
		status = swm_db_failed(&consumer->db, rc, "count leases", err);
	}
	(void)sqlite3_reset(stmt);
	if (status != SWM_OK || !*dropped) {
		return status;
	}
	bind_lease(consumer, first, consumer->drop_leases);
	(void)sqlite3_bind_int64(consumer->drop_leases, 5, last_row);
	status = swm_db_run(&consumer->db, consumer->drop_leases, "drop leases", err);
	if (status != SWM_OK) {
		return status;
	}
	(void)sqlite3_bind_int64(consumer->drop_messages, 1, first->row);
	(void)sqlite3_bind_int64(consumer->drop_messages, 2, last_row);
	return swm_db_run(&consumer->db, consumer->drop_messages, "remove messages", err);
}

/* Settles the first item, or a run of them: *done says how many. */
static swm_status apply_some(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, int64_t now_ms, size_t *done, struct swm_error *err)
{
	const struct swm_lease *lease =
		swm_deliveries_find(&consumer->deliveries, items[0].token);
	swm_status status = SWM_OK;
	bool dropped = false;
	size_t run = 1;

	if (items[0].action == SWM_ACK && !lease->lost) {
		run = measure_run(consumer, items, count);
	}
	if (run >= RUN_MIN) {
		status = drop_run(consumer, lease, run, &dropped, err);
	}
	if (dropped) {
		*done = run;
		return status;
	}
	*done = 1;
	return status == SWM_OK ? apply(consumer, &items[0], now_ms, err) : status;
}

/* After the commit: forgets what is settled for good. How many leases were lost. */
static size_t conclude(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, int64_t now_ms)
{
	swm_wake_mask mask = 0;
	size_t lost = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_lease *lease =
			swm_deliveries_find(&consumer->deliveries, items[i].token);

		assert(lease != NULL);
		lost += lease->lost;
		if (items[i].action == SWM_EXTEND) {
			lease->due_ms = lease->lost ? lease->due_ms : due_of(&items[i], now_ms);
			continue;
		}
		if (items[i].action == SWM_NACK) {
			mask |= consumer->sources[lease->source].mask;
		}
		swm_deliveries_remove(&consumer->deliveries, items[i].token);
	}
	swm_wake_signal(consumer->queue->wake, mask);
	return lost;
}

/* All items in one transaction; on failure no row is changed. */
static swm_status settle_all(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	const struct swm_host *host = consumer->queue->host;
	swm_status status = swm_db_begin(&consumer->db, err);
	int64_t now_ms;
	size_t done = 0;
	size_t lost;
	size_t i;

	if (status != SWM_OK) {
		return status;
	}
	now_ms = host->now_ms(host->ctx);
	for (i = 0; i < count && status == SWM_OK; i += done) {
		status = apply_some(consumer, &items[i], count - i, now_ms, &done, err);
	}
	if (status != SWM_OK) {
		swm_db_rollback(&consumer->db);
		return status;
	}
	status = swm_db_commit(&consumer->db, err);
	if (status != SWM_OK) {
		return status;
	}
	lost = conclude(consumer, items, count, now_ms);
	if (lost != 0) {
		return swm_fail(err, SWM_E_CONFLICT, 0,
			"%s: %zu of %zu deliveries had been taken over by others: their lease "
			"was over",
			consumer->db.path, lost, count);
	}
	return SWM_OK;
}

/* The caller must not settle these again: they come back when their leases are over, and
 * must not take places of the prefetch until then. */
static void forget(
	struct swm_consumer *consumer, const struct swm_settlement *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		swm_deliveries_remove(&consumer->deliveries, items[i].token);
	}
}

swm_status swm_consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	swm_status status = swm_consumer_check(consumer, err);

	if (status == SWM_OK) {
		status = check_items(consumer, items, count, err);
	}
	if (status != SWM_OK || count == 0) {
		return status;
	}
	status = settle_all(consumer, items, count, err);
	if (status != SWM_OK && status != SWM_E_CONFLICT && status != SWM_E_THROTTLED &&
		status != SWM_E_TIMEOUT) {
		forget(consumer, items, count);
	}
	return swm_consumer_status(consumer, status, err);
}

void swm_settle_return_all(struct swm_consumer *consumer)
{
	swm_wake_mask mask = 0;
	swm_status status;
	struct swm_lease *lease;
	uint32_t position = 0;

	if (consumer->deliveries.out == 0) {
		return;
	}
	/* If any of this fails, the leases run out. */
	status = swm_db_begin(&consumer->db, NULL);
	if (status != SWM_OK) {
		return;
	}
	while (status == SWM_OK &&
		(lease = swm_deliveries_next(&consumer->deliveries, &position)) != NULL) {
		if (!lease->lost) {
			status = move(consumer, lease, 0, false, NULL);
			mask |= consumer->sources[lease->source].mask;
		}
	}
	if (status != SWM_OK) {
		swm_db_rollback(&consumer->db);
	} else if (swm_db_commit(&consumer->db, NULL) == SWM_OK) {
		swm_wake_signal(consumer->queue->wake, mask);
	}
}
