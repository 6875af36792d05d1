/* SPDX-License-Identifier: MIT */

/*
 * A task service of the crash test: takes StartTask messages, writes down what it has
 * seen, and answers, all of it a function of the message's id: some attempts fail,
 * some answers are sent twice. It is killed at any moment and started again.
 *
 *   crash-agent CONFIG LOG QUEUE...    until SIGTERM or SIGKILL
 *   crash-agent --log LOG              the command of a `swm agent`: one message on stdin
 *
 * Each line of the log is "TIME ATTEMPT ID SHA256": wall clock milliseconds, the broker's
 * count of deliveries (0: unknown), the message id, and the body's hash.
 */

#include "hash.h"
#include "text.h"
#include "world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define WAIT_MS 500
#define TIMEOUT_MS 5000

/* Attempts up to this one may fail; the template allows one more. */
#define LAST_FAILING_ATTEMPT 2

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static int open_log(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* One write, so that lines of several agents do not mix. */
static void note(int log, uint32_t attempt, struct swm_str id, struct swm_str body)
{
	char hash[65];
	char line[256];
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	swm_sha256_hex(body, hash);
	int len = snprintf(line, sizeof(line), "%" PRId64 " %" PRIu32 " %.*s %s\n",
		(int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, attempt, (int)id.len,
		id.ptr, hash);
	if (write(log, line, (size_t)len) != len) {
		perror("log");
		exit(1);
	}
}

/* Publishes one answer, twice when the id says so. */
static void answer(
	const struct world *world, struct swm_publisher *publisher, const char *id, char *body)
{
	const struct swm_message message = {.destination = world_source(world),
		.id = swm_str_from(id),
		.body = swm_str_from(body)};
	const struct swm_message twice[2] = {message, message};
	swm_status results[2];
	struct swm_error err = {0};
	size_t count = id[1] == '0' ? 2 : 1;
	world_check(world->queue->ops->publisher_publish(
			    publisher, twice, count, TIMEOUT_MS, results, &err),
		&err, "publish an answer");
}

static void work(const struct world *world, struct swm_publisher *publisher,
	const struct swm_delivery *delivery)
{
	json_t *message = json_loadb(delivery->body.ptr, delivery->body.len, 0, NULL);
	const json_t *ours = json_object_get(message, "_swm");
	const char *id = json_string_value(json_object_get(ours, "message_id"));
	if (!id) {
		(void)fprintf(stderr, "not a StartTask: %.*s\n", (int)delivery->body.len,
			delivery->body.ptr);
		exit(1);
	}
	bool fails =
		json_integer_value(json_object_get(ours, "attempt")) <= LAST_FAILING_ATTEMPT &&
		id[0] == '0';
	char event_id[80];
	(void)snprintf(event_id, sizeof(event_id), "answer-%s", id);
	(void)json_object_set_new(
		message, "event_name", json_string(fails ? "TaskFailed" : "TaskCompleted"));
	(void)json_object_set_new(message, "event_id", json_string(event_id));
	(void)json_object_set_new(message, "reason", json_string(fails ? "bad luck" : ""));
	char *body = json_dumps(message, JSON_COMPACT);
	answer(world, publisher, id, body);
	free(body);
	json_decref(message);
}

static void serve(const struct world *world, int log, struct swm_consumer *consumer,
	struct swm_publisher *publisher)
{
	const struct swm_queue_ops *ops = world->queue->ops;
	struct swm_delivery deliveries[BATCH];
	struct swm_error err = {0};
	size_t count = 0;

	swm_status status =
		ops->consumer_receive(consumer, WAIT_MS, deliveries, BATCH, &count, &err);
	if (status == SWM_E_TIMEOUT || status == SWM_E_INTERRUPTED) {
		return;
	}
	world_check(status, &err, "receive");
	for (size_t i = 0; i < count; i++) {
		note(log, deliveries[i].attempt, deliveries[i].id, deliveries[i].body);
		work(world, publisher, &deliveries[i]);
		const struct swm_settlement done = {
			.token = deliveries[i].token, .action = SWM_ACK};
		status = ops->consumer_settle(consumer, &done, 1, &err);
		if (status != SWM_E_CONFLICT) { /* the lease ran out: it comes again */
			world_check(status, &err, "settle");
		}
	}
}

static int log_stdin(const char *path)
{
	static char body[512 * 1024];
	size_t len = fread(body, 1, sizeof(body), stdin);
	const char *id = getenv("SWM_MESSAGE_ID");
	if (!id) {
		(void)fputs("no SWM_MESSAGE_ID\n", stderr);
		return 1;
	}
	int log = open_log(path);
	note(log, 0, swm_str_from(id), (struct swm_str){body, len});
	(void)close(log);
	return 0;
}

int main(int argc, char **argv)
{
	struct world world;
	struct swm_error err = {0};
	struct swm_str sources[16];
	struct swm_consumer *consumer = NULL;
	struct swm_publisher *publisher = NULL;
	size_t count = 0;

	if (argc == 3 && strcmp(argv[1], "--log") == 0) {
		return log_stdin(argv[2]);
	}
	if (argc < 4) {
		(void)fputs("usage: crash-agent CONFIG LOG QUEUE... | --log LOG\n", stderr);
		return 2;
	}
	const struct sigaction action = {.sa_handler = stop};
	(void)sigaction(SIGTERM, &action, NULL);
	int log = open_log(argv[2]);
	for (int i = 3; i < argc && count < sizeof(sources) / sizeof(sources[0]); i++) {
		sources[count++] = swm_str_from(argv[i]);
	}
	world_open(&world, argv[1], 0);
	world_queue(&world);
	const struct swm_queue_ops *ops = world.queue->ops;
	struct swm_queue *queue = world.queue->queue;
	world_check(ops->prepare(queue, sources, count, &err), &err, "prepare");
	world_check(ops->publisher_open(queue, &publisher, &err), &err, "publisher");
	world_check(ops->consumer_open(queue, sources, count, 0, &consumer, &err), &err,
		"consumer");
	while (!stopped) {
		serve(&world, log, consumer, publisher);
	}
	ops->consumer_close(consumer);
	ops->publisher_close(publisher);
	world_close(&world);
	(void)close(log);
	return 0;
}
