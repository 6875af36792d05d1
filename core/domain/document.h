/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_DOCUMENT_H
#define SWM_DOMAIN_DOCUMENT_H

/*
 * An instance as people know it: the template's document with the status, attempt,
 * time and reason of each stage and task filled in, the shape in which the
 * original Python manager kept its instances.
 */

#include "instance.h"

#include <jansson.h>

/*
 * The document of an instance; the caller owns *out. `text` is the template's as it
 * was applied, `updated_ms` the time of the last record. Times are ISO 8601 with
 * milliseconds in UTC.
 * SWM_E_CORRUPT: the text is not the template's. SWM_E_NOMEM.
 */
swm_status swm_document(const struct swm_instance *instance, struct swm_str text,
	struct swm_str business_ref, int64_t updated_ms, json_t **out, struct swm_error *err);

/* "2019-06-28T10:45:43.012Z"; `out` has room for SWM_TIME_MAX bytes. */
#define SWM_TIME_MAX 40
void swm_time_write(int64_t at_ms, char *out);

#endif
