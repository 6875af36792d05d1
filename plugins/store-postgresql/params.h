/* SPDX-License-Identifier: MIT */
#ifndef STORE_POSTGRESQL_PARAMS_H
#define STORE_POSTGRESQL_PARAMS_H

/*
 * The parameters of a statement in PostgreSQL's binary format: plain values, and arrays,
 * one for each column of a batch. A batch is then one statement of one text, whatever its
 * size.
 *
 *	params_clear(&session->params);
 *	params_int8(params, lease_ms);
 *	params_column(params, COLUMN_TEXT, rows, count, offsetof(struct swm_event_row, id));
 *
 * Errors collect in the struct: look at params_status() before it is sent. The order of
 * the calls is that of $1, $2, ...
 *
 * Concurrency: confined to the session's thread.
 */

#include <swm/types.h>

enum {
	PARAMS_MAX = 64
};

/* How a member of a struct and a column of a table go together. */
enum column_type {
	COLUMN_TEXT,  /* struct swm_str, text; absent: NULL */
	COLUMN_BYTES, /* struct swm_str, bytea; absent: NULL */
	COLUMN_INT8,  /* int64_t, bigint */
	COLUMN_INT4   /* 32 bits with a sign or without, integer: the same bits */
};

struct column {
	enum column_type type;
	size_t offset;
};

struct params {
	unsigned char *bytes;
	size_t used;
	size_t room;
	struct {
		size_t start;
		int length; /* -1: NULL */
	} values[PARAMS_MAX];
	int count;
	swm_status status;
};

void params_clear(struct params *params);
void params_finish(struct params *params);

/* SWM_E_NOMEM, or SWM_E_TOO_LARGE when a value is more than a message carries. */
swm_status params_status(const struct params *params, struct swm_error *err);

void params_int8(struct params *params, int64_t value);
void params_text(struct params *params, struct swm_str text); /* absent: NULL */
void params_bytes(struct params *params, struct swm_str bytes);

/* An array: of rows[0..count), the member at `offset`. */
void params_column(struct params *params, enum column_type type, const void *const *rows,
	size_t count, size_t offset);

/* One array for each of the columns. */
void params_columns(struct params *params, const struct column *columns, size_t column_count,
	const void *const *rows, size_t count);

/* As libpq wants them; they point into `params`. */
void params_values(
	const struct params *params, const char **values, int *lengths, int *formats);

#endif
