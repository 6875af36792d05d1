/* SPDX-License-Identifier: MIT */

/*
 * The calls of the store port: what the engine may ask for, what becomes of it, and what it
 * is told.
 */

#include "store_parts.h"

#include "copy.h"

#include <stdlib.h>
#include <string.h>

#define OWNER_MAX 64

static const int64_t away_ms[] = {50, 1000, 15000, 60000};
static const int64_t full_ms[] = {50, 1000, 15000, 60000};

struct swm_session {
	struct sim_host *host;
	bool broken;
};

static struct sim_store *store_of(const struct swm_session *session)
{
	return session->host->world->store;
}

/* Breaks the contract: the run ends. */
static swm_status broken(struct sim_host *host, const char *what)
{
	sim_world_fail(host->world, "contract", "store: %s", what);
	return SWM_E_INVALID;
}

static bool is_away(struct sim_store *store)
{
	struct sim_world *world = store->world;
	if (sim_world_happens(world, SIM_FAULT_STORE_AWAY, world->rate * 4)) {
		int64_t ms = sim_world_pick_ms(world, "away-ms", away_ms, SIM_COUNT(away_ms));
		SIM_TRACE(world, "the store is away for %lld ms", (long long)ms);
		store->away_us = world->now_us + ms * 1000;
	}
	return world->now_us < store->away_us;
}

static bool is_full(struct sim_store *store)
{
	struct sim_world *world = store->world;
	if (sim_world_happens(world, SIM_FAULT_DISK_FULL, world->rate * 4)) {
		int64_t ms = sim_world_pick_ms(world, "full-ms", full_ms, SIM_COUNT(full_ms));
		SIM_TRACE(world, "the disk is full for %lld ms", (long long)ms);
		store->full_us = world->now_us + ms * 1000;
	}
	return world->now_us < store->full_us;
}

/* Begins a call of a session: SWM_OK, or what it fails with and without any effect. */
static swm_status enter(struct sim_call *call, struct swm_session *session, const char *name,
	bool writes, struct swm_error *err)
{
	struct sim_host *host = session->host;
	struct sim_world *world = host->world;
	if (session->broken && !host->dead) {
		return broken(host, "a session that is lost is used");
	}
	if (!sim_call_begin(call, host, name)) {
		session->broken = true;
		return SIM_CUT(err);
	}
	swm_status status = SWM_OK;
	if (is_away(store_of(session)) ||
		sim_world_happens(world, SIM_FAULT_STORE_AWAY, world->rate * 2)) {
		status = SWM_E_UNAVAILABLE;
	} else if (sim_world_happens(world, SIM_FAULT_STORE_TIMEOUT, world->rate)) {
		status = SWM_E_TIMEOUT;
	} else if (writes && is_full(store_of(session))) {
		status = SWM_E_THROTTLED;
	}
	if (status == SWM_OK) {
		return SWM_OK;
	}
	SIM_TRACE(world, "%s fails: %d", name, status);
	session->broken = status == SWM_E_UNAVAILABLE;
	if (!sim_call_end(call, (uint64_t)status)) {
		session->broken = true;
		return SIM_CUT(err);
	}
	return sim_fail(status, err, "the store failed");
}

/* Ends one that had its effect. */
static swm_status leave(struct sim_call *call, struct swm_session *session, swm_status status,
	uint64_t result, struct swm_error *err)
{
	session->broken = session->broken || status == SWM_E_UNAVAILABLE;
	if (!sim_call_end(call, result * 31 + (uint64_t)status)) {
		session->broken = true;
		return SIM_CUT(err);
	}
	return sim_fail(status, err, "the store failed");
}

static swm_status session_open(
	struct swm_store *port, struct swm_session **out, struct swm_error *err)
{
	struct swm_session *session = sim_must_alloc(sizeof(*session));
	struct sim_call call;
	session->host = port->host;
	swm_status status = enter(&call, session, "session_open", false, err);
	if (status == SWM_OK) {
		status = leave(&call, session, SWM_OK, 0, err);
	}
	if (status != SWM_OK) {
		free(session);
		return status;
	}
	*out = session;
	return SWM_OK;
}

static void session_close(struct swm_session *session)
{
	free(session);
}

/* Sets: rows and their blocks. */

struct backing {
	void *rows;
	char **blocks;
	size_t block_count;
};

static void release(struct swm_set *set)
{
	struct backing *backing = set->owner;
	for (size_t i = 0; i < backing->block_count; i++) {
		free(backing->blocks[i]);
	}
	free(backing->blocks);
	free(backing->rows);
	free(backing);
	*set = (struct swm_set){0};
}

static struct backing *back(size_t count, size_t row_size)
{
	struct backing *backing = sim_must_alloc(sizeof(*backing));
	backing->rows = sim_must_alloc(count * row_size);
	backing->blocks = sim_must_alloc(count * sizeof(char *));
	return backing;
}

static void set_block(struct backing *backing, char *block)
{
	backing->blocks[backing->block_count] = block;
	backing->block_count++;
}

static struct swm_set set_of(struct backing *backing, size_t count)
{
	return (struct swm_set){
		.items = backing->rows,
		.count = count,
		.owner = backing,
		.release = release,
	};
}

/* The hot path. */

static uint64_t load_one(const struct sim_store *store, struct swm_load *item,
	struct backing *backing, struct swm_instance_row *row)
{
	const struct sim_instance *instance = sim_store_instance_of(store, item->id);
	uint64_t result = 0;
	if (instance) {
		result = sim_hash_str(1, instance->row.body);
	}
	item->instance = NULL;
	for (size_t i = 0; i < item->event_count; i++) {
		item->seen[i] = instance && sim_store_has_event(instance, item->event_ids[i]);
		result = result * 2 + item->seen[i];
	}
	if (instance) {
		*row = instance->row;
		if (row->version == item->have_version) {
			row->body = (struct swm_str){0};
		}
		set_block(backing, sim_copy_instance(row));
		item->instance = row;
	}
	return result;
}

static swm_status load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	struct sim_call call;
	swm_status status = enter(&call, session, "load", false, err);
	if (status != SWM_OK) {
		return status;
	}
	struct backing *made = back(count, sizeof(struct swm_instance_row));
	struct swm_instance_row *rows = made->rows;
	uint64_t result = 0;
	for (size_t i = 0; i < count; i++) {
		result = result * 31 + load_one(store_of(session), &items[i], made, &rows[i]);
		sim_recall_loaded(session->host, &items[i]);
	}
	struct swm_set set = set_of(made, count);
	status = leave(&call, session, SWM_OK, result, err);
	if (status != SWM_OK) {
		release(&set);
		return status;
	}
	*backing = set;
	return SWM_OK;
}

/* What an item has to be like; NULL: it is. */
static const char *find_fault(const struct sim_store *store, const struct swm_commit *items,
	size_t count, size_t index)
{
	const struct swm_commit *item = &items[index];
	for (size_t i = 0; i < index; i++) {
		if (sim_str_equal(items[i].next.id, item->next.id)) {
			return "an instance twice in a commit";
		}
	}
	if (item->next.version != item->expected_version + 1) {
		return "a version that is not the next one";
	}
	if (item->next.id.len == 0 || item->next.id.len > 512 || item->next.status < 1 ||
		item->next.status > 31) {
		return "an instance row that is no good";
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		const struct swm_outbox_row *row = &item->outbox[i];
		if (row->id.len == 0 || row->id.len > OWNER_MAX || row->destination.len == 0 ||
			!sim_str_equal(row->instance_id, item->next.id)) {
			return "an outbox row that is no good";
		}
	}
	(void)store, (void)count;
	return NULL;
}

static uint64_t hash_item(const struct swm_commit *item)
{
	uint64_t hash = sim_hash_str((uint64_t)item->next.version, item->next.body);
	for (size_t i = 0; i < item->event_count; i++) {
		hash = sim_hash_str(hash, item->events[i].id);
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		hash = sim_hash_str(hash, item->outbox[i].id);
	}
	return hash;
}

static void trace_item(struct sim_world *world, const struct swm_commit *item)
{
	SIM_TRACE(world, "commits %.*s version %lld: %.*s", (int)item->next.id.len,
		item->next.id.ptr, (long long)item->next.version, (int)item->next.body.len,
		item->next.body.ptr);
	for (size_t i = 0; i < item->event_count; i++) {
		const struct swm_event_row *event = &item->events[i];
		SIM_TRACE(world, "  event %lld %.*s %.*s attempt %u, outcome %u",
			(long long)event->sequence, (int)event->name.len, event->name.ptr,
			(int)event->task.len, event->task.ptr ? event->task.ptr : "",
			event->attempt, event->outcome);
	}
	for (size_t i = 0; i < item->outbox_count; i++) {
		const struct swm_outbox_row *row = &item->outbox[i];
		SIM_TRACE(world, "  owes %.*s to %.*s in %lld ms", (int)row->id.len,
			row->id.ptr, (int)row->destination.len, row->destination.ptr,
			(long long)row->delay_ms);
	}
}

/* What the caller is told of an item, and whether it is carried out. */
static swm_status meet_item(
	struct sim_world *world, const struct swm_commit *item, bool doubt, bool *applied)
{
	const struct sim_instance *instance =
		sim_store_instance_of(world->store, item->next.id);
	int64_t version = instance ? instance->row.version : 0;
	*applied = false;
	if (item->event_count > 1 &&
		sim_world_happens(world, SIM_FAULT_TOO_LARGE, world->rate / 4 + 1)) {
		return SWM_E_TOO_LARGE;
	}
	*applied = version == item->expected_version;
	if (doubt) {
		*applied = sim_choose(world->choice, "applied", 2) == 1 && *applied;
		return SWM_E_INDOUBT;
	}
	return *applied ? SWM_OK : SWM_E_CONFLICT;
}

void sim_store_carry_out(struct sim_host *host, const struct swm_commit *item,
	struct swm_str owner, int64_t lease_ms)
{
	struct sim_world *world = host->world;
	trace_item(world, item);
	sim_store_apply(world->store, item, owner, lease_ms);
	world->verdict->figures.commits++;
	world->verdict->figures.events += item->event_count;
	sim_world_note(world, hash_item(item));
	sim_world_judge(world, sim_judge_committed(world->judge, host->index, item, lease_ms));
	if (!world->over) {
		sim_agents_saw(world->agents, item->next.id,
			sim_judge_model(world->judge, item->next.id));
	}
}

static swm_status commit_item(struct sim_host *host, struct swm_commit *item, bool doubt,
	struct swm_str owner, int64_t lease_ms)
{
	struct sim_world *world = host->world;
	bool applied;
	swm_status status = meet_item(world, item, doubt, &applied);
	world->verdict->figures.conflicts += status == SWM_E_CONFLICT;
	if (status != SWM_OK) {
		SIM_TRACE(world, "commit of %.*s version %lld: %d%s", (int)item->next.id.len,
			item->next.id.ptr, (long long)item->next.version, status,
			status == SWM_E_INDOUBT ? (applied ? ", applied" : ", not applied")
						: "");
	}
	if (doubt && !applied && sim_world_happens(world, SIM_FAULT_COMMIT_LATE, 2)) {
		sim_store_delay(host, item, owner, lease_ms);
	}
	if (status == SWM_E_CONFLICT) {
		sim_world_judge(world, sim_judge_conflicted(world->judge, host->index, item));
	}
	if (!applied) {
		return status;
	}
	sim_store_carry_out(host, item, owner, lease_ms);
	return status;
}

static void settle_marks(struct sim_host *host, const struct swm_outbox_mark *marks,
	size_t count, struct swm_str owner)
{
	struct sim_world *world = host->world;
	for (size_t i = 0; i < count && !world->over; i++) {
		if (!sim_store_mark(world->store, &marks[i], owner)) {
			continue;
		}
		SIM_TRACE(world, "marks %.*s: %s", (int)marks[i].id.len, marks[i].id.ptr,
			marks[i].action == SWM_MARK_SENT    ? "sent"
			: marks[i].action == SWM_MARK_RETRY ? "to be tried again"
							    : "dead");
		sim_world_note(world, sim_hash_str(marks[i].action, marks[i].id));
		sim_world_judge(world, sim_judge_marked(world->judge, host->index, &marks[i]));
	}
}

static swm_status worse(swm_status a, swm_status b)
{
	static const swm_status order[] = {SWM_E_INDOUBT, SWM_E_TOO_LARGE, SWM_E_CONFLICT};
	for (size_t i = 0; i < SIM_COUNT(order); i++) {
		if (a == order[i] || b == order[i]) {
			return order[i];
		}
	}
	return SWM_OK;
}

static bool is_doubtful(struct sim_world *world)
{
	if (world->doubts_left == 0 ||
		!sim_world_happens(world, SIM_FAULT_COMMIT_DOUBT, world->rate)) {
		return false;
	}
	world->doubts_left--;
	return true;
}

static swm_status commit(struct swm_session *session, struct swm_str owner, int64_t lease_ms,
	struct swm_commit *items, size_t count, const struct swm_outbox_mark *marks,
	size_t mark_count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_host *host = session->host;
	struct sim_world *world = host->world;
	if (!host->dead && (owner.len == 0 || owner.len > OWNER_MAX)) {
		return broken(host, "a commit without an owner");
	}
	for (size_t i = 0; i < count && !host->dead; i++) {
		const char *fault = find_fault(world->store, items, count, i);
		if (fault) {
			return broken(host, fault);
		}
	}
	swm_status status = enter(&call, session, "commit", true, err);
	if (status != SWM_OK) {
		return status;
	}
	bool doubt = is_doubtful(world);
	uint64_t result = 0;
	for (size_t i = 0; i < count && !world->over; i++) {
		/* An answer that is lost is mostly lost for all. */
		bool lost = doubt && (i == 0 || sim_choose(world->choice, "told", 3) != 1);
		items[i].result = commit_item(host, &items[i], lost, owner, lease_ms);
		status = worse(status, items[i].result);
		result = result * 31 + (uint64_t)items[i].result;
		sim_recall_committed(host, &items[i]);
	}
	if (doubt && count == 0) {
		status = SWM_E_INDOUBT;
	}
	if (!doubt || sim_choose(world->choice, "marked", 2) == 1) {
		settle_marks(host, marks, mark_count, owner);
	}
	sim_recall_marked(host, marks, mark_count, status);
	return leave(&call, session, status, result, err);
}

/* The outbox. */

static void put_row(struct sim_host *host, const struct swm_outbox_row *row)
{
	struct sim_world *world = host->world;
	bool there = sim_store_find_row(world->store, row->id) != NULL;
	SIM_TRACE(world, "puts %.*s to %.*s in %lld ms%s%s: %.*s", (int)row->id.len,
		row->id.ptr, (int)row->destination.len, row->destination.ptr,
		(long long)row->delay_ms, row->state == SWM_OUTBOX_DEAD ? ", parked" : "",
		there ? ", which is there" : "", (int)row->reason.len,
		row->reason.ptr ? row->reason.ptr : "");
	if (!there) {
		sim_store_add_row(world->store, row, (struct swm_str){0}, 0);
	}
	sim_world_note(world, sim_hash_str(there, row->id));
	sim_world_judge(world, sim_judge_put(world->judge, host->index, row));
}

static swm_status outbox_put(struct swm_session *session, const struct swm_outbox_row *rows,
	size_t count, struct swm_error *err)
{
	struct sim_call call;
	struct sim_host *host = session->host;
	struct sim_world *world = host->world;
	for (size_t i = 0; i < count && !host->dead; i++) {
		if (rows[i].instance_id.len > 0 || rows[i].id.len == 0 ||
			rows[i].id.len > OWNER_MAX) {
			return broken(host, "a row to be put that is no good");
		}
	}
	swm_status status = enter(&call, session, "outbox_put", true, err);
	if (status != SWM_OK) {
		return status;
	}
	bool applied = true;
	if (count > 1 && sim_world_happens(world, SIM_FAULT_TOO_LARGE, world->rate / 4 + 1)) {
		status = SWM_E_TOO_LARGE;
		applied = false;
	} else if (sim_world_happens(world, SIM_FAULT_PUT_DOUBT, world->rate / 4 + 1)) {
		status = SWM_E_INDOUBT;
		applied = sim_choose(world->choice, "put", 2) == 1;
	}
	for (size_t i = 0; applied && i < count && !world->over; i++) {
		put_row(host, &rows[i]);
	}
	return leave(&call, session, status, 0, err);
}

static swm_status outbox_claim(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, uint32_t limit, struct swm_set *rows, int64_t *next_due_ms,
	struct swm_error *err)
{
	struct sim_call call;
	struct sim_host *host = session->host;
	struct sim_world *world = host->world;
	if (!session->broken) {
		sim_recall_begin(host);
	}
	swm_status status = enter(&call, session, "outbox_claim", true, err);
	if (status != SWM_OK) {
		return status;
	}
	struct backing *made = back(limit, sizeof(struct swm_outbox_row));
	struct swm_outbox_row *copies = made->rows;
	size_t count = 0;
	uint64_t result = 0;
	while (count < limit && !world->over) {
		struct sim_row *row = sim_store_claim(world->store, owner, lease_ms);
		if (!row) {
			break;
		}
		SIM_TRACE(world, "claims %.*s to %.*s, time %lld", (int)row->row.id.len,
			row->row.id.ptr, (int)row->row.destination.len,
			row->row.destination.ptr, (long long)row->row.claims);
		copies[count] = row->row;
		set_block(made, sim_copy_outbox(&copies[count]));
		count++;
		result = sim_hash_str(result, row->row.id);
		sim_world_note(world, result);
		sim_world_judge(world,
			sim_judge_claimed(world->judge, host->index, &row->row, lease_ms));
	}
	int64_t due_ms = sim_store_next_due_ms(world->store);
	struct swm_set set = set_of(made, count);
	if (sim_world_happens(world, SIM_FAULT_CLAIM_LOST, world->rate)) {
		status = SWM_E_UNAVAILABLE;
	}
	status = leave(&call, session, status, result * 31 + (uint64_t)due_ms, err);
	if (status != SWM_OK) {
		release(&set);
		return status;
	}
	*rows = set;
	*next_due_ms = due_ms;
	return SWM_OK;
}

/* Templates. */

static swm_status template_get(struct swm_session *session, struct swm_str id,
	struct swm_set *out, struct swm_error *err)
{
	struct sim_call call;
	const struct sim_store *store = store_of(session);
	swm_status status = enter(&call, session, "template_get", false, err);
	if (status != SWM_OK) {
		return status;
	}
	size_t index = 0;
	while (index < store->template_count &&
		!sim_str_equal(store->templates[index].row.id, id)) {
		index++;
	}
	bool there = index < store->template_count;
	status = leave(&call, session, there ? SWM_OK : SWM_E_NOT_FOUND, index, err);
	if (status != SWM_OK) {
		return status;
	}
	struct backing *made = back(1, sizeof(struct swm_template_row));
	struct swm_template_row *row = made->rows;
	*row = store->templates[index].row;
	set_block(made, sim_copy_template(row));
	*out = set_of(made, 1);
	return SWM_OK;
}

/* The newest of a component is what the engine asks for: a page of one. */
static swm_status template_list(struct swm_session *session, struct swm_str component,
	const struct swm_page *page, struct swm_set *out, struct swm_error *err)
{
	struct sim_call call;
	const struct sim_store *store = store_of(session);
	swm_status status = enter(&call, session, "template_list", false, err);
	if (status != SWM_OK) {
		return status;
	}
	struct backing *made = back(page->limit, sizeof(struct swm_template_row));
	struct swm_template_row *rows = made->rows;
	size_t count = 0;
	for (size_t i = store->template_count; i > 0 && count < page->limit; i--) {
		if (sim_str_equal(store->templates[i - 1].row.component, component)) {
			rows[count] = store->templates[i - 1].row;
			set_block(made, sim_copy_template(&rows[count]));
			count++;
		}
	}
	struct swm_set set = set_of(made, count);
	status = leave(&call, session, SWM_OK, count, err);
	if (status != SWM_OK) {
		release(&set);
		return status;
	}
	*out = set;
	return SWM_OK;
}

/* The rest of the port is for the command line, which is not simulated. */
const struct swm_store_ops sim_store_ops = {
	.size = sizeof(sim_store_ops),
	.capabilities = SWM_STORE_SHARED,
	.session_open = session_open,
	.session_close = session_close,
	.load = load,
	.commit = commit,
	.outbox_put = outbox_put,
	.outbox_claim = outbox_claim,
	.template_get = template_get,
	.template_list = template_list,
};
