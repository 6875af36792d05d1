/* SPDX-License-Identifier: MIT */

/*
 * Where a world's answers come from: the same seed gives the same ones everywhere, a replay
 * repeats a run, and counting misses no list and visits none twice.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "choice.h"
#include "shrink.h"

static void test_seed_is_the_same_everywhere(void **state)
{
	(void)state;
	static const uint32_t expected[] = {70, 52, 57, 39, 69, 14, 7, 38};
	struct sim_choice choice = {0};
	sim_choice_seed(&choice, 1);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_int_equal(sim_choose(&choice, "x", 100), expected[i]);
	}
	sim_choice_finish(&choice);
}

static void test_one_answer_is_no_choice(void **state)
{
	(void)state;
	struct sim_choice choice = {0};
	sim_choice_seed(&choice, 1);
	assert_int_equal(sim_choose(&choice, "x", 1), 0);
	assert_false(sim_rarely(&choice, "y", 0));
	assert_int_equal(choice.made_count, 0);
	sim_choice_finish(&choice);
}

/* A run that asks for b only when a says so. */
static uint32_t ask(struct sim_choice *choice)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i < 20; i++) {
		if (sim_choose(choice, "a", 3) == 1) {
			sum = sum * 7 + sim_choose(choice, "b", 5);
		}
		sum = sum * 3 + sim_rarely(choice, "c", 4);
	}
	return sum;
}

static void test_replay_repeats_a_run(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 50; seed++) {
		struct sim_choice choice = {0};
		sim_choice_seed(&choice, seed);
		uint32_t sum = ask(&choice);
		size_t count;
		struct sim_given *given = sim_choice_given(&choice, &count);
		sim_choice_replay(&choice, given, count);
		assert_int_equal(ask(&choice), sum);
		free(given);
		sim_choice_finish(&choice);
	}
}

static void test_questions_are_counted_apart(void **state)
{
	(void)state;
	const struct sim_given given[] = {{"a", 1, 2}, {"b", 0, 1}, {"a", 2, 9}};
	struct sim_choice choice = {0};
	sim_choice_replay(&choice, given, 3);
	assert_int_equal(sim_choose(&choice, "b", 3), 1);
	assert_int_equal(sim_choose(&choice, "a", 3), 0);
	assert_int_equal(sim_choose(&choice, "a", 3), 2);
	assert_int_equal(sim_choose(&choice, "b", 3), 0);
	assert_int_equal(sim_choose(&choice, "a", 3), 0); /* out of its range */
	assert_int_equal(sim_choose(&choice, "c", 3), 0);
	sim_choice_finish(&choice);
}

/* The last answer to each question. */
static uint32_t last_of(void *ctx, const char *what, uint32_t n)
{
	unsigned *asked = ctx;
	assert_non_null(what);
	(*asked)++;
	return n - 1;
}

static void test_somebody_else_is_asked(void **state)
{
	(void)state;
	unsigned asked = 0;
	struct sim_choice choice = {0};
	sim_choice_ask(&choice, last_of, &asked);
	assert_int_equal(sim_choose(&choice, "a", 3), 2);
	assert_int_equal(sim_choose(&choice, "a", 1), 0); /* no choice */
	assert_true(sim_rarely(&choice, "b", 100));
	assert_false(sim_rarely(&choice, "b", 0));
	assert_int_equal(asked, 2);
	assert_int_equal(choice.made_count, 2);
	sim_choice_finish(&choice);
}

/* Fails when the third a is at least 2 and some c is not 0. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type of the callback */
static bool fails(void *ctx, struct sim_given *list, size_t *count)
{
	(void)ctx;
	bool a = false;
	bool c = false;
	for (size_t i = 0; i < *count; i++) {
		a = a || (list[i].what[0] == 'a' && list[i].index == 2 && list[i].value >= 2);
		c = c || list[i].what[0] == 'c';
	}
	return a && c;
}

static void test_shrinking_leaves_what_it_takes(void **state)
{
	(void)state;
	struct sim_given list[60];
	size_t count = 0;
	for (uint32_t i = 0; i < 20; i++) {
		list[count++] = (struct sim_given){"a", i, 1 + i};
		list[count++] = (struct sim_given){"b", i, 4};
		list[count++] = (struct sim_given){"c", i, 2};
	}
	struct sim_shrinking shrinking = {.fails = fails, .runs_max = 1000};
	uint32_t runs = sim_shrink(&shrinking, list, &count);
	assert_true(runs < 200);
	assert_int_equal(count, 2);
	const struct sim_given *a = list[0].what[0] == 'a' ? &list[0] : &list[1];
	const struct sim_given *c = a == list ? &list[1] : &list[0];
	assert_string_equal(a->what, "a");
	assert_int_equal(a->index, 2);
	assert_int_equal(a->value, 2);
	assert_string_equal(c->what, "c");
	assert_int_equal(c->value, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed_is_the_same_everywhere),
		cmocka_unit_test(test_one_answer_is_no_choice),
		cmocka_unit_test(test_replay_repeats_a_run),
		cmocka_unit_test(test_questions_are_counted_apart),
		cmocka_unit_test(test_somebody_else_is_asked),
		cmocka_unit_test(test_shrinking_leaves_what_it_takes),
	};
	return cmocka_run_group_tests_name("sim_choice", tests, NULL, NULL);
}
