/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_FUZZ_INSTANCE_H
#define SWM_TESTS_FUZZ_INSTANCE_H

/* Instances and their bodies, for the targets that have some. */

#include "fuzz.h"
#include "instance.h"
#include "transition.h"

/* The body, terminated, from malloc. */
char *fuzz_instance_body(const struct swm_instance *instance);

/* The instance of a body that we have written: has to be there, and to be written back
 * byte for byte. */
struct swm_instance *fuzz_instance_read(const struct swm_template *template, const char *body);

#endif
