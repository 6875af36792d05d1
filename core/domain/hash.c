/* SPDX-License-Identifier: MIT */

/* Ids from SHA-256 over length-prefixed parts. */

#include "hash.h"

#include <sha2.h>

static void hex_write(const uint8_t *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * count] = '\0';
}

void swm_id_of(const struct swm_str *parts, size_t count, struct swm_id *out)
{
	SHA2_CTX sha;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256Init(&sha);
	for (size_t i = 0; i < count; i++) {
		uint8_t prefix[8];
		for (unsigned byte = 0; byte < 8; byte++) {
			prefix[byte] = (uint8_t)((uint64_t)parts[i].len >> (56 - 8 * byte));
		}
		SHA256Update(&sha, prefix, sizeof(prefix));
		if (parts[i].len) {
			SHA256Update(&sha, (const uint8_t *)parts[i].ptr, parts[i].len);
		}
	}
	SHA256Final(digest, &sha);
	hex_write(digest, SWM_ID_LEN / 2, out->hex);
}

struct swm_str swm_id_str(const struct swm_id *id)
{
	return (struct swm_str){id->hex, SWM_ID_LEN};
}

void swm_sha256_hex(struct swm_str bytes, char out[65])
{
	SHA2_CTX sha;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256Init(&sha);
	if (bytes.len) {
		SHA256Update(&sha, (const uint8_t *)bytes.ptr, bytes.len);
	}
	SHA256Final(digest, &sha);
	hex_write(digest, sizeof(digest), out);
}
