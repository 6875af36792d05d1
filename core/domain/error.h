/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_ERROR_H
#define SWM_DOMAIN_ERROR_H

/* Filling the caller's struct swm_error. */

#include <swm/types.h>

/* Says why: one line of UTF-8, whatever it quotes, cut when it is too long. Returns the
 * status, so that a failure is one statement. `err` may be NULL. */
swm_status swm_error_set(struct swm_error *err, swm_status status, const char *fmt, ...)
	SWM_PRINTF(3, 4);

#endif
