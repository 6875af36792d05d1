/* SPDX-License-Identifier: MIT */

/* Signals, the service manager, exit codes: the edges of the process. */

#include "support.h"

#include "exit_code.h"
#include "notify.h"
#include "stop.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void a_signal_sets_the_flag(void **state)
{
	(void)state;
	static const int signals[] = {SIGTERM, SIGINT};
	for (size_t i = 0; i < 2; i++) {
		struct swm_stop *stop = NULL;
		assert_int_equal(swm_stop_open(&stop, NULL), SWM_OK);
		assert_false(swm_stop_wait(stop, 0));
		assert_int_equal(kill(getpid(), signals[i]), 0);
		struct pollfd fd = {.fd = swm_stop_fd(stop), .events = POLLIN};
		assert_int_equal(poll(&fd, 1, 1000), 1);
		assert_true(swm_stop_wait(stop, -1));
		assert_true(swm_stop_wait(stop, 0));
		swm_stop_close(stop);
	}
}

static void waiting_ends_in_time(void **state)
{
	(void)state;
	struct swm_stop *stop = NULL;
	assert_int_equal(swm_stop_open(&stop, NULL), SWM_OK);
	int64_t before = now_ms();
	assert_false(swm_stop_wait(stop, 50));
	assert_true(now_ms() - before >= 49);
	swm_stop_close(stop);
}

static void *request(void *arg)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	(void)nanosleep(&pause, NULL);
	swm_stop_request(arg);
	return NULL;
}

static void a_request_wakes_who_waits(void **state)
{
	(void)state;
	struct swm_stop *stop = NULL;
	pthread_t thread;
	assert_int_equal(swm_stop_open(&stop, NULL), SWM_OK);
	assert_int_equal(pthread_create(&thread, NULL, request, stop), 0);
	assert_true(swm_stop_wait(stop, 10000));
	assert_int_equal(pthread_join(thread, NULL), 0);
	swm_stop_close(stop);
}

/* In a child: waits for a first signal, says so, and does not end by itself. */
static void child_that_lingers(int ready)
{
	struct swm_stop *stop = NULL;
	if (swm_stop_open(&stop, NULL) != SWM_OK || write(ready, "r", 1) != 1) {
		_exit(70);
	}
	bool stopped = swm_stop_wait(stop, 10000);
	(void)!write(ready, stopped ? "s" : "-", 1);
	(void)sleep(10);
	_exit(71);
}

static void a_second_signal_kills(void **state)
{
	(void)state;
	int fds[2];
	char byte = 0;
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		child_that_lingers(fds[1]);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 's');
	assert_int_equal(kill(pid, SIGTERM), 0);
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

static void a_broken_pipe_is_no_end(void **state)
{
	(void)state;
	struct swm_stop *stop = NULL;
	int fds[2];
	assert_int_equal(swm_stop_open(&stop, NULL), SWM_OK);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(write(fds[1], "x", 1), -1);
	assert_int_equal(close(fds[1]), 0);
	swm_stop_close(stop);
}

/* Sends through the notifier and returns what the service manager would get. */
static const char *notified(const char *directory, bool abstract)
{
	static char buf[1024];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[sizeof(address.sun_path)];
	(void)snprintf(name, sizeof(name), "%s%s/notify", abstract ? "@" : "", directory);
	size_t len = strlen(name);
	memcpy(address.sun_path, name, len);
	if (abstract) {
		address.sun_path[0] = '\0';
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	struct swm_notify notify;
	swm_notify_open(&notify);
	swm_notify_status(&notify, "one\ntwo %d", 3);
	ssize_t got = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	assert_true(got > 0);
	buf[got] = '\0';
	swm_notify_send(&notify, "READY=1");
	char ready[16] = {0};
	assert_int_equal(recv(fd, ready, sizeof(ready), MSG_DONTWAIT), 7);
	assert_string_equal(ready, "READY=1");
	swm_notify_close(&notify);
	assert_int_equal(close(fd), 0);
	return buf;
}

static void the_service_manager_is_told(void **state)
{
	(void)state;
	char *directory = support_directory();
	assert_string_equal(notified(directory, false), "STATUS=one two 3");
	assert_string_equal(notified(directory, true), "STATUS=one two 3");
	support_remove(directory);
}

static void without_a_service_manager_nothing_happens(void **state)
{
	(void)state;
	struct swm_notify notify;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
	swm_notify_open(&notify);
	assert_int_equal(notify.fd, -1);
	assert_int_equal(notify.watchdog_ms, 0);
	swm_notify_send(&notify, "READY=1");
	swm_notify_close(&notify);
}

static void the_watchdog_is_read(void **state)
{
	(void)state;
	struct swm_notify notify;
	assert_int_equal(setenv("NOTIFY_SOCKET", "@swm-test-nobody", 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	swm_notify_open(&notify);
	assert_int_equal(notify.watchdog_ms, 3000);
	swm_notify_close(&notify);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	swm_notify_open(&notify);
	assert_int_equal(notify.watchdog_ms, 0);
	swm_notify_close(&notify);
}

static void exit_codes(void **state)
{
	(void)state;
	static const struct {
		swm_status status;
		enum swm_exit code;
	} cases[] = {
		{SWM_OK, SWM_EXIT_DONE},
		{SWM_E_INVALID, SWM_EXIT_REFUSED},
		{SWM_E_CONFIG, SWM_EXIT_REFUSED},
		{SWM_E_DENIED, SWM_EXIT_REFUSED},
		{SWM_E_EXISTS, SWM_EXIT_REFUSED},
		{SWM_E_NOT_FOUND, SWM_EXIT_NOT_FOUND},
		{SWM_E_UNAVAILABLE, SWM_EXIT_UNREACHABLE},
		{SWM_E_TIMEOUT, SWM_EXIT_UNREACHABLE},
		{SWM_E_INDOUBT, SWM_EXIT_UNREACHABLE},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(swm_exit_code(cases[i].status), cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_sets_the_flag),
		cmocka_unit_test(waiting_ends_in_time),
		cmocka_unit_test(a_request_wakes_who_waits),
		cmocka_unit_test(a_second_signal_kills),
		cmocka_unit_test(a_broken_pipe_is_no_end),
		cmocka_unit_test(the_service_manager_is_told),
		cmocka_unit_test(without_a_service_manager_nothing_happens),
		cmocka_unit_test(the_watchdog_is_read),
		cmocka_unit_test(exit_codes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
