/* SPDX-License-Identifier: MIT */

/*
 * Sessions: a connection that was found good, and its statements, each prepared when it
 * is first run.
 *
 * Concurrency: a session is confined to the thread that opened it.
 */

#include "store.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SETTINGS_MAX = 2048,
	/* A session keeps no more scratch memory than this. */
	SCRATCH_KEEP = 4 * 1024 * 1024
};

void *store_scratch(struct swm_session *session, size_t bytes)
{
	if (bytes > session->scratch_bytes || session->scratch_bytes > SCRATCH_KEEP) {
		free(session->scratch);
		session->scratch_bytes = 0;
		session->scratch = malloc(bytes > 0 ? bytes : 1);
		if (!session->scratch) {
			return NULL;
		}
		session->scratch_bytes = bytes;
	}
	return session->scratch;
}

/* What the server is like, as store_connect() asks for it. */
enum {
	SERVER_FSYNC,
	SERVER_COMMIT,
	SERVER_ENCODING,
	SERVER_VERSION,
	SERVER_PAGE_WRITES,
	SERVER_ANSWERS
};

static const char server_question[] =
	"SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
	" current_setting('server_encoding'), current_setting('server_version_num'),"
	" current_setting('full_page_writes')";

static swm_status check_server(
	const struct swm_store *store, const PGresult *answer, struct swm_error *err)
{
	const char *where = store->target.where;
	const char *values[SERVER_ANSWERS];

	if (PQntuples(answer) != 1 || PQnfields(answer) != SERVER_ANSWERS) {
		return swm_fail(err, SWM_E_INTERNAL, 0,
			"%s: the server does not say how it is set up", where);
	}
	for (int i = 0; i < SERVER_ANSWERS; i++) {
		values[i] = PQgetvalue(answer, 0, i);
	}
	if (strtol(values[SERVER_VERSION], NULL, 10) < STORE_SERVER_MIN) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the server is older than PostgreSQL %d", where,
			STORE_SERVER_MIN / 10000);
	}
	if (strcmp(values[SERVER_FSYNC], "on") != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the server runs with fsync = off and would lose what it has "
			"confirmed: set it to on",
			where);
	}
	if (strcmp(values[SERVER_COMMIT], "off") == 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: synchronous_commit stays off, so that the server would lose what "
			"it has confirmed: set it to on",
			where);
	}
	if (strcmp(values[SERVER_ENCODING], "UTF8") != 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the database has the encoding %s: it has to be UTF8", where,
			values[SERVER_ENCODING]);
	}
	if (strcmp(values[SERVER_PAGE_WRITES], "on") != 0) {
		store->host->log(store->host->ctx, SWM_LOG_WARN, store->instance,
			"%s: the server runs with full_page_writes = off: only a file system "
			"that never tears a page keeps its data after a power cut",
			where);
	}
	return SWM_OK;
}

swm_status store_connect(
	const struct swm_store *store, struct wire *wire, struct swm_error *err)
{
	const int64_t timeout_ms = store->target.timeout_ms;
	char text[SETTINGS_MAX];
	PGresult *answer = NULL;

	swm_status status = wire_open(wire, &store->target, err);
	if (status != SWM_OK) {
		return status;
	}
	/* The server gives up a little before we do, so that there is no doubt. */
	(void)snprintf(text, sizeof(text), "%s SET statement_timeout = %lld; %s",
		store_settings, (long long)(timeout_ms > 10 ? timeout_ms - timeout_ms / 10 : 9),
		server_question);
	status = wire_exec(wire, text, WIRE_HARMLESS, "set the session up", &answer, err);
	if (status == SWM_OK) {
		status = check_server(store, answer, err);
	}
	PQclear(answer);
	if (status != SWM_OK) {
		wire_close(wire);
	}
	return status;
}

swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	struct swm_session *session = calloc(1, sizeof(*session));

	if (!session) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	session->store = store;
	swm_status status = store_connect(store, &session->wire, err);
	if (status == SWM_OK) {
		status = store_schema_check(store, &session->wire, err);
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
	wire_close(&session->wire);
	params_finish(&session->params);
	free(session->scratch);
	free(session);
}

struct params *store_begin(struct swm_session *session)
{
	wire_begin(&session->wire);
	params_clear(&session->params);
	return &session->params;
}

swm_status store_run(struct swm_session *session, enum store_statement statement,
	enum wire_effect effect, const char *what, PGresult **out, struct swm_error *err)
{
	const char *name = store_statements[statement].name;
	swm_status status = params_status(&session->params, err);

	if (status == SWM_OK && !session->prepared[statement]) {
		status = wire_prepare(
			&session->wire, name, session->store->texts[statement], err);
		session->prepared[statement] = status == SWM_OK;
	}
	if (status != SWM_OK) {
		return status;
	}
	return wire_run(&session->wire, name, &session->params, effect, what, out, err);
}
