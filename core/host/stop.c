/* SPDX-License-Identifier: MIT */

/*
 * See stop.h. An epoll over a signalfd and an eventfd: both become readable and stay
 * so, and the second signal is left to its default action by unblocking.
 */

#include "stop.h"

#include "error.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct swm_stop {
	int epoll_fd;
	int signal_fd;
	int event_fd;
	_Atomic bool requested;
	sigset_t before;
};

static void fill_set(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGINT);
}

static bool watch(struct swm_stop *stop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
	return fd >= 0 && epoll_ctl(stop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

swm_status swm_stop_open(struct swm_stop **out, struct swm_error *err)
{
	struct swm_stop *stop = calloc(1, sizeof(*stop));
	if (stop == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	sigset_t set;
	fill_set(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, &stop->before);
	(void)signal(SIGPIPE, SIG_IGN);
	stop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	stop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	stop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!watch(stop, stop->signal_fd) || !watch(stop, stop->event_fd)) {
		swm_status status = swm_error_set(
			err, SWM_E_INTERNAL, "cannot watch for signals: %s", strerror(errno));
		swm_stop_close(stop);
		return status;
	}
	*out = stop;
	return SWM_OK;
}

/* The first signal was seen: whoever sends another one means it. */
static void let_next_one_kill(void)
{
	sigset_t set;
	fill_set(&set);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool swm_stop_wait(struct swm_stop *stop, int64_t timeout_ms)
{
	if (atomic_load(&stop->requested)) {
		return true;
	}
	int timeout = timeout_ms < 0           ? -1
		      : timeout_ms > INT32_MAX ? INT32_MAX
					       : (int)timeout_ms;
	struct pollfd poll_fd = {.fd = stop->epoll_fd, .events = POLLIN};
	(void)poll(&poll_fd, 1, timeout);
	struct signalfd_siginfo info;
	if (read(stop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		swm_stop_request(stop);
		let_next_one_kill();
	}
	return atomic_load(&stop->requested);
}

void swm_stop_request(struct swm_stop *stop)
{
	atomic_store(&stop->requested, true);
	uint64_t one = 1;
	ssize_t done = write(stop->event_fd, &one, sizeof(one));
	(void)done; /* full: readable already, which is all that is wanted */
}

int swm_stop_fd(const struct swm_stop *stop)
{
	return stop->epoll_fd;
}

void swm_stop_child(void)
{
	sigset_t set;
	fill_set(&set);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

void swm_stop_close(struct swm_stop *stop)
{
	if (stop == NULL) {
		return;
	}
	close_fd(stop->signal_fd);
	close_fd(stop->event_fd);
	close_fd(stop->epoll_fd);
	(void)pthread_sigmask(SIG_SETMASK, &stop->before, NULL);
	free(stop);
}
