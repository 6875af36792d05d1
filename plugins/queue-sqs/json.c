/* SPDX-License-Identifier: MIT */

/* See json.h. */

#include "json.h"

#include <string.h>

/* Nobody's answers are nested deeper; what is counts as broken. */
#define DEPTH_MAX 60

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to, as json->at */
void swm_sqs_json_init(struct swm_sqs_json *json, char *text, size_t len)
{
	*json = (struct swm_sqs_json){.at = text, .end = text + len};
}

static bool fail(struct swm_sqs_json *json)
{
	json->broken = true;
	return false;
}

/* What comes next behind white space; 0: nothing. */
static char peek(struct swm_sqs_json *json)
{
	while (!json->broken && json->at < json->end) {
		char c = *json->at;

		if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
			return c;
		}
		json->at++;
	}
	return 0;
}

static bool take(struct swm_sqs_json *json, char c)
{
	if (peek(json) != c) {
		return false;
	}
	json->at++;
	return true;
}

/* The value of four hexadecimal digits; -1: they are none. */
static int32_t read_hex(const char *at, const char *end)
{
	int32_t value = 0;
	int i;

	if (end - at < 4) {
		return -1;
	}
	for (i = 0; i < 4; i++) {
		char c = at[i];
		int32_t digit;

		if (c >= '0' && c <= '9') {
			digit = c - '0';
		} else if (c >= 'a' && c <= 'f') {
			digit = c - 'a' + 10;
		} else if (c >= 'A' && c <= 'F') {
			digit = c - 'A' + 10;
		} else {
			return -1;
		}
		value = value * 16 + digit;
	}
	return value;
}

static char *put_utf8(char *out, int32_t code)
{
	if (code < 0x80) {
		*out++ = (char)code;
	} else if (code < 0x800) {
		*out++ = (char)(0xc0 | (code >> 6));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | (code >> 12));
		*out++ = (char)(0x80 | ((code >> 6) & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xf0 | (code >> 18));
		*out++ = (char)(0x80 | ((code >> 12) & 0x3f));
		*out++ = (char)(0x80 | ((code >> 6) & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

/* A \u escape, its digits at json->at; a pair of them for what lies above U+FFFF. */
static int32_t read_code(struct swm_sqs_json *json)
{
	int32_t code = read_hex(json->at, json->end);
	int32_t low;

	if (code < 0) {
		return -1;
	}
	json->at += 4;
	if (code < 0xd800 || code > 0xdfff) {
		return code;
	}
	if (code > 0xdbff || json->end - json->at < 6 || json->at[0] != '\\' ||
		json->at[1] != 'u') {
		return -1;
	}
	low = read_hex(json->at + 2, json->end);
	if (low < 0xdc00 || low > 0xdfff) {
		return -1;
	}
	json->at += 6;
	return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* What a backslash and the letter behind it stand for; 0: nothing. */
static char plain_escape(char letter)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found = letter == '\0' ? NULL : strchr(letters, letter);

	if (found == NULL) {
		return '\0';
	}
	return values[found - letters];
}

/* Behind the opening quote. `keep`: nothing is written. */
static bool read_string(struct swm_sqs_json *json, bool keep, struct swm_str *out)
{
	char *from = json->at;
	char *to = json->at;

	while (json->at < json->end && *json->at != '"') {
		char c = *json->at++;
		int32_t code;

		if ((unsigned char)c < 0x20) {
			return fail(json);
		}
		if (c != '\\') {
			if (!keep) {
				*to++ = c;
			}
			continue;
		}
		if (json->at == json->end) {
			return fail(json);
		}
		c = *json->at++;
		code = c == 'u' ? read_code(json) : plain_escape(c);
		if (code < 0 || (code == 0 && c != 'u')) {
			return fail(json);
		}
		if (!keep) {
			to = put_utf8(to, code);
		}
	}
	if (json->at == json->end) {
		return fail(json);
	}
	json->at++;
	*out = (struct swm_str){from, (size_t)(to - from)};
	return true;
}

bool swm_sqs_json_enter(struct swm_sqs_json *json, char bracket)
{
	if (!take(json, bracket)) {
		return fail(json);
	}
	json->fresh = true;
	return true;
}

/* Before the next member or item. False: the end. */
static bool next(struct swm_sqs_json *json, char closing)
{
	bool fresh = json->fresh;

	json->fresh = false;
	if (json->broken) {
		return false;
	}
	if (take(json, closing)) {
		return false;
	}
	if (!fresh && !take(json, ',')) {
		return fail(json);
	}
	return true;
}

bool swm_sqs_json_member(struct swm_sqs_json *json, struct swm_str *name)
{
	if (!next(json, '}')) {
		return false;
	}
	if (!take(json, '"') || !read_string(json, false, name) || !take(json, ':')) {
		return fail(json);
	}
	return true;
}

bool swm_sqs_json_item(struct swm_sqs_json *json)
{
	return next(json, ']');
}

bool swm_sqs_json_text(struct swm_sqs_json *json, struct swm_str *out)
{
	*out = (struct swm_str){0};
	if (peek(json) != '"') {
		return swm_sqs_json_skip(json);
	}
	json->at++;
	return read_string(json, false, out);
}

bool swm_sqs_json_is_false(struct swm_sqs_json *json)
{
	bool is_false = peek(json) == 'f';

	return swm_sqs_json_skip(json) && is_false;
}

static bool skip_digits(struct swm_sqs_json *json)
{
	char *from = json->at;

	while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
		json->at++;
	}
	return json->at > from;
}

static bool skip_number(struct swm_sqs_json *json)
{
	if (*json->at == '-') {
		json->at++;
	}
	if (!skip_digits(json)) {
		return fail(json);
	}
	if (json->at < json->end && *json->at == '.') {
		json->at++;
		if (!skip_digits(json)) {
			return fail(json);
		}
	}
	if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
		json->at++;
		if (json->at < json->end && (*json->at == '+' || *json->at == '-')) {
			json->at++;
		}
		if (!skip_digits(json)) {
			return fail(json);
		}
	}
	return true;
}

static bool skip_word(struct swm_sqs_json *json, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0) {
		return fail(json);
	}
	json->at += len;
	return true;
}

/* Anything but an object or an array. */
static bool skip_scalar(struct swm_sqs_json *json, char first)
{
	struct swm_str ignored;

	switch (first) {
	case '"':
		json->at++;
		return read_string(json, true, &ignored);
	case 't':
		return skip_word(json, "true");
	case 'f':
		return skip_word(json, "false");
	case 'n':
		return skip_word(json, "null");
	default:
		return first == 0 ? fail(json) : skip_number(json);
	}
}

/* The name of a member and its colon. */
static bool skip_name(struct swm_sqs_json *json)
{
	struct swm_str ignored;

	return (take(json, '"') && read_string(json, true, &ignored) && take(json, ':')) ||
	       fail(json);
}

bool swm_sqs_json_skip(struct swm_sqs_json *json)
{
	uint64_t objects = 0; /* a bit for each level: an object, not an array */
	unsigned depth = 0;

	do {
		char first = peek(json);

		if (first == '{' || first == '[') {
			if (depth == DEPTH_MAX) {
				return fail(json);
			}
			json->at++;
			json->fresh = true;
			depth++;
			objects = objects << 1 | (first == '{');
		} else if (!skip_scalar(json, first)) {
			return false;
		}
		while (depth > 0 && !next(json, (objects & 1) != 0 ? '}' : ']')) {
			if (json->broken) {
				return false;
			}
			depth--;
			objects >>= 1;
		}
		if (depth > 0 && (objects & 1) != 0 && !skip_name(json)) {
			return false;
		}
	} while (depth > 0);
	return !json->broken;
}

bool swm_sqs_json_is_object(struct swm_str text)
{
	/* Skipping keeps all as it is. */
	union {
		const char *in;
		char *out;
	} ptr = {.in = text.ptr};
	struct swm_sqs_json json;

	swm_sqs_json_init(&json, ptr.out, text.len);
	return peek(&json) == '{' && swm_sqs_json_skip(&json) && peek(&json) == 0 &&
	       json.at == json.end;
}
