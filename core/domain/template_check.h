/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_TEMPLATE_CHECK_H
#define SWM_DOMAIN_TEMPLATE_CHECK_H

/*
 * What is wrong with a template, all at once: internal to template.c.
 */

#include "template.h"

#include <jansson.h>
#include <stdarg.h>

/* The fields of a task that mean something to us and stay out of StartTask, or are
 * written there by ourselves. */
bool swm_task_field_is_ours(const char *key);

/* Adds what is wrong with the document to the findings. SWM_OK, however many there
 * are; SWM_E_NOMEM. */
swm_status swm_template_check(
	struct swm_str text, const json_t *root, struct swm_findings *findings);

/* Adds one finding; the line is looked up unless given. Beyond SWM_FINDINGS_MAX it is
 * only counted. */
swm_status swm_findings_add(struct swm_findings *findings, struct swm_str text, int32_t line,
	bool warning, const char *pointer, const char *fmt, va_list args) SWM_PRINTF(6, 0);

#endif
