/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_SETS_H
#define STORE_MONGODB_SETS_H

/*
 * Documents as result sets: a set owns the documents, and what its items point to lies in
 * them, so that nothing is copied.
 *
 * Concurrency: no state; a set belongs to the thread that received it.
 */

#include "fields.h"
#include "wire.h"

/* A row of the outbox, where it was found. */
struct found_row {
	struct swm_outbox_row row;
	const bson_t *doc;
	struct row_key key;
	int64_t at_ms;        /* when it can be claimed; PENDING ones only */
	struct swm_str claim; /* the claim that it had last */
	size_t place;         /* for whoever looks in several */
};

struct found_rows {
	struct found_row *items;
	size_t count;
	size_t room;
};

void found_rows_finish(struct found_rows *rows);

/* Adds the rows that a document has, without what they send. SWM_E_CORRUPT, SWM_E_NOMEM. */
swm_status found_rows_add(struct found_rows *rows, const bson_t *doc, struct swm_error *err);

/* A set of `count` items of zero bits, with `extra` bytes behind them. It takes the documents
 * over, also when it fails: SWM_E_NOMEM. */
swm_status set_create(struct docs *docs, size_t count, size_t item_bytes, size_t extra,
	struct swm_set *out, struct swm_error *err);

/* The items, while they are filled in. */
void *set_items(const struct swm_set *set);

/* The documents, which are the set's now. */
bson_t **set_docs(const struct swm_set *set);
size_t set_doc_count(const struct swm_set *set);

/* Where the next page begins: the parts, one behind the other. */
swm_status set_next(
	struct swm_set *set, const struct swm_str *parts, size_t count, struct swm_error *err);

/* One item for each of the first `count` documents, by the fields at its top. Takes the
 * documents over. SWM_E_CORRUPT, SWM_E_NOMEM. */
swm_status set_of_documents(struct docs *docs, size_t count, const struct fields *fields,
	struct swm_set *out, struct swm_error *err);

/* The rows that are pointed to, with what they send, which their documents have to hold.
 * Takes the documents over. */
swm_status set_of_rows(struct docs *docs, struct found_row *const *rows, size_t count,
	struct swm_set *out, struct swm_error *err);

/* An instance from its document. False: it is none. */
bool take_instance(const bson_t *doc, struct swm_instance_row *row);

swm_status set_corrupt(struct swm_error *err);

#endif
