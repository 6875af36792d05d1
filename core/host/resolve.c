/* SPDX-License-Identifier: MIT */

/* See resolve.h. Nothing read here is ever part of a message. */

#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE_NAME_MAX 128

/* Where expansion writes; counts on without memory, for the first of two passes. */
struct sink {
	char *buf; /* NULL: only count */
	size_t len;
};

static void put(struct sink *sink, const char *text, size_t len)
{
	if (sink->buf != NULL) {
		memcpy(sink->buf + sink->len, text, len);
	}
	sink->len += len;
}

static bool name_is_valid(const char *name, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
				      "0123456789";
	if (len == 0 || len > VARIABLE_NAME_MAX || (name[0] >= '0' && name[0] <= '9')) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (strchr(allowed, name[i]) == NULL) {
			return false;
		}
	}
	return true;
}

/* One ${...}, `inside` being what stands between the braces. */
static bool expand_one(const char *inside, size_t len, const char *pointer,
	struct swm_problems *problems, struct sink *sink)
{
	size_t name_len = 0;
	while (name_len < len && inside[name_len] != ':') {
		name_len++;
	}
	bool has_default = name_len + 1 < len && inside[name_len + 1] == '-';
	if (!name_is_valid(inside, name_len) || (name_len < len && !has_default)) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"'${%.*s}' is not ${NAME} or ${NAME:-default}; write $${ for ${ itself",
			(int)(len < VARIABLE_NAME_MAX ? len : VARIABLE_NAME_MAX), inside);
		return false;
	}
	char name[VARIABLE_NAME_MAX + 1];
	memcpy(name, inside, name_len);
	name[name_len] = '\0';
	const char *value = getenv(name);
	if (has_default && (value == NULL || value[0] == '\0')) {
		put(sink, inside + name_len + 2, len - name_len - 2);
		return true;
	}
	if (value == NULL) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"the environment variable %s is not set; set it or write "
			"${%s:-default}",
			name, name);
		return false;
	}
	put(sink, value, strlen(value));
	return true;
}

static bool expand(
	const char *text, const char *pointer, struct swm_problems *problems, struct sink *sink)
{
	while (*text != '\0') {
		if (strncmp(text, "$${", 3) == 0) {
			put(sink, "${", 2);
			text += 3;
			continue;
		}
		if (strncmp(text, "${", 2) != 0) {
			put(sink, text, 1);
			text++;
			continue;
		}
		const char *end = strchr(text, '}');
		if (end == NULL) {
			swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
				"'${' without '}'; write $${ for ${ itself");
			return false;
		}
		if (!expand_one(text + 2, (size_t)(end - text) - 2, pointer, problems, sink)) {
			return false;
		}
		text = end + 1;
	}
	return true;
}

swm_status swm_resolve_text(const char *text, const char *pointer, struct swm_arena *arena,
	struct swm_problems *problems, char **out)
{
	struct sink sink = {NULL, 0};
	if (!expand(text, pointer, problems, &sink)) {
		return SWM_E_CONFIG;
	}
	sink.buf = swm_arena_take(arena, sink.len + 1);
	if (sink.buf == NULL) {
		return SWM_E_NOMEM;
	}
	sink.len = 0;
	(void)expand(text, pointer, problems, &sink);
	sink.buf[sink.len] = '\0';
	*out = sink.buf;
	return SWM_OK;
}

/* Is the file what may be trusted with a secret? */
static bool check_file(const struct stat *info, const char *path, const char *pointer,
	struct swm_problems *problems)
{
	unsigned mode = (unsigned)info->st_mode & 07777U;
	if (!S_ISREG(info->st_mode)) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"%s is not a regular file", path);
		return false;
	}
	if (info->st_uid != 0 && info->st_uid != geteuid()) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"%s belongs to user %u, who could change it; it has to be root's or "
			"your own",
			path, (unsigned)info->st_uid);
		return false;
	}
	if ((mode & 022U) != 0) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"others can write it (mode %04o): chmod go-w %s", mode, path);
		return false;
	}
	if (info->st_size > SWM_SECRET_FILE_MAX_BYTES) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"%s is larger than %d bytes", path, SWM_SECRET_FILE_MAX_BYTES);
		return false;
	}
	if ((mode & 04U) != 0) {
		swm_problems_add(problems, SWM_SEVERITY_WARNING, pointer,
			"everybody can read it (mode %04o): chmod o-r %s", mode, path);
	}
	return true;
}

/* Reads until the end or until `buf` is full; -1: errno says why. */
static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t len = 0;
	while (len < cap) {
		ssize_t got = read(fd, buf + len, cap - len);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return -1;
		}
		if (got == 0) {
			break;
		}
		len += (size_t)got;
	}
	return (ssize_t)len;
}

static swm_status read_value(int fd, const char *path, const char *pointer,
	struct swm_arena *arena, struct swm_problems *problems, char **out)
{
	struct stat info;
	if (fstat(fd, &info) != 0) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "cannot look at %s: %s",
			path, strerror(errno));
		return SWM_E_CONFIG;
	}
	if (!check_file(&info, path, pointer, problems)) {
		return SWM_E_CONFIG;
	}
	size_t cap = (size_t)info.st_size;
	char *value = swm_arena_take(arena, cap + 1);
	if (value == NULL) {
		return SWM_E_NOMEM;
	}
	ssize_t len = read_all(fd, value, cap);
	if (len < 0) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "cannot read %s: %s",
			path, strerror(errno));
		return SWM_E_CONFIG;
	}
	if (len > 0 && value[len - 1] == '\n') {
		len--;
	}
	if (len > 0 && value[len - 1] == '\r') {
		len--;
	}
	if (memchr(value, '\0', (size_t)len) != NULL) {
		explicit_bzero(value, cap);
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer,
			"%s holds a zero byte: it has to be text", path);
		return SWM_E_CONFIG;
	}
	value[len] = '\0';
	*out = value;
	return SWM_OK;
}

swm_status swm_resolve_file(const char *path, const char *pointer, struct swm_arena *arena,
	struct swm_problems *problems, char **out)
{
	char *resolved = NULL;
	swm_status status = swm_resolve_text(path, pointer, arena, problems, &resolved);
	if (status != SWM_OK) {
		return status;
	}
	int fd = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		swm_problems_add(problems, SWM_SEVERITY_ERROR, pointer, "cannot open %s: %s",
			resolved, strerror(errno));
		return SWM_E_CONFIG;
	}
	status = read_value(fd, resolved, pointer, arena, problems, out);
	(void)close(fd);
	return status;
}

const char *swm_resolve_is_file(const json_t *value)
{
	if (!json_is_object(value)) {
		return NULL;
	}
	return json_string_value(json_object_get(value, "$file"));
}
