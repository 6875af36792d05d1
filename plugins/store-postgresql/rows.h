/* SPDX-License-Identifier: MIT */
#ifndef STORE_POSTGRESQL_ROWS_H
#define STORE_POSTGRESQL_ROWS_H

/*
 * The structs of the port as columns, in the order in which the statements name them, and
 * results as sets. A set keeps the result that it came in: what its rows point to lies
 * there, so that nothing is copied.
 *
 * Concurrency: no state; a set belongs to the thread that received it.
 */

#include "store.h"

struct row_kind {
	const struct column *columns;
	size_t column_count;
	size_t item_bytes;
	bool has_headers; /* in a further column, of a struct swm_outbox_row */
};

extern const struct row_kind row_instance;
extern const struct row_kind row_event;
extern const struct row_kind row_outbox;
extern const struct row_kind row_template;

/* The columns of an outbox row on its way in, without instance and headers. */
extern const struct row_kind row_owed;

/* A value of a binary result. *ok becomes false when it is not of that type. */
int64_t row_int8(const PGresult *result, int row, int column, bool *ok);

/* NULL: absent. */
struct swm_str row_bytes(const PGresult *result, int row, int column);

/* Makes rows [0, count) of the result, whose columns of this kind begin with
 * `first_column`, a set. The result is then the set's, or cleared on failure:
 * SWM_E_NOMEM, SWM_E_CORRUPT. */
swm_status rows_take(PGresult *result, size_t count, int first_column,
	const struct row_kind *kind, struct swm_set *out, struct swm_error *err);

/* The same for a page: the statement was asked for one row more than page->limit, and its
 * first column is where the next page begins. */
swm_status rows_take_page(PGresult *result, const struct swm_page *page,
	const struct row_kind *kind, struct swm_set *out, struct swm_error *err);

#endif
