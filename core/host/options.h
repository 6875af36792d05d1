/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_OPTIONS_H
#define SWM_HOST_OPTIONS_H

/*
 * From a section of the configuration file to the struct that an option table of
 * swm/plugin.h describes. Our own sections go through the same tables as those of
 * the plugins, so that one piece of code checks, explains, documents and redacts.
 */

#include "problems.h"

#include <jansson.h>
#include <swm/plugin.h>

/* What one table may hold; enough for the longest client, and the place for the
 * names when one is looked for that is near. */
#define SWM_OPTIONS_MAX 128

/* A JSON pointer of the configuration; deeper ones are cut, in messages only. */
#define SWM_POINTER_MAX 256

/* A table and how to walk it: a plugin that was built for an older minor has
 * smaller entries, whose missing members read as zero. */
struct swm_option_table {
	const struct swm_option *options; /* ends with a NULL name; NULL: no options */
	size_t stride;                    /* sizeof(struct swm_option) where it was built */
	size_t config_size;               /* of the struct that it fills */
};

/* The option at that place, as this version knows it; false past the end. */
bool swm_option_get(const struct swm_option_table *table, size_t index, struct swm_option *out);

/* Is the table itself sound: its types, its offsets within config_size, its names?
 * Adds what is not to *problems. To be called before anything else is done with a
 * table from outside. */
void swm_option_table_check(
	const struct swm_option_table *table, struct swm_problems *problems);

/* A filled struct and all that it points to. */
struct swm_options;

/*
 * Checks `section` (NULL or null: empty) against the table and fills a struct. Keys that
 * begin with "//" are comments. Keys of `also` (ends with NULL; may be NULL) belong
 * to somebody else and are passed over. `pointer` is where the section stands.
 * SWM_E_CONFIG: *problems has what is wrong, all of it. SWM_E_NOMEM. The caller
 * destroys *out.
 */
swm_status swm_options_fill(const struct swm_option_table *table, json_t *section,
	const char *pointer, const char *const *also, struct swm_problems *problems,
	struct swm_options **out);

/* The struct; lives as long as `options`. */
const void *swm_options_config(const struct swm_options *options);

/* Wipes and frees all of it. NULL is allowed. */
void swm_options_destroy(struct swm_options *options);

/* The value in a filled struct as it would stand in the file, cut to fit; "(secret)"
 * for a secret that is set, "" for what is unset. */
void swm_option_show(
	const struct swm_option *option, const void *config, char *out, size_t cap);

/* The name of a SWM_OPTION_* type: "string", "size", ... */
const char *swm_option_type_name(uint32_t type);

/* Appends a key, escaped, or an index to a pointer; cut to fit SWM_POINTER_MAX. */
void swm_pointer_key(char out[SWM_POINTER_MAX], const char *base, const char *key);
void swm_pointer_index(char out[SWM_POINTER_MAX], const char *base, size_t index);

#endif
