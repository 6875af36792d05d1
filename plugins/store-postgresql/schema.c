/* SPDX-License-Identifier: MIT */

/*
 * The tables, and how a database gets them. {version} holds the schema's version; a later
 * one adds a step to `steps` and never edits an old one.
 *
 * Concurrency: a migration is one transaction under an advisory lock of the server's, and
 * looks at the version once it has it, so several may be started at the same time.
 */

#include "store.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Written so that a step touches few pages:
 *  - events refer to an instance by its number, which grows with time: its text id is
 *    stored but once, and in the outbox, some of whose rows belong to no instance;
 *  - the columns of an instance that change have no index, and its pages have room, so
 *    that an update stays within its page and touches no index (HOT);
 *  - there is no primary key of events but (instance, id), so that the table can be
 *    partitioned by `instance`; README.md says how;
 *  - what comes from outside as it may be is bytea: source_id, key, headers, bodies;
 *  - texts that are sorted or looked up compare by bytes, whatever the database's locale;
 *  - wide columns of fixed size first, which leaves no gaps;
 *  - a row of the outbox usually lives for milliseconds: vacuum has to come often.
 */
static const char tables[] =
	"CREATE TABLE {definition}("
	" number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	" version bigint NOT NULL,"
	" created_ms bigint NOT NULL,"
	" id text COLLATE \"C\" NOT NULL UNIQUE,"
	" workflow text,"
	" component text COLLATE \"C\" NOT NULL,"
	" author text,"
	" comment text,"
	" sha256 text,"
	" body bytea);"
	"CREATE INDEX ON {definition}(component, version);"

	"CREATE TABLE {instance}("
	" number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	" version bigint NOT NULL,"
	" sequence bigint NOT NULL,"
	" created_ms bigint NOT NULL,"
	" updated_ms bigint NOT NULL,"
	" status integer NOT NULL,"
	" id text COLLATE \"C\" NOT NULL UNIQUE,"
	" workflow text,"
	" component text COLLATE \"C\","
	" business_ref text,"
	" template_id text COLLATE \"C\","
	" stage text,"
	" business_status text,"
	" body bytea"
	") WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);"
	"CREATE INDEX ON {instance}(created_ms DESC, id);"
	"CREATE INDEX ON {instance}(component, created_ms DESC, id);"

	"CREATE TABLE {event}("
	" instance bigint NOT NULL," /* {instance}.number */
	" sequence bigint NOT NULL,"
	" at_ms bigint NOT NULL,"
	" attempt integer NOT NULL,"
	" outcome integer NOT NULL,"
	" rules integer NOT NULL,"
	" id text COLLATE \"C\" NOT NULL,"
	" source_id bytea,"
	" name text,"
	" stage text,"
	" task text,"
	" reason text,"
	" actor text,"
	" body bytea,"
	" UNIQUE (instance, id));"

	"CREATE TABLE {outbox}("
	" number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY," /* in order of creation */
	" due_ms bigint NOT NULL,"
	" created_ms bigint NOT NULL,"
	" lease_until_ms bigint NOT NULL,"
	" claims bigint NOT NULL,"
	" state integer NOT NULL,"
	" attempt integer NOT NULL,"
	" kind integer NOT NULL,"
	" id text COLLATE \"C\" NOT NULL UNIQUE,"
	" instance_id text COLLATE \"C\","
	" destination text,"
	" key bytea,"
	" reason text,"
	" owner text,"
	" headers bytea,"
	" body bytea"
	") WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0,"
	"  autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);"
	"CREATE INDEX ON {outbox}(due_ms, number) WHERE state = 0;"
	"CREATE INDEX ON {outbox}(number) WHERE state = 1;";

/* What a purged instance owes still: timers far ahead and parked messages, that is, whose
 * number only grows. */
static const char owed_by_instance[] =
	"CREATE INDEX ON {outbox}(instance_id) WHERE instance_id IS NOT NULL;";

static const char *const steps[STORE_SCHEMA_VERSION] = {
	tables,
	owed_by_instance,
};

enum {
	QUESTION_MAX = 512
};

/* Runs a text with the names of the tables in it. */
static swm_status exec(const struct swm_store *store, struct wire *wire, const char *text,
	const char *what, PGresult **out, struct swm_error *err)
{
	char *expanded = store_expand(store->config, text);

	if (!expanded) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status status = wire_exec(wire, expanded, WIRE_HARMLESS, what, out, err);
	free(expanded);
	return status;
}

/* Whether there is a schema, or a table, of that name, in single quotes: the names need no
 * further care. */
static swm_status exists(const struct swm_store *store, struct wire *wire, const char *function,
	const char *name, bool *there, struct swm_error *err)
{
	char question[QUESTION_MAX];
	PGresult *answer = NULL;

	(void)snprintf(
		question, sizeof(question), "SELECT %s('%s') IS NOT NULL", function, name);
	swm_status status = exec(store, wire, question, "look for the tables", &answer, err);
	if (status == SWM_OK) {
		*there = strcmp(PQgetvalue(answer, 0, 0), "t") == 0;
		PQclear(answer);
	}
	return status;
}

/* 0: there is no table of ours yet. */
static swm_status read_version(const struct swm_store *store, struct wire *wire,
	int64_t *version, struct swm_error *err)
{
	PGresult *answer = NULL;
	bool there = false;
	swm_status status = exists(store, wire, "to_regclass", "{version}", &there, err);

	*version = 0;
	if (status != SWM_OK || !there) {
		return status;
	}
	status = exec(store, wire, "SELECT max(version) FROM {version}",
		"read the schema's version", &answer, err);
	if (status == SWM_OK) {
		*version = strtoll(PQgetvalue(answer, 0, 0), NULL, 10);
		PQclear(answer);
	}
	return status;
}

static swm_status judge_version(
	const struct swm_store *store, int64_t version, struct swm_error *err)
{
	const char *where = store->target.where;

	if (version == STORE_SCHEMA_VERSION) {
		return SWM_OK;
	}
	if (version > STORE_SCHEMA_VERSION || version < 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the tables have schema version %lld, this plugin knows up to %d: "
			"use a newer one",
			where, (long long)version, STORE_SCHEMA_VERSION);
	}
	if (version == 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: there are no tables %s.%s*: run `swm migrate`", where,
			store->config->schema, store->config->table_prefix);
	}
	return swm_fail(err, SWM_E_CONFIG, 0,
		"%s: the tables have schema version %lld of %d: run `swm migrate`", where,
		(long long)version, STORE_SCHEMA_VERSION);
}

swm_status store_schema_check(struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	int64_t version = 0;
	swm_status status = read_version(store, wire, &version, err);

	return status == SWM_OK ? judge_version(store, version, err) : status;
}

/* One lock for each schema and prefix: FNV-1a (RFC draft-eastlake-fnv), 64 bits. */
static int64_t lock_key(const struct store_config *config)
{
	const char *const parts[] = {"swm", config->schema, config->table_prefix};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *at = parts[i];

		do {
			hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
		} while (*at++);
	}
	return (int64_t)hash;
}

static swm_status begin(const struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	char text[QUESTION_MAX];

	(void)snprintf(text, sizeof(text), "BEGIN; SELECT pg_advisory_xact_lock(%lld)",
		(long long)lock_key(store->config));
	return wire_exec(wire, text, WIRE_HARMLESS, "lock the schema", NULL, err);
}

static swm_status create_first(
	const struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	bool there = false;
	swm_status status = exists(store, wire, "to_regnamespace", "{schema}", &there, err);

	/* Without rights on the database even IF NOT EXISTS is refused. */
	if (status == SWM_OK && !there) {
		status = exec(
			store, wire, "CREATE SCHEMA {schema}", "create the schema", NULL, err);
	}
	if (status == SWM_OK) {
		status = exec(store, wire,
			"CREATE TABLE {version}(version bigint NOT NULL, only_one boolean"
			" NOT NULL DEFAULT true UNIQUE CHECK (only_one));"
			"INSERT INTO {version} VALUES (0)",
			"create the first table", NULL, err);
	}
	return status;
}

static swm_status take_step(const struct swm_store *store, struct wire *wire, int64_t version,
	struct swm_error *err)
{
	char text[QUESTION_MAX];
	swm_status status = exec(store, wire, steps[version], "upgrade the tables", NULL, err);

	(void)snprintf(text, sizeof(text), "UPDATE {version} SET version = %lld",
		(long long)version + 1);
	return status == SWM_OK ? exec(store, wire, text, "upgrade the tables", NULL, err)
				: status;
}

/* Within a transaction, under the lock. */
static swm_status upgrade(
	const struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	int64_t version = 0;
	swm_status status = read_version(store, wire, &version, err);
	bool there = false;

	if (status == SWM_OK && (version > STORE_SCHEMA_VERSION || version < 0)) {
		status = judge_version(store, version, err);
	}
	if (status != SWM_OK || version == STORE_SCHEMA_VERSION) {
		return status;
	}
	status = exists(store, wire, "to_regclass", "{version}", &there, err);
	if (status == SWM_OK && !there) {
		status = create_first(store, wire, err);
	}
	for (; version < STORE_SCHEMA_VERSION && status == SWM_OK; version++) {
		status = take_step(store, wire, version, err);
	}
	if (status == SWM_OK) {
		status = exec(store, wire, store_document_view, "make the view", NULL, err);
	}
	return status;
}

static swm_status apply(const struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	swm_status status = begin(store, wire, err);

	if (status == SWM_OK) {
		status = upgrade(store, wire, err);
	}
	/* Otherwise the connection is closed, which undoes it. */
	return status == SWM_OK ? wire_exec(wire, "COMMIT", WIRE_HARMLESS,
					  "commit the migration", NULL, err)
				: status;
}

swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err)
{
	struct wire wire = {0};

	if (mode != SWM_MIGRATE_CHECK && mode != SWM_MIGRATE_APPLY) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown migration mode %u", mode);
	}
	swm_status status = store_connect(store, &wire, err);
	if (status != SWM_OK) {
		return status;
	}
	status = mode == SWM_MIGRATE_CHECK ? store_schema_check(store, &wire, err)
					   : apply(store, &wire, err);
	wire_close(&wire);
	if (status == SWM_OK) {
		*schema_version = STORE_SCHEMA_VERSION;
	}
	return status;
}
