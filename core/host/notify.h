/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_NOTIFY_H
#define SWM_HOST_NOTIFY_H

/*
 * Tells the service manager how we are: the datagram protocol of sd_notify(3), which
 * is documented as stable for implementations of one's own. Without a service
 * manager ($NOTIFY_SOCKET unset) nothing happens.
 *
 * Concurrency: opened by the main thread; sending is for any thread.
 */

#include <swm/types.h>
#include <sys/socket.h>
#include <sys/un.h>

struct swm_notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t address_len;
	int64_t watchdog_ms; /* 0: none; else WATCHDOG=1 is due within */
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. Never fails: without a usable
 * socket nothing is sent. */
void swm_notify_open(struct swm_notify *notify);

/* Sends assignments with newlines between them: "READY=1\nSTATUS=hears 2 queues". */
void swm_notify_send(const struct swm_notify *notify, const char *state);

/* Sends STATUS=, formatted. */
void swm_notify_status(const struct swm_notify *notify, const char *fmt, ...) SWM_PRINTF(2, 3);

void swm_notify_close(struct swm_notify *notify);

#endif
