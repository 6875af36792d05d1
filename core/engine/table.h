/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_TABLE_H
#define SWM_ENGINE_TABLE_H

/*
 * A hash table of strings to whatever embeds its node: the caches and the batch
 * find things by name in it without an allocation per entry.
 *
 * Concurrency: as its owner says.
 */

#include <swm/types.h>

/* First member of what is put in. The key's bytes belong to the entry. */
struct swm_table_node {
	struct swm_table_node *next;
	uint64_t hash;
	struct swm_str key;
};

/* All zero bits is an empty table. */
struct swm_table {
	struct swm_table_node **buckets; /* a power of two of them */
	size_t bucket_count;
	size_t count;
	uint64_t seed; /* chance, so that nobody outside picks what collides */
};

/* Forgets all entries, which are the caller's, and frees the table itself. */
void swm_table_finish(struct swm_table *table);

/* Forgets all entries, keeps the memory. */
void swm_table_clear(struct swm_table *table);

/* NULL: not there. */
struct swm_table_node *swm_table_find(const struct swm_table *table, struct swm_str key);

/* The key, which node->key names, must not be there yet. False: out of memory, and
 * the table is as before. */
bool swm_table_insert(struct swm_table *table, struct swm_table_node *node);

/* The node must be there. */
void swm_table_remove(struct swm_table *table, struct swm_table_node *node);

#endif
