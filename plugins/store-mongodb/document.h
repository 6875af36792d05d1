/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_DOCUMENT_H
#define STORE_MONGODB_DOCUMENT_H

/*
 * The readable form of an instance, beside the bytes that count: the fields of the original
 * Python manager's document, as `swm show -o json` prints them, at the top of the document.
 * Written with each step when the configuration asks for it, and never read by us, so that
 * it can be neither wrong for the engine nor in its way: when it cannot be made (a body of
 * another format, no such template) the fields are absent.
 *
 * Concurrency: belongs to a session, like the templates that it keeps.
 */

#include "store.h"

struct documents;

/* NULL: no memory. */
struct documents *documents_create(struct swm_session *session);
void documents_destroy(struct documents *documents);

/* Appends the readable fields of an instance as this step leaves it. `documents` may be
 * NULL. *data tells whether the instance has data. False: none was appended. */
bool document_append(struct documents *documents, const struct swm_instance_row *row,
	bson_t *out, bool *data);

/* Appends to an $unset those that document_append() has not. */
void document_unset(bool appended, bool data, bson_t *unset);

#endif
