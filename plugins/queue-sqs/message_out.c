/* SPDX-License-Identifier: MIT */

/* A message on its way out; see message.h. */

#include "message.h"
#include "names.h"
#include "status.h"

#include <string.h>
#include <strings.h>

/* MessageGroupId and MessageDeduplicationId ("Amazon SQS message quotas"). */
#define FIFO_ID_MAX 128

#define ATTRIBUTE_NAME_MAX 256

/* Which headers have an attribute of their own when not all can: what a service needs that
 * does not look into the body, then what belongs to everybody. */
static const char *const preferred[] = {"swm-attempt", "swm-event-id", "traceparent", "ce-type",
	"ce-subject", "ce-id", "ce-source", "ce-specversion"};

#define PREFERRED_COUNT (sizeof(preferred) / sizeof(preferred[0]))

void swm_sqs_entry_finish(struct swm_sqs_entry *entry)
{
	swm_sqs_text_finish(&entry->json);
	swm_sqs_text_finish(&entry->body);
	swm_sqs_text_finish(&entry->rest);
}

static void add_netstring(struct swm_sqs_text *text, struct swm_str bytes)
{
	swm_sqs_text_number(text, (int64_t)bytes.len);
	swm_sqs_text_say(text, ":");
	swm_sqs_text_add(text, bytes.ptr, bytes.len);
	swm_sqs_text_say(text, ",");
}

static void add_rest(struct swm_sqs_entry *entry, struct swm_str name, struct swm_str value)
{
	add_netstring(&entry->rest, name);
	add_netstring(&entry->rest, value);
}

/* --- The body --- */

/* A JSON document's U+FFFE and U+FFFF, which are in strings, as escapes. */
static void escape_noncharacters(struct swm_sqs_text *out, struct swm_str body)
{
	size_t begun = 0;
	size_t i;

	for (i = 0; i + 2 < body.len; i++) {
		const unsigned char *at = (const unsigned char *)body.ptr + i;

		if (at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe) {
			swm_sqs_text_add(out, body.ptr + begun, i - begun);
			swm_sqs_text_say(out, at[2] == 0xbe ? "\\ufffe" : "\\uffff");
			begun = i + 3;
		}
	}
	swm_sqs_text_add(out, body.ptr + begun, body.len - begun);
}

static struct swm_str write_body(struct swm_sqs_entry *entry, struct swm_str body)
{
	enum swm_sqs_legal legal = swm_sqs_legal(body);

	if (legal == SWM_SQS_LEGAL) {
		return body;
	}
	swm_sqs_text_reset(&entry->body);
	if (legal == SWM_SQS_NONCHARACTER && swm_sqs_json_is_object(body)) {
		escape_noncharacters(&entry->body, body);
		return swm_sqs_text_str(&entry->body);
	}
	swm_sqs_base64_add(&entry->body, body);
	if (body.len == 0) {
		swm_sqs_text_say(&entry->body, EMPTY_BODY);
	}
	add_rest(entry, swm_sqs_str(ENCODING_NAME),
		swm_sqs_str(body.len == 0 ? ENCODING_EMPTY : ENCODING_BASE64));
	return swm_sqs_text_str(&entry->body);
}

/* --- Attributes --- */

/* "alphanumeric characters, underscore, hyphen and period", no period at an end or twice,
 * and not AWS's own ("Amazon SQS message attributes"). */
static bool is_attribute_name(struct swm_str name)
{
	size_t i;

	if (name.len == 0 || name.len > ATTRIBUTE_NAME_MAX || name.ptr[0] == '.' ||
		name.ptr[name.len - 1] == '.') {
		return false;
	}
	for (i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '-' ||
			    (c == '.' && name.ptr[i - 1] != '.');

		if (!good) {
			return false;
		}
	}
	return (name.ptr[0] | 0x20) != 'a' ||
	       !((name.len > 3 && strncasecmp(name.ptr, "aws.", 4) == 0) ||
		       (name.len > 6 && strncasecmp(name.ptr, "amazon.", 7) == 0));
}

static bool fits_attribute(const struct swm_header *header)
{
	return header->value.len != 0 && is_attribute_name(header->name) &&
	       !swm_sqs_str_is(header->name, ID_NAME) &&
	       !swm_sqs_str_is(header->name, REST_NAME) &&
	       !swm_sqs_str_is(header->name, KEY_NAME) &&
	       !swm_sqs_str_is(header->name, ENCODING_NAME);
}

/* As text where SQS allows it, else as binary. */
static void add_attribute(
	struct swm_sqs_entry *entry, bool *first, struct swm_str name, struct swm_str value)
{
	bool text = swm_sqs_legal(value) == SWM_SQS_LEGAL;

	swm_sqs_text_say(&entry->json, *first ? ",\"MessageAttributes\":{" : ",");
	*first = false;
	swm_sqs_text_quote(&entry->json, name);
	if (text) {
		swm_sqs_text_say(&entry->json, ":{\"DataType\":\"String\",\"StringValue\":");
		swm_sqs_text_quote(&entry->json, value);
	} else {
		swm_sqs_text_say(&entry->json, ":{\"DataType\":\"Binary\",\"BinaryValue\":\"");
		swm_sqs_base64_add(&entry->json, value);
		swm_sqs_text_say(&entry->json, "\"");
	}
	swm_sqs_text_say(&entry->json, "}");
	entry->bytes += name.len + sizeof("String") - 1 + value.len;
}

/* The place of a header among those preferred; a later one for all others. */
static size_t rank_of(const struct swm_header *header)
{
	size_t rank = 0;

	while (rank < PREFERRED_COUNT && !swm_sqs_str_is(header->name, preferred[rank])) {
		rank++;
	}
	return rank;
}

/* Marks those that get an attribute, `room` at most, the preferred ones first. */
static void choose(const struct swm_message *message, size_t room, bool *chosen)
{
	size_t rank;
	size_t i;

	for (rank = 0; rank <= PREFERRED_COUNT; rank++) {
		for (i = 0; i < message->header_count && room > 0; i++) {
			if (!chosen[i] && rank_of(&message->headers[i]) == rank &&
				fits_attribute(&message->headers[i])) {
				chosen[i] = true;
				room--;
			}
		}
	}
}

/* What the id says itself, and names that mean something else among the rest. */
static bool is_left_out(const struct swm_message *message, const struct swm_header *header)
{
	if (swm_sqs_str_is(header->name, KEY_NAME) ||
		swm_sqs_str_is(header->name, ENCODING_NAME)) {
		return true;
	}
	return swm_sqs_str_is(header->name, ID_NAME) && message->id.len != 0 &&
	       header->value.len == message->id.len &&
	       memcmp(header->value.ptr, message->id.ptr, message->id.len) == 0;
}

/* How many headers may have an attribute, given that the rest may need one. */
static size_t attribute_room(
	const struct swm_sqs_entry *entry, const struct swm_message *message)
{
	size_t room = SWM_SQS_ATTRIBUTES_MAX - (message->id.len != 0 ? 1 : 0);
	bool rest = entry->rest.len != 0;
	size_t wanted = 0;
	size_t i;

	for (i = 0; i < message->header_count; i++) {
		const struct swm_header *header = &message->headers[i];

		if (is_left_out(message, header)) {
			continue;
		}
		wanted += fits_attribute(header) ? 1 : 0;
		rest = rest || !fits_attribute(header);
	}
	return rest || wanted > room ? room - 1 : room;
}

static void write_attributes(struct swm_sqs_entry *entry, const struct swm_message *message)
{
	bool chosen[SWM_SQS_HEADERS_MAX] = {false};
	bool first = true;
	size_t i;

	if (message->id.len != 0) {
		add_attribute(entry, &first, swm_sqs_str(ID_NAME), message->id);
	}
	choose(message, attribute_room(entry, message), chosen);
	for (i = 0; i < message->header_count; i++) {
		const struct swm_header *header = &message->headers[i];

		if (chosen[i]) {
			add_attribute(entry, &first, header->name, header->value);
		} else if (!is_left_out(message, header)) {
			add_rest(entry, header->name, header->value);
		}
	}
	if (entry->rest.len != 0) {
		add_attribute(
			entry, &first, swm_sqs_str(REST_NAME), swm_sqs_text_str(&entry->rest));
	}
	swm_sqs_text_say(&entry->json, first ? "" : "}");
}

/* --- FIFO --- */

/* "alphanumeric characters and punctuation". */
static bool is_fifo_id(struct swm_str text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] <= 0x20 || text.ptr[i] > 0x7e) {
			return false;
		}
	}
	return text.len != 0 && text.len <= FIFO_ID_MAX;
}

static void add_fifo_id(struct swm_sqs_entry *entry, const char *name, struct swm_str text)
{
	char hash[SWM_SQS_HASH_SIZE];

	if (!is_fifo_id(text)) {
		swm_sqs_hash(text, hash);
		text = swm_sqs_str(hash);
	}
	swm_sqs_text_member(&entry->json, name, text);
}

static void write_fifo(
	struct swm_sqs_entry *entry, const struct swm_message *message, const char *chance)
{
	struct swm_str id = message->id.len != 0 ? message->id : swm_sqs_str(chance);

	add_fifo_id(entry, "MessageGroupId", message->key.len != 0 ? message->key : id);
	add_fifo_id(entry, "MessageDeduplicationId", id);
}

swm_status swm_sqs_entry_fill(struct swm_sqs_entry *entry, const struct swm_message *message,
	const struct swm_sqs_address *address, const char *chance, struct swm_error *err)
{
	struct swm_str body;

	if (message->header_count > SWM_SQS_HEADERS_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"message %.*s has %zu headers, at most %d", (int)message->id.len,
			message->id.ptr, message->header_count, SWM_SQS_HEADERS_MAX);
	}
	swm_sqs_text_reset(&entry->json);
	swm_sqs_text_reset(&entry->rest);
	if (message->key.len != 0) {
		add_rest(entry, swm_sqs_str(KEY_NAME), message->key);
	}
	body = write_body(entry, message->body);
	entry->bytes = body.len;
	swm_sqs_md5(body, entry->md5);
	swm_sqs_text_say(&entry->json, ",\"MessageBody\":");
	swm_sqs_text_quote(&entry->json, body);
	write_attributes(entry, message);
	if (address->fifo) {
		write_fifo(entry, message, chance);
	}
	if (entry->json.failed || entry->body.failed || entry->rest.failed) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	return SWM_OK;
}
