/* SPDX-License-Identifier: MIT */

/* Lists for people: instances by filter and page, events by sequence; purge. */

#include "store_kit.h"

#include <string.h>

#define INSTANCES 23

/* One that differs from the others in every column that can be listed by. */
static void add_instance(struct conform_case *c, size_t i)
{
	struct store_step *step = store_new_step(c, conform_name(c, "i-%02zu", i), 0);
	struct swm_instance_row *row = &step->commit.next;
	row->workflow = conform_name(c, "flow");
	row->component = conform_name(c, "component-%zu", i % 3);
	row->business_ref = conform_name(c, "ref-%zu", i);
	row->template_id = conform_name(c, "template-%zu", i % 4);
	row->stage = conform_name(c, "stage-%zu", i % 5);
	row->body = conform_name(c, "body-%zu", i);
	row->status = (int32_t)(1 + i % 6);
	/* Some are created in the same millisecond: then the id decides. */
	row->created_ms = 1000 + (int64_t)(i / 2) * 10;
	row->updated_ms = 5000 + (int64_t)i * 10;
	store_apply(c, step);
}

static void add_instances(struct conform_case *c)
{
	for (size_t i = 0; i < INSTANCES; i++) {
		/* In no order. */
		add_instance(c, i * 7 % INSTANCES);
	}
}

/* The numbers of the instances that a filter lets through, in the list's order. */
static size_t list_all(struct conform_case *c, const struct swm_instance_filter *filter,
	uint32_t limit, size_t *numbers)
{
	size_t count = 0;
	struct swm_page page = {.limit = limit};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->instance_list(c->session, filter, &page, &set, &c->err));
		store_keep(c, &set);
		CONFORM_THAT(
			set.count <= limit, "a page of %zu rows, limit %u", set.count, limit);
		const struct swm_instance_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			size_t at = strlen(c->prefix) + 2;
			CONFORM_THAT(conform_is_own(c, rows[i].id) && rows[i].id.len == at + 2,
				"a filter on a workflow lets others through");
			CONFORM_THAT(count < INSTANCES, "more rows than instances");
			size_t number = (size_t)(rows[i].id.ptr[at] - '0') * 10 +
					(size_t)(rows[i].id.ptr[at + 1] - '0');
			CONFORM_THAT(conform_str_is(
					     rows[i].body, conform_name(c, "body-%zu", number)),
				"a listed instance has not its body");
			numbers[count++] = number;
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	return count;
}

static struct swm_instance_filter filter_all(struct conform_case *c)
{
	return (struct swm_instance_filter){.size = sizeof(struct swm_instance_filter),
		.workflow = conform_name(c, "flow")};
}

static void paging(struct conform_case *c)
{
	add_instances(c);
	struct swm_instance_filter filter = filter_all(c);
	const uint32_t limits[] = {1, 2, 5, INSTANCES, 1000};
	for (size_t k = 0; k < 5; k++) {
		size_t numbers[INSTANCES];
		bool found[INSTANCES] = {false};
		size_t count = list_all(c, &filter, limits[k], numbers);
		CONFORM_THAT(count == INSTANCES, "%zu of %d instances with pages of %u", count,
			INSTANCES, limits[k]);
		for (size_t i = 0; i < count; i++) {
			CONFORM_THAT(
				!found[numbers[i]], "instance %zu is listed twice", numbers[i]);
			found[numbers[i]] = true;
			CONFORM_THAT(i == 0 || numbers[i] / 2 <= numbers[i - 1] / 2,
				"instance %zu comes before %zu, which is newer", numbers[i - 1],
				numbers[i]);
		}
	}
}

/* Whatever the direction, equals come in one order of their ids. */
static void equals_by_id(struct conform_case *c)
{
	size_t numbers[INSTANCES];
	add_instances(c);
	struct swm_instance_filter filter = filter_all(c);
	size_t count = list_all(c, &filter, 4, numbers);
	CONFORM_THAT(count == INSTANCES, "%zu of %d instances", count, INSTANCES);
	int up = 0;
	int down = 0;
	for (size_t i = 1; i < count; i++) {
		if (numbers[i] / 2 == numbers[i - 1] / 2) {
			up += numbers[i] > numbers[i - 1];
			down += numbers[i] < numbers[i - 1];
		}
	}
	CONFORM_THAT(up == 0 || down == 0, "instances of one time are not ordered by their id");
}

/* created_ms does not change, so what is updated while one pages keeps its place. */
static void stable_pages(struct conform_case *c)
{
	add_instances(c);
	struct swm_instance_filter filter = filter_all(c);
	bool found[INSTANCES] = {false};
	size_t count = 0;
	struct swm_page page = {.limit = 4};
	do {
		struct swm_set set = {0};
		CONFORM_OK(c, c->ops->instance_list(c->session, &filter, &page, &set, &c->err));
		store_keep(c, &set);
		const struct swm_instance_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			const char *digits = rows[i].id.ptr + strlen(c->prefix) + 2;
			size_t number =
				(size_t)(digits[0] - '0') * 10 + (size_t)(digits[1] - '0');
			CONFORM_THAT(number < INSTANCES && !found[number], "listed twice");
			found[number] = true;
			count++;
		}
		if (set.count > 0) {
			struct store_step *step = store_new_step(c, rows[0].id, 1);
			step->commit.next = rows[0];
			step->commit.next.version = 2;
			step->commit.next.updated_ms += 100000;
			store_apply(c, step);
		}
		page.after = set.next;
	} while (page.after.ptr != NULL);
	CONFORM_THAT(count == INSTANCES, "%zu of %d instances", count, INSTANCES);
}

static size_t count_filtered(struct conform_case *c, const struct swm_instance_filter *filter)
{
	size_t numbers[INSTANCES];
	return list_all(c, filter, 3, numbers);
}

static void filters(struct conform_case *c)
{
	add_instances(c);
	const struct {
		const char *column;
		struct swm_instance_filter filter;
		size_t wanted;
	} cases[] = {
		{"component", {.component = conform_name(c, "component-1")}, 8},
		{"business_ref", {.business_ref = conform_name(c, "ref-3")}, 1},
		{"stage", {.stage = conform_name(c, "stage-2")}, 5},
		{"template_id", {.template_id = conform_name(c, "template-3")}, 5},
		{"status_mask", {.status_mask = 1U << 3}, 4},
		{"status_mask", {.status_mask = 1U << 1 | 1U << 6}, 7},
		{"updated_from_ms", {.updated_from_ms = 5000 + 195}, 3},
		{"updated_to_ms", {.updated_to_ms = 5000 + 45}, 5},
		{"updated_from_ms and _to_ms", {.updated_from_ms = 5045, .updated_to_ms = 5075},
			3},
		{"component and stage",
			{.component = conform_name(c, "component-1"),
				.stage = conform_name(c, "stage-2")},
			2},
		{"an unknown component", {.component = conform_name(c, "component-")}, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swm_instance_filter filter = cases[i].filter;
		filter.size = sizeof(filter);
		filter.workflow = conform_name(c, "flow");
		size_t count = count_filtered(c, &filter);
		CONFORM_THAT(count == cases[i].wanted, "%zu instances by %s, must be %zu",
			count, cases[i].column, cases[i].wanted);
	}
}

/* The indexed columns follow the instance. */
static void filters_follow(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "i-07");
	add_instance(c, 7);
	struct store_step *step = store_new_step(c, id, 1);
	step->commit.next.workflow = conform_name(c, "flow");
	step->commit.next.stage = conform_name(c, "stage-new");
	step->commit.next.body = conform_name(c, "body-7");
	step->commit.next.created_ms = 1030;
	step->commit.next.status = 31;
	store_apply(c, step);
	struct swm_instance_filter filter = filter_all(c);
	filter.stage = conform_name(c, "stage-new");
	CONFORM_THAT(count_filtered(c, &filter) == 1, "the new stage does not list it");
	filter.stage = conform_name(c, "stage-2");
	CONFORM_THAT(count_filtered(c, &filter) == 0, "the old stage still lists it");
	filter = filter_all(c);
	filter.status_mask = 1U << 31;
	CONFORM_THAT(count_filtered(c, &filter) == 1, "the new status does not list it");
}

static void check_event(const struct swm_event_row *got, const struct swm_event_row *wanted)
{
	CONFORM_THAT(conform_str_is(got->id, wanted->id), "id");
	CONFORM_THAT(conform_str_is(got->source_id, wanted->source_id), "source_id");
	CONFORM_THAT(conform_str_is(got->name, wanted->name), "name");
	CONFORM_THAT(conform_str_is(got->stage, wanted->stage), "stage");
	CONFORM_THAT(conform_str_is(got->task, wanted->task), "task");
	CONFORM_THAT(conform_str_is(got->reason, wanted->reason), "reason");
	CONFORM_THAT(conform_str_is(got->actor, wanted->actor), "actor");
	CONFORM_THAT(conform_str_is(got->body, wanted->body), "body");
	CONFORM_THAT(got->sequence == wanted->sequence, "sequence");
	CONFORM_THAT(got->at_ms == wanted->at_ms, "at_ms");
	CONFORM_THAT(got->attempt == wanted->attempt, "attempt");
	CONFORM_THAT(got->outcome == wanted->outcome, "outcome");
	CONFORM_THAT(got->rules == wanted->rules, "rules");
}

static void event_columns(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "logged");
	struct store_step *step = store_new_step(c, id, 0);
	struct swm_event_row *rich = store_step_event(step, conform_name(c, "e1"));
	rich->source_id = CONFORM_STR("the sender's \xe2\x80\x9cid\xe2\x80\x9d");
	rich->name = CONFORM_STR("TaskFailed");
	rich->reason = CONFORM_STR("oven cold; \"again\" \\ 'quoted'");
	rich->actor = CONFORM_STR("a person");
	rich->body = conform_bytes(c, 2000, 4);
	rich->at_ms = INT64_C(253402300799999);
	rich->attempt = 4000000000U;
	rich->outcome = SWM_OUTCOME_REJECTED;
	rich->rules = 3;
	struct swm_event_row *bare = store_step_event(step, conform_name(c, "e2"));
	bare->stage = CONFORM_STR("");
	bare->task = CONFORM_STR("");
	bare->source_id = conform_bytes(c, 300, 6);
	bare->attempt = 0;
	bare->outcome = SWM_OUTCOME_IGNORED;
	store_apply(c, step);
	struct swm_event_row rows[2];
	CONFORM_THAT(store_events(c, id, rows, 2, 10) == 2, "two events must be listed");
	check_event(&rows[0], rich);
	check_event(&rows[1], bare);
}

static void event_pages(struct conform_case *c)
{
	enum {
		COMMITS = 7,
		EVENTS = COMMITS * 3
	};
	struct swm_str id = conform_name(c, "logged");
	struct swm_str other = conform_name(c, "logged-too");
	int64_t sequence = 0;
	for (int64_t version = 0; version < COMMITS; version++) {
		struct store_step *step = store_new_step(c, id, version);
		step->commit.next.sequence = sequence;
		for (int i = 0; i < 3; i++) {
			/* Ids that sort otherwise than the sequence does. */
			store_step_event(
				step, conform_name(c, "e%02d", (int)(97 - sequence++)));
		}
		store_apply(c, step);
		struct store_step *noise = store_new_step(c, other, version);
		store_step_event(noise, conform_name(c, "n%d", (int)version));
		store_apply(c, noise);
	}
	const uint32_t limits[] = {1, 4, EVENTS, 1000};
	for (size_t k = 0; k < 4; k++) {
		struct swm_event_row rows[EVENTS];
		size_t count = store_events(c, id, rows, EVENTS, limits[k]);
		CONFORM_THAT(count == EVENTS, "%zu of %d events with pages of %u", count,
			EVENTS, limits[k]);
		for (size_t i = 0; i < count; i++) {
			CONFORM_THAT(rows[i].sequence == (int64_t)i + 1,
				"place %zu has sequence %d", i, (int)rows[i].sequence);
		}
	}
	struct swm_event_row none;
	CONFORM_THAT(store_events(c, conform_name(c, "unknown"), &none, 1, 10) == 0,
		"an unknown instance has events");
}

static void purged(struct conform_case *c)
{
	/* As old as can be, so that nobody else's are within reach. */
	for (size_t i = 0; i < 4; i++) {
		struct store_step *step = store_new_step(c, conform_name(c, "i-%02zu", i), 0);
		step->commit.next.workflow = conform_name(c, "flow");
		step->commit.next.body = conform_name(c, "body-%zu", i);
		step->commit.next.status = i == 1 ? 30 : 31;
		step->commit.next.updated_ms = i == 3 ? 900 : 3 + (int64_t)i;
		store_step_event(step, conform_name(c, "e%zu", i));
		store_step_owe(step, conform_name(c, "o%zu", i), 0);
		store_step_owe(step, conform_name(c, "d%zu", i), 0);
		store_apply(c, step);
		store_settle(c, "owner",
			store_mark(conform_name(c, "d%zu", i), conform_name(c, "i-%02zu", i),
				SWM_MARK_DEAD));
	}
	const struct swm_outbox_row noise = store_row(conform_name(c, "parked"), 0);
	store_put(c, &noise);
	int64_t count = -1;
	CONFORM_OK(c, c->ops->purge(c->session, 1U << 31, 500, 1, &count, &c->err));
	CONFORM_THAT(count == 1, "%lld instances purged, limit 1", (long long)count);
	CONFORM_OK(c, c->ops->purge(c->session, 1U << 31, 500, 100, &count, &c->err));
	CONFORM_THAT(count == 1, "%lld instances purged, must be 1", (long long)count);
	struct swm_event_row row;
	for (size_t i = 0; i < 4; i++) {
		bool kept = i == 1 || i == 3;
		struct swm_str id = conform_name(c, "i-%02zu", i);
		CONFORM_THAT((store_get(c, c->session, id) != NULL) == kept, "instance %zu", i);
		CONFORM_THAT(
			(store_events(c, id, &row, 1, 10) == 1) == kept, "events of %zu", i);
		CONFORM_THAT(store_has_seen(c, id, conform_name(c, "e%zu", i)) == kept,
			"seen of instance %zu", i);
		CONFORM_THAT((store_find(c, conform_name(c, "o%zu", i), false) != NULL) == kept,
			"what instance %zu owed", i);
		CONFORM_THAT((store_find(c, conform_name(c, "d%zu", i), true) != NULL) == kept,
			"what instance %zu had parked", i);
	}
	CONFORM_THAT(store_find(c, conform_name(c, "parked"), false) != NULL,
		"a row of no instance was purged");
}

/* What a session remembers of an instance must not outlive it: its place in the
 * store may be another's by now. */
static void purged_for_others(struct conform_case *c)
{
	struct swm_str id = conform_name(c, "old");
	struct swm_session *other = store_session(c);
	struct store_step *old = store_new_step(c, id, 0);
	old->commit.next.status = 31;
	old->commit.next.updated_ms = 1;
	store_step_event(old, conform_name(c, "e1"));
	store_apply(c, old);
	CONFORM_THAT(store_get(c, other, id) != NULL, "another session sees no instance");
	int64_t count = 0;
	CONFORM_OK(c, c->ops->purge(c->session, 1U << 31, 500, 1000, &count, &c->err));
	store_apply(c, store_new_step(c, conform_name(c, "new"), 0));

	struct store_step *late = store_new_step(c, id, 1);
	store_step_event(late, conform_name(c, "e2"));
	CONFORM_IS(c, SWM_E_CONFLICT,
		store_commit(c->ops, other, CONFORM_STR("owner"), CONFORM_LONG_LEASE_MS, late,
			1, NULL, 0, &c->err));
	CONFORM_THAT(store_get(c, other, id) == NULL, "a purged instance is back");
	const struct swm_instance_row *row = store_get(c, other, conform_name(c, "new"));
	CONFORM_THAT(row != NULL && row->version == 1, "a purged one's step went to another");
	CONFORM_THAT(!store_has_seen(c, conform_name(c, "new"), conform_name(c, "e2")) &&
			     !store_has_seen(c, conform_name(c, "new"), conform_name(c, "e1")),
		"a purged one's event went to another");
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("store.list.pages", paging,
		"instances are listed newest created first, each once, whatever the page")},
	{CONFORM_PROMISE("store.list.equals", equals_by_id,
		"instances created at the same time are listed by id")},
	{CONFORM_PROMISE("store.list.stable", stable_pages,
		"what is updated while somebody pages is neither lost nor listed twice")},
	{CONFORM_PROMISE("store.list.filters", filters,
		"each filter lets through what it says, and they combine")},
	{CONFORM_PROMISE("store.list.follows", filters_follow,
		"the columns that are listed by follow each commit")},
	{CONFORM_PROMISE("store.events.columns", event_columns,
		"an event comes back as committed; its body and source_id are any bytes")},
	{CONFORM_PROMISE("store.events.pages", event_pages,
		"events are listed by sequence, of one instance, each once")},
	{CONFORM_PROMISE("store.purge.finished", purged,
		 "purge deletes finished instances with events and outbox, at most limit, no "
		 "other"),
		CONFORM_MEMBER(struct swm_store_ops, purge)},
	{CONFORM_PROMISE("store.purge.sessions", purged_for_others,
		 "what one session purges is gone for the others, and its place is not "
		 "mistaken"),
		CONFORM_MEMBER(struct swm_store_ops, purge)},
};

const struct conform_group conform_store_list = CONFORM_GROUP(tests);
