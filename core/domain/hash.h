/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_HASH_H
#define SWM_DOMAIN_HASH_H

/*
 * Identities are hashes: the same cause gives the same id, on any machine, at
 * any time. SHA-256 is libmd's.
 */

#include <swm/types.h>

/* Hex digits of an id: the first 128 bits of a SHA-256. */
#define SWM_ID_LEN 32

struct swm_id {
	char hex[SWM_ID_LEN + 1]; /* terminated */
};

/* Of the parts in order, each with its length before it (8 bytes, big endian), so
 * that no two lists of parts look alike. An absent part counts as an empty one. */
void swm_id_of(const struct swm_str *parts, size_t count, struct swm_id *out);

struct swm_str swm_id_str(const struct swm_id *id);

/* 64 hex digits of the SHA-256 of `bytes`, terminated. */
void swm_sha256_hex(struct swm_str bytes, char out[65]);

#endif
