/* SPDX-License-Identifier: MIT */

/*
 * See copy.h.
 */

#include "copy.h"

#include "must.h"

#include <assert.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool sim_str_equal(struct swm_str a, struct swm_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void move(char **at, struct swm_str *text)
{
	if (text->ptr) {
		memcpy(*at, text->ptr, text->len);
		text->ptr = *at;
		*at += text->len;
	}
}

/* Headers first, for their alignment, then all bytes. */
static char *pack(struct swm_str *const *texts, size_t count, const struct swm_header **headers,
	size_t header_count)
{
	size_t total = header_count * sizeof(struct swm_header) + 1;
	for (size_t i = 0; i < count; i++) {
		total += texts[i]->ptr ? texts[i]->len : 0;
	}
	for (size_t i = 0; i < header_count; i++) {
		total += (*headers)[i].name.len + (*headers)[i].value.len;
	}
	char *block = sim_must_realloc(NULL, total);
	struct swm_header *copies = (struct swm_header *)(void *)block;
	char *at = block + header_count * sizeof(struct swm_header);
	for (size_t i = 0; i < count; i++) {
		move(&at, texts[i]);
	}
	for (size_t i = 0; i < header_count; i++) {
		copies[i] = (*headers)[i];
		move(&at, &copies[i].name);
		move(&at, &copies[i].value);
	}
	if (header_count > 0) {
		*headers = copies;
	}
	assert((size_t)(at - block) < total);
	return block;
}

char *sim_copy_message(struct swm_message *message)
{
	struct swm_str *const texts[] = {
		&message->destination, &message->id, &message->key, &message->body};
	return pack(texts, COUNT(texts), &message->headers, message->header_count);
}

char *sim_copy_instance(struct swm_instance_row *row)
{
	struct swm_str *const texts[] = {&row->id, &row->workflow, &row->component,
		&row->business_ref, &row->template_id, &row->stage, &row->business_status,
		&row->body};
	return pack(texts, COUNT(texts), NULL, 0);
}

char *sim_copy_event(struct swm_event_row *row)
{
	struct swm_str *const texts[] = {&row->id, &row->source_id, &row->name, &row->stage,
		&row->task, &row->reason, &row->actor, &row->body};
	return pack(texts, COUNT(texts), NULL, 0);
}

char *sim_copy_outbox(struct swm_outbox_row *row)
{
	struct swm_str *const texts[] = {&row->id, &row->instance_id, &row->destination,
		&row->key, &row->body, &row->reason};
	return pack(texts, COUNT(texts), &row->headers, row->header_count);
}

char *sim_copy_template(struct swm_template_row *row)
{
	struct swm_str *const texts[] = {&row->id, &row->workflow, &row->component, &row->body,
		&row->author, &row->comment, &row->sha256};
	return pack(texts, COUNT(texts), NULL, 0);
}
