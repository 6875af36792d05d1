/* SPDX-License-Identifier: MIT */

/*
 * The collections' indexes, and how a database gets them. One document of the collection
 * schema_version holds the schema's version; a later one adds its indexes to the tables.
 *
 * Concurrency: the server makes an index that is there already only once, so several
 * migrations may be started at the same time; the version only ever grows.
 */

#include "fields.h"
#include "store.h"

#include "status.h"

#include <stdio.h>
#include <string.h>

struct index {
	enum store_collection collection;
	const char *name;
	const char *keys; /* as JSON */
	const char *options;
};

/*
 * What is looked up by _id needs none. An instance's id is made of component and reference,
 * so that its uniqueness is theirs.
 *  - due, parked, unmoved, purged: documents with work to do are few, hence sparse;
 *  - open: what is not finished, in the order of lists, is what people mostly ask for;
 *    statuses 1 to 3 are those before COMPLETED.
 */
static const struct index indexes[] = {
	{COLLECTION_DEFINITION, "component_version",
		"{\"component_name\": 1, \"version\": -1, \"_id\": 1}", ""},
	{COLLECTION_INSTANCE, "component_reference",
		"{\"component_name\": 1, \"business_ref_no\": 1}", ""},
	{COLLECTION_INSTANCE, "created", "{\"created_at\": -1, \"_id\": 1}", ""},
	{COLLECTION_INSTANCE, "component_created",
		"{\"component_name\": 1, \"created_at\": -1, \"_id\": 1}", ""},
	{COLLECTION_INSTANCE, "open", "{\"created_at\": -1, \"_id\": 1, \"_swm.status\": 1}",
		", \"partialFilterExpression\": {\"_swm.status\": {\"$lt\": 4}}"},
	{COLLECTION_INSTANCE, "due", "{\"_swm.due\": 1}", ", \"sparse\": true"},
	{COLLECTION_INSTANCE, "parked", "{\"_swm.parked\": 1}", ", \"sparse\": true"},
	{COLLECTION_INSTANCE, "unmoved", "{\"_swm.unmoved\": 1}", ", \"sparse\": true"},
	{COLLECTION_INSTANCE, "purged", "{\"_swm.purged\": 1}", ", \"sparse\": true"},
	{COLLECTION_EVENT, "life_sequence", "{\"_id.life\": 1, \"sequence\": 1}", ""},
	{COLLECTION_EVENT, "instance_sequence", "{\"instance\": 1, \"sequence\": 1}", ""},
	{COLLECTION_OUTBOX, "ids", "{\"ids\": 1}", ", \"unique\": true"},
	{COLLECTION_OUTBOX, "due", "{\"_swm.due\": 1}", ", \"sparse\": true"},
	{COLLECTION_OUTBOX, "parked", "{\"_swm.parked\": 1}", ", \"sparse\": true"},
};

enum {
	COMMAND_MAX = 512
};

#define VERSION_ID "schema"

/* 0: there is none yet. */
static swm_status read_version(
	struct swm_session *session, int64_t *version, struct swm_error *err)
{
	struct docs found = {0};
	bson_t *filter = BCON_NEW("_id", VERSION_ID);
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_VERSION],
		filter, NULL, "read the schema's version", &found, err);

	*version = 0;
	if (status == SWM_OK && found.count > 0 &&
		!find_int64(found.items[0], "version", version)) {
		*version = -1;
	}
	bson_destroy(filter);
	docs_finish(&found);
	return status;
}

static swm_status judge_version(
	const struct swm_store *store, int64_t version, struct swm_error *err)
{
	if (version == STORE_SCHEMA_VERSION) {
		return SWM_OK;
	}
	if (version > STORE_SCHEMA_VERSION || version < 0) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the collections have schema version %lld, this plugin knows up to "
			"%d: use a newer one",
			store->where, (long long)version, STORE_SCHEMA_VERSION);
	}
	return swm_fail(err, SWM_E_CONFIG, 0,
		"%s: there are no collections %s*: run `swm migrate`", store->where,
		store->config->collection_prefix);
}

swm_status store_schema_check(struct swm_session *session, struct swm_error *err)
{
	int64_t version = 0;

	wire_begin(&session->wire);
	swm_status status = read_version(session, &version, err);
	return status == SWM_OK ? judge_version(session->store, version, err) : status;
}

/* Whether the collection has an index of that name. */
static swm_status has_index(struct swm_session *session, const struct index *index, bool *has,
	struct swm_error *err)
{
	bson_error_t error;
	const bson_t *doc = NULL;
	bson_iter_t iter;
	mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(
		session->collections[index->collection], NULL);
	swm_status status = SWM_OK;

	*has = false;
	while (mongoc_cursor_next(cursor, &doc)) {
		if (bson_iter_init_find(&iter, doc, "name") && BSON_ITER_HOLDS_UTF8(&iter) &&
			strcmp(bson_iter_utf8(&iter, NULL), index->name) == 0) {
			*has = true;
		}
	}
	if (mongoc_cursor_error(cursor, &error)) {
		status = wire_failed(
			&session->wire, WIRE_READS, &error, "look for the indexes", err);
	}
	mongoc_cursor_destroy(cursor);
	return status;
}

static swm_status check_indexes(struct swm_session *session, struct swm_error *err)
{
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
		bool has = false;

		wire_begin(&session->wire);
		swm_status status = has_index(session, &indexes[i], &has, err);
		if (status != SWM_OK) {
			return status;
		}
		if (!has) {
			return swm_fail(err, SWM_E_CONFIG, 0,
				"%s: the collection %s has no index %s: run `swm migrate`",
				session->store->where,
				session->store->names[indexes[i].collection], indexes[i].name);
		}
	}
	return SWM_OK;
}

static swm_status make_index(
	struct swm_session *session, const struct index *index, struct swm_error *err)
{
	char text[COMMAND_MAX];
	bson_error_t error;
	bson_t reply;
	int len = snprintf(text, sizeof(text),
		"{\"createIndexes\": \"%s\", \"indexes\": [{\"key\": %s, \"name\": \"%s\"%s}]}",
		session->store->names[index->collection], index->keys, index->name,
		index->options);
	bson_t *command =
		len > 0 ? bson_new_from_json((const uint8_t *)text, len, &error) : NULL;

	if (!command) {
		return swm_fail(err, SWM_E_INTERNAL, 0, "an index that is none: %s", text);
	}
	/* Each may take long in a database that is in use. */
	wire_begin(&session->wire);
	swm_status status = wire_command(&session->wire, session->store->config->database,
		command, WIRE_HARMLESS, "make an index", &reply, err);
	bson_destroy(&reply);
	bson_destroy(command);
	return status;
}

/* Two that do this at once may meet in the insert; then it is there. */
static swm_status write_version(struct swm_session *session, struct swm_error *err)
{
	struct written written;
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_VERSION, true);
	bson_t *filter = BCON_NEW("_id", VERSION_ID);
	bson_t *update =
		BCON_NEW("$max", "{", "version", BCON_INT32(STORE_SCHEMA_VERSION), "}");

	wire_begin(&session->wire);
	mongoc_bulk_operation_update_one(bulk, filter, update, true);
	swm_status status = wire_write(&session->wire, bulk, WIRE_HARMLESS,
		"write the schema's version", &written, err);
	if (status == SWM_OK) {
		status = written_check(
			&session->wire, &written, "write the schema's version", err);
	}
	written_finish(&written);
	bson_destroy(update);
	bson_destroy(filter);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

static swm_status apply(struct swm_session *session, struct swm_error *err)
{
	int64_t version = 0;

	wire_begin(&session->wire);
	swm_status status = read_version(session, &version, err);
	if (status == SWM_OK && (version > STORE_SCHEMA_VERSION || version < 0)) {
		status = judge_version(session->store, version, err);
	}
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]) && status == SWM_OK; i++) {
		status = make_index(session, &indexes[i], err);
	}
	return status == SWM_OK ? write_version(session, err) : status;
}

swm_status store_migrate(
	struct swm_store *store, uint32_t mode, int32_t *schema_version, struct swm_error *err)
{
	struct swm_session *session = NULL;

	if (mode != SWM_MIGRATE_CHECK && mode != SWM_MIGRATE_APPLY) {
		return swm_fail(err, SWM_E_INVALID, 0, "unknown migration mode %u", mode);
	}
	swm_status status = store_connect(store, &session, err);
	if (status != SWM_OK) {
		return status;
	}
	if (mode == SWM_MIGRATE_CHECK) {
		status = store_schema_check(session, err);
		if (status == SWM_OK) {
			status = check_indexes(session, err);
		}
	} else {
		status = apply(session, err);
	}
	store_session_close(session);
	if (status == SWM_OK) {
		*schema_version = STORE_SCHEMA_VERSION;
	}
	return status;
}
