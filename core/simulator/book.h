/* SPDX-License-Identifier: MIT */
#ifndef SIM_BOOK_H
#define SIM_BOOK_H

/*
 * What the judge writes down: hashes of texts, and a table from hash to entry. Two texts
 * of one hash of 64 bits are taken for the same: in a million worlds that happens once in
 * some ten million.
 *
 * Concurrency: none of its own.
 */

#include <swm/types.h>

struct sim_book {
	struct sim_book_place *places;
	size_t cap; /* a power of two, or 0 */
	size_t count;
};

/* All zero bits is an empty book. */
void sim_book_finish(struct sim_book *book);

/* NULL: it is not there. */
void *sim_book_find(const struct sim_book *book, uint64_t hash);

/* `entry` is not NULL. False: there is one already, which stays. */
bool sim_book_add(struct sim_book *book, uint64_t hash, void *entry);

/* A hash of all that is in it, in whatever order it came. */
uint64_t sim_book_digest(const struct sim_book *book);

/* A hash of texts in their order, each with its length, so that no two lists are alike. */
uint64_t sim_book_hash(const struct swm_str *texts, size_t count);

#endif
