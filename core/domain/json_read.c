/* SPDX-License-Identifier: MIT */

/*
 * Reading JSON with limits, and finding places in it. The scanner below knows just
 * enough of the grammar to follow the path of open arrays and objects; whether the
 * text is JSON is for json_parse.c to say.
 */

#include "json_read.h"

#include "error.h"
#include "json_parse.h"
#include "swm_limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place on the path: in an object the key's bytes between its quotes, in an array
 * the index. */
struct step {
	bool array;
	bool value_next; /* in an object: the next string is a value, not a key */
	size_t index;
	size_t key_at;
	size_t key_len;
};

/* Keys with escapes that are shown without them. */
#define KEY_BYTES 256

struct scanner {
	struct swm_str text;
	size_t at;
	size_t depth;
	struct step steps[SWM_JSON_DEPTH_MAX + 1];
};

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The end of the string that begins with the quote at `at`: the byte behind its
 * closing quote, or the end of the text. */
static size_t string_end(struct swm_str text, size_t at)
{
	size_t i = at + 1;
	while (i < text.len && text.ptr[i] != '"') {
		i += text.ptr[i] == '\\' ? 2 : 1;
	}
	return i < text.len ? i + 1 : text.len;
}

static size_t scalar_end(struct swm_str text, size_t at)
{
	size_t i = at;
	while (i < text.len && !is_space(text.ptr[i]) && !strchr(",]}:[{\"", text.ptr[i])) {
		i++;
	}
	return i > at ? i : at + 1;
}

enum token {
	TOKEN_END,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_VALUE, /* a scalar, a string among them */
	TOKEN_KEY,
	TOKEN_OTHER, /* a comma or a colon */
	TOKEN_TOO_DEEP
};

static enum token open_container(struct scanner *scan, bool array)
{
	if (scan->depth >= SWM_JSON_DEPTH_MAX) {
		return TOKEN_TOO_DEEP;
	}
	scan->steps[scan->depth++] = (struct step){.array = array};
	scan->at++;
	return TOKEN_OPEN;
}

static enum token scan_string(struct scanner *scan)
{
	size_t from = scan->at;
	scan->at = string_end(scan->text, from);
	struct step *top = scan->depth ? &scan->steps[scan->depth - 1] : NULL;
	if (!top || top->array || top->value_next) {
		return TOKEN_VALUE;
	}
	top->key_at = from + 1;
	top->key_len = scan->at > from + 2 ? scan->at - from - 2 : 0;
	return TOKEN_KEY;
}

static enum token scan_separator(struct scanner *scan, char byte)
{
	struct step *top = scan->depth ? &scan->steps[scan->depth - 1] : NULL;
	if (top && byte == ',') {
		top->index++;
		top->value_next = false;
	} else if (top) {
		top->value_next = true;
	}
	scan->at++;
	return TOKEN_OTHER;
}

/* Takes the next token; *from is where it begins. */
static enum token scan_next(struct scanner *scan, size_t *from)
{
	while (scan->at < scan->text.len && is_space(scan->text.ptr[scan->at])) {
		scan->at++;
	}
	*from = scan->at;
	if (scan->at >= scan->text.len) {
		return TOKEN_END;
	}
	char byte = scan->text.ptr[scan->at];
	switch (byte) {
	case '[':
	case '{':
		return open_container(scan, byte == '[');
	case ']':
	case '}':
		scan->depth -= scan->depth > 0;
		scan->at++;
		return TOKEN_CLOSE;
	case ',':
	case ':':
		return scan_separator(scan, byte);
	case '"':
		return scan_string(scan);
	default:
		scan->at = scalar_end(scan->text, scan->at);
		return TOKEN_VALUE;
	}
}

/* Appends what fits, keeping the text terminated. */
static size_t append(char *out, size_t cap, size_t len, const char *text, size_t count)
{
	for (size_t i = 0; i < count && len + 1 < cap; i++) {
		out[len++] = text[i];
	}
	out[len] = '\0';
	return len;
}

/* The key without its escapes, in `room` if it has any. One that is too long or no
 * string at all stays as it is: it is for people. */
static struct swm_str decode_key(
	const struct scanner *scan, const struct step *step, char room[KEY_BYTES])
{
	struct swm_str key = {scan->text.ptr + step->key_at, step->key_len};
	size_t len;
	if (key.len <= KEY_BYTES && memchr(key.ptr, '\\', key.len) &&
		swm_json_unescape(key, room, &len)) {
		return (struct swm_str){room, len};
	}
	return key;
}

/* '~' and '/' are escaped as RFC 6901 says. */
static size_t append_key(char *out, size_t cap, size_t len, struct swm_str key)
{
	for (size_t i = 0; i < key.len; i++) {
		if (key.ptr[i] == '~' || key.ptr[i] == '/') {
			len = append(out, cap, len, key.ptr[i] == '~' ? "~0" : "~1", 2);
		} else {
			len = append(out, cap, len, key.ptr + i, 1);
		}
	}
	return len;
}

/* Writes the first `depth` steps as a JSON pointer. */
static void write_pointer(const struct scanner *scan, size_t depth, char *out, size_t cap)
{
	size_t len = append(out, cap, 0, "", 0);
	for (size_t i = 0; i < depth; i++) {
		const struct step *step = &scan->steps[i];
		len = append(out, cap, len, "/", 1);
		if (step->array) {
			char digits[24];
			int count = snprintf(digits, sizeof(digits), "%zu", step->index);
			len = append(out, cap, len, digits, (size_t)count);
			continue;
		}
		char room[KEY_BYTES];
		len = append_key(out, cap, len, decode_key(scan, step, room));
	}
}

void swm_json_pointer_at(struct swm_str text, size_t offset, char *out, size_t cap)
{
	struct scanner scan = {.text = text};
	size_t from = 0;
	enum token token = TOKEN_OTHER;
	while (token != TOKEN_END && token != TOKEN_TOO_DEEP && scan.at <= offset) {
		token = scan_next(&scan, &from);
		if (offset < scan.at) {
			break;
		}
	}
	write_pointer(&scan, scan.depth, out, cap);
}

int32_t swm_json_line(struct swm_str text, const char *pointer)
{
	struct scanner scan = {.text = text};
	char here[1024];
	int32_t line = 1;
	size_t counted = 0;
	size_t from = 0;

	for (;;) {
		enum token token = scan_next(&scan, &from);
		if (token == TOKEN_END || token == TOKEN_TOO_DEEP) {
			return 0;
		}
		for (; counted < from; counted++) {
			line += text.ptr[counted] == '\n';
		}
		if (token == TOKEN_OPEN || token == TOKEN_VALUE) {
			size_t depth = scan.depth - (token == TOKEN_OPEN);
			write_pointer(&scan, depth, here, sizeof(here));
			if (strcmp(here, pointer) == 0) {
				return line;
			}
		}
	}
}

/* Line and column, both from 1; columns are letters, not bytes. */
static void locate(struct swm_str text, size_t at, int32_t *line, int32_t *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < at && i < text.len; i++) {
		if (text.ptr[i] == '\n') {
			++*line;
			*column = 1;
		} else {
			*column += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
		}
	}
}

static swm_status fail_parse(struct swm_error *err, swm_status status, struct swm_str text,
	const struct swm_json_problem *problem)
{
	char pointer[128];
	int32_t line;
	int32_t column;

	locate(text, problem->at, &line, &column);
	swm_json_pointer_at(text, problem->at, pointer, sizeof(pointer));
	swm_error_set(err, status, "line %" PRId32 ", column %" PRId32 ", at \"%s\": %s", line,
		column, pointer, problem->what);
	if (err) {
		err->native = line;
	}
	return status;
}

swm_status swm_json_read(
	struct swm_str text, size_t max_bytes, json_t **out, struct swm_error *err)
{
	struct swm_json_problem problem;

	if (text.len > max_bytes) {
		return swm_error_set(err, SWM_E_TOO_LARGE, "%zu bytes, over the limit of %zu",
			text.len, max_bytes);
	}
	if (text.len == 0) {
		return swm_error_set(err, SWM_E_INVALID, "empty, where JSON is expected");
	}
	const swm_status status = swm_json_parse(text, out, &problem);
	if (status == SWM_E_NOMEM) {
		return swm_error_set(err, status, "out of memory while reading JSON");
	}
	return status == SWM_OK ? status : fail_parse(err, status, text, &problem);
}

bool swm_json_get_str(const json_t *object, const char *key, struct swm_str *out)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_string(value)) {
		return false;
	}
	*out = (struct swm_str){json_string_value(value), json_string_length(value)};
	return true;
}
