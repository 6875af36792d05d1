/* SPDX-License-Identifier: MIT */
#ifndef SWM_TEST_HOST_SUPPORT_H
#define SWM_TEST_HOST_SUPPORT_H

/*
 * What the tests of the host share: a directory of their own, files in it, and looks
 * into a list of problems.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "problems.h"

#include <sys/types.h>

/* A new empty directory that only we can write; the caller frees the path. */
char *support_directory(void);

/* Writes a file into it and gives it that mode; the path is the caller's to free. */
char *support_file(const char *directory, const char *name, const char *text, mode_t mode);

/* Copies a file, with that mode; likewise. */
char *support_copy(const char *from, const char *directory, const char *name, mode_t mode);

/* Removes the directory with its files and frees the path. */
void support_remove(char *directory);

/* Fails the test, with the whole list, when no entry has that pointer and a message
 * with `part` in it. */
void support_has_problem(
	const struct swm_problems *problems, const char *pointer, const char *part);

#endif
