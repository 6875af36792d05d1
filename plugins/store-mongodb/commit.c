/* SPDX-License-Identifier: MIT */

/*
 * The hot path's second call. New instances are inserted, and one that is there already is
 * a conflict. Known ones are updated by their version, many in one command, in which the
 * marks of messages stand as well.
 *
 * The server only says how many of the updates fitted. So each puts the call's token beside
 * the version, and when it is not plain that all have won the documents are asked: a
 * document keeps the tokens of its last versions, so that later commits of others hide
 * nothing. Should even that not tell, the step is in doubt, as after a lost connection.
 *
 * A document that keeps much has its events moved first, and what is left counted.
 *
 * Concurrency: confined to the session's thread; others may commit at the same time.
 */

#include "events.h"
#include "marks.h"
#include "steps.h"

#include "status.h"
#include "store_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct batch {
	struct swm_session *session;
	struct steps steps;
	struct swm_commit *items;
	size_t count;
	swm_status *results; /* of items; PENDING_RESULT until it is known */
	struct marks marks;
	size_t next_mark;
	char why[SWM_ERROR_MESSAGE_MAX]; /* of the last step in doubt */
};

enum {
	PENDING_RESULT = 1
};

/* Some items of a batch, in the order in which they were sent. */
struct sent {
	size_t *items;
	size_t count;
	size_t bytes;
};

static bool fits(const struct sent *sent, size_t bytes)
{
	return sent->count < WIRE_WRITES_MAX &&
	       (sent->count == 0 || sent->bytes + bytes <= WIRE_BYTES_MAX);
}

static void doubt(struct batch *batch, size_t item, const char *why)
{
	batch->results[item] = SWM_E_INDOUBT;
	if (!batch->why[0]) {
		(void)snprintf(batch->why, sizeof(batch->why), "%s", why);
	}
}

/* --- New instances --- */

static swm_status add_insert(
	struct batch *batch, size_t item, mongoc_bulk_operation_t *bulk, struct swm_error *err)
{
	bson_t doc = BSON_INITIALIZER;
	struct put put = {&doc, false};

	step_document(&batch->steps, &batch->items[item], &put);
	if (!put.bad) {
		mongoc_bulk_operation_insert(bulk, &doc);
	}
	bson_destroy(&doc);
	return put.bad ? swm_fail(err, SWM_E_INVALID, 0, "a text of a step is not UTF-8")
		       : SWM_OK;
}

static swm_status judge_inserts(struct batch *batch, const struct sent *sent,
	const struct written *written, struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < sent->count && status == SWM_OK; i++) {
		size_t item = sent->items[i];

		switch (written_fate(written, i)) {
		case WRITE_DONE:
			batch->results[item] = SWM_OK;
			if (written->undurable) {
				doubt(batch, item, "a majority has not confirmed it");
			}
			break;
		case WRITE_DUPLICATE:
			batch->results[item] = SWM_E_CONFLICT;
			/* One that is only waiting to be deleted is in the way no longer. */
			status = store_purge_rest(
				batch->session, batch->items[item].next.id, err);
			break;
		case WRITE_CONFLICT:
			batch->results[item] = SWM_E_CONFLICT;
			break;
		case WRITE_TOO_LARGE:
			batch->results[item] = SWM_E_TOO_LARGE;
			break;
		case WRITE_REFUSED:
		default: {
			struct swm_error why = {0};

			(void)written_check(&batch->session->wire, written, "commit", &why);
			doubt(batch, item, why.message);
			break;
		}
		}
	}
	return status;
}

static swm_status insert_some(
	struct batch *batch, size_t *next, struct sent *sent, struct swm_error *err)
{
	mongoc_bulk_operation_t *bulk = store_bulk(batch->session, COLLECTION_INSTANCE, false);
	struct written written = {.reply = NULL};
	swm_status status = SWM_OK;

	sent->count = sent->bytes = 0;
	for (; *next < batch->count && status == SWM_OK; (*next)++) {
		const struct swm_commit *item = &batch->items[*next];

		if (batch->results[*next] != PENDING_RESULT || item->expected_version != 0) {
			continue;
		}
		if (!fits(sent, step_bytes(item))) {
			break;
		}
		status = add_insert(batch, *next, bulk, err);
		sent->bytes += step_bytes(item);
		sent->items[sent->count++] = *next;
	}
	if (status == SWM_OK && sent->count > 0) {
		status = wire_write(
			&batch->session->wire, bulk, WIRE_COUNTS, "commit", &written, err);
	}
	if (status == SWM_OK && sent->count > 0) {
		status = judge_inserts(batch, sent, &written, err);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

/* --- Known ones --- */

static swm_status add_update(struct batch *batch, size_t item, int64_t kept_max,
	mongoc_bulk_operation_t *bulk, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct put where = {&filter, false}, put = {&update, false};
	swm_status status = SWM_OK;

	step_update(&batch->steps, &batch->items[item], kept_max, &where, &put);
	if (where.bad || put.bad) {
		status = swm_fail(err, SWM_E_INVALID, 0, "a text of a step is not UTF-8");
	} else {
		mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	}
	bson_destroy(&update);
	bson_destroy(&filter);
	return status;
}

/* What the documents of the items that were sent say. */
static swm_status ask(const struct batch *batch, const struct sent *sent, struct docs *found,
	struct swm_error *err)
{
	struct swm_session *session = batch->session;
	bson_t filter = BSON_INITIALIZER, id, ids;
	struct put put = {&ids, false};
	char number[16];

	bson_append_document_begin(&filter, "_id", 3, &id);
	bson_append_array_begin(&id, "$in", 3, &ids);
	for (size_t i = 0; i < sent->count; i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		put_text(&put, key, batch->items[sent->items[i]].next.id);
	}
	bson_append_array_end(&id, &ids);
	bson_append_document_end(&filter, &id);
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), VERSION, BCON_INT32(1),
		TOKENS, BCON_INT32(1), PURGED, BCON_INT32(1), "}");
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_INSTANCE],
		&filter, opts, "read the versions after a commit", found, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

static const bson_t *document_of(const struct docs *found, struct swm_str id)
{
	for (size_t i = 0; i < found->count; i++) {
		bson_iter_t iter;
		struct swm_str own = {NULL, 0};

		if (bson_iter_init_find(&iter, found->items[i], "_id")) {
			own = bytes_of(&iter);
		}
		if (compare_bytes(own, id) == 0) {
			return found->items[i];
		}
	}
	return NULL;
}

/* The token of the commit that was `back` versions ago; false: it is not kept any more. */
static bool token_of(const bson_t *doc, int64_t back, bson_oid_t *token)
{
	bson_iter_t tokens, iter;
	int64_t count = 0;

	if (!find_value(doc, TOKENS, &tokens) || !bson_iter_recurse(&tokens, &iter)) {
		return false;
	}
	while (bson_iter_next(&iter)) {
		count++;
	}
	if (back < 0 || back >= count || !bson_iter_recurse(&tokens, &iter)) {
		return false;
	}
	for (int64_t i = 0; i < count - back; i++) {
		(void)bson_iter_next(&iter);
	}
	if (!BSON_ITER_HOLDS_OID(&iter)) {
		return false;
	}
	bson_oid_copy(bson_iter_oid(&iter), token);
	return true;
}

/* PENDING_RESULT: the version is the right one, so its document keeps too much. */
static swm_status judge_document(
	const struct batch *batch, const struct swm_commit *item, const bson_t *doc)
{
	bson_iter_t purged;
	bson_oid_t token;
	int64_t version = 0;

	if (!doc || find_value(doc, PURGED, &purged) || !find_int64(doc, VERSION, &version) ||
		version < item->expected_version) {
		return SWM_E_CONFLICT;
	}
	if (version == item->expected_version) {
		return PENDING_RESULT;
	}
	if (!token_of(doc, version - item->next.version, &token)) {
		return SWM_E_INDOUBT;
	}
	return bson_oid_equal(&token, &batch->steps.token) ? SWM_OK : SWM_E_CONFLICT;
}

/* `marks`: how many more writes than the items' there were. When there was none the count
 * may tell that all updates have fitted, or that none has. */
static swm_status judge_updates(struct batch *batch, const struct sent *sent,
	const struct written *written, size_t marks, struct swm_error *err)
{
	const bool sure = marks == 0 && written->matched == (int64_t)sent->count;
	const bool lost = marks == 0 && written->matched == 0;
	struct docs found = {0};
	swm_status status = sure ? SWM_OK : ask(batch, sent, &found, err);

	for (size_t i = 0; i < sent->count && status == SWM_OK; i++) {
		size_t at = sent->items[i];
		const struct swm_commit *item = &batch->items[at];
		enum write_fate fate = written_fate(written, i);

		if (fate == WRITE_TOO_LARGE) {
			batch->results[at] = SWM_E_TOO_LARGE;
			continue;
		}
		if (fate == WRITE_CONFLICT) {
			batch->results[at] = SWM_E_CONFLICT;
			continue;
		}
		if (fate != WRITE_DONE) {
			struct swm_error why = {0};

			(void)written_check(&batch->session->wire, written, "commit", &why);
			doubt(batch, at, why.message);
			continue;
		}
		batch->results[at] =
			sure ? SWM_OK
			     : judge_document(batch, item, document_of(&found, item->next.id));
		if (batch->results[at] == SWM_E_INDOUBT && lost) {
			batch->results[at] = SWM_E_CONFLICT;
		} else if (batch->results[at] == SWM_E_INDOUBT) {
			doubt(batch, at, "others have committed too often since");
		} else if (written->undurable &&
			   (batch->results[at] == SWM_OK ||
				   batch->results[at] == PENDING_RESULT)) {
			/* What is read is what a majority has: perhaps not yet this step. */
			doubt(batch, at, "a majority has not confirmed it");
		}
	}
	docs_finish(&found);
	return status;
}

/* Room beside the items for writes of marks. */
static size_t add_marks(struct batch *batch, size_t used, mongoc_bulk_operation_t *bulk)
{
	size_t added = 0;

	while (batch->next_mark < batch->marks.of_instances &&
		used + added + 2 <= WIRE_WRITES_MAX) {
		added += marks_add(&batch->marks, &batch->next_mark, &batch->steps, bulk);
	}
	return added;
}

/* Sends items and marks, as much as goes into one command. */
static swm_status update_some(
	struct batch *batch, size_t *next, struct sent *sent, struct swm_error *err)
{
	mongoc_bulk_operation_t *bulk = store_bulk(batch->session, COLLECTION_INSTANCE, false);
	struct written written = {.reply = NULL};
	swm_status status = SWM_OK;
	size_t marks = 0;

	sent->count = sent->bytes = 0;
	for (; *next < batch->count && status == SWM_OK; (*next)++) {
		const struct swm_commit *item = &batch->items[*next];

		if (batch->results[*next] != PENDING_RESULT || item->expected_version == 0) {
			continue;
		}
		if (!fits(sent, step_bytes(item))) {
			break;
		}
		status = add_update(batch, *next, STORE_KEPT_BYTES_MAX, bulk, err);
		sent->bytes += step_bytes(item);
		sent->items[sent->count++] = *next;
	}
	if (status == SWM_OK) {
		marks = add_marks(batch, sent->count, bulk);
	}
	if (status == SWM_OK && sent->count + marks > 0) {
		status = wire_write(
			&batch->session->wire, bulk, WIRE_COUNTS, "commit", &written, err);
	}
	if (status == SWM_OK && sent->count > 0) {
		status = judge_updates(batch, sent, &written, marks, err);
	}
	if (status == SWM_OK && written.undurable && sent->count == 0) {
		status = swm_fail(err, SWM_E_INDOUBT, 0,
			"%s: cannot settle marks: a majority has not confirmed it",
			batch->session->store->where);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

/* --- Documents that keep much --- */

/* What the rows of a document have been counted as when they came. */
static int64_t row_bytes_of(const bson_t *doc)
{
	bson_iter_t rows, row, bytes;
	int64_t sum = 0;

	if (find_value(doc, ROWS, &rows) && BSON_ITER_HOLDS_DOCUMENT(&rows) &&
		bson_iter_recurse(&rows, &row)) {
		while (bson_iter_next(&row)) {
			if (BSON_ITER_HOLDS_DOCUMENT(&row) && bson_iter_recurse(&row, &bytes) &&
				bson_iter_find(&bytes, "bytes")) {
				sum += bson_iter_as_int64(&bytes);
			}
		}
	}
	return sum;
}

/* What is kept is counted as it comes, events also as they go, but not messages: who settles
 * one does not know its size. So it is counted anew: without events and since this
 * version, the rows of the document can only have become fewer. */
static swm_status count_anew(struct batch *batch, const bson_t *doc, struct swm_error *err)
{
	static const char what[] = "count what an instance keeps";
	struct swm_session *session = batch->session;
	mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_INSTANCE, false);
	bson_t filter = BSON_INITIALIZER, none;
	bson_t *update = BCON_NEW("$set", "{", KEPT, BCON_INT64(row_bytes_of(doc)), "}");
	struct written written = {.matched = 0};
	bson_iter_t id, life;
	int64_t version = 0;
	swm_status status = SWM_OK;

	if (bson_iter_init_find(&id, doc, "_id") && find_value(doc, LIFE, &life) &&
		find_int64(doc, VERSION, &version)) {
		bson_append_iter(&filter, "_id", 3, &id);
		bson_append_iter(&filter, LIFE, -1, &life);
		bson_append_int64(&filter, VERSION, -1, version);
		bson_append_array_begin(&filter, EVENTS, -1, &none);
		bson_append_array_end(&filter, &none);
		mongoc_bulk_operation_update_one(bulk, &filter, update, false);
		status = wire_write(&session->wire, bulk, WIRE_HARMLESS, what, &written, err);
		if (status == SWM_OK) {
			status = written_check(&session->wire, &written, what, err);
		}
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	bson_destroy(update);
	bson_destroy(&filter);
	return status;
}

static swm_status make_room(struct batch *batch, struct swm_str id, struct swm_error *err)
{
	struct swm_session *session = batch->session;
	struct docs found = {0};
	bson_t filter = BSON_INITIALIZER;
	struct put put = {&filter, false};
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), LIFE, BCON_INT32(1),
		VERSION, BCON_INT32(1), EVENTS, BCON_INT32(1), ROWS, BCON_INT32(1), "}",
		"limit", BCON_INT64(1));

	put_text(&put, "_id", id);
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_INSTANCE],
		&filter, opts, "read what an instance keeps", &found, err);
	if (status == SWM_OK) {
		status = events_move(session, &found, err);
	}
	if (status == SWM_OK && found.count > 0) {
		status = count_anew(batch, found.items[0], err);
	}
	docs_finish(&found);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

/* What is still kept after that has to leave room for the step. */
static swm_status update_full(struct batch *batch, size_t item, struct swm_error *err)
{
	mongoc_bulk_operation_t *bulk = store_bulk(batch->session, COLLECTION_INSTANCE, false);
	struct written written = {.reply = NULL};
	struct sent sent = {.items = &item, .count = 1};
	int64_t room = STORE_DOCUMENT_BYTES_MAX - (int64_t)step_bytes(&batch->items[item]);
	swm_status status = make_room(batch, batch->items[item].next.id, err);

	if (status == SWM_OK) {
		status = add_update(batch, item, room, bulk, err);
	}
	if (status == SWM_OK) {
		status = wire_write(
			&batch->session->wire, bulk, WIRE_COUNTS, "commit", &written, err);
	}
	if (status == SWM_OK) {
		status = judge_updates(batch, &sent, &written, 0, err);
	}
	if (status == SWM_OK && batch->results[item] == PENDING_RESULT) {
		batch->results[item] = SWM_E_TOO_LARGE;
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

/* --- The call --- */

static void choose_items(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		batch->results[i] = step_bytes(&batch->items[i]) > STORE_ITEM_BYTES_MAX
					    ? SWM_E_TOO_LARGE
					    : PENDING_RESULT;
	}
}

/* Whether items of that kind are still to be sent. */
static bool are_left(const struct batch *batch, size_t next, bool known)
{
	for (size_t i = next; i < batch->count; i++) {
		if (batch->results[i] == PENDING_RESULT &&
			(batch->items[i].expected_version != 0) == known) {
			return true;
		}
	}
	return false;
}

static swm_status carry_out(struct batch *batch, struct sent *sent, struct swm_error *err)
{
	swm_status status = clock_set(&batch->session->clock, &batch->session->wire, NULL, err);

	batch->steps.earliest_ms = clock_earliest_ms(&batch->session->clock);
	batch->steps.latest_ms = clock_latest_ms(&batch->session->clock);
	for (size_t next = 0; status == SWM_OK && are_left(batch, next, false);) {
		status = insert_some(batch, &next, sent, err);
	}
	for (size_t next = 0;
		status == SWM_OK && (are_left(batch, next, true) ||
					    batch->next_mark < batch->marks.of_instances);) {
		status = update_some(batch, &next, sent, err);
	}
	for (size_t i = 0; i < batch->count && status == SWM_OK; i++) {
		if (batch->results[i] == PENDING_RESULT) {
			status = update_full(batch, i, err);
		}
	}
	return status == SWM_OK
		       ? marks_of_carriers(batch->session, &batch->marks, &batch->steps, err)
		       : status;
}

/* Gives the results out and sums them up. */
static swm_status report(const struct batch *batch, struct swm_error *err)
{
	size_t conflicts = 0, too_large = 0, doubtful = 0;

	for (size_t i = 0; i < batch->count; i++) {
		swm_status result = batch->results[i];

		batch->items[i].result = result;
		conflicts += result == SWM_E_CONFLICT;
		too_large += result == SWM_E_TOO_LARGE;
		doubtful += result == SWM_E_INDOUBT;
	}
	if (doubtful > 0) {
		return swm_fail(err, SWM_E_INDOUBT, 0, "%s: %zu of %zu steps are in doubt: %s",
			batch->session->store->where, doubtful, batch->count, batch->why);
	}
	if (too_large > 0) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"%zu of %zu steps are larger than %d bytes, or would make a document "
			"larger than %d",
			too_large, batch->count, STORE_ITEM_BYTES_MAX,
			STORE_DOCUMENT_BYTES_MAX);
	}
	if (conflicts > 0) {
		return swm_fail(err, SWM_E_CONFLICT, 0,
			"%zu of %zu steps were computed from a version that is not the stored "
			"one",
			conflicts, batch->count);
	}
	return SWM_OK;
}

/* A failure after something may have been done leaves in doubt what is not known. */
static swm_status give_up(struct batch *batch, swm_status status, struct swm_error *err)
{
	if (status != SWM_E_INDOUBT && !batch->session->wire.sent) {
		return status;
	}
	for (size_t i = 0; i < batch->count; i++) {
		batch->items[i].result =
			batch->results[i] == PENDING_RESULT ? SWM_E_INDOUBT : batch->results[i];
	}
	if (err) {
		err->status = SWM_E_INDOUBT;
	}
	return SWM_E_INDOUBT;
}

static swm_status commit(struct batch *batch, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	struct sent sent = {.items = calloc(batch->count + 1, sizeof(*sent.items))};
	swm_status status = SWM_E_NOMEM;

	batch->results = calloc(batch->count + 1, sizeof(*batch->results));
	if (!sent.items || !batch->results) {
		(void)swm_fail(err, status, 0, "out of memory");
	} else {
		choose_items(batch);
		status = marks_sort(marks, mark_count, &batch->marks, err);
		if (status == SWM_OK) {
			status = carry_out(batch, &sent, err);
			status = status == SWM_OK ? report(batch, err)
						  : give_up(batch, status, err);
		}
		marks_finish(&batch->marks);
	}
	free(batch->results);
	free(sent.items);
	return status;
}

swm_status store_commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	struct batch batch = {.session = session, .items = items, .count = count};
	swm_status status =
		swm_store_check_commit(lease_ms, items, count, marks, mark_count, err);

	if (status != SWM_OK || count + mark_count == 0) {
		return status;
	}
	wire_begin(&session->wire);
	batch.steps = steps_begin(session, owner, lease_ms);
	return commit(&batch, marks, mark_count, err);
}
