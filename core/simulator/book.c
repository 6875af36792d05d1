/* SPDX-License-Identifier: MIT */

/*
 * See book.h.
 */

#include "book.h"

#include "must.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

struct sim_book_place {
	uint64_t hash;
	void *entry; /* NULL: free */
};

void sim_book_finish(struct sim_book *book)
{
	free(book->places);
	*book = (struct sim_book){0};
}

/* Where the hash is, or where it would be. */
static struct sim_book_place *place_of(const struct sim_book *book, uint64_t hash)
{
	size_t at = (size_t)hash & (book->cap - 1);
	while (book->places[at].entry && book->places[at].hash != hash) {
		at = (at + 1) & (book->cap - 1);
	}
	return &book->places[at];
}

void *sim_book_find(const struct sim_book *book, uint64_t hash)
{
	return book->cap > 0 ? place_of(book, hash)->entry : NULL;
}

static void grow(struct sim_book *book)
{
	struct sim_book larger = {.cap = book->cap > 0 ? book->cap * 2 : FIRST_CAP};
	larger.places = sim_must_alloc(larger.cap * sizeof(*larger.places));
	for (size_t i = 0; i < book->cap; i++) {
		if (book->places[i].entry) {
			*place_of(&larger, book->places[i].hash) = book->places[i];
		}
	}
	larger.count = book->count;
	free(book->places);
	*book = larger;
}

bool sim_book_add(struct sim_book *book, uint64_t hash, void *entry)
{
	if (book->count * 2 >= book->cap) {
		grow(book);
	}
	struct sim_book_place *place = place_of(book, hash);
	if (place->entry) {
		return false;
	}
	*place = (struct sim_book_place){hash, entry};
	book->count++;
	return true;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 29;
	hash *= UINT64_C(0xbf58476d1ce4e5b9);
	return hash ^ (hash >> 32);
}

uint64_t sim_book_digest(const struct sim_book *book)
{
	uint64_t digest = 0;
	for (size_t i = 0; i < book->cap; i++) {
		digest += book->places[i].entry ? mix(1, book->places[i].hash) : 0;
	}
	return digest;
}

uint64_t sim_book_hash(const struct swm_str *texts, size_t count)
{
	uint64_t hash = count + 1;
	for (size_t i = 0; i < count; i++) {
		const char *at = texts[i].ptr;
		size_t left = texts[i].len;
		hash = mix(hash, left);
		while (left > 0) {
			uint64_t word = 0;
			size_t len = left < sizeof(word) ? left : sizeof(word);
			memcpy(&word, at, len);
			hash = mix(hash, word);
			at += len;
			left -= len;
		}
	}
	return hash;
}
