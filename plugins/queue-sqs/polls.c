/* SPDX-License-Identifier: MIT */

/*
 * Long polls. Each queue has one under way while there is room for what it may bring; a
 * queue that gives all that was asked for gets more of them, until one comes back empty.
 * They stay under way between two calls of receive, so that the next messages are on their
 * way while the last ones are worked at.
 *
 * What has been asked for counts as held: no more than `prefetch` are ever out, and nothing
 * is kept from others that nobody here has a place for. If there are more queues than may be
 * asked at once they take turns, and each poll is short.
 *
 * A poll waits longer at the server the longer its queue has been empty: while something is
 * going on they are short, so that a consumer that is closed has few of them under way.
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a consumer that is closed waits for polls that end so soon. */
#define AWAIT_MS 2000
#define AWAIT_SLACK_MS 300

/* --- What they bring --- */

static void note_altered(struct swm_consumer *consumer, const struct swm_sqs_received *received,
	const struct swm_sqs_listened *source)
{
	const struct swm_host *host = consumer->queue->host;

	host->count(host->ctx, "sqs_bodies_altered", 1);
	host->log(host->ctx, SWM_LOG_ERROR, consumer->queue->instance,
		"message %.*s of queue \"%.*s\" is not taken: its body does not have the MD5 "
		"that "
		"SQS gives it",
		(int)received->id.len, received->id.ptr, (int)source->name.len,
		source->name.ptr);
}

/* Puts the messages of an answer into the inbox. *count: how many there were. */
static swm_status take_messages(struct swm_consumer *consumer, struct swm_sqs_poll *poll,
	struct swm_sqs_json *json, struct swm_sqs_answer *answer, uint32_t *count,
	struct swm_error *err)
{
	const struct swm_queue *queue = consumer->queue;
	struct swm_sqs_listened *source = &consumer->sources[poll->source];
	int64_t lease_end_ms = poll->call.since_ms + queue->config->visibility_ms;
	swm_status status = SWM_OK;

	while (status == SWM_OK && swm_sqs_json_item(json)) {
		struct swm_sqs_received received;

		if (!swm_sqs_received_read(&received, json)) {
			break;
		}
		++*count;
		if (received.intact) {
			status = swm_sqs_deliveries_add(&consumer->deliveries, &received,
				answer, poll->source, lease_end_ms, err);
		} else {
			note_altered(consumer, &received, source);
		}
	}
	if (*count > 0 &&
		lease_end_ms - queue->config->visibility_ms / 2 < consumer->leases_ms) {
		consumer->leases_ms = lease_end_ms - queue->config->visibility_ms / 2;
	}
	return status;
}

/* Reads an answer that is whole. */
static swm_status read_answer(struct swm_consumer *consumer, struct swm_sqs_poll *poll,
	uint32_t *count, struct swm_error *err)
{
	struct swm_sqs_answer *answer = calloc(1, sizeof(*answer));
	struct swm_sqs_json json;
	struct swm_str name;
	swm_status status = SWM_OK;

	if (answer == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	answer->references = 1; /* ours, meanwhile */
	answer->memory = poll->call.answer.ptr;
	swm_sqs_json_init(&json, poll->call.answer.ptr, poll->call.answer.len);
	poll->call.answer = (struct swm_sqs_text){0};
	(void)swm_sqs_json_enter(&json, '{');
	while (status == SWM_OK && swm_sqs_json_member(&json, &name)) {
		if (!swm_sqs_str_is(name, "Messages")) {
			(void)swm_sqs_json_skip(&json);
		} else if (swm_sqs_json_enter(&json, '[')) {
			status = take_messages(consumer, poll, &json, answer, count, err);
		}
	}
	if (--answer->references == 0) {
		free(answer->memory);
		free(answer);
	}
	return status;
}

/* More polls for a queue that has more, one for a queue that has not. */
static void adjust(
	struct swm_consumer *consumer, struct swm_sqs_listened *source, bool full, bool empty)
{
	source->tries = 0;
	source->next_ms = 0;
	if (full && source->width < (uint32_t)consumer->poll_count) {
		source->width *= 2;
	} else if (empty) {
		source->width = 1;
	}
	source->wait_ms = empty ? source->wait_ms * 2 : SWM_SQS_WAIT_FIRST_MS;
}

void swm_sqs_polls_heard(struct swm_consumer *consumer)
{
	consumer->heard_ms = swm_sqs_now_ms();
	consumer->silent_ms = 0;
}

/* Since when an answer is missing, now that a poll has failed: until its time at the server
 * was over none was owed, and another call may have had one meanwhile. */
static int64_t find_silent_ms(
	const struct swm_consumer *consumer, const struct swm_sqs_poll *poll, int64_t now_ms)
{
	int64_t owed_ms = poll->ends_ms < now_ms ? poll->ends_ms : now_ms;

	return owed_ms > consumer->heard_ms ? owed_ms : consumer->heard_ms;
}

static swm_status end_consumer(
	struct swm_consumer *consumer, const struct swm_sqs_call *call, struct swm_error *err)
{
	consumer->failed = true;
	if (err != NULL) {
		*err = call->verdict.why;
		err->status =
			call->verdict.status == SWM_E_DENIED ? SWM_E_DENIED : SWM_E_UNAVAILABLE;
	}
	return call->verdict.status == SWM_E_DENIED ? SWM_E_DENIED : SWM_E_UNAVAILABLE;
}

/* A poll that failed. What passes by itself is waited for as long as a call may take. */
static swm_status note_failure(struct swm_consumer *consumer, struct swm_sqs_poll *poll,
	struct swm_sqs_listened *source, struct swm_error *err)
{
	int64_t now_ms = swm_sqs_now_ms();

	if (poll->call.verdict.status == SWM_E_THROTTLED) {
		swm_sqs_polls_heard(consumer);
	} else if (consumer->silent_ms == 0) {
		consumer->silent_ms = find_silent_ms(consumer, poll, now_ms);
	}
	if (!poll->call.verdict.again ||
		(consumer->silent_ms != 0 &&
			now_ms - consumer->silent_ms > consumer->queue->call_timeout_ms)) {
		return end_consumer(consumer, &poll->call, err);
	}
	source->tries++;
	source->width = 1;
	poll->call.tries = source->tries;
	swm_sqs_call_pause(&poll->call);
	source->next_ms = poll->call.next_ms;
	return SWM_OK;
}

static swm_status take_poll(
	struct swm_consumer *consumer, struct swm_sqs_poll *poll, struct swm_error *err)
{
	struct swm_sqs_listened *source = &consumer->sources[poll->source];
	uint32_t count = 0;
	swm_status status;

	poll->busy = false;
	consumer->polls_busy--;
	consumer->asked -= poll->asked;
	source->polls--;
	if (poll->call.verdict.status == SWM_OK &&
		!swm_sqs_json_is_object(swm_sqs_text_str(&poll->call.answer))) {
		swm_sqs_call_garbled(&poll->call);
	}
	if (poll->call.verdict.status != SWM_OK) {
		return note_failure(consumer, poll, source, err);
	}
	swm_sqs_polls_heard(consumer);
	status = read_answer(consumer, poll, &count, err);
	adjust(consumer, source, count >= poll->asked, count == 0);
	return status;
}

swm_status swm_sqs_polls_take(struct swm_consumer *consumer, struct swm_error *err)
{
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < consumer->poll_count && status == SWM_OK; i++) {
		struct swm_sqs_poll *poll = &consumer->polls[i];

		if (poll->busy && poll->call.phase == SWM_SQS_ENDED) {
			status = take_poll(consumer, poll, err);
		}
	}
	return status;
}

/* --- Beginning --- */

static uint32_t room_of(const struct swm_consumer *consumer)
{
	uint32_t held =
		consumer->deliveries.out + consumer->deliveries.inbox_count + consumer->asked;

	return held < consumer->prefetch ? consumer->prefetch - held : 0;
}

/* Whether every queue can have a poll that stays. */
static bool take_turns(const struct swm_consumer *consumer)
{
	uint32_t places = room_of(consumer) + consumer->asked;

	return consumer->source_count > consumer->poll_count || consumer->source_count > places;
}

static void write_poll(
	struct swm_consumer *consumer, struct swm_sqs_poll *poll, int64_t wait_ms)
{
	const struct swm_queue *queue = consumer->queue;
	struct swm_sqs_text *request = &poll->call.request;

	swm_sqs_text_say(request, "{");
	swm_sqs_text_member(
		request, "QueueUrl", swm_sqs_str(consumer->sources[poll->source].address->url));
	swm_sqs_text_say(request, ",\"MaxNumberOfMessages\":");
	swm_sqs_text_number(request, poll->asked);
	swm_sqs_text_say(request, ",\"WaitTimeSeconds\":");
	swm_sqs_text_number(request, wait_ms / 1000);
	swm_sqs_text_say(request, ",\"VisibilityTimeout\":");
	swm_sqs_text_number(request, queue->config->visibility_ms / 1000);
	swm_sqs_text_say(request,
		",\"MessageAttributeNames\":[\"All\"],"
		"\"AttributeNames\":[\"ApproximateReceiveCount\",\"MessageGroupId\"]}");
}

static void begin(
	struct swm_consumer *consumer, struct swm_sqs_poll *poll, size_t source, uint32_t asked)
{
	struct swm_sqs_listened *listened = &consumer->sources[source];
	int64_t most_ms = consumer->queue->config->wait_ms;
	int64_t wait_ms;

	listened->wait_ms = listened->wait_ms < most_ms ? listened->wait_ms : most_ms;
	wait_ms = take_turns(consumer) ? SWM_SQS_WAIT_FIRST_MS : listened->wait_ms;
	swm_sqs_call_reset(&poll->call);
	swm_sqs_call_init(&poll->call, &consumer->web, "ReceiveMessage");
	poll->call.patience_ms = wait_ms;
	poll->busy = true;
	poll->source = source;
	poll->asked = asked;
	poll->ends_ms = swm_sqs_until_ms(wait_ms + AWAIT_SLACK_MS);
	consumer->polls_busy++;
	consumer->asked += asked;
	listened->polls++;
	write_poll(consumer, poll, wait_ms);
	swm_sqs_call_start(
		&poll->call, swm_sqs_until_ms(wait_ms + consumer->queue->call_timeout_ms));
}

static struct swm_sqs_poll *find_idle(struct swm_consumer *consumer)
{
	size_t i;

	for (i = 0; i < consumer->poll_count; i++) {
		if (!consumer->polls[i].busy) {
			return &consumer->polls[i];
		}
	}
	return NULL;
}

/* Begins one for the next queue that has fewer than `most`. False: there is none. */
static bool begin_next(struct swm_consumer *consumer, bool wide, int64_t now_ms)
{
	struct swm_sqs_poll *poll = find_idle(consumer);
	uint32_t room = room_of(consumer);
	size_t unasked = 0;
	size_t i;

	if (poll == NULL || room == 0) {
		return false;
	}
	for (i = 0; i < consumer->source_count; i++) {
		unasked += consumer->sources[i].polls == 0 ? 1 : 0;
	}
	/* One queue does not take the places that others could use. */
	if (unasked > 1) {
		room = room / unasked > 1 ? room / (uint32_t)unasked : 1;
	}
	for (i = 0; i < consumer->source_count; i++) {
		size_t at = (consumer->source_next + i) % consumer->source_count;
		struct swm_sqs_listened *source = &consumer->sources[at];

		if (source->polls < (wide ? source->width : 1) && source->next_ms <= now_ms) {
			consumer->source_next = at + 1;
			begin(consumer, poll, at,
				room < SWM_SQS_BATCH_MAX ? room : SWM_SQS_BATCH_MAX);
			return true;
		}
	}
	return false;
}

void swm_sqs_polls_begin(struct swm_consumer *consumer)
{
	int64_t now_ms = swm_sqs_now_ms();

	while (begin_next(consumer, false, now_ms)) {
	}
	while (begin_next(consumer, true, now_ms)) {
	}
}

int64_t swm_sqs_polls_next_ms(const struct swm_consumer *consumer)
{
	int64_t now_ms = swm_sqs_now_ms();
	int64_t next_ms = INT64_MAX;
	size_t i;

	for (i = 0; i < consumer->source_count; i++) {
		const struct swm_sqs_listened *source = &consumer->sources[i];

		/* One whose time has come waits for a place, not for its time. */
		if (source->polls == 0 && source->next_ms > now_ms &&
			source->next_ms < next_ms) {
			next_ms = source->next_ms;
		}
	}
	return next_ms;
}

/* Until when it is worth to wait; 0: not at all. */
static int64_t await_until_ms(const struct swm_consumer *consumer, int64_t most_ms)
{
	int64_t until_ms = 0;
	size_t i;

	for (i = 0; i < consumer->poll_count; i++) {
		const struct swm_sqs_poll *poll = &consumer->polls[i];

		if (poll->busy && poll->call.phase == SWM_SQS_RUNNING &&
			poll->ends_ms <= most_ms && poll->ends_ms > until_ms) {
			until_ms = poll->ends_ms;
		}
	}
	return until_ms;
}

void swm_sqs_polls_await(struct swm_consumer *consumer)
{
	int64_t timeout_ms = consumer->queue->call_timeout_ms / 2;
	int64_t most_ms = swm_sqs_until_ms(timeout_ms < AWAIT_MS ? timeout_ms : AWAIT_MS);
	int64_t until_ms;

	swm_sqs_web_step(&consumer->web, 0);
	while ((until_ms = await_until_ms(consumer, most_ms)) > swm_sqs_now_ms()) {
		swm_sqs_web_step(&consumer->web, until_ms);
	}
}

void swm_sqs_polls_finish(struct swm_consumer *consumer)
{
	size_t i;

	for (i = 0; i < consumer->poll_count; i++) {
		swm_sqs_call_finish(&consumer->polls[i].call);
	}
	free(consumer->polls);
	consumer->polls = NULL;
	consumer->poll_count = 0;
}
