/* SPDX-License-Identifier: MIT */

/*
 * One test's run: names that are its own, memory and handles that go with it,
 * checks that say which status came instead of which, and time.
 */

#include "conform.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct conform_deferred {
	struct conform_deferred *next;
	void (*close)(void *what);
	void *what;
};

struct swm_str conform_str(const char *text)
{
	return (struct swm_str){text, strlen(text)};
}

bool conform_str_is(struct swm_str a, struct swm_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool conform_is_own(const struct conform_case *c, struct swm_str name)
{
	size_t len = strlen(c->prefix);
	return name.len >= len && memcmp(name.ptr, c->prefix, len) == 0;
}

/* A test that runs out of memory has failed, and there is nothing to mend. */
static void *take(size_t count, size_t size)
{
	void *memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
	if (memory == NULL) {
		conform_fail(__FILE__, __LINE__, "out of memory");
	}
	return memory;
}

void conform_defer(struct conform_case *c, void (*close)(void *what), void *what)
{
	struct conform_deferred *node = take(1, sizeof(*node));
	*node = (struct conform_deferred){c->deferred, close, what};
	c->deferred = node;
}

void conform_close_now(struct conform_case *c, void *what)
{
	struct conform_deferred **at = &c->deferred;
	while (*at != NULL && (*at)->what != what) {
		at = &(*at)->next;
	}
	assert(*at != NULL);
	struct conform_deferred *node = *at;
	*at = node->next;
	node->close(node->what);
	free(node);
}

void *conform_alloc(struct conform_case *c, size_t count, size_t size)
{
	void *memory = take(count, size);
	conform_defer(c, free, memory);
	return memory;
}

struct swm_str conform_name(struct conform_case *c, const char *fmt, ...)
{
	char *name = conform_alloc(c, 1, CONFORM_NAME_MAX);
	size_t len = strlen(c->prefix);
	memcpy(name, c->prefix, len);
	va_list args;
	va_start(args, fmt);
	int more = vsnprintf(name + len, CONFORM_NAME_MAX - len, fmt, args);
	va_end(args);
	assert(more >= 0 && (size_t)more < CONFORM_NAME_MAX - len);
	return (struct swm_str){name, len + (size_t)more};
}

struct swm_str conform_bytes(struct conform_case *c, size_t len, uint32_t seed)
{
	char *bytes = conform_alloc(c, 1, len);
	for (size_t i = 0; i < len; i++) {
		/* The block's number is mixed in, so that no two blocks are alike. */
		bytes[i] = (char)(unsigned char)((i + (i >> 8) * 7 + seed) & 0xff);
	}
	return (struct swm_str){bytes, len};
}

const char *conform_status_name(swm_status status)
{
	static const char *const names[] = {"SWM_OK", "SWM_E_INVALID", "SWM_E_CONFIG",
		"SWM_E_UNSUPPORTED", "SWM_E_NOT_FOUND", "SWM_E_EXISTS", "SWM_E_CONFLICT",
		"SWM_E_DUPLICATE", "SWM_E_TIMEOUT", "SWM_E_INTERRUPTED", "SWM_E_THROTTLED",
		"SWM_E_UNAVAILABLE", "SWM_E_INDOUBT", "SWM_E_TOO_LARGE", "SWM_E_DENIED",
		"SWM_E_CORRUPT", "SWM_E_NOMEM", "SWM_E_INTERNAL"};
	int32_t count = (int32_t)(sizeof(names) / sizeof(names[0]));
	return status <= 0 && status > -count ? names[-status] : "no status of the port's";
}

void conform_check_status(struct conform_case *c, swm_status wanted, swm_status got,
	const char *call, const char *file, int line)
{
	if (got == wanted) {
		return;
	}
	conform_note("%s", call);
	conform_note(
		"is %s, must be %s", conform_status_name(got), conform_status_name(wanted));
	if (got != SWM_OK) {
		conform_note("the adapter says: %.*s", SWM_ERROR_MESSAGE_MAX, c->err.message);
	}
	_fail(file, line);
}

void conform_fail(const char *file, int line, const char *fmt, ...)
{
	char text[CONFORM_LINE_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	conform_note("%s", text);
	_fail(file, line);
	/* Back here only if somebody checks outside of a test. */
	abort();
}

void conform_note(const char *fmt, ...)
{
	char text[CONFORM_LINE_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	print_message("# %s\n", text);
}

int64_t conform_now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void conform_sleep_ms(int64_t duration_ms)
{
	struct timespec pause = {duration_ms / 1000, (duration_ms % 1000) * 1000000};
	while (nanosleep(&pause, &pause) != 0) {
		/* A signal came: sleep what is left. */
	}
}

struct swm_open_args conform_open_args(const struct conform_kit *kit, uint32_t flags)
{
	return (struct swm_open_args){.size = sizeof(struct swm_open_args),
		.flags = flags,
		.host = kit->host,
		.instance = "conform",
		.config = kit->config,
		.call_timeout_ms = kit->call_timeout_ms};
}

static swm_status begin_store(struct conform_case *c)
{
	struct swm_open_args args = conform_open_args(c->kit, 0);
	swm_status status = c->ops->open(&args, &c->store, &c->err);
	if (status != SWM_OK) {
		return status;
	}
	int32_t schema = 0;
	status = c->ops->migrate(c->store, SWM_MIGRATE_APPLY, &schema, &c->err);
	if (status != SWM_OK) {
		return status;
	}
	return c->ops->session_open(c->store, &c->session, &c->err);
}

swm_status conform_case_begin(struct conform_case *c)
{
	/* No two runs, and no two tests of a run, may meet: pid, time and a count. */
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t mix = (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec;
	mix = (mix ^ ((uint64_t)getpid() << 32)) * UINT64_C(0x9e3779b97f4a7c15);
	(void)snprintf(
		c->prefix, sizeof(c->prefix), "cf-%012llx-", (unsigned long long)(mix >> 16));
	c->ops = c->kit->store;
	c->qops = c->kit->queue;
	if (c->test->raw) {
		return SWM_OK;
	}
	if (c->kit->kind == SWM_PLUGIN_STORE) {
		return begin_store(c);
	}
	struct swm_open_args args = conform_open_args(c->kit, 0);
	return c->qops->open(&args, &c->queue, &c->err);
}

void conform_case_end(struct conform_case *c)
{
	while (c->deferred != NULL) {
		conform_close_now(c, c->deferred->what);
	}
	if (c->ops != NULL) {
		c->ops->session_close(c->session);
		c->ops->close(c->store);
	}
	if (c->qops != NULL) {
		c->qops->close(c->queue);
	}
	c->session = NULL;
	c->store = NULL;
	c->queue = NULL;
}
