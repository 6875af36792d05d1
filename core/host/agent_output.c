/* SPDX-License-Identifier: MIT */

/* See agent_output.h. */

#include "agent_output.h"

#include "text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* To our stderr. Failures are ignored: there is nowhere to tell. */
static void pass_on(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t done = write(STDERR_FILENO, bytes, len);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			return;
		}
		bytes += done;
		len -= (size_t)done;
	}
}

void swm_agent_output_add(struct swm_agent_output *output, struct swm_str bytes)
{
	if (output->over || output->nomem) {
		pass_on(bytes.ptr, bytes.len);
		return;
	}
	if (bytes.len > output->max_bytes - output->len) {
		output->over = true;
		pass_on(output->text, output->len);
		pass_on(bytes.ptr, bytes.len);
		return;
	}
	char *text = realloc(output->text, output->len + bytes.len + 1);
	if (text == NULL) {
		output->nomem = true;
		return;
	}
	memcpy(text + output->len, bytes.ptr, bytes.len);
	output->text = text;
	output->len += bytes.len;
}

void swm_agent_output_pass_on(const struct swm_agent_output *output)
{
	pass_on(output->text, output->len);
}

void swm_agent_output_finish(struct swm_agent_output *output)
{
	free(output->text);
	*output = (struct swm_agent_output){0};
}

static bool is_blank(struct swm_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (strchr(" \t\r\n", text.ptr[i]) == NULL) {
			return false;
		}
	}
	return true;
}

/* A line is whole, or as long as is kept of it. */
static void flush(struct swm_agent_lines *lines)
{
	struct swm_str line = {lines->line, lines->len};
	pass_on(line.ptr, line.len);
	if (!is_blank(line)) {
		while (is_blank((struct swm_str){line.ptr + line.len - 1, 1})) {
			line.len--;
		}
		line.len = swm_str_cut(line, SWM_REASON_MAX);
		memcpy(lines->last, line.ptr, line.len);
		lines->last[line.len] = '\0';
	}
	lines->len = 0;
}

void swm_agent_lines_add(struct swm_agent_lines *lines, struct swm_str bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		lines->line[lines->len++] = bytes.ptr[i];
		if (bytes.ptr[i] == '\n' || lines->len == sizeof(lines->line)) {
			flush(lines);
		}
	}
}

void swm_agent_lines_end(struct swm_agent_lines *lines)
{
	if (lines->len > 0) {
		lines->line[lines->len++] = '\n'; /* a full one has been flushed */
		flush(lines);
	}
}

void swm_agent_lines_reason(
	const struct swm_agent_lines *lines, char reason[SWM_REASON_MAX + 1])
{
	/* NUL bytes end the line, being of no use to anybody */
	size_t len = strlen(lines->last);
	json_t *valid = json_stringn(lines->last, len);
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)lines->last[i];
		reason[i] = lines->last[i];
		if (byte < 0x20 || byte == 0x7f) {
			reason[i] = ' ';
		} else if (byte >= 0x80 && valid == NULL) {
			reason[i] = '?';
		}
	}
	reason[len] = '\0';
	json_decref(valid);
}
