/* SPDX-License-Identifier: MIT */

/* The list of mistakes that a check gives back. */

#include "json_read.h"
#include "template_check.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void swm_findings_finish(struct swm_findings *findings)
{
	free(findings->items);
	*findings = (struct swm_findings){0};
}

static void copy_pointer(struct swm_finding *finding, const char *pointer)
{
	static const char more[] = "...";
	struct swm_str whole = {pointer, strlen(pointer)};
	size_t room = sizeof(finding->pointer) - 1;
	if (whole.len <= room) {
		memcpy(finding->pointer, pointer, whole.len);
		return;
	}
	size_t len = swm_str_cut(whole, room - strlen(more));
	memcpy(finding->pointer, pointer, len);
	memcpy(finding->pointer + len, more, strlen(more));
}

swm_status swm_findings_add(struct swm_findings *findings, struct swm_str text, int32_t line,
	bool warning, const char *pointer, const char *fmt, va_list args)
{
	if (!warning) {
		findings->errors++;
	}
	if (findings->count >= SWM_FINDINGS_MAX) {
		return SWM_OK;
	}
	struct swm_finding *items =
		realloc(findings->items, (findings->count + 1) * sizeof(*items));
	if (!items) {
		return SWM_E_NOMEM;
	}
	findings->items = items;

	struct swm_finding *finding = &items[findings->count++];
	*finding = (struct swm_finding){.line = line, .warning = warning};
	if (line == 0) {
		finding->line = swm_json_line(text, pointer);
	}
	copy_pointer(finding, pointer);
	char message[2 * sizeof(finding->message)];
	(void)vsnprintf(message, sizeof(message), fmt, args);
	size_t len = swm_str_cut(swm_str_from(message), sizeof(finding->message) - 1);
	memcpy(finding->message, message, len);
	swm_text_clean(finding->message);
	return SWM_OK;
}
