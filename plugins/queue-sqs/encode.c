/* SPDX-License-Identifier: MIT */

/* See encode.h. Digests are libmd's. */

#include "encode.h"

#include <md5.h>
#include <sha2.h>
#include <string.h>

static const char standard[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static const uint8_t *bytes_of(struct swm_str text)
{
	return (const uint8_t *)text.ptr;
}

void swm_sqs_md5(struct swm_str bytes, char out[SWM_SQS_MD5_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[MD5_DIGEST_LENGTH];
	MD5_CTX context;
	size_t i;

	MD5Init(&context);
	MD5Update(&context, bytes_of(bytes), bytes.len);
	MD5Final(digest, &context);
	for (i = 0; i < sizeof(digest); i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[2 * sizeof(digest)] = '\0';
}

/* Four characters for three bytes, of which `count` count. */
static void encode_three(const uint8_t *in, size_t count, const char *alphabet, char out[4])
{
	uint32_t bits = (uint32_t)in[0] << 16;

	bits |= count > 1 ? (uint32_t)in[1] << 8 : 0;
	bits |= count > 2 ? in[2] : 0;
	out[0] = alphabet[bits >> 18];
	out[1] = alphabet[bits >> 12 & 63];
	out[2] = '=';
	out[3] = '=';
	if (count > 1) {
		out[2] = alphabet[bits >> 6 & 63];
	}
	if (count > 2) {
		out[3] = alphabet[bits & 63];
	}
}

void swm_sqs_hash(struct swm_str bytes, char out[SWM_SQS_HASH_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX context;
	char four[4];
	size_t i;

	SHA256Init(&context);
	SHA256Update(&context, bytes_of(bytes), bytes.len);
	SHA256Final(digest, &context);
	for (i = 0; i < sizeof(digest); i += 3) {
		size_t count = sizeof(digest) - i < 3 ? sizeof(digest) - i : 3;

		encode_three(digest + i, count, url_safe, four);
		memcpy(out + i / 3 * 4, four, count + 1);
	}
	out[SWM_SQS_HASH_SIZE - 1] = '\0';
}

void swm_sqs_base64_add(struct swm_sqs_text *text, struct swm_str bytes)
{
	size_t i;

	for (i = 0; i < bytes.len; i += 3) {
		char four[4];

		encode_three(bytes_of(bytes) + i, bytes.len - i, standard, four);
		swm_sqs_text_add(text, four, sizeof(four));
	}
}

static int decode_one(char c)
{
	const char *found = c == '\0' ? NULL : strchr(standard, c);

	return found == NULL ? -1 : (int)(found - standard);
}

bool swm_sqs_base64_decode(char *text, size_t *len)
{
	size_t count = *len;
	size_t out = 0;
	uint32_t bits = 0;
	size_t i;

	while (count > 0 && text[count - 1] == '=') {
		count--;
	}
	if (*len % 4 != 0 || *len - count > 2) {
		return false;
	}
	for (i = 0; i < count; i++) {
		int value = decode_one(text[i]);

		if (value < 0) {
			return false;
		}
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 0) {
			text[out++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
		}
	}
	*len = out;
	return true;
}

/* The length of the UTF-8 character at `at`, at most `left` bytes; 0: it is none. */
static size_t read_character(const uint8_t *at, size_t left, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = at[0] < 0x80   ? 1
		     : at[0] < 0xc0 ? 0
		     : at[0] < 0xe0 ? 2
		     : at[0] < 0xf0 ? 3
				    : 4;
	size_t i;

	if (len == 0 || at[0] > 0xf4 || len > left) {
		return 0;
	}
	*code = len == 1 ? at[0] : at[0] & (0x7fU >> len);
	for (i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
		*code = *code << 6 | (at[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)) {
		return 0;
	}
	return len;
}

enum swm_sqs_legal swm_sqs_legal(struct swm_str text)
{
	enum swm_sqs_legal legal = text.len == 0 ? SWM_SQS_ILLEGAL : SWM_SQS_LEGAL;
	const uint8_t *at = bytes_of(text);
	size_t left = text.len;

	while (left > 0) {
		uint32_t code = 0;
		size_t len = read_character(at, left, &code);

		if (len == 0 || (code < 0x20 && code != '\t' && code != '\n' && code != '\r')) {
			return SWM_SQS_ILLEGAL;
		}
		if (code == 0xfffe || code == 0xffff) {
			legal = SWM_SQS_NONCHARACTER;
		}
		at += len;
		left -= len;
	}
	return legal;
}
