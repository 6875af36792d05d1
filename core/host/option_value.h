/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_OPTION_VALUE_H
#define SWM_HOST_OPTION_VALUE_H

/*
 * One value of an option: text in, a C value out, and back. It does not know where
 * the text came from: the file, the environment, a secret's file or a fallback.
 */

#include "problems.h"

#include <swm/plugin.h>

/* "1048576", "64KiB", "4MiB", "1GiB", "2TiB", "10B": bytes. False when it is none. */
bool swm_size_parse(const char *text, int64_t *bytes);

/*
 * Writes the value that `text` stands for to option->offset of `config`. For every
 * type but LIST and MAP, whose parts are strings. STRING keeps the pointer.
 * False: it is not allowed, *problems says why (without the value of a secret).
 */
bool swm_option_set_text(const struct swm_option *option, const char *text, const char *pointer,
	void *config, struct swm_problems *problems);

/* The same for a number of the file: INT and SIZE only. */
bool swm_option_set_number(const struct swm_option *option, int64_t number, const char *pointer,
	void *config, struct swm_problems *problems);

void swm_option_set_bool(const struct swm_option *option, bool value, void *config);

/* A number in the words of the option's type: 65536 is "64KiB" for a SIZE. */
void swm_option_show_number(
	const struct swm_option *option, int64_t value, char *out, size_t cap);

/* What the type wants, as the end of "has to be ...". */
void swm_option_wants(const struct swm_option *option, char *out, size_t cap);

#endif
