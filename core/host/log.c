/* SPDX-License-Identifier: MIT */

/* See log.h. A line is made in one buffer on the stack: no allocation, no lock. */

#include "log.h"

#include "document.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
#define LEVEL_COUNT (sizeof(level_names) / sizeof(level_names[0]))

/* Room that a line keeps for its end: "...", quote, brace, newline. */
#define LINE_END_ROOM 8

struct line {
	char buf[SWM_LOG_LINE_MAX];
	size_t len;
	bool cut;
};

const char *swm_log_level_name(int32_t level)
{
	if (level < 0) {
		level = 0;
	}
	return level_names[(size_t)level < LEVEL_COUNT ? (size_t)level : LEVEL_COUNT - 1];
}

bool swm_log_level_parse(const char *name, int32_t *level)
{
	for (size_t i = 0; i < LEVEL_COUNT; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (int32_t)i;
			return true;
		}
	}
	return false;
}

/* All of it or nothing, so that an escape or a character is never torn. */
static void put(struct line *line, const char *text, size_t len)
{
	if (line->cut || len > sizeof(line->buf) - LINE_END_ROOM - line->len) {
		line->cut = true;
		return;
	}
	memcpy(line->buf + line->len, text, len);
	line->len += len;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* Both formats escape control characters as JSON does; only JSON needs it for
 * quotes and backslashes. */
static void put_escaped(struct line *line, const char *text, bool json)
{
	const char *end = text + strlen(text);
	const unsigned char *at = (const unsigned char *)text;
	while (*at != '\0') {
		char escape[8];
		size_t len = *at < 0x80 ? 1 : swm_utf8_bytes((const char *)at, end);
		if (len == 0) {
			put_text(line, "\xef\xbf\xbd"); /* U+FFFD */
			len = 1;
		} else if (*at == '\n') {
			put_text(line, "\\n");
		} else if (*at < 0x20 || *at == 0x7f) {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)*at);
			put_text(line, escape);
		} else if (json && (*at == '"' || *at == '\\')) {
			escape[0] = '\\';
			escape[1] = (char)*at;
			put(line, escape, 2);
		} else {
			put(line, (const char *)at, len);
		}
		at += len;
	}
}

static void write_line(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t done = write(fd, text, len);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			return;
		}
		text += done;
		len -= (size_t)done;
	}
}

void swm_log_vwrite(const struct swm_log *log, int32_t level, const char *source,
	const char *fmt, va_list args)
{
	if (level > log->level) {
		return;
	}
	int saved_errno = errno;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	char time_text[SWM_TIME_MAX];
	swm_time_write((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, time_text);
	char message[SWM_LOG_LINE_MAX];
	(void)vsnprintf(message, sizeof(message), fmt, args);

	struct line line;
	line.len = 0;
	line.cut = false;
	bool json = log->format == SWM_LOG_JSON;
	put_text(&line, json ? "{\"time\":\"" : "");
	put_text(&line, time_text);
	put_text(&line, json ? "\",\"level\":\"" : " ");
	put_text(&line, swm_log_level_name(level));
	put_text(&line, json ? "\",\"source\":\"" : " ");
	put_escaped(&line, source != NULL ? source : "swm", json);
	put_text(&line, json ? "\",\"message\":\"" : ": ");
	put_escaped(&line, message, json);

	const char *end = json ? "\"}\n" : "\n";
	if (line.cut) {
		memcpy(line.buf + line.len, "...", 3);
		line.len += 3;
	}
	memcpy(line.buf + line.len, end, strlen(end));
	line.len += strlen(end);
	write_line(log->fd, line.buf, line.len);
	errno = saved_errno;
}

void swm_log_write(
	const struct swm_log *log, int32_t level, const char *source, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	swm_log_vwrite(log, level, source, fmt, args);
	va_end(args);
}
