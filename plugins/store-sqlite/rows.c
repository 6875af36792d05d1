/* SPDX-License-Identifier: MIT */

/* Parameters and columns; see rows.h. Concurrency: confined to the session's thread. */

#include "rows.h"

#include "status.h"
#include "store_rules.h"

struct params params_of(struct swm_session *session, enum store_statement statement)
{
	return (struct params){.session = session, .stmt = session->statements[statement]};
}

static void note(struct params *params, int rc)
{
	if (params->rc == SQLITE_OK) {
		params->rc = rc;
	}
}

void put_int(struct params *params, int64_t value)
{
	note(params, sqlite3_bind_int64(params->stmt, ++params->last, value));
}

void put_text(struct params *params, struct swm_str text)
{
	int at = ++params->last;

	if (!text.ptr) {
		note(params, sqlite3_bind_null(params->stmt, at));
	} else {
		note(params, sqlite3_bind_text64(params->stmt, at, text.ptr, text.len,
				     SQLITE_STATIC, SQLITE_UTF8));
	}
}

void put_blob(struct params *params, struct swm_str blob)
{
	int at = ++params->last;

	if (!blob.ptr) {
		note(params, sqlite3_bind_null(params->stmt, at));
	} else {
		note(params, sqlite3_bind_blob64(
				     params->stmt, at, blob.ptr, blob.len, SQLITE_STATIC));
	}
}

static swm_status failed(struct params *params, int rc, const char *what, struct swm_error *err)
{
	struct swm_db *db = &params->session->db;

	if ((rc & 0xff) == SQLITE_CONSTRAINT) {
		return swm_fail(err, SWM_E_INVALID, rc, "%s: cannot %s: %s", db->path, what,
			sqlite3_errmsg(db->handle));
	}
	return swm_db_failed(db, rc, what, err);
}

swm_status run(struct params *params, const char *what, int64_t *changed, struct swm_error *err)
{
	swm_status status = SWM_OK;

	if (params->rc == SQLITE_OK) {
		params->rc = sqlite3_step(params->stmt);
	}
	if (params->rc != SQLITE_DONE) {
		status = failed(params, params->rc, what, err);
	} else if (changed) {
		*changed = sqlite3_changes64(params->session->db.handle);
	}
	sqlite3_reset(params->stmt);
	return status;
}

swm_status next_row(struct params *params, const char *what, bool *row, struct swm_error *err)
{
	swm_status status = SWM_OK;

	if (params->rc == SQLITE_OK) {
		params->rc = sqlite3_step(params->stmt);
	}
	*row = params->rc == SQLITE_ROW;
	if (*row) {
		params->rc = SQLITE_OK;
		return SWM_OK;
	}
	if (params->rc != SQLITE_DONE) {
		status = failed(params, params->rc, what, err);
	}
	sqlite3_reset(params->stmt);
	return status;
}

void finish(struct params *params)
{
	sqlite3_reset(params->stmt);
}

struct columns columns_of(const struct params *params, struct arena *arena)
{
	return (struct columns){.stmt = params->stmt, .arena = arena};
}

int64_t take_int(struct columns *columns)
{
	return sqlite3_column_int64(columns->stmt, columns->next++);
}

static uint32_t take_u32(struct columns *columns)
{
	return (uint32_t)take_int(columns);
}

/* The bytes in SQLite's memory, good until the next step. */
static struct swm_str peek_bytes(struct columns *columns)
{
	int at = columns->next++;

	if (sqlite3_column_type(columns->stmt, at) == SQLITE_NULL) {
		return (struct swm_str){NULL, 0};
	}
	const char *ptr = sqlite3_column_blob(columns->stmt, at);
	int len = sqlite3_column_bytes(columns->stmt, at);
	if (!ptr && len > 0) {
		columns->status = SWM_E_NOMEM;
		return (struct swm_str){NULL, 0};
	}
	return (struct swm_str){ptr ? ptr : "", (size_t)len};
}

struct swm_str take_bytes(struct columns *columns)
{
	struct swm_str bytes = peek_bytes(columns);

	if (!bytes.ptr) {
		return bytes;
	}
	bytes.ptr = arena_copy(columns->arena, bytes.ptr, bytes.len);
	if (!bytes.ptr) {
		columns->status = SWM_E_NOMEM;
	}
	return bytes;
}

void take_instance_without_body(struct columns *columns, void *item)
{
	struct swm_instance_row *row = item;

	row->id = take_bytes(columns);
	row->workflow = take_bytes(columns);
	row->component = take_bytes(columns);
	row->business_ref = take_bytes(columns);
	row->template_id = take_bytes(columns);
	row->stage = take_bytes(columns);
	row->business_status = take_bytes(columns);
	row->version = take_int(columns);
	row->sequence = take_int(columns);
	row->created_ms = take_int(columns);
	row->updated_ms = take_int(columns);
	row->status = (int32_t)take_int(columns);
}

void take_instance(struct columns *columns, void *item)
{
	struct swm_instance_row *row = item;

	take_instance_without_body(columns, row);
	row->body = take_bytes(columns);
}

void take_event(struct columns *columns, void *item)
{
	struct swm_event_row *row = item;

	row->id = take_bytes(columns);
	row->source_id = take_bytes(columns);
	row->name = take_bytes(columns);
	row->stage = take_bytes(columns);
	row->task = take_bytes(columns);
	row->reason = take_bytes(columns);
	row->actor = take_bytes(columns);
	row->sequence = take_int(columns);
	row->at_ms = take_int(columns);
	row->attempt = take_u32(columns);
	row->outcome = take_u32(columns);
	row->rules = take_u32(columns);
	row->body = take_bytes(columns);
}

void take_template(struct columns *columns, void *item)
{
	struct swm_template_row *row = item;

	row->id = take_bytes(columns);
	row->workflow = take_bytes(columns);
	row->component = take_bytes(columns);
	row->author = take_bytes(columns);
	row->comment = take_bytes(columns);
	row->sha256 = take_bytes(columns);
	row->version = take_int(columns);
	row->created_ms = take_int(columns);
	row->body = take_bytes(columns);
}

swm_status pack_headers(struct swm_session *session, const struct swm_header *headers,
	size_t count, struct swm_str *out, struct swm_error *err)
{
	size_t bytes = swm_store_headers_bytes(headers, count);

	*out = (struct swm_str){NULL, 0};
	if (count == 0) {
		return SWM_OK;
	}
	if (!store_scratch_reserve(&session->headers, bytes)) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	swm_store_headers_pack(headers, count, session->headers.ptr);
	*out = (struct swm_str){session->headers.ptr, bytes};
	return SWM_OK;
}

static void take_headers(struct columns *columns, struct swm_outbox_row *row)
{
	struct swm_str packed = take_bytes(columns);
	size_t count = 0;

	if (!packed.ptr || columns->status != SWM_OK) {
		return;
	}
	if (!swm_store_headers_count(packed, &count)) {
		columns->status = SWM_E_CORRUPT;
		return;
	}
	struct swm_header *headers = arena_alloc(columns->arena, count * sizeof(*headers));
	if (!headers) {
		columns->status = SWM_E_NOMEM;
		return;
	}
	swm_store_headers_unpack(packed, headers, count);
	row->headers = headers;
	row->header_count = count;
}

void take_outbox(struct columns *columns, void *item)
{
	struct swm_outbox_row *row = item;

	row->id = take_bytes(columns);
	row->instance_id = take_bytes(columns);
	row->destination = take_bytes(columns);
	row->key = take_bytes(columns);
	row->reason = take_bytes(columns);
	take_headers(columns, row);
	row->due_ms = take_int(columns);
	row->created_ms = take_int(columns);
	row->lease_until_ms = take_int(columns);
	row->claims = take_int(columns);
	row->state = take_u32(columns);
	row->attempt = take_u32(columns);
	row->kind = take_u32(columns);
	row->body = take_bytes(columns);
}

swm_status columns_failed(struct swm_session *session, swm_status status, struct swm_error *err)
{
	if (status == SWM_E_NOMEM) {
		return swm_fail(err, status, 0, "out of memory");
	}
	return swm_fail(
		err, status, 0, "%s: a stored row cannot be understood", session->db.path);
}

swm_status take_page(struct params *params, uint32_t limit, take_row_fn take, size_t item_bytes,
	const char *what, struct swm_set *out, struct swm_error *err)
{
	swm_status status = SWM_OK;
	struct swm_str next = {NULL, 0};
	size_t count = 0;
	bool row = true;
	struct arena *arena = arena_create(limit * item_bytes);
	char *items = arena ? arena_alloc(arena, limit * item_bytes) : NULL;

	if (!items) {
		arena_destroy(arena);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	for (;;) {
		status = next_row(params, what, &row, err);
		if (!row) {
			break;
		}
		struct columns columns = columns_of(params, arena);
		struct swm_str token =
			count + 1 == limit ? take_bytes(&columns) : (struct swm_str){NULL, 0};
		if (count == limit) {
			finish(params);
			break;
		}
		columns.next = 1;
		take(&columns, items + count * item_bytes);
		if (columns.status != SWM_OK) {
			finish(params);
			status = columns_failed(params->session, columns.status, err);
			break;
		}
		if (token.ptr) {
			next = token;
		}
		count++;
	}
	if (status != SWM_OK) {
		arena_destroy(arena);
		return status;
	}
	arena_give(arena, out, items, count);
	/* The loop ended on a row: there are more than the page holds. */
	if (row) {
		out->next = next;
	}
	return SWM_OK;
}
