/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_TRUST_H
#define SWM_HOST_TRUST_H

/*
 * May code be loaded from this file? A plugin runs with all our rights, so nobody
 * else may be able to put one in place: the file and every directory above it belong
 * to root or to the user and are not writable by anybody else. A directory with
 * the sticky bit is fine, since others cannot replace our files in it.
 *
 * With all of the path in safe hands nothing can change between this check and
 * dlopen, and the file can be loaded by its name, as debuggers and profilers expect.
 */

#include <swm/types.h>

/*
 * Checks a file by its absolute path. On SWM_OK *out is its canonical path, which
 * the caller frees.
 * SWM_E_NOT_FOUND: there is none. SWM_E_DENIED: it is not to be trusted, or cannot
 * be read; the message names what is wrong and how to mend it. SWM_E_NOMEM.
 */
swm_status swm_trust_check(const char *path, char **out, struct swm_error *err);

#endif
