/* SPDX-License-Identifier: MIT */

/*
 * Commit: conditional on the version, atomic within an item, independent between
 * items, durable.
 */

#include "store_kit.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64

static swm_status commit_one(struct conform_case *c, struct store_step *step)
{
	return store_commit(c->ops, c->session, CONFORM_STR("owner"), CONFORM_LONG_LEASE_MS,
		step, 1, NULL, 0, &c->err);
}

static void conflicts(struct conform_case *c, struct store_step *step)
{
	CONFORM_IS(c, SWM_E_CONFLICT, commit_one(c, step));
	CONFORM_IS(c, SWM_E_CONFLICT, step->commit.result);
}

static void check_version(struct conform_case *c, struct swm_str id, int64_t wanted)
{
	const struct swm_instance_row *row = store_get(c, c->session, id);
	int64_t version = row == NULL ? 0 : row->version;
	CONFORM_THAT(version == wanted, "version is %lld, must be %lld", (long long)version,
		(long long)wanted);
}

static void create(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "new");
	store_apply(c, store_new_step(c, id, 0));
	check_version(c, id, 1);
	struct store_step *again = store_new_step(c, id, 0);
	again->commit.next.body = CONFORM_STR("second");
	conflicts(c, again);
	const struct swm_instance_row *row = store_get(c, c->session, id);
	CONFORM_THAT(row != NULL && !conform_str_is(row->body, CONFORM_STR("second")),
		"a conflicting creation replaced the body");
}

/* A step from a version that is not the stored one leaves no trace at all. */
static void stale(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "stale");
	struct swm_str owed = conform_name(c, "timer");
	struct store_step *first = store_new_step(c, id, 0);
	store_step_owe(first, owed, CONFORM_LONG_LEASE_MS);
	store_apply(c, first);
	store_apply(c, store_new_step(c, id, 1));

	const int64_t wrong[] = {1, 3, 17};
	for (size_t i = 0; i < 3; i++) {
		struct store_step *step = store_new_step(c, id, wrong[i]);
		step->commit.next.body = CONFORM_STR("wrong");
		store_step_event(step, conform_name(c, "e-wrong"));
		store_step_owe(step, conform_name(c, "o-wrong"), 0);
		store_step_cancel(step, owed);
		conflicts(c, step);
	}
	check_version(c, id, 2);
	CONFORM_THAT(!store_has_seen(c, id, conform_name(c, "e-wrong")),
		"a conflicting item left its event");
	struct swm_event_row rows[4];
	CONFORM_THAT(store_events(c, id, rows, 4, 10) == 0, "a conflicting item left a record");
	CONFORM_THAT(store_find(c, conform_name(c, "o-wrong"), false) == NULL,
		"a conflicting item left its outbox row");
	CONFORM_THAT(store_find(c, owed, false) != NULL, "a conflicting item cancelled a row");
}

static void not_created(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "never");
	struct store_step *step = store_new_step(c, id, 5);
	store_step_event(step, conform_name(c, "e1"));
	conflicts(c, step);
	check_version(c, id, 0);
}

static void whole(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "whole");
	struct swm_session *other = store_session(c);
	struct store_step *step = store_new_step(c, id, 0);
	for (int i = 1; i <= 3; i++) {
		store_step_event(step, conform_name(c, "e%d", i));
		store_step_owe(step, conform_name(c, "o%d", i), i == 3 ? 60000 : 0);
	}
	store_apply(c, step);
	const struct swm_instance_row *row = store_get(c, other, id);
	CONFORM_THAT(row != NULL && row->version == 1 && row->sequence == 3,
		"another session does not see the committed state");
	for (int i = 1; i <= 3; i++) {
		CONFORM_THAT(store_has_seen(c, id, conform_name(c, "e%d", i)),
			"event %d is not seen", i);
		CONFORM_THAT(store_find(c, conform_name(c, "o%d", i), false) != NULL,
			"outbox row %d is not there", i);
	}
}

/* Others' rows are none of a step's business. */
static void isolated(struct conform_case *c)
{
	struct swm_str ids[2] = {conform_name(c, "a"), conform_name(c, "a%%")};
	for (size_t i = 0; i < 2; i++) {
		struct store_step *step = store_new_step(c, ids[i], 0);
		step->commit.next.body = ids[i];
		store_step_event(step, CONFORM_STR("the-same-event"));
		store_step_owe(step, conform_name(c, "o%zu", i), 60000);
		store_apply(c, step);
	}
	struct store_step *step = store_new_step(c, ids[1], 1);
	step->commit.next.body = CONFORM_STR("changed");
	store_step_event(step, conform_name(c, "e2"));
	store_step_cancel(step, conform_name(c, "o0"));
	store_apply(c, step);
	const struct swm_instance_row *row = store_get(c, c->session, ids[0]);
	CONFORM_THAT(row != NULL && row->version == 1 && conform_str_is(row->body, ids[0]),
		"a step changed another instance");
	struct swm_event_row events[4];
	CONFORM_THAT(store_events(c, ids[0], events, 4, 10) == 1,
		"a step changed another instance's log");
	CONFORM_THAT(store_find(c, conform_name(c, "o0"), false) != NULL,
		"a step cancelled another instance's row");
}

/* One stale item among good ones, and a mark beside them. */
static void independent(struct conform_case *c)
{
	struct swm_outbox_row published = store_row(conform_name(c, "published"), 60000);
	store_put(c, &published);
	struct swm_outbox_mark mark =
		store_mark(published.id, (struct swm_str){NULL, 0}, SWM_MARK_SENT);
	struct store_step *steps = conform_alloc(c, 5, sizeof(*steps));
	for (size_t i = 0; i < 5; i++) {
		struct swm_str id = conform_name(c, "item-%zu", i);
		if (i == 2) {
			store_apply(c, store_new_step(c, id, 0));
		}
		store_step_init(&steps[i], id, 0);
		store_step_event(&steps[i], conform_name(c, "e%zu", i));
		store_step_owe(&steps[i], conform_name(c, "o%zu", i), 60000);
	}
	CONFORM_IS(c, SWM_E_CONFLICT,
		store_commit(c->ops, c->session, CONFORM_STR("owner"), CONFORM_LONG_LEASE_MS,
			steps, 5, &mark, 1, &c->err));
	for (size_t i = 0; i < 5; i++) {
		bool good = i != 2;
		struct swm_str id = steps[i].commit.next.id;
		CONFORM_IS(c, good ? SWM_OK : SWM_E_CONFLICT, steps[i].commit.result);
		check_version(c, id, 1);
		CONFORM_THAT(store_has_seen(c, id, conform_name(c, "e%zu", i)) == good,
			"the event of item %zu", i);
		CONFORM_THAT((store_find(c, conform_name(c, "o%zu", i), false) != NULL) == good,
			"the outbox row of item %zu", i);
	}
	CONFORM_THAT(store_find(c, published.id, false) == NULL,
		"a stale item keeps a mark from being settled");
}

static void batch(struct conform_case *c)
{
	struct store_step *steps = conform_alloc(c, BATCH, sizeof(*steps));
	for (int64_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < BATCH; i++) {
			/* Not in the order of their ids, as they come from a queue. */
			store_step_init(
				&steps[i], conform_name(c, "b%zu", i * 29 % BATCH), round);
			store_step_event(&steps[i], conform_name(c, "e%d", (int)round));
			store_step_owe(&steps[i], conform_name(c, "o%d-%zu", (int)round, i), 0);
		}
		CONFORM_OK(c, store_commit(c->ops, c->session, CONFORM_STR("owner"),
				      CONFORM_LONG_LEASE_MS, steps, BATCH, NULL, 0, &c->err));
		for (size_t i = 0; i < BATCH; i++) {
			CONFORM_OK(c, steps[i].commit.result);
		}
	}
	for (size_t i = 0; i < BATCH; i++) {
		check_version(c, conform_name(c, "b%zu", i), 3);
	}
}

static void large(struct conform_case *c)
{
	enum {
		MESSAGE = 256 * 1024
	};
	struct swm_str id = conform_name(c, "large");
	struct store_step *step = store_new_step(c, id, 0);
	step->commit.next.body = conform_bytes(c, MESSAGE, 1);
	store_step_event(step, conform_name(c, "e1"))->body = conform_bytes(c, MESSAGE, 2);
	store_step_owe(step, conform_name(c, "o1"), 60000)->body = conform_bytes(c, MESSAGE, 3);
	store_apply(c, step);
	const struct swm_instance_row *row = store_get(c, c->session, id);
	CONFORM_THAT(row != NULL && conform_str_is(row->body, step->commit.next.body),
		"a body of 256 KiB comes back changed");
	struct swm_event_row event;
	CONFORM_THAT(store_events(c, id, &event, 1, 10) == 1 &&
			     conform_str_is(event.body, step->events[0].body),
		"an event of 256 KiB comes back changed");
	const struct swm_outbox_row *owed = store_find(c, conform_name(c, "o1"), false);
	CONFORM_THAT(owed != NULL && conform_str_is(owed->body, step->outbox[0].body),
		"an outbox row of 256 KiB comes back changed");
}

/* Whether it fits is the store's affair; that the others are none the worse
 * for it is a promise. */
static void too_large(struct conform_case *c)
{
	struct store_step *steps = conform_alloc(c, 3, sizeof(*steps));
	for (size_t i = 0; i < 3; i++) {
		store_step_init(&steps[i], conform_name(c, "item-%zu", i), 0);
		store_step_event(&steps[i], conform_name(c, "e%zu", i));
	}
	steps[1].commit.next.body = conform_bytes(c, CONFORM_HUGE_BYTES, 5);
	swm_status status = store_commit(c->ops, c->session, CONFORM_STR("owner"),
		CONFORM_LONG_LEASE_MS, steps, 3, NULL, 0, &c->err);
	CONFORM_IS(c, status, steps[1].commit.result);
	CONFORM_THAT(status == SWM_OK || status == SWM_E_TOO_LARGE,
		"a huge body is either stored or SWM_E_TOO_LARGE, not %s",
		conform_status_name(status));
	check_version(c, steps[0].commit.next.id, 1);
	check_version(c, steps[1].commit.next.id, status == SWM_OK ? 1 : 0);
	check_version(c, steps[2].commit.next.id, 1);
	CONFORM_OK(c, steps[0].commit.result);
	CONFORM_OK(c, steps[2].commit.result);
}

/* A process is killed the instant that it was told OK; nothing of it is lost. */
static void survives_kill(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "killed");
	struct conform_child *child =
		conform_spawn(c, (const char *const[]){"store-commit", id.ptr, NULL});
	conform_child_expect(child, "ready");
	conform_child_tell(child, "go");
	int64_t version = 0;
	for (int i = 0; i < 20; i++) {
		version = strtoll(conform_child_line(child), NULL, 10);
		CONFORM_THAT(version > 0, "a helper process cannot commit: %s", child->line);
	}
	conform_child_kill(child);
	const struct swm_instance_row *row = store_get(c, c->session, id);
	CONFORM_THAT(row != NULL && row->version >= version,
		"version %lld was reported, version %lld is there after a kill",
		(long long)version, row == NULL ? 0LL : (long long)row->version);
	struct swm_event_row *events = conform_alloc(c, 20000, sizeof(*events));
	size_t count = store_events(c, id, events, 20000, 1000);
	CONFORM_THAT((int64_t)count == row->version, "%zu events at version %lld", count,
		(long long)row->version);
	CONFORM_THAT(store_find(c, conform_name(c, "killed-%lld", (long long)version), false) !=
			     NULL,
		"the outbox row of the last reported commit is lost");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.commit.create", create,
		"expected_version 0 creates, and is a CONFLICT when the instance exists")},
	{CONFORM_PROMISE("store.commit.conditional", stale,
		"any other version than the stored one is a CONFLICT that changes nothing")},
	{CONFORM_PROMISE("store.commit.no-upsert", not_created,
		"a step from a version of an unknown instance is a CONFLICT and creates none")},
	{CONFORM_PROMISE("store.commit.atomic", whole,
		"state, events and outbox rows of an item become visible together")},
	{CONFORM_PROMISE("store.commit.isolated", isolated,
		"a step changes nothing of another instance")},
	{CONFORM_PROMISE("store.commit.independent", independent,
		"a stale item fails alone: the others and the marks are carried out")},
	{CONFORM_PROMISE("store.commit.batch", batch,
		"a batch of 64 is committed whole when each version is right")},
	{CONFORM_PROMISE("store.commit.large", large,
		"bodies of 256 KiB and of every byte value come back unchanged")},
	{CONFORM_PROMISE(
		"store.commit.too-large", too_large, "an item that does not fit fails alone")},
	{CONFORM_PROMISE("store.commit.durable", survives_kill,
		"what was reported as done is there after the process was killed")},
};

const struct conform_group conform_store_commit = CONFORM_GROUP(tests);
