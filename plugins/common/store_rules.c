/* SPDX-License-Identifier: MIT */

/* What store plugins share; see store_rules.h. Concurrency: no state; any thread. */

#include "store_rules.h"

#include "status.h"

#include <string.h>

swm_status swm_store_check_row(const struct swm_outbox_row *row, struct swm_error *err)
{
	if (!row->id.ptr || row->id.len == 0 || row->id.len > SWM_STORE_OUTBOX_ID_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0, "an outbox row's id has 1 to %d bytes",
			SWM_STORE_OUTBOX_ID_MAX);
	}
	if (row->delay_ms < 0 || row->state > SWM_OUTBOX_DEAD) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"outbox row %.*s: a negative delay or an unknown state",
			(int)row->id.len, row->id.ptr);
	}
	return SWM_OK;
}

static swm_status check_item(const struct swm_commit *item, struct swm_error *err)
{
	const struct swm_instance_row *next = &item->next;
	swm_status status = SWM_OK;

	if (!next->id.ptr || next->id.len == 0 || next->id.len > SWM_STORE_INSTANCE_ID_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0, "an instance's id has 1 to %d bytes",
			SWM_STORE_INSTANCE_ID_MAX);
	}
	if (item->expected_version < 0 || next->version - 1 != item->expected_version) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"version %lld does not follow the expected %lld",
			(long long)next->version, (long long)item->expected_version);
	}
	if (next->status < 1 || next->status > 31) {
		return swm_fail(err, SWM_E_INVALID, 0, "an instance's status is 1 to 31");
	}
	for (size_t i = 0; i < item->event_count; i++) {
		if (!item->events[i].id.ptr || item->events[i].id.len == 0) {
			return swm_fail(err, SWM_E_INVALID, 0, "an event without an id");
		}
	}
	for (size_t i = 0; i < item->outbox_count && status == SWM_OK; i++) {
		status = swm_store_check_row(&item->outbox[i], err);
	}
	return status;
}

swm_status swm_store_check_commit(int64_t lease_ms, const struct swm_commit *items,
	size_t count, const struct swm_outbox_mark *marks, size_t mark_count,
	struct swm_error *err)
{
	if (lease_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a lease of negative length");
	}
	for (size_t i = 0; i < count; i++) {
		swm_status status = check_item(&items[i], err);

		if (status != SWM_OK) {
			return status;
		}
	}
	for (size_t i = 0; i < mark_count; i++) {
		if (!marks[i].id.ptr || marks[i].delay_ms < 0 ||
			marks[i].action < SWM_MARK_SENT || marks[i].action > SWM_MARK_DEAD) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"a mark needs an id, an action and no negative delay");
		}
	}
	return SWM_OK;
}

swm_status swm_store_check_page(const struct swm_page *page, struct swm_error *err)
{
	if (page && page->limit >= 1 && page->limit <= SWM_STORE_PAGE_MAX) {
		return SWM_OK;
	}
	return swm_fail(
		err, SWM_E_INVALID, 0, "a page holds 1 to %d items", SWM_STORE_PAGE_MAX);
}

size_t swm_store_row_bytes(const struct swm_outbox_row *row)
{
	size_t bytes = row->body.len + row->id.len + row->instance_id.len +
		       row->destination.len + row->key.len + row->reason.len;

	for (size_t i = 0; i < row->header_count; i++) {
		bytes += row->headers[i].name.len + row->headers[i].value.len;
	}
	return bytes;
}

size_t swm_store_item_bytes(const struct swm_commit *item)
{
	const struct swm_instance_row *next = &item->next;
	size_t bytes = next->body.len + next->workflow.len + next->component.len +
		       next->business_ref.len + next->template_id.len + next->stage.len +
		       next->business_status.len;

	for (size_t i = 0; i < item->event_count; i++) {
		const struct swm_event_row *event = &item->events[i];

		bytes += event->body.len + event->id.len + event->source_id.len +
			 event->name.len + event->stage.len + event->task.len +
			 event->reason.len + event->actor.len;
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		bytes += swm_store_row_bytes(&item->outbox[i]);
	}
	return bytes;
}

struct swm_instance_filter swm_store_filter(const struct swm_instance_filter *given)
{
	struct swm_instance_filter filter = {0};

	if (given) {
		memcpy(&filter, given,
			given->size < sizeof(filter) ? given->size : sizeof(filter));
	}
	return filter;
}

bool swm_store_number(struct swm_str text, int64_t *out)
{
	int64_t value = 0;

	if (text.len == 0) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9') {
			return false;
		}
		int digit = text.ptr[i] - '0';
		if (value > (INT64_MAX - digit) / 10) {
			return false;
		}
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

bool swm_store_instance_token(struct swm_str after, int64_t *created_ms, struct swm_str *id)
{
	*created_ms = INT64_MAX;
	*id = (struct swm_str){NULL, 0};
	if (!after.ptr) {
		return true;
	}
	const char *colon = memchr(after.ptr, ':', after.len);
	if (!colon) {
		return false;
	}
	size_t digits = (size_t)(colon - after.ptr);
	*id = (struct swm_str){colon + 1, after.len - digits - 1};
	return swm_store_number((struct swm_str){after.ptr, digits}, created_ms);
}

swm_status swm_store_bad_token(struct swm_error *err)
{
	return swm_fail(err, SWM_E_INVALID, 0, "`after` is not where a page ended");
}

enum {
	HEADER_PREFIX_BYTES = 8 /* two lengths of 32 bits */
};

static void write_u32(unsigned char *at, size_t value)
{
	for (int i = 0; i < 4; i++) {
		at[i] = (unsigned char)(value >> (8 * i));
	}
}

static size_t read_u32(const char *at)
{
	const unsigned char *bytes = (const unsigned char *)at;

	return bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 |
	       (size_t)bytes[3] << 24;
}

size_t swm_store_headers_bytes(const struct swm_header *headers, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		bytes += HEADER_PREFIX_BYTES + headers[i].name.len + headers[i].value.len;
	}
	return bytes;
}

static unsigned char *write_bytes(unsigned char *at, struct swm_str text)
{
	if (text.len > 0) {
		memcpy(at, text.ptr, text.len);
	}
	return at + text.len;
}

void swm_store_headers_pack(const struct swm_header *headers, size_t count, void *out)
{
	unsigned char *at = out;

	for (size_t i = 0; i < count; i++) {
		write_u32(at, headers[i].name.len);
		write_u32(at + 4, headers[i].value.len);
		at = write_bytes(at + HEADER_PREFIX_BYTES, headers[i].name);
		at = write_bytes(at, headers[i].value);
	}
}

/* Cuts the first header off `rest`; false when there is none that fits. */
static bool cut_header(struct swm_str *rest, struct swm_header *header)
{
	if (rest->len < HEADER_PREFIX_BYTES) {
		return false;
	}
	size_t name = read_u32(rest->ptr), value = read_u32(rest->ptr + 4);
	size_t room = rest->len - HEADER_PREFIX_BYTES;
	if (name > room || value > room - name) {
		return false;
	}
	const char *at = rest->ptr + HEADER_PREFIX_BYTES;
	header->name = (struct swm_str){at, name};
	header->value = (struct swm_str){at + name, value};
	rest->ptr = at + name + value;
	rest->len = room - name - value;
	return true;
}

bool swm_store_headers_count(struct swm_str packed, size_t *count)
{
	struct swm_header header;
	size_t found = 0;

	for (; packed.len > 0; found++) {
		if (!cut_header(&packed, &header)) {
			return false;
		}
	}
	*count = found;
	return true;
}

void swm_store_headers_unpack(struct swm_str packed, struct swm_header *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)cut_header(&packed, &out[i]);
	}
}
