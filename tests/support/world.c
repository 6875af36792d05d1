/* SPDX-License-Identifier: MIT */

/* The start of `swm` in short, for test programs. */

#include "world.h"

#include "text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void world_check(swm_status status, const struct swm_error *err, const char *what)
{
	if (status != SWM_OK) {
		(void)fprintf(stderr, "%s: status %d: %s\n", what, status, err->message);
		exit(1);
	}
}

void world_open(struct world *world, const char *config_file, uint32_t flags)
{
	struct swm_error err = {0};
	struct swm_problems problems = {0};
	const char *file = NULL;

	*world = (struct world){0};
	json_object_seed(0);
	swm_services_init(&world->services, STDERR_FILENO, SWM_LOG_WARN, SWM_LOG_TEXT);
	if (swm_config_load(config_file, &problems, &file, &world->config) != SWM_OK) {
		swm_problems_print(&problems, file, stderr);
		exit(1);
	}
	swm_problems_finish(&problems);
	world_check(swm_loader_create(
			    &world->services.host, world->config->plugin_dir, &world->loader),
		&err, "loader");
	world_check(swm_adapters_create(world->config, world->loader, &world->services.host,
			    flags, &world->adapters),
		&err, "adapters");
}

void world_close(struct world *world)
{
	swm_adapters_destroy(world->adapters);
	swm_loader_destroy(world->loader);
	swm_config_destroy(world->config);
}

void world_store(struct world *world)
{
	struct swm_error err = {0};
	int32_t version;
	world_check(swm_adapters_store(world->adapters, &world->store, &err), &err, "store");
	world_check(world->store->ops->migrate(
			    world->store->store, SWM_MIGRATE_APPLY, &version, &err),
		&err, "migrate");
}

void world_queue(struct world *world)
{
	struct swm_error err = {0};
	world_check(swm_adapters_queue(world->adapters, world->config->listen[0].adapter,
			    &world->queue, &err),
		&err, "queue");
}

struct swm_str world_source(const struct world *world)
{
	return swm_str_from(world->config->listen[0].queue);
}

int64_t world_monotonic_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
