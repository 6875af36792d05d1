/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_REFERENCE_H
#define SWM_HOST_REFERENCE_H

/*
 * Option tables as documentation: docs/configuration.md is the output of
 * `swm check --reference`, so that it cannot say anything else than the code does.
 */

#include "config.h"
#include "loader.h"
#include "out.h"

/* One of our own sections, as markdown. */
void swm_reference_section(const struct swm_config_section *section, FILE *to);

/* A plugin, as markdown. */
void swm_reference_plugin(const struct swm_module *module, FILE *to);

/* The same for a terminal, and as one JSON object. SWM_E_NOMEM. */
swm_status swm_reference_plugin_table(
	const struct swm_module *module, const struct swm_out *out);
swm_status swm_reference_plugin_json(
	const struct swm_module *module, const struct swm_out *out);

#endif
