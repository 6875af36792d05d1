/* SPDX-License-Identifier: MIT */

/*
 * See verdict.h. Errors come as JSON from SQS itself, `{"__type": "com.amazonaws.sqs#Name",
 * "message": ...}`, and as XML from what stands before it: `<Code>Name</Code>`.
 *
 * The names are those of "Common Error Types" of the SQS API, of its actions, and of the
 * services that look at signatures for it.
 */

#include "verdict.h"

#include "json.h"
#include "queue_sqs.h"
#include "status.h"

#include <string.h>
#include <time.h>

/* How much of what the server says goes into a message. */
#define SAID_MAX 120

/* A difference of clocks that is worth telling. SQS allows 5 minutes. */
#define SKEW_S 60

static const struct {
	const char *name;
	struct swm_sqs_meaning meaning;
} errors[] = {
	{"QueueDoesNotExist", {.status = SWM_E_NOT_FOUND}},
	{"AWS.SimpleQueueService.NonExistentQueue", {.status = SWM_E_NOT_FOUND}},
	{"QueueDeletedRecently", {.status = SWM_E_UNAVAILABLE}},
	{"AWS.SimpleQueueService.QueueDeletedRecently", {.status = SWM_E_UNAVAILABLE}},
	{"QueueNameExists", {.status = SWM_E_EXISTS}},
	{"QueueAlreadyExists", {.status = SWM_E_EXISTS}},
	{"ThrottlingException", {.status = SWM_E_THROTTLED, .again = true}},
	{"Throttling", {.status = SWM_E_THROTTLED, .again = true}},
	{"ThrottledException", {.status = SWM_E_THROTTLED, .again = true}},
	{"RequestThrottled", {.status = SWM_E_THROTTLED, .again = true}},
	{"RequestThrottledException", {.status = SWM_E_THROTTLED, .again = true}},
	{"RequestLimitExceeded", {.status = SWM_E_THROTTLED, .again = true}},
	{"TooManyRequestsException", {.status = SWM_E_THROTTLED, .again = true}},
	{"SlowDown", {.status = SWM_E_THROTTLED, .again = true}},
	{"BandwidthLimitExceeded", {.status = SWM_E_THROTTLED, .again = true}},
	{"KmsThrottled", {.status = SWM_E_THROTTLED, .again = true}},
	{"OverLimit", {.status = SWM_E_THROTTLED, .again = true}},
	{"ServiceUnavailable", {.status = SWM_E_UNAVAILABLE, .again = true}},
	{"ServiceUnavailableException", {.status = SWM_E_UNAVAILABLE, .again = true}},
	{"ExpiredToken", {.status = SWM_E_DENIED, .keys = true}},
	{"ExpiredTokenException", {.status = SWM_E_DENIED, .keys = true}},
	{"TokenRefreshRequired", {.status = SWM_E_DENIED, .keys = true}},
	{"InvalidClientTokenId", {.status = SWM_E_DENIED, .keys = true}},
	{"InvalidAccessKeyId", {.status = SWM_E_DENIED, .keys = true}},
	{"UnrecognizedClientException", {.status = SWM_E_DENIED, .keys = true}},
	{"InvalidSecurity", {.status = SWM_E_DENIED, .keys = true}},
	{"SignatureDoesNotMatch", {.status = SWM_E_DENIED, .clock = true}},
	{"InvalidSignatureException", {.status = SWM_E_DENIED, .clock = true}},
	{"RequestExpired", {.status = SWM_E_DENIED, .clock = true}},
	{"RequestTimeTooSkewed", {.status = SWM_E_DENIED, .clock = true}},
	{"RequestInTheFuture", {.status = SWM_E_DENIED, .clock = true}},
	{"AccessDenied", {.status = SWM_E_DENIED}},
	{"AccessDeniedException", {.status = SWM_E_DENIED}},
	{"NotAuthorized", {.status = SWM_E_DENIED}},
	{"OptInRequired", {.status = SWM_E_DENIED}},
	{"KmsAccessDenied", {.status = SWM_E_DENIED}},
	{"KmsDisabled", {.status = SWM_E_DENIED}},
	{"KmsInvalidState", {.status = SWM_E_DENIED}},
	{"KmsNotFound", {.status = SWM_E_DENIED}},
	{"KmsOptInRequired", {.status = SWM_E_DENIED}},
	{"IncompleteSignature", {.status = SWM_E_DENIED}},
	{"MissingAuthenticationToken", {.status = SWM_E_DENIED}},
	{"MissingAuthenticationTokenException", {.status = SWM_E_DENIED}},
	{"BatchRequestTooLong", {.status = SWM_E_TOO_LARGE}},
	{"RequestEntityTooLarge", {.status = SWM_E_TOO_LARGE}},
	{"InternalError", {.status = SWM_E_INDOUBT, .again = true}},
	{"InternalFailure", {.status = SWM_E_INDOUBT, .again = true}},
};

struct swm_sqs_meaning swm_sqs_meaning_of(struct swm_str name, long http)
{
	const char *hash = name.len == 0 ? NULL : memchr(name.ptr, '#', name.len);
	size_t i;

	if (hash != NULL) {
		name.len -= (size_t)(hash + 1 - name.ptr);
		name.ptr = hash + 1;
	}
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (swm_sqs_str_is(name, errors[i].name)) {
			return errors[i].meaning;
		}
	}
	if (http == 429) {
		return (struct swm_sqs_meaning){.status = SWM_E_THROTTLED, .again = true};
	}
	if (http == 503) {
		return (struct swm_sqs_meaning){.status = SWM_E_UNAVAILABLE, .again = true};
	}
	if (http >= 500) {
		return (struct swm_sqs_meaning){.status = SWM_E_INDOUBT, .again = true};
	}
	if (http == 401 || http == 403) {
		return (struct swm_sqs_meaning){.status = SWM_E_DENIED};
	}
	if (http == 413) {
		return (struct swm_sqs_meaning){.status = SWM_E_TOO_LARGE};
	}
	if (http >= 400 && name.len != 0) {
		return (struct swm_sqs_meaning){.status = SWM_E_INVALID};
	}
	/* SQS names what it does not like: this is somebody on the way to it. */
	return (struct swm_sqs_meaning){.status = SWM_E_UNAVAILABLE, .again = http >= 400};
}

/* What stands in the first element of that name. */
static struct swm_str find_element(struct swm_str text, const char *open, const char *close)
{
	const char *from = text.len == 0 ? NULL : strstr(text.ptr, open);
	const char *end = from == NULL ? NULL : strstr(from, close);

	if (end == NULL) {
		return (struct swm_str){0};
	}
	from += strlen(open);
	return (struct swm_str){from, (size_t)(end - from)};
}

static void read_json_error(
	struct swm_sqs_call *call, struct swm_str *name, struct swm_str *said)
{
	struct swm_sqs_json json;
	struct swm_str member;

	swm_sqs_json_init(&json, call->answer.ptr, call->answer.len);
	if (!swm_sqs_json_enter(&json, '{')) {
		return;
	}
	while (swm_sqs_json_member(&json, &member)) {
		if (swm_sqs_str_is(member, "__type")) {
			(void)swm_sqs_json_text(&json, name);
		} else if (swm_sqs_str_is(member, "message") ||
			   swm_sqs_str_is(member, "Message")) {
			(void)swm_sqs_json_text(&json, said);
		} else {
			(void)swm_sqs_json_skip(&json);
		}
	}
}

static void read_error(struct swm_sqs_call *call, struct swm_str *name, struct swm_str *said)
{
	struct swm_str text = swm_sqs_text_str(&call->answer);

	if (text.len == 0) {
		return;
	}
	if (text.ptr[0] != '<') {
		read_json_error(call, name, said);
		return;
	}
	*name = find_element(text, "<Code>", "</Code>");
	*said = find_element(text, "<Message>", "</Message>");
}

/* By how many seconds our clock is behind the server's, by its header Date; 0: unknown. */
static int64_t clock_behind_s(const struct swm_sqs_call *call)
{
	struct curl_header *date = NULL;
	const struct swm_host *host = call->web->queue->host;
	time_t server;

	if (curl_easy_header(call->easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK) {
		return 0;
	}
	server = curl_getdate(date->value, NULL);
	return server < 0 ? 0 : (int64_t)server - host->now_ms(host->ctx) / 1000;
}

static void judge_error(struct swm_sqs_call *call, long http)
{
	struct swm_sqs_verdict *verdict = &call->verdict;
	const char *endpoint = call->web->queue->endpoint;
	struct swm_str name = {0};
	struct swm_str said = {0};
	struct swm_sqs_meaning meaning;
	int64_t behind_s;

	read_error(call, &name, &said);
	meaning = swm_sqs_meaning_of(name, http);
	said.len = said.len < SAID_MAX ? said.len : SAID_MAX;
	behind_s = meaning.clock ? clock_behind_s(call) : 0;
	if (behind_s > SKEW_S || behind_s < -SKEW_S) {
		/* Heals when the clock is set: keys and rights are as they should be. */
		*verdict = (struct swm_sqs_verdict){.status = SWM_E_UNAVAILABLE, .again = true};
		(void)swm_fail(&verdict->why, SWM_E_UNAVAILABLE, (int)http,
			"%s: this machine's clock is %lld s %s the server's, which takes no "
			"signature of that time: set it",
			endpoint, (long long)(behind_s < 0 ? -behind_s : behind_s),
			behind_s > 0 ? "behind" : "ahead of");
		return;
	}
	*verdict = (struct swm_sqs_verdict){
		.status = meaning.status,
		.again = meaning.again,
		.doubt = meaning.status == SWM_E_INDOUBT,
	};
	/* Doubt is a publisher's matter; for all others the server is not to be had. */
	verdict->status = verdict->doubt ? SWM_E_UNAVAILABLE : verdict->status;
	if (meaning.keys) {
		swm_sqs_keys_refuse(call->web->queue, call->keys_number);
		verdict->again = call->tries < 2;
	}
	(void)swm_fail(&verdict->why, verdict->status, (int)http,
		"%s: %s is answered %ld %.*s%s%.*s", endpoint, call->action, http,
		(int)name.len, name.len == 0 ? "" : name.ptr, said.len == 0 ? "" : ": ",
		(int)said.len, said.len == 0 ? "" : said.ptr);
}

static bool was_sent(const struct swm_sqs_call *call)
{
	curl_off_t ready_us = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
	return ready_us != 0;
}

static void judge_failure(struct swm_sqs_call *call, CURLcode code)
{
	struct swm_sqs_verdict verdict = {
		.status = SWM_E_UNAVAILABLE, .again = true, .doubt = was_sent(call)};

	if (code == CURLE_OPERATION_TIMEDOUT) {
		verdict.status = SWM_E_TIMEOUT;
	} else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
		verdict = (struct swm_sqs_verdict){.status = SWM_E_DENIED};
	} else if (code == CURLE_OUT_OF_MEMORY) {
		verdict.status = SWM_E_NOMEM;
		verdict.again = false;
	} else if (code == CURLE_WRITE_ERROR) {
		verdict = (struct swm_sqs_verdict){.status = SWM_E_INTERNAL, .doubt = true};
	}
	(void)swm_fail(&verdict.why, verdict.status, (int)code, "%s: %s: %s",
		call->web->queue->endpoint, call->action, curl_easy_strerror(code));
	call->verdict = verdict;
}

void swm_sqs_verdict_of(struct swm_sqs_call *call, CURLcode code)
{
	long http = 0;

	if (code != CURLE_OK) {
		judge_failure(call, code);
		return;
	}
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http);
	if (http >= 200 && http < 300) {
		call->verdict = (struct swm_sqs_verdict){.status = SWM_OK};
	} else {
		judge_error(call, http);
	}
}
