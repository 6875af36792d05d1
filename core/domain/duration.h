/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_DURATION_H
#define SWM_DOMAIN_DURATION_H

/*
 * Durations as people write them in templates and configuration files.
 */

#include <swm/types.h>

/*
 * Reads "250ms", "30s", "1.5m", "2h" or "7d": a decimal number of at most 12 digits
 * and a unit, nothing around them. False, and *ms untouched, when the text is
 * something else, is below zero or over SWM_DURATION_MAX_MS.
 */
bool swm_duration_parse(const char *text, size_t len, int64_t *ms);

#endif
