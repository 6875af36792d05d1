/* SPDX-License-Identifier: MIT */
#ifndef SWM_PLUGIN_H
#define SWM_PLUGIN_H

/*
 * How a plugin and its host meet.
 *
 * A plugin is one shared object that exports one function, swm_plugin_entry(),
 * which returns a constant descriptor. Everything else is hidden. The plugin
 * resolves no symbol of the host's: what it needs comes in struct swm_host.
 *
 * Life of a plugin:
 *
 *   dlopen, entry, checks        host, main thread, once per process
 *   load                         host, main thread, once per process
 *   ops->open ... ops->close     once per configured adapter
 *   unload                       at exit; the object itself is never dlclosed
 */

#include <swm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SWM_PLUGIN_MAGIC UINT32_C(0x73776d70)
#define SWM_ABI_MAJOR 1
#define SWM_ABI_MINOR 0

enum {
	SWM_PLUGIN_QUEUE = 1, /* ops is a struct swm_queue_ops */
	SWM_PLUGIN_STORE = 2  /* ops is a struct swm_store_ops */
};

enum {
	SWM_LOG_ERROR = 0,
	SWM_LOG_WARN = 1,
	SWM_LOG_INFO = 2,
	SWM_LOG_DEBUG = 3
};

/* What the host does for a plugin. Every function may be called from any
 * thread; none of them blocks or calls back into the plugin. All members are
 * set, now and in every later version; the table outlives the plugin. */
struct swm_host {
	uint32_t size;
	uint16_t abi_major;
	uint16_t abi_minor;
	void *ctx;         /* the first argument of each function below */
	int32_t log_level; /* SWM_LOG_*: do not format what is above it */
	int32_t reserved;

	/* One line for the operator, without a newline and without secrets.
	 * `source` is the adapter's name in the configuration, or the plugin's. */
	void (*log)(void *ctx, int32_t level, const char *source, const char *fmt, ...)
		SWM_PRINTF(4, 5);

	/* Wall clock, milliseconds since 1970-01-01T00:00Z. It may jump, and a test
	 * may stop it: leases and due times of a local store go by it, waiting must
	 * not. */
	int64_t (*now_ms)(void *ctx);

	/* Adds to a counter, created at its first use. `metric` is
	 * [a-z][a-z0-9_]*, a literal: the host keeps the pointer. */
	void (*count)(void *ctx, const char *metric, int64_t delta);
};

/* The C type that an option's value has in the plugin's configuration. */
enum {
	SWM_OPTION_STRING = 1,   /* const char *, NULL when unset */
	SWM_OPTION_BOOL = 2,     /* bool */
	SWM_OPTION_INT = 3,      /* int64_t */
	SWM_OPTION_SIZE = 4,     /* int64_t, bytes; "4MiB" in the file */
	SWM_OPTION_DURATION = 5, /* int64_t, milliseconds; "30s" in the file */
	SWM_OPTION_CHOICE = 6,   /* int32_t, index into `choices` */
	SWM_OPTION_LIST = 7,     /* struct swm_list */
	SWM_OPTION_MAP = 8       /* struct swm_map: handed on to the client as is */
};

enum {
	SWM_OPTION_REQUIRED = 1 << 0,
	SWM_OPTION_SECRET = 1 << 1, /* never printed; may be read from a file */
	SWM_OPTION_DEPRECATED = 1 << 2
};

struct swm_list {
	const char *const *items;
	size_t count;
};

struct swm_pair {
	const char *name;
	const char *value;
};

struct swm_map {
	const struct swm_pair *items;
	size_t count;
};

/*
 * One option of the plugin's section of the configuration file. The host
 * checks the section against the table, refuses what the table does not name,
 * fills in the fallbacks and writes the values at `offset` of a zeroed struct
 * of `config_size` bytes. The same table prints --describe and the reference.
 */
struct swm_option {
	const char *name;
	uint32_t type;
	uint32_t flags;
	size_t offset;
	const char *fallback; /* as it would stand in the file */
	int64_t min;          /* numbers only; both 0: unbounded */
	int64_t max;
	const char *const *choices; /* SWM_OPTION_CHOICE: ends with NULL */
	const char *doc;            /* one sentence */
};

/* offsetof() that refuses to compile (in C) when the member is of another type. */
#ifdef __cplusplus
#define SWM_OFFSET(type, member, ctype) offsetof(type, member)
#else
/* NOLINTBEGIN(bugprone-macro-parentheses): a member's name takes none */
#define SWM_OFFSET(type, member, ctype) \
	_Generic(((type *)0)->member, ctype : offsetof(type, member))
/* NOLINTEND(bugprone-macro-parentheses) */
#endif

struct swm_plugin {
	uint32_t magic; /* SWM_PLUGIN_MAGIC: first, for ever */
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t size; /* of this struct, as compiled */
	uint32_t kind;
	const char *name;                 /* [a-z0-9-]+, as the config says it */
	const char *version;              /* of the plugin */
	const char *license;              /* an SPDX expression */
	const char *description;          /* one line */
	const struct swm_option *options; /* ends with a NULL name */
	uint32_t option_size;             /* sizeof(struct swm_option) */
	uint32_t config_size;             /* of the struct the options fill */
	const void *ops;                  /* by kind */

	/* May be NULL. Process-wide set-up of the client library, before any open;
	 * main thread. SWM_OK, or any failure: the plugin is not used then, and
	 * unload is not called. */
	swm_status (*load)(const struct swm_host *host, struct swm_error *err);
	/* May be NULL. After the last close, just before the process ends; main
	 * thread. */
	void (*unload)(void);
};

enum {
	SWM_OPEN_ORCHESTRATOR = 1 << 0 /* by `run`; the command line and agents leave it out */
};

/* What every open() is given. All of it outlives the adapter. */
struct swm_open_args {
	uint32_t size;
	uint32_t flags;
	const struct swm_host *host;
	const char *instance;    /* the adapter's name in the config */
	const void *config;      /* config_size bytes, filled by options */
	int64_t call_timeout_ms; /* no call takes longer: then SWM_E_TIMEOUT (not done)
				  * or SWM_E_INDOUBT (nobody knows) */
};

#define SWM_PLUGIN_ENTRY "swm_plugin_entry"
typedef const struct swm_plugin *(*swm_plugin_entry_fn)(void);

/* Once in a plugin, in a file of its own: tests link the rest without it. */
#ifdef __cplusplus
#define SWM_PLUGIN_LINKAGE extern "C"
#else
#define SWM_PLUGIN_LINKAGE
#endif
#define SWM_PLUGIN_EXPORT(descriptor) \
	SWM_PLUGIN_LINKAGE SWM_EXPORT const struct swm_plugin *swm_plugin_entry(void); \
	SWM_PLUGIN_LINKAGE SWM_EXPORT const struct swm_plugin *swm_plugin_entry(void) \
	{ \
		return &(descriptor); \
	} \
	struct swm_plugin_export_needs_a_semicolon

#ifdef __cplusplus
}
#endif

#endif
