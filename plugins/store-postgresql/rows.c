/* SPDX-License-Identifier: MIT */

/* Columns and results; see rows.h. Concurrency: no state. */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct column instance_columns[] = {
	{COLUMN_TEXT, offsetof(struct swm_instance_row, id)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, workflow)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, component)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, business_ref)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, template_id)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, stage)},
	{COLUMN_TEXT, offsetof(struct swm_instance_row, business_status)},
	{COLUMN_INT8, offsetof(struct swm_instance_row, version)},
	{COLUMN_INT8, offsetof(struct swm_instance_row, sequence)},
	{COLUMN_INT8, offsetof(struct swm_instance_row, created_ms)},
	{COLUMN_INT8, offsetof(struct swm_instance_row, updated_ms)},
	{COLUMN_INT4, offsetof(struct swm_instance_row, status)},
	{COLUMN_BYTES, offsetof(struct swm_instance_row, body)},
};
const struct row_kind row_instance = {
	instance_columns, COUNT(instance_columns), sizeof(struct swm_instance_row), false};

/* The sender's id is whatever he sent. */
static const struct column event_columns[] = {
	{COLUMN_TEXT, offsetof(struct swm_event_row, id)},
	{COLUMN_BYTES, offsetof(struct swm_event_row, source_id)},
	{COLUMN_TEXT, offsetof(struct swm_event_row, name)},
	{COLUMN_TEXT, offsetof(struct swm_event_row, stage)},
	{COLUMN_TEXT, offsetof(struct swm_event_row, task)},
	{COLUMN_TEXT, offsetof(struct swm_event_row, reason)},
	{COLUMN_TEXT, offsetof(struct swm_event_row, actor)},
	{COLUMN_INT8, offsetof(struct swm_event_row, sequence)},
	{COLUMN_INT8, offsetof(struct swm_event_row, at_ms)},
	{COLUMN_INT4, offsetof(struct swm_event_row, attempt)},
	{COLUMN_INT4, offsetof(struct swm_event_row, outcome)},
	{COLUMN_INT4, offsetof(struct swm_event_row, rules)},
	{COLUMN_BYTES, offsetof(struct swm_event_row, body)},
};
const struct row_kind row_event = {
	event_columns, COUNT(event_columns), sizeof(struct swm_event_row), false};

/* So is the key of a message that is parked. */
static const struct column outbox_columns[] = {
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, id)},
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, instance_id)},
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, destination)},
	{COLUMN_BYTES, offsetof(struct swm_outbox_row, key)},
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, reason)},
	{COLUMN_INT8, offsetof(struct swm_outbox_row, due_ms)},
	{COLUMN_INT8, offsetof(struct swm_outbox_row, created_ms)},
	{COLUMN_INT8, offsetof(struct swm_outbox_row, lease_until_ms)},
	{COLUMN_INT8, offsetof(struct swm_outbox_row, claims)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, state)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, attempt)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, kind)},
	{COLUMN_BYTES, offsetof(struct swm_outbox_row, body)},
};
const struct row_kind row_outbox = {
	outbox_columns, COUNT(outbox_columns), sizeof(struct swm_outbox_row), true};

static const struct column owed_columns[] = {
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, destination)},
	{COLUMN_BYTES, offsetof(struct swm_outbox_row, key)},
	{COLUMN_TEXT, offsetof(struct swm_outbox_row, reason)},
	{COLUMN_INT8, offsetof(struct swm_outbox_row, delay_ms)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, state)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, attempt)},
	{COLUMN_INT4, offsetof(struct swm_outbox_row, kind)},
	{COLUMN_BYTES, offsetof(struct swm_outbox_row, body)},
};
const struct row_kind row_owed = {
	owed_columns, COUNT(owed_columns), sizeof(struct swm_outbox_row), false};

static const struct column template_columns[] = {
	{COLUMN_TEXT, offsetof(struct swm_template_row, id)},
	{COLUMN_TEXT, offsetof(struct swm_template_row, workflow)},
	{COLUMN_TEXT, offsetof(struct swm_template_row, component)},
	{COLUMN_TEXT, offsetof(struct swm_template_row, author)},
	{COLUMN_TEXT, offsetof(struct swm_template_row, comment)},
	{COLUMN_TEXT, offsetof(struct swm_template_row, sha256)},
	{COLUMN_INT8, offsetof(struct swm_template_row, version)},
	{COLUMN_INT8, offsetof(struct swm_template_row, created_ms)},
	{COLUMN_BYTES, offsetof(struct swm_template_row, body)},
};
const struct row_kind row_template = {
	template_columns, COUNT(template_columns), sizeof(struct swm_template_row), false};

static uint32_t read_int4(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int64_t row_int8(const PGresult *result, int row, int column, bool *ok)
{
	const unsigned char *at = (const unsigned char *)PQgetvalue(result, row, column);

	if (PQgetlength(result, row, column) != 8) {
		*ok = false;
		return 0;
	}
	return (int64_t)((uint64_t)read_int4(at) << 32 | read_int4(at + 4));
}

struct swm_str row_bytes(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column)) {
		return (struct swm_str){NULL, 0};
	}
	return (struct swm_str){
		PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

static bool take_value(
	const PGresult *result, int row, int column, const struct column *to, char *item)
{
	bool ok = true;

	switch (to->type) {
	case COLUMN_TEXT:
	case COLUMN_BYTES: {
		struct swm_str bytes = row_bytes(result, row, column);

		memcpy(item + to->offset, &bytes, sizeof(bytes));
		break;
	}
	case COLUMN_INT8: {
		int64_t wide = row_int8(result, row, column, &ok);

		memcpy(item + to->offset, &wide, sizeof(wide));
		break;
	}
	case COLUMN_INT4: {
		uint32_t narrow = 0;

		ok = PQgetlength(result, row, column) == sizeof(narrow);
		if (ok) {
			narrow = read_int4(
				(const unsigned char *)PQgetvalue(result, row, column));
		}
		memcpy(item + to->offset, &narrow, sizeof(narrow));
		break;
	}
	}
	return ok;
}

/* What a set owns: the result, and its items with their headers behind them. */
struct held {
	PGresult *result;
	alignas(max_align_t) char items[];
};

static void release(struct swm_set *set)
{
	struct held *held = set->owner;

	PQclear(held->result);
	free(held);
	memset(set, 0, sizeof(*set));
}

/* How many headers all rows have together. */
static bool count_headers(const PGresult *result, size_t count, int column, size_t *total)
{
	for (size_t i = 0; i < count; i++) {
		size_t headers = 0;

		if (!swm_store_headers_count(row_bytes(result, (int)i, column), &headers)) {
			return false;
		}
		*total += headers;
	}
	return true;
}

static void take_headers(
	const PGresult *result, struct swm_outbox_row *rows, size_t count, int column)
{
	struct swm_header *next = (struct swm_header *)(void *)(rows + count);

	for (size_t i = 0; i < count; i++) {
		struct swm_str packed = row_bytes(result, (int)i, column);
		size_t headers = 0;

		(void)swm_store_headers_count(packed, &headers);
		if (headers > 0) {
			swm_store_headers_unpack(packed, next, headers);
			rows[i].headers = next;
			rows[i].header_count = headers;
			next += headers;
		}
	}
}

static swm_status fill(struct held *held, size_t count, int first_column,
	const struct row_kind *kind, struct swm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		char *item = held->items + i * kind->item_bytes;

		for (size_t k = 0; k < kind->column_count; k++) {
			if (!take_value(held->result, (int)i, first_column + (int)k,
				    &kind->columns[k], item)) {
				return swm_fail(err, SWM_E_CORRUPT, 0,
					"a stored row is not of the types of the schema");
			}
		}
	}
	if (kind->has_headers) {
		take_headers(held->result, (struct swm_outbox_row *)(void *)held->items, count,
			first_column + (int)kind->column_count);
	}
	return SWM_OK;
}

swm_status rows_take(PGresult *result, size_t count, int first_column,
	const struct row_kind *kind, struct swm_set *out, struct swm_error *err)
{
	size_t headers = 0;
	swm_status status;

	static_assert(sizeof(struct swm_outbox_row) % alignof(struct swm_header) == 0,
		"headers follow rows");
	if (kind->has_headers && !count_headers(result, count,
					 first_column + (int)kind->column_count, &headers)) {
		PQclear(result);
		return swm_fail(err, SWM_E_CORRUPT, 0, "a row's headers cannot be understood");
	}
	struct held *held = calloc(1,
		sizeof(*held) + count * kind->item_bytes + headers * sizeof(struct swm_header));
	if (!held) {
		PQclear(result);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	held->result = result;
	status = fill(held, count, first_column, kind, err);
	if (status != SWM_OK) {
		PQclear(result);
		free(held);
		return status;
	}
	*out = (struct swm_set){
		.items = held->items, .count = count, .owner = held, .release = release};
	return SWM_OK;
}

swm_status rows_take_page(PGresult *result, const struct swm_page *page,
	const struct row_kind *kind, struct swm_set *out, struct swm_error *err)
{
	size_t rows = (size_t)PQntuples(result);
	size_t count = rows < page->limit ? rows : page->limit;
	struct swm_str next = {NULL, 0};

	if (rows > page->limit) {
		next = row_bytes(result, (int)count - 1, 0);
	}
	swm_status status = rows_take(result, count, 1, kind, out, err);
	if (status == SWM_OK) {
		out->next = next;
	}
	return status;
}
