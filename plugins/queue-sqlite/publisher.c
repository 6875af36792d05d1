/* SPDX-License-Identifier: MIT */

/*
 * Publishing: all messages of a call in one transaction, so one flush of the disk
 * confirms them all. A message that cannot be taken is left out, the others go.
 *
 * Concurrency: a publisher has its own connection and belongs to one thread.
 */

#include "destinations.h"
#include "headers.h"
#include "layout.h"
#include "queue_sqlite.h"
#include "status.h"

#include <assert.h>
#include <stdlib.h>

struct swm_publisher {
	struct swm_queue *queue;
	struct swm_db db;
	struct swm_catalog catalog;
	sqlite3_stmt *read_number;
	sqlite3_stmt *write_number;
	sqlite3_stmt *insert;
	struct swm_destinations destinations;
	unsigned char *headers; /* room to encode those of one message */
	size_t headers_room;
	bool failed;
};

void swm_publisher_close(struct swm_publisher *publisher)
{
	if (publisher == NULL) {
		return;
	}
	swm_db_close(&publisher->db);
	swm_destinations_finish(&publisher->destinations);
	free(publisher->headers);
	free(publisher);
}

static swm_status prepare_statements(struct swm_publisher *publisher, struct swm_error *err)
{
	const struct swm_statement all[] = {
		{"SELECT published FROM queue WHERE id = ?1", &publisher->read_number},
		{"UPDATE queue SET published = ?2 WHERE id = ?1", &publisher->write_number},
		{"INSERT INTO message (id, message_id, key, headers, body)"
		 " VALUES (?1, ?2, ?3, ?4, ?5)",
			&publisher->insert},
	};
	swm_status status = swm_catalog_init(&publisher->catalog, &publisher->db, err);

	if (status != SWM_OK) {
		return status;
	}
	return swm_statements_prepare(&publisher->db, all, sizeof(all) / sizeof(all[0]), err);
}

swm_status swm_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	struct swm_publisher *publisher = calloc(1, sizeof(*publisher));
	swm_status status;

	if (publisher == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	publisher->queue = queue;
	swm_destinations_init(&publisher->destinations);
	status = swm_schema_open(
		&publisher->db, queue->config->path, SWM_DB_FULL, queue->call_timeout_ms, err);
	if (status == SWM_OK) {
		status = prepare_statements(publisher, err);
	}
	if (status != SWM_OK) {
		swm_publisher_close(publisher);
		return swm_queue_failed(status, err);
	}
	*out = publisher;
	return SWM_OK;
}

/* What can be said about a message without the database. */
static swm_status check_message(const struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err)
{
	size_t limit = (size_t)publisher->queue->config->message_bytes_max;
	swm_status status = swm_queue_name_check(message->destination, err);
	size_t left = limit;
	size_t sizes[4];
	size_t i;

	if (status != SWM_OK) {
		return status;
	}
	if (message->header_count > SWM_HEADERS_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"message %.*s has %zu headers, at most %d", (int)message->id.len,
			message->id.ptr, message->header_count, SWM_HEADERS_MAX);
	}
	sizes[0] = message->body.len;
	sizes[1] = message->key.len;
	sizes[2] = message->id.len;
	sizes[3] = swm_headers_size(message->headers, message->header_count);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > left) {
			return swm_fail(err, SWM_E_TOO_LARGE, 0,
				"a message to \"%.*s\" has more than the %zu bytes of "
				"max_message",
				(int)message->destination.len, message->destination.ptr, limit);
		}
		left -= sizes[i];
	}
	return SWM_OK;
}

/* Reads how far the messages of a queue are numbered, once in a transaction. */
static swm_status touch(struct swm_publisher *publisher, struct swm_destination *destination,
	struct swm_error *err)
{
	sqlite3_stmt *stmt = publisher->read_number;
	swm_status status = SWM_OK;
	int rc;

	if (destination->touched) {
		return SWM_OK;
	}
	(void)sqlite3_bind_int64(stmt, 1, destination->queue_id);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		destination->published = sqlite3_column_int64(stmt, 0);
		swm_destinations_touch(&publisher->destinations, destination);
	} else if (rc == SQLITE_DONE) {
		status = swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"%s: queue \"%.*s\" is gone: was the file exchanged?",
			publisher->db.path, (int)destination->name_len, destination->name);
	} else {
		status = swm_db_failed(&publisher->db, rc, "read a queue", err);
	}
	(void)sqlite3_reset(stmt);
	return status;
}

/* SWM_E_NOT_FOUND concerns this message only, anything else the transaction. */
static swm_status find_destination(struct swm_publisher *publisher, struct swm_str name,
	struct swm_destination **out, struct swm_error *err)
{
	struct swm_destination *found = swm_destinations_find(&publisher->destinations, name);
	int64_t id = 0;
	swm_status status;

	if (found == NULL) {
		status = publisher->queue->config->create_queues
				 ? swm_catalog_find_or_create(
					   &publisher->catalog, name, &id, err)
				 : swm_catalog_find(&publisher->catalog, name, &id, err);
		if (status != SWM_OK) {
			return status;
		}
		found = swm_destinations_add(&publisher->destinations, name, id);
		if (found == NULL) {
			return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
	}
	status = touch(publisher, found, err);
	if (status == SWM_OK) {
		*out = found;
	}
	return status;
}

static swm_status encode_headers(struct swm_publisher *publisher,
	const struct swm_message *message, size_t *size, struct swm_error *err)
{
	size_t wanted = swm_headers_size(message->headers, message->header_count);

	if (wanted > publisher->headers_room) {
		unsigned char *room = realloc(publisher->headers, wanted);

		if (room == NULL) {
			return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
		publisher->headers = room;
		publisher->headers_room = wanted;
	}
	swm_headers_write(message->headers, message->header_count, publisher->headers);
	*size = wanted;
	return SWM_OK;
}

/* An absent string is NULL in the table, an empty one is not. */
static void bind_text(sqlite3_stmt *stmt, int at, struct swm_str text)
{
	(void)sqlite3_bind_blob64(stmt, at, text.ptr, text.len, SQLITE_STATIC);
}

static swm_status insert_message(struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err)
{
	sqlite3_stmt *stmt = publisher->insert;
	struct swm_destination *destination = NULL;
	size_t headers_size = 0;
	swm_status status =
		find_destination(publisher, message->destination, &destination, err);

	if (status == SWM_OK) {
		status = encode_headers(publisher, message, &headers_size, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	assert(destination != NULL);
	(void)sqlite3_bind_int64(
		stmt, 1, swm_row_id(destination->queue_id, destination->published + 1));
	bind_text(stmt, 2, message->id);
	bind_text(stmt, 3, message->key);
	(void)sqlite3_bind_blob64(stmt, 4, headers_size == 0 ? NULL : publisher->headers,
		headers_size, SQLITE_STATIC);
	bind_text(stmt, 5, message->body);
	status = swm_db_run(&publisher->db, stmt, "store a message", err);
	if (status == SWM_OK) {
		destination->published++;
	}
	return status;
}

/* Writes the numbers back and commits; says which sleepers are to be woken. */
static swm_status finish(
	struct swm_publisher *publisher, swm_wake_mask *mask, struct swm_error *err)
{
	const struct swm_destination *item = publisher->destinations.touched;
	swm_status status = SWM_OK;

	for (; item != NULL && status == SWM_OK; item = item->next_touched) {
		(void)sqlite3_bind_int64(publisher->write_number, 1, item->queue_id);
		(void)sqlite3_bind_int64(publisher->write_number, 2, item->published);
		status = swm_db_run(&publisher->db, publisher->write_number, "count", err);
		*mask |= swm_wake_queue_mask(item->queue_id);
	}
	if (status != SWM_OK) {
		swm_db_rollback(&publisher->db);
		return status;
	}
	return swm_db_commit(&publisher->db, err);
}

/* What went wrong in one call, for the one message that it may return. */
struct outcome {
	size_t refused_at; /* the first message refused for itself, SIZE_MAX: none */
	struct swm_error refused;
	struct swm_error failed; /* what befell the transaction, and so all others */
};

static void refuse(struct outcome *outcome, size_t at, const struct swm_error *why)
{
	if (at < outcome->refused_at) {
		outcome->refused_at = at;
		outcome->refused = *why;
	}
}

/* The transaction over the messages that results[] has not refused. */
static swm_status store_all(struct swm_publisher *publisher, const struct swm_message *messages,
	size_t count, swm_status *results, struct outcome *outcome)
{
	struct swm_error *err = &outcome->failed;
	swm_wake_mask mask = 0;
	swm_status status = swm_db_begin(&publisher->db, err);
	size_t i;

	if (status != SWM_OK) {
		return status;
	}
	for (i = 0; i < count; i++) {
		if (results[i] != SWM_OK) {
			continue;
		}
		status = insert_message(publisher, &messages[i], err);
		if (status == SWM_E_NOT_FOUND) {
			results[i] = status;
			refuse(outcome, i, err);
		} else if (status != SWM_OK) {
			swm_db_rollback(&publisher->db);
			swm_destinations_clear(&publisher->destinations);
			return status;
		}
	}
	status = finish(publisher, &mask, err);
	if (status != SWM_OK) {
		swm_destinations_clear(&publisher->destinations);
		return status;
	}
	swm_destinations_settle(&publisher->destinations);
	swm_wake_signal(publisher->queue->wake, mask);
	return SWM_OK;
}

/* Fills results[] with what check_message says; how many it accepts. */
static size_t check_all(const struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, swm_status *results,
	struct outcome *outcome)
{
	struct swm_error why;
	size_t accepted = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		results[i] = check_message(publisher, &messages[i], &why);
		if (results[i] == SWM_OK) {
			accepted++;
		} else {
			refuse(outcome, i, &why);
		}
	}
	return accepted;
}

swm_status swm_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct outcome outcome = {.refused_at = SIZE_MAX};
	swm_status status = SWM_OK;
	size_t i;

	/* The wait for the lock is bounded by call_timeout_ms, and nothing else waits. */
	(void)timeout_ms;
	if (check_all(publisher, messages, count, results, &outcome) != 0) {
		if (publisher->failed) {
			status = swm_fail(&outcome.failed, SWM_E_UNAVAILABLE, 0,
				"%s: this publisher failed before: open another one",
				publisher->db.path);
		} else {
			status = store_all(publisher, messages, count, results, &outcome);
			status = swm_queue_failed(status, &outcome.failed);
		}
	}
	publisher->failed = publisher->failed || status == SWM_E_UNAVAILABLE;
	for (i = 0; i < count && status != SWM_OK; i++) {
		if (results[i] == SWM_OK) {
			results[i] = status;
		}
	}
	for (i = 0; i < count; i++) {
		if (results[i] != SWM_OK) {
			if (err != NULL) {
				*err = i == outcome.refused_at ? outcome.refused
							       : outcome.failed;
			}
			return results[i];
		}
	}
	return SWM_OK;
}
