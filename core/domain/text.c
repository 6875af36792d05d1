/* SPDX-License-Identifier: MIT */

/* Comparison, cutting and guessing of borrowed text. */

#include "text.h"

#include <string.h>

/* Longer names have no neighbours. */
#define NEAREST_MAX 128

struct swm_str swm_str_from(const char *text)
{
	return (struct swm_str){text, text ? strlen(text) : 0};
}

bool swm_str_equal(struct swm_str a, struct swm_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

size_t swm_str_cut(struct swm_str text, size_t max)
{
	if (text.len <= max) {
		return text.len;
	}
	size_t len = max;
	while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
		len--;
	}
	return len;
}

bool swm_str_has_control(struct swm_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.ptr[i];
		if (byte < 0x20 || byte == 0x7f) {
			return true;
		}
	}
	return false;
}

static bool is_tail(const char *at)
{
	return ((unsigned char)*at & 0xc0) == 0x80;
}

size_t swm_utf8_bytes(const char *at, const char *end)
{
	const unsigned char first = (unsigned char)*at;
	const size_t left = (size_t)(end - at);
	const unsigned char second = left > 1 ? (unsigned char)at[1] : 0;

	if (first >= 0xc2 && first <= 0xdf) {
		return left >= 2 && is_tail(at + 1) ? 2 : 0;
	}
	if (first >= 0xe0 && first <= 0xef) {
		const bool fits = left >= 3 && is_tail(at + 1) && is_tail(at + 2) &&
				  (first != 0xe0 || second >= 0xa0) &&
				  (first != 0xed || second <= 0x9f);
		return fits ? 3 : 0;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		const bool fits = left >= 4 && is_tail(at + 1) && is_tail(at + 2) &&
				  is_tail(at + 3) && (first != 0xf0 || second >= 0x90) &&
				  (first != 0xf4 || second <= 0x8f);
		return fits ? 4 : 0;
	}
	return 0;
}

void swm_text_clean(char *text)
{
	const char *end = text + strlen(text);
	while (text < end) {
		const bool ascii = (unsigned char)*text < 0x80;
		const bool control = (ascii && *text < 0x20) || *text == 0x7f;
		size_t bytes = ascii ? 1 : swm_utf8_bytes(text, end);
		if (bytes == 0 || control) {
			*text = '?';
			bytes = 1;
		}
		text += bytes;
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters have to be inserted, dropped, changed or swapped with their
 * neighbour to make one text of the other (optimal string alignment). More than `most`
 * is not counted to its end. */
static size_t edit_distance(struct swm_str a, struct swm_str b, size_t most)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0];
	size_t *last = rows[1];
	size_t *now = rows[2];
	size_t last_least = 0; /* of the row before */

	for (size_t j = 0; j <= b.len; j++) {
		before[j] = 0;
		last[j] = j;
	}
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = i;
		size_t now_least = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t change = last[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
			now[j] = least(change, least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
				a.ptr[i - 2] == b.ptr[j - 1]) {
				now[j] = least(now[j], before[j - 2] + 1);
			}
			now_least = least(now_least, now[j]);
		}
		if (now_least > most && last_least >= most) {
			return now_least; /* a row is made of the two before it */
		}
		last_least = now_least;
		size_t *oldest = before;
		before = last;
		last = now;
		now = oldest;
	}
	return last[b.len];
}

struct swm_str swm_str_nearest(struct swm_str text, const struct swm_str *names, size_t count)
{
	struct swm_str nearest = {NULL, 0};
	size_t best = text.len / 3 + 1;
	if (text.len > NEAREST_MAX) {
		return nearest;
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = names[i].len;
		size_t gap = len > text.len ? len - text.len : text.len - len;
		if (len > NEAREST_MAX || gap > best) {
			continue; /* the distance is at least the gap */
		}
		size_t distance = edit_distance(text, names[i], best);
		if (distance < best || (distance == best && !nearest.ptr && distance <= 1)) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest;
}
