/* SPDX-License-Identifier: MIT */

/* Marks as writes; see marks.h. Concurrency: no state. */

#include "marks.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

/* --- In what order --- */

/* Those of no instance last, and of one instance those that are SENT first. */
static int by_instance(const void *a, const void *b)
{
	const struct swm_outbox_mark *const *left = a, *const *right = b;
	bool one = (*left)->instance_id.ptr != NULL, other = (*right)->instance_id.ptr != NULL;

	if (one != other) {
		return one ? -1 : 1;
	}
	int order = compare_bytes((*left)->instance_id, (*right)->instance_id);
	return order != 0 ? order
			  : ((*left)->action > (*right)->action) -
				    ((*left)->action < (*right)->action);
}

swm_status marks_sort(const struct swm_outbox_mark *marks, size_t count, struct marks *out,
	struct swm_error *err)
{
	*out = (struct marks){.items = calloc(count + 1, sizeof(void *)), .count = count};
	if (!out->items) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < count; i++) {
		out->items[i] = &marks[i];
		out->of_instances += marks[i].instance_id.ptr != NULL;
	}
	if (count > 1) {
		qsort(out->items, count, sizeof(void *), by_instance);
	}
	return SWM_OK;
}

void marks_finish(struct marks *marks)
{
	free(marks->items);
	*marks = (struct marks){0};
}

/* --- Those of instances --- */

enum {
	/* Rows that one write removes. */
	TOGETHER_MAX = 200,
	/* Of each, at least one session is through. */
	REMOVAL_TRIES = 16
};

static void unset_row(bson_t *unset, struct swm_str id)
{
	const struct row_key key = row_key_of(id);

	bson_append_utf8(unset, path_of(ROWS, &key, NULL).text, -1, "", 0);
	bson_append_utf8(unset, path_of(PAYLOADS, &key, NULL).text, -1, "", 0);
}

static bool same_group(const struct swm_outbox_mark *a, const struct swm_outbox_mark *b)
{
	return b->action == SWM_MARK_SENT && compare_bytes(a->instance_id, b->instance_id) == 0;
}

static bool same_row(const struct swm_outbox_mark *a, const struct swm_outbox_mark *b)
{
	return compare_bytes(a->id, b->id) == 0;
}

/* Whether a mark before it, in the same write, is of the same row. */
static bool is_repeated(const struct marks *marks, size_t first, size_t at)
{
	for (size_t i = first; i < at; i++) {
		if (same_row(marks->items[i], marks->items[at])) {
			return true;
		}
	}
	return false;
}

/* The rows are gone; when they were the last ones, nothing is due in that document. */
static size_t add_sent(const struct marks *marks, size_t *next, mongoc_bulk_operation_t *bulk)
{
	const size_t first = *next;
	const struct swm_outbox_mark *mark = marks->items[first];
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, unset, nothing;
	struct put put = {&filter, false};
	bson_t *forget = BCON_NEW("$unset", "{", DUE, "", PARKED, "", "}");

	put_text(&put, "_id", mark->instance_id);
	bson_append_document_begin(&update, "$unset", -1, &unset);
	for (; *next < marks->of_instances && *next - first < TOGETHER_MAX &&
		same_group(mark, marks->items[*next]);
		(*next)++) {
		if (!is_repeated(marks, first, *next)) {
			unset_row(&unset, marks->items[*next]->id);
		}
	}
	bson_append_document_end(&update, &unset);
	mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	bson_append_document_begin(&filter, ROWS, -1, &nothing);
	bson_append_document_end(&filter, &nothing);
	mongoc_bulk_operation_update_one(bulk, &filter, forget, false);
	bson_destroy(forget);
	bson_destroy(&update);
	bson_destroy(&filter);
	return 2;
}

/* Only while the lease is the owner's and lasts. */
static void put_lease_filter(
	bson_t *filter, const struct row_key *key, const struct steps *steps)
{
	struct put put = {filter, false};
	bson_t after;

	put_bytes(&put, path_of(ROWS, key, "owner").text, steps->owner);
	bson_append_document_begin(filter, path_of(ROWS, key, "until").text, -1, &after);
	bson_append_date_time(&after, "$gt", -1, steps->earliest_ms);
	bson_append_document_end(filter, &after);
	bson_append_int32(filter, path_of(ROWS, key, "state").text, -1, SWM_OUTBOX_PENDING);
}

static void put_settled(
	struct put *update, const struct swm_outbox_mark *mark, const struct steps *steps)
{
	const struct row_key key = row_key_of(mark->id);
	bool dead = mark->action == SWM_MARK_DEAD;
	int64_t at_ms = mark->delay_ms == 0 ? steps->earliest_ms
					    : steps_after(steps->latest_ms, mark->delay_ms);
	bson_t child;
	struct put set = {&child, false};

	bson_append_document_begin(update->bson, "$set", -1, &child);
	bson_append_int32(&child, path_of(ROWS, &key, "state").text, -1,
		dead ? SWM_OUTBOX_DEAD : SWM_OUTBOX_PENDING);
	bson_append_date_time(&child, path_of(ROWS, &key, "until").text, -1, 0);
	put_text(&set, path_of(ROWS, &key, "reason").text, mark->reason);
	if (dead) {
		bson_append_bool(&child, PARKED, -1, true);
	} else {
		bson_append_date_time(&child, path_of(ROWS, &key, "due").text, -1, at_ms);
		bson_append_date_time(&child, path_of(ROWS, &key, "at").text, -1, at_ms);
	}
	bson_append_document_end(update->bson, &child);
	bson_append_document_begin(update->bson, "$unset", -1, &child);
	bson_append_utf8(&child, path_of(ROWS, &key, "owner").text, -1, "", 0);
	if (!mark->reason.ptr) {
		bson_append_utf8(&child, path_of(ROWS, &key, "reason").text, -1, "", 0);
	}
	if (dead) {
		bson_append_utf8(&child, path_of(ROWS, &key, "at").text, -1, "", 0);
	}
	bson_append_document_end(update->bson, &child);
	BCON_APPEND(update->bson, "$inc", "{", REV, BCON_INT64(1), "}");
	if (!dead) {
		BCON_APPEND(update->bson, "$min", "{", DUE, BCON_DATE_TIME(at_ms), "}");
	}
	update->bad = update->bad || set.bad;
}

/* A row that is put off or parked. Nobody holds it when there is no owner. */
static size_t add_settled(const struct swm_outbox_mark *mark, const struct steps *steps,
	mongoc_bulk_operation_t *bulk)
{
	const struct row_key key = row_key_of(mark->id);
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct put put = {&filter, false}, change = {&update, false};

	if (!steps->owner.ptr) {
		return 0;
	}
	put_text(&put, mark->instance_id.ptr ? "_id" : IDS,
		mark->instance_id.ptr ? mark->instance_id : mark->id);
	put_lease_filter(&filter, &key, steps);
	put_settled(&change, mark, steps);
	mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	bson_destroy(&update);
	bson_destroy(&filter);
	return 1;
}

size_t marks_add(const struct marks *marks, size_t *next, const struct steps *steps,
	mongoc_bulk_operation_t *bulk)
{
	const struct swm_outbox_mark *mark = marks->items[*next];

	if (mark->action == SWM_MARK_SENT) {
		return add_sent(marks, next, bulk);
	}
	(*next)++;
	return add_settled(mark, steps, bulk);
}

/* --- Those of carriers --- */

/* Runs deletions or updates; *done counts them. The bulk is destroyed. */
static swm_status run_removal(struct swm_session *session, mongoc_bulk_operation_t *bulk,
	enum wire_effect effect, size_t *done, struct swm_error *err)
{
	static const char what[] = "remove messages from the outbox";
	struct written written;
	swm_status status = wire_write(&session->wire, bulk, effect, what, &written, err);

	if (status == SWM_OK) {
		*done += (size_t)(written.removed + written.matched);
		status = written_check(&session->wire, &written, what, err);
	}
	if (status == SWM_OK && written.undurable) {
		status = swm_fail(err, SWM_E_INDOUBT, 0,
			"%s: cannot %s: a majority has not confirmed it", session->store->where,
			what);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

/* What is to be removed of one carrier; nearly all have one row. */
struct removal {
	const bson_t *doc;
	const struct swm_str *ids; /* that are asked for */
	size_t count;
	bool dead_only;
	size_t rows;   /* that the carrier has */
	size_t chosen; /* of these */
};

static bool is_asked_for(const struct removal *removal, struct swm_str id)
{
	bool found = false;

	for (size_t i = 0; i < removal->count && !found; i++) {
		found = compare_bytes(removal->ids[i], id) == 0;
	}
	if (found && removal->dead_only) {
		const struct row_key key = row_key_of(id);
		int64_t state = SWM_OUTBOX_PENDING;

		found = find_int64(removal->doc, path_of(ROWS, &key, "state").text, &state) &&
			state == SWM_OUTBOX_DEAD;
	}
	return found;
}

/* Appends to a filter that the carrier is as it was read, so that it never is left without
 * rows, and to an update what leaves it. */
static void put_removal(struct removal *removal, bson_t *filter, bson_t *update)
{
	bson_t unset, pull, in, list, size;
	bson_iter_t ids, id;
	struct put put = {&list, false};
	char number[16];

	bson_append_document_begin(update, "$unset", -1, &unset);
	bson_t pulled = BSON_INITIALIZER;
	bson_append_document_begin(&pulled, IDS, -1, &in);
	bson_append_array_begin(&in, "$in", -1, &list);
	if (bson_iter_init_find(&ids, removal->doc, IDS) && bson_iter_recurse(&ids, &id)) {
		for (; bson_iter_next(&id); removal->rows++) {
			struct swm_str own = bytes_of(&id);
			const struct row_key key = row_key_of(own);
			const char *at = NULL;

			if (!is_asked_for(removal, own)) {
				continue;
			}
			unset_row(&unset, own);
			bson_uint32_to_string(
				(uint32_t)removal->chosen++, &at, number, sizeof(number));
			put_text(&put, at, own);
			if (removal->dead_only) {
				bson_append_int32(filter, path_of(ROWS, &key, "state").text, -1,
					SWM_OUTBOX_DEAD);
			}
		}
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(&pulled, &in);
	bson_append_document_end(update, &unset);
	bson_append_document_begin(update, "$pull", -1, &pull);
	bson_concat(&pull, &pulled);
	bson_append_document_end(update, &pull);
	bson_append_document_begin(filter, IDS, -1, &size);
	bson_append_int64(&size, "$size", -1, (int64_t)removal->rows);
	bson_append_document_end(filter, &size);
	bson_destroy(&pulled);
}

/* Adds the write; false: the carrier has none of the rows. */
static bool add_removal(struct removal *removal, mongoc_bulk_operation_t *bulk)
{
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER;
	bson_iter_t id;

	if (bson_iter_init_find(&id, removal->doc, "_id")) {
		bson_append_iter(&filter, "_id", 3, &id);
	}
	put_removal(removal, &filter, &update);
	if (removal->chosen > 0 && removal->chosen == removal->rows) {
		mongoc_bulk_operation_remove_one(bulk, &filter);
	} else if (removal->chosen > 0) {
		mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	}
	bson_destroy(&update);
	bson_destroy(&filter);
	return removal->chosen > 0;
}

static swm_status find_carriers(struct swm_session *session, const struct swm_str *ids,
	size_t count, bool with_rows, struct docs *docs, struct swm_error *err)
{
	bson_t filter = BSON_INITIALIZER, any, in, list;
	struct put put = {&list, false};
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), IDS, BCON_INT32(1),
		with_rows ? ROWS : REV, BCON_INT32(1), "}");
	char number[16];

	/* With $elemMatch a document of many ids is looked at once, not once for each. */
	bson_append_document_begin(&filter, IDS, -1, &any);
	bson_append_document_begin(&any, "$elemMatch", -1, &in);
	bson_append_array_begin(&in, "$in", -1, &list);
	for (size_t i = 0; i < count; i++) {
		const char *key = NULL;

		bson_uint32_to_string((uint32_t)i, &key, number, sizeof(number));
		put_text(&put, key, ids[i]);
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(&any, &in);
	bson_append_document_end(&filter, &any);
	swm_status status = wire_find(&session->wire, session->collections[COLLECTION_OUTBOX],
		&filter, opts, "look for messages", docs, err);
	bson_destroy(opts);
	bson_destroy(&filter);
	return status;
}

/* One command for each carrier, since its answer tells how many rows it was; there are as
 * many as people name, or as a batch has put off. *again: another session was in between. */
static swm_status remove_found(struct swm_session *session, const struct docs *docs,
	struct removal removal, size_t *removed, bool *again, struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < docs->count && status == SWM_OK; i++) {
		mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_OUTBOX, false);
		size_t done = 0;

		removal.doc = docs->items[i];
		removal.rows = removal.chosen = 0;
		if (!add_removal(&removal, bulk)) {
			mongoc_bulk_operation_destroy(bulk);
			continue;
		}
		status = run_removal(session, bulk, WIRE_HARMLESS, &done, err);
		*removed += done > 0 ? removal.chosen : 0;
		*again = *again || done == 0;
	}
	return status;
}

/* The same in one command, when nobody asks how many. */
static swm_status remove_quickly(struct swm_session *session, const struct docs *docs,
	struct removal removal, bool *again, struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < docs->count && status == SWM_OK;) {
		mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_OUTBOX, false);
		size_t added = 0, done = 0;

		for (; i < docs->count && added < WIRE_WRITES_MAX; i++) {
			removal.doc = docs->items[i];
			removal.rows = removal.chosen = 0;
			added += add_removal(&removal, bulk);
		}
		if (added == 0) {
			mongoc_bulk_operation_destroy(bulk);
			break;
		}
		status = run_removal(session, bulk, WIRE_COUNTS, &done, err);
		*again = *again || done < added;
	}
	return status;
}

swm_status carriers_remove(struct swm_session *session, const struct swm_str *ids, size_t count,
	bool dead_only, size_t *removed, struct swm_error *err)
{
	const struct removal removal = {.ids = ids, .count = count, .dead_only = dead_only};
	swm_status status = SWM_OK;
	bool again = count > 0;
	size_t total = 0;

	for (int i = 0; i < REMOVAL_TRIES && again && status == SWM_OK; i++) {
		struct docs docs = {0};

		again = false;
		status = find_carriers(session, ids, count, dead_only, &docs, err);
		if (status == SWM_OK && dead_only) {
			status = remove_found(session, &docs, removal, &total, &again, err);
		} else if (status == SWM_OK) {
			status = remove_quickly(session, &docs, removal, &again, err);
		}
		docs_finish(&docs);
	}
	if (status == SWM_OK && removed) {
		*removed = total;
	}
	return status;
}

static swm_status settle_carriers(struct swm_session *session, const struct marks *marks,
	const struct steps *steps, struct swm_error *err)
{
	static const char what[] = "put messages off";
	swm_status status = SWM_OK;

	for (size_t i = marks->of_instances; i < marks->count && status == SWM_OK;) {
		mongoc_bulk_operation_t *bulk = store_bulk(session, COLLECTION_OUTBOX, false);
		struct written written = {.reply = NULL};
		size_t added = 0;

		for (; i < marks->count && added < WIRE_WRITES_MAX; i++) {
			if (marks->items[i]->action != SWM_MARK_SENT) {
				added += add_settled(marks->items[i], steps, bulk);
			}
		}
		if (added > 0) {
			status = wire_write(
				&session->wire, bulk, WIRE_COUNTS, what, &written, err);
		}
		if (status == SWM_OK && added > 0) {
			status = written_check(&session->wire, &written, what, err);
		}
		if (status == SWM_OK && written.undurable) {
			status = swm_fail(err, SWM_E_INDOUBT, 0,
				"%s: cannot %s: a majority has not confirmed it",
				session->store->where, what);
		}
		written_finish(&written);
		mongoc_bulk_operation_destroy(bulk);
	}
	return status;
}

swm_status marks_of_carriers(struct swm_session *session, const struct marks *marks,
	const struct steps *steps, struct swm_error *err)
{
	size_t count = marks->count - marks->of_instances, sent = 0;
	swm_status status = SWM_OK;

	if (count == 0) {
		return SWM_OK;
	}
	struct swm_str *ids = calloc(count, sizeof(*ids));
	if (!ids) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = marks->of_instances; i < marks->count; i++) {
		if (marks->items[i]->action == SWM_MARK_SENT) {
			ids[sent++] = marks->items[i]->id;
		}
	}
	status = carriers_remove(session, ids, sent, false, NULL, err);
	free(ids);
	return status == SWM_OK ? settle_carriers(session, marks, steps, err) : status;
}
