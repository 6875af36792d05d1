/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_LOADER_H
#define SWM_HOST_LOADER_H

/*
 * Plugins: from a name in the configuration to an operation table that can be
 * trusted to be whole. Of a plugin nothing but its constructors and its entry
 * function runs before its descriptor has been checked, and nothing that it returned
 * is used in place: it is copied into tables of ours, so that an older, smaller one
 * reads as if its missing members were NULL.
 *
 * A plugin is trusted code all the same: what is checked is that it fits and that
 * nobody else could have put it there.
 *
 * Concurrency: main thread only. What it hands out is immutable.
 */

#include "options.h"

#include <swm/queue.h>
#include <swm/store.h>

struct swm_loader;

/* A plugin that has passed the checks. Lives as long as the loader. */
struct swm_module {
	struct swm_plugin plugin; /* our copy; its ops is not to be used */
	struct swm_option_table options;
	struct swm_queue_ops queue; /* by kind; the other one is all zero */
	struct swm_store_ops store;
	const char *file; /* its canonical path */
};

/*
 * Makes an empty loader; both arguments outlive it. `plugin_dir` is the configured
 * directory, absolute, or NULL. A process has one loader.
 * SWM_E_NOMEM.
 */
swm_status swm_loader_create(
	const struct swm_host *host, const char *plugin_dir, struct swm_loader **out);

/* Calls unload() of all plugins that were started, the last one first, after every
 * adapter is closed. The objects stay mapped until the process ends. NULL is allowed. */
void swm_loader_destroy(struct swm_loader *loader);

/*
 * Finds and checks a plugin by its kind (SWM_PLUGIN_*) and bare name: queue-NAME.so or
 * store-NAME.so in the directories of SWM_PLUGIN_PATH (colons between them; ignored
 * in a set-uid process), the configured one, the compiled-in one; the first file
 * there is decides. Asking again gives the same module.
 * SWM_E_NOT_FOUND: no such file. SWM_E_CONFIG: not a name, not a plugin of this kind,
 * of another ABI, or incomplete. SWM_E_DENIED: its file is not to be trusted.
 * SWM_E_NOMEM. The message names the file.
 */
swm_status swm_loader_find(struct swm_loader *loader, uint32_t kind, const char *name,
	const struct swm_module **out, struct swm_error *err);

/* The same for a file by its absolute path; `kind` 0 takes any. The descriptor's
 * name needs not to be that of the file. */
swm_status swm_loader_open(struct swm_loader *loader, uint32_t kind, const char *file,
	const struct swm_module **out, struct swm_error *err);

/*
 * Calls the plugin's load(), once; to be called before its open(). SWM_OK also when it
 * has been before. On failure, which is its load()'s, the plugin is not to be used;
 * asking again gives the same status.
 */
swm_status swm_loader_start(
	struct swm_loader *loader, const struct swm_module *module, struct swm_error *err);

/* A file that looks like a plugin, by its name. */
struct swm_candidate {
	const char *file;
	uint32_t kind;
	const char *name;
	const struct swm_module *module; /* NULL: refused */
	const char *refusal;             /* why, or NULL */
	bool shadowed;                   /* an earlier directory has the same name */
};

/* Every plugin in all directories, in the order in which they are looked up, by name
 * within one; each is opened and checked. `each` is called for one after the other,
 * and may return false to stop. SWM_E_NOMEM. */
swm_status swm_loader_scan(struct swm_loader *loader,
	bool (*each)(void *ctx, const struct swm_candidate *candidate), void *ctx,
	struct swm_error *err);

/* "queue" or "store". */
const char *swm_plugin_kind_name(uint32_t kind);

#endif
