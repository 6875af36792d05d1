/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_RESOLVE_H
#define SWM_HOST_RESOLVE_H

/*
 * Values of the configuration that stand elsewhere: ${NAME} in the environment,
 * {"$file": "PATH"} in a file, so that the configuration file itself can be shown,
 * copied and checked in.
 *
 * Concurrency: reads the environment, so no thread may change it meanwhile.
 */

#include "arena.h"
#include "problems.h"

#include <jansson.h>

/* Secrets are keys, tokens and certificates; a file beyond this is a mistake. */
#define SWM_SECRET_FILE_MAX_BYTES 65536

/*
 * Replaces each ${NAME} and ${NAME:-default} of `text`; $${ stands for ${ itself.
 * As in a shell, the default is taken when the variable is unset or empty; without
 * one it has to be set. The result lives in `arena`, terminated.
 * SWM_E_CONFIG: unset or badly written, see *problems; SWM_E_NOMEM.
 */
swm_status swm_resolve_text(const char *text, const char *pointer, struct swm_arena *arena,
	struct swm_problems *problems, char **out);

/*
 * Reads a value from a file (its path is resolved as text first), without one
 * newline at its end. The file must be a regular one of root's or the user's, that
 * nobody else can write; one that others can read is a warning.
 * SWM_E_CONFIG: see *problems; SWM_E_NOMEM.
 */
swm_status swm_resolve_file(const char *path, const char *pointer, struct swm_arena *arena,
	struct swm_problems *problems, char **out);

/* The path when `value` is {"$file": "PATH"}, else NULL; borrowed. */
const char *swm_resolve_is_file(const json_t *value);

#endif
