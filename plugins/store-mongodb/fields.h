/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_FIELDS_H
#define STORE_MONGODB_FIELDS_H

/*
 * The structs of the port as fields of documents, in both directions, and the names of all
 * fields.
 *
 * Text is a BSON string and has to be UTF-8. What may be any bytes is a string as well when
 * it is UTF-8, so that people can read it, and binary else: read back it is the same bytes.
 * What is absent has no field.
 *
 * No string from outside ever is a field's name. The rows of an outbox stand in a document
 * by names that are made of their ids: letters and digits as they are, all else in hex.
 *
 * Concurrency: no state.
 */

#include <bson/bson.h>

#include <swm/store.h>

/* An instance's fields for people stand at the top of its document, the machine's below
 * _swm; a carrier of rows without an instance has the same _swm. */
#define OUR "_swm"
#define OUR_(name) OUR "." name
#define ROWS OUR_("outbox")      /* by key: when, whose and what state; see row_state */
#define PAYLOADS OUR_("payload") /* by the same key: what is sent; see row_payload */
#define DUE OUR_("due")       /* no PENDING row can be claimed before; absent: none is there */
#define PARKED OUR_("parked") /* there when a row may be DEAD */
#define REV OUR_("rev")       /* counts what makes a row claimable sooner, or DEAD */
#define VERSION OUR_("version")
#define LIFE OUR_("life")       /* an ObjectId: of two instances of one id, in turn, which */
#define TOKENS OUR_("tokens")   /* of the last commits, newest last */
#define KEPT OUR_("bytes")      /* what events and rows have added, some that are gone too */
#define EVENTS OUR_("events")   /* not moved yet */
#define UNMOVED OUR_("unmoved") /* there when there are such */
#define MOVED OUR_("moved")     /* there when others are in the collection */
#define PURGED OUR_("purged")   /* there when the rest is only waiting to be deleted */
#define IDS "ids"               /* of a carrier: of its rows */

enum field_type {
	FIELD_TEXT,  /* struct swm_str */
	FIELD_BYTES, /* struct swm_str */
	FIELD_INT64,
	FIELD_INT32, /* int32_t or uint32_t */
	FIELD_TIME   /* int64_t, ms: a BSON date */
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
};

struct fields {
	const struct field *items;
	size_t count;
	size_t item_bytes;
};

extern const struct fields instance_fields; /* for people */
extern const struct fields instance_state;  /* below _swm */
extern const struct fields event_fields;    /* without its id */
extern const struct fields row_state;
extern const struct fields row_payload; /* and "headers" */
extern const struct fields template_fields;

/* A document that is being made. `bad` tells that some text is not UTF-8. */
struct put {
	bson_t *bson;
	bool bad;
};

/* Appends the fields of `item`, each name behind `prefix`. */
void put_fields(
	struct put *put, const char *prefix, const struct fields *fields, const void *item);

/* Appends to an $unset what put_fields() leaves out. */
void put_absent(
	bson_t *unset, const char *prefix, const struct fields *fields, const void *item);

void put_text(struct put *put, const char *name, struct swm_str text);
void put_bytes(struct put *put, const char *name, struct swm_str bytes);

/* The name that a row has in its document. */
enum {
	ROW_KEY_MAX = 3 * 64 + 2,
	PATH_MAX_BYTES = ROW_KEY_MAX + 64
};
struct row_key {
	char text[ROW_KEY_MAX];
};
struct row_key row_key_of(struct swm_str id);

/* "PARENT.KEY", or "PARENT.KEY.FIELD". */
struct path {
	char text[PATH_MAX_BYTES];
};
struct path path_of(const char *parent, const struct row_key *key, const char *field);

/* Reads the fields that a document, or a document within it, has. False: one is not of its
 * type. What the item points to lies in the document. */
bool take_fields(const bson_iter_t *parent, const struct fields *fields, void *item);
bool take_document(const bson_t *doc, const struct fields *fields, void *item);

/* The value at a dotted path; false: there is none. */
bool find_value(const bson_t *doc, const char *path, bson_iter_t *out);
bool find_int64(const bson_t *doc, const char *path, int64_t *out);
bool find_time(const bson_t *doc, const char *path, int64_t *out);
bool find_oid(const bson_t *doc, const char *path, bson_oid_t *out);

/* By their bytes; what is absent is empty. */
int compare_bytes(struct swm_str a, struct swm_str b);

/* The bytes of a string or of binary; absent for anything else. */
struct swm_str bytes_of(const bson_iter_t *iter);

#endif
