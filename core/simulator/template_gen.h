/* SPDX-License-Identifier: MIT */
#ifndef SIM_TEMPLATE_GEN_H
#define SIM_TEMPLATE_GEN_H

/*
 * Templates that nobody would think of: 1 to 6 stages in any order, empty ones too, tasks
 * that wait for each other in every way, with and without queues, retries, timeouts and
 * fields of their own.
 *
 * Concurrency: none of its own.
 */

#include "choice.h"

/* The JSON text of a template that lint accepts; the caller frees it. `number` makes its
 * component different from that of others. */
char *sim_template_gen(struct sim_choice *choice, unsigned number);

#endif
