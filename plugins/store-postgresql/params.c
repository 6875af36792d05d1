/* SPDX-License-Identifier: MIT */

/*
 * Parameters; see params.h. The format of arrays is that of array_recv() in the server's
 * arrayfuncs.c: dimensions, a flag, the element's type, then for each dimension its size
 * and first index, then each element's length and bytes; numbers are big-endian.
 *
 * Concurrency: confined to the session's thread.
 */

#include "params.h"

#include "status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARAMS_FIRST_ROOM = 16 * 1024,
	/* A session keeps no more than this from one call to the next. */
	PARAMS_KEEP_ROOM = 4 * 1024 * 1024,
	/* libpq counts in int, and so does the protocol. */
	PARAMS_VALUE_MAX = 1000 * 1000 * 1000
};

/* The element types' numbers in pg_type, which never change. */
static const int32_t element_oids[] = {
	[COLUMN_TEXT] = 25,
	[COLUMN_BYTES] = 17,
	[COLUMN_INT8] = 20,
	[COLUMN_INT4] = 23,
};

void params_clear(struct params *params)
{
	if (params->room > PARAMS_KEEP_ROOM) {
		params_finish(params);
	}
	params->used = 0;
	params->count = 0;
	params->status = SWM_OK;
}

void params_finish(struct params *params)
{
	free(params->bytes);
	*params = (struct params){0};
}

swm_status params_status(const struct params *params, struct swm_error *err)
{
	if (params->status == SWM_E_NOMEM) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	if (params->status != SWM_OK) {
		return swm_fail(err, params->status, 0,
			"a value is larger than the server's protocol carries");
	}
	return SWM_OK;
}

/* Room for `bytes` more, or NULL, noted. */
static unsigned char *extend(struct params *params, size_t bytes)
{
	size_t room = params->room ? params->room : PARAMS_FIRST_ROOM;

	if (params->status != SWM_OK) {
		return NULL;
	}
	if (bytes > PARAMS_VALUE_MAX) {
		params->status = SWM_E_TOO_LARGE;
		return NULL;
	}
	if (bytes > params->room - params->used) {
		while (room - params->used < bytes) {
			room *= 2;
		}
		unsigned char *grown = realloc(params->bytes, room);
		if (!grown) {
			params->status = SWM_E_NOMEM;
			return NULL;
		}
		params->bytes = grown;
		params->room = room;
	}
	unsigned char *at = params->bytes + params->used;
	params->used += bytes;
	return at;
}

static void write_int4(unsigned char *at, uint32_t value)
{
	at[0] = (unsigned char)(value >> 24);
	at[1] = (unsigned char)(value >> 16);
	at[2] = (unsigned char)(value >> 8);
	at[3] = (unsigned char)value;
}

static void write_int8(unsigned char *at, int64_t value)
{
	write_int4(at, (uint32_t)((uint64_t)value >> 32));
	write_int4(at + 4, (uint32_t)(uint64_t)value);
}

static void begin_value(struct params *params)
{
	assert(params->count < PARAMS_MAX);
	params->values[params->count].start = params->used;
	params->values[params->count].length = -1;
}

/* The value is what was added since begin_value(). */
static void end_value(struct params *params)
{
	size_t length = params->used - params->values[params->count].start;

	if (length > PARAMS_VALUE_MAX) {
		params->status = SWM_E_TOO_LARGE;
	} else {
		params->values[params->count].length = (int)length;
	}
	params->count++;
}

void params_int8(struct params *params, int64_t value)
{
	begin_value(params);
	unsigned char *at = extend(params, sizeof(value));
	if (at) {
		write_int8(at, value);
	}
	end_value(params);
}

void params_bytes(struct params *params, struct swm_str bytes)
{
	begin_value(params);
	if (!bytes.ptr) {
		params->count++; /* NULL */
		return;
	}
	unsigned char *at = extend(params, bytes.len);
	if (at && bytes.len > 0) {
		memcpy(at, bytes.ptr, bytes.len);
	}
	end_value(params);
}

void params_text(struct params *params, struct swm_str text)
{
	params_bytes(params, text);
}

static void put_str(struct params *params, struct swm_str text)
{
	unsigned char *at = extend(params, text.ptr ? 4 + text.len : 4);

	if (!at) {
		return;
	}
	write_int4(at, text.ptr ? (uint32_t)text.len : UINT32_MAX);
	if (text.ptr && text.len > 0) {
		memcpy(at + 4, text.ptr, text.len);
	}
}

static void put_element(struct params *params, enum column_type type, const char *member)
{
	struct swm_str text;
	int64_t wide;
	uint32_t narrow;
	unsigned char *at;

	switch (type) {
	case COLUMN_TEXT:
	case COLUMN_BYTES:
		memcpy(&text, member, sizeof(text));
		put_str(params, text);
		break;
	case COLUMN_INT8:
		at = extend(params, 4 + sizeof(wide));
		if (at) {
			memcpy(&wide, member, sizeof(wide));
			write_int4(at, sizeof(wide));
			write_int8(at + 4, wide);
		}
		break;
	case COLUMN_INT4:
		at = extend(params, 4 + sizeof(narrow));
		if (at) {
			memcpy(&narrow, member, sizeof(narrow));
			write_int4(at, sizeof(narrow));
			write_int4(at + 4, narrow);
		}
		break;
	}
}

void params_column(struct params *params, enum column_type type, const void *const *rows,
	size_t count, size_t offset)
{
	begin_value(params);
	/* An empty array has no dimension. */
	unsigned char *at = extend(params, count > 0 ? 20 : 12);
	if (at) {
		write_int4(at, count > 0);
		write_int4(at + 4, 1); /* there may be NULLs */
		write_int4(at + 8, (uint32_t)element_oids[type]);
	}
	if (at && count > 0) {
		write_int4(at + 12, (uint32_t)count);
		write_int4(at + 16, 1);
	}
	for (size_t i = 0; i < count; i++) {
		put_element(params, type, (const char *)rows[i] + offset);
	}
	end_value(params);
}

void params_columns(struct params *params, const struct column *columns, size_t column_count,
	const void *const *rows, size_t count)
{
	for (size_t i = 0; i < column_count; i++) {
		params_column(params, columns[i].type, rows, count, columns[i].offset);
	}
}

void params_values(const struct params *params, const char **values, int *lengths, int *formats)
{
	/* An empty value is not NULL. */
	static const char empty[] = "";

	for (int i = 0; i < params->count; i++) {
		int length = params->values[i].length;
		const unsigned char *at = params->bytes + params->values[i].start;

		lengths[i] = length < 0 ? 0 : length;
		formats[i] = 1;
		values[i] = length < 0 ? NULL : length == 0 ? empty : (const char *)at;
	}
}
