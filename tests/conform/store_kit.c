/* SPDX-License-Identifier: MIT */

/* Rows and steps for the store's tests; see store_kit.h. */

#include "store_kit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 500
#define CLAIM_PAGE 200

/* Any fixed time will do: the store keeps what it is given. */
#define STORE_EPOCH_MS INT64_C(1700000000000)

void store_step_init(struct store_step *step, struct swm_str id, int64_t expected)
{
	memset(step, 0, sizeof(*step));
	struct swm_instance_row *row = &step->commit.next;
	row->id = id;
	row->workflow = CONFORM_STR("conform");
	row->component = CONFORM_STR("CONFORM");
	row->business_ref = id;
	row->template_id = CONFORM_STR("CONFORM:1");
	row->stage = CONFORM_STR("FIRST");
	row->business_status = CONFORM_STR("ordered");
	row->body = CONFORM_STR("{\"v\":1}");
	row->version = expected + 1;
	row->sequence = expected;
	row->created_ms = STORE_EPOCH_MS;
	row->updated_ms = STORE_EPOCH_MS + expected;
	row->status = 1;
	step->commit.expected_version = expected;
	step->commit.events = step->events;
	step->commit.outbox = step->outbox;
	step->commit.cancel = step->cancel;
	step->commit.result = SWM_E_INTERNAL;
}

struct swm_event_row *store_step_event(struct store_step *step, struct swm_str id)
{
	assert(step->commit.event_count < STORE_STEP_MAX);
	struct swm_event_row *row = &step->events[step->commit.event_count++];
	row->id = id;
	row->source_id = id;
	row->name = CONFORM_STR("TaskCompleted");
	row->stage = CONFORM_STR("FIRST");
	row->task = CONFORM_STR("task");
	row->body = CONFORM_STR("{}");
	row->sequence = ++step->commit.next.sequence;
	row->at_ms = STORE_EPOCH_MS + row->sequence;
	row->attempt = 1;
	row->outcome = SWM_OUTCOME_APPLIED;
	row->rules = 1;
	return row;
}

struct swm_outbox_row store_row(struct swm_str id, int64_t delay_ms)
{
	return (struct swm_outbox_row){.id = id,
		.destination = CONFORM_STR("task_queue"),
		.key = id,
		.body = CONFORM_STR("{\"event_name\":\"StartTask\"}"),
		.delay_ms = delay_ms,
		.state = SWM_OUTBOX_PENDING,
		.attempt = 1,
		.kind = 1};
}

struct swm_outbox_row *store_step_owe(
	struct store_step *step, struct swm_str id, int64_t delay_ms)
{
	assert(step->commit.outbox_count < STORE_STEP_MAX);
	struct swm_outbox_row *row = &step->outbox[step->commit.outbox_count++];
	*row = store_row(id, delay_ms);
	row->instance_id = step->commit.next.id;
	return row;
}

void store_step_cancel(struct store_step *step, struct swm_str id)
{
	assert(step->commit.cancel_count < STORE_STEP_MAX);
	step->cancel[step->commit.cancel_count++] = id;
}

struct swm_outbox_mark store_mark(struct swm_str id, struct swm_str instance, uint32_t action)
{
	return (struct swm_outbox_mark){.id = id, .instance_id = instance, .action = action};
}

swm_status store_commit(const struct swm_store_ops *ops, struct swm_session *session,
	struct swm_str owner, int64_t lease_ms, struct store_step *steps, size_t count,
	const struct swm_outbox_mark *marks, size_t mark_count, struct swm_error *err)
{
	struct swm_commit *items = calloc(count == 0 ? 1 : count, sizeof(*items));
	if (items == NULL) {
		return SWM_E_NOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		items[i] = steps[i].commit;
	}
	swm_status status =
		ops->commit(session, owner, lease_ms, items, count, marks, mark_count, err);
	for (size_t i = 0; i < count; i++) {
		steps[i].commit.result = items[i].result;
	}
	free(items);
	return status;
}

int64_t store_version(const struct swm_store_ops *ops, struct swm_session *session,
	struct swm_str id, struct swm_str event_id, bool *seen, struct swm_error *err)
{
	uint8_t flag = 0;
	struct swm_load item = {.id = id, .event_ids = &event_id, .seen = &flag};
	item.event_count = event_id.ptr == NULL ? 0 : 1;
	struct swm_set backing = {0};
	if (ops->load(session, &item, 1, &backing, err) != SWM_OK) {
		return -1;
	}
	int64_t version = item.instance == NULL ? 0 : item.instance->version;
	if (backing.release != NULL) {
		backing.release(&backing);
	}
	if (seen != NULL) {
		*seen = flag == 1;
	}
	return version;
}

struct store_step *store_new_step(struct conform_case *c, struct swm_str id, int64_t expected)
{
	struct store_step *step = conform_alloc(c, 1, sizeof(*step));
	store_step_init(step, id, expected);
	return step;
}

struct kept_session {
	const struct swm_store_ops *ops;
	struct swm_session *session;
};

static void close_session(void *what)
{
	struct kept_session *kept = what;
	kept->ops->session_close(kept->session);
	free(kept);
}

struct swm_session *store_session(struct conform_case *c)
{
	struct kept_session *kept = calloc(1, sizeof(*kept));
	CONFORM_THAT(kept != NULL, "out of memory");
	kept->ops = c->ops;
	conform_defer(c, close_session, kept);
	CONFORM_OK(c, c->ops->session_open(c->store, &kept->session, &c->err));
	return kept->session;
}

void store_apply(struct conform_case *c, struct store_step *step)
{
	CONFORM_OK(c, store_commit(c->ops, c->session, CONFORM_STR("owner"),
			      CONFORM_LONG_LEASE_MS, step, 1, NULL, 0, &c->err));
	CONFORM_OK(c, step->commit.result);
}

void store_settle(struct conform_case *c, const char *owner, struct swm_outbox_mark mark)
{
	CONFORM_OK(c, c->ops->commit(c->session, conform_str(owner), CONFORM_LONG_LEASE_MS,
			      NULL, 0, &mark, 1, &c->err));
}

void store_put(struct conform_case *c, const struct swm_outbox_row *row)
{
	CONFORM_OK(c, c->ops->outbox_put(c->session, row, 1, &c->err));
}

static void release_set(void *what)
{
	struct swm_set *set = what;
	if (set->release != NULL) {
		set->release(set);
	}
	free(set);
}

void store_keep(struct conform_case *c, const struct swm_set *set)
{
	struct swm_set *kept = calloc(1, sizeof(*kept));
	CONFORM_THAT(kept != NULL, "out of memory");
	*kept = *set;
	conform_defer(c, release_set, kept);
}

const struct swm_instance_row *store_get(
	struct conform_case *c, struct swm_session *session, struct swm_str id)
{
	struct swm_load item = {.id = id};
	struct swm_set backing = {0};
	CONFORM_OK(c, c->ops->load(session, &item, 1, &backing, &c->err));
	store_keep(c, &backing);
	return item.instance;
}

bool store_has_seen(struct conform_case *c, struct swm_str id, struct swm_str event_id)
{
	bool seen = false;
	CONFORM_THAT(store_version(c->ops, c->session, id, event_id, &seen, &c->err) >= 0,
		"load fails: %s", c->err.message);
	return seen;
}

const struct swm_outbox_row *store_find(
	struct conform_case *c, struct swm_str id, bool dead_only)
{
	struct swm_page page = {.limit = LIST_PAGE};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->outbox_list(c->session, dead_only, &page, &set, &c->err));
		store_keep(c, &set);
		const struct swm_outbox_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			if (conform_str_is(rows[i].id, id)) {
				return &rows[i];
			}
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	return NULL;
}

size_t store_claim(struct conform_case *c, const char *owner, int64_t lease_ms,
	struct swm_outbox_row *rows, size_t max)
{
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	size_t own = 0;
	size_t came;
	do {
		CONFORM_THAT(conform_now_ms() < until, "claiming has no end");
		struct swm_set set = {0};
		int64_t next_ms = 0;
		CONFORM_OK(c, c->ops->outbox_claim(c->session, conform_str(owner), lease_ms,
				      CLAIM_PAGE, &set, &next_ms, &c->err));
		store_keep(c, &set);
		const struct swm_outbox_row *found = set.items;
		for (size_t i = 0; i < set.count; i++) {
			if (!conform_is_own(c, found[i].id)) {
				continue;
			}
			CONFORM_THAT(own < max,
				"claimed a row that must not be claimable: %.*s",
				(int)found[i].id.len, found[i].id.ptr);
			rows[own++] = found[i];
		}
		came = set.count;
	} while (came == CLAIM_PAGE);
	return own;
}

struct swm_outbox_row store_await_claim(
	struct conform_case *c, const char *owner, int64_t lease_ms)
{
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	struct swm_outbox_row row;
	while (store_claim(c, owner, lease_ms, &row, 1) == 0) {
		CONFORM_THAT(conform_now_ms() < until, "a row that is due cannot be claimed");
		conform_sleep_ms(20);
	}
	return row;
}

size_t store_events(struct conform_case *c, struct swm_str id, struct swm_event_row *rows,
	size_t max, uint32_t page_limit)
{
	size_t count = 0;
	struct swm_page page = {.limit = page_limit};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->event_list(c->session, id, &page, &set, &c->err));
		store_keep(c, &set);
		CONFORM_THAT(set.count <= page_limit, "a page of %zu rows, limit %u", set.count,
			page_limit);
		CONFORM_THAT(count + set.count <= max, "more events than were committed");
		if (set.count > 0) {
			memcpy(rows + count, set.items, set.count * sizeof(*rows));
		}
		count += set.count;
		page.after = set.next;
	} while (page.after.ptr != NULL);
	return count;
}

void store_put_and_kill(struct conform_case *c, struct swm_str id)
{
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"store-put", id.ptr, NULL});
	conform_child_expect(child, "done");
	conform_child_kill(child);
}
