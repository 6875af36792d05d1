/* SPDX-License-Identifier: MIT */

/* See batch.h. */

#include "batch.h"

#include "json.h"

static void read_entry(
	struct swm_sqs_json *json, bool taken, struct swm_sqs_result results[SWM_SQS_BATCH_MAX])
{
	struct swm_sqs_result result = {.known = true, .taken = taken};
	struct swm_str id = {0};
	struct swm_str name;
	struct swm_str value;

	if (!swm_sqs_json_enter(json, '{')) {
		return;
	}
	while (swm_sqs_json_member(json, &name)) {
		if (swm_sqs_str_is(name, "SenderFault")) {
			result.servers_fault = swm_sqs_json_is_false(json);
			continue;
		}
		if (!swm_sqs_json_text(json, &value)) {
			break;
		}
		if (swm_sqs_str_is(name, "Id")) {
			id = value;
		} else if (swm_sqs_str_is(name, "MD5OfMessageBody")) {
			result.md5 = value;
		} else if (swm_sqs_str_is(name, "Code")) {
			result.code = value;
		} else if (swm_sqs_str_is(name, "Message")) {
			result.said = value;
		}
	}
	if (id.len == 1 && id.ptr[0] >= '0' && id.ptr[0] <= '9') {
		results[id.ptr[0] - '0'] = result;
	}
}

long swm_sqs_batch_http(const struct swm_sqs_result *result)
{
	return result->servers_fault ? 500 : 400;
}

bool swm_sqs_batch_read(
	struct swm_sqs_call *call, struct swm_sqs_result results[SWM_SQS_BATCH_MAX])
{
	struct swm_sqs_json json;
	struct swm_str name;
	size_t i;

	for (i = 0; i < SWM_SQS_BATCH_MAX; i++) {
		results[i] = (struct swm_sqs_result){0};
	}
	swm_sqs_json_init(&json, call->answer.ptr, call->answer.len);
	if (!swm_sqs_json_enter(&json, '{')) {
		return false;
	}
	while (swm_sqs_json_member(&json, &name)) {
		bool taken = swm_sqs_str_is(name, "Successful");

		if (!taken && !swm_sqs_str_is(name, "Failed")) {
			(void)swm_sqs_json_skip(&json);
			continue;
		}
		if (swm_sqs_json_enter(&json, '[')) {
			while (swm_sqs_json_item(&json)) {
				read_entry(&json, taken, results);
			}
		}
	}
	return !json.broken;
}
