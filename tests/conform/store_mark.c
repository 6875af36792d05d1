/* SPDX-License-Identifier: MIT */

/*
 * Marks: SENT counts whatever the lease says, since the broker has confirmed;
 * RETRY and DEAD only while the lease is the owner's, since another may be
 * publishing the row by now.
 */

#include "store_kit.h"

#include <string.h>

static const struct swm_str nobody = {NULL, 0};

/* A row that "first" holds under a lease that lasts. */
static struct swm_str held_row(struct conform_case *c)
{
	struct swm_outbox_row row = store_row(conform_name(c, "row"), 0);
	store_put(c, &row);
	(void)store_await_claim(c, "first", CONFORM_LONG_LEASE_MS);
	return row.id;
}

/* The same, after "first" has lost it to "second". */
static struct swm_str lost_row(struct conform_case *c)
{
	struct swm_outbox_row row = store_row(conform_name(c, "row"), 0);
	store_put(c, &row);
	(void)store_await_claim(c, "first", CONFORM_SHORT_LEASE_MS);
	(void)store_await_claim(c, "second", CONFORM_LONG_LEASE_MS);
	return row.id;
}

static void claims_nothing(struct conform_case *c)
{
	struct swm_outbox_row row;
	(void)store_claim(c, "third", CONFORM_LONG_LEASE_MS, &row, 0);
}

static void sent(struct conform_case *c)
{
	struct swm_str id = held_row(c);
	store_settle(c, "first", store_mark(id, nobody, SWM_MARK_SENT));
	CONFORM_THAT(store_find(c, id, false) == NULL, "a row that was sent is still owed");
	store_settle(c, "first", store_mark(id, nobody, SWM_MARK_SENT));
}

static void sent_by_another(struct conform_case *c)
{
	struct swm_str id = lost_row(c);
	store_settle(c, "first", store_mark(id, nobody, SWM_MARK_SENT));
	CONFORM_THAT(store_find(c, id, false) == NULL,
		"SENT by one whose lease is over leaves the row");
}

static void sent_of_instance(struct conform_case *c)
{
	struct swm_str instance = conform_name(c, "owing");
	struct swm_str id = conform_name(c, "row");
	struct store_step *step = store_new_step(c, instance, 0);
	store_step_owe(step, id, 0);
	store_step_owe(step, conform_name(c, "other"), 0);
	store_apply(c, step);
	store_settle(c, "owner", store_mark(id, instance, SWM_MARK_SENT));
	CONFORM_THAT(store_find(c, id, false) == NULL, "a row of an instance is still owed");
	CONFORM_THAT(store_find(c, conform_name(c, "other"), false) != NULL,
		"a mark took another row along");
	const struct swm_instance_row *row = store_get(c, c->session, instance);
	CONFORM_THAT(row != NULL && row->version == 1, "a mark changed the instance's version");
}

/* More than most stores take at a time, one message after the other. */
static void sent_for_long(struct conform_case *c)
{
	enum {
		STEPS = 40,
		BYTES = 512 * 1024
	};
	struct swm_str instance = conform_name(c, "long-lived");
	struct swm_outbox_mark mark = store_mark(nobody, instance, SWM_MARK_SENT);
	char *body = conform_alloc(c, BYTES, 1);
	memset(body, 'x', BYTES);
	for (int64_t i = 0; i < STEPS; i++) {
		struct store_step *step = store_new_step(c, instance, i);
		struct swm_outbox_row *row =
			store_step_owe(step, conform_name(c, "row-%d", (int)i), 0);
		row->body = (struct swm_str){body, BYTES};
		CONFORM_OK(c, store_commit(c->ops, c->session, CONFORM_STR("owner"),
				      CONFORM_LONG_LEASE_MS, step, 1, &mark, i > 0, &c->err));
		mark.id = row->id;
	}
	CONFORM_THAT(store_find(c, mark.id, false) != NULL, "the last row is not owed");
	CONFORM_THAT(store_find(c, conform_name(c, "row-%d", STEPS - 2), false) == NULL,
		"a row that was sent is still owed");
}

/* An id of this case that is as long as may be and has neither letters nor digits. */
static struct swm_str long_id(struct conform_case *c, char last)
{
	enum {
		LENGTH = 64
	};
	static const char signs[] = "!#$%&()*+,-./:;<";
	struct swm_str name = conform_name(c, "%s", "");
	char *id = conform_alloc(c, LENGTH, 1);
	memset(id, '.', LENGTH);
	for (size_t i = 0; i < name.len && 2 * i + 2 < LENGTH; i++) {
		id[2 * i] = signs[(unsigned char)name.ptr[i] >> 4];
		id[2 * i + 1] = signs[name.ptr[i] & 15];
	}
	id[LENGTH - 1] = last;
	return (struct swm_str){id, LENGTH};
}

static void sent_of_long_id(struct conform_case *c)
{
	struct swm_str instance = conform_name(c, "owing");
	const struct swm_str ids[] = {long_id(c, '='), long_id(c, '>')};
	struct store_step *step = store_new_step(c, instance, 0);
	store_step_owe(step, ids[0], 0);
	store_step_owe(step, ids[1], 0);
	store_apply(c, step);
	store_settle(c, "owner", store_mark(ids[0], instance, SWM_MARK_SENT));
	CONFORM_THAT(store_find(c, ids[0], false) == NULL, "a row that was sent is still owed");
	CONFORM_THAT(store_find(c, ids[1], false) != NULL, "a mark took another row along");
	store_settle(c, "owner", store_mark(ids[1], instance, SWM_MARK_SENT));
}

static void retry(struct conform_case *c)
{
	enum {
		DELAY_MS = 400
	};
	struct swm_str id = held_row(c);
	struct swm_outbox_mark mark = store_mark(id, nobody, SWM_MARK_RETRY);
	mark.delay_ms = DELAY_MS;
	mark.reason = CONFORM_STR("no such queue");
	int64_t started_ms = conform_now_ms();
	store_settle(c, "first", mark);
	const struct swm_outbox_row *listed = store_find(c, id, false);
	CONFORM_THAT(listed != NULL && listed->state == SWM_OUTBOX_PENDING &&
			     conform_str_is(listed->reason, mark.reason),
		"a row that was put off is PENDING and says why");
	struct swm_outbox_row row = store_await_claim(c, "second", CONFORM_LONG_LEASE_MS);
	int64_t waited_ms = conform_now_ms() - started_ms;
	CONFORM_THAT(waited_ms >= DELAY_MS - CONFORM_CLOCK_SLACK_MS,
		"claimed %lld ms after it was put off by %d ms", (long long)waited_ms,
		DELAY_MS);
	CONFORM_THAT(row.claims == 2, "claims is %lld, must be 2", (long long)row.claims);
}

static void retry_of_instance(struct conform_case *c)
{
	struct swm_str instance = conform_name(c, "owing");
	struct store_step *step = store_new_step(c, instance, 0);
	struct swm_str id = store_step_owe(step, conform_name(c, "row"), 0)->id;
	store_apply(c, step);
	claims_nothing(c);
	store_settle(c, "owner", store_mark(id, instance, SWM_MARK_RETRY));
	struct swm_outbox_row row = store_await_claim(c, "second", CONFORM_LONG_LEASE_MS);
	CONFORM_THAT(conform_str_is(row.id, id), "another row came");
}

static void retry_by_another(struct conform_case *c)
{
	struct swm_str id = lost_row(c);
	struct swm_outbox_mark mark = store_mark(id, nobody, SWM_MARK_RETRY);
	mark.reason = CONFORM_STR("too late");
	store_settle(c, "first", mark);
	claims_nothing(c);
	const struct swm_outbox_row *row = store_find(c, id, false);
	CONFORM_THAT(row != NULL && !conform_str_is(row->reason, mark.reason),
		"RETRY by one whose lease is over was carried out");
}

static void dead(struct conform_case *c)
{
	struct swm_str id = held_row(c);
	struct swm_outbox_mark mark = store_mark(id, nobody, SWM_MARK_DEAD);
	mark.reason = CONFORM_STR("undeliverable: too large");
	store_settle(c, "first", mark);
	const struct swm_outbox_row *row = store_find(c, id, true);
	CONFORM_THAT(row != NULL && row->state == SWM_OUTBOX_DEAD, "the row is not parked");
	CONFORM_THAT(conform_str_is(row->reason, mark.reason), "the reason is lost");
	CONFORM_THAT(conform_str_is(row->body, store_row(id, 0).body), "the body is lost");
	claims_nothing(c);
}

static void dead_by_another(struct conform_case *c)
{
	struct swm_str id = lost_row(c);
	store_settle(c, "first", store_mark(id, nobody, SWM_MARK_DEAD));
	CONFORM_THAT(store_find(c, id, true) == NULL,
		"DEAD by one whose lease is over was carried out");
	const struct swm_outbox_row *row = store_find(c, id, false);
	CONFORM_THAT(row != NULL && row->state == SWM_OUTBOX_PENDING, "the row is gone");
}

static void many_marks(struct conform_case *c)
{
	enum {
		MARKS = 300
	};
	struct swm_outbox_row *rows = conform_alloc(c, MARKS, sizeof(*rows));
	struct swm_outbox_mark *marks = conform_alloc(c, MARKS, sizeof(*marks));
	for (size_t i = 0; i < MARKS; i++) {
		rows[i] = store_row(conform_name(c, "row-%zu", i), 60000);
		marks[i] = store_mark(rows[i].id, nobody, SWM_MARK_SENT);
	}
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, MARKS, &c->err));
	CONFORM_OK(c, c->ops->commit(c->session, CONFORM_STR("owner"), CONFORM_LONG_LEASE_MS,
			      NULL, 0, marks, MARKS - 1, &c->err));
	CONFORM_THAT(store_find(c, rows[0].id, false) == NULL &&
			     store_find(c, rows[MARKS - 2].id, false) == NULL,
		"a mark of many is lost");
	CONFORM_THAT(store_find(c, rows[MARKS - 1].id, false) != NULL,
		"a row without a mark is gone");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.mark.sent", sent, "a row marked SENT is gone; twice is fine")},
	{CONFORM_PROMISE("store.mark.sent-any-lease", sent_by_another,
		"SENT counts also when another holds the lease by now")},
	{CONFORM_PROMISE("store.mark.sent-instance", sent_of_instance,
		"a mark settles one row of an instance and does not touch its version")},
	{CONFORM_PROMISE("store.mark.sent-long", sent_for_long,
		"what was sent takes no room: an instance may send more than a store holds "
		"of it")},
	{CONFORM_PROMISE("store.mark.sent-long-id", sent_of_long_id,
		"ids of 64 bytes that differ in the last one are two rows")},
	{CONFORM_PROMISE("store.mark.retry", retry,
		"RETRY ends the lease, puts the row off by the delay and keeps the reason")},
	{CONFORM_PROMISE("store.mark.retry-instance", retry_of_instance,
		"RETRY puts off a row of an instance that the committer still holds")},
	{CONFORM_PROMISE("store.mark.retry-lease", retry_by_another,
		"RETRY changes nothing when another holds the lease")},
	{CONFORM_PROMISE("store.mark.dead", dead,
		"DEAD parks the row with the reason: listed, never claimed")},
	{CONFORM_PROMISE("store.mark.dead-lease", dead_by_another,
		"DEAD changes nothing when another holds the lease")},
	{CONFORM_PROMISE("store.mark.many", many_marks,
		"hundreds of marks without any item are settled in one call")},
};

const struct conform_group conform_store_mark = CONFORM_GROUP(tests);
