/* SPDX-License-Identifier: MIT */
#ifndef POWER_CHANCE_H
#define POWER_CHANCE_H

/*
 * Chance from a seed, the only one in this test: what is drawn depends on nothing but
 * the seed and the order of the draws, so a seed reproduces a failure. The generator is
 * splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
 *
 * Concurrency: a struct chance belongs to one thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

/* Scrambles: neighbours come out far from each other. */
static inline uint64_t chance_mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static inline uint64_t chance_draw(struct chance *chance)
{
	chance->state += UINT64_C(0x9e3779b97f4a7c15);
	return chance_mix(chance->state);
}

/* 0 to below - 1; 0 for below 0. */
static inline uint32_t chance_below(struct chance *chance, uint64_t below)
{
	uint64_t drawn = chance_draw(chance);

	return below == 0 ? 0 : (uint32_t)(drawn % below);
}

/* From low to high, both included. */
static inline uint32_t chance_between(struct chance *chance, uint32_t low, uint32_t high)
{
	return low + chance_below(chance, (uint64_t)high - low + 1);
}

static inline bool chance_percent(struct chance *chance, uint32_t percent)
{
	return chance_below(chance, 100) < percent;
}

#endif
