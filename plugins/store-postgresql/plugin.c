/* SPDX-License-Identifier: MIT */

/*
 * What the host sees of this plugin: its options and its operations.
 *
 * There is no option for a whole connection string: a password could hide in it where it
 * is printed.
 *
 * Concurrency: constants only.
 */

#include "store.h"

static const char *const sslmodes[] = {
	[STORE_SSL_DISABLE] = "disable",
	[STORE_SSL_REQUIRE] = "require",
	[STORE_SSL_VERIFY_CA] = "verify-ca",
	[STORE_SSL_VERIFY_FULL] = "verify-full",
	NULL,
};

#define TEXT_OPTION(option_name, member) \
	.name = (option_name), .type = SWM_OPTION_STRING, \
	.offset = SWM_OFFSET(struct store_config, member, const char *)

static const struct swm_option options[] = {
	{
		TEXT_OPTION("host", host),
		.fallback = "localhost",
		.doc = "The server's name or address, the directory of its socket when it "
		       "begins with /, or several with commas: the first that takes writes.",
	},
	{
		.name = "port",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct store_config, port, int64_t),
		.fallback = "5432",
		.min = 1,
		.max = 65535,
		.doc = "The server's port.",
	},
	{
		TEXT_OPTION("database", database),
		.fallback = "swm",
		.doc = "The database; it may be in use by others as well.",
	},
	{
		TEXT_OPTION("user", user),
		.fallback = "swm",
		.doc = "The role to connect as.",
	},
	{
		TEXT_OPTION("password", password),
		.flags = SWM_OPTION_SECRET,
		.doc = "Its password; without it libpq's own ways are tried: PGPASSWORD and "
		       "~/.pgpass.",
	},
	{
		.name = "sslmode",
		.type = SWM_OPTION_CHOICE,
		.offset = SWM_OFFSET(struct store_config, sslmode, int32_t),
		.fallback = "verify-full",
		.choices = sslmodes,
		.doc = "'verify-full' encrypts and wants a certificate of sslrootcert for this "
		       "very host, 'verify-ca' for any, 'require' takes whatever is shown, "
		       "'disable' sends in the clear.",
	},
	{
		TEXT_OPTION("sslrootcert", sslrootcert),
		.fallback = "/etc/ssl/certs/ca-certificates.crt",
		.doc = "The file with the authorities that are believed.",
	},
	{
		TEXT_OPTION("sslcert", sslcert),
		.doc = "Our own certificate, if the server asks for one.",
	},
	{
		TEXT_OPTION("sslkey", sslkey),
		.doc = "Its key; readable by nobody else.",
	},
	{
		TEXT_OPTION("schema", schema),
		.fallback = "public",
		.doc = "The schema of the tables, [a-z_][a-z0-9_]*, 31 characters at most; "
		       "made by swm migrate when it is missing.",
	},
	{
		TEXT_OPTION("table_prefix", table_prefix),
		.fallback = "wf_",
		.doc = "What the names of all tables begin with, likewise.",
	},
	{
		TEXT_OPTION("application_name", application_name),
		.fallback = "swm",
		.doc = "What pg_stat_activity shows.",
	},
	{
		.name = "parameters",
		.type = SWM_OPTION_MAP,
		.offset = SWM_OFFSET(struct store_config, parameters, struct swm_map),
		.doc = "Further connection parameters of libpq, by their names there; none "
		       "that is an option here, and no secrets.",
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
	.purge = store_purge,
};

const struct swm_plugin store_postgresql_plugin = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(store_postgresql_plugin),
	.kind = SWM_PLUGIN_STORE,
	.name = "postgresql",
	.version = "0.1.0",
	.license = "MIT",
	.description = "The store in a PostgreSQL database, for any number of orchestrators",
	.options = options,
	.option_size = sizeof(options[0]),
	.config_size = sizeof(struct store_config),
	.ops = &ops,
};
