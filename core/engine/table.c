/* SPDX-License-Identifier: MIT */

/*
 * Chained buckets, doubled when there are as many entries. A table that cannot grow
 * stays right and only gets slower.
 */

#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64

/* FNV-1a of 64 bits with a seed, and a last mix so that the low bits serve as index. */
static uint64_t hash_of(const struct swm_table *table, struct swm_str key)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ table->seed;
	for (size_t i = 0; i < key.len; i++) {
		hash ^= (unsigned char)key.ptr[i];
		hash *= UINT64_C(1099511628211);
	}
	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	return hash ^ (hash >> 32);
}

static struct swm_table_node **bucket_of(const struct swm_table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->bucket_count - 1)];
}

void swm_table_finish(struct swm_table *table)
{
	free(table->buckets);
	table->buckets = NULL;
	table->bucket_count = 0;
	table->count = 0;
}

void swm_table_clear(struct swm_table *table)
{
	if (table->buckets) {
		memset(table->buckets, 0,
			table->bucket_count * sizeof(struct swm_table_node *));
	}
	table->count = 0;
}

struct swm_table_node *swm_table_find(const struct swm_table *table, struct swm_str key)
{
	if (table->count == 0) {
		return NULL;
	}
	uint64_t hash = hash_of(table, key);
	struct swm_table_node *node = *bucket_of(table, hash);
	while (node) {
		if (node->hash == hash && node->key.len == key.len &&
			memcmp(node->key.ptr, key.ptr, key.len) == 0) {
			return node;
		}
		node = node->next;
	}
	return NULL;
}

static bool grow(struct swm_table *table)
{
	size_t bucket_count = table->bucket_count > 0 ? table->bucket_count * 2 : FIRST_BUCKETS;
	struct swm_table_node **buckets = calloc(bucket_count, sizeof(struct swm_table_node *));
	if (!buckets) {
		return table->bucket_count > 0;
	}
	for (size_t i = 0; i < table->bucket_count; i++) {
		struct swm_table_node *node = table->buckets[i];
		while (node) {
			struct swm_table_node *next = node->next;
			struct swm_table_node **bucket =
				&buckets[node->hash & (bucket_count - 1)];
			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	free(table->buckets);
	table->buckets = buckets;
	table->bucket_count = bucket_count;
	return true;
}

bool swm_table_insert(struct swm_table *table, struct swm_table_node *node)
{
	if (table->count >= table->bucket_count && !grow(table)) {
		return false;
	}
	node->hash = hash_of(table, node->key);
	struct swm_table_node **bucket = bucket_of(table, node->hash);
	node->next = *bucket;
	*bucket = node;
	table->count++;
	return true;
}

void swm_table_remove(struct swm_table *table, struct swm_table_node *node)
{
	struct swm_table_node **at = bucket_of(table, node->hash);
	while (*at != node) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	table->count--;
}
