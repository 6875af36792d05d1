/* SPDX-License-Identifier: MIT */

/* See properties.h. A stranger's headers may have any of AMQP's types: numbers and
 * truth values become text, what has a structure is left out. */

#include "properties.h"

#include "status.h"

#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_HEADER "swm-key"

/* How often a quorum queue has delivered the message before: the broker's, not ours to
 * pass on. */
#define COUNT_HEADER "x-delivery-count"

#define SHORT_STRING_MAX 255
#define DELIVERY_PERSISTENT 2

/* Fixed fields, flags and lengths of a content header; more than they take. */
#define PROPERTIES_BYTES 64

/* The longest number as text. */
#define NUMBER_TEXT_MAX 32

amqp_bytes_t swm_rmq_bytes(struct swm_str text)
{
	union {
		const char *in;
		void *out;
	} ptr = {.in = text.ptr};

	return (amqp_bytes_t){text.len, ptr.out};
}

struct swm_str swm_rmq_str(amqp_bytes_t bytes)
{
	return (struct swm_str){bytes.bytes, bytes.len};
}

static bool is_named(amqp_bytes_t name, const char *text)
{
	return name.len == strlen(text) && memcmp(name.bytes, text, name.len) == 0;
}

/* Out. */

static void add_entry(struct swm_rmq_outbound *out, struct swm_str name, struct swm_str value)
{
	amqp_table_t *table = &out->properties.headers;

	table->entries[table->num_entries] = (amqp_table_entry_t){
		.key = swm_rmq_bytes(name),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = swm_rmq_bytes(value)},
	};
	table->num_entries++;
	/* Lengths and type. */
	out->bytes += name.len + value.len + 6;
}

static swm_status add_headers(
	struct swm_rmq_outbound *out, const struct swm_message *message, struct swm_error *err)
{
	size_t i;

	if (message->header_count > SWM_RMQ_HEADERS_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"message %.*s has %zu headers, at most %d", (int)message->id.len,
			message->id.ptr, message->header_count, SWM_RMQ_HEADERS_MAX);
	}
	for (i = 0; i < message->header_count; i++) {
		const struct swm_header *header = &message->headers[i];

		if (header->name.len > SHORT_STRING_MAX) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"a header of message %.*s has a name of %zu bytes, at most %d",
				(int)message->id.len, message->id.ptr, header->name.len,
				SHORT_STRING_MAX);
		}
		if (!is_named(swm_rmq_bytes(header->name), KEY_HEADER)) {
			add_entry(out, header->name, header->value);
		}
	}
	if (message->key.len != 0) {
		add_entry(out, (struct swm_str){KEY_HEADER, sizeof(KEY_HEADER) - 1},
			message->key);
	}
	return SWM_OK;
}

swm_status swm_rmq_outbound_fill(struct swm_rmq_outbound *out,
	const struct swm_message *message, const char *content_type, struct swm_error *err)
{
	amqp_basic_properties_t *properties = &out->properties;
	swm_status status;

	*properties = (amqp_basic_properties_t){
		._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
		.delivery_mode = DELIVERY_PERSISTENT,
		.headers = {0, out->entries},
	};
	out->bytes = PROPERTIES_BYTES + message->id.len;
	if (message->id.len > SHORT_STRING_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a message's id has %zu bytes, at most %d", message->id.len,
			SHORT_STRING_MAX);
	}
	status = add_headers(out, message, err);
	if (status != SWM_OK) {
		return status;
	}
	if (properties->headers.num_entries != 0) {
		properties->_flags |= AMQP_BASIC_HEADERS_FLAG;
	}
	if (message->id.len != 0) {
		properties->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
		properties->message_id = swm_rmq_bytes(message->id);
	}
	if (content_type != NULL) {
		properties->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
		properties->content_type = amqp_cstring_bytes(content_type);
		out->bytes += properties->content_type.len;
	}
	return SWM_OK;
}

/* In. */

/* A number of any of AMQP's types. False: it is none. */
static bool read_number(const amqp_field_value_t *value, int64_t *out)
{
	switch (value->kind) {
	case AMQP_FIELD_KIND_I8:
		*out = (int)value->value.i8;
		return true;
	case AMQP_FIELD_KIND_U8:
		*out = value->value.u8;
		return true;
	case AMQP_FIELD_KIND_I16:
		*out = value->value.i16;
		return true;
	case AMQP_FIELD_KIND_U16:
		*out = value->value.u16;
		return true;
	case AMQP_FIELD_KIND_I32:
		*out = value->value.i32;
		return true;
	case AMQP_FIELD_KIND_U32:
		*out = value->value.u32;
		return true;
	case AMQP_FIELD_KIND_I64:
		*out = value->value.i64;
		return true;
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		*out = (int64_t)value->value.u64;
		return value->value.u64 <= INT64_MAX;
	default:
		return false;
	}
}

/* The value as text: the message's own bytes, or `number` filled in. False: it has none. */
static bool read_text(
	const amqp_field_value_t *value, char number[NUMBER_TEXT_MAX], struct swm_str *out)
{
	int64_t integer = 0;

	if (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES) {
		*out = swm_rmq_str(value->value.bytes);
		return true;
	}
	if (value->kind == AMQP_FIELD_KIND_BOOLEAN) {
		(void)snprintf(number, NUMBER_TEXT_MAX, "%s",
			value->value.boolean != 0 ? "true" : "false");
	} else if (value->kind == AMQP_FIELD_KIND_F64 || value->kind == AMQP_FIELD_KIND_F32) {
		(void)snprintf(number, NUMBER_TEXT_MAX, "%.17g",
			value->kind == AMQP_FIELD_KIND_F64 ? value->value.f64
							   : (double)value->value.f32);
	} else if (read_number(value, &integer)) {
		(void)snprintf(number, NUMBER_TEXT_MAX, "%" PRId64, integer);
	} else {
		return false;
	}
	*out = (struct swm_str){number, strlen(number)};
	return true;
}

/* What goes on as a header: has text, is not one of the two special ones, and has not
 * been there before. */
static bool is_header(const amqp_table_t *table, int at)
{
	const amqp_table_entry_t *entry = &table->entries[at];
	char number[NUMBER_TEXT_MAX];
	struct swm_str text;
	int i;

	if (at >= SWM_RMQ_HEADERS_MAX || is_named(entry->key, KEY_HEADER) ||
		is_named(entry->key, COUNT_HEADER) ||
		!read_text(&entry->value, number, &text)) {
		return false;
	}
	for (i = 0; i < at; i++) {
		if (table->entries[i].key.len == entry->key.len &&
			memcmp(table->entries[i].key.bytes, entry->key.bytes, entry->key.len) ==
				0) {
			return false;
		}
	}
	return true;
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

static struct swm_str find_key(const amqp_table_t *table)
{
	int i;

	for (i = 0; i < table->num_entries; i++) {
		if (is_named(table->entries[i].key, KEY_HEADER) &&
			table->entries[i].value.kind == AMQP_FIELD_KIND_UTF8) {
			return swm_rmq_str(table->entries[i].value.value.bytes);
		}
	}
	return (struct swm_str){0};
}

/* From 1; what a quorum queue says, or that it is the first; else nobody knows. */
static uint32_t find_attempt(const amqp_table_t *table, bool redelivered)
{
	int64_t count = 0;
	int i;

	for (i = 0; i < table->num_entries; i++) {
		if (is_named(table->entries[i].key, COUNT_HEADER) &&
			read_number(&table->entries[i].value, &count) && count >= 0 &&
			count < UINT32_MAX) {
			return (uint32_t)count + 1;
		}
	}
	return redelivered ? 0 : 1;
}

/* How many headers go on, and how many bytes they have. */
static size_t measure_headers(const amqp_table_t *table, size_t *bytes)
{
	char number[NUMBER_TEXT_MAX];
	struct swm_str text = {0};
	size_t count = 0;
	int i;

	for (i = 0; i < table->num_entries; i++) {
		if (is_header(table, i) && read_text(&table->entries[i].value, number, &text)) {
			*bytes += table->entries[i].key.len + text.len;
			count++;
		}
	}
	return count;
}

static void copy_headers(const amqp_table_t *table, struct swm_header *headers, char **at)
{
	char number[NUMBER_TEXT_MAX];
	struct swm_str text = {0};
	int i;

	for (i = 0; i < table->num_entries; i++) {
		if (is_header(table, i) && read_text(&table->entries[i].value, number, &text)) {
			headers->name = copy(at, swm_rmq_str(table->entries[i].key));
			headers->value = copy(at, text);
			headers++;
		}
	}
}

struct swm_rmq_delivery *swm_rmq_delivery_create(const amqp_basic_properties_t *properties,
	uint64_t body_bytes, size_t body_bytes_max, bool redelivered)
{
	static const amqp_table_t none;
	const amqp_table_t *table = (properties->_flags & AMQP_BASIC_HEADERS_FLAG) != 0
					    ? &properties->headers
					    : &none;
	struct swm_str id = {0};
	struct swm_str key = find_key(table);
	size_t room = body_bytes < body_bytes_max ? (size_t)body_bytes : body_bytes_max;
	struct swm_rmq_delivery *delivery;
	struct swm_header *headers;
	size_t bytes = 0;
	size_t count = measure_headers(table, &bytes);
	char *at;

	if ((properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0) {
		id = swm_rmq_str(properties->message_id);
	}
	bytes += sizeof(*delivery) + count * sizeof(*headers) + id.len + key.len;
	if (room > SIZE_MAX - bytes) {
		return NULL;
	}
	delivery = malloc(bytes + room);
	if (delivery == NULL) {
		return NULL;
	}
	_Static_assert(
		alignof(struct swm_header) <= alignof(struct swm_rmq_delivery), "packed");
	headers = (struct swm_header *)(delivery + 1);
	at = (char *)(headers + count);
	*delivery = (struct swm_rmq_delivery){
		.view = {.headers = headers,
			.header_count = count,
			.attempt = find_attempt(table, redelivered),
			.redelivered = redelivered ? 1 : 0},
		.body_room = room,
		.body_left = body_bytes,
	};
	copy_headers(table, headers, &at);
	if (id.len != 0) {
		delivery->view.id = copy(&at, id);
	}
	if (key.len != 0) {
		delivery->view.key = copy(&at, key);
	}
	delivery->body = at;
	delivery->view.body.ptr = at;
	return delivery;
}
