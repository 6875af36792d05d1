/* SPDX-License-Identifier: MIT */

/*
 * The tables, and how a file gets them. `PRAGMA user_version` is the schema's
 * version; a later one adds a step to `steps` and never edits an old one.
 *
 * Concurrency: a migration runs under the file's write lock and looks at the version
 * again once it has it, so several may be started at the same time.
 */

#include "store.h"

#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Written so that a step touches few pages:
 *  - events and outbox are appended to, and refer to an instance by a number where
 *    they are looked up by it; its text id is stored but once, and in the outbox,
 *    some of whose rows belong to no instance;
 *  - the columns of an instance that change have no index;
 *  - bodies stand last: whatever is read or compared comes before the overflow pages.
 */
static const char *const steps[STORE_SCHEMA_VERSION] = {
	"CREATE TABLE wf_workflow_definition("
	" number INTEGER PRIMARY KEY,"
	" id TEXT NOT NULL UNIQUE,"
	" workflow TEXT,"
	" component TEXT NOT NULL,"
	" author TEXT,"
	" comment TEXT,"
	" sha256 TEXT,"
	" version INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" body BLOB"
	") STRICT;"
	"CREATE INDEX wf_workflow_definition_newest"
	" ON wf_workflow_definition(component, version);"

	"CREATE TABLE wf_workflow_instance("
	" number INTEGER PRIMARY KEY,"
	" id TEXT NOT NULL UNIQUE,"
	" workflow TEXT,"
	" component TEXT,"
	" business_ref TEXT,"
	" template_id TEXT,"
	" stage TEXT,"
	" business_status TEXT,"
	" version INTEGER NOT NULL,"
	" sequence INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" updated_ms INTEGER NOT NULL,"
	" status INTEGER NOT NULL,"
	" body BLOB"
	") STRICT;"
	"CREATE INDEX wf_workflow_instance_created ON wf_workflow_instance(created_ms);"

	"CREATE TABLE wf_workflow_event("
	" number INTEGER PRIMARY KEY,"
	" instance INTEGER NOT NULL," /* wf_workflow_instance.number */
	" id TEXT NOT NULL,"
	" source_id TEXT,"
	" name TEXT,"
	" stage TEXT,"
	" task TEXT,"
	" reason TEXT,"
	" actor TEXT,"
	" sequence INTEGER NOT NULL,"
	" at_ms INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" outcome INTEGER NOT NULL,"
	" rules INTEGER NOT NULL,"
	" body BLOB,"
	" UNIQUE(instance, id)"
	") STRICT;"

	"CREATE TABLE wf_outbox("
	" number INTEGER PRIMARY KEY," /* in the order of creation */
	" id TEXT NOT NULL UNIQUE,"
	" instance_id TEXT,"
	" destination TEXT,"
	" key TEXT,"
	" reason TEXT,"
	" owner TEXT,"
	" headers BLOB,"
	" due_ms INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" lease_until_ms INTEGER NOT NULL,"
	" claims INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" kind INTEGER NOT NULL,"
	" body BLOB"
	") STRICT;"
	"CREATE INDEX wf_outbox_due ON wf_outbox(state, due_ms, lease_until_ms);",
};

static swm_status read_version(struct swm_db *db, int64_t *version, struct swm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
	}
	if (rc == SQLITE_ROW) {
		*version = sqlite3_column_int64(stmt, 0);
	}
	swm_status status = rc == SQLITE_ROW
				    ? SWM_OK
				    : swm_db_failed(db, rc, "read the schema's version", err);

	sqlite3_finalize(stmt);
	return status;
}

swm_status store_schema_check(
	const struct swm_store *store, int64_t version, struct swm_error *err)
{
	const char *path = store->config->path;

	if (version == STORE_SCHEMA_VERSION) {
		return SWM_OK;
	}
	if (version > STORE_SCHEMA_VERSION || version < 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: has schema version %lld, this plugin knows up to %d: "
			"use a newer one",
			path, (long long)version, STORE_SCHEMA_VERSION);
	}
	return swm_fail(err, SWM_E_CONFIG, 0,
		"%s: has schema version %lld of %d: run `swm migrate`", path,
		(long long)version, STORE_SCHEMA_VERSION);
}

swm_status store_file_check(const struct swm_store *store, struct swm_error *err)
{
	const char *path = store->config->path;

	if (access(path, F_OK) == 0) {
		return SWM_OK;
	}
	if (errno == ENOENT || errno == ENOTDIR) {
		return swm_fail(err, SWM_E_CONFIG, errno,
			"%s: there is no such file: run `swm migrate` to create it", path);
	}
	return swm_fail_errno(err, path, "look at");
}

/* Within a write transaction. */
static swm_status upgrade(
	const struct swm_store *store, struct swm_db *db, struct swm_error *err)
{
	char pragma[64];
	int64_t version = 0;
	swm_status status = read_version(db, &version, err);

	if (status == SWM_OK && (version > STORE_SCHEMA_VERSION || version < 0)) {
		status = store_schema_check(store, version, err);
	}
	if (status != SWM_OK || version == STORE_SCHEMA_VERSION) {
		return status;
	}
	for (; version < STORE_SCHEMA_VERSION && status == SWM_OK; version++) {
		status = swm_db_exec(db, steps[version], err);
	}
	(void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%d", STORE_SCHEMA_VERSION);
	return status == SWM_OK ? swm_db_exec(db, pragma, err) : status;
}

static swm_status check(const struct swm_store *store, struct swm_db *db, struct swm_error *err)
{
	int64_t version = 0;
	swm_status status = read_version(db, &version, err);

	return status == SWM_OK ? store_schema_check(store, version, err) : status;
}

static swm_status apply(const struct swm_store *store, struct swm_db *db, struct swm_error *err)
{
	swm_status status = swm_db_begin(db, err);

	if (status != SWM_OK) {
		return status;
	}
	status = upgrade(store, db, err);
	if (status != SWM_OK) {
		swm_db_rollback(db);
		return status;
	}
	return swm_db_commit(db, err);
}

swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err)
{
	struct swm_db db = {0};
	swm_status status = SWM_OK;

	if (mode != SWM_MIGRATE_CHECK && mode != SWM_MIGRATE_APPLY) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown migration mode %u", mode);
	}
	if (mode == SWM_MIGRATE_CHECK) {
		status = store_file_check(store, err);
	}
	if (status == SWM_OK) {
		status = swm_db_open(&db, store->config->path, SWM_DB_FULL,
			store->call_timeout_ms, STORE_APPLICATION_ID, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	status = swm_db_check(&db, err);
	if (status == SWM_OK) {
		status = mode == SWM_MIGRATE_CHECK ? check(store, &db, err)
						   : apply(store, &db, err);
	}
	swm_db_close(&db);
	if (status == SWM_OK) {
		*schema_version = STORE_SCHEMA_VERSION;
	}
	return status;
}
