/* SPDX-License-Identifier: MIT */
#ifndef POWER_RIG_H
#define POWER_RIG_H

/*
 * Both plugins, loaded by the project's loader as `swm run` does it, over the shim, with
 * a clock that the test moves. Their files are FOLDER/store/store.db and
 * FOLDER/queue/queue.db.
 *
 * Concurrency: one thread.
 */

#include "shim.h"

#include <swm/queue.h>
#include <swm/store.h>

/* How long a consumer may keep a message; only the test's clock makes it pass. */
#define RIG_LEASE_MS 30000

struct rig {
	struct shim shim;
	struct swm_host host;
	int64_t now_ms; /* the wall clock of the plugins */
	struct swm_loader *loader;
	const struct swm_module *modules[2]; /* by enum model_place */
	const struct swm_store_ops *store;
	const struct swm_queue_ops *queue;
};

/* An opened adapter and its options. */
struct rig_store {
	struct swm_options *options;
	struct swm_store *store;
};

struct rig_queue {
	struct swm_options *options;
	struct swm_queue *queue;
};

/* The struct must stay where it is. Ends the program when it cannot. */
void rig_init(struct rig *rig, const char *store_plugin, const char *queue_plugin);
void rig_finish(struct rig *rig);

/* On failure `opened` is zeroed. Closing a zeroed one is fine. */
swm_status rig_store_open(const struct rig *rig, const char *folder, uint32_t flags,
	struct rig_store *opened, struct swm_error *err);
void rig_store_close(const struct rig *rig, struct rig_store *opened);
swm_status rig_queue_open(const struct rig *rig, const char *folder, struct rig_queue *opened,
	struct swm_error *err);
void rig_queue_close(const struct rig *rig, struct rig_queue *opened);

#endif
