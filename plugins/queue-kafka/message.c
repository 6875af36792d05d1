/* SPDX-License-Identifier: MIT */

/*
 * See message.h. A stranger's message may have no key, no value, no headers, headers
 * without a value, and the same header twice: the first one counts then, as names are
 * unique on this side of the port.
 */

#include "message.h"

#include "status.h"

#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_HEADER "swm-message-id"
#define TYPE_HEADER "content-type"

/* Of CloudEvents: here, and on Kafka. They differ in the last byte only. */
#define OURS "ce-"
#define THEIRS "ce_"
#define PREFIX_LEN (sizeof(OURS) - 1)

/* More than any message of ours has; a stranger's beyond are left out. */
#define HEADERS_MAX 256

/* "/PARTITION/OFFSET/TIMESTAMP" */
#define PLACE_TEXT_MAX 64

static bool is_named(struct swm_str name, const char *text)
{
	return name.len == strlen(text) && memcmp(name.ptr, text, name.len) == 0;
}

static bool begins(struct swm_str name, const char *prefix)
{
	return name.len > PREFIX_LEN && memcmp(name.ptr, prefix, PREFIX_LEN) == 0;
}

/* Out. */

static rd_kafka_resp_err_t add_header(
	rd_kafka_headers_t *headers, struct swm_str name, struct swm_str value)
{
	/* No value is another thing to Kafka than an empty one. */
	return rd_kafka_header_add(headers, name.ptr, (ssize_t)name.len,
		value.len != 0 ? value.ptr : "", (ssize_t)value.len);
}

static swm_status add_own(
	rd_kafka_headers_t *headers, const struct swm_header *header, struct swm_error *err)
{
	char name[128];
	struct swm_str renamed = header->name;

	if (header->name.len == 0 || memchr(header->name.ptr, '\0', header->name.len) != NULL) {
		return swm_fail(
			err, SWM_E_INVALID, 0, "a header's name is empty or has a zero byte");
	}
	if (begins(header->name, OURS) && header->name.len < sizeof(name)) {
		memcpy(name, header->name.ptr, header->name.len);
		memcpy(name, THEIRS, PREFIX_LEN);
		renamed.ptr = name;
	}
	return add_header(headers, renamed, header->value) == RD_KAFKA_RESP_ERR_NO_ERROR
		       ? SWM_OK
		       : swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
}

static swm_status fill_headers(rd_kafka_headers_t *headers, const struct swm_message *message,
	const char *content_type, struct swm_error *err)
{
	static const struct swm_str id_name = {ID_HEADER, sizeof(ID_HEADER) - 1};
	static const struct swm_str type_name = {TYPE_HEADER, sizeof(TYPE_HEADER) - 1};
	bool typed = content_type == NULL;
	swm_status status = SWM_OK;
	size_t i;

	if (message->id.len != 0 &&
		add_header(headers, id_name, message->id) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (i = 0; i < message->header_count && status == SWM_OK; i++) {
		if (is_named(message->headers[i].name, ID_HEADER)) {
			continue;
		}
		typed = typed || is_named(message->headers[i].name, TYPE_HEADER);
		status = add_own(headers, &message->headers[i], err);
	}
	if (status == SWM_OK && !typed &&
		add_header(headers, type_name,
			(struct swm_str){content_type, strlen(content_type)}) !=
			RD_KAFKA_RESP_ERR_NO_ERROR) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	return status;
}

swm_status swm_kafka_headers_make(const struct swm_message *message, const char *content_type,
	rd_kafka_headers_t **out, struct swm_error *err)
{
	rd_kafka_headers_t *headers;
	swm_status status;

	if (message->header_count > HEADERS_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"message %.*s has %zu headers, at most %d", (int)message->id.len,
			message->id.ptr, message->header_count, HEADERS_MAX);
	}
	headers = rd_kafka_headers_new(message->header_count + 2);
	if (headers == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = fill_headers(headers, message, content_type, err);
	if (status != SWM_OK) {
		rd_kafka_headers_destroy(headers);
		return status;
	}
	*out = headers;
	return SWM_OK;
}

/* In. */

struct inbound {
	struct swm_header headers[HEADERS_MAX];
	size_t count;
	size_t bytes;
	struct swm_str id;
};

/* The same name on this side of the port. */
static bool is_same(struct swm_str a, struct swm_str b)
{
	if (a.len != b.len) {
		return false;
	}
	if ((begins(a, OURS) || begins(a, THEIRS)) && (begins(b, OURS) || begins(b, THEIRS))) {
		return memcmp(a.ptr + PREFIX_LEN, b.ptr + PREFIX_LEN, a.len - PREFIX_LEN) == 0;
	}
	return memcmp(a.ptr, b.ptr, a.len) == 0;
}

static void take_header(struct inbound *in, struct swm_str name, struct swm_str value)
{
	size_t i;

	if (is_named(name, ID_HEADER)) {
		in->id = in->id.len == 0 ? value : in->id;
		return;
	}
	for (i = 0; i < in->count; i++) {
		if (is_same(in->headers[i].name, name)) {
			return;
		}
	}
	in->headers[in->count++] = (struct swm_header){name, value};
	in->bytes += name.len + value.len;
}

static void read_headers(const rd_kafka_message_t *message, struct inbound *in)
{
	rd_kafka_headers_t *headers = NULL;
	const char *name = NULL;
	const void *value = NULL;
	size_t size = 0;
	size_t i;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		return;
	}
	for (i = 0;
		in->count < HEADERS_MAX && rd_kafka_header_get_all(headers, i, &name, &value,
						   &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
		i++) {
		take_header(in, (struct swm_str){name, strlen(name)},
			(struct swm_str){value, value == NULL ? 0 : size});
	}
}

static struct swm_str copy(char **at, struct swm_str text)
{
	struct swm_str copied = {*at, text.len};

	if (text.len != 0) {
		memcpy(*at, text.ptr, text.len);
	}
	*at += text.len;
	return copied;
}

static void copy_headers(const struct inbound *in, struct swm_header *headers, char **at)
{
	size_t i;

	for (i = 0; i < in->count; i++) {
		char *name = *at;

		headers[i].name = copy(at, in->headers[i].name);
		if (begins(headers[i].name, THEIRS)) {
			memcpy(name, OURS, PREFIX_LEN);
		}
		headers[i].value = copy(at, in->headers[i].value);
	}
}

static size_t write_place(const rd_kafka_message_t *message, char text[PLACE_TEXT_MAX])
{
	rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
	int64_t stamp = rd_kafka_message_timestamp(message, &type);
	int len = snprintf(text, PLACE_TEXT_MAX, "/%" PRId32 "/%" PRId64 "/%" PRId64,
		message->partition, message->offset, stamp);

	return (size_t)len;
}

static void fill_view(struct swm_delivery *view, const struct inbound *in,
	const rd_kafka_message_t *message, struct swm_str source, char *content)
{
	char place[PLACE_TEXT_MAX];
	struct swm_header *headers = (struct swm_header *)(void *)content;
	char *at = (char *)(headers + in->count);

	view->source = source;
	view->headers = headers;
	view->header_count = in->count;
	copy_headers(in, headers, &at);
	if (in->id.len != 0) {
		view->id = copy(&at, in->id);
	} else {
		view->id = copy(&at, source);
		view->id.len +=
			copy(&at, (struct swm_str){place, write_place(message, place)}).len;
	}
	if (message->key_len != 0) {
		view->key = copy(&at, (struct swm_str){message->key, message->key_len});
	}
	view->body = copy(&at, (struct swm_str){message->payload, message->len});
}

struct swm_kafka_delivery *swm_kafka_delivery_create(
	const rd_kafka_message_t *message, struct swm_str source)
{
	struct swm_kafka_delivery *delivery = calloc(1, sizeof(*delivery));
	struct inbound in;
	size_t bytes;

	if (delivery == NULL) {
		return NULL;
	}
	in.count = 0;
	in.bytes = 0;
	in.id = (struct swm_str){0};
	read_headers(message, &in);
	bytes = in.count * sizeof(in.headers[0]) + in.bytes + in.id.len + source.len +
		PLACE_TEXT_MAX + message->key_len + message->len;
	delivery->content = malloc(bytes);
	if (delivery->content == NULL) {
		free(delivery);
		return NULL;
	}
	delivery->offset = message->offset;
	fill_view(&delivery->view, &in, message, source, delivery->content);
	return delivery;
}
