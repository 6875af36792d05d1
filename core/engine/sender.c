/* SPDX-License-Identifier: MIT */

/*
 * See sender.h. One pass: sort the rows by adapter, publish each adapter's share in
 * one call, then conclude row by row.
 */

#include "sender.h"

#include "error.h"
#include "message.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* A row is not begun when less than this part of its lease is left: the clocks of two
 * machines tick apart, and a broker takes its time. */
#define LEASE_MARGIN_PART 8

/* How long a refused row waits for the next try. */
#define REFUSED_FIRST_MS 1000
#define REFUSED_MAX_MS 60000

/* Who has a duty beside publishes in slices of this, well within the 5 s after which a
 * consumer has to be serviced again. */
#define PUBLISH_SLICE_MS 3000

#define REOPEN_FIRST_MS 50
#define REOPEN_MAX_MS 5000

struct swm_sender_slot {
	struct swm_publisher *publisher; /* NULL: closed */
	struct swm_retry retry;
	int64_t retry_at_ms; /* monotonic; not opened before */
};

/* Our own word for "not tried": no status of the port's. */
#define LEFT SWM_E_INTERRUPTED

struct outgoing {
	const struct swm_outbox_row *row;
	struct swm_destination *destination;
	swm_status result;  /* of publish, or LEFT */
	struct swm_str why; /* the reason for a refusal, the arena's; absent: none told */
};

/* What goes through one adapter. */
struct share {
	struct outgoing **of; /* by position in messages */
	struct swm_message *messages;
	size_t count;
};

/* One call of swm_sender_send(). */
struct sending {
	struct swm_sender *sender;
	struct swm_marks *marks;
	struct outgoing *items;
	size_t count;
	struct swm_outbox_row *undeliverable; /* TaskFailed events to be put */
	size_t *undeliverable_of;             /* which items they answer */
	size_t undeliverable_count;
	int64_t deadline_ms;
};

swm_status swm_sender_init(
	struct swm_sender *sender, struct swm_shared *shared, struct swm_error *err)
{
	*sender = (struct swm_sender){.shared = shared};
	size_t count = shared->config->queue_count;
	sender->slots = calloc(count, sizeof(*sender->slots));
	if (!sender->slots) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < count; i++) {
		sender->slots[i].retry = (struct swm_retry){
			.first_ms = REOPEN_FIRST_MS, .max_ms = REOPEN_MAX_MS};
	}
	return SWM_OK;
}

static void close_slot(struct swm_sender *sender, size_t queue)
{
	struct swm_sender_slot *slot = &sender->slots[queue];
	if (slot->publisher) {
		sender->shared->config->queues[queue].ops->publisher_close(slot->publisher);
		slot->publisher = NULL;
	}
}

void swm_sender_finish(struct swm_sender *sender)
{
	if (sender->slots) {
		for (size_t i = 0; i < sender->shared->config->queue_count; i++) {
			close_slot(sender, i);
		}
		free(sender->slots);
		sender->slots = NULL;
	}
	swm_arena_finish(&sender->arena);
}

static int64_t now_of(const struct swm_sender *sender)
{
	return swm_env_monotonic_ms(sender->shared->env);
}

static swm_status open_slot(struct swm_sender *sender, size_t queue, struct swm_error *err)
{
	struct swm_sender_slot *slot = &sender->slots[queue];
	const struct swm_engine_queue *adapter = &sender->shared->config->queues[queue];
	if (slot->publisher) {
		return SWM_OK;
	}
	if (now_of(sender) < slot->retry_at_ms) {
		return swm_error_set(
			err, SWM_E_UNAVAILABLE, "the broker of \"%s\" is away", adapter->name);
	}
	swm_status status = adapter->ops->publisher_open(adapter->queue, &slot->publisher, err);
	if (status != SWM_OK) {
		slot->retry_at_ms =
			now_of(sender) + swm_retry_next_ms(&slot->retry, sender->shared->env);
	}
	return status;
}

static void slot_failed(struct swm_sender *sender, size_t queue)
{
	struct swm_sender_slot *slot = &sender->slots[queue];
	close_slot(sender, queue);
	slot->retry_at_ms =
		now_of(sender) + swm_retry_next_ms(&slot->retry, sender->shared->env);
}

static void set_result(
	struct sending *sending, struct outgoing *item, swm_status status, struct swm_str why)
{
	item->result = status;
	item->why = (struct swm_str){0};
	char *copy = why.len > 0 ? swm_arena_take(&sending->sender->arena, why.len + 1) : NULL;
	if (copy) {
		memcpy(copy, why.ptr, why.len);
		copy[why.len] = '\0';
		swm_text_clean(copy); /* an adapter's may be anything, a store takes UTF-8 */
		item->why = (struct swm_str){copy, why.len};
	}
}

/* *ready: the destination exists, as far as the broker says; else the item has its
 * result, or stays LEFT when it is too late to ask. A broker that is away is not asked
 * again for the next one: false. */
static bool prepare(
	struct sending *sending, struct outgoing *item, int64_t until_ms, bool *ready)
{
	struct swm_shared *shared = sending->sender->shared;
	*ready = swm_router_is_prepared(shared->router, item->destination);
	if (*ready || now_of(sending->sender) >= until_ms) {
		return true;
	}
	const struct swm_engine_queue *adapter =
		&shared->config->queues[item->destination->queue];
	struct swm_error err = {0};
	swm_status status =
		adapter->ops->prepare(adapter->queue, &item->destination->node.key, 1, &err);
	swm_duty_perform(&sending->sender->duty);
	if (status == SWM_OK) {
		swm_router_set_prepared(shared->router, item->destination, true);
		*ready = true;
		return true;
	}
	set_result(sending, item, status, swm_str_from(err.message));
	return status != SWM_E_UNAVAILABLE && status != SWM_E_TIMEOUT;
}

/* One call of the publisher, all of whose results are stored. */
static swm_status publish_slice(struct sending *sending, size_t queue,
	const struct share *share, swm_status *results, int64_t timeout_ms)
{
	struct swm_sender *sender = sending->sender;
	const struct swm_queue_ops *ops = sender->shared->config->queues[queue].ops;
	struct swm_error err = {0};
	for (size_t i = 0; i < share->count; i++) {
		results[i] = SWM_E_INDOUBT;
	}
	swm_status status = ops->publisher_publish(sender->slots[queue].publisher,
		share->messages, share->count, timeout_ms, results, &err);
	for (size_t i = 0; i < share->count; i++) {
		bool told = results[i] != SWM_OK && results[i] == err.status;
		set_result(sending, share->of[i], results[i],
			swm_str_from(told ? err.message : NULL));
	}
	return status;
}

/* Keeps what there was no time to send: that much may be sent once more. */
static void keep_unsent(struct share *share)
{
	size_t count = 0;
	for (size_t i = 0; i < share->count; i++) {
		if (share->of[i]->result == SWM_E_TIMEOUT) {
			share->of[count] = share->of[i];
			share->messages[count] = share->messages[i];
			count++;
		}
	}
	share->count = count;
}

/* Publishes a share for half a lease at most, and in slices, if the thread has a duty
 * beside it. Only what is known not to be sent goes into the next slice, and only if the
 * one before was used up: an adapter that gives up earlier has its reasons. */
static void publish(struct sending *sending, size_t queue, struct share *share)
{
	struct swm_sender *sender = sending->sender;
	swm_status *results = swm_arena_take(&sender->arena, share->count * sizeof(*results));
	if (!results) {
		return;
	}
	int64_t now_ms = now_of(sender);
	int64_t until_ms = now_ms + sender->shared->config->lease_ms / 2;
	until_ms = until_ms < sending->deadline_ms ? until_ms : sending->deadline_ms;
	while (share->count > 0 && now_ms < until_ms) {
		int64_t slice_ms = until_ms - now_ms;
		if (sender->duty.perform && slice_ms > PUBLISH_SLICE_MS) {
			slice_ms = PUBLISH_SLICE_MS;
		}
		swm_status status = publish_slice(sending, queue, share, results, slice_ms);
		if (status == SWM_E_UNAVAILABLE) {
			slot_failed(sender, queue);
			return;
		}
		swm_retry_reset(&sender->slots[queue].retry);
		swm_duty_perform(&sender->duty);
		if (now_of(sender) < now_ms + slice_ms) {
			return;
		}
		keep_unsent(share);
		now_ms = now_of(sender);
	}
}

static void refuse_all(struct sending *sending, struct outgoing **of, size_t count,
	swm_status status, struct swm_str why)
{
	for (size_t i = 0; i < count; i++) {
		set_result(sending, of[i], status, why);
	}
}

/* The destination has been refused to an earlier row of this pass: it is asked for once
 * only. Before publishing, only prepare() has set results in this adapter's share. */
static bool refused_before(struct sending *sending, struct outgoing *item)
{
	for (const struct outgoing *at = sending->items; at < item; at++) {
		if (at->destination == item->destination && at->result != LEFT) {
			item->result = at->result;
			item->why = at->why;
			return true;
		}
	}
	return false;
}

/* Sends one adapter's share of the rows. Out of memory leaves them. */
static void send_share(struct sending *sending, size_t queue)
{
	struct swm_sender *sender = sending->sender;
	struct outgoing **of =
		swm_arena_take(&sender->arena, sending->count * sizeof(struct outgoing *));
	struct share share = {
		.of = of,
		.messages = swm_arena_take(
			&sender->arena, sending->count * sizeof(*share.messages)),
	};
	if (!of || !share.messages) {
		return;
	}
	size_t count = 0;
	for (size_t i = 0; i < sending->count; i++) {
		struct outgoing *item = &sending->items[i];
		if (item->destination && item->destination->queue == queue) {
			of[count] = item;
			count++;
		}
	}
	if (count == 0) {
		return;
	}
	struct swm_error err = {0};
	swm_status status = open_slot(sender, queue, &err);
	swm_duty_perform(&sender->duty);
	if (status != SWM_OK) {
		refuse_all(sending, of, count, status, swm_str_from(err.message));
		return;
	}

	/* A broker that is slow to say that queues are missing must leave time to send. */
	int64_t began_ms = now_of(sender);
	int64_t prepare_until_ms = began_ms + (sending->deadline_ms - began_ms) / 2;
	bool refused = false;
	for (size_t i = 0; i < count; i++) {
		bool ready;
		struct outgoing *item = of[i];
		if (refused && refused_before(sending, item)) {
			continue;
		}
		if (!prepare(sending, item, prepare_until_ms, &ready)) {
			refuse_all(sending, of + i, count - i, item->result, item->why);
			break;
		}
		refused = refused || item->result != LEFT;
		if (ready && swm_message_of_row(item->row, item->destination->workflow,
				     &sender->arena, &share.messages[share.count])) {
			of[share.count] = item;
			share.count++;
		}
	}
	publish(sending, queue, &share);
}

static void mark(
	struct sending *sending, const struct outgoing *item, uint32_t action, int64_t delay_ms)
{
	/* Without memory for it the row is sent once more, with the same id. */
	(void)swm_marks_add(sending->marks,
		&(struct swm_outbox_mark){
			.id = item->row->id,
			.instance_id = item->row->instance_id,
			.reason = item->why,
			.delay_ms = delay_ms,
			.action = action,
		},
		now_of(sending->sender));
}

static void conclude_sent(struct sending *sending, const struct outgoing *item)
{
	struct swm_shared *shared = sending->sender->shared;
	mark(sending, &(struct outgoing){.row = item->row, .destination = item->destination},
		SWM_MARK_SENT, 0);
	if (swm_router_set_refusing(shared->router, item->destination, false)) {
		swm_env_log(shared->env, SWM_LOG_INFO, "destination %s: taken again",
			item->destination->name);
	}
}

static void conclude_refused(struct sending *sending, const struct outgoing *item)
{
	struct swm_shared *shared = sending->sender->shared;
	uint64_t tries = (uint64_t)(item->row->claims > 0 ? item->row->claims : 0) + 1;
	mark(sending, item, SWM_MARK_RETRY,
		swm_retry_pause_ms(REFUSED_FIRST_MS, REFUSED_MAX_MS, tries, shared->env));
	if (item->result == SWM_E_NOT_FOUND) {
		swm_router_set_prepared(shared->router, item->destination, false);
	}
	if (swm_router_set_refusing(shared->router, item->destination, true)) {
		swm_env_log(shared->env, SWM_LOG_WARN,
			"destination %s refuses messages: %.*s; they are tried again, without "
			"end",
			item->destination->name, SWM_FMT(item->why));
	}
}

/* Nobody will ever take this one. A StartTask becomes a TaskFailed of ours, anything
 * else is parked. */
static void conclude_undeliverable(struct sending *sending, size_t index)
{
	const struct outgoing *item = &sending->items[index];
	struct swm_shared *shared = sending->sender->shared;
	struct swm_error err = {0};
	if (item->row->kind != SWM_MESSAGE_START_TASK) {
		mark(sending, item, SWM_MARK_DEAD, 0);
		swm_env_log(shared->env, SWM_LOG_WARN,
			"message %.*s for %s cannot be delivered and is parked: %.*s",
			SWM_FMT(item->row->id), item->destination->name, SWM_FMT(item->why));
		return;
	}
	struct swm_outbox_row *row = &sending->undeliverable[sending->undeliverable_count];
	struct swm_str why = item->why.len > 0 ? item->why : SWM_STR("refused for good");
	swm_status status = swm_row_undeliverable(
		item->row, shared->own_queue, why, &sending->sender->arena, row, &err);
	if (status == SWM_E_CORRUPT) {
		mark(sending, item, SWM_MARK_DEAD, 0);
		swm_env_log(shared->env, SWM_LOG_ERROR, "message %.*s is parked: %s",
			SWM_FMT(item->row->id), err.message);
	} else if (status == SWM_OK) {
		sending->undeliverable_of[sending->undeliverable_count] = index;
		sending->undeliverable_count++;
	}
}

/* The refused StartTasks' events are stored before the rows that they answer go. */
static swm_status put_undeliverable(
	struct sending *sending, struct swm_link *link, struct swm_error *err)
{
	if (sending->undeliverable_count == 0) {
		return SWM_OK;
	}
	swm_status status = link->ops->outbox_put(
		link->session, sending->undeliverable, sending->undeliverable_count, err);
	if (status != SWM_OK) {
		return status;
	}
	for (size_t i = 0; i < sending->undeliverable_count; i++) {
		mark(sending, &sending->items[sending->undeliverable_of[i]], SWM_MARK_SENT, 0);
	}
	return SWM_OK;
}

static void conclude(struct sending *sending)
{
	const struct swm_env *env = sending->sender->shared->env;
	size_t sent = 0;
	size_t refused = 0;
	size_t dead = 0;
	size_t doubtful = 0;
	size_t left = 0;
	for (size_t i = 0; i < sending->count; i++) {
		const struct outgoing *item = &sending->items[i];
		switch (item->result) {
		case SWM_OK:
			conclude_sent(sending, item);
			sent++;
			break;
		case LEFT:
			left++;
			break;
		case SWM_E_INDOUBT:
			doubtful++;
			break;
		case SWM_E_INVALID:
		case SWM_E_TOO_LARGE:
			conclude_undeliverable(sending, i);
			dead++;
			break;
		default:
			conclude_refused(sending, item);
			refused++;
			break;
		}
	}
	swm_env_count(env, "messages_published", sent);
	swm_env_count(env, "messages_refused", refused);
	swm_env_count(env, "messages_undeliverable", dead);
	swm_env_count(env, "messages_in_doubt", doubtful);
	swm_env_count(env, "messages_left", left);
}

swm_status swm_sender_send(struct swm_sender *sender, struct swm_link *link,
	const struct swm_outbox_row *const *rows, size_t count, int64_t leased_ms,
	struct swm_marks *marks, struct swm_error *err)
{
	struct swm_shared *shared = sender->shared;
	int64_t lease_ms = shared->config->lease_ms;
	if (count == 0) {
		return SWM_OK;
	}
	swm_arena_reset(&sender->arena);
	struct sending sending = {
		.sender = sender,
		.marks = marks,
		.items = swm_arena_take(&sender->arena, count * sizeof(*sending.items)),
		.count = count,
		.undeliverable =
			swm_arena_take(&sender->arena, count * sizeof(*sending.undeliverable)),
		.undeliverable_of = swm_arena_take(
			&sender->arena, count * sizeof(*sending.undeliverable_of)),
		.deadline_ms = leased_ms + lease_ms - lease_ms / LEASE_MARGIN_PART,
	};
	if (!sending.items || !sending.undeliverable || !sending.undeliverable_of) {
		return SWM_OK;
	}
	for (size_t i = 0; i < count; i++) {
		sending.items[i] = (struct outgoing){
			.row = rows[i],
			.destination = swm_router_find(shared->router, rows[i]->destination),
			.result = LEFT,
		};
	}
	for (size_t queue = 0; queue < shared->config->queue_count; queue++) {
		send_share(&sending, queue);
	}
	conclude(&sending);
	return put_undeliverable(&sending, link, err);
}
