/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_OUT_H
#define SWM_HOST_OUT_H

/*
 * What commands print: tables for people, JSON lines for programs, from the same
 * rows, so that neither can lack what the other has.
 *
 * Text from messages and templates is made harmless on its way to a terminal:
 * control characters would move the cursor or change the title.
 *
 * Concurrency: belongs to the main thread.
 */

#include <jansson.h>
#include <stdio.h>
#include <swm/types.h>

enum swm_out_format {
	SWM_OUT_TABLE,
	SWM_OUT_JSON
};

enum swm_style {
	SWM_STYLE_PLAIN,
	SWM_STYLE_BOLD,
	SWM_STYLE_DIM,
	SWM_STYLE_GREEN,
	SWM_STYLE_YELLOW,
	SWM_STYLE_RED,
	SWM_STYLE_CYAN
};

struct swm_out {
	FILE *file;
	enum swm_out_format format;
	bool colour; /* a terminal that has it, and NO_COLOR is not set */
};

/* Writes to `file`, which stays the caller's. */
void swm_out_init(struct swm_out *out, FILE *file, enum swm_out_format format);

/* The escape sequence that begins a style, PLAIN ends any; "" without colour. */
const char *swm_out_style(const struct swm_out *out, enum swm_style style);

/* Bytes of anybody's, with control characters as \n or \x1b and broken UTF-8 as \xNN. */
void swm_out_text(const struct swm_out *out, struct swm_str text);

/* One value: a line in JSON format, indented for people otherwise. SWM_E_NOMEM,
 * SWM_E_INTERNAL when it cannot be written. */
swm_status swm_out_json(const struct swm_out *out, const json_t *value);

struct swm_column {
	const char *title; /* "BUSINESS REF" */
	const char *key;   /* "business_ref_no", in JSON */
	bool number;       /* to the right; a number in JSON */
};

/* Rows on their way to be printed, with widths still to be found. */
struct swm_rows;

/* `columns` outlives it. SWM_E_NOMEM. */
swm_status swm_rows_create(
	const struct swm_column *columns, size_t count, struct swm_rows **out);

/* Adds the next cell, row by row; copied. An absent text is null in JSON, empty in a
 * table. Out of memory is kept, and reported by print. */
void swm_rows_add(struct swm_rows *rows, enum swm_style style, struct swm_str text);

/* The same, formatted, at most 1023 bytes. */
void swm_rows_addf(struct swm_rows *rows, enum swm_style style, const char *fmt, ...)
	SWM_PRINTF(3, 4);

/* Prints all rows: one JSON object per line, or a header and aligned columns (nothing
 * at all when there are no rows). SWM_E_NOMEM: not all of them were there. */
swm_status swm_rows_print(const struct swm_rows *rows, const struct swm_out *out);

/* NULL is allowed. */
void swm_rows_destroy(struct swm_rows *rows);

#endif
