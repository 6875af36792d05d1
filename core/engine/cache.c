/* SPDX-License-Identifier: MIT */

/*
 * See cache.h: a table to find by, a list to evict by.
 */

#include "cache.h"

#include <stdlib.h>
#include <string.h>

/* Of an entry beside its instance: itself, its bucket, and the allocator's own. */
#define ENTRY_OVERHEAD_BYTES 64

void swm_cache_init(struct swm_cache *cache, const struct swm_env *env, size_t max_bytes)
{
	*cache = (struct swm_cache){.max_bytes = max_bytes};
	env->random(env->ctx, &cache->table.seed, sizeof(cache->table.seed));
}

void swm_cache_finish(struct swm_cache *cache)
{
	swm_cache_drop_all(cache);
	swm_table_finish(&cache->table);
}

static void unlink_entry(struct swm_cache *cache, struct swm_cached *entry)
{
	if (entry->newer) {
		entry->newer->older = entry->older;
	} else {
		cache->newest = entry->older;
	}
	if (entry->older) {
		entry->older->newer = entry->newer;
	} else {
		cache->oldest = entry->newer;
	}
}

static void link_newest(struct swm_cache *cache, struct swm_cached *entry)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	if (cache->newest) {
		cache->newest->newer = entry;
	} else {
		cache->oldest = entry;
	}
	cache->newest = entry;
}

static void weigh(struct swm_cache *cache, struct swm_cached *entry)
{
	cache->bytes -= entry->bytes;
	entry->bytes = sizeof(*entry) + entry->node.key.len + ENTRY_OVERHEAD_BYTES +
		       swm_instance_bytes(entry->instance);
	cache->bytes += entry->bytes;
}

struct swm_cached *swm_cache_find(struct swm_cache *cache, struct swm_str id)
{
	struct swm_cached *entry = (struct swm_cached *)swm_table_find(&cache->table, id);
	if (entry && entry != cache->newest) {
		unlink_entry(cache, entry);
		link_newest(cache, entry);
	}
	return entry;
}

struct swm_cached *swm_cache_add(struct swm_cache *cache, struct swm_str id,
	struct swm_instance *instance, int64_t version, int64_t created_ms)
{
	struct swm_cached *entry = malloc(sizeof(*entry) + id.len + 1);
	if (!entry) {
		goto error_instance;
	}
	*entry = (struct swm_cached){
		.instance = instance,
		.version = version,
		.created_ms = created_ms,
	};
	memcpy(entry->id, id.ptr, id.len);
	entry->id[id.len] = '\0';
	entry->node.key = (struct swm_str){entry->id, id.len};
	if (!swm_table_insert(&cache->table, &entry->node)) {
		goto error_entry;
	}
	link_newest(cache, entry);
	weigh(cache, entry);
	return entry;

error_entry:
	free(entry);
error_instance:
	swm_instance_destroy(instance);
	return NULL;
}

void swm_cache_committed(struct swm_cache *cache, struct swm_cached *entry, int64_t version)
{
	entry->version = version;
	weigh(cache, entry);
}

void swm_cache_drop(struct swm_cache *cache, struct swm_cached *entry)
{
	swm_table_remove(&cache->table, &entry->node);
	unlink_entry(cache, entry);
	cache->bytes -= entry->bytes;
	swm_instance_destroy(entry->instance);
	free(entry);
}

void swm_cache_trim(struct swm_cache *cache)
{
	while (cache->bytes > cache->max_bytes && cache->oldest) {
		swm_cache_drop(cache, cache->oldest);
	}
}

void swm_cache_drop_all(struct swm_cache *cache)
{
	while (cache->oldest) {
		swm_cache_drop(cache, cache->oldest);
	}
}
