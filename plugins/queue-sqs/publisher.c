/* SPDX-License-Identifier: MIT */

/*
 * Publishing: the messages of a call go out in batches, one queue each, several at a time;
 * each batch is tried again while time is left, and so is each message that SQS did not take
 * for a reason that passes. Batches of a FIFO queue go one after the other.
 *
 * While a call goes on, results[i] says where message i stands: SWM_E_TIMEOUT is not sent;
 * in the end it is what the last attempt came to, or SWM_E_INDOUBT when any attempt may have
 * been taken. So a message may be there twice after a failure in between; a FIFO queue knows
 * it by its id and keeps one.
 *
 * Concurrency: a publisher has its own connections and belongs to one thread.
 */

#include "batch.h"
#include "message.h"
#include "queue_sqs.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As much of `said` as goes into a message. */
#define SAID_MAX 120

/* One request. */
struct sending {
	struct swm_sqs_call call;
	const struct swm_sqs_address *address;
	size_t bytes;
	size_t count;
	size_t messages[SWM_SQS_BATCH_MAX];
	char md5[SWM_SQS_BATCH_MAX][SWM_SQS_MD5_SIZE];
};

struct swm_publisher {
	struct swm_queue *queue;
	struct swm_sqs_web web;
	struct swm_sqs_book book;
	struct swm_sqs_entry entry;
	struct sending **sendings; /* to be used again */
	struct swm_sqs_call **calls;
	size_t sending_room;
};

/* Where a message stands within a call. */
struct outgoing {
	const struct swm_sqs_address *address;
	bool open;    /* to be sent, or sent again */
	bool doubted; /* an attempt may have been taken */
	bool alone;   /* a batch with it was refused as a whole */
	bool missed;  /* its queue is not there any more */
};

/* One call. */
struct publishing {
	struct swm_publisher *publisher;
	const struct swm_message *messages;
	struct outgoing *outgoing;
	size_t count;
	swm_status *results;
	size_t sending_count; /* of this round */
	int64_t until_ms;
	struct swm_error *whys; /* of each */
};

void swm_sqs_publisher_close(struct swm_publisher *publisher)
{
	size_t i;

	if (publisher == NULL) {
		return;
	}
	for (i = 0; i < publisher->sending_room; i++) {
		swm_sqs_call_finish(&publisher->sendings[i]->call);
		free(publisher->sendings[i]);
	}
	free(publisher->sendings);
	free(publisher->calls);
	swm_sqs_entry_finish(&publisher->entry);
	swm_sqs_book_finish(&publisher->book);
	swm_sqs_web_close(&publisher->web);
	free(publisher);
}

/* It does not connect: there is nothing to say before the first message. */
swm_status swm_sqs_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	struct swm_publisher *publisher = calloc(1, sizeof(*publisher));
	swm_status status;

	if (publisher == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	publisher->queue = queue;
	status = swm_sqs_web_open(&publisher->web, queue, err);
	if (status != SWM_OK) {
		swm_sqs_publisher_close(publisher);
		return status;
	}
	*out = publisher;
	return SWM_OK;
}

static void conclude(struct publishing *publishing, size_t message, swm_status result,
	const struct swm_error *why)
{
	publishing->results[message] = result;
	if (why != NULL) {
		publishing->whys[message] = *why;
		publishing->whys[message].status = result;
	}
	publishing->outgoing[message].open = false;
}

/* --- Before: queues --- */

/* Finds the queues of all that are open; asks for those that are not known, each once. */
static void find_addresses(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		struct outgoing *outgoing = &publishing->outgoing[i];
		struct swm_str name = publishing->messages[i].destination;
		struct swm_error why = {0};
		swm_status status = SWM_OK;
		size_t j;

		if (!outgoing->open) {
			continue;
		}
		outgoing->address = swm_sqs_book_find(&publisher->book, name);
		if (outgoing->address != NULL) {
			continue;
		}
		for (j = 0; j < i; j++) {
			struct swm_str other = publishing->messages[j].destination;

			if (other.len == name.len &&
				memcmp(other.ptr, name.ptr, name.len) == 0) {
				conclude(publishing, i, publishing->results[j],
					&publishing->whys[j]);
				break;
			}
		}
		if (j < i) {
			continue;
		}
		status = swm_sqs_book_look_up(&publisher->book, &publisher->web, &name, 1,
			false, publishing->until_ms, &why);
		if (status != SWM_OK) {
			conclude(publishing, i, status, &why);
		}
		outgoing->address = swm_sqs_book_find(&publisher->book, name);
	}
}

/* --- A round: batches --- */

static bool make_room(struct swm_publisher *publisher)
{
	size_t room = publisher->sending_room + 1;
	struct sending **sendings =
		realloc(publisher->sendings, room * sizeof(struct sending *));
	struct swm_sqs_call **calls;

	if (sendings == NULL) {
		return false;
	}
	publisher->sendings = sendings;
	calls = realloc(publisher->calls, room * sizeof(struct swm_sqs_call *));
	if (calls == NULL) {
		return false;
	}
	publisher->calls = calls;
	sendings[room - 1] = calloc(1, sizeof(struct sending));
	if (sendings[room - 1] == NULL) {
		return false;
	}
	publisher->sending_room = room;
	return true;
}

static struct sending *begin_sending(
	struct publishing *publishing, const struct swm_sqs_address *address)
{
	struct swm_publisher *publisher = publishing->publisher;
	struct sending *sending;

	if (publishing->sending_count == publisher->sending_room && !make_room(publisher)) {
		return NULL;
	}
	sending = publisher->sendings[publishing->sending_count++];
	swm_sqs_call_reset(&sending->call);
	swm_sqs_call_init(&sending->call, &publisher->web, "SendMessageBatch");
	sending->address = address;
	sending->bytes = 0;
	sending->count = 0;
	swm_sqs_text_say(&sending->call.request, "{");
	swm_sqs_text_member(&sending->call.request, "QueueUrl", swm_sqs_str(address->url));
	swm_sqs_text_say(&sending->call.request, ",\"Entries\":[");
	return sending;
}

static bool has_room(
	const struct publishing *publishing, const struct sending *sending, size_t message)
{
	size_t most = (size_t)publishing->publisher->queue->config->message_bytes_max;

	return sending->count < SWM_SQS_BATCH_MAX &&
	       sending->bytes + publishing->publisher->entry.bytes <= most &&
	       !publishing->outgoing[message].alone &&
	       !publishing->outgoing[sending->messages[0]].alone;
}

/* The batch of that queue which is not full; NULL: a new one is needed. *after: the last
 * one of the queue. */
static struct sending *find_sending(
	struct publishing *publishing, size_t message, struct sending **after)
{
	size_t i = publishing->sending_count;

	while (i > 0) {
		struct sending *sending = publishing->publisher->sendings[--i];

		if (sending->address == publishing->outgoing[message].address) {
			*after = sending;
			return has_room(publishing, sending, message) ? sending : NULL;
		}
	}
	*after = NULL;
	return NULL;
}

static void make_chance(struct swm_publisher *publisher, char out[33])
{
	size_t i;

	for (i = 0; i < 32; i += 8) {
		(void)snprintf(
			out + i, 9, "%08x", swm_sqs_web_chance(&publisher->web, UINT32_MAX));
	}
}

static void write_message(
	struct publishing *publishing, struct sending *sending, size_t message)
{
	struct swm_sqs_entry *entry = &publishing->publisher->entry;
	struct swm_sqs_text *request = &sending->call.request;
	const char id[2] = {(char)('0' + sending->count), '\0'};

	swm_sqs_text_say(request, sending->count == 0 ? "{" : ",{");
	swm_sqs_text_member(request, "Id", swm_sqs_str(id));
	swm_sqs_text_add(request, entry->json.ptr, entry->json.len);
	swm_sqs_text_say(request, "}");
	sending->messages[sending->count] = message;
	memcpy(sending->md5[sending->count], entry->md5, SWM_SQS_MD5_SIZE);
	sending->bytes += entry->bytes;
	sending->count++;
}

static void add_message(struct publishing *publishing, size_t at)
{
	struct swm_publisher *publisher = publishing->publisher;
	const struct swm_message *message = &publishing->messages[at];
	const struct swm_sqs_address *address = publishing->outgoing[at].address;
	size_t most = (size_t)publisher->queue->config->message_bytes_max;
	struct sending *sending;
	struct sending *after;
	struct swm_error why = {0};
	char chance[33] = "";
	swm_status status;

	if (address->fifo && message->id.len == 0) {
		make_chance(publisher, chance);
	}
	status = swm_sqs_entry_fill(&publisher->entry, message, address, chance, &why);
	if (status == SWM_OK && publisher->entry.bytes > most) {
		status = swm_fail(&why, SWM_E_TOO_LARGE, 0,
			"a message to \"%.*s\" has %zu bytes with its attributes, more than "
			"the "
			"%zu of max_message",
			(int)message->destination.len, message->destination.ptr,
			publisher->entry.bytes, most);
	}
	if (status != SWM_OK) {
		conclude(publishing, at, status, &why);
		return;
	}
	sending = find_sending(publishing, at, &after);
	if (sending == NULL) {
		sending = begin_sending(publishing, address);
		if (sending == NULL) {
			(void)swm_fail(&why, SWM_E_NOMEM, 0, "out of memory");
			conclude(publishing, at, SWM_E_NOMEM, &why);
			return;
		}
		sending->call.after = address->fifo && after != NULL ? &after->call : NULL;
	}
	write_message(publishing, sending, at);
}

/* --- After: results --- */

/* An attempt that did not get the message there, for now or for good. */
static void note_failure(struct publishing *publishing, size_t message, swm_status status,
	bool again, bool doubt, const struct swm_error *why)
{
	struct outgoing *outgoing = &publishing->outgoing[message];

	outgoing->doubted = outgoing->doubted || doubt;
	conclude(publishing, message, outgoing->doubted ? SWM_E_INDOUBT : status, why);
	outgoing->open = again;
}

static void judge_entry(struct publishing *publishing, const struct sending *sending, size_t at,
	const struct swm_sqs_result *result)
{
	const char *endpoint = publishing->publisher->queue->endpoint;
	size_t message = sending->messages[at];
	struct swm_sqs_meaning meaning;
	struct swm_error why = {0};

	if (!result->known) {
		note_failure(publishing, message, SWM_E_INDOUBT, true, true,
			(swm_fail(&why, SWM_E_INDOUBT, 0,
				 "%s: an answer does not speak of every message", endpoint),
				&why));
		return;
	}
	if (result->taken && swm_sqs_str_is(result->md5, sending->md5[at])) {
		conclude(publishing, message, SWM_OK, NULL);
		return;
	}
	if (result->taken) {
		(void)swm_fail(&why, SWM_E_INDOUBT, 0,
			"%s: message %.*s arrived altered: it has another MD5 there", endpoint,
			(int)publishing->messages[message].id.len,
			publishing->messages[message].id.ptr);
		note_failure(publishing, message, SWM_E_INDOUBT, false, true, &why);
		return;
	}
	meaning = swm_sqs_meaning_of(result->code, swm_sqs_batch_http(result));
	(void)swm_fail(&why, meaning.status, 0, "%s: SQS does not take message %.*s: %.*s %.*s",
		endpoint, (int)publishing->messages[message].id.len,
		publishing->messages[message].id.ptr, (int)result->code.len, result->code.ptr,
		(int)(result->said.len < SAID_MAX ? result->said.len : SAID_MAX),
		result->said.ptr == NULL ? "" : result->said.ptr);
	note_failure(publishing, message, meaning.status, meaning.again,
		meaning.status == SWM_E_INDOUBT, &why);
}

/* A request that was refused or not answered as a whole. */
static void judge_refused(struct publishing *publishing, const struct sending *sending)
{
	const struct swm_sqs_call *call = &sending->call;
	swm_status status = call->verdict.status;
	bool over = status == SWM_E_INVALID || status == SWM_E_TOO_LARGE;
	size_t i;

	for (i = 0; i < sending->count; i++) {
		/* It may be for one of them alone: each then goes by itself. */
		bool split = over && sending->count > 1;

		publishing->outgoing[sending->messages[i]].alone = split;
		publishing->outgoing[sending->messages[i]].missed = status == SWM_E_NOT_FOUND;
		note_failure(publishing, sending->messages[i], status, split, call->doubted,
			&call->verdict.why);
	}
}

static void judge(struct publishing *publishing, struct sending *sending)
{
	struct swm_sqs_result results[SWM_SQS_BATCH_MAX];
	struct swm_sqs_call *call = &sending->call;
	size_t i;

	if (call->verdict.status == SWM_OK && !swm_sqs_batch_read(call, results)) {
		swm_sqs_call_garbled(call);
		for (i = 0; i < sending->count; i++) {
			note_failure(publishing, sending->messages[i], SWM_E_INDOUBT, true,
				true, &call->verdict.why);
		}
		return;
	}
	if (call->verdict.status != SWM_OK) {
		judge_refused(publishing, sending);
		return;
	}
	for (i = 0; i < sending->count; i++) {
		judge_entry(publishing, sending, i, &results[i]);
	}
}

static bool any_open(const struct publishing *publishing)
{
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		if (publishing->outgoing[i].open) {
			return true;
		}
	}
	return false;
}

/* One round: all that are open, in batches. */
static void send_round(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	size_t i;

	publishing->sending_count = 0;
	for (i = 0; i < publishing->count; i++) {
		if (publishing->outgoing[i].open) {
			add_message(publishing, i);
		}
	}
	for (i = 0; i < publishing->sending_count; i++) {
		swm_sqs_text_say(&publisher->sendings[i]->call.request, "]}");
		publisher->calls[i] = &publisher->sendings[i]->call;
	}
	swm_sqs_run(&publisher->web, publisher->calls, publishing->sending_count,
		publishing->until_ms);
	for (i = 0; i < publishing->sending_count; i++) {
		judge(publishing, publisher->sendings[i]);
	}
}

static void pause_between(struct publishing *publishing, uint32_t round)
{
	struct swm_sqs_web *web = &publishing->publisher->web;
	int64_t pause_ms = swm_sqs_until_ms(
		20 + swm_sqs_web_chance(web, UINT32_C(100) << (round < 5 ? round : 5)));

	pause_ms = pause_ms < publishing->until_ms ? pause_ms : publishing->until_ms;
	while (swm_sqs_now_ms() < pause_ms) {
		swm_sqs_web_step(web, pause_ms);
	}
}

static void send_all(struct publishing *publishing)
{
	uint32_t round = 0;

	find_addresses(publishing);
	while (any_open(publishing) && swm_sqs_now_ms() < publishing->until_ms) {
		if (round > 0) {
			pause_between(publishing, round);
		}
		send_round(publishing);
		round++;
	}
}

/* In the end, since until then messages point to the addresses. */
static void forget_missed(struct publishing *publishing)
{
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		if (publishing->outgoing[i].missed) {
			swm_sqs_book_forget(&publishing->publisher->book,
				publishing->messages[i].destination);
		}
	}
}

static swm_status finish(const struct publishing *publishing, struct swm_error *err)
{
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		if (publishing->results[i] != SWM_OK) {
			if (err != NULL) {
				*err = publishing->whys[i];
			}
			return publishing->results[i];
		}
	}
	return SWM_OK;
}

swm_status swm_sqs_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct publishing publishing = {
		.publisher = publisher,
		.messages = messages,
		.outgoing = calloc(count + 1, sizeof(*publishing.outgoing)),
		.whys = calloc(count + 1, sizeof(*publishing.whys)),
		.count = count,
		.results = results,
		.until_ms = swm_sqs_until_ms(timeout_ms),
	};
	struct swm_error late = {0};
	swm_status status;
	size_t i;

	(void)swm_fail(&late, SWM_E_TIMEOUT, 0, "%s: there was no time to send the message",
		publisher->queue->endpoint);
	for (i = 0; i < count; i++) {
		results[i] = SWM_E_TIMEOUT;
	}
	if (publishing.outgoing == NULL || publishing.whys == NULL) {
		status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		for (i = 0; i < count; i++) {
			results[i] = SWM_E_NOMEM;
		}
	} else {
		for (i = 0; i < count; i++) {
			publishing.outgoing[i].open = true;
			publishing.whys[i] = late;
		}
		send_all(&publishing);
		forget_missed(&publishing);
		status = finish(&publishing, err);
	}
	free(publishing.outgoing);
	free(publishing.whys);
	return status;
}
