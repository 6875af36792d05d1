/* SPDX-License-Identifier: MIT */

/* The codec of the `headers` column; the format is in headers.h. */

#include "headers.h"

#include <string.h>

#define NUMBER_BYTES ((size_t)4)
/* The two lengths before each header. */
#define LENGTHS_BYTES (2 * NUMBER_BYTES)

static void put_number(unsigned char *at, size_t value)
{
	at[0] = (unsigned char)(value & 0xff);
	at[1] = (unsigned char)((value >> 8) & 0xff);
	at[2] = (unsigned char)((value >> 16) & 0xff);
	at[3] = (unsigned char)((value >> 24) & 0xff);
}

static size_t get_number(const unsigned char *at)
{
	return (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
}

size_t swm_headers_size(const struct swm_header *headers, size_t count)
{
	size_t size = NUMBER_BYTES;
	size_t i;

	if (count == 0) {
		return 0;
	}
	for (i = 0; i < count; i++) {
		if (headers[i].name.len > INT32_MAX || headers[i].value.len > INT32_MAX) {
			return SIZE_MAX;
		}
		size += LENGTHS_BYTES + headers[i].name.len + headers[i].value.len;
	}
	return size;
}

static unsigned char *put_bytes(unsigned char *at, struct swm_str text)
{
	if (text.len != 0) {
		memcpy(at, text.ptr, text.len);
	}
	return at + text.len;
}

void swm_headers_write(const struct swm_header *headers, size_t count, unsigned char *out)
{
	size_t i;

	if (count == 0) {
		return;
	}
	put_number(out, count);
	out += NUMBER_BYTES;
	for (i = 0; i < count; i++) {
		put_number(out, headers[i].name.len);
		put_number(out + NUMBER_BYTES, headers[i].value.len);
		out = put_bytes(out + LENGTHS_BYTES, headers[i].name);
		out = put_bytes(out, headers[i].value);
	}
}

swm_status swm_headers_count(const unsigned char *blob, size_t blob_len, size_t *count)
{
	size_t left = blob_len;
	size_t wanted;
	size_t bytes;
	size_t i;

	if (blob_len == 0) {
		*count = 0;
		return SWM_OK;
	}
	if (left < NUMBER_BYTES) {
		return SWM_E_CORRUPT;
	}
	wanted = get_number(blob);
	blob += NUMBER_BYTES;
	left -= NUMBER_BYTES;
	if (wanted == 0 || wanted > SWM_HEADERS_MAX) {
		return SWM_E_CORRUPT;
	}
	for (i = 0; i < wanted; i++) {
		if (left < LENGTHS_BYTES) {
			return SWM_E_CORRUPT;
		}
		bytes = get_number(blob) + get_number(blob + NUMBER_BYTES);
		left -= LENGTHS_BYTES;
		if (bytes > left) {
			return SWM_E_CORRUPT;
		}
		left -= bytes;
		blob += LENGTHS_BYTES + bytes;
	}
	if (left != 0) {
		return SWM_E_CORRUPT;
	}
	*count = wanted;
	return SWM_OK;
}

void swm_headers_read(const unsigned char *blob, struct swm_header *out, size_t count)
{
	size_t i;

	blob += NUMBER_BYTES;
	for (i = 0; i < count; i++) {
		out[i].name.len = get_number(blob);
		out[i].value.len = get_number(blob + NUMBER_BYTES);
		out[i].name.ptr = (const char *)blob + LENGTHS_BYTES;
		out[i].value.ptr = out[i].name.ptr + out[i].name.len;
		blob += LENGTHS_BYTES + out[i].name.len + out[i].value.len;
	}
}
