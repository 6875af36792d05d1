/* SPDX-License-Identifier: MIT */

/*
 * Open and close: the configuration, checked and turned into a pool of clients. The pool
 * watches the servers with threads of its own and connects when it is asked to.
 *
 * What the guarantees rest on is set here, whatever the URI says: writes are acknowledged by
 * the journals of a majority, reads see only such writes, from the primary; a write may be
 * repeated by the library where the server knows it again.
 *
 * Concurrency: made and closed by the main thread, read-only between.
 */

#include "store.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* More than there ever are sessions. */
	POOL_MAX = 1000,
	SELECTION_MAX_MS = 5000,
	WHERE_MAX = 512
};

static const char *const names[COLLECTION_COUNT] = {
	[COLLECTION_DEFINITION] = "workflow_definition",
	[COLLECTION_INSTANCE] = "workflow_instance",
	[COLLECTION_EVENT] = "workflow_event",
	[COLLECTION_OUTBOX] = "outbox",
	[COLLECTION_VERSION] = "schema_version",
};

static swm_status check_name(
	const char *instance, const char *option, const char *value, struct swm_error *err)
{
	size_t len = value ? strspn(value, "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
			   : 0;

	if (len == 0 || len > STORE_NAME_MAX || value[len] != '\0') {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"%s\" has to be [A-Za-z0-9_-]+, 1 to %d characters", instance,
			option, STORE_NAME_MAX);
	}
	return SWM_OK;
}

static swm_status check_file(
	const char *instance, const char *option, const char *path, struct swm_error *err)
{
	if (!path || access(path, R_OK) == 0) {
		return SWM_OK;
	}
	return swm_fail(
		err, SWM_E_CONFIG, 0, "%s: \"%s\": %s cannot be read", instance, option, path);
}

static swm_status check_config(const struct swm_store *store, struct swm_error *err)
{
	const struct store_config *config = store->config;
	swm_status status = check_name(store->instance, "database", config->database, err);

	if (status == SWM_OK && strcmp(config->database, "admin") == 0) {
		status = swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"database\": admin belongs to the server itself",
			store->instance);
	}
	if (status == SWM_OK) {
		status = check_name(
			store->instance, "collection_prefix", config->collection_prefix, err);
	}
	if (status == SWM_OK) {
		status = check_file(store->instance, "tls_ca", config->tls_ca, err);
	}
	return status == SWM_OK
		       ? check_file(store->instance, "tls_cert_key", config->tls_cert_key, err)
		       : status;
}

/* One that is empty is none, as an unset variable of the environment leaves it. */
static bool has_password(const struct store_config *config)
{
	return config->password && config->password[0] != '\0';
}

/* The parser's words quote the URI, so they are kept only when it has no password. */
static swm_status read_uri(
	const struct swm_store *store, mongoc_uri_t **out, struct swm_error *err)
{
	const char *text = store->config->uri ? store->config->uri : "";
	const char *host = strstr(text, "://");
	const char *at = host ? strchr(host + 3, '@') : NULL;
	bson_error_t error;

	if (at && memchr(host + 3, ':', (size_t)(at - host - 3))) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"uri\": the password belongs into \"password\", which is never "
			"printed",
			store->instance);
	}
	*out = mongoc_uri_new_with_error(text, &error);
	if (!*out) {
		return swm_fail(err, SWM_E_CONFIG, (int)error.code, "%s: \"uri\": %s",
			store->instance, error.message);
	}
	if (has_password(store->config) && !mongoc_uri_get_username(*out)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"password\" is set, but \"uri\" names no user", store->instance);
	}
	return SWM_OK;
}

static void set_guarantees(const struct swm_store *store, mongoc_uri_t *uri)
{
	mongoc_write_concern_t *write = mongoc_write_concern_new();
	mongoc_read_concern_t *read = mongoc_read_concern_new();
	mongoc_read_prefs_t *prefs = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	int64_t command_ms = store->timeout_ms * WIRE_COMMAND_PARTS / WIRE_PARTS;

	/* The server gives up a little before we do. */
	mongoc_write_concern_set_wmajority(write, (int32_t)(command_ms - command_ms / 4));
	mongoc_write_concern_set_journal(write, true);
	mongoc_uri_set_write_concern(uri, write);
	mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
	mongoc_uri_set_read_concern(uri, read);
	mongoc_uri_set_read_prefs_t(uri, prefs);
	mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
	mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYREADS, true);
	mongoc_write_concern_destroy(write);
	mongoc_read_concern_destroy(read);
	mongoc_read_prefs_destroy(prefs);
}

static void set_times(const struct swm_store *store, mongoc_uri_t *uri)
{
	const int64_t parts = WIRE_PARTS - 2 * WIRE_COMMAND_PARTS;
	int64_t command_ms = store->timeout_ms * WIRE_COMMAND_PARTS / WIRE_PARTS;
	int64_t find_ms = store->timeout_ms * parts / WIRE_PARTS;
	int32_t selection_ms = find_ms < SELECTION_MAX_MS ? (int32_t)find_ms : SELECTION_MAX_MS;

	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, (int32_t)command_ms);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, selection_ms);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, selection_ms);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, selection_ms);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, POOL_MAX);
}

static bool set_options(const struct swm_store *store, mongoc_uri_t *uri)
{
	const struct store_config *config = store->config;
	bool ok = true;

	if (has_password(config)) {
		ok = mongoc_uri_set_password(uri, config->password);
	}
	if (config->tls_ca) {
		ok = mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true) &&
		     mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, config->tls_ca) &&
		     ok;
	}
	if (config->tls_cert_key) {
		ok = mongoc_uri_set_option_as_utf8(
			     uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, config->tls_cert_key) &&
		     ok;
	}
	if (config->application_name && config->application_name[0]) {
		ok = mongoc_uri_set_appname(uri, config->application_name) && ok;
	}
	return ok;
}

/* "HOST:PORT,HOST:PORT/DATABASE", as much as a message needs. */
static swm_status make_where(
	struct swm_store *store, const mongoc_uri_t *uri, struct swm_error *err)
{
	size_t used = 0;

	store->where = calloc(1, WHERE_MAX);
	if (!store->where) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri); host;
		host = host->next) {
		int len = snprintf(store->where + used, WHERE_MAX / 2 - used, "%s%s",
			used > 0 ? "," : "", host->host_and_port);

		if (len < 0 || used + (size_t)len >= WHERE_MAX / 2) {
			store->where[used] = '\0';
			break;
		}
		used += (size_t)len;
	}
	(void)snprintf(store->where + used, WHERE_MAX - used, "/%s", store->config->database);
	return SWM_OK;
}

static swm_status make_pool(
	struct swm_store *store, const mongoc_uri_t *uri, struct swm_error *err)
{
	bson_error_t error;

	store->pool = mongoc_client_pool_new_with_error(uri, &error);
	if (!store->pool) {
		return swm_fail(err, SWM_E_CONFIG, (int)error.code, "%s: %s", store->instance,
			error.message);
	}
	mongoc_client_pool_set_error_api(store->pool, MONGOC_ERROR_API_VERSION_2);
	return SWM_OK;
}

static swm_status prepare(struct swm_store *store, mongoc_uri_t *uri, struct swm_error *err)
{
	set_guarantees(store, uri);
	set_times(store, uri);
	if (!set_options(store, uri)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the client library refuses the password, a file's name or "
			"\"application_name\"",
			store->instance);
	}
	swm_status status = make_where(store, uri, err);

	return status == SWM_OK ? make_pool(store, uri, err) : status;
}

swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err)
{
	mongoc_uri_t *uri = NULL;
	struct swm_store *store = calloc(1, sizeof(*store));

	if (!store) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	store->host = args->host;
	store->instance = args->instance;
	store->config = args->config;
	store->timeout_ms = args->call_timeout_ms;
	swm_status status = check_config(store, err);
	for (size_t i = 0; i < COLLECTION_COUNT && status == SWM_OK; i++) {
		(void)snprintf(store->names[i], sizeof(store->names[i]), "%s%s",
			store->config->collection_prefix, names[i]);
	}
	if (status == SWM_OK) {
		status = read_uri(store, &uri, err);
	}
	if (status == SWM_OK) {
		status = prepare(store, uri, err);
	}
	mongoc_uri_destroy(uri);
	if (status != SWM_OK) {
		store_close(store);
		return status;
	}
	*out = store;
	return SWM_OK;
}

void store_close(struct swm_store *store)
{
	if (!store) {
		return;
	}
	if (store->pool) {
		mongoc_client_pool_destroy(store->pool);
	}
	free(store->where);
	free(store);
}
