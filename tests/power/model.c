/* SPDX-License-Identifier: MIT */

/* What has to be there; see model.h. */

#include "model.h"

#include "chance.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

enum model_place model_place_of(enum model_kind kind)
{
	return kind == MODEL_NAME || kind == MODEL_MESSAGE ? MODEL_QUEUE : MODEL_STORE;
}

void model_init(struct model *model)
{
	*model = (struct model){0};
	model_op_begin(model, MODEL_STORE, "nothing", true, 0);
	model_op_end(model, 0);
}

void model_finish(struct model *model)
{
	for (int place = 0; place < MODEL_PLACES; place++) {
		free(model->lost[place].sums);
	}
	free(model->items);
	free(model->ops);
	*model = (struct model){0};
}

uint32_t model_number(struct model *model)
{
	return ++model->last_number;
}

void model_op_begin(
	struct model *model, enum model_place place, const char *what, bool durable, size_t at)
{
	model->ops =
		power_grow(model->ops, model->op_count, &model->op_room, sizeof(*model->ops));
	model->ops[model->op_count++] = (struct model_op){
		.what = what, .place = place, .durable = durable, .begins = at};
}

void model_op_end(struct model *model, size_t at)
{
	struct model_op *op = &model->ops[model->op_count - 1];

	op->ends = at;
	memcpy(op->sums, model->sums, sizeof(op->sums));
}

void model_op_fail(struct model *model, bool doubtful)
{
	uint32_t number = (uint32_t)model->op_count - 1;
	struct model_op *op = &model->ops[number];

	op->durable = false;
	op->doubtful = doubtful;
	op->doubt = model->sums[op->place];
	memcpy(model->sums, model->ops[number - 1].sums, sizeof(model->sums));
	while (model->item_count > 0 && model->items[model->item_count - 1].born == number) {
		model->item_count--;
	}
	for (size_t i = 0; i < model->item_count; i++) {
		if (model->items[i].died == number) {
			model->items[i].died = MODEL_FOR_EVER;
		}
	}
}

void model_bring(struct model *model, const struct model_item *item)
{
	model->items = power_grow(
		model->items, model->item_count, &model->item_room, sizeof(*model->items));
	struct model_item *brought = &model->items[model->item_count++];
	*brought = *item;
	brought->born = (uint32_t)model->op_count - 1;
	brought->died = MODEL_FOR_EVER;
	model->sums[model_place_of(item->kind)] += item->hash;
}

void model_end(struct model *model, size_t index)
{
	struct model_item *item = &model->items[index];

	item->died = (uint32_t)model->op_count - 1;
	model->sums[model_place_of(item->kind)] -= item->hash;
}

void model_replace(struct model *model, size_t index, const struct model_item *item)
{
	struct model_item next = *item;

	model_end(model, index);
	model_bring(model, &next);
}

size_t model_find(const struct model *model, enum model_kind kind, uint32_t number)
{
	for (size_t i = model->item_count; i-- > 0;) {
		const struct model_item *item = &model->items[i];

		if (item->number == number && item->kind == kind &&
			item->died == MODEL_FOR_EVER) {
			return i;
		}
	}
	return SIZE_MAX;
}

size_t model_pick(const struct model *model, enum model_kind kind, uint64_t chance)
{
	size_t count = 0;

	for (size_t i = 0; i < model->item_count; i++) {
		count += model->items[i].kind == kind && model->items[i].died == MODEL_FOR_EVER;
	}
	if (count == 0) {
		return SIZE_MAX;
	}
	count = chance % count;
	for (size_t i = 0;; i++) {
		if (model->items[i].kind == kind && model->items[i].died == MODEL_FOR_EVER &&
			count-- == 0) {
			return i;
		}
	}
}

void model_bounds(const struct model *model, enum model_place place, size_t at, uint32_t *low,
	uint32_t *high)
{
	*low = 0;
	*high = 0;
	for (uint32_t i = 1; i < model->op_count; i++) {
		const struct model_op *op = &model->ops[i];

		if (op->place == place && op->begins < at) {
			*high = i;
		}
		if (op->place == place && op->ends <= at && op->durable) {
			*low = i;
		}
	}
	if (*high < *low) {
		*high = *low; /* the last one left no trace in the record */
	}
}

bool model_was_lost(const struct model *model, enum model_place place, uint32_t low,
	uint32_t high, uint64_t sum)
{
	const struct model_lost *lost = &model->lost[place];
	bool reached = false;

	for (size_t i = 0; i < lost->count; i++) {
		if (reached && lost->sums[i] == sum) {
			return true;
		}
		for (uint32_t op = low; op <= high; op++) {
			reached = reached || model->ops[op].sums[place] == lost->sums[i];
		}
	}
	return false;
}

/* All that comes after the state that was recovered. */
static void keep_lost(struct model *model, enum model_place place, uint32_t recovered)
{
	struct model_lost *lost = &model->lost[place];

	lost->count = 0;
	for (size_t i = recovered; i < model->op_count; i++) {
		if (i == recovered || model->ops[i].place == place) {
			lost->sums = power_grow(
				lost->sums, lost->count, &lost->room, sizeof(*lost->sums));
			lost->sums[lost->count++] = model->ops[i].sums[place];
		}
	}
}

void model_go_back(struct model *model, const uint32_t ops[MODEL_PLACES])
{
	size_t kept = 0;

	keep_lost(model, MODEL_STORE, ops[MODEL_STORE]);
	keep_lost(model, MODEL_QUEUE, ops[MODEL_QUEUE]);
	memset(model->sums, 0, sizeof(model->sums));
	for (size_t i = 0; i < model->item_count; i++) {
		struct model_item item = model->items[i];
		uint32_t op = ops[model_place_of(item.kind)];

		if (item.born <= op && item.died > op) {
			item.born = 0;
			item.died = MODEL_FOR_EVER;
			model->sums[model_place_of(item.kind)] += item.hash;
			model->items[kept++] = item;
		}
	}
	model->item_count = kept;
	model->op_count = 0;
	model_op_begin(model, MODEL_STORE, "what was recovered", true, 0);
	model_op_end(model, 0);
}

/* FNV-1a, 64 bits, taking in one value after the other; a length goes before a text, so
 * that no two lists of values read alike. */
static uint64_t take_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < len; i++) {
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	}
	return hash;
}

static uint64_t take_int(uint64_t hash, int64_t value)
{
	return take_bytes(hash, &value, sizeof(value));
}

/* An absent text is not an empty one. */
static uint64_t take_str(uint64_t hash, struct swm_str text)
{
	hash = take_int(hash, text.ptr ? (int64_t)text.len : -1);
	return text.ptr ? take_bytes(hash, text.ptr, text.len) : hash;
}

static uint64_t take_headers(uint64_t hash, const struct swm_header *headers, size_t count)
{
	hash = take_int(hash, (int64_t)count);
	for (size_t i = 0; i < count; i++) {
		hash = take_str(take_str(hash, headers[i].name), headers[i].value);
	}
	return hash;
}

static uint64_t begin_hash(enum model_kind kind)
{
	return take_int(UINT64_C(0xcbf29ce484222325), kind);
}

uint64_t hash_str(struct swm_str text)
{
	return take_str(begin_hash(MODEL_KINDS), text);
}

uint64_t hash_text(const char *text)
{
	return hash_str((struct swm_str){text, strlen(text)});
}

uint64_t hash_schema(void)
{
	return chance_mix(begin_hash(MODEL_SCHEMA));
}

uint64_t hash_template(const struct swm_template_row *row)
{
	const struct swm_str texts[] = {row->id, row->workflow, row->component, row->author,
		row->comment, row->sha256, row->body};
	uint64_t hash = begin_hash(MODEL_TEMPLATE);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		hash = take_str(hash, texts[i]);
	}
	return chance_mix(take_int(take_int(hash, row->version), row->created_ms));
}

uint64_t hash_instance(const struct swm_instance_row *row)
{
	const struct swm_str texts[] = {row->id, row->workflow, row->component,
		row->business_ref, row->template_id, row->stage, row->business_status,
		row->body};
	const int64_t numbers[] = {
		row->version, row->sequence, row->created_ms, row->updated_ms, row->status};
	uint64_t hash = begin_hash(MODEL_INSTANCE);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		hash = take_str(hash, texts[i]);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		hash = take_int(hash, numbers[i]);
	}
	return chance_mix(hash);
}

uint64_t hash_event(struct swm_str instance, const struct swm_event_row *row)
{
	const struct swm_str texts[] = {instance, row->id, row->source_id, row->name,
		row->stage, row->task, row->reason, row->actor, row->body};
	const int64_t numbers[] = {
		row->sequence, row->at_ms, row->attempt, row->outcome, row->rules};
	uint64_t hash = begin_hash(MODEL_EVENT);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		hash = take_str(hash, texts[i]);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		hash = take_int(hash, numbers[i]);
	}
	return chance_mix(hash);
}

uint64_t hash_row_fixed(const struct swm_outbox_row *row)
{
	const struct swm_str texts[] = {
		row->id, row->instance_id, row->destination, row->key, row->body};
	uint64_t hash = begin_hash(MODEL_ROW);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		hash = take_str(hash, texts[i]);
	}
	hash = take_headers(hash, row->headers, row->header_count);
	return take_int(take_int(hash, row->attempt), row->kind);
}

uint64_t hash_row(const struct model_item *item)
{
	const int64_t numbers[] = {item->created_ms, item->due_ms, item->lease_until_ms,
		item->claims, item->state, (int64_t)item->reason};
	uint64_t hash = item->fixed;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		hash = take_int(hash, numbers[i]);
	}
	return chance_mix(hash);
}

uint64_t hash_name(struct swm_str name)
{
	return chance_mix(take_str(begin_hash(MODEL_NAME), name));
}

uint64_t hash_message_fixed(struct swm_str queue, struct swm_str id, struct swm_str key,
	struct swm_str body, const struct swm_header *headers, size_t header_count)
{
	uint64_t hash = take_str(take_str(begin_hash(MODEL_MESSAGE), queue), id);

	return take_headers(take_str(take_str(hash, key), body), headers, header_count);
}

uint64_t hash_message(uint64_t fixed, int64_t attempt)
{
	return chance_mix(take_int(fixed, attempt));
}
