/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CONFIG_TABLES_H
#define SWM_HOST_CONFIG_TABLES_H

/*
 * Between config.c, which reads the file, and config_tables.c, which says what may
 * stand in it. Nobody else includes this.
 */

#include "config.h"

/* Places in what swm_config_sections() returns. */
enum swm_section {
	SWM_SECTION_ROOT,
	SWM_SECTION_WORKFLOW,
	SWM_SECTION_LISTEN,
	SWM_SECTION_ADAPTER,
	SWM_SECTION_LOG,
	SWM_SECTION_LIMITS,
	SWM_SECTION_COUNT
};

struct swm_root_values {
	const char *plugin_dir;
	struct swm_map routes;
};

struct swm_adapter_values {
	const char *plugin;
	const char *plugin_file;
};

#endif
