/* SPDX-License-Identifier: MIT */

/*
 * Leasing messages: one transaction per receive, over all sources that have something.
 *
 * There are two kinds. Returned ones have a row in the table of leases whose due time
 * has come (a lease that ran out, a NACK): the row is moved. Fresh ones were
 * never handed out: they get a row. Returned ones are older and go first, but
 * not twice in a row, lest a message that is given back at once for ever keep all
 * others waiting. Within a kind the oldest goes first.
 *
 * All rows are read into the batch before any is written: SQLite leaves open what a
 * SELECT sees of changes made to its table meanwhile (sqlite.org/isolation.html).
 *
 * Concurrency: confined to the consumer's thread; the write lock of the file keeps
 * other consumers out between reading and leasing.
 */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "consumer.h"
#include "headers.h"
#include "layout.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

/* Past this many bytes a receive stops, though there may be more: a hundred thousand
 * large messages must not be copied at once. The first message always fits. */
#define RECEIVE_BYTES_MAX ((size_t)8 * 1024 * 1024)

/* One receive under way. */
struct taking {
	struct swm_consumer *consumer;
	struct swm_batch *batch;
	size_t max;
	size_t count; /* entries of consumer->taken */
	size_t bytes;
	int64_t now_ms;
	int64_t due_ms; /* the end of the leases it makes */
};

swm_status swm_take_prepare(struct swm_consumer *consumer, struct swm_error *err)
{
	const struct swm_statement all[] = {
		/* CROSS JOIN: leases first, in the order of their key. */
		{"SELECT m.id, m.message_id, m.key, m.headers, m.body, l.due, l.attempt"
		 " FROM lease AS l CROSS JOIN message AS m ON m.id = l.message"
		 " WHERE l.queue = ?1 AND l.due <= ?2 ORDER BY l.due, l.message LIMIT ?3",
			&consumer->read_returned},
		{"UPDATE lease SET due = ?4, attempt = attempt + 1, held = 1"
		 " WHERE queue = ?1 AND due = ?2 AND message = ?3",
			&consumer->lease_returned},
		{"SELECT published, taken FROM queue WHERE id = ?1", &consumer->read_taken},
		{"SELECT id, message_id, key, headers, body FROM message"
		 " WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
			&consumer->read_fresh},
		{"INSERT INTO lease (queue, due, message, attempt, held)"
		 " SELECT ?1, ?2, id, 1, 1 FROM message WHERE id BETWEEN ?3 AND ?4",
			&consumer->lease_fresh},
		{"UPDATE queue SET taken = ?2 WHERE id = ?1", &consumer->write_taken},
	};

	return swm_statements_prepare(&consumer->db, all, sizeof(all) / sizeof(all[0]), err);
}

static bool is_full(const struct taking *taking)
{
	return taking->count == taking->max || taking->bytes >= RECEIVE_BYTES_MAX;
}

/* Copies a column to *at and moves it on. An absent one is NULL, an empty one not. */
static struct swm_str copy_column(sqlite3_stmt *stmt, int column, char **at)
{
	const void *from = sqlite3_column_blob(stmt, column);
	size_t len = (size_t)sqlite3_column_bytes(stmt, column);
	struct swm_str to = {NULL, 0};

	if (sqlite3_column_type(stmt, column) == SQLITE_NULL) {
		return to;
	}
	if (len != 0) {
		memcpy(*at, from, len);
	}
	to = (struct swm_str){*at, len};
	*at += len;
	return to;
}

/* Copies columns 1 to 4 of the row (id, key, headers, body) into the batch. */
static swm_status copy_row(struct taking *taking, sqlite3_stmt *stmt,
	struct swm_delivery *delivery, struct swm_error *err)
{
	size_t header_count = 0;
	struct swm_header *headers;
	struct swm_str blob;
	size_t size = 1; /* never nothing, so that an empty string has an address */
	char *at;
	int column;

	for (column = 1; column <= 4; column++) {
		size += (size_t)sqlite3_column_bytes(stmt, column);
	}
	if (swm_headers_count(sqlite3_column_blob(stmt, 3),
		    (size_t)sqlite3_column_bytes(stmt, 3), &header_count) != SWM_OK) {
		return swm_fail(err, SWM_E_CORRUPT, 0,
			"%s: the headers of message row %lld cannot be read",
			taking->consumer->db.path, (long long)sqlite3_column_int64(stmt, 0));
	}
	headers = swm_batch_alloc(taking->batch, header_count * sizeof(*headers) + size);
	if (headers == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	at = (char *)(headers + header_count);
	delivery->id = copy_column(stmt, 1, &at);
	delivery->key = copy_column(stmt, 2, &at);
	blob = copy_column(stmt, 3, &at);
	delivery->body = copy_column(stmt, 4, &at);
	if (header_count != 0) {
		swm_headers_read((const unsigned char *)blob.ptr, headers, header_count);
		delivery->headers = headers;
		delivery->header_count = header_count;
	}
	taking->bytes += size;
	return SWM_OK;
}

/* Reads the rows of a bound statement as deliveries of a source, until full. */
static swm_status read_rows(struct taking *taking, sqlite3_stmt *stmt, uint32_t source,
	bool returned, struct swm_error *err)
{
	struct swm_consumer *consumer = taking->consumer;
	swm_status status = SWM_OK;
	int rc = SQLITE_ROW;

	while (status == SWM_OK && !is_full(taking) &&
		(rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct swm_taken *taken = &consumer->taken[taking->count];

		*taken = (struct swm_taken){0};
		taken->lease.row = sqlite3_column_int64(stmt, 0);
		taken->lease.due_ms = taking->due_ms;
		taken->lease.source = source;
		taken->lease.attempt = 1;
		if (returned) {
			taken->old_due_ms = sqlite3_column_int64(stmt, 5);
			taken->lease.attempt = (uint32_t)sqlite3_column_int64(stmt, 6) + 1;
		}
		taken->delivery.source = consumer->sources[source].name;
		taken->delivery.attempt = taken->lease.attempt;
		taken->delivery.redelivered = returned;
		taken->delivery.lease_until_ms = taking->due_ms;
		status = copy_row(taking, stmt, &taken->delivery, err);
		taking->count += status == SWM_OK;
	}
	if (status == SWM_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
		status = swm_db_failed(&consumer->db, rc, "read messages", err);
	}
	(void)sqlite3_reset(stmt);
	return status;
}

static swm_status take_returned(struct taking *taking, uint32_t source, struct swm_error *err)
{
	struct swm_consumer *consumer = taking->consumer;
	int64_t queue_id = consumer->sources[source].queue_id;
	sqlite3_stmt *stmt = consumer->read_returned;
	size_t i = taking->count;
	swm_status status;

	(void)sqlite3_bind_int64(stmt, 1, queue_id);
	(void)sqlite3_bind_int64(stmt, 2, taking->now_ms);
	(void)sqlite3_bind_int64(stmt, 3, (int64_t)(taking->max - taking->count));
	status = read_rows(taking, stmt, source, true, err);
	stmt = consumer->lease_returned;
	for (; i < taking->count && status == SWM_OK; i++) {
		(void)sqlite3_bind_int64(stmt, 1, queue_id);
		(void)sqlite3_bind_int64(stmt, 2, consumer->taken[i].old_due_ms);
		(void)sqlite3_bind_int64(stmt, 3, consumer->taken[i].lease.row);
		(void)sqlite3_bind_int64(stmt, 4, taking->due_ms);
		status = swm_db_run(&consumer->db, stmt, "lease a message again", err);
	}
	return status;
}

/* Leases the rows `first` to `last`, which nobody was given before. */
static swm_status lease_fresh(struct taking *taking, int64_t queue_id, int64_t first,
	int64_t last, struct swm_error *err)
{
	struct swm_consumer *consumer = taking->consumer;
	sqlite3_stmt *stmt = consumer->lease_fresh;
	swm_status status;

	(void)sqlite3_bind_int64(stmt, 1, queue_id);
	(void)sqlite3_bind_int64(stmt, 2, taking->due_ms);
	(void)sqlite3_bind_int64(stmt, 3, first);
	(void)sqlite3_bind_int64(stmt, 4, last);
	status = swm_db_run(&consumer->db, stmt, "lease messages", err);
	if (status == SWM_OK) {
		stmt = consumer->write_taken;
		(void)sqlite3_bind_int64(stmt, 1, queue_id);
		(void)sqlite3_bind_int64(stmt, 2, swm_row_number(last));
		status = swm_db_run(&consumer->db, stmt, "count deliveries", err);
	}
	return status;
}

static swm_status take_fresh(struct taking *taking, uint32_t source, struct swm_error *err)
{
	struct swm_consumer *consumer = taking->consumer;
	int64_t queue_id = consumer->sources[source].queue_id;
	sqlite3_stmt *stmt = consumer->read_taken;
	size_t before = taking->count;
	int64_t published = 0;
	int64_t taken = 0;
	swm_status status = SWM_OK;
	int rc;

	(void)sqlite3_bind_int64(stmt, 1, queue_id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		published = sqlite3_column_int64(stmt, 0);
		taken = sqlite3_column_int64(stmt, 1);
	} else if (rc != SQLITE_DONE) {
		status = swm_db_failed(&consumer->db, rc, "read a queue", err);
	}
	(void)sqlite3_reset(stmt);
	if (status != SWM_OK || published == taken) {
		return status;
	}
	stmt = consumer->read_fresh;
	(void)sqlite3_bind_int64(stmt, 1, swm_row_id(queue_id, taken));
	(void)sqlite3_bind_int64(stmt, 2, swm_row_id(queue_id, published));
	(void)sqlite3_bind_int64(stmt, 3, (int64_t)(taking->max - taking->count));
	status = read_rows(taking, stmt, source, false, err);
	if (status != SWM_OK || taking->count == before) {
		return status;
	}
	return lease_fresh(taking, queue_id, consumer->taken[before].lease.row,
		consumer->taken[taking->count - 1].lease.row, err);
}

/* Both kinds of one source, in the order whose turn it is. */
static swm_status take_source(struct taking *taking, uint32_t source, struct swm_error *err)
{
	bool fresh_first = taking->consumer->fresh_first;
	swm_status status = SWM_OK;

	if (fresh_first) {
		status = take_fresh(taking, source, err);
	}
	if (status == SWM_OK && !is_full(taking)) {
		status = take_returned(taking, source, err);
	}
	if (status == SWM_OK && !fresh_first && !is_full(taking)) {
		status = take_fresh(taking, source, err);
	}
	return status;
}

static swm_status take_sources(struct taking *taking, struct swm_error *err)
{
	struct swm_consumer *consumer = taking->consumer;
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < consumer->source_count && status == SWM_OK && !is_full(taking); i++) {
		size_t source = (consumer->turn + i) % consumer->source_count;

		if (consumer->sources[source].ready) {
			status = take_source(taking, (uint32_t)source, err);
		}
	}
	return status;
}

/* After the commit: gives out tokens, and decides whose turn is next. */
static void hand_out(struct taking *taking, struct swm_delivery *out)
{
	struct swm_consumer *consumer = taking->consumer;
	bool returned = false;
	size_t i;

	for (i = 0; i < taking->count; i++) {
		struct swm_taken *taken = &consumer->taken[i];

		taken->delivery.token =
			swm_deliveries_add(&consumer->deliveries, taking->batch, &taken->lease);
		out[i] = taken->delivery;
		returned = returned || taken->delivery.redelivered != 0;
	}
	consumer->fresh_first = returned && !consumer->fresh_first;
	consumer->turn = (consumer->turn + 1) % consumer->source_count;
}

static swm_status make_room(struct swm_consumer *consumer, size_t max, struct swm_error *err)
{
	if (max > consumer->taken_room) {
		struct swm_taken *taken =
			reallocarray(consumer->taken, max, sizeof(struct swm_taken));

		if (taken == NULL) {
			return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
		consumer->taken = taken;
		consumer->taken_room = max;
	}
	return swm_deliveries_reserve(&consumer->deliveries, (uint32_t)max, err);
}

swm_status swm_take(struct swm_consumer *consumer, size_t max, struct swm_delivery *out,
	size_t *count, struct swm_error *err)
{
	const struct swm_host *host = consumer->queue->host;
	struct taking taking = {.consumer = consumer, .max = max};
	swm_status status = make_room(consumer, max, err);

	if (status != SWM_OK) {
		return status;
	}
	taking.batch = swm_batch_create(&consumer->deliveries);
	if (taking.batch == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = swm_db_begin(&consumer->db, err);
	if (status != SWM_OK) {
		swm_batch_discard(&consumer->deliveries, taking.batch);
		return status;
	}
	/* Only now: waiting for the lock must not eat into the leases. */
	taking.now_ms = host->now_ms(host->ctx);
	taking.due_ms = taking.now_ms + consumer->queue->config->lease_ms;
	status = take_sources(&taking, err);
	if (status != SWM_OK || taking.count == 0) {
		swm_db_rollback(&consumer->db);
	} else {
		status = swm_db_commit(&consumer->db, err);
	}
	if (status != SWM_OK || taking.count == 0) {
		swm_batch_discard(&consumer->deliveries, taking.batch);
		return status;
	}
	hand_out(&taking, out);
	*count = taking.count;
	return SWM_OK;
}
