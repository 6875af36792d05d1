/* SPDX-License-Identifier: MIT */

/*
 * Our writer of JSON: whatever value there is, jansson reads what was written as an
 * equal one, and so does our reader; cut to any size it is a prefix of the whole; and
 * reals are as short as they can be.
 *
 * An input that begins with '{' or '[' is the text of the value; else the value is
 * built from its bytes, with any string, number and real that can be in memory.
 */

#include "fuzz.h"

#include "json_out.h"
#include "json_read.h"
#include "swm_limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a byte of the input asks for. */
enum request {
	REQUEST_CLOSE,
	REQUEST_ARRAY,
	REQUEST_OBJECT,
	REQUEST_STRING,
	REQUEST_INTEGER,
	REQUEST_REAL,
	REQUEST_SMALL_REAL, /* n / 100, as prices are */
	REQUEST_WORD,
	REQUEST_COUNT
};

struct builder {
	struct fuzz_bytes bytes;
	json_t *open[SWM_JSON_DEPTH_MAX];
	size_t depth;
};

/* The next bytes as a string; what is not UTF-8 is taken for Latin-1. */
static json_t *take_string(struct builder *builder)
{
	const struct swm_str text = fuzz_text(&builder->bytes, fuzz_byte(&builder->bytes));
	json_t *string = json_stringn(text.ptr != NULL ? text.ptr : "", text.len);

	if (string == NULL) {
		char wide[512];
		size_t len = 0;
		for (size_t i = 0; i < text.len; i++) {
			const unsigned char byte = (unsigned char)text.ptr[i];
			if (byte >= 0x80) {
				wide[len++] = (char)(0xc0 | byte >> 6);
			}
			wide[len++] = (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte);
		}
		string = json_stringn(wide, len);
	}
	fuzz_that(string != NULL, "no string");
	return string;
}

static json_t *take_real(struct builder *builder)
{
	const uint64_t bits = fuzz_word(&builder->bytes, 8);
	double real;

	memcpy(&real, &bits, sizeof(real));
	return json_real(isfinite(real) ? real : 0.1);
}

static json_t *take_value(struct builder *builder, enum request request)
{
	switch (request) {
	case REQUEST_ARRAY:
		return json_array();
	case REQUEST_OBJECT:
		return json_object();
	case REQUEST_STRING:
		return take_string(builder);
	case REQUEST_INTEGER:
		return json_integer((json_int_t)fuzz_word(&builder->bytes, 8));
	case REQUEST_REAL:
		return take_real(builder);
	case REQUEST_SMALL_REAL:
		return json_real((double)(int16_t)fuzz_word(&builder->bytes, 2) / 100);
	case REQUEST_WORD:
		switch (fuzz_byte(&builder->bytes) % 3) {
		case 0:
			return json_null();
		case 1:
			return json_true();
		default:
			return json_false();
		}
	case REQUEST_CLOSE:
	case REQUEST_COUNT:
	default:
		return NULL;
	}
}

/* Hangs the value into the innermost open container, which gives it a key if it is an
 * object. jansson allows no zero byte in a key. */
static void hang(struct builder *builder, json_t *value)
{
	json_t *parent = builder->open[builder->depth - 1];

	if (json_is_array(parent)) {
		fuzz_that(json_array_append_new(parent, value) == 0, "no memory");
		return;
	}
	json_t *key = take_string(builder);
	fuzz_that(json_object_set_new_nocheck(parent, json_string_value(key), value) == 0,
		"no memory");
	json_decref(key);
}

static json_t *build(struct fuzz_bytes bytes)
{
	struct builder builder = {.bytes = bytes};
	json_t *root = json_array();

	builder.open[builder.depth++] = root;
	while (builder.bytes.at < builder.bytes.end && builder.depth > 0) {
		const enum request request =
			(enum request)(fuzz_byte(&builder.bytes) % REQUEST_COUNT);
		json_t *value = take_value(&builder, request);
		if (value == NULL) {
			builder.depth--;
			continue;
		}
		const bool container = json_is_array(value) || json_is_object(value);
		if (container && builder.depth == SWM_JSON_DEPTH_MAX) {
			json_decref(value);
			continue;
		}
		hang(&builder, value);
		if (container) {
			builder.open[builder.depth++] = value;
		}
	}
	return root;
}

/* As many digits as it takes, and not one more. */
static void check_real(double real)
{
	char text[64];
	char fewer[400];
	struct swm_json_out out;
	int digits = 0;
	int zeros = 0; /* at the end of the digits so far */

	swm_json_out_init(&out, text, sizeof(text) - 1);
	swm_json_out_real(&out, real);
	fuzz_that(swm_json_out_fits(&out), "a real of %zu bytes", out.len);
	text[out.len] = '\0';
	fuzz_that(strpbrk(text, ".e") != NULL, "%s has become an integer", text);
	const double back = strtod(text, NULL);
	fuzz_that(back <= real && back >= real && signbit(back) == signbit(real),
		"%s is not %a", text, real);
	for (const char *at = text; *at != '\0' && *at != 'e'; at++) {
		if (*at >= '0' && *at <= '9' && (digits > 0 || *at != '0')) {
			digits++;
			zeros = *at == '0' ? zeros + 1 : 0;
		}
	}
	digits -= zeros;
	if (digits > 1) {
		(void)snprintf(fewer, sizeof(fewer), "%.*g", digits - 1, real);
		const double other = strtod(fewer, NULL);
		fuzz_that(other < real || other > real, "%s would do for %s", fewer, text);
	}
}

static bool has_zero_byte(const char *text)
{
	const char *at = strstr(text, "\\u0000");

	while (at != NULL) {
		size_t backslashes = 0;
		while (at - backslashes > text && at[-(ptrdiff_t)backslashes - 1] == '\\') {
			backslashes++;
		}
		if (backslashes % 2 == 0) {
			return true;
		}
		at = strstr(at + 1, "\\u0000");
	}
	return false;
}

static void check_cut(json_t *value, const char *whole, size_t len, size_t cap)
{
	struct swm_json_out out;
	char *room = fuzz_memory(cap);

	swm_json_out_init(&out, room, cap);
	swm_json_out_value(&out, value);
	fuzz_that(out.len == len, "%zu bytes, at another time %zu", len, out.len);
	fuzz_that(swm_json_out_fits(&out) == (len <= cap), "%zu bytes in %zu", len, cap);
	fuzz_that(memcmp(room, whole, len < cap ? len : cap) == 0, "not its beginning");
	free(room);
}

static void check_value(json_t *value, size_t cut)
{
	size_t len = 0;
	char *text = swm_json_text(value, &len);
	struct swm_error err = {0};
	json_t *ours = NULL;

	fuzz_that(text != NULL && strlen(text) == len, "%zu bytes written", len);
	const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	json_t *theirs = json_loadb(text, len, flags, NULL);
	fuzz_that(theirs != NULL, "jansson cannot read %s", text);
	fuzz_that(fuzz_same(theirs, value), "jansson reads another value: %s", text);
	json_decref(theirs);

	const swm_status status = swm_json_read((struct swm_str){text, len}, len, &ours, &err);
	const bool zero = has_zero_byte(text);
	fuzz_that(status == (zero ? SWM_E_INVALID : SWM_OK), "status %d: %s: %s", (int)status,
		err.message, text);
	if (!zero) {
		fuzz_that(fuzz_same(ours, value), "another value: %s", text);
		size_t again_len = 0;
		char *again = swm_json_text(ours, &again_len);
		fuzz_that(again_len == len && memcmp(again, text, len) == 0,
			"written anew it is %s, not %s", again, text);
		free(again);
	}
	json_decref(ours);
	check_cut(value, text, len, cut % (len + 2));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = {data, data + size};
	json_t *value;

	if (size > 0 && (data[0] == '{' || data[0] == '[')) {
		const struct swm_str text = {(const char *)data, size};
		struct swm_error err;
		value = NULL;
		if (swm_json_read(text, size, &value, &err) != SWM_OK) {
			return 0;
		}
		check_value(value, size * 7);
	} else {
		const size_t cut = (size_t)fuzz_word(&bytes, 2);
		const struct fuzz_bytes first = bytes;
		value = build(first);
		check_value(value, cut);
		json_t *real = take_real(&(struct builder){.bytes = bytes});
		check_real(json_real_value(real));
		json_decref(real);
	}
	json_decref(value);
	return 0;
}
