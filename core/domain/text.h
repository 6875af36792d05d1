/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_TEXT_H
#define SWM_DOMAIN_TEXT_H

/*
 * Small things said of borrowed bytes: literals, comparison, UTF-8 cuts, the
 * nearest name for "did you mean".
 */

#include <swm/types.h>

/* A string literal as bytes. */
#define SWM_STR(literal) ((struct swm_str){literal, sizeof(literal) - 1})

/* Borrowed view of a terminated string; NULL gives the absent one. */
struct swm_str swm_str_from(const char *text);

bool swm_str_equal(struct swm_str a, struct swm_str b);

/* The length of the longest prefix of at most `max` bytes that does not end
 * within a UTF-8 sequence. */
size_t swm_str_cut(struct swm_str text, size_t max);

/* The length of the sequence of two to four bytes, well-formed UTF-8 (RFC 3629), that
 * begins at `at`, which is before `end`; 0: there is none. */
size_t swm_utf8_bytes(const char *at, const char *end);

/* Has a byte below 0x20, or 0x7f: not allowed in names. */
bool swm_str_has_control(struct swm_str text);

/* Makes one line of UTF-8 of it, in place: each control character, and each byte of what
 * is not UTF-8, becomes '?'. For messages that quote what somebody has sent. */
void swm_text_clean(char *text);

/* The one of `names` that `text` most likely meant: at most a third of its
 * letters inserted, dropped, changed or swapped. Absent when none is near. */
struct swm_str swm_str_nearest(struct swm_str text, const struct swm_str *names, size_t count);

#endif
