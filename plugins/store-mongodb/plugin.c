/* SPDX-License-Identifier: MIT */

/*
 * What the host sees of this plugin: its options, its operations, and the set-up of the
 * client library.
 *
 * Concurrency: load and unload by the main thread, while nothing else of the plugin runs.
 */

#include "store.h"

static const char *const bodies[] = {
	[STORE_BODY_BYTES] = "bytes",
	[STORE_BODY_DOCUMENT] = "document",
	NULL,
};

#define TEXT_OPTION(option_name, member) \
	.name = (option_name), .type = SWM_OPTION_STRING, \
	.offset = SWM_OFFSET(struct store_config, member, const char *)

static const struct swm_option options[] = {
	{
		TEXT_OPTION("uri", uri),
		.fallback = "mongodb://localhost:27017/",
		.doc = "The servers, as mongodb://USER@HOST:PORT,HOST:PORT/?replicaSet=NAME, "
		       "or "
		       "mongodb+srv://; the password stands in 'password'.",
	},
	{
		TEXT_OPTION("password", password),
		.flags = SWM_OPTION_SECRET,
		.doc = "Of the user in 'uri'.",
	},
	{
		TEXT_OPTION("tls_ca", tls_ca),
		.doc = "The file of the authorities that the servers' certificates may be "
		       "from; "
		       "switches TLS on, which otherwise ?tls=true in 'uri' does, with the "
		       "system's authorities.",
	},
	{
		TEXT_OPTION("tls_cert_key", tls_cert_key),
		.doc = "With TLS: the file with our own certificate and its key, for servers "
		       "that "
		       "ask.",
	},
	{
		TEXT_OPTION("database", database),
		.fallback = "swm",
		.doc = "The database, [A-Za-z0-9_-]+, 31 characters at most; it may be in use "
		       "by "
		       "others as well.",
	},
	{
		TEXT_OPTION("collection_prefix", collection_prefix),
		.fallback = "wf_",
		.doc = "What the names of all collections begin with, likewise.",
	},
	{
		TEXT_OPTION("application_name", application_name),
		.fallback = "swm",
		.doc = "What the server's log and currentOp show.",
	},
	{
		.name = "body",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct store_config, body, int32_t),
		.fallback = "bytes",
		.choices = bodies,
		.doc = "'document' writes each instance in the original's shape beside the "
		       "bytes "
		       "that count, for people who query the collection.",
	},
	{.name = NULL},
};

static const struct swm_store_ops ops = {
	.size = sizeof(ops),
	.capabilities = SWM_STORE_SHARED,
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

/* The library would print on stderr. What matters comes back from its functions as well. */
static void take_log(
	mongoc_log_level_t level, const char *domain, const char *message, void *user_data)
{
	const struct swm_host *host = user_data;
	int32_t ours = level <= MONGOC_LOG_LEVEL_CRITICAL ? SWM_LOG_WARN : SWM_LOG_DEBUG;

	if (ours <= host->log_level) {
		host->log(host->ctx, ours, "mongodb", "%s: %s", domain, message);
	}
}

static swm_status load(const struct swm_host *host, struct swm_error *err)
{
	(void)err;
	/* The library's pointer is not const; take_log() only reads. */
	union {
		const struct swm_host *host;
		void *user_data;
	} pointer = {.host = host};

	mongoc_init();
	mongoc_log_set_handler(take_log, pointer.user_data);
	return SWM_OK;
}

static void unload(void)
{
	mongoc_log_set_handler(NULL, NULL);
	mongoc_cleanup();
}

const struct swm_plugin store_mongodb_plugin = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(store_mongodb_plugin),
	.kind = SWM_PLUGIN_STORE,
	.name = "mongodb",
	.version = "0.1.0",
	.license = "MIT",
	.description = "The store in a MongoDB database, for any number of orchestrators",
	.options = options,
	.option_size = sizeof(options[0]),
	.config_size = sizeof(struct store_config),
	.ops = &ops,
	.load = load,
	.unload = unload,
};
