/* SPDX-License-Identifier: MIT */

/*
 * What the host sees of this plugin: its options and its operations.
 *
 * Concurrency: constants only.
 */

#include "store.h"

#include "status.h"

/* Memory statistics cost a process-wide mutex for each allocation. Another plugin may
 * have set SQLite up already, so a refusal is fine. */
static swm_status load(const struct swm_host *host, struct swm_error *err)
{
	(void)host;
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	int rc = sqlite3_initialize();

	if (rc != SQLITE_OK) {
		return swm_fail(err, SWM_E_INTERNAL, rc, "SQLite cannot be set up: %s",
			sqlite3_errstr(rc));
	}
	return SWM_OK;
}

static const struct swm_option options[] = {
	{
		.name = "path",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct store_config, path, const char *),
		.fallback = "var/swm-store.db",
		.doc = "The database file, on a local file system; -wal, -shm, -lock and "
		       "-orchestrator files appear beside it.",
	},
	{
		.name = "cache",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct store_config, cache_bytes, int64_t),
		.fallback = "8MiB",
		.min = INT64_C(64) * 1024,
		.max = INT64_C(16) * 1024 * 1024 * 1024,
		.doc = "How much of the file each session keeps in memory at most.",
	},
	{.name = NULL},
};

static const struct swm_store_ops ops = {
	.size = sizeof(ops),
	.capabilities = 0,
	.open = store_open,
	.close = store_close,
	.migrate = store_migrate,
	.session_open = store_session_open,
	.session_close = store_session_close,
	.load = store_load,
	.commit = store_commit,
	.outbox_put = store_outbox_put,
	.outbox_claim = store_outbox_claim,
	.outbox_update = store_outbox_update,
	.template_put = store_template_put,
	.template_get = store_template_get,
	.template_list = store_template_list,
	.instance_list = store_instance_list,
	.event_list = store_event_list,
	.outbox_list = store_outbox_list,
	.maintain = store_maintain,
	.purge = store_purge,
};

const struct swm_plugin store_sqlite_plugin = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(store_sqlite_plugin),
	.kind = SWM_PLUGIN_STORE,
	.name = "sqlite",
	.version = "0.1.0",
	.license = "MIT",
	.description = "The store in one SQLite file, for one orchestrator",
	.options = options,
	.option_size = sizeof(options[0]),
	.config_size = sizeof(struct store_config),
	.ops = &ops,
	.load = load,
};
