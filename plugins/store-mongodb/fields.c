/* SPDX-License-Identifier: MIT */

/* Structs and documents; see fields.h. Concurrency: no state. */

#include "fields.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELDS(array, type) \
	{ \
		(array), COUNT(array), sizeof(type) \
	}

static const struct field instance_people[] = {
	{"workflow_name", FIELD_TEXT, offsetof(struct swm_instance_row, workflow)},
	{"component_name", FIELD_TEXT, offsetof(struct swm_instance_row, component)},
	{"business_ref_no", FIELD_TEXT, offsetof(struct swm_instance_row, business_ref)},
	{"business_status", FIELD_TEXT, offsetof(struct swm_instance_row, business_status)},
	{"created_at", FIELD_TIME, offsetof(struct swm_instance_row, created_ms)},
	{"updated_at", FIELD_TIME, offsetof(struct swm_instance_row, updated_ms)},
};
const struct fields instance_fields = FIELDS(instance_people, struct swm_instance_row);

static const struct field instance_machine[] = {
	{"version", FIELD_INT64, offsetof(struct swm_instance_row, version)},
	{"sequence", FIELD_INT64, offsetof(struct swm_instance_row, sequence)},
	{"status", FIELD_INT32, offsetof(struct swm_instance_row, status)},
	{"template_id", FIELD_TEXT, offsetof(struct swm_instance_row, template_id)},
	{"stage", FIELD_TEXT, offsetof(struct swm_instance_row, stage)},
	{"body", FIELD_BYTES, offsetof(struct swm_instance_row, body)},
};
const struct fields instance_state = FIELDS(instance_machine, struct swm_instance_row);

static const struct field event_all[] = {
	{"sequence", FIELD_INT64, offsetof(struct swm_event_row, sequence)},
	{"at", FIELD_TIME, offsetof(struct swm_event_row, at_ms)},
	{"name", FIELD_TEXT, offsetof(struct swm_event_row, name)},
	{"stage", FIELD_TEXT, offsetof(struct swm_event_row, stage)},
	{"task", FIELD_TEXT, offsetof(struct swm_event_row, task)},
	{"attempt", FIELD_INT32, offsetof(struct swm_event_row, attempt)},
	{"outcome", FIELD_INT32, offsetof(struct swm_event_row, outcome)},
	{"rules", FIELD_INT32, offsetof(struct swm_event_row, rules)},
	{"reason", FIELD_TEXT, offsetof(struct swm_event_row, reason)},
	{"actor", FIELD_TEXT, offsetof(struct swm_event_row, actor)},
	{"source_id", FIELD_BYTES, offsetof(struct swm_event_row, source_id)},
	{"body", FIELD_BYTES, offsetof(struct swm_event_row, body)},
};
const struct fields event_fields = FIELDS(event_all, struct swm_event_row);

static const struct field row_machine[] = {
	{"id", FIELD_TEXT, offsetof(struct swm_outbox_row, id)},
	{"state", FIELD_INT32, offsetof(struct swm_outbox_row, state)},
	{"due", FIELD_TIME, offsetof(struct swm_outbox_row, due_ms)},
	{"created", FIELD_TIME, offsetof(struct swm_outbox_row, created_ms)},
	{"until", FIELD_TIME, offsetof(struct swm_outbox_row, lease_until_ms)},
	{"claims", FIELD_INT64, offsetof(struct swm_outbox_row, claims)},
	{"attempt", FIELD_INT32, offsetof(struct swm_outbox_row, attempt)},
	{"kind", FIELD_INT32, offsetof(struct swm_outbox_row, kind)},
	{"reason", FIELD_TEXT, offsetof(struct swm_outbox_row, reason)},
};
const struct fields row_state = FIELDS(row_machine, struct swm_outbox_row);

static const struct field row_contents[] = {
	{"destination", FIELD_TEXT, offsetof(struct swm_outbox_row, destination)},
	{"key", FIELD_BYTES, offsetof(struct swm_outbox_row, key)},
	{"body", FIELD_BYTES, offsetof(struct swm_outbox_row, body)},
};
const struct fields row_payload = FIELDS(row_contents, struct swm_outbox_row);

static const struct field template_all[] = {
	{"_id", FIELD_TEXT, offsetof(struct swm_template_row, id)},
	{"workflow_name", FIELD_TEXT, offsetof(struct swm_template_row, workflow)},
	{"component_name", FIELD_TEXT, offsetof(struct swm_template_row, component)},
	{"version", FIELD_INT64, offsetof(struct swm_template_row, version)},
	{"created_at", FIELD_TIME, offsetof(struct swm_template_row, created_ms)},
	{"author", FIELD_TEXT, offsetof(struct swm_template_row, author)},
	{"comment", FIELD_TEXT, offsetof(struct swm_template_row, comment)},
	{"sha256", FIELD_TEXT, offsetof(struct swm_template_row, sha256)},
	{"body", FIELD_BYTES, offsetof(struct swm_template_row, body)},
};
const struct fields template_fields = FIELDS(template_all, struct swm_template_row);

/* --- Into documents --- */

void put_text(struct put *put, const char *name, struct swm_str text)
{
	if (!text.ptr) {
		return;
	}
	if (!bson_utf8_validate(text.ptr, text.len, false)) {
		put->bad = true;
		return;
	}
	bson_append_utf8(put->bson, name, -1, text.ptr, (int)text.len);
}

void put_bytes(struct put *put, const char *name, struct swm_str bytes)
{
	if (!bytes.ptr) {
		return;
	}
	if (bson_utf8_validate(bytes.ptr, bytes.len, false)) {
		bson_append_utf8(put->bson, name, -1, bytes.ptr, (int)bytes.len);
	} else {
		bson_append_binary(put->bson, name, -1, BSON_SUBTYPE_BINARY,
			(const uint8_t *)bytes.ptr, (uint32_t)bytes.len);
	}
}

static struct swm_str str_at(const void *item, const struct field *field)
{
	struct swm_str str;

	memcpy(&str, (const char *)item + field->offset, sizeof(str));
	return str;
}

static int64_t int64_at(const void *item, const struct field *field)
{
	int64_t value;

	memcpy(&value, (const char *)item + field->offset, sizeof(value));
	return value;
}

static int32_t int32_at(const void *item, const struct field *field)
{
	int32_t value;

	memcpy(&value, (const char *)item + field->offset, sizeof(value));
	return value;
}

static void put_field(
	struct put *put, const char *name, const struct field *field, const void *item)
{
	switch (field->type) {
	case FIELD_TEXT:
		put_text(put, name, str_at(item, field));
		break;
	case FIELD_BYTES:
		put_bytes(put, name, str_at(item, field));
		break;
	case FIELD_INT64:
		bson_append_int64(put->bson, name, -1, int64_at(item, field));
		break;
	case FIELD_INT32:
		bson_append_int32(put->bson, name, -1, int32_at(item, field));
		break;
	case FIELD_TIME:
		bson_append_date_time(put->bson, name, -1, int64_at(item, field));
		break;
	}
}

/* Our own names are short. */
static struct path join(const char *prefix, const char *name)
{
	struct path path = {0};
	int len = snprintf(path.text, sizeof(path.text), "%s%s", prefix, name);

	assert(len > 0 && (size_t)len < sizeof(path.text));
	return path;
}

void put_fields(
	struct put *put, const char *prefix, const struct fields *fields, const void *item)
{
	for (size_t i = 0; i < fields->count; i++) {
		struct path path = join(prefix, fields->items[i].name);

		put_field(put, path.text, &fields->items[i], item);
	}
}

void put_absent(
	bson_t *unset, const char *prefix, const struct fields *fields, const void *item)
{
	for (size_t i = 0; i < fields->count; i++) {
		const struct field *field = &fields->items[i];

		if ((field->type == FIELD_TEXT || field->type == FIELD_BYTES) &&
			!str_at(item, field).ptr) {
			struct path path = join(prefix, field->name);

			bson_append_utf8(unset, path.text, -1, "", 0);
		}
	}
}

struct row_key row_key_of(struct swm_str id)
{
	static const char hex[] = "0123456789abcdef";
	struct row_key key;
	size_t used = 0;

	/* So that none is a number, which means a place in a list elsewhere. */
	key.text[used++] = 'r';
	for (size_t i = 0; i < id.len && used + 3 < sizeof(key.text); i++) {
		unsigned char byte = (unsigned char)id.ptr[i];
		bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
			     (byte >= 'A' && byte <= 'Z');

		if (plain) {
			key.text[used++] = (char)byte;
		} else {
			key.text[used++] = '_';
			key.text[used++] = hex[byte >> 4];
			key.text[used++] = hex[byte & 15];
		}
	}
	key.text[used] = '\0';
	return key;
}

struct path path_of(const char *parent, const struct row_key *key, const char *field)
{
	struct path path;
	int len = snprintf(path.text, sizeof(path.text), "%s.%s%s%s", parent, key->text,
		field ? "." : "", field ? field : "");

	assert(len > 0 && (size_t)len < sizeof(path.text));
	return path;
}

/* --- Out of documents --- */

int compare_bytes(struct swm_str a, struct swm_str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 && a.ptr && b.ptr ? memcmp(a.ptr, b.ptr, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

struct swm_str bytes_of(const bson_iter_t *iter)
{
	uint32_t len = 0;

	if (BSON_ITER_HOLDS_UTF8(iter)) {
		const char *text = bson_iter_utf8(iter, &len);

		return (struct swm_str){text, len};
	}
	if (BSON_ITER_HOLDS_BINARY(iter)) {
		const uint8_t *bytes = NULL;

		bson_iter_binary(iter, NULL, &len, &bytes);
		return (struct swm_str){bytes ? (const char *)bytes : "", len};
	}
	return (struct swm_str){NULL, 0};
}

static bool take_field(const bson_iter_t *iter, const struct field *field, char *item)
{
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_BYTES: {
		struct swm_str bytes = bytes_of(iter);

		memcpy(item + field->offset, &bytes, sizeof(bytes));
		return bytes.ptr != NULL;
	}
	case FIELD_INT64: {
		int64_t value = bson_iter_as_int64(iter);

		memcpy(item + field->offset, &value, sizeof(value));
		return BSON_ITER_HOLDS_INT(iter);
	}
	case FIELD_INT32: {
		int32_t value = (int32_t)bson_iter_as_int64(iter);

		memcpy(item + field->offset, &value, sizeof(value));
		return BSON_ITER_HOLDS_INT(iter);
	}
	case FIELD_TIME: {
		int64_t value = BSON_ITER_HOLDS_DATE_TIME(iter) ? bson_iter_date_time(iter) : 0;

		memcpy(item + field->offset, &value, sizeof(value));
		return BSON_ITER_HOLDS_DATE_TIME(iter);
	}
	}
	return false;
}

static bool take_all(bson_iter_t *iter, const struct fields *fields, void *item)
{
	bool ok = true;

	while (bson_iter_next(iter)) {
		const char *name = bson_iter_key(iter);

		for (size_t i = 0; i < fields->count; i++) {
			if (strcmp(name, fields->items[i].name) == 0) {
				ok = take_field(iter, &fields->items[i], item) && ok;
			}
		}
	}
	return ok;
}

bool take_fields(const bson_iter_t *parent, const struct fields *fields, void *item)
{
	bson_iter_t iter;

	return BSON_ITER_HOLDS_DOCUMENT(parent) && bson_iter_recurse(parent, &iter) &&
	       take_all(&iter, fields, item);
}

bool take_document(const bson_t *doc, const struct fields *fields, void *item)
{
	bson_iter_t iter;

	return bson_iter_init(&iter, doc) && take_all(&iter, fields, item);
}

bool find_value(const bson_t *doc, const char *path, bson_iter_t *out)
{
	bson_iter_t iter;

	return bson_iter_init(&iter, doc) && bson_iter_find_descendant(&iter, path, out);
}

bool find_int64(const bson_t *doc, const char *path, int64_t *out)
{
	bson_iter_t iter;

	if (!find_value(doc, path, &iter) || !BSON_ITER_HOLDS_INT(&iter)) {
		return false;
	}
	*out = bson_iter_as_int64(&iter);
	return true;
}

bool find_time(const bson_t *doc, const char *path, int64_t *out)
{
	bson_iter_t iter;

	if (!find_value(doc, path, &iter) || !BSON_ITER_HOLDS_DATE_TIME(&iter)) {
		return false;
	}
	*out = bson_iter_date_time(&iter);
	return true;
}

bool find_oid(const bson_t *doc, const char *path, bson_oid_t *out)
{
	bson_iter_t iter;

	if (!find_value(doc, path, &iter) || !BSON_ITER_HOLDS_OID(&iter)) {
		return false;
	}
	bson_oid_copy(bson_iter_oid(&iter), out);
	return true;
}
