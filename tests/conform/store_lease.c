/* SPDX-License-Identifier: MIT */

/*
 * The outbox on its way out: leases of the committer and of claimers, delays,
 * order, what a claimed row carries, and cancelling.
 */

#include "store_kit.h"

#include <string.h>

static const struct swm_str nobody = {NULL, 0};

/* Commits a row without delay under a lease of that length; `started_ms` is from
 * before the call, so that the lease cannot end before it plus the length. */
static struct swm_str owe_now(
	struct conform_case *c, const char *owner, int64_t lease_ms, int64_t *started_ms)
{
	struct store_step *step = store_new_step(c, conform_name(c, "owing"), 0);
	struct swm_outbox_row *row = store_step_owe(step, conform_name(c, "row"), 0);
	*started_ms = conform_now_ms();
	CONFORM_OK(c, store_commit(c->ops, c->session, conform_str(owner), lease_ms, step, 1,
			      NULL, 0, &c->err));
	return row->id;
}

static void claims_nothing(struct conform_case *c, const char *owner)
{
	struct swm_outbox_row row;
	(void)store_claim(c, owner, CONFORM_LONG_LEASE_MS, &row, 0);
}

static void leased_to_committer(struct conform_case *c)
{
	int64_t started_ms;
	struct swm_str id = owe_now(c, "committer", CONFORM_LONG_LEASE_MS, &started_ms);
	claims_nothing(c, "another");
	claims_nothing(c, "committer");
	const struct swm_outbox_row *row = store_find(c, id, false);
	CONFORM_THAT(row != NULL && row->state == SWM_OUTBOX_PENDING && row->claims == 0,
		"a fresh row is PENDING and was claimed by nobody");
	CONFORM_THAT(row->lease_until_ms > 0, "a fresh row without delay has no lease");
}

static void committer_died(struct conform_case *c)
{
	int64_t started_ms;
	struct swm_str id = owe_now(c, "dead", CONFORM_SHORT_LEASE_MS, &started_ms);
	struct swm_outbox_row row = store_await_claim(c, "heir", CONFORM_LONG_LEASE_MS);
	int64_t waited_ms = conform_now_ms() - started_ms;
	CONFORM_THAT(conform_str_is(row.id, id), "another row came");
	CONFORM_THAT(waited_ms >= CONFORM_SHORT_LEASE_MS - CONFORM_CLOCK_SLACK_MS,
		"claimed %lld ms into a lease of %d ms", (long long)waited_ms,
		CONFORM_SHORT_LEASE_MS);
	CONFORM_THAT(row.claims == 1, "claims is %lld after the first", (long long)row.claims);
	claims_nothing(c, "third");
}

static void claimer_died(struct conform_case *c)
{
	struct swm_outbox_row owed = store_row(conform_name(c, "row"), 0);
	store_put(c, &owed);
	int64_t started_ms = conform_now_ms();
	(void)store_await_claim(c, "first", CONFORM_SHORT_LEASE_MS);
	struct swm_outbox_row row = store_await_claim(c, "second", CONFORM_LONG_LEASE_MS);
	int64_t waited_ms = conform_now_ms() - started_ms;
	CONFORM_THAT(waited_ms >= CONFORM_SHORT_LEASE_MS - CONFORM_CLOCK_SLACK_MS,
		"claimed again %lld ms into a lease of %d ms", (long long)waited_ms,
		CONFORM_SHORT_LEASE_MS);
	CONFORM_THAT(row.claims == 2, "claims is %lld after the second", (long long)row.claims);
}

static void delayed(struct conform_case *c)
{
	enum {
		DELAY_MS = 500
	};
	struct store_step *step = store_new_step(c, conform_name(c, "timed"), 0);
	struct swm_str soon = store_step_owe(step, conform_name(c, "soon"), DELAY_MS)->id;
	store_step_owe(step, conform_name(c, "late"), CONFORM_LONG_LEASE_MS);
	int64_t started_ms = conform_now_ms();
	store_apply(c, step);
	struct swm_outbox_row row = store_await_claim(c, "dispatcher", CONFORM_LONG_LEASE_MS);
	int64_t waited_ms = conform_now_ms() - started_ms;
	CONFORM_THAT(conform_str_is(row.id, soon), "another row came");
	CONFORM_THAT(waited_ms >= DELAY_MS - CONFORM_CLOCK_SLACK_MS,
		"claimed %lld ms into a delay of %d ms", (long long)waited_ms, DELAY_MS);
	claims_nothing(c, "dispatcher");
	const struct swm_outbox_row *late = store_find(c, conform_name(c, "late"), false);
	CONFORM_THAT(late != NULL && late->due_ms - late->created_ms >= CONFORM_LONG_LEASE_MS,
		"due_ms is not created_ms and the delay");
}

static void check_contents(
	const struct swm_outbox_row *got, const struct swm_outbox_row *wanted)
{
	CONFORM_THAT(conform_str_is(got->id, wanted->id), "id");
	CONFORM_THAT(conform_str_is(got->instance_id, wanted->instance_id), "instance_id");
	CONFORM_THAT(conform_str_is(got->destination, wanted->destination), "destination");
	CONFORM_THAT(conform_str_is(got->key, wanted->key), "key");
	CONFORM_THAT(conform_str_is(got->body, wanted->body), "body");
	CONFORM_THAT(conform_str_is(got->reason, wanted->reason), "reason");
	CONFORM_THAT(got->attempt == wanted->attempt && got->kind == wanted->kind &&
			     got->state == wanted->state,
		"attempt, kind or state");
	CONFORM_THAT(got->header_count == wanted->header_count, "%zu headers of %zu",
		got->header_count, wanted->header_count);
	for (size_t i = 0; i < wanted->header_count; i++) {
		size_t j = 0;
		while (j < got->header_count &&
			!conform_str_is(got->headers[j].name, wanted->headers[i].name)) {
			j++;
		}
		CONFORM_THAT(j < got->header_count && conform_str_is(got->headers[j].value,
							      wanted->headers[i].value),
			"header %zu", i);
	}
}

static void contents(struct conform_case *c)
{
	const struct swm_header headers[] = {
		{CONFORM_STR("swm-event-id"), conform_name(c, "event")},
		{CONFORM_STR("ce-type"), CONFORM_STR("")},
		{CONFORM_STR("x: \"odd\", \xc3\xa4"), conform_bytes(c, 300, 7)},
	};
	char *id = conform_alloc(c, 1, 64);
	memset(id, 'f', 64);
	memcpy(id, c->prefix, strlen(c->prefix));
	struct store_step *step = store_new_step(c, conform_name(c, "in/%%2Fstance"), 0);
	struct swm_outbox_row *row = store_step_owe(step, (struct swm_str){id, 64}, 1);
	row->destination = CONFORM_STR("a queue: \xe2\x82\xac");
	row->key = conform_bytes(c, 300, 8);
	row->body = conform_bytes(c, 3000, 9);
	row->reason = CONFORM_STR("put off: no such queue");
	row->headers = headers;
	row->header_count = 3;
	row->attempt = 4000000000U;
	row->kind = 77;
	store_apply(c, step);
	check_contents(store_find(c, row->id, false), row);
	struct swm_outbox_row got = store_await_claim(c, "dispatcher", CONFORM_LONG_LEASE_MS);
	check_contents(&got, row);
}

static void earliest_first(struct conform_case *c)
{
	const int64_t delays[] = {120, 30, 90, 60};
	struct swm_outbox_row rows[4];
	for (size_t i = 0; i < 4; i++) {
		rows[i] = store_row(conform_name(c, "%03d", (int)delays[i]), delays[i]);
	}
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, 4, &c->err));
	conform_sleep_ms(300);
	struct swm_outbox_row got[4];
	size_t count = store_claim(c, "dispatcher", CONFORM_LONG_LEASE_MS, got, 4);
	CONFORM_THAT(count == 4, "%zu rows of 4 are due", count);
	for (size_t i = 1; i < 4; i++) {
		CONFORM_THAT(got[i - 1].due_ms <= got[i].due_ms,
			"row %zu is due before row %zu", i, i - 1);
	}
}

static void at_most_limit(struct conform_case *c)
{
	struct swm_outbox_row rows[5];
	for (size_t i = 0; i < 5; i++) {
		rows[i] = store_row(conform_name(c, "row-%zu", i), 0);
	}
	CONFORM_OK(c, c->ops->outbox_put(c->session, rows, 5, &c->err));
	size_t own = 0;
	int64_t until = conform_now_ms() + CONFORM_PATIENCE_MS;
	while (own < 5) {
		struct swm_set set = {0};
		int64_t next_ms = 0;
		CONFORM_OK(c, c->ops->outbox_claim(c->session, CONFORM_STR("few"), 30000, 2,
				      &set, &next_ms, &c->err));
		store_keep(c, &set);
		CONFORM_THAT(set.count <= 2, "a claim of at most 2 gives %zu", set.count);
		const struct swm_outbox_row *got = set.items;
		for (size_t i = 0; i < set.count; i++) {
			own += conform_is_own(c, got[i].id) ? 1 : 0;
		}
		CONFORM_THAT(conform_now_ms() < until, "rows that are due do not come");
	}
}

static int64_t next_due(struct conform_case *c)
{
	struct swm_set set = {0};
	int64_t next_ms = -2;
	CONFORM_OK(c, c->ops->outbox_claim(c->session, CONFORM_STR("asker"), 30000, 200, &set,
			      &next_ms, &c->err));
	store_keep(c, &set);
	CONFORM_THAT(next_ms >= -1, "next_due_ms is %lld", (long long)next_ms);
	return next_ms;
}

static void tells_next(struct conform_case *c)
{
	struct swm_outbox_row row = store_row(conform_name(c, "timer"), 20000);
	store_put(c, &row);
	int64_t next_ms = next_due(c);
	CONFORM_THAT(next_ms >= 0 && next_ms <= 20000, "next is %lld ms, a row is due in 20000",
		(long long)next_ms);

	struct swm_outbox_row ready = store_row(conform_name(c, "ready"), 0);
	store_put(c, &ready);
	(void)store_claim(c, "claimer", 10000, &ready, 1);
	next_ms = next_due(c);
	CONFORM_THAT(next_ms >= 0 && next_ms <= 10000, "next is %lld ms, a lease ends in 10000",
		(long long)next_ms);
}

static void tells_none(struct conform_case *c)
{
	bool owed = false;
	struct swm_page page = {.limit = 500};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->outbox_list(c->session, false, &page, &set, &c->err));
		store_keep(c, &set);
		const struct swm_outbox_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			owed = owed || rows[i].state == SWM_OUTBOX_PENDING;
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	CONFORM_THAT((next_due(c) == -1) == !owed,
		"next_due_ms is -1 if and only if nothing is owed");
}

static void cancelled(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "ending");
	struct store_step *step = store_new_step(c, id, 0);
	store_step_owe(step, conform_name(c, "timer"), 60000);
	store_step_owe(step, conform_name(c, "leased"), 0);
	store_step_owe(step, conform_name(c, "kept"), 60000);
	store_apply(c, step);
	struct store_step *end = store_new_step(c, id, 1);
	store_step_cancel(end, conform_name(c, "timer"));
	store_step_cancel(end, conform_name(c, "never-was"));
	store_step_cancel(end, conform_name(c, "leased"));
	store_apply(c, end);
	CONFORM_THAT(store_find(c, conform_name(c, "timer"), false) == NULL,
		"a delayed row is not cancelled");
	CONFORM_THAT(store_find(c, conform_name(c, "leased"), false) == NULL,
		"a leased row is not cancelled");
	CONFORM_THAT(store_find(c, conform_name(c, "kept"), false) != NULL,
		"a row that was not named is cancelled");
}

/* Marks and cancels of one call, and new rows beside them, do not disturb each
 * other. */
static void marks_beside_items(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "busy");
	struct store_step *step = store_new_step(c, id, 0);
	store_step_owe(step, conform_name(c, "sent"), 0);
	store_step_owe(step, conform_name(c, "timer"), 60000);
	store_apply(c, step);
	struct store_step *next = store_new_step(c, id, 1);
	store_step_owe(next, conform_name(c, "fresh"), 60000);
	store_step_cancel(next, conform_name(c, "timer"));
	const struct swm_outbox_mark marks[] = {
		store_mark(conform_name(c, "sent"), id, SWM_MARK_SENT),
		store_mark(conform_name(c, "gone-long-ago"), id, SWM_MARK_SENT),
		store_mark(conform_name(c, "gone-too"), nobody, SWM_MARK_SENT),
	};
	CONFORM_OK(c, store_commit(c->ops, c->session, CONFORM_STR("owner"),
			      CONFORM_LONG_LEASE_MS, next, 1, marks, 3, &c->err));
	CONFORM_OK(c, next->commit.result);
	CONFORM_THAT(store_find(c, conform_name(c, "sent"), false) == NULL, "the mark is lost");
	CONFORM_THAT(
		store_find(c, conform_name(c, "timer"), false) == NULL, "the cancel is lost");
	CONFORM_THAT(store_find(c, conform_name(c, "fresh"), false) != NULL, "the row is lost");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.outbox.lease", leased_to_committer,
		"a row committed without delay is leased to the committer")},
	{CONFORM_PROMISE("store.outbox.lease-ends", committer_died,
		"a row can be claimed once the committer's lease is over, not before")},
	{CONFORM_PROMISE("store.outbox.claim-ends", claimer_died,
		"a claimed row can be claimed again once that lease is over; claims counts")},
	{CONFORM_PROMISE("store.outbox.delay", delayed,
		"a row with a delay can be claimed when it is due, not before")},
	{CONFORM_PROMISE("store.outbox.contents", contents,
		"a row comes back as committed: body, key and header values are any bytes")},
	{CONFORM_PROMISE(
		"store.outbox.order", earliest_first, "the earliest due is claimed first")},
	{CONFORM_PROMISE("store.outbox.limit", at_most_limit,
		"a claim gives at most as many rows as asked for")},
	{CONFORM_PROMISE("store.outbox.next-due", tells_next,
		"a claim says in how long a row is due or a lease ends, at the latest")},
	{CONFORM_PROMISE("store.outbox.nothing-owed", tells_none,
		"next_due_ms is -1 when nothing is owed, and only then")},
	{CONFORM_PROMISE("store.commit.cancel", cancelled,
		"cancelled rows are gone, leased or not; unknown ids are fine")},
	{CONFORM_PROMISE("store.commit.marks", marks_beside_items,
		"marks are settled beside the items, and unknown ones are fine")},
};

const struct conform_group conform_store_lease = CONFORM_GROUP(tests);
