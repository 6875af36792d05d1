/* SPDX-License-Identifier: MIT */

/*
 * Sessions: a connection with every statement compiled once. Their text stands here
 * in one table, so that all of what this plugin asks of SQLite can be read together.
 *
 * Concurrency: a session is confined to the thread that opened it.
 */

#include "rows.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>

/* A page begins after the row that its token names; see take_page(). */
static const char *const texts[STMT_COUNT] = {
	[STMT_SCHEMA_VERSION] = "PRAGMA user_version",

	[STMT_INSTANCE_LOAD] =
		"SELECT number, " INSTANCE_COLUMNS " FROM wf_workflow_instance WHERE id = ?1",
	[STMT_INSTANCE_FIND] = "SELECT number FROM wf_workflow_instance WHERE id = ?1",
	[STMT_INSTANCE_INSERT] =
		"INSERT INTO wf_workflow_instance(" INSTANCE_COLUMNS
		") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) "
		"ON CONFLICT(id) DO NOTHING",
	/* Sets neither id nor created_ms: no index is touched. */
	[STMT_INSTANCE_UPDATE] =
		"UPDATE wf_workflow_instance SET workflow = ?2, component = ?3, "
		"business_ref = ?4, template_id = ?5, stage = ?6, business_status = ?7, "
		"version = ?8, sequence = ?9, updated_ms = ?10, status = ?11, body = ?12 "
		"WHERE number = ?1 AND id = ?13 AND version = ?14",
	[STMT_INSTANCE_LIST] =
		"SELECT created_ms || ':' || id, " INSTANCE_COLUMNS
		" FROM wf_workflow_instance INDEXED BY wf_workflow_instance_created "
		"WHERE created_ms <= ?1 AND (created_ms < ?1 OR id > ?2) "
		"AND (?3 = 0 OR ((1 << status) & ?3) <> 0) "
		"AND (?4 IS NULL OR workflow = ?4) "
		"AND (?5 IS NULL OR component = ?5) "
		"AND (?6 IS NULL OR business_ref = ?6) "
		"AND (?7 IS NULL OR stage = ?7) "
		"AND (?8 IS NULL OR template_id = ?8) "
		"AND updated_ms >= ?9 AND (?10 = 0 OR updated_ms <= ?10) "
		"ORDER BY created_ms DESC, id LIMIT ?11",
	[STMT_INSTANCE_FINISHED] =
		"SELECT number FROM wf_workflow_instance "
		"WHERE ((1 << status) & ?1) <> 0 AND updated_ms < ?2 ORDER BY number LIMIT ?3",
	[STMT_INSTANCE_DELETE] = "DELETE FROM wf_workflow_instance WHERE number = ?1",

	[STMT_EVENT_SEEN] = "SELECT 1 FROM wf_workflow_event WHERE instance = ?1 AND id = ?2",
	[STMT_EVENT_INSERT] =
		"INSERT INTO wf_workflow_event(instance, " EVENT_COLUMNS
		") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
	/* There is no index on the sequence: it would cost a page for each event
	 * written, and sorting one instance's events when they are read is cheap. */
	[STMT_EVENT_LIST] = "SELECT sequence, " EVENT_COLUMNS " FROM wf_workflow_event "
			    "WHERE instance = (SELECT number FROM wf_workflow_instance "
			    "WHERE id = ?1) AND sequence > ?2 ORDER BY sequence LIMIT ?3",
	[STMT_EVENT_DELETE] = "DELETE FROM wf_workflow_event WHERE instance = ?1",

	[STMT_OUTBOX_INSERT] =
		"INSERT INTO wf_outbox(owner, " OUTBOX_COLUMNS
		") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
	[STMT_OUTBOX_PUT] =
		"INSERT INTO wf_outbox(owner, " OUTBOX_COLUMNS
		") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) "
		"ON CONFLICT(id) DO NOTHING",
	[STMT_OUTBOX_CANCEL] = "DELETE FROM wf_outbox WHERE id = ?1 AND instance_id = ?2",
	[STMT_OUTBOX_SENT] = "DELETE FROM wf_outbox WHERE id = ?1",
	[STMT_OUTBOX_RETRY] =
		"UPDATE wf_outbox SET due_ms = ?5, reason = ?4, owner = NULL, "
		"lease_until_ms = 0 "
		"WHERE id = ?1 AND owner = ?2 AND lease_until_ms > ?3 AND state = 0",
	[STMT_OUTBOX_PARK] =
		"UPDATE wf_outbox SET state = 1, reason = ?4, owner = NULL, "
		"lease_until_ms = 0 "
		"WHERE id = ?1 AND owner = ?2 AND lease_until_ms > ?3 AND state = 0",
	/* Answered by the index alone. */
	[STMT_OUTBOX_DUE] =
		"SELECT number, lease_until_ms FROM wf_outbox INDEXED BY wf_outbox_due "
		"WHERE state = 0 AND due_ms <= ?1 ORDER BY due_ms",
	[STMT_OUTBOX_NEXT] = "SELECT due_ms FROM wf_outbox INDEXED BY wf_outbox_due "
			     "WHERE state = 0 AND due_ms > ?1 ORDER BY due_ms LIMIT 1",
	[STMT_OUTBOX_LEASE] =
		"UPDATE wf_outbox SET owner = ?2, lease_until_ms = ?3, claims = claims + 1 "
		"WHERE number = ?1",
	[STMT_OUTBOX_GET] = "SELECT " OUTBOX_COLUMNS " FROM wf_outbox WHERE number = ?1",
	[STMT_OUTBOX_LIST] = "SELECT number, " OUTBOX_COLUMNS
			     " FROM wf_outbox WHERE number > ?1 ORDER BY number LIMIT ?2",
	/* The numbers are sorted before a row is read: parked rows are few. */
	[STMT_OUTBOX_LIST_DEAD] =
		"SELECT number, " OUTBOX_COLUMNS " FROM wf_outbox WHERE number IN "
		"(SELECT number FROM wf_outbox INDEXED BY wf_outbox_due "
		"WHERE state = 1 AND number > ?1 ORDER BY number LIMIT ?2) "
		"ORDER BY number",
	[STMT_OUTBOX_REQUEUE] = "UPDATE wf_outbox SET state = 0, due_ms = ?2, reason = NULL "
				"WHERE id = ?1 AND state = 1",
	/* Of those that STMT_INSTANCE_FINISHED finds with the same parameters. */
	[STMT_OUTBOX_FINISHED] =
		"DELETE FROM wf_outbox WHERE instance_id IN "
		"(SELECT id FROM wf_workflow_instance "
		"WHERE ((1 << status) & ?1) <> 0 AND updated_ms < ?2 ORDER BY number LIMIT ?3)",
	[STMT_OUTBOX_DROP] = "DELETE FROM wf_outbox WHERE id = ?1 AND state = 1",

	[STMT_TEMPLATE_INSERT] = "INSERT INTO wf_workflow_definition(" TEMPLATE_COLUMNS
				 ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
				 "ON CONFLICT(id) DO NOTHING",
	[STMT_TEMPLATE_GET] =
		"SELECT NULL, " TEMPLATE_COLUMNS " FROM wf_workflow_definition WHERE id = ?1",
	[STMT_TEMPLATE_LIST] =
		"SELECT number, " TEMPLATE_COLUMNS " FROM wf_workflow_definition "
		"WHERE ?1 = 0 OR (component, -version, -number) > "
		"(SELECT component, -version, -number FROM wf_workflow_definition "
		"WHERE number = ?1) "
		"ORDER BY component, version DESC, number DESC LIMIT ?2",
	[STMT_TEMPLATE_LIST_OF] =
		"SELECT number, " TEMPLATE_COLUMNS " FROM wf_workflow_definition "
		"WHERE component = ?3 AND (?1 = 0 OR (-version, -number) > "
		"(SELECT -version, -number FROM wf_workflow_definition WHERE number = ?1)) "
		"ORDER BY version DESC, number DESC LIMIT ?2",
};

bool store_scratch_reserve(struct store_scratch *scratch, size_t bytes)
{
	size_t room = scratch->bytes ? scratch->bytes : 1024;

	if (bytes <= scratch->bytes) {
		return true;
	}
	while (room < bytes) {
		if (room > SIZE_MAX / 2) {
			return false;
		}
		room *= 2;
	}
	void *grown = realloc(scratch->ptr, room);
	if (!grown) {
		return false;
	}
	scratch->ptr = grown;
	scratch->bytes = room;
	return true;
}

static swm_status set_cache_size(struct swm_session *session, struct swm_error *err)
{
	char pragma[64];

	/* Negative: in KiB instead of pages. */
	(void)snprintf(pragma, sizeof(pragma), "PRAGMA cache_size=-%lld",
		(long long)(session->store->config->cache_bytes / 1024));
	return swm_db_exec(&session->db, pragma, err);
}

static swm_status check_schema(struct swm_session *session, struct swm_error *err)
{
	sqlite3_stmt **stmt = &session->statements[STMT_SCHEMA_VERSION];
	swm_status status = swm_db_prepare(&session->db, texts[STMT_SCHEMA_VERSION], stmt, err);
	bool row = false;

	if (status != SWM_OK) {
		return status;
	}
	struct params params = params_of(session, STMT_SCHEMA_VERSION);
	status = next_row(&params, "read the schema's version", &row, err);
	if (status != SWM_OK || !row) {
		return status;
	}
	status = store_schema_check(session->store, sqlite3_column_int64(*stmt, 0), err);
	finish(&params);
	return status;
}

swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	swm_status status = store_file_check(store, err);

	if (status != SWM_OK) {
		return status;
	}
	struct swm_session *session = calloc(1, sizeof(*session));
	if (!session) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	session->store = store;
	status = swm_db_open(&session->db, store->config->path, SWM_DB_FULL,
		store->call_timeout_ms, STORE_APPLICATION_ID, err);
	if (status == SWM_OK) {
		status = set_cache_size(session, err);
	}
	if (status == SWM_OK) {
		status = check_schema(session, err);
	}
	for (int i = STMT_SCHEMA_VERSION + 1; i < STMT_COUNT && status == SWM_OK; i++) {
		status = swm_db_prepare(&session->db, texts[i], &session->statements[i], err);
	}
	if (status != SWM_OK) {
		store_session_close(session);
		return status;
	}
	*out = session;
	return SWM_OK;
}

void store_session_close(struct swm_session *session)
{
	if (!session) {
		return;
	}
	swm_db_close(&session->db);
	free(session->headers.ptr);
	free(session->results.ptr);
	free(session);
}
