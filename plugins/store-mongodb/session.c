/* SPDX-License-Identifier: MIT */

/*
 * Sessions: a client of the pool whose server was found good.
 *
 * Concurrency: a session is confined to the thread that opened it.
 */

#include "document.h"
#include "fields.h"
#include "store.h"

#include "status.h"

#include <stdlib.h>

static swm_status check_server(
	const struct swm_store *store, const bson_t *handshake, struct swm_error *err)
{
	int64_t wire_version = 0;

	(void)find_int64(handshake, "maxWireVersion", &wire_version);
	if (wire_version < STORE_WIRE_VERSION_MIN) {
		return swm_fail(err, SWM_E_CONFIG, 0,
			"%s: the server is older than MongoDB 3.6", store->where);
	}
	return SWM_OK;
}

static swm_status shake_hands(struct swm_session *session, struct swm_error *err)
{
	bson_t handshake;

	wire_begin(&session->wire);
	swm_status status = clock_set(&session->clock, &session->wire, &handshake, err);
	if (status != SWM_OK) {
		return status;
	}
	status = check_server(session->store, &handshake, err);
	bson_destroy(&handshake);
	return status;
}

swm_status store_connect(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	struct swm_session *session = calloc(1, sizeof(*session));

	if (!session) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	session->store = store;
	session->wire = (struct wire){.client = mongoc_client_pool_pop(store->pool),
		.where = store->where,
		.timeout_ms = store->timeout_ms};
	if (!session->wire.client) {
		free(session);
		return swm_fail(err, SWM_E_THROTTLED, 0,
			"%s: all clients of the pool are in use", store->where);
	}
	for (size_t i = 0; i < COLLECTION_COUNT; i++) {
		session->collections[i] = mongoc_client_get_collection(
			session->wire.client, store->config->database, store->names[i]);
	}
	swm_status status = SWM_OK;
	if (store->config->body == STORE_BODY_DOCUMENT) {
		session->documents = documents_create(session);
		status = session->documents ? SWM_OK
					    : swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	if (status == SWM_OK) {
		status = shake_hands(session, err);
	}
	if (status != SWM_OK) {
		store_session_close(session);
		return status;
	}
	*out = session;
	return SWM_OK;
}

swm_status store_session_open(
	struct swm_store *store, struct swm_session **out, struct swm_error *err)
{
	struct swm_session *session = NULL;
	swm_status status = store_connect(store, &session, err);

	if (status == SWM_OK) {
		status = store_schema_check(session, err);
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
	for (size_t i = 0; i < COLLECTION_COUNT; i++) {
		mongoc_collection_destroy(session->collections[i]);
	}
	documents_destroy(session->documents);
	mongoc_client_pool_push(session->store->pool, session->wire.client);
	free(session);
}

mongoc_bulk_operation_t *store_bulk(
	struct swm_session *session, enum store_collection collection, bool ordered)
{
	bson_t *opts = BCON_NEW("ordered", BCON_BOOL(ordered));
	mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(
		session->collections[collection], opts);

	bson_destroy(opts);
	return bulk;
}
