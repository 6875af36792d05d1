/* SPDX-License-Identifier: MIT */

/* For cppcheck alone, which includes this first: a failed assertion of cmocka does not
 * return. */

void abort(void) __attribute__((noreturn));

#define assert_non_null(c) ((c) ? (void)0 : abort())
#define assert_true(c) ((c) ? (void)0 : abort())
#define assert_in_range(value, min, max) \
	((value) >= (min) && (value) <= (max) ? (void)0 : abort())
