/* SPDX-License-Identifier: MIT */

/* Measures across process borders. */

#include "process.h"

#include "text.h"
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 512
#define READY_SECONDS 30
#define WAKE_QUEUE "wake_queue"
#define WAKE_PAUSE_MS 10
#define TIMEOUT_MS 5000

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pause_ms(int ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	(void)nanosleep(&time, NULL);
}

/* A socket as systemd gives to its services. */
static int open_notify(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = READY_SECONDS};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0) {
		die(path);
	}
	return fd;
}

static void wait_ready(int notify)
{
	char message[512];
	for (;;) {
		ssize_t len = recv(notify, message, sizeof(message) - 1, 0);
		if (len < 0) {
			die("swm run did not say READY=1");
		}
		message[len] = '\0';
		if (strstr(message, "READY=1")) {
			return;
		}
	}
}

/* The number behind a name in a file of /proc; 0: not there. */
static double proc_number(pid_t pid, const char *file, const char *name)
{
	char path[64];
	char line[256];
	double value = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	FILE *in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		if (strncmp(line, name, strlen(name)) == 0) {
			value = strtod(line + strlen(name), NULL);
		}
	}
	if (in) {
		(void)fclose(in);
	}
	return value;
}

static double cpu_ms(pid_t pid)
{
	char path[64];
	char text[1024] = "";
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *in = fopen(path, "re");
	if (!in) {
		die(path);
	}
	(void)!fread(text, 1, sizeof(text) - 1, in);
	(void)fclose(in);
	/* Behind the name in parentheses: utime and stime are fields 14 and 15. */
	const char *at = strrchr(text, ')');
	unsigned long user = 0;
	unsigned long system = 0;
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			   &system) != 2) {
		die(path);
	}
	return (double)(user + system) * 1000.0 / (double)sysconf(_SC_CLK_TCK);
}

/* Of all its threads. */
static double switches(pid_t pid)
{
	double sum = 0;
	char path[64];
	char command[160];
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	(void)snprintf(command, sizeof(command),
		"cat %s/*/status | awk '/ctxt_switches/ {s += $2} END {print s}'", path);
	FILE *in = popen(command, "re");
	if (!in || fscanf(in, "%lf", &sum) != 1) {
		die(command);
	}
	(void)pclose(in);
	return sum;
}

void process_measure(
	const char *swm, const char *folder, int idle_ms, struct process_result *out)
{
	char config[PATH_BYTES];
	char socket_path[PATH_BYTES];
	(void)snprintf(config, sizeof(config), "%s/swm.json", folder);
	(void)snprintf(
		socket_path, sizeof(socket_path), "/tmp/swm-bench-%d.sock", (int)getpid());
	int notify = open_notify(socket_path);

	int64_t began_ns = world_monotonic_ns();
	pid_t pid = fork();
	if (pid == 0) {
		(void)setenv("NOTIFY_SOCKET", socket_path, 1);
		(void)execl(swm, swm, "--config", config, "run", (char *)NULL);
		_exit(127);
	}
	wait_ready(notify);
	out->ready_ms = (double)(world_monotonic_ns() - began_ns) / 1e6;

	pause_ms(500); /* what a start leaves behind is not idleness */
	double cpu = cpu_ms(pid);
	double switched = switches(pid);
	int64_t from_ns = world_monotonic_ns();
	pause_ms(idle_ms);
	double minutes = (double)(world_monotonic_ns() - from_ns) / 60e9;
	out->idle_cpu_ms = (cpu_ms(pid) - cpu) / minutes;
	out->idle_switches = (switches(pid) - switched) / minutes;
	out->idle_rss_mib = proc_number(pid, "status", "VmRSS:") / 1024;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	(void)close(notify);
	(void)unlink(socket_path);
}

static void open_queue(struct world *world, const char *folder)
{
	char config[PATH_BYTES];
	struct swm_error err = {0};
	const struct swm_str name = SWM_STR(WAKE_QUEUE);
	(void)snprintf(config, sizeof(config), "%s/swm.json", folder);
	world_open(world, config, 0);
	world_queue(world);
	world_check(world->queue->ops->prepare(world->queue->queue, &name, 1, &err), &err,
		"prepare");
}

int wake_publish(const char *folder, size_t count)
{
	struct world world;
	struct swm_publisher *publisher = NULL;
	struct swm_error err = {0};
	open_queue(&world, folder);
	world_check(world.queue->ops->publisher_open(world.queue->queue, &publisher, &err),
		&err, "publisher");
	for (size_t i = 0; i < count; i++) {
		char body[32];
		swm_status result;
		pause_ms(WAKE_PAUSE_MS);
		(void)snprintf(body, sizeof(body), "%" PRId64, world_monotonic_ns());
		const struct swm_message message = {
			.destination = SWM_STR(WAKE_QUEUE), .body = swm_str_from(body)};
		world_check(world.queue->ops->publisher_publish(
				    publisher, &message, 1, TIMEOUT_MS, &result, &err),
			&err, "publish");
	}
	world.queue->ops->publisher_close(publisher);
	world_close(&world);
	return 0;
}

static pid_t start_publisher(const char *self, const char *folder, size_t count)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%zu", count);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execl(self, self, "--wake-publisher", folder, text, (char *)NULL);
		_exit(127);
	}
	return pid;
}

void wake_measure(const char *self, const char *folder, double *out_ms, size_t count)
{
	struct world world;
	struct swm_consumer *consumer = NULL;
	struct swm_error err = {0};
	const struct swm_str name = SWM_STR(WAKE_QUEUE);
	pid_t pid = start_publisher(self, folder, count);
	open_queue(&world, folder);
	world_check(world.queue->ops->consumer_open(
			    world.queue->queue, &name, 1, 0, &consumer, &err),
		&err, "consumer");
	for (size_t taken = 0; taken < count;) {
		struct swm_delivery delivery;
		size_t got = 0;
		world_check(world.queue->ops->consumer_receive(
				    consumer, TIMEOUT_MS, &delivery, 1, &got, &err),
			&err, "receive");
		int64_t now_ns = world_monotonic_ns();
		char body[32] = "";
		memcpy(body, delivery.body.ptr,
			delivery.body.len < sizeof(body) ? delivery.body.len
							 : sizeof(body) - 1);
		out_ms[taken++] = (double)(now_ns - strtoll(body, NULL, 10)) / 1e6;
		const struct swm_settlement done = {.token = delivery.token, .action = SWM_ACK};
		world_check(world.queue->ops->consumer_settle(consumer, &done, 1, &err), &err,
			"settle");
	}
	world.queue->ops->consumer_close(consumer);
	world_close(&world);
	(void)waitpid(pid, NULL, 0);
}
