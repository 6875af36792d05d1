/* SPDX-License-Identifier: MIT */
/*
 * Durations as people write them.
 */

#include "support.h"

static void test_good(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{"0s", 0},
		{"250ms", 250},
		{"30s", 30000},
		{"1m", 60000},
		{"1.5m", 90000},
		{"2h", 7200000},
		{"7d", 604800000},
		{"0.001s", 1},
		{"0.25s", 250},
		{"1.1s", 1100},
		{"19.99s", 19990},
		{"007s", 7000},
		{"36525d", SWM_DURATION_MAX_MS},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t ms = -1;
		if (!swm_duration_parse(rows[i].text, strlen(rows[i].text), &ms) ||
			ms != rows[i].ms) {
			fail_msg("\"%s\" gives %lld", rows[i].text, (long long)ms);
		}
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {"", "s", "30", "30 s", " 30s", "30s ", "-1s", "+1s",
		"1e3s", "1,5s", "s30", "30x", "30sec", "30S", "0x10s", ".s", "1..5s", "1.5.5s",
		"inf", "nan", "infs", "36526d", "999999999999d", "1234567890123ms",
		"99999999999999999999999999s", "ms", "1m30s", "30s\n"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t ms = -77;
		if (swm_duration_parse(rows[i], strlen(rows[i]), &ms)) {
			fail_msg("\"%s\" is taken as %lld ms", rows[i], (long long)ms);
		}
		assert_int_equal(ms, -77);
	}
}

/* The length decides, not a terminator. */
static void test_borrowed(void **state)
{
	int64_t ms = 0;

	(void)state;
	assert_true(swm_duration_parse("30sxyz", 3, &ms));
	assert_int_equal(ms, 30000);
	assert_true(swm_duration_parse("5msec", 3, &ms));
	assert_int_equal(ms, 5);
	assert_false(swm_duration_parse("30s", 2, &ms));
	assert_false(swm_duration_parse("3\0s", 3, &ms));
	assert_int_equal(ms, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_borrowed),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
