/* SPDX-License-Identifier: MIT */

/* See text.h. */

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256

void swm_sqs_text_finish(struct swm_sqs_text *text)
{
	free(text->ptr);
	*text = (struct swm_sqs_text){0};
}

void swm_sqs_text_reset(struct swm_sqs_text *text)
{
	text->len = 0;
	text->failed = false;
	if (text->ptr != NULL) {
		text->ptr[0] = '\0';
	}
}

static bool grow(struct swm_sqs_text *text, size_t more)
{
	size_t room = text->room < ROOM_FIRST ? ROOM_FIRST : text->room;
	char *ptr;

	if (more >= SIZE_MAX / 2 - text->len) {
		return false;
	}
	while (room < text->len + more + 1) {
		room *= 2;
	}
	if (room == text->room) {
		return true;
	}
	ptr = realloc(text->ptr, room);
	if (ptr == NULL) {
		return false;
	}
	text->ptr = ptr;
	text->room = room;
	return true;
}

void swm_sqs_text_add(struct swm_sqs_text *text, const void *bytes, size_t len)
{
	if (text->failed || !grow(text, len)) {
		text->failed = true;
		return;
	}
	if (len != 0) {
		memcpy(text->ptr + text->len, bytes, len);
	}
	text->len += len;
	text->ptr[text->len] = '\0';
}

void swm_sqs_text_say(struct swm_sqs_text *text, const char *words)
{
	swm_sqs_text_add(text, words, strlen(words));
}

void swm_sqs_text_number(struct swm_sqs_text *text, int64_t number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRId64, number);

	swm_sqs_text_add(text, digits, (size_t)len);
}

static void add_escape(struct swm_sqs_text *text, unsigned char c)
{
	char escape[8];
	int len;

	if (c == '"' || c == '\\') {
		len = snprintf(escape, sizeof(escape), "\\%c", c);
	} else {
		len = snprintf(escape, sizeof(escape), "\\u%04x", c);
	}
	swm_sqs_text_add(text, escape, (size_t)len);
}

void swm_sqs_text_quote(struct swm_sqs_text *text, struct swm_str string)
{
	size_t begun = 0;
	size_t i;

	swm_sqs_text_add(text, "\"", 1);
	for (i = 0; i < string.len; i++) {
		unsigned char c = (unsigned char)string.ptr[i];

		if (c < 0x20 || c == '"' || c == '\\') {
			swm_sqs_text_add(text, string.ptr + begun, i - begun);
			add_escape(text, c);
			begun = i + 1;
		}
	}
	if (string.len > begun) {
		swm_sqs_text_add(text, string.ptr + begun, string.len - begun);
	}
	swm_sqs_text_add(text, "\"", 1);
}

void swm_sqs_text_member(struct swm_sqs_text *text, const char *name, struct swm_str value)
{
	if (text->len != 0 && text->ptr[text->len - 1] != '{') {
		swm_sqs_text_add(text, ",", 1);
	}
	swm_sqs_text_quote(text, swm_sqs_str(name));
	swm_sqs_text_add(text, ":", 1);
	swm_sqs_text_quote(text, value);
}

struct swm_str swm_sqs_text_str(const struct swm_sqs_text *text)
{
	return (struct swm_str){text->ptr, text->len};
}

struct swm_str swm_sqs_str(const char *string)
{
	return (struct swm_str){string, string == NULL ? 0 : strlen(string)};
}

bool swm_sqs_str_is(struct swm_str string, const char *other)
{
	return string.len == strlen(other) &&
	       (string.len == 0 || memcmp(string.ptr, other, string.len) == 0);
}
