/* SPDX-License-Identifier: MIT */

/* See cli.h: what commands are given to read. */

#include "cli.h"

#include "error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A first guess; doubled as long as more comes. */
#define READ_CHUNK_BYTES 4096

static swm_status read_stream(FILE *stream, const char *name, size_t max_bytes, char **out,
	size_t *out_len, struct swm_error *err)
{
	char *text = NULL;
	size_t len = 0;
	size_t capacity = 0;
	for (;;) {
		if (len + 1 >= capacity) {
			capacity = capacity == 0 ? READ_CHUNK_BYTES : capacity * 2;
			char *larger = realloc(text, capacity);
			if (larger == NULL) {
				free(text);
				return swm_error_set(err, SWM_E_NOMEM, "out of memory");
			}
			text = larger;
		}
		size_t got = fread(text + len, 1, capacity - len - 1, stream);
		len += got;
		if (got == 0 || len > max_bytes) {
			break;
		}
	}
	if (ferror(stream) != 0) {
		free(text);
		return swm_error_set(
			err, SWM_E_INVALID, "cannot read %s: %s", name, strerror(errno));
	}
	if (len > max_bytes) {
		free(text);
		return swm_error_set(
			err, SWM_E_TOO_LARGE, "%s is larger than %zu bytes", name, max_bytes);
	}
	text[len] = '\0';
	*out = text;
	*out_len = len;
	return SWM_OK;
}

swm_status swm_cli_read_file(
	const char *path, size_t max_bytes, char **out, size_t *len, struct swm_error *err)
{
	if (strcmp(path, "-") == 0) {
		return read_stream(stdin, "standard input", max_bytes, out, len, err);
	}
	FILE *stream = fopen(path, "re");
	if (stream == NULL) {
		return swm_error_set(err, errno == ENOENT ? SWM_E_NOT_FOUND : SWM_E_INVALID,
			"cannot open %s: %s", path, strerror(errno));
	}
	swm_status status = read_stream(stream, path, max_bytes, out, len, err);
	(void)fclose(stream);
	return status;
}

swm_status swm_cli_read_argument(const char *argument, bool dash_is_stdin, size_t max_bytes,
	char **out, size_t *len, struct swm_error *err)
{
	if (dash_is_stdin && strcmp(argument, "-") == 0) {
		return swm_cli_read_file(argument, max_bytes, out, len, err);
	}
	if (argument[0] == '@') {
		return swm_cli_read_file(argument + 1, max_bytes, out, len, err);
	}
	size_t size = strlen(argument);
	if (size > max_bytes) {
		return swm_error_set(
			err, SWM_E_TOO_LARGE, "is larger than %zu bytes", max_bytes);
	}
	char *copy = strdup(argument);
	if (copy == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	*out = copy;
	*len = size;
	return SWM_OK;
}
