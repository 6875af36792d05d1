/* SPDX-License-Identifier: MIT */

/*
 * The configuration file: any bytes at all. What is taken can be shown, and every
 * name in it refers to an adapter that is there; what is not has its problems, each
 * with a place.
 */

#include "fuzz.h"

#include "config.h"
#include "option_value.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static void check_problems(const struct swm_problems *problems)
{
	size_t errors = 0;

	for (size_t i = 0; i < problems->count; i++) {
		const struct swm_problem *problem = &problems->items[i];
		errors += problem->severity == SWM_SEVERITY_ERROR;
		fuzz_message(problem->message, SIZE_MAX / 2);
		fuzz_that(problem->pointer[0] == '\0' || problem->pointer[0] == '/',
			"it stands at %s", problem->pointer);
		fuzz_that(problem->line >= 0, "line %d", problem->line);
	}
	fuzz_that(errors == problems->error_count && !problems->incomplete,
		"%zu errors, not %zu", errors, problems->error_count);
}

/* Every value of our own sections, also into too little room. */
static void check_shown(const struct swm_config *config)
{
	const struct swm_config_section *section = swm_config_sections();

	for (; section->name != NULL; section++) {
		const void *values = swm_config_section_values(config, section);
		struct swm_option option;
		for (size_t i = 0; swm_option_get(&section->table, i, &option); i++) {
			for (size_t cap = 1; values != NULL && cap <= 256; cap *= 16) {
				char *out = fuzz_memory(cap);
				swm_option_show(&option, values, out, cap);
				fuzz_that(
					strnlen(out, cap) < cap, "%s has no end", option.name);
				free(out);
			}
		}
	}
}

static void check_route(const struct swm_config *config, struct swm_str destination)
{
	const char *adapter = swm_config_route(config, destination);

	fuzz_that(adapter != NULL && swm_config_queue(config, adapter) != NULL,
		"\"%.*s\" goes to the adapter %s", (int)destination.len,
		destination.ptr != NULL ? destination.ptr : "",
		adapter != NULL ? adapter : "NULL");
}

static void check_adapter(const struct swm_adapter_config *adapter)
{
	fuzz_that(adapter->name != NULL && adapter->pointer != NULL && adapter->plugin != NULL,
		"an adapter without a name or a plugin");
	fuzz_that(adapter->section == NULL || json_is_object(adapter->section), "no section");
}

static void check_config(const struct swm_config *config, struct swm_str text)
{
	fuzz_that(config->listen_count >= 1 && config->listen_count <= SWM_LISTEN_MAX,
		"%zu listen", config->listen_count);
	fuzz_that(config->queue_count >= 1 && config->queue_count <= SWM_QUEUES_MAX,
		"%zu queues", config->queue_count);
	fuzz_that(config->workflow.batch > 0 && config->workflow.prefetch > 0 &&
			  config->limits.message_bytes > 0,
		"a limit of nothing");
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct swm_listen *listen = &config->listen[i];
		fuzz_that(swm_config_queue(config, listen->adapter) != NULL,
			"listens to the adapter %s", listen->adapter);
		fuzz_that(listen->queue != NULL && listen->processors >= 1 &&
				  listen->processors <= SWM_PROCESSORS_MAX,
			"listens with %d processors", (int)listen->processors);
		check_route(config, swm_str_from(listen->queue));
	}
	for (size_t i = 0; i < config->routes.count; i++) {
		check_route(config, swm_str_from(config->routes.items[i].name));
	}
	for (size_t i = 0; i < config->queue_count; i++) {
		check_adapter(&config->queues[i]);
	}
	check_adapter(&config->store);
	check_route(config, text);
	check_route(config, SWM_STR(""));
	check_route(config, SWM_STR("pizza_queue"));
	check_shown(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct swm_str text = {(const char *)data, size};
	struct swm_problems problems = {0};
	struct swm_config *config = NULL;

	const swm_status status = swm_config_parse(text, "fuzz.json", &problems, &config);
	check_problems(&problems);
	if (status == SWM_OK) {
		fuzz_that(problems.error_count == 0, "%zu errors", problems.error_count);
		check_config(config, text);
	} else {
		fuzz_that(status == SWM_E_CONFIG && problems.error_count > 0, "status %d",
			status);
		fuzz_that(config == NULL, "a configuration of what was refused");
	}
	swm_config_destroy(config);
	swm_problems_finish(&problems);
	return 0;
}
