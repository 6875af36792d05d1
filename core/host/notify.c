/* SPDX-License-Identifier: MIT */

/* See notify.h. */

#include "notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t watchdog_from_environment(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) {
		return 0;
	}
	long long value = strtoll(usec, NULL, 10);
	return value > 0 ? value / 1000 : 0;
}

void swm_notify_open(struct swm_notify *notify)
{
	*notify = (struct swm_notify){.fd = -1};
	const char *path = getenv("NOTIFY_SOCKET");
	if (path == NULL || (path[0] != '/' && path[0] != '@')) {
		return;
	}
	size_t len = strlen(path);
	if (len < 2 || len >= sizeof(notify->address.sun_path)) {
		return;
	}
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, path, len);
	if (path[0] == '@') {
		notify->address.sun_path[0] = '\0'; /* an abstract socket */
	}
	notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	notify->watchdog_ms = watchdog_from_environment();
}

void swm_notify_send(const struct swm_notify *notify, const char *state)
{
	if (notify->fd < 0) {
		return;
	}
	ssize_t sent = sendto(notify->fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->address, notify->address_len);
	(void)sent; /* nobody to tell; the watchdog is there for that */
}

void swm_notify_status(const struct swm_notify *notify, const char *fmt, ...)
{
	char state[512] = "STATUS=";
	size_t used = strlen(state);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(state + used, sizeof(state) - used, fmt, args);
	va_end(args);
	for (char *at = strchr(state, '\n'); at != NULL; at = strchr(at, '\n')) {
		*at = ' ';
	}
	swm_notify_send(notify, state);
}

void swm_notify_close(struct swm_notify *notify)
{
	if (notify->fd >= 0) {
		(void)close(notify->fd);
	}
	notify->fd = -1;
}
