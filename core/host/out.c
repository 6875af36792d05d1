/* SPDX-License-Identifier: MIT */

/* See out.h. */

#include "out.h"

#include "text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cell {
	char *text; /* NULL: absent */
	size_t len;
	enum swm_style style;
};

struct swm_rows {
	const struct swm_column *columns;
	size_t column_count;
	struct cell *cells;
	size_t count;
	size_t capacity;
	bool nomem;
};

void swm_out_init(struct swm_out *out, FILE *file, enum swm_out_format format)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	*out = (struct swm_out){
		.file = file,
		.format = format,
		.colour = format == SWM_OUT_TABLE && isatty(fileno(file)) == 1 &&
			  (no_color == NULL || no_color[0] == '\0') && term != NULL &&
			  strcmp(term, "dumb") != 0,
	};
}

const char *swm_out_style(const struct swm_out *out, enum swm_style style)
{
	static const char *const escapes[] = {
		[SWM_STYLE_PLAIN] = "\x1b[0m",
		[SWM_STYLE_BOLD] = "\x1b[1m",
		[SWM_STYLE_DIM] = "\x1b[2m",
		[SWM_STYLE_GREEN] = "\x1b[32m",
		[SWM_STYLE_YELLOW] = "\x1b[33m",
		[SWM_STYLE_RED] = "\x1b[31m",
		[SWM_STYLE_CYAN] = "\x1b[36m",
	};
	return out->colour ? escapes[style] : "";
}

/* The length of the printable UTF-8 character at `at`, 0 when it is to be escaped. C1
 * controls (U+0080 to U+009F) are no better than C0. */
static size_t printable(struct swm_str text, size_t at)
{
	unsigned char first = (unsigned char)text.ptr[at];
	if (first < 0x80) {
		return first >= 0x20 && first != 0x7f ? 1 : 0;
	}
	size_t len = swm_utf8_bytes(text.ptr + at, text.ptr + text.len);
	bool is_control = first == 0xc2 && len == 2 && (unsigned char)text.ptr[at + 1] < 0xa0;
	return is_control ? 0 : len;
}

/* Writes it when `file` is given; returns how many places it takes in any case. */
static size_t put_text(FILE *file, struct swm_str text)
{
	size_t width = 0;
	for (size_t i = 0; i < text.len;) {
		size_t len = printable(text, i);
		char escape[8];
		if (len > 0) {
			width++;
			if (file != NULL) {
				(void)fwrite(text.ptr + i, 1, len, file);
			}
			i += len;
			continue;
		}
		unsigned char byte = (unsigned char)text.ptr[i++];
		if (byte == '\n' || byte == '\t') {
			(void)snprintf(
				escape, sizeof(escape), "\\%c", byte == '\n' ? 'n' : 't');
		} else {
			(void)snprintf(escape, sizeof(escape), "\\x%02x", (unsigned)byte);
		}
		width += strlen(escape);
		if (file != NULL) {
			(void)fputs(escape, file);
		}
	}
	return width;
}

void swm_out_text(const struct swm_out *out, struct swm_str text)
{
	(void)put_text(out->file, text);
}

swm_status swm_out_json(const struct swm_out *out, const json_t *value)
{
	size_t flags =
		JSON_ENCODE_ANY | (out->format == SWM_OUT_JSON ? JSON_COMPACT : JSON_INDENT(2));
	if (json_dumpf(value, out->file, flags) != 0) {
		return SWM_E_INTERNAL;
	}
	return fputc('\n', out->file) == EOF ? SWM_E_INTERNAL : SWM_OK;
}

swm_status swm_rows_create(
	const struct swm_column *columns, size_t count, struct swm_rows **out)
{
	struct swm_rows *rows = calloc(1, sizeof(*rows));
	if (rows == NULL) {
		return SWM_E_NOMEM;
	}
	rows->columns = columns;
	rows->column_count = count;
	*out = rows;
	return SWM_OK;
}

void swm_rows_add(struct swm_rows *rows, enum swm_style style, struct swm_str text)
{
	if (rows->nomem) {
		return;
	}
	if (rows->count == rows->capacity) {
		size_t capacity = rows->capacity == 0 ? 64 : rows->capacity * 2;
		struct cell *cells = realloc(rows->cells, capacity * sizeof(*cells));
		if (cells == NULL) {
			rows->nomem = true;
			return;
		}
		rows->cells = cells;
		rows->capacity = capacity;
	}
	struct cell cell = {.style = style};
	if (text.ptr != NULL) {
		cell.text = malloc(text.len + 1);
		if (cell.text == NULL) {
			rows->nomem = true;
			return;
		}
		memcpy(cell.text, text.ptr, text.len);
		cell.text[text.len] = '\0';
		cell.len = text.len;
	}
	rows->cells[rows->count++] = cell;
}

void swm_rows_addf(struct swm_rows *rows, enum swm_style style, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	swm_rows_add(rows, style, swm_str_from(text));
}

static struct swm_str cell_text(const struct cell *cell)
{
	return (struct swm_str){cell->text != NULL ? cell->text : "", cell->len};
}

static void put_spaces(FILE *file, size_t count)
{
	for (; count > 0; count--) {
		(void)fputc(' ', file);
	}
}

/* Two spaces between columns, none after the last. */
static void put_cell(const struct swm_out *out, struct swm_str text, enum swm_style style,
	size_t width, bool right, bool last)
{
	size_t own = put_text(NULL, text);
	size_t rest = width > own ? width - own : 0;
	put_spaces(out->file, right ? rest : 0);
	if (style != SWM_STYLE_PLAIN) {
		(void)fputs(swm_out_style(out, style), out->file);
	}
	(void)put_text(out->file, text);
	if (style != SWM_STYLE_PLAIN) {
		(void)fputs(swm_out_style(out, SWM_STYLE_PLAIN), out->file);
	}
	if (last) {
		(void)fputc('\n', out->file);
	} else {
		put_spaces(out->file, (right ? 0 : rest) + 2);
	}
}

static swm_status print_table(const struct swm_rows *rows, const struct swm_out *out)
{
	size_t columns = rows->column_count;
	size_t *widths = calloc(columns, sizeof(*widths));
	if (widths == NULL) {
		return SWM_E_NOMEM;
	}
	for (size_t i = 0; i < columns; i++) {
		widths[i] = put_text(NULL, swm_str_from(rows->columns[i].title));
	}
	for (size_t i = 0; i < rows->count; i++) {
		size_t width = put_text(NULL, cell_text(&rows->cells[i]));
		if (width > widths[i % columns]) {
			widths[i % columns] = width;
		}
	}
	for (size_t i = 0; rows->count > 0 && i < columns; i++) {
		put_cell(out, swm_str_from(rows->columns[i].title), SWM_STYLE_BOLD, widths[i],
			rows->columns[i].number, i == columns - 1);
	}
	for (size_t i = 0; i < rows->count; i++) {
		size_t column = i % columns;
		put_cell(out, cell_text(&rows->cells[i]), rows->cells[i].style, widths[column],
			rows->columns[column].number, column == columns - 1);
	}
	free(widths);
	return SWM_OK;
}

/* Text that is not UTF-8 cannot stand in JSON: it is escaped as in a table. */
static json_t *cell_json(const struct cell *cell, bool number)
{
	if (cell->text == NULL) {
		return json_null();
	}
	if (number) {
		return json_integer(strtoll(cell->text, NULL, 10));
	}
	json_t *value = json_stringn(cell->text, cell->len);
	if (value != NULL) {
		return value;
	}
	char *escaped = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&escaped, &len);
	if (memory == NULL) {
		return NULL;
	}
	(void)put_text(memory, cell_text(cell));
	(void)fclose(memory);
	value = json_stringn(escaped, len);
	free(escaped);
	return value;
}

static swm_status print_json(const struct swm_rows *rows, const struct swm_out *out)
{
	for (size_t i = 0; i < rows->count; i += rows->column_count) {
		json_t *object = json_object();
		for (size_t k = 0; k < rows->column_count; k++) {
			const struct swm_column *column = &rows->columns[k];
			json_t *value = cell_json(&rows->cells[i + k], column->number);
			if (json_object_set_new(object, column->key, value) != 0) {
				json_decref(object);
				return SWM_E_NOMEM;
			}
		}
		swm_status status = swm_out_json(out, object);
		json_decref(object);
		if (status != SWM_OK) {
			return status;
		}
	}
	return SWM_OK;
}

swm_status swm_rows_print(const struct swm_rows *rows, const struct swm_out *out)
{
	if (rows->nomem) {
		return SWM_E_NOMEM;
	}
	assert(rows->count % rows->column_count == 0);
	return out->format == SWM_OUT_JSON ? print_json(rows, out) : print_table(rows, out);
}

void swm_rows_destroy(struct swm_rows *rows)
{
	if (rows == NULL) {
		return;
	}
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->cells[i].text);
	}
	free(rows->cells);
	free(rows);
}
