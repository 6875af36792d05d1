/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_CACHE_H
#define SWM_ENGINE_CACHE_H

/*
 * Instances as they were last committed, so that the next event of one need not
 * read its body again. The store says at each load whether the version is still
 * the same: a stale entry costs a conflict, never a wrong result.
 *
 * A step is computed in the entry itself; whoever cannot commit it drops the entry.
 * Entries are evicted, the least recently used first, by swm_cache_trim() only, so
 * that those of a batch stay put while it lasts.
 *
 * Concurrency: belongs to one processor's thread.
 */

#include "env.h"
#include "table.h"

#include "instance.h"

struct swm_cached {
	struct swm_table_node node; /* by the instance's id */
	struct swm_cached *newer;
	struct swm_cached *older;
	struct swm_instance *instance; /* owned */
	int64_t version;               /* of the last commit; 0: none yet */
	int64_t created_ms;
	size_t bytes; /* that it counts for */
	char id[];
};

struct swm_cache {
	struct swm_table table;
	struct swm_cached *newest;
	struct swm_cached *oldest;
	size_t bytes;
	size_t max_bytes;
};

void swm_cache_init(struct swm_cache *cache, const struct swm_env *env, size_t max_bytes);
void swm_cache_finish(struct swm_cache *cache);

/* The entry, now the most recently used; NULL: none. */
struct swm_cached *swm_cache_find(struct swm_cache *cache, struct swm_str id);

/* Takes the instance over, in any case. The id must not be there. NULL: out of
 * memory, and the instance is destroyed. */
struct swm_cached *swm_cache_add(struct swm_cache *cache, struct swm_str id,
	struct swm_instance *instance, int64_t version, int64_t created_ms);

/* The entry's instance was committed as this version. */
void swm_cache_committed(struct swm_cache *cache, struct swm_cached *entry, int64_t version);

/* Removes it and destroys its instance. */
void swm_cache_drop(struct swm_cache *cache, struct swm_cached *entry);

/* Evicts what is over the bound. */
void swm_cache_trim(struct swm_cache *cache);

/* Evicts everything: memory is short. */
void swm_cache_drop_all(struct swm_cache *cache);

#endif
