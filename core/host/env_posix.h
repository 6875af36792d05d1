/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_ENV_POSIX_H
#define SWM_HOST_ENV_POSIX_H

/*
 * The engine's environment on a real machine: the system's clocks, its entropy and
 * POSIX threads.
 */

#include "env.h"

/* Fills *env; needs no finish. The host table is borrowed and outlives it. Threads
 * start with the caller's signal mask: block first what only main is to take. */
void swm_env_posix_init(struct swm_env *env, const struct swm_host *host);

#endif
