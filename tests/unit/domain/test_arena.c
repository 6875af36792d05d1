/* SPDX-License-Identifier: MIT */
/*
 * Memory that lives as long as a batch.
 */

#include "support.h"

static void test_take(void **state)
{
	struct swm_arena arena = {0};
	uint64_t noise = 1;
	static unsigned char *pieces[500];
	static size_t sizes[500];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		sizes[i] = i % 50 == 0 ? 70000 : (size_t)(noise_next(&noise) % 900);
		pieces[i] = swm_arena_take(&arena, sizes[i]);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)(i % 251), sizes[i]);
	}
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		for (size_t at = 0; at < sizes[i]; at++) {
			assert_int_equal(pieces[i][at], i % 251);
		}
	}
	swm_arena_finish(&arena);
	assert_int_equal(arena.total, 0);
	assert_non_null(swm_arena_take(&arena, 8));
	swm_arena_finish(&arena);
	swm_arena_finish(&arena);
	swm_arena_finish(NULL);
}

/* After a few batches the memory stays where it is. */
static void test_reset(void **state)
{
	struct swm_arena arena;
	size_t settled = 0;

	(void)state;
	swm_arena_init(&arena);
	for (int batch = 0; batch < 20; batch++) {
		for (int i = 0; i < 300; i++) {
			char *piece = swm_arena_take(&arena, 1000);
			assert_non_null(piece);
			memset(piece, batch, 1000);
		}
		if (batch == 9) {
			settled = arena.total;
		}
		swm_arena_reset(&arena);
	}
	assert_true(settled >= 300000);
	assert_true(arena.total <= settled);
	swm_arena_reset(&arena);
	swm_arena_finish(&arena);
	swm_arena_reset(&arena);
}

static void test_copy(void **state)
{
	struct swm_arena arena = {0};
	char text[] = "pizza";
	struct swm_str copy = {0};

	(void)state;
	assert_true(swm_arena_copy(&arena, str(text), &copy));
	text[0] = 'X';
	assert_int_equal(copy.len, 5);
	assert_string_equal(copy.ptr, "pizza");
	assert_true(swm_arena_copy(&arena, str(""), &copy));
	assert_int_equal(copy.len, 0);
	assert_non_null(swm_arena_take(&arena, 0));
	swm_arena_finish(&arena);
}

/* A size that no machine has must be refused, not wrapped around. */
static void test_too_much(void **state)
{
	struct swm_arena arena = {0};

	(void)state;
	assert_null(swm_arena_take(&arena, SIZE_MAX));
	assert_null(swm_arena_take(&arena, SIZE_MAX - 40));
	assert_non_null(swm_arena_take(&arena, 16));
	assert_null(swm_arena_take(&arena, SIZE_MAX - 8));
	swm_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
