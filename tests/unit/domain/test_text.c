/* SPDX-License-Identifier: MIT */
/*
 * Small things said of borrowed bytes.
 */

#include "support.h"

static void test_equal(void **state)
{
	(void)state;
	assert_true(swm_str_equal(SWM_STR("abc"), str("abc")));
	assert_false(swm_str_equal(SWM_STR("abc"), SWM_STR("abd")));
	assert_false(swm_str_equal(SWM_STR("abc"), SWM_STR("ab")));
	assert_true(swm_str_equal((struct swm_str){NULL, 0}, (struct swm_str){NULL, 0}));
	assert_true(swm_str_equal((struct swm_str){"a\0b", 3}, (struct swm_str){"a\0b", 3}));
	assert_false(swm_str_equal((struct swm_str){"a\0b", 3}, (struct swm_str){"a\0c", 3}));
}

static void test_from(void **state)
{
	(void)state;
	assert_null(swm_str_from(NULL).ptr);
	assert_int_equal(swm_str_from(NULL).len, 0);
	assert_str(swm_str_from("pizza"), "pizza");
	assert_non_null(swm_str_from("").ptr);
}

static void test_cut(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		size_t cut;
	} rows[] = {
		{"", 0, 0},
		{"", 5, 0},
		{"abc", 5, 3},
		{"abc", 3, 3},
		{"abc", 2, 2},
		{"abc", 0, 0},
		{"a\xc3\xa9", 3, 3},
		{"a\xc3\xa9", 2, 1},
		{"\xe2\x82\xac\xe2\x82\xac", 6, 6},
		{"\xe2\x82\xac\xe2\x82\xac", 5, 3},
		{"\xe2\x82\xac\xe2\x82\xac", 4, 3},
		{"\xe2\x82\xac\xe2\x82\xac", 3, 3},
		{"\xe2\x82\xac\xe2\x82\xac", 2, 0},
		{"\xf0\x9f\x8d\x95\xf0\x9f\x8d\x95", 7, 4},
		{"\xf0\x9f\x8d\x95", 3, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(swm_str_cut(str(rows[i].text), rows[i].max), rows[i].cut);
	}
}

static void test_control(void **state)
{
	(void)state;
	assert_false(swm_str_has_control(SWM_STR("Pizza \xc3\xa9 \xf0\x9f\x8d\x95 ~")));
	assert_false(swm_str_has_control((struct swm_str){NULL, 0}));
	assert_true(swm_str_has_control(SWM_STR("a\nb")));
	assert_true(swm_str_has_control(SWM_STR("a\x1f")));
	assert_true(swm_str_has_control(SWM_STR("\x7f")));
	assert_true(swm_str_has_control((struct swm_str){"a\0b", 3}));
}

static void assert_clean(const char *text, const char *clean)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	swm_text_clean(copy);
	assert_string_equal(copy, clean);
}

static void test_clean(void **state)
{
	(void)state;
	assert_clean("", "");
	assert_clean("Pizza \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x95 ~",
		"Pizza \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x95 ~");
	assert_clean("two\nlines\r\x1b[31m\x7f", "two?lines??[31m?");
	assert_clean("\xe9t\xe9 \xc0\x80 \xed\xa0\x80", "?t? ?? ???");
	assert_clean("cut \xf0\x9f\x8d", "cut ???");
}

static void test_nearest(void **state)
{
	static const struct swm_str names[] = {
		{"make_food", 9},
		{"assign_executive", 16},
		{"confirm_delivery", 16},
		{"pay", 3},
	};

	(void)state;
	assert_str(swm_str_nearest(SWM_STR("make_fod"), names, 4), "make_food");
	assert_str(swm_str_nearest(SWM_STR("make_foood"), names, 4), "make_food");
	assert_str(swm_str_nearest(SWM_STR("mkae_food"), names, 4), "make_food");
	assert_str(swm_str_nearest(SWM_STR("asign_executiv"), names, 4), "assign_executive");
	assert_str(swm_str_nearest(SWM_STR("pax"), names, 4), "pay");
	assert_null(swm_str_nearest(SWM_STR("qqqqqqqqq"), names, 4).ptr);
	assert_null(swm_str_nearest(SWM_STR("zz"), names, 4).ptr);
	assert_null(swm_str_nearest(SWM_STR(""), names, 4).ptr);
	assert_null(swm_str_nearest(SWM_STR("make_food"), names, 0).ptr);
}

/* Names may be long and many; a message must not take a stack or a second for it. */
static void test_nearest_long(void **state)
{
	static char long_name[100000];
	const struct swm_str names[] = {{long_name, sizeof(long_name)}, {"pay", 3}};

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	assert_str(swm_str_nearest(SWM_STR("pai"), names, 2), "pay");
	assert_null(swm_str_nearest(names[0], names + 1, 1).ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_nearest_long),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
