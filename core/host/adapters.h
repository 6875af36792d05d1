/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_ADAPTERS_H
#define SWM_HOST_ADAPTERS_H

/*
 * The configured store and queues, opened when they are first asked for: a command
 * that only lists instances never talks to the broker.
 *
 * Concurrency: main thread only, as the ports want it for open and close. What was
 * handed out may be used as the ports allow.
 */

#include "config.h"
#include "loader.h"

struct swm_adapters;

/* An open adapter; lives until swm_adapters_destroy(). */
struct swm_store_adapter {
	const char *name; /* "store" */
	const struct swm_store_ops *ops;
	struct swm_store *store;
};

struct swm_queue_adapter {
	const char *name; /* the key in `queues` */
	const struct swm_queue_ops *ops;
	struct swm_queue *queue;
};

/* Opens nothing yet; all arguments outlive it. `flags` are the SWM_OPEN_* of every
 * open. SWM_E_NOMEM. */
swm_status swm_adapters_create(const struct swm_config *config, struct swm_loader *loader,
	const struct swm_host *host, uint32_t flags, struct swm_adapters **out);

/* Closes what is open, the last one first. What was made of them (sessions, consumers)
 * is closed before. NULL is allowed. */
void swm_adapters_destroy(struct swm_adapters *adapters);

/*
 * The store; opened at the first call. The schema is left as it is.
 * Any status of the plugin's open or load; SWM_E_NOT_FOUND, SWM_E_CONFIG, SWM_E_DENIED
 * of the loader; SWM_E_CONFIG: its options are wrong. The message names the adapter;
 * after a failure asking again tries again.
 */
swm_status swm_adapters_store(struct swm_adapters *adapters,
	const struct swm_store_adapter **out, struct swm_error *err);

/* A queue adapter by its name in `queues`, likewise. SWM_E_CONFIG: no such name. */
swm_status swm_adapters_queue(struct swm_adapters *adapters, const char *name,
	const struct swm_queue_adapter **out, struct swm_error *err);

/* The adapter that messages for a destination go to (swm_config_route), likewise. */
swm_status swm_adapters_route(struct swm_adapters *adapters, struct swm_str destination,
	const struct swm_queue_adapter **out, struct swm_error *err);

/* A plugin with its checked options: all of an adapter that can be had offline. */
struct swm_prepared {
	const struct swm_module *module;
	struct swm_options *options; /* the caller destroys it */
};

/* Finds an adapter's plugin and checks its section, without load() or open(). All that
 * is wrong goes to *problems, which has the pointer of each. SWM_E_CONFIG,
 * SWM_E_NOMEM. */
swm_status swm_adapter_prepare(struct swm_loader *loader, uint32_t kind,
	const struct swm_adapter_config *config, struct swm_problems *problems,
	struct swm_prepared *out);

#endif
