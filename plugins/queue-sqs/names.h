/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_NAMES_H
#define QUEUE_SQS_NAMES_H

/*
 * The names that messages use between our own publishers and consumers. Whoever has sent
 * messages with them has to find them again with a later version.
 */

/* Attributes. */
#define ID_NAME "swm-message-id"
#define REST_NAME "swm-headers"

/* Among the rest, beside headers. */
#define KEY_NAME "swm-key"
#define ENCODING_NAME "swm-encoding"
#define ENCODING_BASE64 "base64"
#define ENCODING_EMPTY "empty"

/* SQS takes no empty body: what is sent in its place. */
#define EMPTY_BODY "-"

#endif
