/* SPDX-License-Identifier: MIT */

/* JSON as BSON; see json.h. Concurrency: no state. */

#include "json.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* A document or list that is being filled. */
struct level {
	bson_t bson;
	bool list;
	uint32_t count;
};

struct reader {
	struct level levels[JSON_DEPTH_MAX];
	const char *at;
	const char *end;
	char *name;  /* of the member under way, as the document has it */
	char *value; /* a string */
	size_t value_len;
	bson_t *out;
	size_t depth; /* levels that are open */
};

static void skip_space(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) && *reader->at) {
		reader->at++;
	}
}

static bool take(struct reader *reader, char wanted)
{
	skip_space(reader);
	if (reader->at == reader->end || *reader->at != wanted) {
		return false;
	}
	reader->at++;
	return true;
}

static bool take_word(struct reader *reader, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0) {
		return false;
	}
	reader->at += len;
	return true;
}

/* --- Strings --- */

static bool take_hex(struct reader *reader, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		const char *digit = reader->at < reader->end && *reader->at
					    ? strchr(digits, *reader->at)
					    : NULL;

		if (!digit) {
			return false;
		}
		uint32_t value = (uint32_t)(digit - digits);
		*out = *out << 4 | (value > 15 ? value - 6 : value);
		reader->at++;
	}
	return true;
}

static size_t write_utf8(char *out, uint32_t point)
{
	uint32_t len = 0;

	bson_utf8_from_unichar((bson_unichar_t)point, out, &len);
	return len;
}

/* Behind "\u". */
static bool take_point(struct reader *reader, uint32_t *point)
{
	uint32_t low = 0;

	if (!take_hex(reader, point)) {
		return false;
	}
	if (*point >= 0xd800 && *point < 0xdc00) {
		if (!take_word(reader, "\\u") || !take_hex(reader, &low) || low < 0xdc00 ||
			low > 0xdfff) {
			return false;
		}
		*point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
	}
	return *point != 0 && !(*point >= 0xdc00 && *point < 0xe000);
}

static bool take_escape(struct reader *reader, char *out, size_t *used)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	uint32_t point = 0;

	if (reader->at == reader->end || !*reader->at) {
		return false;
	}
	char name = *reader->at++;
	const char *plain = strchr(names, name);
	if (plain) {
		out[(*used)++] = values[plain - names];
		return true;
	}
	if (name != 'u' || !take_point(reader, &point)) {
		return false;
	}
	*used += write_utf8(out + *used, point);
	return true;
}

/* Behind the first quotation mark; what is escaped takes more room than what it stands for. */
static bool take_string(struct reader *reader, char *out, size_t *len)
{
	*len = 0;
	while (reader->at < reader->end && *reader->at != '"') {
		if (*reader->at == '\\') {
			reader->at++;
			if (!take_escape(reader, out, len)) {
				return false;
			}
		} else if ((unsigned char)*reader->at < 0x20) {
			return false;
		} else {
			out[(*len)++] = *reader->at++;
		}
	}
	out[*len] = '\0';
	return take(reader, '"') && bson_utf8_validate(out, *len, false);
}

static void harmless_name(const char *name, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++) {
		const char *twin = name[i] == '$'   ? "\xef\xbc\x84"
				   : name[i] == '.' ? "\xef\xbc\x8e"
						    : NULL;
		if (twin) {
			memcpy(out, twin, 3);
			out += 3;
		} else {
			*out++ = name[i];
		}
	}
	if (len == 0) {
		memcpy(out, "\xef\xbc\xbf", 3);
		out += 3;
	}
	*out = '\0';
}

/* --- Values --- */

static bson_t *parent_of(struct reader *reader, size_t depth)
{
	return depth == 0 ? reader->out : &reader->levels[depth - 1].bson;
}

/* The name of the value that comes. */
static const char *name_of(struct reader *reader, char *number, size_t room)
{
	const char *name = reader->name;

	if (reader->depth > 0 && reader->levels[reader->depth - 1].list) {
		bson_uint32_to_string(
			reader->levels[reader->depth - 1].count++, &name, number, room);
	}
	return name;
}

static bool put_number(struct reader *reader, bson_t *to, const char *name)
{
	char text[64], *end = NULL;
	size_t len = 0;
	bool real = false;

	while (reader->at + len < reader->end && len + 1 < sizeof(text) && reader->at[len] &&
		strchr("+-0123456789.eE", reader->at[len])) {
		real = real || strchr(".eE", reader->at[len]) != NULL;
		text[len] = reader->at[len];
		len++;
	}
	text[len] = '\0';
	reader->at += len;
	errno = 0;
	if (real) {
		double value = strtod(text, &end);

		return len > 0 && *end == '\0' && bson_append_double(to, name, -1, value);
	}
	long long value = strtoll(text, &end, 10);
	if (len == 0 || *end != '\0' || errno != 0) {
		return false;
	}
	return value >= INT32_MIN && value <= INT32_MAX
		       ? bson_append_int32(to, name, -1, (int32_t)value)
		       : bson_append_int64(to, name, -1, value);
}

static bool open_level(struct reader *reader, bson_t *to, const char *name, bool list)
{
	if (reader->depth == JSON_DEPTH_MAX) {
		return false;
	}
	struct level *level = &reader->levels[reader->depth];
	bool ok = list ? bson_append_array_begin(to, name, -1, &level->bson)
		       : bson_append_document_begin(to, name, -1, &level->bson);

	if (ok) {
		level->list = list;
		level->count = 0;
		reader->depth++;
	}
	return ok;
}

static void close_level(struct reader *reader)
{
	struct level *level = &reader->levels[--reader->depth];
	bson_t *to = parent_of(reader, reader->depth);

	if (level->list) {
		bson_append_array_end(to, &level->bson);
	} else {
		bson_append_document_end(to, &level->bson);
	}
}

/* A value, or the beginning of one with others inside. */
static bool take_value(struct reader *reader)
{
	char number[16];
	const char *name = name_of(reader, number, sizeof(number));
	bson_t *to = parent_of(reader, reader->depth);

	skip_space(reader);
	if (take(reader, '{')) {
		return open_level(reader, to, name, false);
	}
	if (take(reader, '[')) {
		return open_level(reader, to, name, true);
	}
	if (take(reader, '"')) {
		return take_string(reader, reader->value, &reader->value_len) &&
		       bson_append_utf8(to, name, -1, reader->value, (int)reader->value_len);
	}
	if (take_word(reader, "true")) {
		return bson_append_bool(to, name, -1, true);
	}
	if (take_word(reader, "false")) {
		return bson_append_bool(to, name, -1, false);
	}
	if (take_word(reader, "null")) {
		return bson_append_null(to, name, -1);
	}
	return put_number(reader, to, name);
}

static bool take_name(struct reader *reader)
{
	size_t len = 0;

	if (!take(reader, '"') || !take_string(reader, reader->value, &len)) {
		return false;
	}
	harmless_name(reader->value, len, reader->name);
	return take(reader, ':');
}

static bool in_list(const struct reader *reader)
{
	return reader->depth > 0 && reader->levels[reader->depth - 1].list;
}

/* The object's members, to its closing brace, and whatever is nested inside. */
static bool take_members(struct reader *reader)
{
	bool first = true;

	for (;;) {
		bool list = in_list(reader);

		if (take(reader, list ? ']' : '}')) {
			if (reader->depth == 0) {
				return true;
			}
			close_level(reader);
			first = false;
			continue;
		}
		if (!first && !take(reader, ',')) {
			return false;
		}
		size_t depth = reader->depth;
		if ((!list && !take_name(reader)) || !take_value(reader)) {
			return false;
		}
		first = reader->depth > depth;
	}
}

bool json_to_bson(struct swm_str text, bson_t *out)
{
	/* A bson_t wants more alignment than malloc() gives. */
	struct reader *reader = aligned_alloc(alignof(struct reader), sizeof(*reader));
	bool ok = false;

	if (!reader) {
		return false;
	}
	memset(reader, 0, sizeof(*reader));
	reader->at = text.ptr;
	reader->end = text.ptr ? text.ptr + text.len : NULL;
	reader->out = out;
	reader->name = malloc(3 * text.len + 4);
	reader->value = malloc(text.len + 4);
	if (text.ptr && reader->name && reader->value && take(reader, '{')) {
		ok = take_members(reader);
		while (reader->depth > 0) {
			close_level(reader);
		}
	}
	free(reader->name);
	free(reader->value);
	free(reader);
	return ok;
}
