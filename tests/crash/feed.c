/* SPDX-License-Identifier: MIT */

/*
 * Starts workflows of the crash test: crash-feed CONFIG FIRST COUNT. Every tenth is
 * started twice by one event, every tenth by two; neither may matter.
 */

#include "text.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 64
#define TIMEOUT_MS 10000
#define BODY_BYTES 256

struct letter {
	char body[BODY_BYTES];
};

static void write_start(struct letter *letter, long number, const char *event)
{
	(void)snprintf(letter->body, sizeof(letter->body),
		"{\"business_ref_no\":\"ORDER-%06ld\",\"component_name\":\"STORM\","
		"\"event_name\":\"StartWorkflow\",\"event_id\":\"%s-%ld\","
		"\"data\":{\"price\":19.99,\"order\":%ld}}",
		number, event, number, number);
}

/* The events that start one workflow; returns how many. */
static size_t write_starts(struct letter *letters, long number)
{
	write_start(&letters[0], number, "start");
	if (number % 10 == 3) {
		write_start(&letters[1], number, "start");
		return 2;
	}
	if (number % 10 == 7) {
		write_start(&letters[1], number, "again");
		return 2;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct world world;
	struct swm_error err = {0};
	struct swm_publisher *publisher = NULL;
	struct letter letters[BATCH + 2];
	struct swm_message messages[BATCH + 2];
	swm_status results[BATCH + 2];

	if (argc != 4) {
		(void)fputs("usage: crash-feed CONFIG FIRST COUNT\n", stderr);
		return 2;
	}
	long next = strtol(argv[2], NULL, 10);
	long end = next + strtol(argv[3], NULL, 10);
	world_open(&world, argv[1], 0);
	world_queue(&world);
	struct swm_str source = world_source(&world);
	const struct swm_queue_ops *ops = world.queue->ops;
	world_check(ops->prepare(world.queue->queue, &source, 1, &err), &err, "prepare");
	world_check(
		ops->publisher_open(world.queue->queue, &publisher, &err), &err, "publisher");
	while (next < end) {
		size_t count = 0;
		for (; next < end && count < BATCH; next++) {
			count += write_starts(&letters[count], next);
		}
		for (size_t i = 0; i < count; i++) {
			messages[i] = (struct swm_message){
				.destination = source, .body = swm_str_from(letters[i].body)};
		}
		world_check(ops->publisher_publish(
				    publisher, messages, count, TIMEOUT_MS, results, &err),
			&err, "publish");
	}
	ops->publisher_close(publisher);
	world_close(&world);
	return 0;
}
