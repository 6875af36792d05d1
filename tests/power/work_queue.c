/* SPDX-License-Identifier: MIT */

/* The queue's half of the work; see work.h. */

#include "work.h"

#include <string.h>

enum {
	MESSAGES_MAX = 8,
	PUBLISH_TIMEOUT_MS = 1000
};

/* Queues come into being when somebody names them. */
static void bring_queue(struct work *work, uint32_t queue)
{
	if (model_find(work->model, MODEL_NAME, queue) == SIZE_MAX) {
		model_bring(
			work->model, &(struct model_item){.kind = MODEL_NAME,
					     .number = queue,
					     .hash = hash_name(work_name(work, 'q', queue))});
	}
}

/* Listens to two queues; neighbours share one. Makes them, without a flush. */
static void open_consumer(struct work *work, uint32_t at)
{
	const uint32_t queues[] = {at % WORK_QUEUES, (at + 1) % WORK_QUEUES};
	struct swm_error err = {0};

	work_op_begin(work, MODEL_QUEUE, "consumer_open", false);
	const struct swm_str sources[] = {
		work_name(work, 'q', queues[0]), work_name(work, 'q', queues[1])};
	work_must(work->rig->queue->consumer_open(work->queue.queue, sources, 2, WORK_OUT_MAX,
			  &work->consumers[at], &err),
		&err, "consumer_open");
	bring_queue(work, queues[0]);
	bring_queue(work, queues[1]);
	work_op_end(work);
}

void work_consumers_open(struct work *work)
{
	for (uint32_t i = 0; i < WORK_CONSUMERS; i++) {
		open_consumer(work, i);
	}
}

static void close_consumer(struct work *work, uint32_t at)
{
	work_op_begin(work, MODEL_QUEUE, "consumer_close", false);
	work->rig->queue->consumer_close(work->consumers[at]);
	work->consumers[at] = NULL;
	work_op_end(work);
}

void work_consumers_close(struct work *work)
{
	for (uint32_t i = 0; i < WORK_CONSUMERS; i++) {
		close_consumer(work, i);
	}
	work->out_count = 0;
}

static void open_publisher(struct work *work)
{
	struct swm_error err = {0};

	work_must(work->rig->queue->publisher_open(work->queue.queue, &work->publisher, &err),
		&err, "publisher_open");
}

void work_queue_open(struct work *work)
{
	struct swm_error err = {0};

	work_op_begin(work, MODEL_QUEUE, "open", false);
	work_must(rig_queue_open(work->rig, work->folder, &work->queue, &err), &err,
		"queue open");
	open_publisher(work);
	work_op_end(work);
	work_consumers_open(work);
}

void work_queue_close(struct work *work)
{
	work_consumers_close(work);
	work->rig->queue->publisher_close(work->publisher);
	work->publisher = NULL;
	rig_queue_close(work->rig, &work->queue);
}

static void reopen_publisher(struct work *work)
{
	work_op_begin(work, MODEL_QUEUE, "publisher_open", false);
	work->rig->queue->publisher_close(work->publisher);
	open_publisher(work);
	work_op_end(work);
}

static void publish(struct work *work)
{
	struct swm_message messages[MESSAGES_MAX];
	struct model_item items[MESSAGES_MAX];
	swm_status results[MESSAGES_MAX];
	size_t count = chance_between(&work->chance, 1, MESSAGES_MAX);
	struct swm_error err = {0};

	work_op_begin(work, MODEL_QUEUE, "publish", true);
	for (size_t i = 0; i < count; i++) {
		uint32_t queue = chance_below(&work->chance, WORK_QUEUES);
		uint32_t number = model_number(work->model);
		struct swm_message *message = &messages[i];

		*message = (struct swm_message){
			.destination = work_name(work, 'q', queue),
			.id = work_name(work, 'm', number),
			.key = work_name(work, 'k', number % 5),
			.body = work_body(work),
		};
		message->headers = work_headers(work, &message->header_count);
		items[i] = (struct model_item){.kind = MODEL_MESSAGE,
			.number = number,
			.of = queue,
			.version = 1,
			.fixed = hash_message_fixed(message->destination, message->id,
				message->key, message->body, message->headers,
				message->header_count)};
		items[i].hash = hash_message(items[i].fixed, 1);
	}
	work_risk(work);
	swm_status status = work->rig->queue->publisher_publish(
		work->publisher, messages, count, PUBLISH_TIMEOUT_MS, results, &err);
	bool failed = work_failed(work, status, &err, "publish");
	for (size_t i = 0; i < count; i++) {
		bring_queue(work, items[i].of);
		model_bring(work->model, &items[i]);
	}
	if (failed) {
		work_undo(work, status);
	}
	work_op_end(work);
	if (status == SWM_E_UNAVAILABLE) {
		reopen_publisher(work);
	}
}

/* A consumer that failed so is only good for being closed. */
static void reopen_after(struct work *work, uint32_t consumer, swm_status status)
{
	size_t kept = 0;

	if (status != SWM_E_UNAVAILABLE) {
		return;
	}
	for (size_t i = 0; i < work->out_count; i++) {
		if (work->out[i].consumer != consumer) {
			work->out[kept++] = work->out[i];
		}
	}
	work->out_count = kept;
	close_consumer(work, consumer);
	open_consumer(work, consumer);
}

static void receive(struct work *work)
{
	uint32_t consumer = chance_below(&work->chance, WORK_CONSUMERS);
	struct swm_delivery deliveries[MESSAGES_MAX];
	struct swm_error err = {0};
	size_t count = 0;

	if (work->out_count + MESSAGES_MAX > WORK_OUT_MAX) {
		return;
	}
	work_op_begin(work, MODEL_QUEUE, "receive", false);
	work_risk(work);
	swm_status status = work->rig->queue->consumer_receive(work->consumers[consumer], 0,
		deliveries, chance_between(&work->chance, 1, MESSAGES_MAX), &count, &err);
	status = status == SWM_E_TIMEOUT ? SWM_OK : status;
	bool failed = work_failed(work, status, &err, "receive");
	for (size_t i = 0; i < count && !failed; i++) {
		uint32_t number = work_number_of(deliveries[i].id);
		size_t index = model_find(work->model, MODEL_MESSAGE, number);

		if (index == SIZE_MAX) {
			power_die("receive: a message that is not there: m%u", number);
		}
		struct model_item item = work->model->items[index];
		if (deliveries[i].attempt != item.version) {
			power_die("receive: attempt %u of message m%u, not %lld",
				deliveries[i].attempt, number, (long long)item.version);
		}
		item.version++;
		item.hash = hash_message(item.fixed, item.version);
		model_replace(work->model, index, &item);
		work->out[work->out_count++] =
			(struct work_out){deliveries[i].token, number, consumer};
	}
	work_op_end(work);
	reopen_after(work, consumer, status);
}

/* Settles some of what one consumer has. */
static void settle(struct work *work)
{
	uint32_t consumer = chance_below(&work->chance, WORK_CONSUMERS);
	struct swm_settlement items[WORK_OUT_MAX];
	struct chance *chance = &work->chance;
	struct swm_error err = {0};
	uint32_t percent = chance_percent(chance, 50) ? 100 : 50;
	size_t count = 0, kept = 0, before = work->out_count;
	struct work_out out_before[WORK_OUT_MAX];

	memcpy(out_before, work->out, sizeof(out_before));
	work_op_begin(work, MODEL_QUEUE, "settle", false);
	for (size_t i = 0; i < work->out_count; i++) {
		const struct work_out out = work->out[i];
		struct swm_settlement item = {.token = out.token, .action = SWM_ACK};

		if (out.consumer != consumer || !chance_percent(chance, percent)) {
			work->out[kept++] = out;
			continue;
		}
		if (chance_percent(chance, 30)) {
			item.action = chance_between(chance, SWM_NACK, SWM_EXTEND);
			item.delay_ms = chance_percent(chance, 50) ? RIG_LEASE_MS : 0;
		}
		if (item.action == SWM_ACK) {
			model_end(work->model,
				model_find(work->model, MODEL_MESSAGE, out.message));
		} else if (item.action == SWM_EXTEND) {
			item.delay_ms = RIG_LEASE_MS;
			work->out[kept++] = out;
		}
		items[count++] = item;
	}
	work->out_count = kept;
	work_risk(work);
	swm_status status = work->rig->queue->consumer_settle(
		work->consumers[consumer], items, count, &err);
	if (work_failed(work, status, &err, "settle")) {
		work_undo(work, status);
		memcpy(work->out, out_before, sizeof(out_before));
		work->out_count = before;
	}
	work_op_end(work);
	reopen_after(work, consumer, status);
}

static void prepare(struct work *work)
{
	uint32_t queue = chance_below(&work->chance, WORK_QUEUES);
	bool is_new = model_find(work->model, MODEL_NAME, queue) == SIZE_MAX;
	struct swm_error err = {0};

	work_op_begin(work, MODEL_QUEUE, "prepare", is_new);
	struct swm_str name = work_name(work, 'q', queue);
	work_must(
		work->rig->queue->prepare(work->queue.queue, &name, 1, &err), &err, "prepare");
	bring_queue(work, queue);
	work_op_end(work);
}

void work_queue_write(struct work *work)
{
	publish(work);
}

void work_queue_step(struct work *work)
{
	uint32_t what = chance_below(&work->chance, 100);

	if (what < 40) {
		publish(work);
	} else if (what < 65) {
		receive(work);
	} else if (what < 90) {
		settle(work);
	} else if (what < 93) {
		prepare(work);
	} else if (what < 95) {
		reopen_publisher(work);
	} else if (what < 98) {
		work_consumers_close(work);
		work_consumers_open(work);
	} else {
		work_queue_close(work);
		if (chance_percent(&work->chance, 50)) {
			work_visit(work, "queue/queue.db");
		}
		work_queue_open(work);
	}
}
