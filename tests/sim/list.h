/* SPDX-License-Identifier: MIT */
#ifndef SIM_LIST_H
#define SIM_LIST_H

/*
 * Answers as text, for a command line: "crash@2=1,run@17=3".
 *
 * Concurrency: none of its own.
 */

#include "choice.h"

#include <stdio.h>

/* False: *bad is where it cannot be read. The names point into `text`, which is changed; the
 * caller frees the list. */
bool list_read(char *text, struct sim_given **out, size_t *count, const char **bad);

void list_write(FILE *to, const struct sim_given *list, size_t count);

#endif
