/* SPDX-License-Identifier: MIT */

/*
 * See inbound.h.
 */

#include "inbound.h"

#include "error.h"
#include "message.h"
#include "shared.h"
#include "text.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static swm_status no_memory(struct swm_error *err)
{
	return swm_error_set(err, SWM_E_NOMEM, "out of memory");
}

void swm_inbound_finish(struct swm_inbound *inbound)
{
	if (inbound->has_event) {
		swm_event_finish(&inbound->event);
		inbound->has_event = false;
	}
}

swm_status swm_inbound_give_up(struct swm_inbound *inbound, struct swm_arena *lasting,
	struct swm_str reason, struct swm_error *err)
{
	if (!swm_arena_copy(lasting, reason, &inbound->reason)) {
		return no_memory(err);
	}
	inbound->state = SWM_INBOUND_UNUSABLE;
	return SWM_OK;
}

/* The id that the message came with, the sender's own first; absent: none. */
static struct swm_str given_id(const struct swm_inbound *inbound)
{
	const struct swm_delivery *delivery = inbound->delivery;
	struct swm_str header = swm_header_find(
		delivery->headers, delivery->header_count, SWM_STR(SWM_HEADER_EVENT_ID));
	if (inbound->has_event && inbound->event.event_id.len > 0) {
		return inbound->event.event_id;
	}
	return header.len > 0 ? header : delivery->id;
}

/* False: out of memory. */
static bool find_raw_id(const struct swm_reader *reader, struct swm_inbound *inbound)
{
	inbound->raw_id = given_id(inbound);
	if (inbound->raw_id.len > 0) {
		return true;
	}
	char chance[SWM_CHANCE_LEN + 1];
	struct swm_str id = swm_chance_id(reader->env, chance);
	return swm_arena_copy(reader->lasting, id, &inbound->raw_id);
}

/* Links an event to an equal one of the same instance that came before it. False: out
 * of memory. */
static bool find_first(const struct swm_reader *reader, struct swm_inbound *inbound)
{
	size_t len = SWM_ID_LEN + inbound->instance_id.len;
	char *key = swm_arena_take(reader->lasting, len);
	if (!key) {
		return false;
	}
	memcpy(key, inbound->key.hex, SWM_ID_LEN);
	memcpy(key + SWM_ID_LEN, inbound->instance_id.ptr, inbound->instance_id.len);
	inbound->by_key.key = (struct swm_str){key, len};
	struct swm_table_node *there = swm_table_find(reader->keys, inbound->by_key.key);
	if (!there) {
		return swm_table_insert(reader->keys, &inbound->by_key);
	}
	inbound->first =
		(struct swm_inbound *)((char *)there - offsetof(struct swm_inbound, by_key));
	return true;
}

swm_status swm_inbound_read(
	const struct swm_reader *reader, struct swm_inbound *inbound, struct swm_error *err)
{
	struct swm_error problem = {0};
	swm_status status = swm_event_read(
		inbound->delivery->body, reader->limits, &inbound->event, &problem);
	if (status == SWM_E_NOMEM) {
		return no_memory(err);
	}
	if (status != SWM_OK) {
		inbound->raw_id = given_id(inbound);
		return swm_inbound_give_up(
			inbound, reader->lasting, swm_str_from(problem.message), err);
	}
	inbound->has_event = true;
	if (!find_raw_id(reader, inbound)) {
		goto error_nomem;
	}
	if (inbound->raw_id.len > SWM_RAW_ID_MAX) {
		if (swm_inbound_give_up(inbound, reader->lasting,
			    SWM_STR("the id of the event is over its limit"), err) != SWM_OK) {
			goto error_nomem;
		}
		return SWM_OK;
	}
	char id[SWM_INSTANCE_ID_MAX + 1];
	size_t len = 0;
	bool fits = swm_instance_id_write(
		inbound->event.component, inbound->event.business_ref, id, &len);
	assert(fits); /* as swm_event_read() has made sure */
	swm_event_key(&inbound->event, inbound->raw_id, &inbound->key);
	if (!swm_arena_copy(
		    reader->lasting, (struct swm_str){id, len}, &inbound->instance_id) ||
		!find_first(reader, inbound)) {
		goto error_nomem;
	}
	inbound->state = SWM_INBOUND_OPEN;
	return SWM_OK;

error_nomem:
	swm_inbound_finish(inbound);
	return no_memory(err);
}
