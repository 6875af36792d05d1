/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_MODULE_CHECK_H
#define SWM_HOST_MODULE_CHECK_H

/*
 * Does what a plugin's entry function returned fit this host? Apart from loader.c, so
 * that it can be tried on descriptors that no compiler would let a plugin export.
 */

#include "loader.h"

/*
 * Checks the descriptor, in the order in which its members may be read, and copies it
 * with its operation table into `out`. `kind` 0 takes any kind, `name` NULL any name;
 * `file` is for messages.
 * SWM_E_CONFIG: it does not fit; the message says what and names the file.
 */
swm_status swm_module_check(const struct swm_plugin *descriptor, uint32_t kind,
	const char *name, const char *file, struct swm_module *out, struct swm_error *err);

/* Only kind and name, of a descriptor that has been checked. */
swm_status swm_module_check_identity(const struct swm_plugin *plugin, uint32_t kind,
	const char *name, const char *file, struct swm_error *err);

#endif
