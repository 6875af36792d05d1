/* SPDX-License-Identifier: MIT */

/*
 * See agent_watch.h. Two epolls: the inner one holds what is watched and says so as long
 * as it is ready; the outer one, the thread's, tells only that something became so, and
 * thus wakes once for each news without any hand-shake.
 */

#include "agent_watch.h"

#include "error.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Read at once; the rest stays ready. */
#define EVENTS_MAX 16

struct swm_agent_watch {
	const struct swm_env *env;
	int inner_fd;
	int outer_fd;
	int child_fd; /* SIGCHLD */
	int quit_fd;
	sigset_t before;
	struct swm_env_thread *thread; /* NULL: nothing is attached */
	const struct swm_queue_ops *ops;
	struct swm_consumer *consumer;
};

static bool put(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.fd = fd}};
	return fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

swm_status swm_agent_watch_open(const struct swm_env *env, struct swm_stop *stop,
	struct swm_agent_watch **out, struct swm_error *err)
{
	struct swm_agent_watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	sigset_t set;
	/* inherited as ignored, it would let children vanish with their exit status */
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)pthread_sigmask(SIG_BLOCK, &set, &watch->before);
	watch->env = env;
	watch->inner_fd = epoll_create1(EPOLL_CLOEXEC);
	watch->outer_fd = epoll_create1(EPOLL_CLOEXEC);
	watch->child_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	watch->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!put(watch->inner_fd, watch->child_fd, EPOLLIN) ||
		!put(watch->inner_fd, swm_stop_fd(stop), EPOLLIN) ||
		!put(watch->outer_fd, watch->inner_fd, EPOLLIN | EPOLLET) ||
		!put(watch->outer_fd, watch->quit_fd, EPOLLIN)) {
		swm_status status = swm_error_set(
			err, SWM_E_INTERNAL, "cannot watch for processes: %s", strerror(errno));
		swm_agent_watch_close(watch);
		return status;
	}
	*out = watch;
	return SWM_OK;
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

void swm_agent_watch_close(struct swm_agent_watch *watch)
{
	if (watch == NULL) {
		return;
	}
	close_fd(watch->quit_fd);
	close_fd(watch->child_fd);
	close_fd(watch->outer_fd);
	close_fd(watch->inner_fd);
	(void)pthread_sigmask(SIG_SETMASK, &watch->before, NULL);
	free(watch);
}

static void run_thread(void *arg)
{
	const struct swm_agent_watch *watch = arg;
	for (;;) {
		struct epoll_event events[2];
		int count = epoll_wait(watch->outer_fd, events, 2, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == watch->quit_fd) {
				return;
			}
		}
		if (count > 0) {
			watch->ops->consumer_wake(watch->consumer);
		} else if (errno != EINTR) {
			return; /* a bug; receive() has its timeout all the same */
		}
	}
}

swm_status swm_agent_watch_attach(struct swm_agent_watch *watch,
	const struct swm_queue_ops *ops, struct swm_consumer *consumer, struct swm_error *err)
{
	watch->ops = ops;
	watch->consumer = consumer;
	return watch->env->thread_start(
		watch->env->ctx, "swm-watch", run_thread, watch, &watch->thread, err);
}

void swm_agent_watch_detach(struct swm_agent_watch *watch)
{
	if (watch->thread == NULL) {
		return;
	}
	/* an eventfd with room takes a one, and gives it back */
	(void)eventfd_write(watch->quit_fd, 1);
	watch->env->thread_join(watch->env->ctx, watch->thread);
	eventfd_t count = 0;
	(void)eventfd_read(watch->quit_fd, &count);
	watch->thread = NULL;
	watch->consumer = NULL;
}

swm_status swm_agent_watch_add(struct swm_agent_watch *watch, int fd, struct swm_error *err)
{
	if (!put(watch->inner_fd, fd, EPOLLIN)) {
		return swm_error_set(
			err, SWM_E_INTERNAL, "cannot watch a process: %s", strerror(errno));
	}
	return SWM_OK;
}

void swm_agent_watch_remove(struct swm_agent_watch *watch, int fd)
{
	(void)epoll_ctl(watch->inner_fd, EPOLL_CTL_DEL, fd, NULL);
}

void swm_agent_watch_wait(struct swm_agent_watch *watch, int64_t timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	struct signalfd_siginfo info;
	int timeout = timeout_ms < 0 ? 0 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
	(void)epoll_wait(watch->inner_fd, events, EVENTS_MAX, timeout);
	while (read(watch->child_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		/* who it was, waitpid() tells */
	}
}
