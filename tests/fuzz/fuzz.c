/* SPDX-License-Identifier: MIT */

/* See fuzz.h. */

#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_complain(const char *file, int line, const char *condition, const char *fmt, ...)
{
	va_list args;

	(void)fprintf(stderr, "%s:%d: not true: %s: ", file, line, condition);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

void *fuzz_memory(size_t size)
{
	void *memory = malloc(size > 0 ? size : 1);

	fuzz_that(memory != NULL, "no memory for %zu bytes", size);
	return memory;
}

char *fuzz_copy(struct swm_str text)
{
	char *copy = fuzz_memory(text.len + 1);

	if (text.len > 0) {
		memcpy(copy, text.ptr, text.len);
	}
	copy[text.len] = '\0';
	return copy;
}

uint8_t fuzz_byte(struct fuzz_bytes *bytes)
{
	return bytes->at < bytes->end ? *bytes->at++ : 0;
}

uint64_t fuzz_word(struct fuzz_bytes *bytes, size_t count)
{
	uint64_t word = 0;

	for (size_t i = 0; i < count; i++) {
		word = word << 8 | fuzz_byte(bytes);
	}
	return word;
}

struct swm_str fuzz_text(struct fuzz_bytes *bytes, size_t len)
{
	const size_t left = (size_t)(bytes->end - bytes->at);
	const struct swm_str text = {(const char *)bytes->at, len < left ? len : left};

	bytes->at += text.len;
	return text;
}

struct swm_str fuzz_rest(struct fuzz_bytes *bytes)
{
	return fuzz_text(bytes, SIZE_MAX);
}

json_t *fuzz_jansson(struct swm_str text)
{
	const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;

	return text.len > 0 ? json_loadb(text.ptr, text.len, flags, NULL) : NULL;
}

bool fuzz_same(const json_t *a, const json_t *b)
{
	char *first = json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT);
	char *second = json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT);

	fuzz_that(first != NULL && second != NULL, "jansson cannot write what was read");
	const bool same = json_equal(a, b) && strcmp(first, second) == 0;
	free(first);
	free(second);
	return same;
}

bool fuzz_utf8(const char *text)
{
	json_t *string = json_string(text);
	const bool is = string != NULL;

	json_decref(string);
	return is;
}

void fuzz_message(const char *text, size_t cap)
{
	const size_t len = strnlen(text, cap);

	fuzz_that(len > 0 && len < cap, "a message of %zu bytes", len);
	fuzz_that(memchr(text, '\n', len) == NULL, "a message of two lines: %s", text);
	fuzz_that(fuzz_utf8(text), "not UTF-8: %s", text);
}
