/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_STORE_RULES_H
#define SWM_COMMON_STORE_RULES_H

/*
 * What every store plugin asks of its caller, as swm/store.h has it, and two small
 * formats that stores share: the headers of an outbox row as one run of bytes, and the
 * numbers in a page's token.
 *
 * Concurrency: no state; any thread.
 */

#include <swm/store.h>

enum {
	/* Limits of the port. */
	SWM_STORE_INSTANCE_ID_MAX = 512,
	SWM_STORE_OUTBOX_ID_MAX = 64,
	SWM_STORE_PAGE_MAX = 1000
};

/* SWM_E_INVALID unless a commit's arguments keep to the port's rules. */
swm_status swm_store_check_commit(int64_t lease_ms, const struct swm_commit *items,
	size_t count, const struct swm_outbox_mark *marks, size_t mark_count,
	struct swm_error *err);

/* SWM_E_INVALID when the row breaks the port's rules. */
swm_status swm_store_check_row(const struct swm_outbox_row *row, struct swm_error *err);

/* SWM_E_INVALID unless the page is one to ask for. */
swm_status swm_store_check_page(const struct swm_page *page, struct swm_error *err);

/* The bytes that a commit item, or a row, takes: its texts, bodies and headers. */
size_t swm_store_item_bytes(const struct swm_commit *item);
size_t swm_store_row_bytes(const struct swm_outbox_row *row);

/* The filter as this plugin knows it: members that the caller lacks are absent. `given`
 * may be NULL. */
struct swm_instance_filter swm_store_filter(const struct swm_instance_filter *given);

/* Reads all of `text` as a number that is not negative; false when it is none. */
bool swm_store_number(struct swm_str text, int64_t *out);

/* Where a page of instances ended, "CREATED_MS:ID"; absent: before the first. False:
 * that is not such a token. */
bool swm_store_instance_token(struct swm_str after, int64_t *created_ms, struct swm_str *id);

/* SWM_E_INVALID for a token that is none. */
swm_status swm_store_bad_token(struct swm_error *err);

/*
 * Headers as one run of bytes: for each the lengths of name and value (32 bits,
 * little-endian) and their bytes. Their sum is within swm_store_row_bytes(), which the
 * plugin bounds before.
 */
size_t swm_store_headers_bytes(const struct swm_header *headers, size_t count);
void swm_store_headers_pack(const struct swm_header *headers, size_t count, void *out);

/* How many there are; false when those are not packed headers. */
bool swm_store_headers_count(struct swm_str packed, size_t *count);

/* Points out[0..count) into `packed`, which swm_store_headers_count() has accepted. */
void swm_store_headers_unpack(struct swm_str packed, struct swm_header *out, size_t count);

#endif
