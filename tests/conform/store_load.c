/* SPDX-License-Identifier: MIT */

/* What load returns: the row as committed, and which events its log holds. */

#include "store_kit.h"

#include <string.h>

#define MANY ((size_t)200)

static void load_unknown(struct conform_case *c)
{
	struct swm_str events[2] = {conform_name(c, "e1"), conform_name(c, "e2")};
	uint8_t seen[2] = {0, 0};
	struct swm_instance_row nobody;
	struct swm_load item = {.id = conform_name(c, "unknown"),
		.event_ids = events,
		.seen = seen,
		.event_count = 2,
		.instance = &nobody};
	struct swm_set backing = {0};
	CONFORM_OK(c, c->ops->load(c->session, &item, 1, &backing, &c->err));
	store_keep(c, &backing);
	CONFORM_THAT(item.instance == NULL, "an unknown instance must be NULL");
	CONFORM_THAT(seen[0] == 0 && seen[1] == 0, "an unknown instance has seen an event");
}

static void check_text(const char *column, struct swm_str got, struct swm_str wanted)
{
	CONFORM_THAT(conform_str_is(got, wanted), "%s: %zu bytes \"%.*s\" came of %zu \"%.*s\"",
		column, got.len, (int)got.len, got.ptr == NULL ? "" : got.ptr, wanted.len,
		(int)wanted.len, wanted.ptr == NULL ? "" : wanted.ptr);
}

static void check_row(const struct swm_instance_row *got, const struct swm_instance_row *wanted)
{
	CONFORM_THAT(got != NULL, "the instance is not there");
	check_text("id", got->id, wanted->id);
	check_text("workflow", got->workflow, wanted->workflow);
	check_text("component", got->component, wanted->component);
	check_text("business_ref", got->business_ref, wanted->business_ref);
	check_text("template_id", got->template_id, wanted->template_id);
	check_text("stage", got->stage, wanted->stage);
	check_text("business_status", got->business_status, wanted->business_status);
	CONFORM_THAT(conform_str_is(got->body, wanted->body), "the body is not as committed");
	CONFORM_THAT(got->version == wanted->version && got->sequence == wanted->sequence,
		"version and sequence are not as committed");
	CONFORM_THAT(
		got->created_ms == wanted->created_ms && got->updated_ms == wanted->updated_ms,
		"created_ms or updated_ms is not as committed");
	CONFORM_THAT(got->status == wanted->status, "status is not as committed");
}

static void load_columns(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "columns");
	struct store_step *step = store_new_step(c, id, 0);
	struct swm_instance_row *row = &step->commit.next;
	row->workflow = CONFORM_STR("Pizza \xe2\x80\x93 'quick'; \"hot\" \\ %s");
	row->component = conform_name(c, "component/%%");
	row->business_ref = CONFORM_STR("ORDER-\xc3\x84 1");
	row->template_id = conform_name(c, "component:17");
	row->stage = CONFORM_STR("");
	row->business_status = CONFORM_STR("");
	row->body = conform_bytes(c, 4096, 1);
	row->sequence = 7;
	row->created_ms = INT64_C(253402300799999);
	row->updated_ms = INT64_C(253402300799998);
	row->status = 31;
	store_apply(c, step);
	check_row(store_get(c, c->session, id), row);

	struct store_step *next = store_new_step(c, id, 1);
	next->commit.next.body = CONFORM_STR("");
	next->commit.next.status = 1;
	next->commit.next.created_ms = row->created_ms;
	store_apply(c, next);
	check_row(store_get(c, c->session, id), &next->commit.next);
}

static void load_long_id(struct conform_case *c)
{
	char *id = conform_alloc(c, 1, 512);
	memset(id, 'x', 512);
	memcpy(id, c->prefix, strlen(c->prefix));
	struct swm_str longest = {id, 512};
	struct swm_str shorter = {id, 511};
	store_apply(c, store_new_step(c, longest, 0));
	CONFORM_THAT(store_get(c, c->session, longest) != NULL, "an id of 512 bytes is lost");
	CONFORM_THAT(store_get(c, c->session, shorter) == NULL, "an id was cut");
}

/* Known and unknown ones in turns: each answer stands at its item's place. */
static void load_many(struct conform_case *c)
{
	struct swm_load *items = conform_alloc(c, MANY, sizeof(*items));
	for (size_t i = 0; i < MANY; i++) {
		items[i].id = conform_name(c, "many-%zu", i);
		if (i % 3 != 0) {
			struct store_step *step = store_new_step(c, items[i].id, 0);
			step->commit.next.status = (int32_t)(1 + i % 31);
			store_apply(c, step);
		}
	}
	struct swm_set backing = {0};
	CONFORM_OK(c, c->ops->load(c->session, items, MANY, &backing, &c->err));
	store_keep(c, &backing);
	for (size_t i = 0; i < MANY; i++) {
		const struct swm_instance_row *row = items[i].instance;
		CONFORM_THAT((row == NULL) == (i % 3 == 0), "item %zu of a batch is wrong", i);
		CONFORM_THAT(row == NULL || (conform_str_is(row->id, items[i].id) &&
						    row->status == (int32_t)(1 + i % 31)),
			"item %zu of a batch has another's row", i);
	}
}

static void load_have_version(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "cached");
	store_apply(c, store_new_step(c, id, 0));
	struct store_step *step = store_new_step(c, id, 1);
	step->commit.next.body = CONFORM_STR("second");
	step->commit.next.stage = CONFORM_STR("SECOND");
	store_apply(c, step);
	for (int64_t have = 1; have <= 3; have++) {
		struct swm_load item = {.id = id, .have_version = have};
		struct swm_set backing = {0};
		CONFORM_OK(c, c->ops->load(c->session, &item, 1, &backing, &c->err));
		store_keep(c, &backing);
		CONFORM_THAT(item.instance != NULL && item.instance->version == 2,
			"have_version %d changes the row's version", (int)have);
		CONFORM_THAT(conform_str_is(item.instance->stage, CONFORM_STR("SECOND")),
			"have_version %d changes a column", (int)have);
		bool whole = conform_str_is(item.instance->body, CONFORM_STR("second"));
		CONFORM_THAT(whole || (have == 2 && item.instance->body.ptr == NULL),
			"the body may be absent only when have_version is the stored one");
	}
}

/* Two results at once, and both outlive what the session does next. */
static void load_backing(struct conform_case *c)
{
	struct swm_str ids[2] = {conform_name(c, "one"), conform_name(c, "two")};
	const struct swm_instance_row *rows[2];
	for (size_t i = 0; i < 2; i++) {
		struct store_step *step = store_new_step(c, ids[i], 0);
		step->commit.next.body = conform_bytes(c, 5000, (uint32_t)i);
		store_apply(c, step);
	}
	for (size_t i = 0; i < 2; i++) {
		rows[i] = store_get(c, c->session, ids[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		struct store_step *step = store_new_step(c, ids[i], 1);
		step->commit.next.body = CONFORM_STR("later");
		store_apply(c, step);
		(void)store_get(c, c->session, ids[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		CONFORM_THAT(
			rows[i]->version == 1 && conform_str_is(rows[i]->body,
							 conform_bytes(c, 5000, (uint32_t)i)),
			"a set changed before its release");
	}
}

/* What was passed in is overwritten as soon as the call is over. */
static void only_borrows(struct conform_case *c)
{
	struct swm_str names[] = {conform_name(c, "lent"), conform_name(c, "body"),
		conform_name(c, "event"), conform_name(c, "row")};
	char *copies[4];
	struct swm_str lent[4];
	for (size_t i = 0; i < 4; i++) {
		copies[i] = conform_alloc(c, names[i].len, 1);
		memcpy(copies[i], names[i].ptr, names[i].len);
		lent[i] = (struct swm_str){copies[i], names[i].len};
	}
	struct store_step *step = store_new_step(c, lent[0], 0);
	step->commit.next.body = lent[1];
	store_step_event(step, lent[2]);
	store_step_owe(step, lent[3], 60000);
	store_apply(c, step);
	for (size_t i = 0; i < 4; i++) {
		memset(copies[i], 'x', names[i].len);
	}
	const struct swm_instance_row *row = store_get(c, c->session, names[0]);
	CONFORM_THAT(row != NULL && conform_str_is(row->id, names[0]) &&
			     conform_str_is(row->body, names[1]),
		"an instance changed with the memory that it was committed from");
	CONFORM_THAT(store_has_seen(c, names[0], names[2]), "an event's id changed");
	CONFORM_THAT(store_find(c, names[3], false) != NULL, "an outbox row's id changed");
}

static void seen_events(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "seen");
	struct swm_str other = conform_name(c, "other");
	struct store_step *step = store_new_step(c, id, 0);
	store_step_event(step, conform_name(c, "e1"));
	store_step_event(step, conform_name(c, "e2"));
	store_apply(c, step);
	struct store_step *next = store_new_step(c, id, 1);
	store_step_event(next, conform_name(c, "e3"))->outcome = SWM_OUTCOME_REJECTED;
	store_apply(c, next);
	struct store_step *elsewhere = store_new_step(c, other, 0);
	store_step_event(elsewhere, conform_name(c, "e4"));
	store_apply(c, elsewhere);

	for (int i = 1; i <= 5; i++) {
		bool seen = store_has_seen(c, id, conform_name(c, "e%d", i));
		CONFORM_THAT(seen == (i <= 3), "event %d of one instance: seen is %d", i, seen);
		seen = store_has_seen(c, other, conform_name(c, "e%d", i));
		CONFORM_THAT(seen == (i == 4), "event %d of the other: seen is %d", i, seen);
	}
}

/* Many ids in one call, the same one twice among them. */
static void seen_many(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "seen");
	struct store_step *step = store_new_step(c, id, 0);
	for (size_t i = 0; i < STORE_STEP_MAX; i++) {
		store_step_event(step, conform_name(c, "e%zu", i * 40));
	}
	store_apply(c, step);
	struct swm_str *events = conform_alloc(c, MANY * 2 + 1, sizeof(*events));
	uint8_t *seen = conform_alloc(c, MANY * 2 + 1, 1);
	for (size_t i = 0; i < MANY * 2; i++) {
		events[i] = conform_name(c, "e%zu", i);
	}
	events[MANY * 2] = conform_name(c, "e40");
	struct swm_load items[2] = {{.id = conform_name(c, "unknown"),
					    .event_ids = events,
					    .seen = seen,
					    .event_count = 1},
		{.id = id, .event_ids = events, .seen = seen, .event_count = MANY * 2 + 1}};
	uint8_t none = 0;
	items[0].seen = &none;
	struct swm_set backing = {0};
	CONFORM_OK(c, c->ops->load(c->session, items, 2, &backing, &c->err));
	store_keep(c, &backing);
	CONFORM_THAT(none == 0, "an unknown instance has seen another's event");
	for (size_t i = 0; i <= MANY * 2; i++) {
		bool wanted = i == MANY * 2 || (i % 40 == 0 && i < (size_t)40 * STORE_STEP_MAX);
		CONFORM_THAT((seen[i] == 1) == wanted, "seen[%zu] of %zu is %d", i, MANY * 2,
			seen[i]);
	}
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.load.unknown", load_unknown,
		"an instance that does not exist is NULL and has seen nothing")},
	{CONFORM_PROMISE("store.load.columns", load_columns,
		"every column comes back as committed; the body is any bytes")},
	{CONFORM_PROMISE("store.load.long-id", load_long_id,
		"an instance's id may have 512 bytes, all of which count")},
	{CONFORM_PROMISE("store.load.batch", load_many,
		"a batch of known and unknown instances is answered item by item")},
	{CONFORM_PROMISE("store.load.have-version", load_have_version,
		"only the body may be left out, and only at the stored version")},
	{CONFORM_PROMISE("store.load.backing", load_backing,
		"what a set points to stays until its release")},
	{CONFORM_PROMISE("store.memory.borrowed", only_borrows,
		"what is passed in may be overwritten when the call is over")},
	{CONFORM_PROMISE("store.seen.events", seen_events,
		"seen is 1 for each event that a commit of this instance holds, no other")},
	{CONFORM_PROMISE("store.seen.many", seen_many,
		"many event ids are answered in one call, each in its place")},
};

const struct conform_group conform_store_load = CONFORM_GROUP(tests);
