/* SPDX-License-Identifier: MIT */

/*
 * The plugin under test, loaded as `swm run` loads it: through the project's
 * loader, its checks and its option tables, so that the kit tries what will run.
 * This is the one file of the kit that knows the host.
 */

#define _XOPEN_SOURCE 700 /* realpath() */

#include "conform.h"

#include "loader.h"
#include "options.h"
#include "services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No call of an adapter takes longer; more than any test waits for an answer. */
#define CALL_TIMEOUT_MS 10000

struct conform_loaded {
	struct swm_services services;
	struct swm_loader *loader;
	const struct swm_module *module;
	struct swm_options *options;
	char *plugin_file;
};

/* The section names the plugin too when it is copied from a configuration file. */
static const char *const also[] = {"plugin", "plugin_file", NULL};

static swm_status fill_options(struct conform_loaded *loaded, const char *config_file)
{
	json_error_t where;
	json_t *section = json_load_file(config_file, JSON_REJECT_DUPLICATES, &where);
	if (section == NULL) {
		(void)fprintf(stderr, "%s:%d: %s\n", config_file, where.line, where.text);
		return SWM_E_CONFIG;
	}
	struct swm_problems problems = {0};
	swm_status status = SWM_E_CONFIG;
	if (!json_is_object(section)) {
		swm_problems_add(&problems, SWM_SEVERITY_ERROR, "",
			"must be an object: the plugin's section with its options");
	} else {
		swm_option_table_check(&loaded->module->options, &problems);
		if (problems.error_count == 0) {
			status = swm_options_fill(&loaded->module->options, section, "", also,
				&problems, &loaded->options);
		}
	}
	swm_problems_print(&problems, config_file, stderr);
	swm_problems_finish(&problems);
	json_decref(section);
	return status;
}

static void fill_kit(struct conform_kit *kit, const struct conform_loaded *loaded)
{
	const struct swm_module *module = loaded->module;
	kit->kind = module->plugin.kind;
	if (kit->kind == SWM_PLUGIN_STORE) {
		kit->store = &module->store;
		kit->capabilities = module->store.capabilities;
	} else {
		kit->queue = &module->queue;
		kit->capabilities = module->queue.capabilities;
	}
	kit->config = swm_options_config(loaded->options);
	kit->host = &loaded->services.host;
	kit->call_timeout_ms = CALL_TIMEOUT_MS;
}

swm_status conform_load(struct conform_kit *kit, const char *plugin_file,
	const char *config_file, struct conform_loaded **out)
{
	struct swm_error err = {0};
	struct conform_loaded *loaded = calloc(1, sizeof(*loaded));
	if (loaded == NULL) {
		(void)fprintf(stderr, "out of memory\n");
		return SWM_E_NOMEM;
	}
	/* Warnings only: a TAP reader wants to see the tests. */
	swm_services_init(&loaded->services, STDERR_FILENO, SWM_LOG_WARN, SWM_LOG_TEXT);
	swm_status status = SWM_E_NOT_FOUND;
	loaded->plugin_file = realpath(plugin_file, NULL);
	if (loaded->plugin_file == NULL) {
		(void)fprintf(stderr, "%s: %s\n", plugin_file, strerror(errno));
		goto error;
	}
	status = swm_loader_create(&loaded->services.host, NULL, &loaded->loader);
	if (status == SWM_OK) {
		status = swm_loader_open(
			loaded->loader, 0, loaded->plugin_file, &loaded->module, &err);
	}
	if (status == SWM_OK) {
		status = swm_loader_start(loaded->loader, loaded->module, &err);
	}
	if (status != SWM_OK) {
		(void)fprintf(stderr, "%s: %s: %s\n", plugin_file, conform_status_name(status),
			err.message);
		goto error;
	}
	status = fill_options(loaded, config_file);
	if (status != SWM_OK) {
		goto error;
	}
	fill_kit(kit, loaded);
	*out = loaded;
	return SWM_OK;
error:
	conform_unload(loaded);
	return status;
}

void conform_unload(struct conform_loaded *loaded)
{
	if (loaded == NULL) {
		return;
	}
	swm_options_destroy(loaded->options);
	swm_loader_destroy(loaded->loader);
	free(loaded->plugin_file);
	free(loaded);
}
