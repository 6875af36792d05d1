/* SPDX-License-Identifier: MIT */

/*
 * Rows without an instance (deferred and parked messages), what people do with
 * the parked ones, and the outbox as a list.
 */

#include "store_kit.h"

#include <string.h>

static void claims_nothing(struct conform_case *c)
{
	struct swm_outbox_row row;
	(void)store_claim(c, "nobody", CONFORM_LONG_LEASE_MS, &row, 0);
}

static struct swm_outbox_row parked(struct conform_case *c, const char *name)
{
	struct swm_outbox_row row = store_row(conform_name(c, "%s", name), 0);
	row.state = SWM_OUTBOX_DEAD;
	row.reason = CONFORM_STR("unreadable JSON at byte 1");
	row.body = conform_bytes(c, 256, 3);
	return row;
}

static void put_is_due(struct conform_case *c)
{
	struct swm_outbox_row rows[2] = {store_row(conform_name(c, "due"), 0),
		store_row(conform_name(c, "later"), 60000)};
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, 2, &c->err));
	struct swm_outbox_row got[2];
	size_t count = store_claim(c, "anyone", CONFORM_LONG_LEASE_MS, got, 2);
	CONFORM_THAT(count == 1 && conform_str_is(got[0].id, rows[0].id),
		"of two rows put, the one without delay must be claimable at once");
	CONFORM_THAT(got[0].instance_id.len == 0, "a row of no instance has an instance_id");
}

static void put_twice(struct conform_case *c)
{
	struct swm_outbox_row rows[2] = {store_row(conform_name(c, "known"), 60000),
		store_row(conform_name(c, "new"), 60000)};
	store_put(c, &rows[0]);
	struct swm_str first = rows[0].body;
	rows[0].body = CONFORM_STR("other contents");
	rows[0].delay_ms = 0;
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, 2, &c->err));
	const struct swm_outbox_row *row = store_find(c, rows[0].id, false);
	CONFORM_THAT(row != NULL && conform_str_is(row->body, first),
		"putting a known id changed its body");
	CONFORM_THAT(store_find(c, rows[1].id, false) != NULL,
		"a new row beside a known one is lost");
	claims_nothing(c);
}

/* Whether it fits is the store's affair; that nothing is left half is a promise. */
static void put_whole(struct conform_case *c)
{
	struct swm_outbox_row rows[2] = {store_row(conform_name(c, "small"), 60000),
		store_row(conform_name(c, "large"), 60000)};
	rows[1].body = conform_bytes(c, CONFORM_HUGE_BYTES, 1);
	swm_status status = c->ops->outbox_put(c->session, rows, 2, &c->err);
	CONFORM_IS(c, status == SWM_OK ? SWM_OK : SWM_E_TOO_LARGE, status);
	for (size_t i = 0; i < 2; i++) {
		CONFORM_THAT((store_find(c, rows[i].id, false) != NULL) == (status == SWM_OK),
			"row %zu of a call that is %s", i, conform_status_name(status));
	}
	if (status == SWM_OK) {
		store_settle(c, "anyone",
			store_mark(rows[1].id, (struct swm_str){NULL, 0}, SWM_MARK_SENT));
	}
}

static void put_survives_kill(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "kept");
	store_put_and_kill(c, id);
	CONFORM_THAT(store_find(c, id, false) != NULL, "a row that was put is lost by a kill");
}

static void park(struct conform_case *c)
{
	struct swm_outbox_row row = parked(c, "parked");
	store_put(c, &row);
	claims_nothing(c);
	const struct swm_outbox_row *got = store_find(c, row.id, true);
	CONFORM_THAT(
		got != NULL && got->state == SWM_OUTBOX_DEAD, "a parked row is not listed");
	CONFORM_THAT(conform_str_is(got->body, row.body), "a parked row's bytes have changed");
	CONFORM_THAT(conform_str_is(got->reason, row.reason), "a parked row's reason is lost");
	CONFORM_THAT(
		store_find(c, row.id, false) != NULL, "the whole list leaves out DEAD rows");
}

static void park_in_commit(struct conform_case *c)
{
	struct store_step *step = store_new_step(c, conform_name(c, "parking"), 0);
	struct swm_outbox_row *row = store_step_owe(step, conform_name(c, "parked"), 0);
	row->state = SWM_OUTBOX_DEAD;
	row->reason = CONFORM_STR("undeliverable");
	CONFORM_OK(c, store_commit(c->ops, c->session, CONFORM_STR("owner"), 1, step, 1, NULL,
			      0, &c->err));
	conform_sleep_ms(20);
	claims_nothing(c);
	const struct swm_outbox_row *got = store_find(c, row->id, true);
	CONFORM_THAT(got != NULL && conform_str_is(got->instance_id, row->instance_id),
		"a DEAD row of a commit is not parked");
}

static void requeue(struct conform_case *c)
{
	struct swm_outbox_row dead = parked(c, "dead");
	struct swm_outbox_row other = parked(c, "other");
	struct swm_outbox_row pending = store_row(conform_name(c, "pending"), 60000);
	store_put(c, &dead);
	store_put(c, &other);
	store_put(c, &pending);
	const struct swm_str ids[] = {pending.id, dead.id, conform_name(c, "unknown")};
	size_t changed = 99;
	CONFORM_OK(c, c->ops->outbox_update(
			      c->session, ids, 3, SWM_OUTBOX_REQUEUE, &changed, &c->err));
	CONFORM_THAT(changed == 1, "%zu rows changed, must be 1", changed);
	struct swm_outbox_row got = store_await_claim(c, "anyone", CONFORM_LONG_LEASE_MS);
	CONFORM_THAT(conform_str_is(got.id, dead.id), "another row became due");
	CONFORM_THAT(conform_str_is(got.body, dead.body), "its bytes have changed");
	CONFORM_THAT(store_find(c, dead.id, true) == NULL, "a requeued row is still parked");
	CONFORM_THAT(store_find(c, other.id, true) != NULL, "a row that was not named changed");
	claims_nothing(c);
}

static void drop(struct conform_case *c)
{
	struct swm_outbox_row dead = parked(c, "dead");
	struct swm_outbox_row other = parked(c, "other");
	struct swm_outbox_row pending = store_row(conform_name(c, "pending"), 60000);
	store_put(c, &dead);
	store_put(c, &other);
	store_put(c, &pending);
	const struct swm_str ids[] = {dead.id, pending.id, conform_name(c, "unknown")};
	size_t changed = 99;
	CONFORM_OK(c,
		c->ops->outbox_update(c->session, ids, 3, SWM_OUTBOX_DROP, &changed, &c->err));
	CONFORM_THAT(changed == 1, "%zu rows changed, must be 1", changed);
	CONFORM_THAT(store_find(c, dead.id, false) == NULL, "a dropped row is there");
	CONFORM_THAT(store_find(c, other.id, true) != NULL, "a row that was not named is gone");
	CONFORM_THAT(store_find(c, pending.id, false) != NULL, "a PENDING row was dropped");
	CONFORM_OK(c,
		c->ops->outbox_update(c->session, ids, 1, SWM_OUTBOX_DROP, &changed, &c->err));
	CONFORM_THAT(changed == 0, "dropping again changed %zu rows", changed);
}

/* A row that is marked dead and requeued with its instance. */
static void requeue_of_instance(struct conform_case *c)
{
	struct swm_str instance = conform_name(c, "owing");
	struct store_step *step = store_new_step(c, instance, 0);
	struct swm_str id = store_step_owe(step, conform_name(c, "row"), 0)->id;
	store_apply(c, step);
	store_settle(c, "owner", store_mark(id, instance, SWM_MARK_DEAD));
	CONFORM_THAT(store_find(c, id, true) != NULL, "the row is not parked");
	size_t changed = 0;
	CONFORM_OK(c, c->ops->outbox_update(
			      c->session, &id, 1, SWM_OUTBOX_REQUEUE, &changed, &c->err));
	CONFORM_THAT(changed == 1, "%zu rows changed, must be 1", changed);
	struct swm_outbox_row got = store_await_claim(c, "anyone", CONFORM_LONG_LEASE_MS);
	CONFORM_THAT(conform_str_is(got.id, id) && conform_str_is(got.instance_id, instance),
		"the row lost its instance");
}

static void list_pages(struct conform_case *c)
{
	enum {
		ROWS = 25
	};
	struct swm_outbox_row rows[ROWS];
	for (size_t i = 0; i < ROWS; i++) {
		rows[i] = i % 2 == 0 ? parked(c, "-") : store_row(conform_name(c, "-"), 60000);
		rows[i].id = conform_name(c, "row-%02zu", i);
		store_put(c, &rows[i]);
	}
	for (int dead_only = 0; dead_only <= 1; dead_only++) {
		size_t times[ROWS] = {0};
		int64_t before_ms = INT64_MIN;
		struct swm_page page = {.limit = 3};
		do {
			struct swm_set set = {0};
			CONFORM_OK(c, c->ops->outbox_list(c->session, dead_only == 1, &page,
					      &set, &c->err));
			store_keep(c, &set);
			CONFORM_THAT(set.count <= 3, "a page of %zu rows, limit 3", set.count);
			const struct swm_outbox_row *got = set.items;
			for (size_t i = 0; i < set.count; i++) {
				CONFORM_THAT(
					got[i].created_ms >= before_ms, "not oldest first");
				before_ms = got[i].created_ms;
				CONFORM_THAT(dead_only == 0 || got[i].state == SWM_OUTBOX_DEAD,
					"a PENDING row among the parked");
				for (size_t j = 0; j < ROWS; j++) {
					times[j] += conform_str_is(got[i].id, rows[j].id);
				}
			}
			page.after = set.next;
		} while (page.after.ptr != NULL);
		for (size_t i = 0; i < ROWS; i++) {
			size_t wanted = dead_only == 1 && i % 2 == 1 ? 0 : 1;
			CONFORM_THAT(
				times[i] == wanted, "row %zu is listed %zu times", i, times[i]);
		}
	}
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.put.due", put_is_due,
		"a row put without delay is due at once and leased to nobody")},
	{CONFORM_PROMISE(
		"store.put.twice", put_twice, "putting a known id is OK and changes nothing")},
	{CONFORM_PROMISE("store.put.whole", put_whole,
		"rows are put all or none, also when one does not fit")},
	{CONFORM_PROMISE("store.put.durable", put_survives_kill,
		"a row that was put is there after the process was killed")},
	{CONFORM_PROMISE("store.put.parked", park,
		"a DEAD row is kept and shown with its exact bytes, and never claimed")},
	{CONFORM_PROMISE("store.commit.parked", park_in_commit,
		"a commit may park a row of its instance")},
	{CONFORM_PROMISE("store.update.requeue", requeue,
		"REQUEUE makes DEAD rows due now, leaves others alone and counts")},
	{CONFORM_PROMISE("store.update.requeue-instance", requeue_of_instance,
		"a parked row of an instance can be requeued by its id alone")},
	{CONFORM_PROMISE("store.update.drop", drop,
		"DROP deletes DEAD rows, leaves others alone and counts")},
	{CONFORM_PROMISE("store.outbox.list", list_pages,
		"the outbox lists oldest first, parked ones alone if asked, page by page")},
};

const struct conform_group conform_store_park = CONFORM_GROUP(tests);
