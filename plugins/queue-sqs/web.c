/* SPDX-License-Identifier: MIT */

/*
 * See web.h. Attempts are told apart from calls: an attempt ends when libcurl says so, a
 * call when its verdict says that no other attempt would help.
 *
 * Pauses have full jitter: a random time up to 100 ms, doubled with each attempt, at most
 * 5 s, so that many who were turned away together do not come back together.
 */

#include "web.h"

#include "queue_sqs.h"
#include "status.h"
#include "verdict.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000

/* Connecting, and an answer that does not wait for anything. */
#define CONNECT_MAX_MS 3000L
#define ANSWER_MAX_MS 10000

/* Idle connections are not used again after this: those between may have dropped them. */
#define IDLE_MAX_S 55L

/* So that it is known to a second when an answer came. */
#define WAIT_MAX_MS 1000

/* Ten of the largest messages, each byte of which was escaped. */
#define ANSWER_BYTES_MAX ((size_t)80 * 1024 * 1024)

#define TARGET "X-Amz-Target: AmazonSQS."
#define TOKEN "X-Amz-Security-Token: "

int64_t swm_sqs_now_ms(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t swm_sqs_until_ms(int64_t timeout_ms)
{
	int64_t now_ms = swm_sqs_now_ms();

	return timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
}

swm_status swm_sqs_web_open(
	struct swm_sqs_web *web, struct swm_queue *queue, struct swm_error *err)
{
	*web = (struct swm_sqs_web){.queue = queue, .multi = curl_multi_init()};
	if (web->multi == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)curl_multi_setopt(web->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	(void)curl_multi_setopt(
		web->multi, CURLMOPT_MAXCONNECTS, (long)queue->config->connections + 2);
	if (getrandom(&web->chance, sizeof(web->chance), GRND_NONBLOCK) !=
		(ssize_t)sizeof(web->chance)) {
		web->chance = (uint64_t)swm_sqs_now_ms() * UINT64_C(0x9e3779b97f4a7c15);
	}
	web->chance |= 1;
	return SWM_OK;
}

void swm_sqs_web_close(struct swm_sqs_web *web)
{
	if (web->multi != NULL) {
		(void)curl_multi_cleanup(web->multi);
	}
	*web = (struct swm_sqs_web){0};
}

void swm_sqs_web_wake(struct swm_sqs_web *web)
{
	(void)curl_multi_wakeup(web->multi);
}

uint32_t swm_sqs_web_chance(struct swm_sqs_web *web, uint32_t bound)
{
	/* xorshift64*: pauses need no more. */
	web->chance ^= web->chance >> 12;
	web->chance ^= web->chance << 25;
	web->chance ^= web->chance >> 27;
	return (uint32_t)((web->chance * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % bound;
}

void swm_sqs_call_init(struct swm_sqs_call *call, struct swm_sqs_web *web, const char *action)
{
	call->web = web;
	call->action = action;
}

static void detach(struct swm_sqs_call *call)
{
	if (call->phase == SWM_SQS_RUNNING) {
		(void)curl_multi_remove_handle(call->web->multi, call->easy);
		call->phase = SWM_SQS_ENDED;
	}
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

void swm_sqs_call_reset(struct swm_sqs_call *call)
{
	detach(call);
	swm_sqs_text_reset(&call->request);
	swm_sqs_text_reset(&call->answer);
	call->phase = SWM_SQS_IDLE;
	call->after = NULL;
	call->finished = false;
	call->doubted = false;
	call->patience_ms = 0;
	call->next_ms = 0;
	call->tries = 0;
	call->verdict = (struct swm_sqs_verdict){0};
}

void swm_sqs_call_finish(struct swm_sqs_call *call)
{
	detach(call);
	if (call->easy != NULL) {
		curl_easy_cleanup(call->easy);
	}
	swm_sqs_text_finish(&call->request);
	swm_sqs_text_finish(&call->answer);
	*call = (struct swm_sqs_call){0};
}

/* What comes has been said since it was looked the last time; the rest of a long answer
 * takes longer. */
static void note_since(struct swm_sqs_call *call)
{
	int64_t looked_ms = call->web->looked_ms;

	call->since_ms = looked_ms > call->since_ms ? looked_ms : call->since_ms;
}

static size_t write_answer(char *bytes, size_t one, size_t count, void *ctx)
{
	struct swm_sqs_call *call = ctx;

	(void)one; /* always 1 */
	if (call->answer.len == 0) {
		note_since(call);
	}
	if (count > ANSWER_BYTES_MAX - call->answer.len) {
		return 0;
	}
	swm_sqs_text_add(&call->answer, bytes, count);
	return call->answer.failed ? 0 : count;
}

static bool add_header(struct swm_sqs_call *call, const char *name, const char *value)
{
	struct swm_sqs_text header = {0};
	struct curl_slist *longer = NULL;

	swm_sqs_text_say(&header, name);
	swm_sqs_text_say(&header, value);
	if (!header.failed) {
		longer = curl_slist_append(call->headers, header.ptr);
	}
	if (header.ptr != NULL) {
		memset(header.ptr, ' ', header.len);
	}
	swm_sqs_text_finish(&header);
	call->headers = longer != NULL ? longer : call->headers;
	return longer != NULL;
}

static bool add_headers(struct swm_sqs_call *call, const struct swm_sqs_keys *keys)
{
	curl_slist_free_all(call->headers);
	call->headers = NULL;
	return add_header(call, "Content-Type: ", "application/x-amz-json-1.0") &&
	       add_header(call, TARGET, call->action) &&
	       (keys->token == NULL || add_header(call, TOKEN, keys->token));
}

static void set_up(struct swm_sqs_call *call, const struct swm_sqs_keys *keys, long timeout_ms)
{
	const struct swm_queue *queue = call->web->queue;
	CURL *easy = call->easy;

	curl_easy_reset(easy);
	(void)curl_easy_setopt(easy, CURLOPT_URL, queue->endpoint);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
		timeout_ms < CONNECT_MAX_MS ? timeout_ms : CONNECT_MAX_MS);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
	(void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, call->renew ? 1L : 0L);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "swm");
	if (queue->config->tls_ca != NULL) {
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, queue->config->tls_ca);
	}
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	(void)curl_easy_setopt(
		easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request.len);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->request.ptr);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_answer);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, queue->signer);
	(void)curl_easy_setopt(easy, CURLOPT_USERNAME, keys->id);
	(void)curl_easy_setopt(easy, CURLOPT_PASSWORD, keys->secret);
}

static void end_early(struct swm_sqs_call *call, swm_status status, const struct swm_error *why)
{
	call->phase = SWM_SQS_ENDED;
	call->verdict = (struct swm_sqs_verdict){
		.status = status,
		.again = status == SWM_E_UNAVAILABLE || status == SWM_E_TIMEOUT,
	};
	if (why != NULL) {
		call->verdict.why = *why;
	} else {
		(void)swm_fail(&call->verdict.why, status, 0, "out of memory");
	}
}

static long timeout_of(const struct swm_sqs_call *call, int64_t until_ms)
{
	int64_t left_ms = until_ms - swm_sqs_now_ms();
	int64_t most_ms = call->patience_ms + ANSWER_MAX_MS;

	left_ms = left_ms < most_ms ? left_ms : most_ms;
	return left_ms < 1 ? 1L : (long)left_ms;
}

void swm_sqs_call_start(struct swm_sqs_call *call, int64_t until_ms)
{
	struct swm_sqs_keys *keys = NULL;
	struct swm_error why = {0};
	int64_t keys_ms = swm_sqs_until_ms(call->web->queue->call_timeout_ms / 2);
	swm_status status = swm_sqs_keys_get(
		call->web->queue, keys_ms < until_ms ? keys_ms : until_ms, &keys, &why);
	bool ready;

	call->tries++;
	swm_sqs_text_reset(&call->answer);
	if (status != SWM_OK) {
		end_early(call, status, &why);
		return;
	}
	call->keys_number = keys->number;
	if (call->easy == NULL) {
		call->easy = curl_easy_init();
	}
	ready = call->easy != NULL && !call->request.failed && add_headers(call, keys);
	if (ready) {
		set_up(call, keys, timeout_of(call, until_ms));
		ready = curl_multi_add_handle(call->web->multi, call->easy) == CURLM_OK;
	}
	swm_sqs_keys_put(call->web->queue, keys);
	if (!ready) {
		end_early(call, SWM_E_NOMEM, NULL);
		return;
	}
	call->phase = SWM_SQS_RUNNING;
	call->since_ms = swm_sqs_now_ms();
}

void swm_sqs_call_abandon(struct swm_sqs_call *call)
{
	if (call->phase == SWM_SQS_RUNNING) {
		swm_sqs_verdict_of(call, CURLE_OPERATION_TIMEDOUT);
		detach(call);
		call->doubted = call->doubted || call->verdict.doubt;
	}
}

void swm_sqs_call_pause(struct swm_sqs_call *call)
{
	uint32_t doublings = call->tries < 8 ? call->tries : 8;
	uint32_t most_ms = (uint32_t)PAUSE_FIRST_MS << doublings;

	most_ms = most_ms < PAUSE_MAX_MS ? most_ms : PAUSE_MAX_MS;
	call->phase = SWM_SQS_IDLE;
	call->next_ms = swm_sqs_now_ms() + 1 + swm_sqs_web_chance(call->web, most_ms);
}

static void harvest(struct swm_sqs_web *web)
{
	CURLMsg *message;
	int left = 0;

	while ((message = curl_multi_info_read(web->multi, &left)) != NULL) {
		struct swm_sqs_call *call = NULL;
		CURLcode code = message->data.result;

		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		swm_sqs_verdict_of(call, code);
		detach(call);
		call->renew = code == CURLE_OPERATION_TIMEDOUT;
		call->doubted = call->doubted || call->verdict.doubt;
	}
}

/* What is there now. An answer that is found has come since it was looked the last time. */
static void look(struct swm_sqs_web *web)
{
	int64_t now_ms = swm_sqs_now_ms();
	int running = 0;

	(void)curl_multi_perform(web->multi, &running);
	harvest(web);
	web->looked_ms = now_ms;
}

void swm_sqs_web_step(struct swm_sqs_web *web, int64_t until_ms)
{
	int64_t left_ms;

	look(web);
	left_ms = until_ms - swm_sqs_now_ms();
	if (until_ms != 0 && left_ms > 0) {
		(void)curl_multi_poll(web->multi, NULL, 0,
			left_ms < WAIT_MAX_MS ? (int)left_ms : WAIT_MAX_MS, NULL);
		look(web);
	}
}

void swm_sqs_call_garbled(struct swm_sqs_call *call)
{
	call->doubted = true;
	call->verdict = (struct swm_sqs_verdict){
		.status = SWM_E_UNAVAILABLE, .again = true, .doubt = true};
	(void)swm_fail(&call->verdict.why, SWM_E_UNAVAILABLE, 0,
		"%s: %s got an answer that cannot be read", call->web->queue->endpoint,
		call->action);
}

/* Begins what may begin. Returns when the next one may; INT64_MAX: none waits. */
static int64_t start_some(struct swm_sqs_web *web, struct swm_sqs_call *const *calls,
	size_t count, int64_t until_ms)
{
	size_t room = (size_t)web->queue->config->connections;
	int64_t now_ms = swm_sqs_now_ms();
	int64_t soonest_ms = INT64_MAX;
	size_t i;

	for (i = 0; i < count; i++) {
		room -= calls[i]->phase == SWM_SQS_RUNNING ? 1 : 0;
	}
	for (i = 0; i < count; i++) {
		struct swm_sqs_call *call = calls[i];

		if (call->finished || call->phase != SWM_SQS_IDLE ||
			(call->after != NULL && !call->after->finished)) {
			continue;
		}
		if (call->next_ms > now_ms) {
			soonest_ms = call->next_ms < soonest_ms ? call->next_ms : soonest_ms;
		} else if (room > 0) {
			swm_sqs_call_start(call, until_ms);
			room--;
			soonest_ms = call->phase == SWM_SQS_ENDED ? now_ms : soonest_ms;
		}
	}
	return soonest_ms;
}

/* Those whose attempt has ended are finished or pause. How many are not finished. */
static size_t judge(struct swm_sqs_call *const *calls, size_t count)
{
	size_t open = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		struct swm_sqs_call *call = calls[i];

		if (!call->finished && call->phase == SWM_SQS_ENDED) {
			call->finished = !call->verdict.again;
			if (call->verdict.again) {
				swm_sqs_call_pause(call);
			}
		}
		open += call->finished ? 0 : 1;
	}
	return open;
}

void swm_sqs_run(struct swm_sqs_web *web, struct swm_sqs_call *const *calls, size_t count,
	int64_t until_ms)
{
	size_t i;

	while (judge(calls, count) != 0 && swm_sqs_now_ms() < until_ms) {
		int64_t soonest_ms = start_some(web, calls, count, until_ms);

		swm_sqs_web_step(web, soonest_ms < until_ms ? soonest_ms : until_ms);
	}
	for (i = 0; i < count; i++) {
		struct swm_sqs_call *call = calls[i];

		if (call->finished) {
			continue;
		}
		swm_sqs_call_abandon(call);
		if (call->tries == 0) {
			call->verdict.status = swm_fail(&call->verdict.why, SWM_E_TIMEOUT, 0,
				"%s: %s was not sent in time", web->queue->endpoint,
				call->action);
		}
		call->finished = true;
	}
}
