/* SPDX-License-Identifier: MIT */

/* The store's half of the work; see work.h. */

#include "work.h"

#include <string.h>

enum {
	ITEMS_MAX = 6,
	EVENTS_MAX = 3,
	ROWS_MAX = 3,
	PICKED_MAX = 16,
	FINISHED = 4, /* a status to purge by */
	LEASE_MS = 10000
};

#define OWNER ((struct swm_str){"o1", 2})

static struct swm_session *any_session(struct work *work)
{
	return work->sessions[chance_below(&work->chance, WORK_SESSIONS)];
}

static void open_sessions(struct work *work)
{
	struct swm_error err = {0};

	for (size_t i = 0; i < WORK_SESSIONS; i++) {
		work_must(work->rig->store->session_open(
				  work->store.store, &work->sessions[i], &err),
			&err, "session_open");
	}
}

static void close_sessions(struct work *work)
{
	for (size_t i = 0; i < WORK_SESSIONS; i++) {
		work->rig->store->session_close(work->sessions[i]);
		work->sessions[i] = NULL;
	}
}

/* A session that failed so is only good for being closed. */
static void reopen_after(struct work *work, swm_status status)
{
	if (status == SWM_E_UNAVAILABLE) {
		close_sessions(work);
		open_sessions(work);
	}
}

static void open_store(struct work *work)
{
	struct swm_error err = {0};

	work_must(rig_store_open(
			  work->rig, work->folder, SWM_OPEN_ORCHESTRATOR, &work->store, &err),
		&err, "store open");
}

void work_store_open(struct work *work)
{
	struct swm_error err = {0};
	int32_t version;

	work_op_begin(work, MODEL_STORE, "migrate", true);
	open_store(work);
	work_must(
		work->rig->store->migrate(work->store.store, SWM_MIGRATE_APPLY, &version, &err),
		&err, "migrate");
	if (model_find(work->model, MODEL_SCHEMA, 0) == SIZE_MAX) {
		model_bring(work->model,
			&(struct model_item){.kind = MODEL_SCHEMA, .hash = hash_schema()});
	}
	work_op_end(work);
	open_sessions(work);
}

void work_store_close(struct work *work)
{
	close_sessions(work);
	rig_store_close(work->rig, &work->store);
}

/* An orderly stop, which empties the WAL, and a new start. */
static void restart(struct work *work)
{
	work_op_begin(work, MODEL_STORE, "restart", false);
	work_store_close(work);
	if (chance_percent(&work->chance, 50)) {
		work_visit(work, "store/store.db");
	}
	open_store(work);
	open_sessions(work);
	work_op_end(work);
}

static void put_template(struct work *work)
{
	uint32_t number = model_number(work->model);
	struct swm_error err = {0};
	const struct swm_template_row row = {
		.id = work_name(work, 't', number),
		.component = work_name(work, 'c', number % 3),
		.body = work_body(work),
		.version = number,
		.created_ms = work->rig->now_ms,
	};

	work_op_begin(work, MODEL_STORE, "template_put", true);
	work_must(work->rig->store->template_put(any_session(work), &row, &err), &err,
		"template_put");
	model_bring(work->model,
		&(struct model_item){
			.kind = MODEL_TEMPLATE, .number = number, .hash = hash_template(&row)});
	work_op_end(work);
}

/* Draws a row of the outbox, and the item that stands for it once it is stored. */
static void draw_row(struct work *work, uint32_t instance, struct swm_outbox_row *row,
	struct model_item *item)
{
	struct chance *chance = &work->chance;
	uint32_t number = model_number(work->model);

	*row = (struct swm_outbox_row){
		.id = work_name(work, 'r', number),
		.destination = work_name(work, 'q', chance_below(chance, WORK_QUEUES)),
		.key = work_name(work, 'k', instance),
		.body = work_body(work),
		.delay_ms = chance_percent(chance, 30) ? chance_between(chance, 1, 60000) : 0,
		.state = chance_percent(chance, instance ? 5 : 60) ? SWM_OUTBOX_DEAD
								   : SWM_OUTBOX_PENDING,
		.attempt = chance_below(chance, 4),
		.kind = chance_below(chance, 4),
	};
	row->headers = work_headers(work, &row->header_count);
	if (instance) {
		row->instance_id = work_name(work, 'i', instance);
	}
	*item = (struct model_item){
		.kind = MODEL_ROW,
		.number = number,
		.of = instance,
		.fixed = hash_row_fixed(row),
		.created_ms = work->rig->now_ms,
		.due_ms = work->rig->now_ms + row->delay_ms,
		.state = row->state,
	};
	if (instance && row->delay_ms == 0 && row->state == SWM_OUTBOX_PENDING) {
		item->leased = true;
		item->lease_until_ms = work->rig->now_ms + LEASE_MS;
	}
	item->hash = hash_row(item);
}

/* What a commit brings, and what it changes of the model if it succeeds. */
struct planned {
	struct work *work;
	struct swm_commit items[ITEMS_MAX];
	size_t count;
	struct swm_outbox_mark marks[PICKED_MAX];
	size_t mark_count;
	struct model_item brought[ITEMS_MAX * (1 + EVENTS_MAX + ROWS_MAX)];
	size_t brought_count;
	size_t picked[PICKED_MAX + ITEMS_MAX]; /* rows and instances, no one twice */
	size_t picked_count;
	size_t ended[PICKED_MAX + ITEMS_MAX];
	size_t ended_count;
	struct model_item changed[PICKED_MAX]; /* each behind the one it replaces */
	size_t replaced[PICKED_MAX];
	size_t changed_count;
};

static bool pick_once(struct planned *planned, size_t index)
{
	if (index == SIZE_MAX || planned->picked_count == PICKED_MAX + ITEMS_MAX) {
		return false;
	}
	for (size_t i = 0; i < planned->picked_count; i++) {
		if (planned->picked[i] == index) {
			return false;
		}
	}
	planned->picked[planned->picked_count++] = index;
	return true;
}

static void plan_events(
	struct planned *planned, struct swm_commit *item, uint32_t instance, bool counts)
{
	struct work *work = planned->work;
	struct swm_event_row *events = work_alloc(work, EVENTS_MAX, sizeof(*events));

	item->events = events;
	item->event_count = chance_between(&work->chance, 1, EVENTS_MAX);
	for (size_t i = 0; i < item->event_count; i++) {
		uint32_t number = model_number(work->model);

		events[i] = (struct swm_event_row){
			.id = work_name(work, 'e', number),
			.name = work_name(work, 'n', number % 5),
			.task = work_name(work, 't', number % 7),
			.body = work_body(work),
			.sequence = item->next.sequence + 1,
			.at_ms = work->rig->now_ms,
			.attempt = number % 3,
			.outcome = SWM_OUTCOME_APPLIED,
			.rules = 1,
		};
		item->next.sequence++;
		if (counts) {
			planned->brought[planned->brought_count++] =
				(struct model_item){.kind = MODEL_EVENT,
					.number = number,
					.of = instance,
					.sequence = events[i].sequence,
					.hash = hash_event(item->next.id, &events[i])};
		}
	}
}

static void plan_rows(
	struct planned *planned, struct swm_commit *item, uint32_t instance, bool counts)
{
	struct work *work = planned->work;
	struct swm_outbox_row *rows = work_alloc(work, ROWS_MAX, sizeof(*rows));

	item->outbox = rows;
	item->outbox_count = chance_below(&work->chance, ROWS_MAX + 1);
	for (size_t i = 0; i < item->outbox_count; i++) {
		struct model_item brought;

		draw_row(work, instance, &rows[i], &brought);
		if (counts) {
			planned->brought[planned->brought_count++] = brought;
		}
	}
}

/* A row of the instance that ends with this step. */
static void plan_cancel(
	struct planned *planned, struct swm_commit *item, uint32_t instance, bool counts)
{
	struct work *work = planned->work;
	size_t index = SIZE_MAX;

	for (int tries = 0; tries < 4; tries++) {
		index = model_pick(work->model, MODEL_ROW, chance_draw(&work->chance));
		if (index == SIZE_MAX || work->model->items[index].of == instance) {
			break;
		}
	}
	if (index == SIZE_MAX || work->model->items[index].of != instance ||
		!pick_once(planned, index)) {
		return;
	}
	struct swm_str *ids = work_alloc(work, 1, sizeof(*ids));
	ids[0] = work_name(work, 'r', work->model->items[index].number);
	item->cancel = ids;
	item->cancel_count = 1;
	if (counts) {
		planned->ended[planned->ended_count++] = index;
	}
}

static void plan_item(struct planned *planned)
{
	struct work *work = planned->work;
	struct chance *chance = &work->chance;
	struct swm_commit *item = &planned->items[planned->count];
	struct model_item before = {.kind = MODEL_INSTANCE, .created_ms = work->rig->now_ms};
	size_t index = SIZE_MAX;

	if (chance_percent(chance, 65)) {
		index = model_pick(work->model, MODEL_INSTANCE, chance_draw(chance));
	}
	if (index == SIZE_MAX) {
		before.number = model_number(work->model);
	} else if (pick_once(planned, index)) {
		before = work->model->items[index];
	} else {
		return;
	}
	/* One that was computed from a version that is not there. */
	bool stale = chance_percent(chance, 8);
	item->expected_version = before.version + (stale ? 1 : 0);
	item->next = (struct swm_instance_row){
		.id = work_name(work, 'i', before.number),
		.component = work_name(work, 'c', before.number % 3),
		.business_ref = work_name(work, 'b', before.number),
		.stage = work_name(work, 's', chance_below(chance, 4)),
		.body = work_body(work),
		.version = item->expected_version + 1,
		.sequence = before.sequence,
		.created_ms = before.created_ms,
		.updated_ms = work->rig->now_ms,
		.status = (int32_t)chance_between(chance, 1, FINISHED),
	};
	plan_events(planned, item, before.number, !stale);
	plan_rows(planned, item, before.number, !stale);
	if (index != SIZE_MAX) {
		plan_cancel(planned, item, before.number, !stale);
	}
	item->result = stale ? SWM_E_CONFLICT : SWM_OK; /* as expected */
	planned->count++;
	if (stale) {
		return;
	}
	if (index != SIZE_MAX) {
		planned->ended[planned->ended_count++] = index;
	}
	before.version = item->next.version;
	before.sequence = item->next.sequence;
	before.status = item->next.status;
	before.hash = hash_instance(&item->next);
	planned->brought[planned->brought_count++] = before;
}

static void plan_mark(struct planned *planned)
{
	struct work *work = planned->work;
	struct chance *chance = &work->chance;
	size_t index = model_pick(work->model, MODEL_ROW, chance_draw(chance));

	if (!pick_once(planned, index)) {
		return;
	}
	struct model_item item = work->model->items[index];
	struct swm_outbox_mark *mark = &planned->marks[planned->mark_count++];
	*mark = (struct swm_outbox_mark){
		.id = work_name(work, 'r', item.number),
		.action = chance_percent(chance, 60)
				  ? SWM_MARK_SENT
				  : chance_between(chance, SWM_MARK_RETRY, SWM_MARK_DEAD),
	};
	if (item.of) {
		mark->instance_id = work_name(work, 'i', item.of);
	}
	if (mark->action == SWM_MARK_SENT) {
		planned->ended[planned->ended_count++] = index;
		return;
	}
	mark->reason = work_name(work, 'y', chance_below(chance, 9));
	if (mark->action == SWM_MARK_RETRY) {
		mark->delay_ms = chance_between(chance, 1, 5000);
	}
	if (!item.leased || item.lease_until_ms <= work->rig->now_ms ||
		item.state != SWM_OUTBOX_PENDING) {
		return; /* of no effect: not ours */
	}
	if (mark->action == SWM_MARK_RETRY) {
		item.due_ms = work->rig->now_ms + mark->delay_ms;
	} else {
		item.state = SWM_OUTBOX_DEAD;
	}
	item.reason = hash_str(mark->reason);
	item.leased = false;
	item.lease_until_ms = 0;
	item.hash = hash_row(&item);
	planned->replaced[planned->changed_count] = index;
	planned->changed[planned->changed_count++] = item;
}

static void apply(struct planned *planned)
{
	struct model *model = planned->work->model;

	for (size_t i = 0; i < planned->ended_count; i++) {
		model_end(model, planned->ended[i]);
	}
	for (size_t i = 0; i < planned->changed_count; i++) {
		model_replace(model, planned->replaced[i], &planned->changed[i]);
	}
	for (size_t i = 0; i < planned->brought_count; i++) {
		model_bring(model, &planned->brought[i]);
	}
}

static void commit(struct work *work)
{
	struct planned *planned = work_alloc(work, 1, sizeof(*planned));
	swm_status wanted[ITEMS_MAX] = {0};
	struct swm_error err = {0};

	planned->work = work;
	for (uint32_t n = chance_between(&work->chance, 0, ITEMS_MAX); n > 0; n--) {
		plan_item(planned);
	}
	for (uint32_t n = chance_below(&work->chance, 4); n > 0; n--) {
		plan_mark(planned);
	}
	for (size_t i = 0; i < planned->count; i++) {
		wanted[i] = planned->items[i].result;
	}
	work_op_begin(work, MODEL_STORE, "commit", true);
	work_risk(work);
	swm_status status = work->rig->store->commit(any_session(work), OWNER, LEASE_MS,
		planned->items, planned->count, planned->marks, planned->mark_count, &err);
	status = status == SWM_E_CONFLICT ? SWM_OK : status;
	bool failed = work_failed(work, status, &err, "commit");
	for (size_t i = 0; i < planned->count && !failed; i++) {
		if (planned->items[i].result != wanted[i]) {
			power_die("commit: item %zu is %d, not %d", i, planned->items[i].result,
				wanted[i]);
		}
	}
	apply(planned);
	if (failed) {
		work_undo(work, status);
	}
	work_op_end(work);
	reopen_after(work, status);
}

static void put_rows(struct work *work)
{
	struct swm_outbox_row rows[ROWS_MAX];
	struct model_item items[ROWS_MAX];
	size_t count = chance_between(&work->chance, 1, ROWS_MAX);
	struct swm_error err = {0};

	for (size_t i = 0; i < count; i++) {
		draw_row(work, 0, &rows[i], &items[i]);
	}
	work_op_begin(work, MODEL_STORE, "outbox_put", true);
	work_risk(work);
	swm_status status = work->rig->store->outbox_put(any_session(work), rows, count, &err);
	bool failed = work_failed(work, status, &err, "outbox_put");
	for (size_t i = 0; i < count; i++) {
		model_bring(work->model, &items[i]);
	}
	if (failed) {
		work_undo(work, status);
	}
	work_op_end(work);
	reopen_after(work, status);
}

static void claim(struct work *work)
{
	struct swm_set set = {0};
	struct swm_error err = {0};
	int64_t next_due_ms;

	work_op_begin(work, MODEL_STORE, "outbox_claim", true);
	work_must(work->rig->store->outbox_claim(any_session(work), OWNER, LEASE_MS,
			  chance_between(&work->chance, 1, 5), &set, &next_due_ms, &err),
		&err, "outbox_claim");
	const struct swm_outbox_row *rows = set.items;
	for (size_t i = 0; i < set.count; i++) {
		size_t index = model_find(work->model, MODEL_ROW, work_number_of(rows[i].id));

		if (index == SIZE_MAX) {
			power_die("outbox_claim: a row that is not there");
		}
		struct model_item item = work->model->items[index];
		item.claims++;
		item.leased = true;
		item.lease_until_ms = work->rig->now_ms + LEASE_MS;
		item.hash = hash_row(&item);
		model_replace(work->model, index, &item);
	}
	if (set.release) {
		set.release(&set);
	}
	work_op_end(work);
}

/* What a person does to a parked message. */
static void update_dead(struct work *work)
{
	size_t index = model_pick(work->model, MODEL_ROW, chance_draw(&work->chance));
	bool requeue = chance_percent(&work->chance, 50);
	struct swm_error err = {0};
	size_t changed;

	if (index == SIZE_MAX) {
		return;
	}
	struct model_item item = work->model->items[index];
	struct swm_str id = work_name(work, 'r', item.number);
	work_op_begin(work, MODEL_STORE,
		requeue ? "outbox_update requeue" : "outbox_update drop", true);
	work_must(work->rig->store->outbox_update(any_session(work), &id, 1,
			  requeue ? SWM_OUTBOX_REQUEUE : SWM_OUTBOX_DROP, &changed, &err),
		&err, "outbox_update");
	if (item.state == SWM_OUTBOX_DEAD && requeue) {
		item.state = SWM_OUTBOX_PENDING;
		item.due_ms = work->rig->now_ms;
		item.reason = 0;
		item.hash = hash_row(&item);
		model_replace(work->model, index, &item);
	} else if (item.state == SWM_OUTBOX_DEAD) {
		model_end(work->model, index);
	}
	work_op_end(work);
}

/* Its events, and what it owed. */
static void end_belongings(struct model *model, uint32_t instance)
{
	for (size_t i = 0; i < model->item_count; i++) {
		const struct model_item *item = &model->items[i];

		if ((item->kind == MODEL_EVENT || item->kind == MODEL_ROW) &&
			item->of == instance && item->died == MODEL_FOR_EVER) {
			model_end(model, i);
		}
	}
}

static void purge(struct work *work)
{
	struct model *model = work->model;
	struct swm_error err = {0};
	int64_t purged;

	work_op_begin(work, MODEL_STORE, "purge", true);
	work_must(work->rig->store->purge(any_session(work), 1 << FINISHED,
			  work->rig->now_ms + 1, 100, &purged, &err),
		&err, "purge");
	for (size_t i = 0; i < model->item_count; i++) {
		const struct model_item *item = &model->items[i];

		if (item->kind == MODEL_INSTANCE && item->died == MODEL_FOR_EVER &&
			item->status == FINISHED) {
			end_belongings(model, item->number);
			model_end(model, i);
			purged--;
		}
	}
	if (purged != 0) {
		power_die("purge: %lld instances too many", (long long)purged);
	}
	work_op_end(work);
}

static void maintain(struct work *work)
{
	struct swm_error err = {0};

	work_op_begin(work, MODEL_STORE, "maintain", false);
	work_risk(work);
	swm_status status = work->rig->store->maintain(any_session(work), 100, &err);
	(void)work_failed(work, status, &err, "maintain");
	work_op_end(work);
	reopen_after(work, status);
}

void work_store_write(struct work *work)
{
	put_template(work);
}

void work_store_step(struct work *work)
{
	uint32_t what = chance_below(&work->chance, 100);

	if (what < 60) {
		commit(work);
	} else if (what < 68) {
		put_rows(work);
	} else if (what < 78) {
		claim(work);
	} else if (what < 84) {
		update_dead(work);
	} else if (what < 89) {
		put_template(work);
	} else if (what < 91) {
		purge(work);
	} else if (what < 97) {
		maintain(work);
	} else {
		restart(work);
	}
}
