/* SPDX-License-Identifier: MIT */

/*
 * The ceiling of the store in PostgreSQL: a bare libpq loop that reads and writes the rows
 * of the pizza workflow in the plugin's tables, in the same batches, with the same flushes,
 * and does nothing else. A batch is two round trips: a SELECT, and a pipeline of blind
 * statements that are one transaction. It compares no versions, looks for no events and
 * asks for no answers: what a store does beyond that is what it is measured for.
 *
 *   tests/services/with postgresql -- swm-ceiling-postgresql INSTANCES BATCH
 *
 * Prints one row of the bench's table.
 */

#include "params.h"
#include "store.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS 6
#define BATCH_MAX 1024
#define TASKS_MAX 2
#define ROWS_MAX (BATCH_MAX * TASKS_MAX)
#define ID_BYTES 40
#define CALL_TIMEOUT_MS 60000

/* How many StartTasks each event brings about. */
static const int tasks_of[EVENTS] = {1, 2, 0, 1, 1, 0};

/* As long as the real ones. */
static const char message_body[] =
	"{\"business_ref_no\":\"ORDER-000000001\",\"component_name\":\"ITALIAN\",\"event_"
	"name\":"
	"\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":\"assign_executive\","
	"\"task_type\":\"SERVICE\",\"_swm\":{\"message_id\":"
	"\"0123456789abcdef0123456789abcdef\",\"attempt\":1,\"template_version\":1}}";
static const char instance_body[] =
	"{\"f\":1,\"seq\":4,\"stage\":2,\"bs\":0,\"tasks\":[[2,1,1790000000000],"
	"[2,1,1790000000000],[1,1,1790000000000],[0],[0]]}";

enum {
	STEP_LOAD,
	STEP_CREATE,
	STEP_UPDATE,
	STEP_EVENTS,
	STEP_OWED,
	STEP_SENT,
	STEPS
};

static const char *const steps[STEPS] = {
	[STEP_LOAD] =
		"SELECT number, id, workflow, component, business_ref, template_id, stage,"
		" business_status, version, sequence, created_ms, updated_ms, status, body"
		" FROM {instance} WHERE id = ANY ($1::text[])",
	[STEP_CREATE] =
		"INSERT INTO {instance}(number, version, sequence, created_ms, updated_ms,"
		" status, id, workflow, component, business_ref, template_id, stage, body)"
		" OVERRIDING SYSTEM VALUE"
		" SELECT number, 1, 1, 1790000000000, 1790000000000, 1, id,"
		" 'Deliver Pizza', 'ITALIAN', id, 'ITALIAN:1', 'ORDER', body"
		" FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS t(id, number, body)",
	[STEP_UPDATE] =
		"UPDATE {instance} AS i SET stage = 'PREPARE', business_status ="
		" 'ORDER CONFIRMED', version = version + 1, sequence = sequence + 1,"
		" updated_ms = 1790000000001, body = t.body"
		" FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS t(id, number, body)"
		" WHERE i.number = t.number AND $1::text[] IS NOT NULL",
	[STEP_EVENTS] =
		"INSERT INTO {event}(instance, sequence, at_ms, attempt, outcome, rules,"
		" id, source_id, name, stage, task, body)"
		" SELECT number, $4::bigint, 1790000000000, 1, 1, 1,"
		" md5(id || $4::bigint::text), convert_to(id, 'UTF8'), 'TaskCompleted',"
		" 'PREPARE', 'make_food', body"
		" FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS t(id, number, body)",
	[STEP_OWED] = "INSERT INTO {outbox}(due_ms, created_ms, lease_until_ms, claims, state,"
		      " attempt, kind, id, instance_id, destination, key, owner, body)"
		      " SELECT 1790000000000, 1790000000000, 1790000010000, 0, 0, 1, 1, id,"
		      " instance_id, 'make_food_queue', convert_to(instance_id, 'UTF8'),"
		      " '0123456789abcdef', body"
		      " FROM unnest($1::text[], $2::text[], $3::bytea[])"
		      " AS t(id, instance_id, body)",
	[STEP_SENT] = "DELETE FROM {outbox} WHERE id = ANY ($1::text[])",
};

/* One row of whatever is being sent. */
struct row {
	char id[ID_BYTES];
	struct swm_str text;
	struct swm_str other;
	struct swm_str body;
	int64_t number;
};

struct loop {
	PGconn *conn;
	struct params params;
	struct row instances[BATCH_MAX];
	struct row owed[ROWS_MAX];
	struct row sent[ROWS_MAX];
	const void *pointers[ROWS_MAX];
	size_t sent_count;
	int64_t next_row;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "ceiling: %s: %s\n", what, why);
	exit(1);
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		die(name, "is not set: run this by tests/services/with");
	}
	return value;
}

static SWM_PRINTF(4, 5) void no_log(
	void *ctx, int32_t level, const char *source, const char *fmt, ...)
{
	(void)ctx;
	(void)level;
	(void)source;
	(void)fmt;
}

/* The plugin's tables, by the plugin; the loop's statements with their names. */
static void prepare_all(struct loop *loop)
{
	struct swm_host host = {.size = sizeof(host), .log = no_log};
	struct store_config config = {
		.host = setting("SWM_TEST_POSTGRESQL_HOST"),
		.port = strtol(setting("SWM_TEST_POSTGRESQL_PORT"), NULL, 10),
		.database = setting("SWM_TEST_POSTGRESQL_DATABASE"),
		.user = setting("SWM_TEST_POSTGRESQL_USER"),
		.password = setting("SWM_TEST_POSTGRESQL_PASSWORD"),
		.schema = "ceiling",
		.table_prefix = "wf_",
	};
	struct swm_open_args args = {.size = sizeof(args),
		.host = &host,
		.instance = "store",
		.config = &config,
		.call_timeout_ms = CALL_TIMEOUT_MS};
	struct swm_store *store = NULL;
	struct swm_error err = {0};
	int32_t version;

	if (store_open(&args, &store, &err) != SWM_OK ||
		store_migrate(store, SWM_MIGRATE_APPLY, &version, &err) != SWM_OK) {
		die("the tables", err.message);
	}
	loop->conn = PQconnectdbParams(store->target.keywords, store->target.values, 0);
	if (PQstatus(loop->conn) != CONNECTION_OK) {
		die("connect", PQerrorMessage(loop->conn));
	}
	PQclear(PQexec(loop->conn, store_settings));
	for (int i = 0; i < STEPS; i++) {
		char name[16], *text = store_expand(&config, steps[i]);

		(void)snprintf(name, sizeof(name), "step%d", i);
		PGresult *result = PQprepare(loop->conn, name, text, 0, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK) {
			die(text, PQerrorMessage(loop->conn));
		}
		PQclear(result);
		free(text);
	}
	store_close(store);
}

static void put_column(struct loop *loop, enum column_type type, const struct row *rows,
	size_t count, size_t offset)
{
	for (size_t i = 0; i < count; i++) {
		loop->pointers[i] = &rows[i];
	}
	params_column(&loop->params, type, loop->pointers, count, offset);
}

static void send_step(struct loop *loop, int step)
{
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX], formats[PARAMS_MAX];
	char name[16];

	(void)snprintf(name, sizeof(name), "step%d", step);
	params_values(&loop->params, values, lengths, formats);
	if (!PQsendQueryPrepared(
		    loop->conn, name, loop->params.count, values, lengths, formats, 1)) {
		die(steps[step], PQerrorMessage(loop->conn));
	}
}

/* Until the synchronisation that ends the transaction. */
static void await_sync(struct loop *loop)
{
	for (;;) {
		PGresult *result = PQgetResult(loop->conn);
		ExecStatusType status = result ? PQresultStatus(result) : PGRES_COMMAND_OK;

		PQclear(result);
		if (status == PGRES_PIPELINE_SYNC) {
			return;
		}
		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
			die("a step", PQerrorMessage(loop->conn));
		}
	}
}

static void sync_pipeline(struct loop *loop)
{
	if (!PQpipelineSync(loop->conn)) {
		die("pipeline", PQerrorMessage(loop->conn));
	}
	await_sync(loop);
}

static struct swm_str text_of(const char *text)
{
	return (struct swm_str){text, strlen(text)};
}

static void put_instances(struct loop *loop, size_t count)
{
	params_clear(&loop->params);
	put_column(loop, COLUMN_TEXT, loop->instances, count, offsetof(struct row, text));
	put_column(loop, COLUMN_INT8, loop->instances, count, offsetof(struct row, number));
	put_column(loop, COLUMN_BYTES, loop->instances, count, offsetof(struct row, body));
}

static void name_instances(struct loop *loop, int64_t first, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct row *row = &loop->instances[i];

		(void)snprintf(row->id, sizeof(row->id), "ITALIAN/ORDER-%09lld",
			(long long)first + (long long)i);
		row->text = text_of(row->id);
		row->number = first + (int64_t)i + 1;
	}
}

static void set_bodies(struct loop *loop, size_t count, struct swm_str body)
{
	for (size_t i = 0; i < count; i++) {
		loop->instances[i].body = body;
	}
}

/* Owes `count` rows, and takes those of the batch before for sent. */
static void owe(struct loop *loop, size_t count, size_t instances)
{
	for (size_t i = 0; i < count; i++) {
		struct row *row = &loop->owed[i];

		(void)snprintf(
			row->id, sizeof(row->id), "%032lld", (long long)loop->next_row++);
		row->text = text_of(row->id);
		row->other = loop->instances[i % instances].text;
		row->body = text_of(message_body);
	}
	params_clear(&loop->params);
	put_column(loop, COLUMN_TEXT, loop->owed, count, offsetof(struct row, text));
	put_column(loop, COLUMN_TEXT, loop->owed, count, offsetof(struct row, other));
	put_column(loop, COLUMN_BYTES, loop->owed, count, offsetof(struct row, body));
	send_step(loop, STEP_OWED);
	params_clear(&loop->params);
	put_column(loop, COLUMN_TEXT, loop->sent, loop->sent_count, offsetof(struct row, text));
	send_step(loop, STEP_SENT);
	for (size_t i = 0; i < count; i++) {
		loop->sent[i] = loop->owed[i];
		loop->sent[i].text.ptr = loop->sent[i].id;
	}
	loop->sent_count = count;
}

static void run_batch(struct loop *loop, int event, int64_t first, size_t count)
{
	name_instances(loop, first, count);
	params_clear(&loop->params);
	put_column(loop, COLUMN_TEXT, loop->instances, count, offsetof(struct row, text));
	send_step(loop, STEP_LOAD);
	sync_pipeline(loop);

	set_bodies(loop, count, text_of(instance_body));
	put_instances(loop, count);
	send_step(loop, event == 0 ? STEP_CREATE : STEP_UPDATE);
	set_bodies(loop, count, text_of(message_body));
	put_instances(loop, count);
	params_int8(&loop->params, event + 1);
	send_step(loop, STEP_EVENTS);
	owe(loop, count * (size_t)tasks_of[event], count);
	sync_pipeline(loop);
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	long instances = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	long batch = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop || instances < 1 || batch < 1 || batch > BATCH_MAX) {
		(void)fprintf(stderr, "usage: swm-ceiling-postgresql INSTANCES BATCH\n");
		free(loop);
		return 2;
	}
	prepare_all(loop);
	if (!PQenterPipelineMode(loop->conn)) {
		die("pipeline", PQerrorMessage(loop->conn));
	}
	double began = seconds();
	for (int event = 0; event < EVENTS; event++) {
		for (long first = 0; first < instances; first += batch) {
			long left = instances - first;

			run_batch(loop, event, first, (size_t)(left < batch ? left : batch));
		}
	}
	table_line("ceiling of PostgreSQL: bare libpq loop, same rows",
		(double)(instances * EVENTS) / (seconds() - began), "events/s");
	PQfinish(loop->conn);
	params_finish(&loop->params);
	free(loop);
	return 0;
}
