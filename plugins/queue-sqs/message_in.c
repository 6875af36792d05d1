/* SPDX-License-Identifier: MIT */

/* A message on its way in; see message.h. A stranger's message comes as it is: what it
 * lacks is absent, and what does not look like ours is a header like others. */

#include "message.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

static void add_header(
	struct swm_sqs_received *received, struct swm_str name, struct swm_str value)
{
	size_t i;

	if (received->header_count == SWM_SQS_HEADERS_MAX) {
		return;
	}
	for (i = 0; i < received->header_count; i++) {
		if (received->headers[i].name.len == name.len &&
			memcmp(received->headers[i].name.ptr, name.ptr, name.len) == 0) {
			return;
		}
	}
	received->headers[received->header_count++] = (struct swm_header){name, value};
}

/* --- The rest --- */

static bool read_netstring(struct swm_str *from, struct swm_str *out)
{
	size_t len = 0;
	size_t at = 0;

	while (at < from->len && from->ptr[at] >= '0' && from->ptr[at] <= '9' &&
		len <= from->len) {
		len = len * 10 + (size_t)(from->ptr[at] - '0');
		at++;
	}
	if (at == 0 || at == from->len || from->ptr[at] != ':') {
		return false;
	}
	at++;
	if (len >= from->len - at || from->ptr[at + len] != ',') {
		return false;
	}
	*out = (struct swm_str){from->ptr + at, len};
	from->ptr += at + len + 1;
	from->len -= at + len + 1;
	return true;
}

/* What a body was sent as. */
static void decode_body(struct swm_sqs_received *received, struct swm_str encoding)
{
	union {
		const char *in;
		char *out;
	} ptr = {.in = received->body.ptr};
	size_t len = received->body.len;

	if (swm_sqs_str_is(encoding, ENCODING_EMPTY)) {
		received->body.len = 0;
	} else if (swm_sqs_str_is(encoding, ENCODING_BASE64) && ptr.out != NULL &&
		   swm_sqs_base64_decode(ptr.out, &len)) {
		received->body.len = len;
	}
}

static void read_rest(struct swm_sqs_received *received, struct swm_str rest)
{
	struct swm_str name;
	struct swm_str value;

	while (read_netstring(&rest, &name) && read_netstring(&rest, &value)) {
		if (swm_sqs_str_is(name, KEY_NAME)) {
			received->key = value;
		} else if (swm_sqs_str_is(name, ENCODING_NAME)) {
			decode_body(received, value);
		} else {
			add_header(received, name, value);
		}
	}
}

/* --- Attributes --- */

/* `{"DataType": ..., "StringValue" or "BinaryValue": ...}`; absent: neither. */
static struct swm_str read_value(struct swm_sqs_json *json)
{
	struct swm_str value = {0};
	struct swm_str text;
	struct swm_str member;

	if (!swm_sqs_json_enter(json, '{')) {
		return value;
	}
	while (swm_sqs_json_member(json, &member)) {
		if (swm_sqs_str_is(member, "StringValue")) {
			if (swm_sqs_json_text(json, &text) && text.ptr != NULL) {
				value = text;
			}
		} else if (swm_sqs_str_is(member, "BinaryValue")) {
			union {
				const char *in;
				char *out;
			} ptr;

			if (swm_sqs_json_text(json, &text) && text.ptr != NULL) {
				ptr.in = text.ptr;
				value = swm_sqs_base64_decode(ptr.out, &text.len)
						? text
						: (struct swm_str){0};
			}
		} else {
			(void)swm_sqs_json_skip(json);
		}
	}
	return value;
}

static void read_attributes(
	struct swm_sqs_received *received, struct swm_sqs_json *json, struct swm_str *rest)
{
	struct swm_str name;

	if (!swm_sqs_json_enter(json, '{')) {
		return;
	}
	while (swm_sqs_json_member(json, &name)) {
		struct swm_str value = read_value(json);

		if (swm_sqs_str_is(name, REST_NAME)) {
			*rest = value;
		} else if (value.ptr != NULL) {
			if (swm_sqs_str_is(name, ID_NAME) && value.len != 0) {
				received->id = value;
			}
			add_header(received, name, value);
		}
	}
}

static void read_system(struct swm_sqs_received *received, struct swm_sqs_json *json)
{
	struct swm_str name;
	struct swm_str value;

	if (!swm_sqs_json_enter(json, '{')) {
		return;
	}
	while (swm_sqs_json_member(json, &name) && swm_sqs_json_text(json, &value)) {
		if (swm_sqs_str_is(name, "ApproximateReceiveCount")) {
			/* The quote behind the digits ends them. */
			received->attempt =
				(uint32_t)strtoul(value.ptr == NULL ? "" : value.ptr, NULL, 10);
		} else if (swm_sqs_str_is(name, "MessageGroupId")) {
			received->key = value;
		}
	}
}

static bool is_intact(struct swm_str body, struct swm_str md5)
{
	char expected[SWM_SQS_MD5_SIZE];

	swm_sqs_md5(body, expected);
	return swm_sqs_str_is(md5, expected);
}

bool swm_sqs_received_read(struct swm_sqs_received *received, struct swm_sqs_json *json)
{
	struct swm_str own = {0};
	struct swm_str rest = {0};
	struct swm_str md5 = {0};
	struct swm_str name;

	received->receipt = (struct swm_str){0};
	received->id = (struct swm_str){0};
	received->key = (struct swm_str){0};
	received->body = (struct swm_str){0};
	received->header_count = 0;
	received->attempt = 0;
	if (!swm_sqs_json_enter(json, '{')) {
		return false;
	}
	while (swm_sqs_json_member(json, &name)) {
		if (swm_sqs_str_is(name, "MessageId")) {
			(void)swm_sqs_json_text(json, &own);
		} else if (swm_sqs_str_is(name, "ReceiptHandle")) {
			(void)swm_sqs_json_text(json, &received->receipt);
		} else if (swm_sqs_str_is(name, "MD5OfBody")) {
			(void)swm_sqs_json_text(json, &md5);
		} else if (swm_sqs_str_is(name, "Body")) {
			(void)swm_sqs_json_text(json, &received->body);
		} else if (swm_sqs_str_is(name, "MessageAttributes")) {
			read_attributes(received, json, &rest);
		} else if (swm_sqs_str_is(name, "Attributes")) {
			read_system(received, json);
		} else {
			(void)swm_sqs_json_skip(json);
		}
	}
	if (json->broken || received->receipt.len == 0) {
		return false;
	}
	received->id = received->id.len != 0 ? received->id : own;
	received->intact = is_intact(received->body, md5);
	if (received->intact && rest.ptr != NULL) {
		read_rest(received, rest);
	}
	return true;
}
