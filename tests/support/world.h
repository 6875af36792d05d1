/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_WORLD_H
#define SWM_TESTS_WORLD_H

/*
 * A configuration opened the way `swm` does it, for programs of the tests: log,
 * loader, adapters. A test program has nothing to rescue, so every failure ends it
 * with a message and exit status 1.
 *
 * Concurrency: main thread.
 */

#include "adapters.h"
#include "services.h"

struct world {
	struct swm_services services;
	struct swm_config *config;
	struct swm_loader *loader;
	struct swm_adapters *adapters;
	const struct swm_store_adapter *store; /* NULL until world_store() */
	const struct swm_queue_adapter *queue; /* of the first listen; likewise */
};

/* `flags` are those of open (SWM_OPEN_*). The struct must stay where it is. */
void world_open(struct world *world, const char *config_file, uint32_t flags);
void world_close(struct world *world);

/* Opens what a program needs of it. */
void world_store(struct world *world);
void world_queue(struct world *world);

/* The name of the workflow queue. */
struct swm_str world_source(const struct world *world);

/* Ends the program when the status is not SWM_OK. */
void world_check(swm_status status, const struct swm_error *err, const char *what);

/* A clock that never jumps, nanoseconds; the same one in all processes. */
int64_t world_monotonic_ns(void);

#endif
