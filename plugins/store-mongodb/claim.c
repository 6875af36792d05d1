/* SPDX-License-Identifier: MIT */

/*
 * Giving out rows that are due and leased to nobody.
 *
 * Every document that owes something says when its first row can be claimed, or an earlier
 * time: adding a row lowers that bound in the same update, while leasing and removing rows
 * leaves it. So a walk through the documents in the order of their bounds misses no row,
 * and a bound that turns out too early is raised on the way, unless a row has come since.
 *
 * A claim is one update of one document, which fits only while the row still can be
 * claimed; many are sent in one command, and those that have won bear the claim's token.
 *
 * Concurrency: any number of sessions may claim at the same time.
 */

#include "sets.h"
#include "steps.h"

#include "status.h"
#include "store_rules.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW_MIN = 32,
	/* Each pass but the last claims rows or raises bounds. */
	PASSES_MAX = 8,
	/* Rows that others have just taken: it is not known for how long. */
	TAKEN_MS = 100,
	PLACES = 2
};

static const enum store_collection places[PLACES] = {COLLECTION_INSTANCE, COLLECTION_OUTBOX};

/* What a pass has found in one collection. */
struct window {
	struct docs docs;
	struct found_rows rows;
	int64_t horizon_ms; /* what is not in the window cannot be claimed before */
	size_t raised;      /* bounds that were too early */
};

struct claim {
	struct swm_session *session;
	struct swm_str owner;
	int64_t lease_ms;
	uint32_t limit;
	int64_t now_ms;
	int64_t next_ms; /* at the server; INT64_MAX: never */
	char token[25];
	struct docs docs; /* of the rows that were won */
	size_t won;
};

static swm_status look(struct claim *claim, size_t place, struct window *window, uint32_t room,
	struct swm_error *err)
{
	struct swm_session *session = claim->session;
	bson_t *filter = BCON_NEW(DUE, "{", "$gt", BCON_DATE_TIME(0), "}");
	bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS, BCON_INT32(1),
		DUE, BCON_INT32(1), REV, BCON_INT32(1), "}", "sort", "{", DUE, BCON_INT32(1),
		"}", "limit", BCON_INT64(room));
	swm_status status = wire_find(&session->wire, session->collections[places[place]],
		filter, opts, "look for messages that are due", &window->docs, err);

	for (size_t i = 0; i < window->docs.count && status == SWM_OK; i++) {
		status = found_rows_add(&window->rows, window->docs.items[i], err);
	}
	window->horizon_ms = INT64_MAX;
	if (status == SWM_OK && window->docs.count == room &&
		!find_time(window->docs.items[room - 1], DUE, &window->horizon_ms)) {
		status = set_corrupt(err);
	}
	bson_destroy(opts);
	bson_destroy(filter);
	return status;
}

/* When the first row of a document can be claimed; INT64_MAX: none ever. */
static int64_t first_at(const struct window *window, const bson_t *doc)
{
	int64_t first_ms = INT64_MAX;

	for (size_t i = 0; i < window->rows.count; i++) {
		const struct found_row *row = &window->rows.items[i];

		if (row->doc == doc && row->at_ms > 0 && row->at_ms < first_ms) {
			first_ms = row->at_ms;
		}
	}
	return first_ms;
}

static void append_id(bson_t *filter, const bson_t *doc)
{
	bson_iter_t id;

	if (bson_iter_init_find(&id, doc, "_id")) {
		bson_append_iter(filter, "_id", 3, &id);
	}
}

/* Raises a document's bound to what its rows say, unless one has come since. */
static size_t add_bound(
	const struct window *window, const bson_t *doc, mongoc_bulk_operation_t *bulk)
{
	int64_t bound_ms = 0, rev = 0, first_ms = first_at(window, doc);
	bson_t filter = BSON_INITIALIZER;
	bson_t *update = NULL;

	if (!find_time(doc, DUE, &bound_ms) || !find_int64(doc, REV, &rev) ||
		first_ms == bound_ms) {
		return 0;
	}
	append_id(&filter, doc);
	bson_append_int64(&filter, REV, -1, rev);
	update = first_ms == INT64_MAX
			 ? BCON_NEW("$unset", "{", DUE, "", "}")
			 : BCON_NEW("$set", "{", DUE, BCON_DATE_TIME(first_ms), "}");
	mongoc_bulk_operation_update_one(bulk, &filter, update, false);
	bson_destroy(update);
	bson_destroy(&filter);
	return 1;
}

/* The rows of one document are claimed together or not at all: every write is one of the
 * whole document. */
static size_t add_claim(const struct claim *claim, const bson_t *doc,
	struct found_row *const *rows, size_t count, mongoc_bulk_operation_t *bulk)
{
	int64_t until_ms =
		steps_after(clock_latest_ms(&claim->session->clock), claim->lease_ms);
	bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set, claims;
	struct put put = {&set, false};
	size_t added = 0;

	append_id(&filter, doc);
	bson_append_document_begin(&update, "$set", -1, &set);
	for (size_t i = 0; i < count; i++) {
		const struct row_key *key = &rows[i]->key;

		if (rows[i]->doc != doc) {
			continue;
		}
		bson_append_date_time(
			&filter, path_of(ROWS, key, "at").text, -1, rows[i]->at_ms);
		bson_append_date_time(&set, path_of(ROWS, key, "at").text, -1, until_ms);
		bson_append_date_time(&set, path_of(ROWS, key, "until").text, -1, until_ms);
		put_bytes(&put, path_of(ROWS, key, "owner").text, claim->owner);
		bson_append_utf8(&set, path_of(ROWS, key, "claim").text, -1, claim->token, -1);
		added++;
	}
	bson_append_document_end(&update, &set);
	bson_append_document_begin(&update, "$inc", -1, &claims);
	for (size_t i = 0; i < count; i++) {
		if (rows[i]->doc == doc) {
			bson_append_int64(
				&claims, path_of(ROWS, &rows[i]->key, "claims").text, -1, 1);
		}
	}
	bson_append_document_end(&update, &claims);
	if (added > 0) {
		mongoc_bulk_operation_update_one(bulk, &filter, &update, false);
	}
	bson_destroy(&update);
	bson_destroy(&filter);
	return added > 0 ? 1 : 0;
}

/* --- Which rows --- */

static int earliest_first(const void *a, const void *b)
{
	const struct found_row *const *left = a, *const *right = b;
	int64_t one = (*left)->row.due_ms, other = (*right)->row.due_ms;

	return (one > other) - (one < other);
}

static int claimable_first(const void *a, const void *b)
{
	const struct found_row *const *left = a, *const *right = b;
	int64_t one = (*left)->at_ms, other = (*right)->at_ms;

	return one != other ? (one > other) - (one < other) : earliest_first(a, b);
}

/* The rows of all windows that can be claimed now and are certainly the first ones. */
static struct found_row **choose(
	const struct claim *claim, const struct window *windows, size_t *count)
{
	size_t total = 0;
	int64_t until_ms = claim->now_ms;

	for (size_t i = 0; i < PLACES; i++) {
		total += windows[i].rows.count;
		until_ms = windows[i].horizon_ms < until_ms ? windows[i].horizon_ms : until_ms;
	}
	struct found_row **rows = calloc(total + 1, sizeof(void *));
	*count = 0;
	if (!rows) {
		return NULL;
	}
	for (size_t i = 0; i < PLACES; i++) {
		for (size_t k = 0; k < windows[i].rows.count; k++) {
			struct found_row *row = &windows[i].rows.items[k];

			row->place = i;
			if (row->at_ms > 0 && row->at_ms <= until_ms) {
				rows[(*count)++] = row;
			}
		}
	}
	if (*count > 1) {
		qsort(rows, *count, sizeof(void *), claimable_first);
	}
	if (*count > claim->limit - claim->won) {
		*count = claim->limit - claim->won;
	}
	return rows;
}

/* The earliest of what is left after these have been taken. */
static void note_next(struct claim *claim, const struct window *windows,
	struct found_row *const *taken, size_t count)
{
	claim->next_ms = INT64_MAX;
	for (size_t i = 0; i < PLACES; i++) {
		const struct window *window = &windows[i];

		if (window->horizon_ms < claim->next_ms) {
			claim->next_ms = window->horizon_ms;
		}
		for (size_t k = 0; k < window->rows.count; k++) {
			const struct found_row *row = &window->rows.items[k];
			bool is_taken = false;

			for (size_t t = 0; t < count && !is_taken; t++) {
				is_taken = taken[t] == row;
			}
			if (!is_taken && row->at_ms > 0 && row->at_ms < claim->next_ms) {
				claim->next_ms = row->at_ms;
			}
		}
	}
}

/* --- Taking them --- */

static swm_status take(struct claim *claim, size_t place, struct window *window,
	struct found_row *const *rows, size_t count, struct swm_error *err)
{
	struct swm_session *session = claim->session;
	mongoc_bulk_operation_t *bulk = store_bulk(session, places[place], false);
	struct written written = {.reply = NULL};
	swm_status status = SWM_OK;
	size_t writes = 0;

	for (size_t i = 0; i < window->docs.count && writes < WIRE_WRITES_MAX; i++) {
		writes += add_claim(claim, window->docs.items[i], rows, count, bulk);
	}
	for (size_t i = 0; i < window->docs.count && writes + window->raised < WIRE_WRITES_MAX;
		i++) {
		window->raised += add_bound(window, window->docs.items[i], bulk);
	}
	if (writes + window->raised > 0) {
		/* Whether a lease was given does not matter: nobody sends, it ends. */
		status = wire_write(
			&session->wire, bulk, WIRE_HARMLESS, "claim messages", &written, err);
	}
	if (status == SWM_OK && written.reply) {
		status = written_check(&session->wire, &written, "claim messages", err);
	}
	written_finish(&written);
	mongoc_bulk_operation_destroy(bulk);
	return status;
}

/* Reads the documents of claimed rows again, with what they send. */
static swm_status read_won(struct claim *claim, size_t place, struct found_row *const *rows,
	size_t count, struct swm_error *err)
{
	struct swm_session *session = claim->session;
	bson_t filter = BSON_INITIALIZER, in, list;
	const bson_t *last = NULL;
	uint32_t asked = 0;
	char number[16];
	swm_status status = SWM_OK;

	bson_append_document_begin(&filter, "_id", 3, &in);
	bson_append_array_begin(&in, "$in", 3, &list);
	for (size_t i = 0; rows && i < count; i++) {
		const char *key = NULL;
		bson_iter_t id;

		if (rows[i]->place == place && rows[i]->doc != last &&
			bson_iter_init_find(&id, rows[i]->doc, "_id")) {
			bson_uint32_to_string(asked++, &key, number, sizeof(number));
			bson_append_iter(&list, key, -1, &id);
			last = rows[i]->doc;
		}
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(&filter, &in);
	if (asked > 0) {
		bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), ROWS,
			BCON_INT32(1), PAYLOADS, BCON_INT32(1), "}");

		status = wire_find(&session->wire, session->collections[places[place]], &filter,
			opts, "read claimed messages", &claim->docs, err);
		bson_destroy(opts);
	}
	bson_destroy(&filter);
	return status;
}

/* Those that bear the token, wherever they are among the documents that were read. */
static swm_status find_won(
	const struct claim *claim, struct found_rows *rows, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t kept = 0;

	for (size_t i = 0; i < claim->docs.count && status == SWM_OK; i++) {
		status = found_rows_add(rows, claim->docs.items[i], err);
	}
	for (size_t i = 0; i < rows->count && status == SWM_OK; i++) {
		struct swm_str token = rows->items[i].claim;
		bool won = token.len == sizeof(claim->token) - 1 &&
			   memcmp(token.ptr, claim->token, token.len) == 0;
		bool again = false;

		for (size_t k = 0; k < kept && won && !again; k++) {
			again = strcmp(rows->items[k].key.text, rows->items[i].key.text) == 0;
		}
		if (won && !again) {
			rows->items[kept++] = rows->items[i];
		}
	}
	rows->count = status == SWM_OK ? kept : rows->count;
	return status;
}

static swm_status count_won(struct claim *claim, struct swm_error *err)
{
	struct found_rows rows = {0};
	swm_status status = find_won(claim, &rows, err);

	claim->won = rows.count;
	found_rows_finish(&rows);
	return status;
}

/* *again: there may be more that can be claimed now. */
static swm_status pass(struct claim *claim, bool *again, struct swm_error *err)
{
	struct window windows[PLACES] = {{.horizon_ms = 0}};
	uint32_t room = claim->limit + 1 > WINDOW_MIN ? claim->limit + 1 : WINDOW_MIN;
	swm_status status = SWM_OK;
	size_t count = 0, before = claim->won, raised = 0;
	struct found_row **rows = NULL;

	claim->now_ms = clock_earliest_ms(&claim->session->clock);
	for (size_t i = 0; i < PLACES && status == SWM_OK; i++) {
		status = look(claim, i, &windows[i], room, err);
	}
	if (status == SWM_OK) {
		rows = choose(claim, windows, &count);
		status = rows ? SWM_OK : swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < PLACES && status == SWM_OK; i++) {
		status = take(claim, i, &windows[i], rows, count, err);
		raised += windows[i].raised;
	}
	for (size_t i = 0; i < PLACES && status == SWM_OK; i++) {
		status = read_won(claim, i, rows, count, err);
	}
	if (status == SWM_OK) {
		note_next(claim, windows, rows, count);
		status = count_won(claim, err);
	}
	if (status == SWM_OK && claim->won < before + count &&
		claim->now_ms + TAKEN_MS < claim->next_ms) {
		claim->next_ms = claim->now_ms + TAKEN_MS;
	}
	*again = claim->won < claim->limit && claim->next_ms <= claim->now_ms &&
		 (claim->won > before || raised > 0);
	for (size_t i = 0; i < PLACES; i++) {
		found_rows_finish(&windows[i].rows);
		docs_finish(&windows[i].docs);
	}
	free(rows);
	return status;
}

static swm_status hand_over(struct claim *claim, struct swm_set *out, struct swm_error *err)
{
	struct found_rows rows = {0};
	swm_status status = find_won(claim, &rows, err);
	struct found_row **pointers = calloc(rows.count + 1, sizeof(void *));

	if (!pointers) {
		found_rows_finish(&rows);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (size_t i = 0; i < rows.count; i++) {
		pointers[i] = &rows.items[i];
	}
	if (status == SWM_OK) {
		if (rows.count > 1) {
			qsort(pointers, rows.count, sizeof(void *), earliest_first);
		}
		status = set_of_rows(&claim->docs, pointers, rows.count, out, err);
	}
	free(pointers);
	found_rows_finish(&rows);
	return status;
}

/* In how long there may be more, rather too soon; -1: nothing is owed. */
static int64_t next_in(const struct claim *claim)
{
	int64_t now_ms = clock_latest_ms(&claim->session->clock);
	int64_t next_ms = claim->next_ms;

	if (claim->won == claim->limit && claim->won > 0) {
		return 0;
	}
	if (claim->won > 0 && steps_after(claim->now_ms, claim->lease_ms) < next_ms) {
		next_ms = steps_after(claim->now_ms, claim->lease_ms);
	}
	if (next_ms == INT64_MAX) {
		return -1;
	}
	return next_ms > now_ms ? next_ms - now_ms : 0;
}

swm_status store_outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err)
{
	struct claim claim = {.session = session,
		.owner = owner,
		.lease_ms = lease_ms,
		.limit = limit < SWM_STORE_PAGE_MAX ? limit : SWM_STORE_PAGE_MAX};
	struct swm_set found;
	bson_oid_t token;
	bool again = true;

	if (!owner.ptr || lease_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a claim needs an owner and a lease");
	}
	bson_oid_init(&token, NULL);
	bson_oid_to_string(&token, claim.token);
	wire_begin(&session->wire);
	swm_status status = clock_set(&session->clock, &session->wire, NULL, err);
	for (int i = 0; i < PASSES_MAX && again && status == SWM_OK; i++) {
		status = i > 0 && wire_is_late(&session->wire) ? SWM_OK
							       : pass(&claim, &again, err);
	}
	if (status == SWM_OK) {
		int64_t next_ms = next_in(&claim);

		status = hand_over(&claim, &found, err);
		if (status == SWM_OK) {
			*rows = found;
			*next_due_ms = next_ms;
		}
	}
	docs_finish(&claim.docs);
	return status;
}
