/* SPDX-License-Identifier: MIT */

/*
 * The adapter object: the configuration, checked and made into what libpq and the
 * statements need. It holds no connection: sessions and migrations open their own.
 *
 * Concurrency: made and closed by the main thread, read-only between.
 */

#include "store.h"

#include "status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* Ours, and the NULL at the end. */
	TARGET_OWN_MAX = 24,
	NUMBER_MAX = 24
};

/* --- Names --- */

/* ^[a-z_][a-z0-9_]{0,30}$, so that a name needs no care in a statement. */
static bool is_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return len > 0 && len <= STORE_NAME_MAX && text[len] == '\0' &&
	       !(text[0] >= '0' && text[0] <= '9');
}

static swm_status check_name(
	const char *instance, const char *option, const char *value, struct swm_error *err)
{
	if (!value || !is_name(value)) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"%s\" has to be [a-z_][a-z0-9_]*, 1 to %d characters", instance,
			option, STORE_NAME_MAX);
	}
	if (strncmp(value, "pg_", 3) == 0 || strcmp(value, "information_schema") == 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"%s\": such names belong to the server itself", instance, option);
	}
	return SWM_OK;
}

/* What stands in braces, and the table's name behind the prefix. */
static const struct {
	const char *token;
	const char *table;
} names[] = {
	{"{definition}", "workflow_definition"},
	{"{instance}", "workflow_instance"},
	{"{event}", "workflow_event"},
	{"{outbox}", "outbox"},
	{"{version}", "schema_version"},
	{"{document}", "workflow_document"},
};

/* The length of the token at `at` and what it stands for, in `out` unless that is NULL;
 * 0: there is none. */
static size_t expand_token(
	const struct store_config *config, const char *at, char *out, size_t room, size_t *len)
{
	static const char schema[] = "{schema}";
	int written = -1;
	size_t token = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && token == 0; i++) {
		if (strncmp(at, names[i].token, strlen(names[i].token)) == 0) {
			token = strlen(names[i].token);
			written = snprintf(out, room, "\"%s\".\"%s%s\"", config->schema,
				config->table_prefix, names[i].table);
		}
	}
	if (strncmp(at, schema, sizeof(schema) - 1) == 0) {
		token = sizeof(schema) - 1;
		written = snprintf(out, room, "\"%s\"", config->schema);
	}
	*len = written > 0 ? (size_t)written : 0;
	return token;
}

/* How long the expanded text is; writes it when there is room. */
static size_t expand(
	const struct store_config *config, const char *text, char *out, size_t room)
{
	size_t used = 0;

	while (*text) {
		size_t len = 0;
		size_t token = *text == '{'
				       ? expand_token(config, text, out ? out + used : NULL,
						 out ? room - used : 0, &len)
				       : 0;
		if (token == 0) {
			if (out) {
				out[used] = *text;
			}
			token = len = 1;
		}
		text += token;
		used += len;
	}
	if (out) {
		out[used] = '\0';
	}
	return used;
}

char *store_expand(const struct store_config *config, const char *text)
{
	size_t len = expand(config, text, NULL, 0);
	char *out = malloc(len + 1);

	if (out) {
		expand(config, text, out, len + 1);
	}
	return out;
}

/* --- Where to connect to --- */

/* These are options here, or ours to decide. */
static bool is_own_parameter(const char *name)
{
	static const char *const own[] = {"host", "port", "dbname", "user", "password",
		"passfile", "sslpassword", "sslmode", "sslrootcert", "sslcert", "sslkey",
		"application_name", "client_encoding", "options", "replication", "service",
		"target_session_attrs", "connect_timeout", NULL};

	for (size_t i = 0; own[i]; i++) {
		if (strcmp(name, own[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_known_parameter(const PQconninfoOption *known, const char *name)
{
	for (; known->keyword; known++) {
		if (strcmp(known->keyword, name) == 0) {
			return true;
		}
	}
	return false;
}

static swm_status check_parameters(
	const char *instance, const struct swm_map *parameters, struct swm_error *err)
{
	PQconninfoOption *known = PQconndefaults();
	swm_status status = SWM_OK;

	if (!known) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < parameters->count && status == SWM_OK; i++) {
		const char *name = parameters->items[i].name;

		if (is_own_parameter(name)) {
			status = swm_fail(err, SWM_E_CONFIG, 0,
				"%s: \"parameters\": %s is not to be set there", instance,
				name);
		} else if (!is_known_parameter(known, name)) {
			status = swm_fail(err, SWM_E_CONFIG, 0,
				"%s: \"parameters\": libpq has none of the name %s", instance,
				name);
		}
	}
	PQconninfoFree(known);
	return status;
}

static void set(
	struct wire_target *target, size_t *count, const char *keyword, const char *value)
{
	/* libpq takes what is empty for not given. */
	target->keywords[*count] = keyword;
	target->values[*count] = value ? value : "";
	(*count)++;
}

/* The numbers live behind the arrays, in one piece of memory with them. */
static swm_status make_target(struct swm_store *store, struct swm_error *err)
{
	static const char *const sslmodes[] = {
		"disable", "require", "verify-ca", "verify-full"};
	const struct store_config *config = store->config;
	struct wire_target *target = &store->target;
	size_t places = TARGET_OWN_MAX + config->parameters.count, count = 0;
	size_t bytes = 2 * places * sizeof(const char *) + 2 * (size_t)NUMBER_MAX;
	char *memory = calloc(1, bytes);

	if (!memory) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	target->keywords = (const char **)(void *)memory;
	target->values = target->keywords + places;
	char *port = (char *)(target->values + places);
	char *timeout = port + NUMBER_MAX;
	(void)snprintf(port, NUMBER_MAX, "%lld", (long long)config->port);
	(void)snprintf(timeout, NUMBER_MAX, "%lld", (long long)target->timeout_ms);

	/* First, so that what follows has the last word. */
	set(target, &count, "keepalives_idle", "10");
	set(target, &count, "keepalives_interval", "5");
	set(target, &count, "keepalives_count", "3");
	set(target, &count, "tcp_user_timeout", timeout);
	set(target, &count, "gssencmode", "disable");
	for (size_t i = 0; i < config->parameters.count; i++) {
		set(target, &count, config->parameters.items[i].name,
			config->parameters.items[i].value);
	}
	set(target, &count, "host", config->host);
	set(target, &count, "port", port);
	set(target, &count, "dbname", config->database);
	set(target, &count, "user", config->user);
	set(target, &count, "sslmode", sslmodes[config->sslmode]);
	if (config->sslmode >= STORE_SSL_VERIFY_CA) {
		set(target, &count, "sslrootcert", config->sslrootcert);
	}
	set(target, &count, "sslcert", config->sslcert);
	set(target, &count, "sslkey", config->sslkey);
	if (config->password) {
		set(target, &count, "password", config->password);
	}
	set(target, &count, "application_name", config->application_name);
	set(target, &count, "client_encoding", "UTF8");
	set(target, &count, "target_session_attrs", "read-write");
	assert(count < places);
	return SWM_OK;
}

static swm_status make_where(struct swm_store *store, struct swm_error *err)
{
	const struct store_config *config = store->config;
	size_t room = strlen(config->host) + strlen(config->database) + NUMBER_MAX + 4;

	store->target.where = malloc(room);
	if (!store->target.where) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)snprintf(store->target.where, room, "%s:%lld/%s", config->host,
		(long long)config->port, config->database);
	return SWM_OK;
}

static swm_status check_config(const struct swm_store *store, struct swm_error *err)
{
	const struct store_config *config = store->config;
	swm_status status = check_name(store->instance, "schema", config->schema, err);

	if (status == SWM_OK) {
		status = check_name(store->instance, "table_prefix", config->table_prefix, err);
	}
	if (status == SWM_OK &&
		(!config->host || !config->host[0] || !config->database ||
			!config->database[0] || !config->user || !config->user[0])) {
		status = swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"host\", \"database\" and \"user\" must not be empty",
			store->instance);
	}
	if (status == SWM_OK && config->sslmode >= STORE_SSL_VERIFY_CA &&
		(!config->sslrootcert || access(config->sslrootcert, R_OK) != 0)) {
		status = swm_fail(err, SWM_E_CONFIG, 0,
			"%s: \"sslrootcert\": %s cannot be read; it names the authorities "
			"that are believed",
			store->instance, config->sslrootcert ? config->sslrootcert : "");
	}
	if (status == SWM_OK) {
		status = check_parameters(store->instance, &config->parameters, err);
	}
	return status;
}

static swm_status make_texts(struct swm_store *store, struct swm_error *err)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		store->texts[i] = store_expand(store->config, store_statements[i].text);
		if (!store->texts[i]) {
			return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		}
	}
	return SWM_OK;
}

swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err)
{
	struct swm_store *store = calloc(1, sizeof(*store));

	if (!store) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	store->host = args->host;
	store->instance = args->instance;
	store->config = args->config;
	store->target.timeout_ms = args->call_timeout_ms;
	swm_status status = check_config(store, err);
	if (status == SWM_OK) {
		status = make_target(store, err);
	}
	if (status == SWM_OK) {
		status = make_where(store, err);
	}
	if (status == SWM_OK) {
		status = make_texts(store, err);
	}
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
	for (size_t i = 0; i < STMT_COUNT; i++) {
		free(store->texts[i]);
	}
	free(store->target.where);
	free((void *)store->target.keywords);
	free(store);
}
