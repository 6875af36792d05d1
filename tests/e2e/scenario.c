/* SPDX-License-Identifier: MIT */

/*
 * Plays one scenario through the queues of a configuration, beside a `swm run` on the
 * same, and writes on stdout all that the outside may depend on: the StartTasks, byte
 * for byte, then the log of each instance, its state, and what was parked. Times are
 * left out, so that the transcript is the same on every pair of adapters.
 *
 *   swm-e2e CONFIG SCENARIO PREFIX
 *
 * A scenario is a JSON object, see README.md; PREFIX stands before each name of a task
 * queue there and here alike, and is not printed.
 */

#include "text.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Whatever does not happen for so long will not happen. */
#define PATIENCE_MS 30000
#define POLL_MS 20

/* How long an empty queue is looked at before it counts as empty. */
#define EMPTY_MS 400

#define QUEUES_MAX 64
#define HELD_MAX 256
#define NAME_BYTES 256
#define HEX_BYTES 64
#define PAGE_ROWS 500

/* A StartTask that was received and acknowledged, and no step has asked for yet. */
struct held {
	size_t queue;
	char *body;
	size_t len;
};

struct task_queue {
	const char *name; /* the scenario's: without the prefix */
	char full[NAME_BYTES];
	json_t *last; /* the message that was taken last, or NULL */
};

struct play {
	struct world world;
	struct swm_session *session;
	struct swm_publisher *publisher;
	struct swm_consumer *consumer;
	json_t *scenario;
	bool shows_ids;       /* events have ids, so that keys repeat */
	size_t parked_before; /* by earlier scenarios */
	struct task_queue queues[QUEUES_MAX];
	size_t queue_count;
	struct held held[HELD_MAX];
	size_t held_count;
};

static _Noreturn void give_up(const char *what, const char *name)
{
	(void)fprintf(stderr, "swm-e2e: %s %s\n", what, name);
	exit(1);
}

static struct task_queue *find_queue(struct play *play, const char *name)
{
	for (size_t i = 0; i < play->queue_count; i++) {
		if (strcmp(play->queues[i].name, name) == 0) {
			return &play->queues[i];
		}
	}
	give_up("no task of the template has the queue", name);
}

static void add_queue(struct play *play, const char *name, const char *prefix)
{
	for (size_t i = 0; i < play->queue_count; i++) {
		if (strcmp(play->queues[i].name, name) == 0) {
			return;
		}
	}
	if (play->queue_count == QUEUES_MAX) {
		give_up("too many queues with", name);
	}
	struct task_queue *queue = &play->queues[play->queue_count++];
	queue->name = name;
	(void)snprintf(queue->full, sizeof(queue->full), "%s%s", prefix, name);
}

static void find_queues(struct play *play, const char *prefix)
{
	size_t i;
	size_t j;
	json_t *stage;
	json_t *task;
	json_t *template = json_object_get(play->scenario, "template");
	json_array_foreach(json_object_get(template, "stages"), i, stage)
	{
		json_array_foreach(json_object_get(stage, "tasks"), j, task)
		{
			json_t *name = json_object_get(task, "task_queue");
			if (name) {
				add_queue(play, json_string_value(name), prefix);
			}
		}
	}
}

static void open_play(
	struct play *play, const char *config, const char *scenario, const char *prefix)
{
	struct swm_error err = {0};
	json_error_t where;
	struct swm_str sources[QUEUES_MAX];
	world_open(&play->world, config, 0);
	world_queue(&play->world);
	world_store(&play->world);
	play->scenario = json_load_file(scenario, JSON_REJECT_DUPLICATES, &where);
	if (!play->scenario) {
		give_up(where.text, scenario);
	}
	play->shows_ids = !json_is_false(json_object_get(play->scenario, "ids"));
	find_queues(play, prefix);
	for (size_t i = 0; i < play->queue_count; i++) {
		sources[i] = swm_str_from(play->queues[i].full);
	}
	const struct swm_queue_ops *ops = play->world.queue->ops;
	struct swm_queue *queue = play->world.queue->queue;
	world_check(ops->prepare(queue, sources, play->queue_count, &err), &err, "prepare");
	world_check(
		ops->consumer_open(queue, sources, play->queue_count, 0, &play->consumer, &err),
		&err, "consumer");
	world_check(ops->publisher_open(queue, &play->publisher, &err), &err, "publisher");
	world_check(play->world.store->ops->session_open(
			    play->world.store->store, &play->session, &err),
		&err, "session");
}

static void close_play(struct play *play)
{
	play->world.store->ops->session_close(play->session);
	play->world.queue->ops->consumer_close(play->consumer);
	play->world.queue->ops->publisher_close(play->publisher);
	for (size_t i = 0; i < play->queue_count; i++) {
		json_decref(play->queues[i].last);
	}
	for (size_t i = 0; i < play->held_count; i++) {
		free(play->held[i].body);
	}
	world_close(&play->world);
	json_decref(play->scenario);
}

/* Printable ASCII as it is, all else as \xNN. */
static void print_bytes(struct swm_str bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char byte = (unsigned char)bytes.ptr[i];
		if (byte < 0x20 || byte >= 0x7f || byte == '\\') {
			(void)printf("\\x%02x", byte);
		} else {
			(void)putchar(byte);
		}
	}
}

static void pause_ms(int64_t ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	(void)nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
	return world_monotonic_ns() / 1000000;
}

/* `key` may be empty: a stranger's message has none. */
static void send_body(
	struct play *play, struct swm_str body, struct swm_str key, json_int_t times)
{
	const struct swm_message message = {
		.destination = world_source(&play->world), .body = body, .key = key};
	for (json_int_t i = 0; i < times; i++) {
		struct swm_error err = {0};
		swm_status result = SWM_OK;
		world_check(play->world.queue->ops->publisher_publish(
				    play->publisher, &message, 1, PATIENCE_MS, &result, &err),
			&err, "publish");
	}
}

/* Under the key of its instance, as services do, so that a broker with partitions keeps the
 * order. The names in scenarios need no encoding. */
static void send_json(struct play *play, const json_t *value, json_int_t times)
{
	const char *component = json_string_value(json_object_get(value, "component_name"));
	const char *ref = json_string_value(json_object_get(value, "business_ref_no"));
	char key[NAME_BYTES] = "";
	char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
	if (component && ref) {
		(void)snprintf(key, sizeof(key), "%s/%s", component, ref);
	}
	send_body(play, swm_str_from(text), swm_str_from(key), times);
	free(text);
}

/* Any bytes at all, two digits each. */
static void send_hex(struct play *play, const char *digits, json_int_t times)
{
	char bytes[HEX_BYTES];
	size_t len = 0;
	unsigned int byte;
	while (len < HEX_BYTES && sscanf(digits + 2 * len, "%2x", &byte) == 1) {
		bytes[len++] = (char)byte;
	}
	send_body(play, (struct swm_str){bytes, len}, (struct swm_str){0}, times);
}

/* Receives what is there, within timeout_ms, acknowledges it and keeps a copy. */
static void receive(struct play *play, int64_t timeout_ms)
{
	struct swm_delivery delivery;
	struct swm_error err = {0};
	size_t count = 0;
	const struct swm_queue_ops *ops = play->world.queue->ops;
	swm_status status =
		ops->consumer_receive(play->consumer, timeout_ms, &delivery, 1, &count, &err);
	if (status == SWM_E_TIMEOUT || status == SWM_E_INTERRUPTED) {
		return;
	}
	world_check(status, &err, "receive");
	size_t queue = 0;
	while (!swm_str_equal(swm_str_from(play->queues[queue].full), delivery.source)) {
		queue++;
	}
	char *copy = malloc(delivery.body.len + 1);
	if (!copy || play->held_count == HELD_MAX) {
		give_up("too many messages on", play->queues[queue].name);
	}
	memcpy(copy, delivery.body.ptr, delivery.body.len);
	play->held[play->held_count++] = (struct held){queue, copy, delivery.body.len};
	const struct swm_settlement done = {.token = delivery.token, .action = SWM_ACK};
	world_check(ops->consumer_settle(play->consumer, &done, 1, &err), &err, "settle");
}

/* The first message of this queue that no step has asked for, or NULL. */
static struct held *find_held(struct play *play, const struct task_queue *queue)
{
	for (size_t i = 0; i < play->held_count; i++) {
		if (&play->queues[play->held[i].queue] == queue) {
			return &play->held[i];
		}
	}
	return NULL;
}

static void take(struct play *play, const char *name)
{
	struct task_queue *queue = find_queue(play, name);
	int64_t until_ms = now_ms() + PATIENCE_MS;
	struct held *held;
	while ((held = find_held(play, queue)) == NULL) {
		if (now_ms() > until_ms) {
			give_up("no StartTask came on", name);
		}
		receive(play, POLL_MS);
	}
	(void)printf("took %s ", name);
	print_bytes((struct swm_str){held->body, held->len});
	(void)putchar('\n');
	json_decref(queue->last);
	queue->last = json_loadb(held->body, held->len, 0, NULL);
	free(held->body);
	play->held_count--;
	memmove(held, held + 1, (size_t)(&play->held[play->held_count] - held) * sizeof(*held));
}

/* Answers as a service does that copies the message: the last one taken, with fields
 * changed; null takes one away. */
static void answer(struct play *play, const char *name, json_t *with, json_int_t times)
{
	const char *key;
	json_t *value;
	const struct task_queue *queue = find_queue(play, name);
	json_t *message = json_deep_copy(queue->last);
	if (!message) {
		give_up("nothing was taken yet from", name);
	}
	json_object_foreach(with, key, value)
	{
		if (json_is_null(value)) {
			(void)json_object_del(message, key);
		} else {
			(void)json_object_set(message, key, value);
		}
	}
	send_json(play, message, times);
	json_decref(message);
}

static void expect_empty(struct play *play, const char *name)
{
	int64_t until_ms = now_ms() + EMPTY_MS;
	while (now_ms() < until_ms) {
		receive(play, POLL_MS);
	}
	if (find_held(play, find_queue(play, name))) {
		give_up("a StartTask too many on", name);
	}
}

static const char *component(const struct play *play)
{
	return json_string_value(
		json_object_get(json_object_get(play->scenario, "template"), "component_name"));
}

/* The instances of the scenario's component; the caller releases the set. */
static void list_instances(struct play *play, struct swm_str business_ref, struct swm_set *set)
{
	struct swm_error err = {0};
	const struct swm_page page = {.limit = PAGE_ROWS};
	const struct swm_instance_filter filter = {
		.size = sizeof(filter),
		.component = swm_str_from(component(play)),
		.business_ref = business_ref,
	};
	world_check(
		play->world.store->ops->instance_list(play->session, &filter, &page, set, &err),
		&err, "instances");
}

static void release(struct swm_set *set)
{
	if (set->release) {
		set->release(set);
	}
	*set = (struct swm_set){0};
}

static int64_t sequence_of(struct play *play, const char *business_ref)
{
	struct swm_set set = {0};
	list_instances(play, swm_str_from(business_ref), &set);
	const struct swm_instance_row *rows = set.items;
	int64_t sequence = set.count > 0 ? rows[0].sequence : 0;
	release(&set);
	return sequence;
}

static void list_parked(struct play *play, struct swm_set *set)
{
	struct swm_error err = {0};
	const struct swm_page page = {.limit = PAGE_ROWS};
	world_check(play->world.store->ops->outbox_list(play->session, true, &page, set, &err),
		&err, "parked");
}

static void await_recorded(struct play *play, const char *business_ref, int64_t sequence)
{
	int64_t until_ms = now_ms() + PATIENCE_MS;
	while (sequence_of(play, business_ref) < sequence) {
		if (now_ms() > until_ms) {
			give_up("the events were not recorded of", business_ref);
		}
		pause_ms(POLL_MS);
	}
}

static size_t count_parked(struct play *play)
{
	struct swm_set set = {0};
	list_parked(play, &set);
	size_t count = set.count;
	release(&set);
	return count;
}

static void await_parked(struct play *play, size_t wanted)
{
	int64_t until_ms = now_ms() + PATIENCE_MS;
	while (count_parked(play) - play->parked_before < wanted) {
		if (now_ms() > until_ms) {
			give_up("too few messages were", "parked");
		}
		pause_ms(POLL_MS);
	}
}

static void play_step(struct play *play, json_t *step)
{
	json_t *times_given = json_object_get(step, "times");
	json_int_t times = times_given ? json_integer_value(times_given) : 1;
	json_t *value;
	if ((value = json_object_get(step, "send")) != NULL) {
		send_json(play, value, times);
	} else if ((value = json_object_get(step, "send_text")) != NULL) {
		send_body(play, swm_str_from(json_string_value(value)), (struct swm_str){0},
			times);
	} else if ((value = json_object_get(step, "send_hex")) != NULL) {
		send_hex(play, json_string_value(value), times);
	} else if ((value = json_object_get(step, "take")) != NULL) {
		take(play, json_string_value(value));
	} else if ((value = json_object_get(step, "answer")) != NULL) {
		answer(play, json_string_value(value), json_object_get(step, "with"), times);
	} else if ((value = json_object_get(step, "empty")) != NULL) {
		expect_empty(play, json_string_value(value));
	} else if ((value = json_object_get(step, "recorded")) != NULL) {
		await_recorded(play, json_string_value(value),
			json_integer_value(json_object_get(step, "sequence")));
	} else if ((value = json_object_get(step, "parked")) != NULL) {
		await_parked(play, (size_t)json_integer_value(value));
	} else {
		give_up("no such step:", json_object_iter_key(json_object_iter(step)));
	}
}

static void print_field(const char *name, struct swm_str value)
{
	if (value.len > 0) {
		(void)printf(" %s=", name);
		print_bytes(value);
	}
}

static void print_event(const struct play *play, const struct swm_event_row *row)
{
	static const char *const outcomes[] = {
		"?", "applied", "duplicate", "ignored", "rejected"};
	(void)printf("  %" PRId64 " %.*s %s", row->sequence, (int)row->name.len, row->name.ptr,
		outcomes[row->outcome <= SWM_OUTCOME_REJECTED ? row->outcome : 0]);
	print_field("stage", row->stage);
	print_field("task", row->task);
	if (row->attempt > 0) {
		(void)printf(" attempt=%" PRIu32, row->attempt);
	}
	print_field("reason", row->reason);
	print_field("actor", row->actor);
	if (play->shows_ids) {
		print_field("id", row->source_id);
		print_field("key", row->id);
	}
	print_field("body", row->body);
	(void)putchar('\n');
}

static void print_instance(struct play *play, const struct swm_instance_row *row)
{
	struct swm_set set = {0};
	struct swm_error err = {0};
	const struct swm_page page = {.limit = PAGE_ROWS};
	(void)printf("instance %.*s status=%" PRId32 " sequence=%" PRId64, (int)row->id.len,
		row->id.ptr, row->status, row->sequence);
	print_field("template", row->template_id);
	print_field("stage", row->stage);
	print_field("business_status", row->business_status);
	(void)putchar('\n');
	world_check(
		play->world.store->ops->event_list(play->session, row->id, &page, &set, &err),
		&err, "events");
	const struct swm_event_row *events = set.items;
	for (size_t i = 0; i < set.count; i++) {
		print_event(play, &events[i]);
	}
	release(&set);
}

static int by_id(const void *a, const void *b)
{
	const struct swm_instance_row *first = *(const struct swm_instance_row *const *)a;
	const struct swm_instance_row *second = *(const struct swm_instance_row *const *)b;
	size_t shorter = first->id.len < second->id.len ? first->id.len : second->id.len;
	int order = memcmp(first->id.ptr, second->id.ptr, shorter);
	return order ? order
		     : (first->id.len > second->id.len) - (first->id.len < second->id.len);
}

static void print_instances(struct play *play)
{
	struct swm_set set = {0};
	list_instances(play, (struct swm_str){0}, &set);
	const struct swm_instance_row *rows = set.items;
	const struct swm_instance_row *sorted[PAGE_ROWS] = {0};
	for (size_t i = 0; i < set.count; i++) {
		sorted[i] = &rows[i];
	}
	qsort(sorted, set.count, sizeof(struct swm_instance_row *), by_id);
	for (size_t i = 0; i < set.count; i++) {
		print_instance(play, sorted[i]);
	}
	release(&set);
}

static void print_parked(struct play *play)
{
	struct swm_set set = {0};
	list_parked(play, &set);
	const struct swm_outbox_row *rows = set.items;
	for (size_t i = play->parked_before; i < set.count; i++) {
		(void)printf("parked");
		print_field("reason", rows[i].reason);
		print_field("body", rows[i].body);
		(void)putchar('\n');
	}
	release(&set);
}

int main(int argc, char **argv)
{
	static struct play play;
	size_t i;
	json_t *step;
	if (argc != 4) {
		(void)fputs("usage: swm-e2e CONFIG SCENARIO PREFIX\n", stderr);
		return 2;
	}
	open_play(&play, argv[1], argv[2], argv[3]);
	play.parked_before = count_parked(&play);
	json_array_foreach(json_object_get(play.scenario, "steps"), i, step)
	{
		play_step(&play, step);
	}
	if (play.held_count > 0) {
		give_up("a StartTask too many on", play.queues[play.held[0].queue].name);
	}
	print_instances(&play);
	print_parked(&play);
	close_play(&play);
	return 0;
}
