/* SPDX-License-Identifier: MIT */
/*
 * JSON in and out: what we write jansson must read back equal, reals take the shortest
 * text, and what is refused is refused with its place.
 */

#include "support.h"

#include <float.h>
#include <math.h>

static double real_of_bits(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Digits of a real's text that count: without sign, leading and trailing zeros. */
static int digits_of(const char *text)
{
	int digits = 0;
	int zeros = 0;

	for (; *text != '\0' && *text != 'e' && *text != 'E'; text++) {
		if (*text == '0' && digits > 0) {
			zeros++;
		} else if (*text > '0' && *text <= '9') {
			digits += zeros + 1;
			zeros = 0;
		}
	}
	return digits;
}

/* The fewest significant digits that read back equal. */
static int fewest_digits(double value)
{
	char text[64];

	for (int precision = 1; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision - 1, value);
		if (strtod(text, NULL) == value) {
			return digits_of(text);
		}
	}
	snprintf(text, sizeof(text), "%.16e", value);
	return digits_of(text);
}

static void check_real(double value)
{
	char text[64];
	struct swm_json_out out;
	json_error_t error;

	swm_json_out_init(&out, text, sizeof(text) - 1);
	swm_json_out_real(&out, value);
	assert_true(swm_json_out_fits(&out));
	text[out.len] = '\0';
	const double back = strtod(text, NULL);
	if (back != value || signbit(back) != signbit(value)) {
		fail_msg("%.17g is written as %s", value, text);
	}
	if (digits_of(text) > fewest_digits(value)) {
		fail_msg("%.17g is written as %s: not the shortest", value, text);
	}
	json_t *read = json_loads(text, JSON_DECODE_ANY, &error);
	if (!json_is_real(read) || json_real_value(read) != value) {
		fail_msg("%s is not the real %.17g to a reader", text, value);
	}
	json_decref(read);
}

static void test_reals(void **state)
{
	static const double rows[] = {0.0, -0.0, 0.1, 0.2, 0.3, 19.99, 1.0, -1.0, 100.0, 1e2,
		1e15, 1e16, 1e17, 1e21, 1e22, 1e23, 1e300, 5e-324, 1e-7, 1e-5, 123456789.125,
		DBL_MAX, -DBL_MAX, DBL_MIN, DBL_EPSILON, 9007199254740993.0, 0.1 + 0.2,
		1.0 / 3.0, 2.2250738585072011e-308, 1.7976931348623157e308, 4.35, 1e-300};
	uint64_t noise = 20;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check_real(rows[i]);
	}
	for (int i = 0; i < 20000; i++) {
		const double value = real_of_bits(noise_next(&noise));
		if (isfinite(value)) {
			check_real(value);
		}
		check_real((double)(int64_t)(noise_next(&noise) % 2000000) / 100.0);
	}
}

static void check_text(json_t *value, const char *expected)
{
	size_t len = 0;
	char *text = swm_json_text(value, &len);

	assert_non_null(text);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, expected);
	free(text);
	json_decref(value);
}

static void test_texts(void **state)
{
	(void)state;
	check_text(json_real(0.1), "0.1");
	check_text(json_real(19.99), "19.99");
	check_text(json_real(1.0), "1.0");
	check_text(json_real(-0.0), "-0.0");
	check_text(json_integer(0), "0");
	check_text(json_integer(INT64_MAX), "9223372036854775807");
	check_text(json_integer(INT64_MIN), "-9223372036854775808");
	check_text(json_true(), "true");
	check_text(json_false(), "false");
	check_text(json_null(), "null");
	check_text(json_string(""), "\"\"");
	check_text(json_string("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	check_text(json_string("\xc3\xa9\xf0\x9f\x8d\x95\x7f"),
		"\"\xc3\xa9\xf0\x9f\x8d\x95\x7f\"");
	check_text(json_object(), "{}");
	check_text(json_array(), "[]");
	check_text(json_pack("{s:i,s:[i,{s:n},[]],s:{}}", "z", 1, "a", 2, "n", "e"),
		"{\"z\":1,\"a\":[2,{\"n\":null},[]],\"e\":{}}");
	check_text(json_pack("{s:i}", "a\n\"", 1), "{\"a\\n\\\"\":1}");
}

/* Each byte below 0x20 comes back as it went. */
static void test_controls(void **state)
{
	char text[33];
	json_error_t error;

	(void)state;
	for (int i = 0; i < 31; i++) {
		text[i] = (char)(i + 1);
	}
	text[31] = '\0';
	json_t *value = json_string(text);
	size_t len = 0;
	char *written = swm_json_text(value, &len);
	for (size_t i = 0; i < len; i++) {
		assert_true((unsigned char)written[i] >= 0x20);
	}
	json_t *read = json_loadb(written, len, JSON_DECODE_ANY, &error);
	assert_true(json_equal(read, value));
	json_decref(read);
	json_decref(value);
	free(written);
}

static json_t *random_string(uint64_t *noise)
{
	static const char *const pieces[] = {"a", "\"", "\\", "/", "\n", "\t", "\x01", "\x1f",
		"\x7f", "\xc3\xa9", "\xe2\x80\xa8", "\xf0\x9f\x8d\x95", " ", "0"};
	char text[128] = "";
	size_t len = 0;

	for (uint64_t i = noise_next(noise) % 12; i > 0; i--) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
			pieces[noise_next(noise) % COUNT_OF(pieces)]);
	}
	return json_string(text);
}

static json_t *random_scalar(uint64_t *noise)
{
	switch (noise_next(noise) % 7) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(noise_next(noise) % 2);
	case 2:
		return json_integer((json_int_t)noise_next(noise));
	case 3:
		return json_integer((json_int_t)(noise_next(noise) % 200) - 100);
	case 4: {
		const double value = real_of_bits(noise_next(noise));
		return json_real(isfinite(value) ? value : 0.5);
	}
	case 5:
		return json_real((double)(noise_next(noise) % 100000) / 100.0);
	default:
		return random_string(noise);
	}
}

/* Grows a tree by hanging new values into containers picked at random. */
static json_t *random_value(uint64_t *noise)
{
	json_t *containers[24];
	int depths[24];
	size_t count = 1;

	containers[0] = noise_next(noise) % 2 ? json_object() : json_array();
	depths[0] = 1;
	json_t *root = containers[0];
	for (uint64_t i = noise_next(noise) % 40; i > 0; i--) {
		const size_t at = noise_next(noise) % count;
		const bool nested = noise_next(noise) % 3 == 0 && count < 24 && depths[at] < 31;
		json_t *value = !nested                      ? random_scalar(noise)
				: noise_next(noise) % 2 == 0 ? json_object()
							     : json_array();

		if (nested) {
			containers[count] = value;
			depths[count] = depths[at] + 1;
		}
		if (json_is_array(containers[at])) {
			json_array_append_new(containers[at], value);
		} else {
			/* A key of its own, so that no container is dropped. */
			char key[160];
			json_t *prefix = random_string(noise);
			snprintf(key, sizeof(key), "%s%zu", json_string_value(prefix),
				json_object_size(containers[at]));
			json_decref(prefix);
			json_object_set_new(containers[at], key, value);
		}
		count += nested;
	}
	return root;
}

static void test_round_trip(void **state)
{
	uint64_t noise = 7;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		json_t *value = random_value(&noise);
		size_t len = 0;
		struct swm_error err = {0};
		char *text = swm_json_text(value, &len);
		json_t *read = NULL;

		assert_non_null(text);
		assert_int_equal(
			swm_json_read((struct swm_str){text, len}, len, &read, &err), SWM_OK);
		if (!json_equal(read, value)) {
			fail_msg("not the same value: %s", text);
		}
		size_t again_len = 0;
		char *again = swm_json_text(read, &again_len);
		assert_string_equal(again, text);
		free(again);
		free(text);
		json_decref(read);
		json_decref(value);
	}
}

/* Past the end of the buffer it only counts. */
static void test_bounds(void **state)
{
	uint64_t noise = 11;

	(void)state;
	for (int i = 0; i < 200; i++) {
		json_t *value = random_value(&noise);
		size_t len = 0;
		char *text = swm_json_text(value, &len);
		const size_t cap = noise_next(&noise) % (len + 2);
		char *buf = malloc(cap + 1); /* exactly: a sanitizer sees one byte too many */
		struct swm_json_out out;

		swm_json_out_init(&out, buf, cap);
		swm_json_out_value(&out, value);
		assert_int_equal(out.len, len);
		assert_int_equal(swm_json_out_fits(&out), len <= cap);
		if (len <= cap) {
			assert_memory_equal(buf, text, len);
		}
		free(buf);
		free(text);
		json_decref(value);
	}
	struct swm_json_out out;
	swm_json_out_init(&out, NULL, 0);
	assert_true(swm_json_out_fits(&out));
	swm_json_out_int(&out, -5);
	assert_int_equal(out.len, 2);
	assert_false(swm_json_out_fits(&out));
}

/* jansson's own reader is the judge of what is JSON, and of what it means. */
static void check_judged(struct swm_str text)
{
	json_error_t error;
	struct swm_error err = {0};
	json_t *ours = NULL;
	json_t *judged = json_loadb(
		text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	const swm_status status = swm_json_read(text, SIZE_MAX, &ours, &err);

	if ((status == SWM_OK) != (judged != NULL)) {
		fail_msg("%.*s\n  we say %d \"%s\", jansson \"%s\"", (int)text.len, text.ptr,
			(int)status, err.message, judged != NULL ? "fine" : error.text);
	}
	if (status == SWM_OK && !json_equal(ours, judged)) {
		fail_msg("%.*s\n  is read as something else", (int)text.len, text.ptr);
	}
	json_decref(ours);
	json_decref(judged);
}

static void test_judged(void **state)
{
	static const char *const rows[] = {"0", "-0", "-", "-a", "00", "01", "-01", "1.",
		"1.e1", ".1", "1e", "1e+", "1e+5", "1E-5", "0.0", "-0.0e0", "1.5e400",
		"-1.5e400", "1e-999", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", "-9223372036854775809", "92233720368547758070",
		"123456789012345678901234567890",
		"0.10000000000000000000000000000000000000000000000000000000000000000001",
		"true", "truee", "tru", "null", "nullnull", "\"\"", "\"\\\"", "\"\\\\\"",
		"\"\\u00e9\"", "\"\\uD83C\\uDF55\"", "\"\\uD83C\"", "\"\\uDF55\"",
		"\"\\uD83Cx\"", "\"\\uD83C\\u0041\"", "\"\\u12\"", "\"\\u123g\"", "\"\\x\"",
		"\"\\u\"", "\"\\", "\"\\\xc3\xa9\"", "\"\\b\\f\\n\\r\\t\\/\"",
		"\"\xf4\x90\x80\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xe0\x9f\xbf\"",
		"\"\xc1\xbf\"", "\"\xf5\x80\x80\x80\"", "\"\xee\x80\x80\"", "[", "]", "[]",
		"[,]", "[1,]", "[1 2]", "[1}", "{}", "{,}", "{1:2}", "{\"a\"}", "{\"a\":}",
		"{\"a\":1 \"b\":2}", "{\"a\":1]", "{\"\":1}", "{\"a\":{},\"a\":1}",
		"{\"\\u0061\":1,\"a\":2}", "\t[\r\n1 ]\v", "\f1", "1 ", " ", "[[],[[]],{}]"};
	uint64_t noise = 99;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check_judged(str(rows[i]));
	}
	for (int i = 0; i < 20000; i++) {
		static const char letters[] = "{}[]\",:\\u0129aeE+-. \ntrue\x80\xc3\xa9";
		json_t *value = random_value(&noise);
		size_t len = 0;
		char *text = swm_json_text(value, &len);
		for (uint64_t n = noise_next(&noise) % 3; n > 0; n--) {
			text[noise_next(&noise) % len] =
				letters[noise_next(&noise) % (sizeof(letters) - 1)];
		}
		check_judged((struct swm_str){text, len - noise_next(&noise) % 2});
		free(text);
		json_decref(value);
	}
}

static void check_refused(
	const char *text, size_t len, swm_status status, const char *in_message)
{
	struct swm_error err = {0};
	json_t *out = (json_t *)&err;
	const swm_status got = swm_json_read((struct swm_str){text, len}, 4096, &out, &err);

	if (got != status) {
		fail_msg("%s: status %d, not %d", text, (int)got, (int)status);
	}
	assert_ptr_equal(out, (json_t *)&err);
	assert_true(err.message[0] != '\0');
	if (in_message != NULL && strstr(err.message, in_message) == NULL) {
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, in_message);
	}
}

/* A message stands in logs and in the store, which take lines of UTF-8: what it quotes of
 * a broken text must not make it something else. */
static void test_refused_in_one_line(void **state)
{
	static const char *const rows[] = {
		"{\"a\nb\":1}",
		"{\"a\xe9\":1}",
		"{\"k\x01\x1b[31m{\n\xf0\x9f\":[}",
	};
	struct swm_error err = {0};
	json_t *out = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(swm_json_read(str(rows[i]), 4096, &out, &err), SWM_E_INVALID);
		assert_null(strpbrk(err.message, "\n\x01\x1b"));
		json_t *text = json_string(err.message);
		assert_non_null(text);
		json_decref(text);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *in_message;
	} rows[] = {
		{"", NULL},
		{" ", NULL},
		{"{", NULL},
		{"{\"a\":1,}", NULL},
		{"{\"a\":1}x", NULL},
		{"{\"a\":1}{}", NULL},
		{"[1,2", NULL},
		{"nul", NULL},
		{"{\"a\":NaN}", NULL},
		{"{\"a\":01}", NULL},
		{"{'a':1}", NULL},
		{"[1] // note", NULL},
		{"\xef\xbb\xbf{}", NULL},
		{"{\"a\":1e999}", "/a"},
		{"{\"a\":{\"b\":9223372036854775808}}", "/a/b"},
		{"{\"a\":[1,-9223372036854775809]}", "/a/1"},
		{"[{\"x/y\":{\"~\":99999999999999999999}}]", "/0/x~1y/~0"},
		{"{\"a\":1,\"a\":2}", "a"},
		{"{\"o\":{\"b\":1,\"c\":2,\"b\":3}}", "/o"},
		{"{\"a\":\"\xff\"}", NULL},
		{"{\"a\":\"\xc3\"}", NULL},
		{"{\"a\":\"\xed\xa0\x80\"}", NULL},
		{"{\"a\":\"\xc0\x80\"}", NULL},
		{"{\"a\":\"\\ud800\"}", NULL},
		{"{\"a\":\"\\ud800abcdef\"}", NULL},
		{"{\"a\":\"\\ud800\\nabcdef\"}", NULL},
		{"{\"a\":\"\\ud800\\ue000\"}", NULL},
		{"{\"a\":\"\\udc00\"}", NULL},
		{"{\"a\":\"\\u0000\"}", NULL},
		{"{\"a\":\"\n\"}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check_refused(
			rows[i].text, strlen(rows[i].text), SWM_E_INVALID, rows[i].in_message);
	}
	check_refused("{}\0", 3, SWM_E_INVALID, NULL);
	check_refused("[\"\0\"]", 5, SWM_E_INVALID, NULL);
	check_refused("{\n\"a\": 1,\n\"b\": }", 16, SWM_E_INVALID, "3");
}

static void test_limits(void **state)
{
	char text[256];
	struct swm_error err = {0};
	json_t *out = NULL;

	(void)state;
	for (int depth = SWM_JSON_DEPTH_MAX - 1; depth <= SWM_JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		const struct swm_str bytes = {text, (size_t)depth * 2};
		if (depth > SWM_JSON_DEPTH_MAX) {
			check_refused(text, bytes.len, SWM_E_TOO_LARGE, NULL);
			continue;
		}
		assert_int_equal(swm_json_read(bytes, 4096, &out, &err), SWM_OK);
		json_decref(out);
	}
	/* Brackets within strings are no depth. */
	text[0] = '"';
	memset(text + 1, '[', 100);
	memcpy(text + 20, "\\\"", 2);
	text[101] = '"';
	assert_int_equal(swm_json_read((struct swm_str){text, 102}, 4096, &out, &err), SWM_OK);
	json_decref(out);
	assert_int_equal(swm_json_read(str("[1,2]"), 5, &out, &err), SWM_OK);
	json_decref(out);
	out = NULL;
	assert_int_equal(swm_json_read(str("[1,2]"), 4, &out, &err), SWM_E_TOO_LARGE);
	assert_null(out);
	assert_int_equal(swm_json_read(str("[1,2"), 9, &out, NULL), SWM_E_INVALID);
}

static void test_line(void **state)
{
	static const char text[] = "{\n"
				   " \"a\": [1,\n"
				   "  2, {\"b\":\n"
				   "   null}],\n"
				   " \"x/y\": {\"~\": \"a\\\"}\"}, \"e\": {},\n"
				   "\n"
				   " \"\\u0061b\": 3}";
	static const struct {
		const char *pointer;
		int32_t line;
	} rows[] = {{"", 1}, {"/a", 2}, {"/a/0", 2}, {"/a/1", 3}, {"/a/2", 3}, {"/a/2/b", 4},
		{"/x~1y", 5}, {"/x~1y/~0", 5}, {"/e", 5}, {"/ab", 7}, {"/a/3", 0}, {"/nope", 0},
		{"/a/2/b/c", 0}, {"/a/x", 0}, {"/e/", 0}, {"a", 0}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const int32_t line = swm_json_line(str(text), rows[i].pointer);
		if (line != rows[i].line) {
			fail_msg("\"%s\" at line %d, not %d", rows[i].pointer, (int)line,
				(int)rows[i].line);
		}
	}
}

static void check_pointer(const char *text, const char *mark, const char *pointer)
{
	char out[64];
	const char *at = strstr(text, mark);

	assert_non_null(at);
	swm_json_pointer_at(str(text), (size_t)(at - text), out, sizeof(out));
	if (strcmp(out, pointer) != 0) {
		fail_msg("%s in %s: \"%s\", not \"%s\"", mark, text, out, pointer);
	}
}

static void test_pointer(void **state)
{
	char out[64] = "x";

	(void)state;
	check_pointer("{\"a\":{\"b\":[1,2,777]}}", "777", "/a/b/2");
	check_pointer("{\"a\":1,\"c\":777}", "777", "/c");
	check_pointer("{\"x/y\":{\"~\":777}}", "777", "/x~1y/~0");
	check_pointer("[[],[1,[777", "777", "/1/1/0");
	check_pointer("{\"a\":[{},{\"k\":777", "777", "/a/1/k");
	check_pointer("{\"]\":[\"}\",777]}", "777", "/]/1");
	swm_json_pointer_at(str("777"), 1, out, sizeof(out));
	assert_string_equal(out, "");
	/* Any text, any place, any room: it ends, terminated. */
	uint64_t noise = 3;
	for (int i = 0; i < 5000; i++) {
		static const char letters[] = "{}[]\",:\\a1 \n";
		char text[40];
		for (size_t at = 0; at < sizeof(text); at++) {
			text[at] = letters[noise_next(&noise) % (sizeof(letters) - 1)];
		}
		const size_t cap = 1 + noise_next(&noise) % 12;
		char *exact = malloc(cap);
		memset(exact, 'z', cap);
		swm_json_pointer_at((struct swm_str){text, sizeof(text)},
			noise_next(&noise) % 60, exact, cap);
		assert_true(strnlen(exact, cap) < cap);
		free(exact);
	}
}

static void test_get(void **state)
{
	json_t *object = json_pack("{s:s,s:i,s:s}", "a", "text", "b", 1, "c", "");
	struct swm_str out = {"keep", 4};

	(void)state;
	assert_true(swm_json_get_str(object, "a", &out));
	assert_str(out, "text");
	assert_false(swm_json_get_str(object, "b", &out));
	assert_false(swm_json_get_str(object, "none", &out));
	assert_str(out, "text");
	assert_true(swm_json_get_str(object, "c", &out));
	assert_int_equal(out.len, 0);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reals),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_judged),
		cmocka_unit_test(test_refused_in_one_line),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_pointer),
		cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
