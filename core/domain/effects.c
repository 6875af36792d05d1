/* SPDX-License-Identifier: MIT */

/* Two growing lists in the arena of the batch. */

#include "effects.h"

#include "json_out.h"
#include "payload.h"

#include <string.h>

/* Most messages are written in one go, without counting first. */
#define FIRST_TRY_BYTES 1024

#define FIRST_CAP 4

void swm_effects_init(struct swm_effects *effects, struct swm_arena *arena)
{
	*effects = (struct swm_effects){.arena = arena};
}

/* A list with room for one more: itself, or a copy of twice the size. */
static void *with_room(
	struct swm_arena *arena, void *items, size_t size, size_t count, size_t *cap)
{
	if (count < *cap) {
		return items;
	}
	size_t larger = *cap ? *cap * 2 : FIRST_CAP;
	void *copy = swm_arena_take(arena, larger * size);
	if (copy) {
		if (count) {
			memcpy(copy, items, count * size);
		}
		*cap = larger;
	}
	return copy;
}

static void write_body(struct swm_json_out *out, const struct swm_instance *instance,
	struct swm_str business_ref, bool plain, const struct swm_owed *owed)
{
	if (owed->kind == SWM_MESSAGE_START_TASK) {
		swm_payload_start_task(out, instance, business_ref, owed, plain);
	} else {
		swm_payload_timer(out, instance, business_ref, owed);
	}
}

swm_status swm_effects_owe(struct swm_effects *effects, const struct swm_instance *instance,
	struct swm_str business_ref, bool plain, struct swm_owed *owed)
{
	char first_try[FIRST_TRY_BYTES];
	struct swm_json_out out;
	struct swm_owed *items = with_room(effects->arena, effects->owed, sizeof(*items),
		effects->owed_count, &effects->owed_cap);
	if (!items) {
		return SWM_E_NOMEM;
	}
	effects->owed = items;

	swm_json_out_init(&out, first_try, sizeof(first_try));
	write_body(&out, instance, business_ref, plain, owed);
	size_t len = out.len;
	char *body = swm_arena_take(effects->arena, len);
	if (!body) {
		return SWM_E_NOMEM;
	}
	if (swm_json_out_fits(&out)) {
		memcpy(body, first_try, len);
	} else {
		swm_json_out_init(&out, body, len);
		write_body(&out, instance, business_ref, plain, owed);
	}
	owed->body = (struct swm_str){body, len};
	items[effects->owed_count++] = *owed;
	return SWM_OK;
}

/* Takes a message out again that this commit would have added. */
static bool take_back(struct swm_effects *effects, const struct swm_id *id)
{
	for (size_t i = effects->owed_count; i-- > 0;) {
		if (memcmp(effects->owed[i].id.hex, id->hex, SWM_ID_LEN) == 0) {
			effects->owed_count--;
			memmove(&effects->owed[i], &effects->owed[i + 1],
				(effects->owed_count - i) * sizeof(effects->owed[0]));
			return true;
		}
	}
	return false;
}

swm_status swm_effects_cancel(struct swm_effects *effects, const struct swm_id *id)
{
	if (take_back(effects, id)) {
		return SWM_OK;
	}
	struct swm_id *items = with_room(effects->arena, effects->cancelled, sizeof(*items),
		effects->cancelled_count, &effects->cancelled_cap);
	if (!items) {
		return SWM_E_NOMEM;
	}
	effects->cancelled = items;
	items[effects->cancelled_count++] = *id;
	return SWM_OK;
}
