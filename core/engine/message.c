/* SPDX-License-Identifier: MIT */

/*
 * See message.h.
 */

#include "message.h"

#include "env.h"
#include "error.h"
#include "json_out.h"
#include "json_read.h"
#include "payload.h"
#include "swm_limits.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a message carries beside the headers that are stored with its row. */
#define RENDERED_MAX 8

#define FIRST_DEFERRAL_MS 1000

struct swm_str swm_header_find(
	const struct swm_header *headers, size_t count, struct swm_str name)
{
	for (size_t i = 0; i < count; i++) {
		if (swm_str_equal(headers[i].name, name)) {
			return headers[i].value;
		}
	}
	return (struct swm_str){0};
}

static bool write_number(struct swm_arena *arena, uint32_t number, struct swm_str *out)
{
	char text[12];
	int len = snprintf(text, sizeof(text), "%" PRIu32, number);
	return swm_arena_copy(arena, (struct swm_str){text, (size_t)len}, out);
}

/* Headers under way to be written; there is always room. */
struct header_list {
	struct swm_header *items;
	size_t count;
};

static void add_header(struct header_list *list, struct swm_str name, struct swm_str value)
{
	list->items[list->count] = (struct swm_header){name, value};
	list->count++;
}

/* The CloudEvents type of what the domain sends; absent for everything else. */
static struct swm_str event_type(uint32_t kind)
{
	switch (kind) {
	case SWM_MESSAGE_START_TASK:
		return SWM_STR("swm.StartTask");
	case SWM_MESSAGE_TASK_TIMED_OUT:
		return SWM_STR("swm.TaskTimedOut");
	case SWM_MESSAGE_TASK_PENDING:
		return SWM_STR("swm.TaskPending");
	case SWM_ROW_UNDELIVERABLE:
		return SWM_STR("swm.TaskFailed");
	default:
		return (struct swm_str){0};
	}
}

bool swm_message_of_row(const struct swm_outbox_row *row, bool to_workflow,
	struct swm_arena *arena, struct swm_message *out)
{
	struct header_list list = {
		.items = swm_arena_take(
			arena, (row->header_count + RENDERED_MAX) * sizeof(*list.items)),
	};
	if (!list.items) {
		return false;
	}
	for (size_t i = 0; i < row->header_count; i++) {
		add_header(&list, row->headers[i].name, row->headers[i].value);
	}
	struct swm_str type = event_type(row->kind);
	if (type.len > 0) {
		struct swm_str attempt;
		if (!write_number(arena, row->attempt, &attempt)) {
			return false;
		}
		add_header(&list, SWM_STR(SWM_HEADER_MESSAGE_ID), row->id);
		add_header(&list, SWM_STR(SWM_HEADER_ATTEMPT), attempt);
		add_header(&list, SWM_STR("ce-specversion"), SWM_STR("1.0"));
		add_header(&list, SWM_STR("ce-id"), row->id);
		add_header(&list, SWM_STR("ce-source"), SWM_STR("/swm"));
		add_header(&list, SWM_STR("ce-type"), type);
		add_header(&list, SWM_STR("ce-subject"), row->key);
	}
	if (to_workflow &&
		!swm_header_find(list.items, list.count, SWM_STR(SWM_HEADER_EVENT_ID)).ptr) {
		add_header(&list, SWM_STR(SWM_HEADER_EVENT_ID), row->id);
	}
	*out = (struct swm_message){
		.destination = row->destination,
		.id = row->id,
		.key = row->key,
		.body = row->body,
		.headers = list.items,
		.header_count = list.count,
	};
	return true;
}

/* What identifies the StartTask in its own body. */
struct start_task {
	struct swm_reference reference;
	struct swm_str stage;
	struct swm_str task;
};

static swm_status read_start_task(
	struct swm_str body, json_t **root, struct start_task *out, struct swm_error *err)
{
	swm_status status = swm_json_read(body, SIZE_MAX, root, err);
	if (status == SWM_E_NOMEM) {
		return status;
	}
	if (status != SWM_OK) {
		return swm_error_set(
			err, SWM_E_CORRUPT, "a StartTask in the outbox is not JSON");
	}
	if (!swm_json_get_str(*root, "component_name", &out->reference.component) ||
		!swm_json_get_str(*root, "business_ref_no", &out->reference.business_ref) ||
		!swm_json_get_str(*root, "stage_name", &out->stage) ||
		!swm_json_get_str(*root, "task_name", &out->task)) {
		json_decref(*root);
		return swm_error_set(
			err, SWM_E_CORRUPT, "a StartTask in the outbox lacks a name");
	}
	return SWM_OK;
}

/* The body of the TaskFailed, in the arena. */
static bool write_undeliverable(struct swm_arena *arena, const struct start_task *task,
	uint32_t attempt, struct swm_str reason, struct swm_str *out)
{
	size_t cap = 0;
	char *buf = NULL;
	for (;;) {
		struct swm_json_out json;
		swm_json_out_init(&json, buf, cap);
		swm_payload_undeliverable(
			&json, &task->reference, task->stage, task->task, attempt, reason);
		if (buf && swm_json_out_fits(&json)) {
			*out = (struct swm_str){buf, json.len};
			return true;
		}
		cap = json.len;
		buf = swm_arena_take(arena, cap);
		if (!buf) {
			return false;
		}
	}
}

static bool copy_id(struct swm_arena *arena, const struct swm_id *id, struct swm_str *out)
{
	return swm_arena_copy(arena, swm_id_str(id), out);
}

swm_status swm_row_undeliverable(const struct swm_outbox_row *row, struct swm_str own_queue,
	struct swm_str why, struct swm_arena *arena, struct swm_outbox_row *out,
	struct swm_error *err)
{
	static const char prefix[] = "undeliverable: ";
	json_t *root = NULL;
	struct start_task task;
	swm_status status = read_start_task(row->body, &root, &task, err);
	if (status != SWM_OK) {
		return status;
	}

	char reason[sizeof(prefix) + SWM_ERROR_MESSAGE_MAX];
	(void)snprintf(reason, sizeof(reason), "%s%.*s", prefix, SWM_FMT(why));
	swm_text_clean(reason); /* an adapter's may be anything */
	/* Not of the row alone: another process may be refused in other words. */
	struct swm_str parts[] = {SWM_STR("undeliverable"), row->id, swm_str_from(reason)};
	struct swm_id id;
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), &id);
	*out = (struct swm_outbox_row){
		.destination = own_queue,
		.key = row->key,
		.attempt = row->attempt,
		.kind = SWM_ROW_UNDELIVERABLE,
		.state = SWM_OUTBOX_PENDING,
	};
	if (!copy_id(arena, &id, &out->id) || !write_undeliverable(arena, &task, row->attempt,
						      swm_str_from(reason), &out->body)) {
		status = swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	json_decref(root);
	return status;
}

/* The headers of a delivery without those that are ours to set. */
static bool copy_headers(
	const struct swm_delivery *delivery, struct swm_arena *arena, struct header_list *out)
{
	out->count = 0;
	out->items = swm_arena_take(arena, (delivery->header_count + 2) * sizeof(*out->items));
	if (!out->items) {
		return false;
	}
	for (size_t i = 0; i < delivery->header_count; i++) {
		struct swm_str name = delivery->headers[i].name;
		if (!swm_str_equal(name, SWM_STR(SWM_HEADER_EVENT_ID)) &&
			!swm_str_equal(name, SWM_STR(SWM_HEADER_DEFERRED))) {
			add_header(out, name, delivery->headers[i].value);
		}
	}
	return true;
}

bool swm_row_parked(const struct swm_delivery *delivery, struct swm_str raw_id,
	struct swm_str reason, struct swm_arena *arena, struct swm_outbox_row *out)
{
	/* The bytes as well: a sender may copy the id of another message. */
	struct swm_str parts[] = {
		SWM_STR("parked"), delivery->source, delivery->id, delivery->body};
	struct swm_id id;
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), &id);
	struct header_list list;
	if (!copy_headers(delivery, arena, &list)) {
		return false;
	}
	if (raw_id.len > 0) {
		add_header(&list, SWM_STR(SWM_HEADER_EVENT_ID), raw_id);
	}
	*out = (struct swm_outbox_row){
		.destination = delivery->source,
		.key = delivery->key,
		.body = delivery->body,
		.headers = list.items,
		.header_count = list.count,
		.state = SWM_OUTBOX_DEAD,
		.kind = SWM_ROW_PARKED,
	};
	return copy_id(arena, &id, &out->id) && swm_arena_copy(arena, reason, &out->reason);
}

uint32_t swm_deferral_count(const struct swm_delivery *delivery)
{
	struct swm_str text = swm_header_find(
		delivery->headers, delivery->header_count, SWM_STR(SWM_HEADER_DEFERRED));
	uint32_t count = 0;
	for (size_t i = 0; i < text.len && count <= SWM_DEFERRALS_MAX; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9') {
			return 0;
		}
		count = count * 10 + (uint32_t)(text.ptr[i] - '0');
	}
	return count;
}

bool swm_row_deferred(const struct swm_delivery *delivery, const struct swm_deferral *deferral,
	struct swm_arena *arena, struct swm_outbox_row *out)
{
	struct header_list list;
	struct swm_str count;
	if (!copy_headers(delivery, arena, &list) ||
		!write_number(arena, deferral->count + 1, &count)) {
		return false;
	}
	add_header(&list, SWM_STR(SWM_HEADER_EVENT_ID), deferral->raw_id);
	add_header(&list, SWM_STR(SWM_HEADER_DEFERRED), count);
	struct swm_str parts[] = {SWM_STR("deferred"), delivery->source, deferral->instance_id,
		deferral->key, count};
	struct swm_id id;
	swm_id_of(parts, sizeof(parts) / sizeof(parts[0]), &id);
	*out = (struct swm_outbox_row){
		.destination = delivery->source,
		.key = deferral->instance_id,
		.body = delivery->body,
		.reason = SWM_STR("no such instance yet"),
		.headers = list.items,
		.header_count = list.count,
		.delay_ms = (int64_t)FIRST_DEFERRAL_MS << deferral->count,
		.state = SWM_OUTBOX_PENDING,
		.kind = SWM_ROW_DEFERRED,
	};
	return copy_id(arena, &id, &out->id);
}
