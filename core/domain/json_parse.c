/* SPDX-License-Identifier: MIT */

/*
 * The reader: a cursor over the text and the stack of open arrays and objects. A
 * container is hung into its parent when it opens, so that the root owns all there is
 * at any time.
 */

#include "json_parse.h"

#include "swm_limits.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Most reals are far shorter; a longer one is copied to the heap. */
#define NUMBER_BYTES 64

struct reader {
	const char *begin;
	const char *at;
	const char *end;
	json_t *root;
	json_t *open[SWM_JSON_DEPTH_MAX];
	size_t depth;
	struct swm_str key; /* of the value that comes next, if within an object */
	char *key_memory;   /* holds the key when it had escapes */
	const char *key_at;
	struct swm_json_problem *problem;
};

static swm_status fail_at(struct reader *reader, const char *at, const char *what)
{
	reader->problem->at = (size_t)(at - reader->begin);
	reader->problem->what = what;
	return SWM_E_INVALID;
}

static swm_status fail(struct reader *reader, const char *what)
{
	return fail_at(reader, reader->at, reader->at < reader->end ? what : "ends too early");
}

/* The next byte behind white space; '\0' at the end. */
static char next_byte(struct reader *reader)
{
	while (reader->at < reader->end &&
		(*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' ||
			*reader->at == '\r')) {
		reader->at++;
	}
	if (reader->at == reader->end) {
		return '\0';
	}
	return *reader->at;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Four hex digits; -1: something else. */
static int32_t hex_value(const char *at, const char *end)
{
	int32_t value = 0;
	if (end - at < 4) {
		return -1;
	}
	for (int i = 0; i < 4; i++) {
		const char byte = at[i];
		value *= 16;
		if (is_digit(byte)) {
			value += byte - '0';
		} else if (byte >= 'a' && byte <= 'f') {
			value += byte - 'a' + 10;
		} else if (byte >= 'A' && byte <= 'F') {
			value += byte - 'A' + 10;
		} else {
			return -1;
		}
	}
	return value;
}

static char *put_code_point(char *out, int32_t code)
{
	if (code < 0x80) {
		*out++ = (char)code;
	} else if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
		*out++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

/* The code point of the \uXXXX, or of the pair of them, whose 'u' stands at *at; moves
 * *at behind it. -1: not one of ours. */
static int32_t take_code_point(const char **at, const char *end)
{
	int32_t code = hex_value(*at + 1, end);
	*at += 5;
	if (code >= 0xd800 && code <= 0xdbff) {
		if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') {
			return -1;
		}
		const int32_t low = hex_value(*at + 2, end);
		if (low < 0xdc00 || low > 0xdfff) {
			return -1;
		}
		*at += 6;
		return 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
	}
	return code == 0 || (code >= 0xdc00 && code <= 0xdfff) ? -1 : code;
}

bool swm_json_unescape(struct swm_str text, char *out, size_t *len)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *at = text.ptr;
	const char *end = text.ptr + text.len;
	char *to = out;

	while (at < end) {
		if (*at != '\\') {
			*to++ = *at++;
			continue;
		}
		at++;
		if (at < end && *at == 'u') {
			const int32_t code = take_code_point(&at, end);
			if (code < 0) {
				return false;
			}
			to = put_code_point(to, code);
			continue;
		}
		const char *letter =
			at < end ? memchr(letters, *at, sizeof(letters) - 1) : NULL;
		if (!letter) {
			return false;
		}
		*to++ = meant[letter - letters];
		at++;
	}
	*len = (size_t)(to - out);
	return true;
}

/* Moves behind the closing quote; *inside is what stands between the quotes. */
static swm_status scan_string(struct reader *reader, struct swm_str *inside, bool *escaped)
{
	const char *begin = ++reader->at;
	*inside = (struct swm_str){begin, 0};
	*escaped = false;
	while (reader->at < reader->end && *reader->at != '"') {
		const unsigned char byte = (unsigned char)*reader->at;
		if (byte == '\\') {
			*escaped = true;
			reader->at += reader->end - reader->at > 1 ? 2 : 1;
		} else if (byte < 0x20) {
			return fail(reader, "a control character in a string");
		} else if (byte < 0x80) {
			reader->at++;
		} else {
			const size_t bytes = swm_utf8_bytes(reader->at, reader->end);
			if (bytes == 0) {
				return fail(reader, "not UTF-8");
			}
			reader->at += bytes;
		}
	}
	if (reader->at >= reader->end) {
		return fail(reader, "");
	}
	*inside = (struct swm_str){begin, (size_t)(reader->at - begin)};
	reader->at++;
	return SWM_OK;
}

/* Takes the string that begins here. With escapes it lies in *memory, which the caller
 * frees, else in the text. */
static swm_status take_string(struct reader *reader, struct swm_str *out, char **memory)
{
	const char *begin = reader->at;
	bool escaped;
	swm_status status = scan_string(reader, out, &escaped);
	if (status != SWM_OK || !escaped) {
		return status;
	}
	char *copy = malloc(out->len + 1);
	if (!copy) {
		return SWM_E_NOMEM;
	}
	size_t len;
	/* A byte behind a backslash has not been looked at, but only ASCII passes here. */
	if (!swm_json_unescape(*out, copy, &len)) {
		free(copy);
		return fail_at(reader, begin, "an escape that JSON does not know");
	}
	*memory = copy;
	*out = (struct swm_str){copy, len};
	return SWM_OK;
}

static swm_status read_string(struct reader *reader, json_t **out)
{
	struct swm_str text = {NULL, 0};
	char *memory = NULL;
	swm_status status = take_string(reader, &text, &memory);
	if (status == SWM_OK) {
		*out = json_stringn_nocheck(text.ptr, text.len);
		free(memory);
	}
	return status == SWM_OK && !*out ? SWM_E_NOMEM : status;
}

/* The end of the number that begins at `at`; NULL: it is none. */
static const char *number_end(const char *at, const char *end, bool *real)
{
	at += *at == '-';
	if (at == end || !is_digit(*at)) {
		return NULL;
	}
	if (*at == '0' && end - at > 1 && is_digit(at[1])) {
		return NULL;
	}
	while (at < end && is_digit(*at)) {
		at++;
	}
	*real = false;
	if (at < end && *at == '.') {
		*real = true;
		const char *fraction = ++at;
		while (at < end && is_digit(*at)) {
			at++;
		}
		if (at == fraction) {
			return NULL;
		}
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		*real = true;
		at++;
		at += at < end && (*at == '+' || *at == '-');
		const char *exponent = at;
		while (at < end && is_digit(*at)) {
			at++;
		}
		if (at == exponent) {
			return NULL;
		}
	}
	return at;
}

static swm_status read_integer(struct reader *reader, const char *end, json_t **out)
{
	const bool negative = *reader->at == '-';
	int64_t value = 0; /* kept below zero, where there is room for one more */
	for (const char *at = reader->at + negative; at < end; at++) {
		const int digit = *at - '0';
		if (value < INT64_MIN / 10 || value * 10 < INT64_MIN + digit) {
			return fail(reader, "an integer outside 64 bits");
		}
		value = value * 10 - digit;
	}
	if (!negative && value == INT64_MIN) {
		return fail(reader, "an integer outside 64 bits");
	}
	*out = json_integer(negative ? value : -value);
	return *out ? SWM_OK : SWM_E_NOMEM;
}

static swm_status read_real(struct reader *reader, const char *end, json_t **out)
{
	char short_copy[NUMBER_BYTES];
	const size_t len = (size_t)(end - reader->at);
	char *copy = len < sizeof(short_copy) ? short_copy : malloc(len + 1);
	if (!copy) {
		return SWM_E_NOMEM;
	}
	memcpy(copy, reader->at, len);
	copy[len] = '\0';
	const double value = strtod(copy, NULL);
	if (copy != short_copy) {
		free(copy);
	}
	if (!isfinite(value)) {
		return fail(reader, "a real that is too large");
	}
	*out = json_real(value);
	return *out ? SWM_OK : SWM_E_NOMEM;
}

static swm_status read_number(struct reader *reader, json_t **out)
{
	bool real = false;
	const char *end = number_end(reader->at, reader->end, &real);
	if (!end) {
		return fail(reader, "not a number");
	}
	swm_status status = real ? read_real(reader, end, out) : read_integer(reader, end, out);
	if (status == SWM_OK) {
		reader->at = end;
	}
	return status;
}

static swm_status read_word(struct reader *reader, json_t **out)
{
	static const struct {
		char text[6];
		size_t len;
	} words[] = {{"null", 4}, {"true", 4}, {"false", 5}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((size_t)(reader->end - reader->at) >= words[i].len &&
			memcmp(reader->at, words[i].text, words[i].len) == 0) {
			*out = i == 0 ? json_null() : json_boolean(i == 1);
			reader->at += words[i].len;
			return SWM_OK;
		}
	}
	return fail(reader, "not a value");
}

/* Hangs the value, which is consumed, where it belongs. */
static swm_status put(struct reader *reader, json_t *value)
{
	if (reader->depth == 0) {
		reader->root = value;
		return SWM_OK;
	}
	json_t *parent = reader->open[reader->depth - 1];
	if (json_is_array(parent)) {
		return json_array_append_new(parent, value) == 0 ? SWM_OK : SWM_E_NOMEM;
	}
	const size_t before = json_object_size(parent);
	const int put_in =
		json_object_setn_new_nocheck(parent, reader->key.ptr, reader->key.len, value);
	free(reader->key_memory);
	reader->key_memory = NULL;
	if (put_in != 0) {
		return SWM_E_NOMEM;
	}
	return json_object_size(parent) > before
		       ? SWM_OK
		       : fail_at(reader, reader->key_at, "a key that was there before");
}

/* The key, its colon, and no further. */
static swm_status read_key(struct reader *reader)
{
	if (next_byte(reader) != '"') {
		return fail(reader, "not a key");
	}
	reader->key_at = reader->at;
	swm_status status = take_string(reader, &reader->key, &reader->key_memory);
	if (status == SWM_OK && next_byte(reader) != ':') {
		return fail(reader, "no colon behind a key");
	}
	reader->at += status == SWM_OK;
	return status;
}

/* Opens an array or object; the next thing is its first value or its end. */
static swm_status open_container(struct reader *reader, bool array, bool *value_next)
{
	if (reader->depth == SWM_JSON_DEPTH_MAX) {
		(void)fail(reader, "nested too deep");
		return SWM_E_TOO_LARGE;
	}
	json_t *container = array ? json_array() : json_object();
	if (!container) {
		return SWM_E_NOMEM;
	}
	swm_status status = put(reader, container);
	if (status != SWM_OK) {
		return status;
	}
	reader->open[reader->depth++] = container;
	reader->at++;
	*value_next = next_byte(reader) != (array ? ']' : '}');
	return *value_next && !array ? read_key(reader) : SWM_OK;
}

static swm_status read_value(struct reader *reader, bool *value_next)
{
	json_t *value = NULL;
	swm_status status;
	const char byte = next_byte(reader);
	if (byte == '{' || byte == '[') {
		return open_container(reader, byte == '[', value_next);
	}
	if (byte == '"') {
		status = read_string(reader, &value);
	} else if (byte == '-' || is_digit(byte)) {
		status = read_number(reader, &value);
	} else {
		status = read_word(reader, &value);
	}
	*value_next = false;
	return status == SWM_OK ? put(reader, value) : status;
}

/* Behind a value within a container: the next one, or the end of the container. */
static swm_status read_separator(struct reader *reader, bool *value_next)
{
	const bool array = json_is_array(reader->open[reader->depth - 1]);
	const char byte = next_byte(reader);
	if (byte == (array ? ']' : '}')) {
		reader->at++;
		reader->depth--;
		return SWM_OK;
	}
	if (byte != ',') {
		return fail(reader, array ? "neither a comma nor the end of an array"
					  : "neither a comma nor the end of an object");
	}
	reader->at++;
	*value_next = true;
	return array ? SWM_OK : read_key(reader);
}

swm_status swm_json_parse(struct swm_str text, json_t **out, struct swm_json_problem *problem)
{
	struct reader reader = {.begin = text.ptr,
		.at = text.ptr,
		.end = text.ptr + text.len,
		.problem = problem};
	bool value_next = true;
	swm_status status = SWM_OK;

	while (status == SWM_OK && (value_next || reader.depth > 0)) {
		status = value_next ? read_value(&reader, &value_next)
				    : read_separator(&reader, &value_next);
	}
	if (status == SWM_OK && (next_byte(&reader) != '\0' || reader.at < reader.end)) {
		status = fail(&reader, "something behind the end");
	}
	free(reader.key_memory);
	if (status != SWM_OK) {
		json_decref(reader.root);
		return status;
	}
	*out = reader.root;
	return SWM_OK;
}
