/* SPDX-License-Identifier: MIT */

/*
 * Our reader of JSON beside jansson's (2.14): the same verdict and the same value for
 * any bytes. The differences, all of them wanted:
 *
 * - what is nested deeper than SWM_JSON_DEPTH_MAX is refused here, and there only beyond
 *   2048;
 * - a zero byte is never JSON here, while jansson forgets one behind a number;
 * - jansson breaks when memory runs out, which is for test_alloc.c.
 */

#include "fuzz.h"

#include "json_parse.h"
#include "json_read.h"
#include "swm_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_BYTES 1024

static int32_t lines_of(struct swm_str text)
{
	int32_t lines = 1;

	for (size_t i = 0; i < text.len; i++) {
		lines += text.ptr[i] == '\n';
	}
	return lines;
}

static void append_key(char pointer[POINTER_BYTES], size_t *len, const char *key)
{
	pointer[(*len)++] = '/';
	for (; *key != '\0' && *len + 3 < POINTER_BYTES; key++) {
		if (*key == '~' || *key == '/') {
			pointer[(*len)++] = '~';
			pointer[(*len)++] = *key == '~' ? '0' : '1';
		} else {
			pointer[(*len)++] = *key;
		}
	}
	pointer[*len] = '\0';
}

/* Keys that the scanner shows as they stand: "cut, it is for people". */
static bool is_short(const char *key)
{
	return strlen(key) < 64;
}

/* Every member of the outermost value has a line, and no line is past the last. */
static void check_lines(struct swm_str text, json_t *value)
{
	const int32_t lines = lines_of(text);
	char pointer[POINTER_BYTES] = "";
	const char *key;
	json_t *member;
	size_t i;

	const int32_t first = swm_json_line(text, "");
	fuzz_that(first >= 1 && first <= lines, "the value begins at line %d", (int)first);
	json_object_foreach(value, key, member)
	{
		size_t len = 0;
		append_key(pointer, &len, key);
		const int32_t line = swm_json_line(text, pointer);
		fuzz_that((line >= first && line <= lines) || !is_short(key),
			"%s stands at line %d of %d", pointer, (int)line, (int)lines);
	}
	json_array_foreach(value, i, member)
	{
		(void)snprintf(pointer, sizeof(pointer), "/%zu", i);
		const int32_t line = swm_json_line(text, pointer);
		fuzz_that(line >= first && line <= lines, "%s stands at line %d of %d", pointer,
			(int)line, (int)lines);
		if (i == 8) {
			break; /* each look-up reads the text */
		}
	}
}

/* Wherever one asks, and whatever the text: a pointer that fits. */
static void check_pointers(struct swm_str text)
{
	for (size_t cap = 1; cap <= 64; cap *= 4) {
		char *pointer = fuzz_memory(cap);
		for (size_t at = 0; at <= text.len; at += 1 + text.len / 3) {
			swm_json_pointer_at(text, at, pointer, cap);
			const size_t len = strnlen(pointer, cap);
			fuzz_that(len < cap, "a pointer fills %zu bytes", cap);
			fuzz_that(len == 0 || pointer[0] == '/', "no pointer: %s", pointer);
		}
		free(pointer);
	}
}

static void check_read(struct swm_str text, swm_status expected, json_t *value)
{
	struct swm_error err = {0};
	json_t *read = NULL;
	const swm_status status = swm_json_read(text, text.len, &read, &err);

	fuzz_that(status == expected, "swm_json_read gives %d, the parser %d", (int)status,
		(int)expected);
	if (status == SWM_OK) {
		fuzz_that(fuzz_same(read, value), "read in two ways");
		check_lines(text, value);
	} else {
		fuzz_message(err.message, sizeof(err.message));
		fuzz_that(err.status == status, "the error says %d", (int)err.status);
		fuzz_that(text.len == 0 || (err.native >= 1 && err.native <= lines_of(text)),
			"line %d", (int)err.native);
	}
	json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct swm_str text = {(const char *)data, size};
	struct swm_json_problem problem = {SIZE_MAX, NULL};
	json_t *ours = NULL;
	json_t *theirs = fuzz_jansson(text);
	const swm_status status = swm_json_parse(text, &ours, &problem);

	if (status == SWM_OK) {
		fuzz_that(theirs != NULL, "jansson refuses it");
		fuzz_that(fuzz_same(ours, theirs), "jansson reads another value");
	} else {
		fuzz_that(ours == NULL, "a value of what was refused");
		fuzz_that(problem.at <= size && problem.what != NULL && *problem.what != '\0',
			"a problem at %zu of %zu bytes", problem.at, size);
	}
	if (status == SWM_E_TOO_LARGE) {
		fuzz_that(data[problem.at] == '[' || data[problem.at] == '{',
			"too deep at \"%c\"", data[problem.at]);
	} else if (status != SWM_OK) {
		fuzz_that(status == SWM_E_INVALID, "status %d", (int)status);
		fuzz_that(theirs == NULL || memchr(data, '\0', size) != NULL,
			"jansson takes it, not so ours: %s", problem.what);
	}
	check_read(text, status, ours);
	check_pointers(text);
	json_decref(ours);
	json_decref(theirs);
	return 0;
}
