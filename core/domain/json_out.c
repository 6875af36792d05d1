/* SPDX-License-Identifier: MIT */

/* The bounded writer: every function ends in put(), which never writes past cap. */

#include "json_out.h"

#include "swm_limits.h"
#include "text.h"

#include <assert.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most values are written in one go, without counting first. */
#define FIRST_TRY_BYTES 1024

void swm_json_out_init(struct swm_json_out *out, char *buf, size_t cap)
{
	out->buf = buf;
	out->cap = cap;
	out->len = 0;
}

bool swm_json_out_fits(const struct swm_json_out *out)
{
	return out->len <= out->cap;
}

void swm_json_out_raw(struct swm_json_out *out, const char *text, size_t len)
{
	if (out->len < out->cap && len) {
		size_t room = out->cap - out->len;
		memcpy(out->buf + out->len, text, len < room ? len : room);
	}
	out->len += len;
}

void swm_json_out_str(struct swm_json_out *out, struct swm_str text)
{
	swm_json_out_raw(out, text.ptr, text.len);
}

static void put_escape(struct swm_json_out *out, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";
	char escape[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
	size_t len = 2;
	switch (byte) {
	case '"':
	case '\\':
		escape[1] = (char)byte;
		break;
	case '\b':
		escape[1] = 'b';
		break;
	case '\f':
		escape[1] = 'f';
		break;
	case '\n':
		escape[1] = 'n';
		break;
	case '\r':
		escape[1] = 'r';
		break;
	case '\t':
		escape[1] = 't';
		break;
	default:
		len = sizeof(escape);
		break;
	}
	swm_json_out_raw(out, escape, len);
}

void swm_json_out_string(struct swm_json_out *out, struct swm_str text)
{
	size_t plain = 0;
	swm_json_out_raw(out, "\"", 1);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.ptr[i];
		if (byte < 0x20 || byte == '"' || byte == '\\') {
			swm_json_out_raw(out, text.ptr + plain, i - plain);
			put_escape(out, byte);
			plain = i + 1;
		}
	}
	if (plain < text.len) {
		swm_json_out_raw(out, text.ptr + plain, text.len - plain);
	}
	swm_json_out_raw(out, "\"", 1);
}

void swm_json_out_int(struct swm_json_out *out, int64_t value)
{
	char digits[21];
	size_t at = sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0) {
		digits[--at] = '-';
	}
	swm_json_out_raw(out, digits + at, sizeof(digits) - at);
}

void swm_json_out_real(struct swm_json_out *out, double value)
{
	char text[40];
	/* 17 digits always read back equal; mostly 15 do, since trailing zeros are left
	 * out. The subnormal ones near zero have fewer to begin with. */
	int fewest = value > -DBL_MIN && value < DBL_MIN ? 1 : DBL_DIG;
	for (int digits = fewest; digits <= DBL_DECIMAL_DIG; digits++) {
		(void)snprintf(text, sizeof(text) - 2, "%.*g", digits, value);
		double back = strtod(text, NULL);
		if (back == value) {
			break;
		}
	}
	size_t len = strlen(text);
	if (!strpbrk(text, ".e")) {
		memcpy(text + len, ".0", 2);
		len += 2;
	}
	swm_json_out_raw(out, text, len);
}

static void put_scalar(struct swm_json_out *out, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		swm_json_out_string(out,
			(struct swm_str){json_string_value(value), json_string_length(value)});
		break;
	case JSON_INTEGER:
		swm_json_out_int(out, json_integer_value(value));
		break;
	case JSON_REAL:
		swm_json_out_real(out, json_real_value(value));
		break;
	case JSON_TRUE:
		swm_json_out_raw(out, "true", 4);
		break;
	case JSON_FALSE:
		swm_json_out_raw(out, "false", 5);
		break;
	case JSON_NULL:
	case JSON_OBJECT:
	case JSON_ARRAY:
	default:
		swm_json_out_raw(out, "null", 4);
		break;
	}
}

/* An open array or object, and how far it has been written. */
struct level {
	json_t *container;
	size_t index;
	void *member; /* jansson's iterator, of an object */
};

static struct level enter(struct swm_json_out *out, json_t *container)
{
	swm_json_out_raw(out, json_is_array(container) ? "[" : "{", 1);
	return (struct level){container, 0, json_object_iter(container)};
}

/* The next value within, its separator and name written; NULL at the end. */
static json_t *next_value(struct swm_json_out *out, struct level *level)
{
	json_t *value = NULL;
	if (json_is_array(level->container)) {
		value = json_array_get(level->container, level->index);
	} else if (level->member) {
		value = json_object_iter_value(level->member);
	}
	if (!value) {
		return NULL;
	}
	if (level->index++) {
		swm_json_out_raw(out, ",", 1);
	}
	if (json_is_object(level->container)) {
		swm_json_out_string(out, swm_str_from(json_object_iter_key(level->member)));
		swm_json_out_raw(out, ":", 1);
		level->member = json_object_iter_next(level->container, level->member);
	}
	return value;
}

static bool is_container(const json_t *value)
{
	return json_is_array(value) || json_is_object(value);
}

void swm_json_out_value(struct swm_json_out *out, json_t *value)
{
	struct level levels[SWM_JSON_DEPTH_MAX + 1];
	size_t depth = 0;

	if (!is_container(value)) {
		put_scalar(out, value);
		return;
	}
	levels[depth++] = enter(out, value);
	while (depth) {
		struct level *level = &levels[depth - 1];
		json_t *inner = next_value(out, level);
		if (!inner) {
			swm_json_out_raw(out, json_is_array(level->container) ? "]" : "}", 1);
			depth--;
		} else if (is_container(inner)) {
			assert(depth < sizeof(levels) / sizeof(levels[0]));
			levels[depth++] = enter(out, inner);
		} else {
			put_scalar(out, inner);
		}
	}
}

char *swm_json_text(json_t *value, size_t *len)
{
	char first_try[FIRST_TRY_BYTES];
	struct swm_json_out out;
	swm_json_out_init(&out, first_try, sizeof(first_try));
	swm_json_out_value(&out, value);

	char *text = malloc(out.len + 1);
	if (!text) {
		return NULL;
	}
	*len = out.len;
	if (swm_json_out_fits(&out)) {
		memcpy(text, first_try, *len);
	} else {
		swm_json_out_init(&out, text, *len);
		swm_json_out_value(&out, value);
	}
	text[*len] = '\0';
	return text;
}
