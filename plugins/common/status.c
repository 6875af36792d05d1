/* SPDX-License-Identifier: MIT */

/* Error messages of plugins; see status.h. Concurrency: no state; any thread. */

#include "status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How much of `text`, which was cut after `len` bytes, is whole UTF-8 characters. */
static size_t whole_characters(const char *text, size_t len)
{
	size_t start = len;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
		start--;
	}
	if (start == 0) {
		return len;
	}
	unsigned char lead = (unsigned char)text[start - 1];
	size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

	return len - (start - 1) < need ? start - 1 : len;
}

swm_status swm_fail(struct swm_error *err, swm_status status, int native, const char *fmt, ...)
{
	va_list args;

	if (!err) {
		return status;
	}
	err->status = status;
	err->native = native;
	va_start(args, fmt);
	int len = vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	if (len < 0) {
		err->message[0] = '\0';
	}
	if (len >= (int)sizeof(err->message)) {
		err->message[whole_characters(err->message, sizeof(err->message) - 1)] = '\0';
	}
	for (char *at = err->message; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f) {
			*at = ' ';
		}
	}
	return status;
}

swm_status swm_fail_errno(struct swm_error *err, const char *path, const char *what)
{
	int number = errno;
	swm_status status = SWM_E_UNAVAILABLE;

	if (number == EACCES || number == EPERM || number == EROFS) {
		status = SWM_E_DENIED;
	} else if (number == ENOSPC || number == EDQUOT) {
		status = SWM_E_THROTTLED;
	} else if (number == ENOMEM) {
		status = SWM_E_NOMEM;
	}
	return swm_fail(err, status, number, "%s: cannot %s: %s", path, what, strerror(number));
}
