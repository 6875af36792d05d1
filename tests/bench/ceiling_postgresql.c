/* SPDX-License-Identifier: MIT */

/*
 * The bare loop over libpq. Instances go through the workflow side by side, batch by
 * batch, in the order in which the engine would meet them.
 */

#include "ceiling_postgresql.h"

#include "count.h"
#include "workload.h"

#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the catalogue pg_type. */
#define OID_BYTEA 17U
#define OID_INT8 20U
#define OID_TEXT 25U

#define SQL_BYTES 4096
#define SCHEMA_BYTES 96
#define ARRAYS_MAX 12
#define TEXT_BYTES 64

/* One column of a batch, in PostgreSQL's binary format. */
struct array {
	char *bytes;
	size_t used;
	size_t room;
	uint32_t count;
};

struct loop {
	PGconn *conn;
	struct array arrays[ARRAYS_MAX];
	int64_t *numbers; /* of the batch, as the load has told */
	int64_t outbox_from;
	int64_t outbox_next;
	int64_t rows;
};

/* Arrays. */

static void put(struct array *array, const void *bytes, size_t len)
{
	if (array->used + len > array->room) {
		array->room = 2 * (array->used + len);
		array->bytes = realloc(array->bytes, array->room);
		if (!array->bytes) {
			abort();
		}
	}
	memcpy(array->bytes + array->used, bytes, len);
	array->used += len;
}

static void put_32(struct array *array, uint32_t value)
{
	uint32_t big = htonl(value);
	put(array, &big, sizeof(big));
}

/* One dimension, no NULLs, the number of elements (set when it is sent), from 1. */
static void begin(struct array *array, uint32_t oid)
{
	array->used = 0;
	array->count = 0;
	put_32(array, 1);
	put_32(array, 0);
	put_32(array, oid);
	put_32(array, 0);
	put_32(array, 1);
}

static void add(struct array *array, const void *bytes, size_t len)
{
	put_32(array, (uint32_t)len);
	put(array, bytes, len);
	array->count++;
}

static void add_text(struct array *array, const char *text)
{
	add(array, text, strlen(text));
}

static void add_number(struct array *array, int64_t number)
{
	uint64_t big = htobe64((uint64_t)number);
	add(array, &big, sizeof(big));
}

/* Statements. */

static void check(PGconn *conn, const PGresult *result, const char *what)
{
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		workload_fail(what, PQerrorMessage(conn));
	}
}

static PGresult *run(struct loop *loop, const char *statement, int count)
{
	const char *values[ARRAYS_MAX];
	int lengths[ARRAYS_MAX];
	int formats[ARRAYS_MAX];
	for (int i = 0; i < count; i++) {
		uint32_t big = htonl(loop->arrays[i].count);
		memcpy(loop->arrays[i].bytes + 3 * sizeof(big), &big, sizeof(big));
		values[i] = loop->arrays[i].bytes;
		lengths[i] = (int)loop->arrays[i].used;
		formats[i] = 1;
	}
	PGresult *result =
		PQexecPrepared(loop->conn, statement, count, values, lengths, formats, 1);
	check(loop->conn, result, statement);
	return result;
}

static void execute(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	check(conn, result, sql);
	PQclear(result);
}

static void write_schema(char out[SCHEMA_BYTES], const char *folder)
{
	const char *prefix = getenv("SWM_BENCH_SCHEMA");
	const char *name = strrchr(folder, '/');
	(void)snprintf(out, SCHEMA_BYTES, "%s%s", prefix ? prefix : "bench_",
		name ? name + 1 : folder);
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		workload_fail(name, "not set: run tests/bench/run");
	}
	return value;
}

static PGconn *connect_server(void)
{
	const char *const keywords[] = {
		"host", "port", "dbname", "user", "password", "sslmode", NULL};
	const char *const values[] = {setting("SWM_TEST_POSTGRESQL_HOST"),
		setting("SWM_TEST_POSTGRESQL_PORT"), setting("SWM_TEST_POSTGRESQL_DATABASE"),
		setting("SWM_TEST_POSTGRESQL_USER"), setting("SWM_TEST_POSTGRESQL_PASSWORD"),
		"disable", NULL};
	PGconn *conn = PQconnectdbParams(keywords, values, 0);
	if (PQstatus(conn) != CONNECTION_OK) {
		workload_fail("connect", PQerrorMessage(conn));
	}
	return conn;
}

static void prepare(struct loop *loop, const char *name, const char *sql)
{
	PGresult *result = PQprepare(loop->conn, name, sql, 0, NULL);
	check(loop->conn, result, name);
	PQclear(result);
}

/* Index lookups, whatever the planner believes about tables that are still empty: hence
 * `= ANY (ARRAY[...])`, too, which no hash join serves. */
static const char settings[] =
	"SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
	"SET enable_bitmapscan = off; SET enable_mergejoin = off; SET jit = off";

/* $1 instances' ids, $2 ids of events */
static const char load_sql[] =
	"SELECT i.number, i.version, e.id IS NOT NULL"
	" FROM unnest($1::text[], $2::text[]) AS w(id, event)"
	" JOIN wf_workflow_instance AS i ON i.id = ANY (ARRAY[w.id])"
	" LEFT JOIN wf_workflow_event AS e ON e.instance = ANY (ARRAY[i.number])"
	"  AND e.id = ANY (ARRAY[w.event])";

/* What create and change have in common: $5.. outbox ids, their instances, bodies, and the
 * ids of rows that were sent. */
#define OUTBOX_SQL \
	"owed AS (INSERT INTO wf_outbox(id, instance_id, destination, key, owner, due_ms," \
	"  created_ms, lease_until_ms, claims, state, attempt, kind, body)" \
	" SELECT id, instance, 'make_food_queue', convert_to(instance, 'UTF8')," \
	"  '0123456789abcdef', 1790000000000, 1790000000000, 1790000010000, 0, 0, 1, 1," \
	"  body FROM unnest($5::text[], $6::text[], $7::bytea[]) AS o(id, instance, body)) " \
	"DELETE FROM wf_outbox WHERE id = ANY ($8::text[])"

#define EVENT_COLUMNS \
	"instance, id, source_id, name, stage, task, sequence, at_ms, attempt, outcome," \
	" rules, body"

/* $1 instances' ids, $2 their bodies, $3 events' ids, $4 their bodies */
static const char create_sql[] =
	"WITH item AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[],"
	"  $4::bytea[]) AS t(id, body, event, message)),"
	"created AS (INSERT INTO wf_workflow_instance(id, workflow, component, business_ref,"
	"  template_id, stage, business_status, version, sequence, created_ms, updated_ms,"
	"  status, body)"
	" SELECT id, 'Deliver Pizza', 'ITALIAN', substr(id, 9), 'ITALIAN:1', 'ORDER', NULL,"
	"  1, 1, 1790000000000, 1790000000000, 1, body FROM item RETURNING id, number),"
	"recorded AS (INSERT INTO wf_workflow_event(" EVENT_COLUMNS ")"
	" SELECT created.number, event, convert_to(event, 'UTF8'), 'StartWorkflow', NULL,"
	"  NULL, 1, 1790000000000, 1, 1, 1, message FROM created JOIN item USING "
	"(id))," OUTBOX_SQL;

/* $1 instances' numbers, $2 their bodies, $3 events' ids, $4 their bodies, $9 version */
static const char change_sql[] =
	"WITH item AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bytea[],"
	"  $3::text[], $4::bytea[], $9::bigint[])"
	"  AS t(number, body, event, message, version)),"
	"changed AS (UPDATE wf_workflow_instance AS i SET stage = 'PREPARE',"
	"  business_status = 'ORDER CONFIRMED', version = item.version,"
	"  sequence = item.version, updated_ms = 1790000000001, status = 1,"
	"  body = item.body FROM item WHERE i.number = ANY (ARRAY[item.number])),"
	"recorded AS (INSERT INTO wf_workflow_event(" EVENT_COLUMNS ")"
	" SELECT number, event, convert_to(event, 'UTF8'), 'TaskCompleted', 'PREPARE',"
	"  'make_food', version, 1790000000000, 1, 1, 1, message FROM item)," OUTBOX_SQL;

enum {
	AT_INSTANCE,
	AT_BODY,
	AT_EVENT,
	AT_MESSAGE,
	AT_OUTBOX,
	AT_OUTBOX_INSTANCE,
	AT_OUTBOX_BODY,
	AT_SENT,
	AT_VERSION,
	CREATE_COUNT = AT_VERSION,
	CHANGE_COUNT
};

static void write_name(char out[TEXT_BYTES], int64_t instance)
{
	(void)snprintf(out, TEXT_BYTES, "ITALIAN/ORDER-%09" PRId64, instance);
}

/* Whether the instances are there, and which numbers they have. */
static void load(struct loop *loop, int event, int64_t first, int64_t count)
{
	begin(&loop->arrays[0], OID_TEXT);
	begin(&loop->arrays[1], OID_TEXT);
	for (int64_t i = first; i < first + count; i++) {
		char name[TEXT_BYTES];
		char id[WORKLOAD_ID_BYTES];
		write_name(name, i);
		workload_id(id, i * WORKLOAD_EVENTS + event);
		add_text(&loop->arrays[0], name);
		add_text(&loop->arrays[1], id);
	}
	PGresult *result = run(loop, "load", 2);
	if (PQntuples(result) != (event == 0 ? 0 : (int)count)) {
		workload_fail("load", "not the instances that were written");
	}
	for (int i = 0; i < PQntuples(result); i++) {
		uint64_t big;
		memcpy(&big, PQgetvalue(result, i, 0), sizeof(big));
		loop->numbers[i] = (int64_t)be64toh(big);
	}
	PQclear(result);
}

static void put_outbox(struct loop *loop, int event, int64_t first, int64_t count)
{
	int64_t sent_until = loop->outbox_next;
	begin(&loop->arrays[AT_OUTBOX], OID_TEXT);
	begin(&loop->arrays[AT_OUTBOX_INSTANCE], OID_TEXT);
	begin(&loop->arrays[AT_OUTBOX_BODY], OID_BYTEA);
	begin(&loop->arrays[AT_SENT], OID_TEXT);
	char id[WORKLOAD_ID_BYTES];
	for (int64_t i = 0; i < count * workload_tasks_of[event]; i++) {
		char name[TEXT_BYTES];
		write_name(name, first + i % count);
		workload_id(id, loop->outbox_next++);
		add_text(&loop->arrays[AT_OUTBOX], id);
		add_text(&loop->arrays[AT_OUTBOX_INSTANCE], name);
		add_text(&loop->arrays[AT_OUTBOX_BODY], workload_message);
	}
	/* What the last commit owed has been published: gone with this one. */
	for (; loop->outbox_from < sent_until; loop->outbox_from++) {
		workload_id(id, loop->outbox_from);
		add_text(&loop->arrays[AT_SENT], id);
		loop->rows++;
	}
}

static void commit(struct loop *loop, int event, int64_t first, int64_t count)
{
	struct array *arrays = loop->arrays;
	begin(&arrays[AT_INSTANCE], event == 0 ? OID_TEXT : OID_INT8);
	begin(&arrays[AT_BODY], OID_BYTEA);
	begin(&arrays[AT_EVENT], OID_TEXT);
	begin(&arrays[AT_MESSAGE], OID_BYTEA);
	begin(&arrays[AT_VERSION], OID_INT8);
	for (int64_t i = first; i < first + count; i++) {
		char text[TEXT_BYTES];
		if (event == 0) {
			write_name(text, i);
			add_text(&arrays[AT_INSTANCE], text);
		} else {
			add_number(&arrays[AT_INSTANCE], loop->numbers[i - first]);
			add_number(&arrays[AT_VERSION], event + 1);
		}
		add_text(&arrays[AT_BODY], workload_instance);
		workload_id(text, i * WORKLOAD_EVENTS + event);
		add_text(&arrays[AT_EVENT], text);
		add_text(&arrays[AT_MESSAGE], workload_message);
	}
	put_outbox(loop, event, first, count);
	PQclear(run(loop, event == 0 ? "create" : "change",
		event == 0 ? CREATE_COUNT : CHANGE_COUNT));
	loop->rows += count * (2 + workload_tasks_of[event]);
}

static void open_loop(struct loop *loop, const char *folder, int64_t batch)
{
	char schema[SCHEMA_BYTES];
	char sql[SQL_BYTES];
	write_schema(schema, folder);
	(void)snprintf(sql, sizeof(sql), "SET search_path = \"%s\", pg_catalog", schema);
	loop->conn = connect_server();
	loop->numbers = calloc((size_t)batch, sizeof(*loop->numbers));
	if (!loop->numbers) {
		abort();
	}
	execute(loop->conn, sql);
	execute(loop->conn, settings);
	prepare(loop, "load", load_sql);
	prepare(loop, "create", create_sql);
	prepare(loop, "change", change_sql);
}

static void close_loop(struct loop *loop)
{
	for (size_t i = 0; i < ARRAYS_MAX; i++) {
		free(loop->arrays[i].bytes);
	}
	free(loop->numbers);
	PQfinish(loop->conn);
}

void ceiling_postgresql_measure(
	const char *folder, int64_t instances, int64_t batch, struct ceiling_result *out)
{
	struct loop loop = {.outbox_from = 1, .outbox_next = 1};
	open_loop(&loop, folder, batch);
	struct count before = count_now();
	for (int event = 0; event < WORKLOAD_EVENTS; event++) {
		for (int64_t first = 1; first <= instances; first += batch) {
			int64_t left = instances - first + 1;
			int64_t count = left < batch ? left : batch;
			load(&loop, event, first, count);
			commit(&loop, event, first, count);
		}
	}
	struct count cost = count_since(&before);
	double events = (double)instances * WORKLOAD_EVENTS;
	*out = (struct ceiling_result){
		.events_per_second = events / ((double)cost.wall_ns / 1e9),
		.rows_per_event = (double)loop.rows / events,
	};
	close_loop(&loop);
}

void ceiling_postgresql_calls(const char *folder, struct postgresql_calls *out)
{
	char schema[SCHEMA_BYTES];
	char pattern[SCHEMA_BYTES + 8];
	const char *const values[] = {pattern};
	PGconn *conn = connect_server();
	write_schema(schema, folder);
	(void)snprintf(pattern, sizeof(pattern), "\"%s\".", schema);
	PGresult *result = PQexecParams(conn,
		"SELECT coalesce(sum(calls) FILTER (WHERE query LIKE 'WITH want %'), 0),"
		" coalesce(sum(calls) FILTER (WHERE query LIKE 'WITH committer %'), 0),"
		" coalesce(sum(calls) FILTER (WHERE query LIKE 'WITH claimer %'), 0),"
		" coalesce(sum(calls), 0)"
		" FROM pg_stat_statements WHERE toplevel AND position($1::text IN query) > 0",
		1, NULL, values, NULL, NULL, 0);
	check(conn, result, "pg_stat_statements");
	int64_t *const counts[] = {&out->loads, &out->commits, &out->claims, &out->all};
	for (int i = 0; i < 4; i++) {
		*counts[i] = strtoll(PQgetvalue(result, 0, i), NULL, 10);
	}
	PQclear(result);
	PQfinish(conn);
}
