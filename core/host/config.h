/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CONFIG_H
#define SWM_HOST_CONFIG_H

/*
 * The configuration file: which broker and which store, and how to treat them.
 * Every key is optional; an empty file, or none, is the embedded pair of SQLite
 * adapters in ./var. docs/configuration.md is printed from the tables in here.
 *
 * The sections of adapters are kept as they stand: only the plugin's own table can
 * read them, and it is there only once the plugin is loaded (adapters.h).
 *
 * Concurrency: read once at start by the main thread, immutable then.
 */

#include "options.h"

/* A longer file is not a configuration. */
#define SWM_CONFIG_MAX_BYTES ((size_t)1024 * 1024)

/* Each has a thread, a consumer, a publisher and a session. */
#define SWM_LISTEN_MAX 16
#define SWM_PROCESSORS_MAX 64

/* Named queue adapters; each is a connection or more. */
#define SWM_QUEUES_MAX 32

/* What `run` listens to. The first one also gets our own messages. */
struct swm_listen {
	const char *adapter; /* a name in `queues` */
	const char *queue;
	int64_t processors;
};

enum swm_payload_kind {
	SWM_PAYLOAD_KIND_FULL, /* with the reserved object `_swm` */
	SWM_PAYLOAD_KIND_PLAIN
};

struct swm_workflow_config {
	int64_t batch;
	int64_t lease_ms;
	int64_t call_timeout_ms;
	int64_t prefetch; /* never 0 here */
	int64_t cache_bytes;
	int32_t payload;        /* enum swm_payload_kind */
	const char *ready_file; /* NULL: none */
};

struct swm_limits_config {
	int64_t message_bytes;
	int64_t data_bytes;
	int64_t template_bytes;
};

struct swm_log_config {
	int32_t level;  /* SWM_LOG_* */
	int32_t format; /* enum swm_log_format */
};

/* One adapter: a plugin and the section that its own options come from. */
struct swm_adapter_config {
	const char *name;        /* "store", or the key in `queues` */
	const char *pointer;     /* where it stands: "/queues/main" */
	const char *plugin;      /* a bare name */
	const char *plugin_file; /* instead of a look-up; absolute; or NULL */
	json_t *section;         /* NULL: not in the file */
};

struct swm_config {
	const char *file; /* NULL: none was read */
	struct swm_workflow_config workflow;
	struct swm_listen listen[SWM_LISTEN_MAX];
	size_t listen_count;
	struct swm_adapter_config store;
	struct swm_adapter_config queues[SWM_QUEUES_MAX];
	size_t queue_count;
	struct swm_map routes;  /* pattern -> adapter */
	const char *plugin_dir; /* absolute, or NULL */
	struct swm_log_config log;
	struct swm_limits_config limits;
	struct swm_config_memory *memory; /* all of the above */
};

/*
 * Reads the configuration: `path` when given, else the file that $SWM_CONFIG names,
 * else conf/swm.json when it is there, else the defaults. The caller destroys *out.
 * SWM_E_CONFIG: *problems says what is wrong, `file` receives the name of the file
 * that was looked at (or NULL; the text is the caller's argument or the
 * environment's). SWM_E_NOMEM.
 */
swm_status swm_config_load(const char *path, struct swm_problems *problems, const char **file,
	struct swm_config **out);

/* The same from text; `file` is only for messages. */
swm_status swm_config_parse(struct swm_str text, const char *file,
	struct swm_problems *problems, struct swm_config **out);

/* NULL is allowed. */
void swm_config_destroy(struct swm_config *config);

/* The adapter that a destination's messages go to: a workflow queue's is the one that
 * it is heard on; of `routes` the longest pattern that matches wins, an exact one
 * first; else it is the adapter of the first `listen`. */
const char *swm_config_route(const struct swm_config *config, struct swm_str destination);

/* The named adapter's section; NULL when there is none. */
const struct swm_adapter_config *swm_config_queue(
	const struct swm_config *config, const char *name);

/* A section of the file that is ours, for the reference. */
struct swm_config_section {
	const char *name; /* "workflow", "workflow.listen[]", ... */
	const char *doc;
	struct swm_option_table table;
};

/* All of them, in the order of the reference; the end has a NULL name. */
const struct swm_config_section *swm_config_sections(void);

/* The filled struct of a section, to be shown with swm_option_show(); NULL for those
 * that stand in a list. */
const void *swm_config_section_values(
	const struct swm_config *config, const struct swm_config_section *section);

/* The keys that every adapter's section has besides its plugin's; ends with NULL. */
extern const char *const swm_adapter_keys[];

#endif
