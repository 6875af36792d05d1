/* SPDX-License-Identifier: MIT */

/*
 * See router.h. Routes are few and are looked through once per destination; the
 * answer is kept.
 */

#include "router.h"

#include "error.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct swm_router {
	const struct swm_engine_config *config;
	const struct swm_env *env;
	struct swm_env_mutex *mutex; /* guards everything below */
	struct swm_table by_name;
	struct swm_destination *destinations;
};

static swm_status check(const struct swm_engine_config *config, struct swm_error *err)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct swm_engine_route *route = &config->routes[i];
		struct swm_str pattern = route->pattern;
		const char *star =
			pattern.len > 0 ? memchr(pattern.ptr, '*', pattern.len) : NULL;
		if (pattern.len == 0 || (star && star != pattern.ptr + pattern.len - 1)) {
			return swm_error_set(err, SWM_E_CONFIG,
				"route \"%.*s\": a pattern is a name, or the beginning of one "
				"and a '*' "
				"as its last character",
				SWM_FMT(pattern));
		}
		if (route->queue >= config->queue_count) {
			return swm_error_set(err, SWM_E_CONFIG,
				"route \"%.*s\": no such adapter", SWM_FMT(pattern));
		}
	}
	return SWM_OK;
}

swm_status swm_router_create(
	const struct swm_engine_config *config, struct swm_router **out, struct swm_error *err)
{
	swm_status status = check(config, err);
	if (status != SWM_OK) {
		return status;
	}
	struct swm_router *router = calloc(1, sizeof(*router));
	if (!router) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	router->config = config;
	router->env = config->env;
	router->env->random(
		router->env->ctx, &router->by_name.seed, sizeof(router->by_name.seed));
	status = router->env->mutex_create(router->env->ctx, &router->mutex, err);
	if (status != SWM_OK) {
		free(router);
		return status;
	}
	*out = router;
	return SWM_OK;
}

void swm_router_destroy(struct swm_router *router)
{
	if (!router) {
		return;
	}
	while (router->destinations) {
		struct swm_destination *next = router->destinations->next;
		free(router->destinations);
		router->destinations = next;
	}
	swm_table_finish(&router->by_name);
	router->env->mutex_destroy(router->env->ctx, router->mutex);
	free(router);
}

/* The length of what a pattern fixes of the name, one more for an exact name; 0: it
 * does not fit, or is "*" and fits all, like having no route. */
static size_t fit(struct swm_str pattern, struct swm_str name)
{
	size_t fixed = pattern.len - 1;
	if (pattern.ptr[fixed] != '*') {
		return swm_str_equal(pattern, name) ? name.len + 1 : 0;
	}
	return name.len >= fixed && memcmp(pattern.ptr, name.ptr, fixed) == 0 ? fixed : 0;
}

static void place(const struct swm_engine_config *config, struct swm_str name,
	struct swm_destination *destination)
{
	size_t best = 0;
	destination->queue = config->listen[0].queue;
	for (size_t i = 0; i < config->route_count; i++) {
		const struct swm_engine_route *route = &config->routes[i];
		size_t score = fit(route->pattern, name);
		if (score > best || (best == 0 && route->pattern.len == 1 &&
					    route->pattern.ptr[0] == '*')) {
			best = score;
			destination->queue = route->queue;
		}
	}
	for (size_t i = 0; i < config->listen_count; i++) {
		if (swm_str_equal(config->listen[i].source, name)) {
			destination->workflow = true;
			if (best <= name.len) {
				destination->queue = config->listen[i].queue;
			}
			break;
		}
	}
}

static struct swm_destination *add(struct swm_router *router, struct swm_str name)
{
	struct swm_destination *destination = calloc(1, sizeof(*destination) + name.len + 1);
	if (!destination) {
		return NULL;
	}
	if (name.len > 0) {
		memcpy(destination->name, name.ptr, name.len);
	}
	destination->node.key = (struct swm_str){destination->name, name.len};
	place(router->config, name, destination);
	if (!swm_table_insert(&router->by_name, &destination->node)) {
		free(destination);
		return NULL;
	}
	destination->next = router->destinations;
	router->destinations = destination;
	return destination;
}

struct swm_destination *swm_router_find(struct swm_router *router, struct swm_str name)
{
	swm_env_lock(router->env, router->mutex);
	struct swm_destination *destination =
		(struct swm_destination *)swm_table_find(&router->by_name, name);
	if (!destination) {
		destination = add(router, name);
	}
	swm_env_unlock(router->env, router->mutex);
	return destination;
}

bool swm_router_is_prepared(
	struct swm_router *router, const struct swm_destination *destination)
{
	swm_env_lock(router->env, router->mutex);
	bool prepared = destination->prepared;
	swm_env_unlock(router->env, router->mutex);
	return prepared;
}

void swm_router_set_prepared(
	struct swm_router *router, struct swm_destination *destination, bool prepared)
{
	swm_env_lock(router->env, router->mutex);
	destination->prepared = prepared;
	swm_env_unlock(router->env, router->mutex);
}

bool swm_router_set_refusing(
	struct swm_router *router, struct swm_destination *destination, bool refusing)
{
	swm_env_lock(router->env, router->mutex);
	bool news = destination->refusing != refusing;
	destination->refusing = refusing;
	swm_env_unlock(router->env, router->mutex);
	return news;
}
