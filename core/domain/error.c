/* SPDX-License-Identifier: MIT */

/* The one place that formats the message of a failure. */

#include "error.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room to see that a message was cut, before it is cut at a letter. */
#define SLACK 8

swm_status swm_error_set(struct swm_error *err, swm_status status, const char *fmt, ...)
{
	if (err) {
		char text[SWM_ERROR_MESSAGE_MAX + SLACK];
		va_list args;
		va_start(args, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, args);
		va_end(args);

		size_t len = swm_str_cut(swm_str_from(text), SWM_ERROR_MESSAGE_MAX - 1);
		*err = (struct swm_error){.status = status};
		memcpy(err->message, text, len);
		swm_text_clean(err->message);
	}
	return status;
}
