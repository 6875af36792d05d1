/* SPDX-License-Identifier: MIT */

/*
 * The bare loop. Instances go through the workflow side by side, batch by batch, in the
 * order in which the engine would meet them.
 */

#include "ceiling.h"

#include "count.h"
#include "workload.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512

/* As queue-sqlite lays out the row ids of messages. */
#define ROW_NUMBER_BITS 43
#define WORKFLOW_QUEUE 1000
#define TASK_QUEUE 1001

/* When the plugins checkpoint, pages of the WAL. */
#define CHECKPOINT_PAGES 4000

struct file {
	sqlite3 *handle;
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
};

struct loop {
	struct file store;   /* synchronous FULL */
	struct file publish; /* the queue file, FULL */
	struct file settle;  /* the queue file, NORMAL */
	sqlite3_stmt *instance_insert;
	sqlite3_stmt *instance_update;
	sqlite3_stmt *event_insert;
	sqlite3_stmt *outbox_insert;
	sqlite3_stmt *outbox_delete;
	sqlite3_stmt *message_insert;
	sqlite3_stmt *published_update;
	sqlite3_stmt *lease_insert;
	sqlite3_stmt *taken_update;
	sqlite3_stmt *lease_delete;
	sqlite3_stmt *message_delete;
	int64_t published[2]; /* of the workflow queue and of the tasks' queue */
	int64_t outbox_from;  /* rows that the next commit marks as sent */
	int64_t outbox_next;
	int64_t rows;
	unsigned parts;
};

static void check(int rc, sqlite3 *handle, const char *what)
{
	if (rc != SQLITE_OK && rc != SQLITE_DONE) {
		workload_fail(what, sqlite3_errmsg(handle));
	}
}

static sqlite3_stmt *prepare(struct file *file, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	check(sqlite3_prepare_v3(file->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL),
		file->handle, sql);
	return stmt;
}

static void open_file(struct file *file, const char *folder, const char *name, bool full)
{
	char path[PATH_BYTES];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	check(sqlite3_open_v2(path, &file->handle, SQLITE_OPEN_READWRITE, NULL), file->handle,
		path);
	check(sqlite3_exec(file->handle,
		      full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
		      NULL, NULL),
		file->handle, "synchronous");
	check(sqlite3_exec(file->handle, "PRAGMA secure_delete=OFF", NULL, NULL, NULL),
		file->handle, "secure_delete");
	check(sqlite3_wal_autocheckpoint(file->handle, CHECKPOINT_PAGES), file->handle,
		"checkpoint");
	file->begin = prepare(file, "BEGIN IMMEDIATE");
	file->commit = prepare(file, "COMMIT");
}

static void run(sqlite3_stmt *stmt)
{
	check(sqlite3_step(stmt), sqlite3_db_handle(stmt), sqlite3_sql(stmt));
	(void)sqlite3_reset(stmt);
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	(void)sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

static void bind_body(sqlite3_stmt *stmt, int at, const char *body, size_t len)
{
	(void)sqlite3_bind_blob(stmt, at, body, (int)len, SQLITE_STATIC);
}

static void prepare_store(struct loop *loop)
{
	loop->instance_insert = prepare(&loop->store,
		"INSERT INTO wf_workflow_instance(id, workflow, component, business_ref, "
		"template_id, stage, business_status, version, sequence, created_ms, "
		"updated_ms, status, body) VALUES(?1, 'Deliver Pizza', 'ITALIAN', ?2, "
		"'ITALIAN:1', 'ORDER', NULL, 1, 1, 1790000000000, 1790000000000, 1, ?3)");
	loop->instance_update = prepare(&loop->store,
		"UPDATE wf_workflow_instance SET stage = 'PREPARE', business_status = 'ORDER "
		"CONFIRMED', version = ?2, sequence = ?2, updated_ms = 1790000000001, "
		"status = 1, body = ?3 WHERE number = ?1");
	loop->event_insert = prepare(&loop->store,
		"INSERT INTO wf_workflow_event(instance, id, source_id, name, stage, task, "
		"sequence, at_ms, attempt, outcome, rules, body) VALUES(?1, ?2, ?3, "
		"'TaskCompleted', 'PREPARE', 'make_food', ?4, 1790000000000, 1, 1, 1, ?5)");
	loop->outbox_insert = prepare(&loop->store,
		"INSERT INTO wf_outbox(number, owner, id, instance_id, destination, key, "
		"due_ms, "
		"created_ms, lease_until_ms, claims, state, attempt, kind, body) VALUES(?1, "
		"'0123456789abcdef', ?2, ?3, 'make_food_queue', ?3, 1790000000000, "
		"1790000000000, 1790000010000, 0, 0, 1, 1, ?4)");
	loop->outbox_delete = prepare(&loop->store, "DELETE FROM wf_outbox WHERE id = ?1");
}

static void prepare_queue(struct loop *loop)
{
	loop->message_insert = prepare(&loop->publish,
		"INSERT INTO message(id, message_id, key, headers, body) "
		"VALUES(?1, ?2, ?3, NULL, ?4)");
	loop->published_update =
		prepare(&loop->publish, "UPDATE queue SET published = ?2 WHERE id = ?1");
	loop->lease_insert = prepare(&loop->settle,
		"INSERT INTO lease(queue, due, message, attempt, held) "
		"SELECT ?1, 1790000000000, id, 1, 1 FROM message WHERE id BETWEEN ?2 AND ?3");
	loop->taken_update =
		prepare(&loop->settle, "UPDATE queue SET taken = ?2 WHERE id = ?1");
	loop->lease_delete = prepare(&loop->settle,
		"DELETE FROM lease WHERE queue = ?1 AND due = 1790000000000 AND message = ?2 "
		"AND attempt = 1");
	loop->message_delete = prepare(&loop->settle, "DELETE FROM message WHERE id = ?1");
}

static void close_all(struct loop *loop)
{
	sqlite3 *const handles[] = {
		loop->store.handle, loop->publish.handle, loop->settle.handle};
	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		for (sqlite3_stmt *stmt;
			handles[i] && (stmt = sqlite3_next_stmt(handles[i], NULL)) != NULL;) {
			(void)sqlite3_finalize(stmt);
		}
		(void)sqlite3_close(handles[i]);
	}
}

/* Publishes `count` messages; returns the number of the first one in its queue. */
static int64_t publish(struct loop *loop, int queue, int64_t count)
{
	int64_t *published = &loop->published[queue - WORKFLOW_QUEUE];
	int64_t first = *published + 1;
	if (!(loop->parts & CEILING_QUEUE)) {
		return first;
	}
	run(loop->publish.begin);
	for (int64_t i = 0; i < count; i++) {
		char id[WORKLOAD_ID_BYTES];
		workload_id(id, ++*published);
		(void)sqlite3_bind_int64(loop->message_insert, 1,
			(int64_t)queue << ROW_NUMBER_BITS | *published);
		bind_text(loop->message_insert, 2, id);
		bind_text(loop->message_insert, 3, "ITALIAN/ORDER-000000001");
		bind_body(loop->message_insert, 4, workload_message, strlen(workload_message));
		run(loop->message_insert);
	}
	(void)sqlite3_bind_int64(loop->published_update, 1, queue);
	(void)sqlite3_bind_int64(loop->published_update, 2, *published);
	run(loop->published_update);
	run(loop->publish.commit);
	loop->rows += count + 1;
	return first;
}

static void receive(struct loop *loop, int queue, int64_t first, int64_t count)
{
	int64_t row = (int64_t)queue << ROW_NUMBER_BITS | first;
	if (!(loop->parts & CEILING_QUEUE)) {
		return;
	}
	run(loop->settle.begin);
	(void)sqlite3_bind_int64(loop->lease_insert, 1, queue);
	(void)sqlite3_bind_int64(loop->lease_insert, 2, row);
	(void)sqlite3_bind_int64(loop->lease_insert, 3, row + count - 1);
	run(loop->lease_insert);
	(void)sqlite3_bind_int64(loop->taken_update, 1, queue);
	(void)sqlite3_bind_int64(loop->taken_update, 2, first + count - 1);
	run(loop->taken_update);
	run(loop->settle.commit);
	loop->rows += count + 1;
}

static void settle(struct loop *loop, int queue, int64_t first, int64_t count)
{
	int64_t row = (int64_t)queue << ROW_NUMBER_BITS | first;
	if (!(loop->parts & CEILING_QUEUE)) {
		return;
	}
	run(loop->settle.begin);
	for (int64_t i = 0; i < count; i++) {
		(void)sqlite3_bind_int64(loop->lease_delete, 1, queue);
		(void)sqlite3_bind_int64(loop->lease_delete, 2, row + i);
		run(loop->lease_delete);
		(void)sqlite3_bind_int64(loop->message_delete, 1, row + i);
		run(loop->message_delete);
	}
	run(loop->settle.commit);
	loop->rows += 2 * count;
}

static void write_instance(struct loop *loop, int event, int64_t instance)
{
	char id[64];
	if (event == 0) {
		(void)snprintf(id, sizeof(id), "ITALIAN/ORDER-%09" PRId64, instance);
		bind_text(loop->instance_insert, 1, id);
		bind_text(loop->instance_insert, 2, id + strlen("ITALIAN/"));
		bind_body(
			loop->instance_insert, 3, workload_instance, strlen(workload_instance));
		run(loop->instance_insert);
	} else {
		(void)sqlite3_bind_int64(loop->instance_update, 1, instance);
		(void)sqlite3_bind_int64(loop->instance_update, 2, event + 1);
		bind_body(
			loop->instance_update, 3, workload_instance, strlen(workload_instance));
		run(loop->instance_update);
	}
}

static void write_event(struct loop *loop, int event, int64_t instance)
{
	char id[WORKLOAD_ID_BYTES];
	workload_id(id, instance * WORKLOAD_EVENTS + event);
	(void)sqlite3_bind_int64(loop->event_insert, 1, instance);
	bind_text(loop->event_insert, 2, id);
	bind_text(loop->event_insert, 3, id);
	(void)sqlite3_bind_int64(loop->event_insert, 4, event + 1);
	bind_body(loop->event_insert, 5, workload_message, strlen(workload_message));
	run(loop->event_insert);
}

static void write_outbox(struct loop *loop)
{
	char id[WORKLOAD_ID_BYTES];
	workload_id(id, loop->outbox_next);
	(void)sqlite3_bind_int64(loop->outbox_insert, 1, loop->outbox_next);
	bind_text(loop->outbox_insert, 2, id);
	bind_text(loop->outbox_insert, 3, "ITALIAN/ORDER-000000001");
	bind_body(loop->outbox_insert, 4, workload_message, strlen(workload_message));
	run(loop->outbox_insert);
	loop->outbox_next++;
}

/* What the last commit owed has been published: gone with this one. */
static void delete_sent(struct loop *loop, int64_t until)
{
	for (; loop->outbox_from < until; loop->outbox_from++) {
		char id[WORKLOAD_ID_BYTES];
		workload_id(id, loop->outbox_from);
		bind_text(loop->outbox_delete, 1, id);
		run(loop->outbox_delete);
		loop->rows++;
	}
}

static void commit(struct loop *loop, int event, int64_t first, int64_t count)
{
	int64_t sent = loop->outbox_next;
	if (!(loop->parts & CEILING_STORE)) {
		return;
	}
	run(loop->store.begin);
	for (int64_t i = 0; i < count; i++) {
		write_instance(loop, event, first + i);
		write_event(loop, event, first + i);
		for (int task = 0; task < workload_tasks_of[event]; task++) {
			write_outbox(loop);
		}
	}
	delete_sent(loop, sent);
	run(loop->store.commit);
	loop->rows += count * (2 + workload_tasks_of[event]);
}

/* An agent takes `count` StartTasks and answers; returns the number of the first
 * answer. */
static int64_t answer(struct loop *loop, int64_t first, int64_t count)
{
	receive(loop, TASK_QUEUE, first, count);
	int64_t answers = publish(loop, WORKFLOW_QUEUE, count);
	settle(loop, TASK_QUEUE, first, count);
	return answers;
}

/* One event of `count` instances: from its delivery to the answers of its tasks, whose
 * numbers go to `answers`. */
static void step(struct loop *loop, int event, int64_t first, int64_t count, int64_t number,
	int64_t answers[2])
{
	receive(loop, WORKFLOW_QUEUE, number, count);
	commit(loop, event, first, count);
	int64_t tasks = 0;
	if (workload_tasks_of[event]) {
		tasks = publish(loop, TASK_QUEUE, count * workload_tasks_of[event]);
	}
	settle(loop, WORKFLOW_QUEUE, number, count);
	for (int task = 0; task < workload_tasks_of[event]; task++) {
		answers[task] = answer(loop, tasks + task * count, count);
	}
}

static void open_parts(struct loop *loop, const char *folder)
{
	if (loop->parts & CEILING_STORE) {
		open_file(&loop->store, folder, "store.db", true);
		prepare_store(loop);
	}
	if (loop->parts & CEILING_QUEUE) {
		open_file(&loop->publish, folder, "queue.db", true);
		open_file(&loop->settle, folder, "queue.db", false);
		check(sqlite3_exec(loop->publish.handle,
			      "INSERT INTO queue(id, name) VALUES(1000, 'ceiling'), "
			      "(1001, 'tasks')",
			      NULL, NULL, NULL),
			loop->publish.handle, "queues");
		prepare_queue(loop);
	}
}

void ceiling_measure(unsigned parts, const char *folder, int64_t instances, int64_t batch,
	struct ceiling_result *out)
{
	struct loop loop = {.outbox_from = 1, .outbox_next = 1, .parts = parts};
	open_parts(&loop, folder);

	/* For each batch of instances, the first message of each event to come. */
	int64_t batches = (instances + batch - 1) / batch;
	int64_t(*messages)[WORKLOAD_EVENTS] = calloc((size_t)batches, sizeof(*messages));
	if (!messages) {
		abort();
	}
	struct count before = count_now();
	for (int64_t at = 0; at < batches; at++) {
		int64_t first = at * batch + 1;
		int64_t count = instances - first + 1 < batch ? instances - first + 1 : batch;
		messages[at][0] = publish(&loop, WORKFLOW_QUEUE, count);
	}
	for (int event = 0; event < WORKLOAD_EVENTS; event++) {
		/* The answers to the tasks of event 0 are event 1, of 1 they are 2 and 3, ... */
		static const int next_of[WORKLOAD_EVENTS] = {1, 2, 0, 4, 5, 0};
		for (int64_t at = 0; at < batches; at++) {
			int64_t first = at * batch + 1;
			int64_t count =
				instances - first + 1 < batch ? instances - first + 1 : batch;
			step(&loop, event, first, count, messages[at][event],
				&messages[at][next_of[event]]);
		}
	}
	struct count cost = count_since(&before);
	double events = (double)instances * WORKLOAD_EVENTS;
	out->events_per_second = events / ((double)cost.wall_ns / 1e9);
	out->rows_per_event = (double)loop.rows / events;
	out->syncs = cost.syncs;
	free(messages);
	close_all(&loop);
}
