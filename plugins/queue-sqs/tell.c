/* SPDX-License-Identifier: MIT */

/*
 * Telling SQS of many messages: ten in a request, of one queue and one kind, several
 * requests at a time; and once more of those that it did not take for a reason that passes.
 */

#include "consumer.h"
#include "status.h"

#include <stdlib.h>

/* 12 hours (ChangeMessageVisibility). */
#define VISIBILITY_MAX_S 43200

int64_t swm_sqs_seconds(int64_t duration_ms)
{
	int64_t seconds = duration_ms / 1000 + (duration_ms % 1000 != 0 ? 1 : 0);

	return seconds < VISIBILITY_MAX_S ? seconds : VISIBILITY_MAX_S;
}

/* One request. */
struct request {
	struct swm_sqs_call call;
	struct swm_sqs_word *words[SWM_SQS_BATCH_MAX];
	size_t count;
};

struct telling {
	struct swm_consumer *consumer;
	struct request *requests;
	struct swm_sqs_call **calls;
	size_t count;
	struct swm_error why;
	swm_status status;
	bool pause; /* some failed for a reason that passes */
};

static bool is_deletion(const struct swm_sqs_word *word)
{
	return word->seconds < 0;
}

static void write_entry(struct request *request, struct swm_sqs_word *word)
{
	struct swm_sqs_text *text = &request->call.request;
	const char id[2] = {(char)('0' + request->count), '\0'};

	swm_sqs_text_say(text, request->count == 0 ? "{" : ",{");
	swm_sqs_text_member(text, "Id", swm_sqs_str(id));
	swm_sqs_text_member(text, "ReceiptHandle", word->delivery->receipt);
	if (!is_deletion(word)) {
		swm_sqs_text_say(text, ",\"VisibilityTimeout\":");
		swm_sqs_text_number(text, word->seconds);
	}
	swm_sqs_text_say(text, "}");
	request->words[request->count++] = word;
}

static struct request *begin_request(struct telling *telling, const struct swm_sqs_word *word)
{
	struct swm_consumer *consumer = telling->consumer;
	struct request *request = &telling->requests[telling->count++];
	const struct swm_sqs_listened *source = &consumer->sources[word->delivery->source];

	swm_sqs_call_reset(&request->call);
	swm_sqs_call_init(&request->call, &consumer->web,
		is_deletion(word) ? "DeleteMessageBatch" : "ChangeMessageVisibilityBatch");
	request->count = 0;
	swm_sqs_text_say(&request->call.request, "{");
	swm_sqs_text_member(
		&request->call.request, "QueueUrl", swm_sqs_str(source->address->url));
	swm_sqs_text_say(&request->call.request, ",\"Entries\":[");
	return request;
}

/* Puts all that are open of the first one's queue and kind into requests. */
static void gather(struct telling *telling, struct swm_sqs_word *words, size_t count,
	size_t first, bool *gathered)
{
	struct request *request = NULL;
	size_t i;

	for (i = first; i < count; i++) {
		if (gathered[i] || words[i].state != SWM_SQS_WORD_OPEN ||
			words[i].delivery->source != words[first].delivery->source ||
			is_deletion(&words[i]) != is_deletion(&words[first])) {
			continue;
		}
		if (request == NULL || request->count == SWM_SQS_BATCH_MAX) {
			if (request != NULL) {
				swm_sqs_text_say(&request->call.request, "]}");
			}
			request = begin_request(telling, &words[i]);
		}
		write_entry(request, &words[i]);
		gathered[i] = true;
	}
	if (request != NULL) {
		swm_sqs_text_say(&request->call.request, "]}");
	}
}

static void fail(
	struct telling *telling, swm_status status, bool again, const struct swm_error *why)
{
	telling->pause = telling->pause || again;
	if (telling->status == SWM_OK || !again) {
		telling->status = status;
		telling->why = *why;
	}
}

static void judge_entry(
	struct telling *telling, struct swm_sqs_word *word, const struct swm_sqs_result *result)
{
	struct swm_sqs_meaning meaning;
	struct swm_error why = {0};

	if (result->known && result->taken) {
		word->state = SWM_SQS_WORD_TAKEN;
		return;
	}
	if (!result->known) {
		fail(telling,
			swm_fail(&why, SWM_E_UNAVAILABLE, 0,
				"%s: an answer does not speak of every message",
				telling->consumer->queue->endpoint),
			true, &why);
		return;
	}
	meaning = swm_sqs_meaning_of(result->code, swm_sqs_batch_http(result));
	if (meaning.again || meaning.status == SWM_E_DENIED) {
		fail(telling,
			swm_fail(&why,
				meaning.status == SWM_E_INDOUBT ? SWM_E_UNAVAILABLE
								: meaning.status,
				0, "%s: %.*s %.*s", telling->consumer->queue->endpoint,
				(int)result->code.len, result->code.ptr, (int)result->said.len,
				result->said.ptr == NULL ? "" : result->said.ptr),
			meaning.again, &why);
		return;
	}
	/* ReceiptHandleIsInvalid, MessageNotInflight, InvalidParameterValue. */
	word->state = SWM_SQS_WORD_LOST;
}

static void judge_request(struct telling *telling, struct request *request)
{
	struct swm_sqs_result results[SWM_SQS_BATCH_MAX];
	struct swm_sqs_call *call = &request->call;
	size_t i;

	if (call->verdict.status == SWM_OK && !swm_sqs_batch_read(call, results)) {
		swm_sqs_call_garbled(call);
	}
	if (call->verdict.status != SWM_OK) {
		fail(telling, call->verdict.status, call->verdict.again, &call->verdict.why);
		return;
	}
	swm_sqs_polls_heard(telling->consumer);
	for (i = 0; i < request->count; i++) {
		judge_entry(telling, request->words[i], &results[i]);
	}
}

static void tell_once(struct telling *telling, struct swm_sqs_word *words, size_t count,
	int64_t until_ms, bool *gathered)
{
	size_t i;

	telling->count = 0;
	telling->status = SWM_OK;
	telling->pause = false;
	for (i = 0; i < count; i++) {
		gathered[i] = false;
	}
	for (i = 0; i < count; i++) {
		if (!gathered[i] && words[i].state == SWM_SQS_WORD_OPEN) {
			gather(telling, words, count, i, gathered);
		}
	}
	for (i = 0; i < telling->count; i++) {
		telling->calls[i] = &telling->requests[i].call;
	}
	swm_sqs_run(&telling->consumer->web, telling->calls, telling->count, until_ms);
	for (i = 0; i < telling->count; i++) {
		judge_request(telling, &telling->requests[i]);
	}
}

/* A moment before what was not taken is told again; polls go on meanwhile. */
static void pause_between(struct swm_consumer *consumer, uint32_t round, int64_t until_ms)
{
	int64_t pause_ms =
		swm_sqs_until_ms(20 + swm_sqs_web_chance(&consumer->web,
					      UINT32_C(100) << (round < 5 ? round : 5)));

	pause_ms = pause_ms < until_ms ? pause_ms : until_ms;
	while (swm_sqs_now_ms() < pause_ms) {
		swm_sqs_web_step(&consumer->web, pause_ms);
	}
}

swm_status swm_sqs_tell(struct swm_consumer *consumer, struct swm_sqs_word *words, size_t count,
	int64_t until_ms, struct swm_error *err)
{
	/* At worst each stands alone in its request. */
	struct telling telling = {
		.consumer = consumer,
		.requests = calloc(count, sizeof(*telling.requests)),
		.calls = calloc(count, sizeof(struct swm_sqs_call *)),
	};
	bool *gathered = calloc(count, sizeof(*gathered));
	uint32_t round = 0;
	size_t i;

	if (telling.requests == NULL || telling.calls == NULL || gathered == NULL) {
		telling.status = swm_fail(&telling.why, SWM_E_NOMEM, 0, "out of memory");
	} else {
		do {
			if (round > 0) {
				pause_between(consumer, round, until_ms);
			}
			tell_once(&telling, words, count, until_ms, gathered);
			round++;
		} while (telling.pause && swm_sqs_now_ms() < until_ms);
	}
	for (i = 0; telling.requests != NULL && i < count; i++) {
		swm_sqs_call_finish(&telling.requests[i].call);
	}
	free(telling.requests);
	free(telling.calls);
	free(gathered);
	if (telling.status != SWM_OK && err != NULL) {
		*err = telling.why;
	}
	return telling.status;
}
