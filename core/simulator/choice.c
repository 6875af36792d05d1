/* SPDX-License-Identifier: MIT */

/*
 * See choice.h. Chance is xoshiro256** (Blackman and Vigna), seeded by splitmix64 as its
 * authors advise: the same numbers everywhere, unlike those of the C library.
 */

#include "choice.h"

#include "must.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MADE 1024

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t value, int by)
{
	return (value << by) | (value >> (64 - by));
}

static uint64_t xoshiro(uint64_t s[4])
{
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* One of 0 ... n - 1, by multiplication: the bias of some 2^-32 does not matter. */
static uint32_t below(struct sim_choice *choice, uint32_t n)
{
	uint64_t chance = xoshiro(choice->state) >> 32;
	return (uint32_t)((chance * n) >> 32);
}

void sim_choice_seed(struct sim_choice *choice, uint64_t seed)
{
	sim_choice_clear(choice);
	choice->source = SIM_SEEDED;
	for (size_t i = 0; i < 4; i++) {
		choice->state[i] = splitmix(&seed);
	}
}

void sim_choice_replay(struct sim_choice *choice, const struct sim_given *given, size_t count)
{
	sim_choice_clear(choice);
	choice->source = SIM_REPLAYED;
	choice->given = given;
	choice->given_count = count;
	choice->stream_count = 0;
}

void sim_choice_ask(struct sim_choice *choice,
	uint32_t (*ask)(void *ctx, const char *what, uint32_t n), void *ctx)
{
	sim_choice_clear(choice);
	choice->source = SIM_ASKED;
	choice->ask = ask;
	choice->ask_ctx = ctx;
}

void sim_choice_clear(struct sim_choice *choice)
{
	choice->made_count = 0;
}

void sim_choice_finish(struct sim_choice *choice)
{
	free(choice->streams);
	free(choice->made);
	*choice = (struct sim_choice){0};
}

static void record(struct sim_choice *choice, const char *what, uint32_t n, uint32_t value)
{
	if (choice->made_count == choice->made_cap) {
		choice->made_cap = choice->made_cap > 0 ? choice->made_cap * 2 : FIRST_MADE;
		choice->made = sim_must_realloc(
			choice->made, choice->made_cap * sizeof(*choice->made));
	}
	choice->made[choice->made_count] = (struct sim_chosen){what, n, value};
	choice->made_count++;
}

static bool is_same(const char *a, const char *b)
{
	return a == b || strcmp(a, b) == 0;
}

/* The next answer to this question from `from` on. */
static size_t find_given(const struct sim_choice *choice, const char *what, size_t from)
{
	while (from < choice->given_count && !is_same(choice->given[from].what, what)) {
		from++;
	}
	return from;
}

static struct sim_stream *stream_of(struct sim_choice *choice, const char *what)
{
	for (size_t i = 0; i < choice->stream_count; i++) {
		if (is_same(choice->streams[i].what, what)) {
			return &choice->streams[i];
		}
	}
	SIM_MUST_GROW(choice->streams, choice->stream_cap, choice->stream_count + 1);
	struct sim_stream *added = &choice->streams[choice->stream_count];
	choice->stream_count++;
	*added = (struct sim_stream){.what = what, .next = find_given(choice, what, 0)};
	return added;
}

static uint32_t replay(struct sim_choice *choice, const char *what)
{
	struct sim_stream *stream = stream_of(choice, what);
	uint32_t index = stream->asked++;
	if (stream->next == choice->given_count || choice->given[stream->next].index != index) {
		return 0;
	}
	uint32_t value = choice->given[stream->next].value;
	stream->next = find_given(choice, what, stream->next + 1);
	return value;
}

/* What is fixed beforehand, 0 where nothing is; or what somebody else says. */
static uint32_t given(struct sim_choice *choice, const char *what, uint32_t n)
{
	uint32_t value = 0;
	if (choice->source == SIM_ASKED) {
		value = choice->ask(choice->ask_ctx, what, n);
	} else if (choice->source == SIM_REPLAYED) {
		value = replay(choice, what);
	}
	return value < n ? value : 0;
}

uint32_t sim_choose(struct sim_choice *choice, const char *what, uint32_t n)
{
	assert(n > 0);
	if (n == 1) {
		return 0;
	}
	uint32_t value =
		choice->source == SIM_SEEDED ? below(choice, n) : given(choice, what, n);
	record(choice, what, n, value);
	return value;
}

bool sim_rarely(struct sim_choice *choice, const char *what, uint32_t one_in)
{
	if (one_in == 0) {
		return false;
	}
	uint32_t value = choice->source == SIM_SEEDED ? below(choice, one_in) == 0
						      : given(choice, what, 2) > 0;
	record(choice, what, 2, value);
	return value > 0;
}

struct sim_given *sim_choice_given(const struct sim_choice *choice, size_t *count)
{
	struct sim_choice counter = {0};
	struct sim_given *list = sim_must_alloc((choice->made_count + 1) * sizeof(*list));
	*count = 0;
	for (size_t i = 0; i < choice->made_count; i++) {
		const struct sim_chosen *made = &choice->made[i];
		uint32_t index = stream_of(&counter, made->what)->asked++;
		if (made->value > 0) {
			list[*count] = (struct sim_given){made->what, index, made->value};
			(*count)++;
		}
	}
	sim_choice_finish(&counter);
	return list;
}
