/* SPDX-License-Identifier: MIT */

/*
 * The hot path's first call: instances by id, and which events they have seen, in one
 * read transaction, so that both belong to the same version.
 *
 * Concurrency: takes no lock; sees what was committed before it began.
 */

#include "rows.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* What the texts and the body of an instance typically take, so that one piece
	 * of memory serves the batch. */
	TYPICAL_ROW_BYTES = 640
};

/* FNV-1a (RFC draft-eastlake-fnv), 64 bits. A collision costs a look by id. */
static uint64_t hash_of(struct swm_str id)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < id.len; i++) {
		hash = (hash ^ (unsigned char)id.ptr[i]) * UINT64_C(0x100000001b3);
	}
	return hash;
}

void store_hint_put(struct swm_session *session, struct swm_str id, int64_t number)
{
	uint64_t hash = hash_of(id);

	session->hints[hash % STORE_HINTS] = (struct store_hint){hash, number};
}

int64_t store_hint_get(const struct swm_session *session, struct swm_str id)
{
	uint64_t hash = hash_of(id);
	const struct store_hint *hint = &session->hints[hash % STORE_HINTS];

	return hint->hash == hash ? hint->number : 0;
}

/* What is found, before all of it is: the caller's items stay as they are until then. */
struct found {
	struct swm_session *session;
	struct arena *arena;
	struct swm_instance_row *rows; /* one for each item; without an id: none */
	uint8_t *seen;                 /* of all items, one after the other */
};

static swm_status load_instance(struct found *found, const struct swm_load *item,
	struct swm_instance_row *out, int64_t *number, bool *exists, struct swm_error *err)
{
	struct params params = params_of(found->session, STMT_INSTANCE_LOAD);

	put_text(&params, item->id);
	swm_status status = next_row(&params, "load an instance", exists, err);
	if (!*exists) {
		return status;
	}
	struct columns columns = columns_of(&params, found->arena);
	*number = take_int(&columns);
	store_hint_put(found->session, item->id, *number);
	take_instance_without_body(&columns, out);
	if (item->have_version == 0 || out->version != item->have_version) {
		out->body = take_bytes(&columns);
	}
	finish(&params);
	if (columns.status != SWM_OK) {
		return columns_failed(found->session, columns.status, err);
	}
	return SWM_OK;
}

static swm_status look_for_event(struct swm_session *session, int64_t instance,
	struct swm_str id, uint8_t *seen, struct swm_error *err)
{
	struct params params = params_of(session, STMT_EVENT_SEEN);
	bool row = false;

	put_int(&params, instance);
	put_text(&params, id);
	swm_status status = next_row(&params, "look for an event", &row, err);
	if (row) {
		*seen = 1;
		finish(&params);
	}
	return status;
}

static swm_status load_items(
	struct found *found, const struct swm_load *items, size_t count, struct swm_error *err)
{
	uint8_t *seen = found->seen;
	swm_status status = SWM_OK;

	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		const struct swm_load *item = &items[i];
		int64_t number = 0;
		bool exists = false;

		status = load_instance(found, item, &found->rows[i], &number, &exists, err);
		for (size_t k = 0; exists && k < item->event_count && status == SWM_OK; k++) {
			status = look_for_event(
				found->session, number, item->event_ids[k], &seen[k], err);
		}
		seen += item->event_count;
	}
	return status;
}

static bool prepare_found(struct found *found, const struct swm_load *items, size_t count)
{
	size_t events = 0;

	for (size_t i = 0; i < count; i++) {
		events += items[i].event_count;
	}
	found->arena =
		arena_create(events + 64 + count * (sizeof(*found->rows) + TYPICAL_ROW_BYTES));
	if (!found->arena) {
		return false;
	}
	found->rows = arena_alloc(found->arena, count * sizeof(*found->rows));
	found->seen = arena_alloc(found->arena, events);
	return found->rows && found->seen;
}

static void hand_over(
	struct found *found, struct swm_load *items, size_t count, struct swm_set *backing)
{
	const uint8_t *seen = found->seen;

	for (size_t i = 0; i < count; i++) {
		const struct swm_instance_row *row = &found->rows[i];

		items[i].instance = row->id.ptr ? row : NULL;
		if (items[i].event_count > 0) {
			memcpy(items[i].seen, seen, items[i].event_count);
		}
		seen += items[i].event_count;
	}
	arena_give(found->arena, backing, found->rows, count);
}

swm_status store_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	struct found found = {.session = session};

	for (size_t i = 0; i < count; i++) {
		if (!items[i].id.ptr) {
			return swm_fail(err, SWM_E_INVALID, 0, "an instance without an id");
		}
	}
	if (!prepare_found(&found, items, count)) {
		arena_destroy(found.arena);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_status status = swm_db_read_begin(&session->db, err);
	if (status == SWM_OK) {
		status = load_items(&found, items, count, err);
		swm_db_read_end(&session->db);
	}
	if (status != SWM_OK) {
		arena_destroy(found.arena);
		return status;
	}
	hand_over(&found, items, count, backing);
	return SWM_OK;
}
