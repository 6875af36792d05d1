/* SPDX-License-Identifier: MIT */

/*
 * See judge.h: everything but commits and the rest.
 */

#include "judge.h"

#include "judge_parts.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFERRALS_MAX 6
#define FIRST_DEFERRAL_MS 1000

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static struct swm_str header_of(
	const struct swm_header *headers, size_t count, struct swm_str name)
{
	for (size_t i = 0; i < count; i++) {
		if (swm_str_equal(headers[i].name, name)) {
			return headers[i].value;
		}
	}
	return (struct swm_str){0};
}

static const struct sim_case *case_of(const struct sim_judge *judge, struct swm_str id)
{
	return sim_book_find(&judge->cases, sim_book_hash(&id, 1));
}

const struct sim_model *sim_judge_model(
	const struct sim_judge *judge, struct swm_str instance_id)
{
	const struct sim_case *of = case_of(judge, instance_id);
	return of ? of->model : NULL;
}

/* Receiving and acknowledging. */

const struct sim_violation *sim_judge_delivered(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_delivery *delivery)
{
	struct sim_heard heard;
	sim_judge_hear(judge, delivery->body, delivery->id, delivery->headers,
		delivery->header_count, &heard);
	sim_judge_note_given(judge, orchestrator, heard.raw_id, delivery->body);
	judge->seen[SIM_COUNT_RECEIVED]++;
	return NULL;
}

/* A timer of ours whose attempt is over: there is nothing to record. */
static bool is_spent_timer(const struct sim_judge *judge, const struct sim_heard *heard)
{
	const struct sim_entry *entry = sim_judge_entry(judge, heard->raw_id);
	const struct sim_case *of = case_of(judge, heard->instance_id);
	return entry && of && swm_str_equal(entry->instance_id, of->id) &&
	       (entry->kind == SIM_MODEL_TIME_OUT || entry->kind == SIM_MODEL_RETRY) &&
	       entry->attempt == sim_model_attempt(heard->event) &&
	       !sim_judge_is_awaited(of, entry);
}

#define ASIDE_TEXTS 3

static void aside(struct swm_str raw_id, struct swm_str body, struct swm_str texts[ASIDE_TEXTS])
{
	texts[0] = SWM_STR("aside");
	texts[1] = raw_id;
	texts[2] = body;
}

static bool is_aside(
	const struct sim_judge *judge, const struct sim_heard *heard, struct swm_str body)
{
	struct swm_str texts[ASIDE_TEXTS];
	aside(heard->raw_id, body, texts);
	return sim_judge_noted(judge, texts, ASIDE_TEXTS);
}

const struct sim_violation *sim_judge_acked(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_delivery *delivery)
{
	struct sim_heard heard;
	sim_judge_hear(judge, delivery->body, delivery->id, delivery->headers,
		delivery->header_count, &heard);
	if (is_aside(judge, &heard, delivery->body)) {
		return NULL;
	}
	if (!heard.event) {
		(void)sim_judge_blame(judge, "parked-not-stored",
			"orchestrator %u acknowledged what nobody can use (%s), and it is not "
			"in the store: %.*s",
			orchestrator, heard.why, SIM_FMT(delivery->body));
	} else if (!sim_judge_is_recorded(judge, &heard, delivery->body) &&
		   !sim_judge_is_put_off(judge, &heard, delivery->body) &&
		   !is_spent_timer(judge, &heard)) {
		(void)sim_judge_blame(judge, "acked-before-commit",
			"orchestrator %u acknowledged an event that is in no log and not put "
			"aside: %.*s",
			orchestrator, SIM_FMT(delivery->body));
	}
	return sim_judge_answer(judge);
}

/* Rows without an instance. */

static bool check_parked(struct sim_judge *judge, const struct swm_outbox_row *row)
{
	struct sim_heard heard;
	sim_judge_hear(
		judge, row->body, (struct swm_str){0}, row->headers, row->header_count, &heard);
	if (!heard.event) {
		return true;
	}
	const char *name = text_of(heard.event, "event_name");
	const json_t *version = json_object_get(heard.event, "template_version");
	char template_id[SWM_INSTANCE_ID_MAX];
	int len = snprintf(template_id, sizeof(template_id), "%s:%lld",
		text_of(heard.event, "component_name"),
		json_is_integer(version) ? (long long)json_integer_value(version) : 1);
	if (strcmp(name, "StartWorkflow") != 0) {
		struct swm_str texts[] = {
			SWM_STR("deferred"), heard.instance_id, heard.raw_id, row->body};
		return sim_judge_noted(judge, texts, sizeof(texts) / sizeof(texts[0])) ||
		       sim_judge_blame(judge, "parked-without-reason",
			       "an event was parked that has not been put off %d times: %.*s",
			       DEFERRALS_MAX, SIM_FMT(row->body));
	}
	return !sim_store_template(sim_world_store(judge->world),
		       (struct swm_str){template_id, (size_t)len})
			.ptr ||
	       sim_judge_blame(judge, "parked-without-reason",
		       "a StartWorkflow was parked that has a template: %.*s",
		       SIM_FMT(row->body));
}

static bool check_deferred(
	struct sim_judge *judge, const struct swm_outbox_row *row, struct swm_str event_id)
{
	struct swm_str text =
		header_of(row->headers, row->header_count, SWM_STR("swm-deferred"));
	int count = text.len == 1 ? text.ptr[0] - '0' : 0;
	struct sim_heard heard;
	sim_judge_hear(
		judge, row->body, (struct swm_str){0}, row->headers, row->header_count, &heard);
	if (!heard.event) {
		return sim_judge_blame(judge, "deferred-wrongly",
			"what nobody can use was put off: %.*s", SIM_FMT(row->body));
	}
	if (event_id.len == 0) {
		return sim_judge_blame(judge, "deferred-new-id",
			"an event was put off without the id that it has: %.*s",
			SIM_FMT(row->body));
	}
	if (count < 1 || count > DEFERRALS_MAX ||
		row->delay_ms != (int64_t)FIRST_DEFERRAL_MS << (count - 1)) {
		return sim_judge_blame(judge, "deferred-wrongly",
			"put off the %dth time by %lld ms: %.*s", count,
			(long long)row->delay_ms, SIM_FMT(row->body));
	}
	struct swm_str texts[] = {
		SWM_STR("deferred"), heard.instance_id, heard.raw_id, row->body};
	if (count == DEFERRALS_MAX) {
		(void)sim_judge_note(judge, texts, sizeof(texts) / sizeof(texts[0]));
	}
	return true;
}

/* A TaskFailed of ours: it stands for a StartTask that no broker takes. */
static bool check_undeliverable(struct sim_judge *judge, const struct swm_outbox_row *row)
{
	struct sim_heard heard;
	sim_judge_hear(judge, row->body, row->id, NULL, 0, &heard);
	const struct sim_case *of = heard.event ? case_of(judge, heard.instance_id) : NULL;
	if (!of || strcmp(text_of(heard.event, "event_name"), "TaskFailed") != 0) {
		return sim_judge_blame(judge, "put-from-nothing",
			"a message was put aside that nobody had sent: %.*s",
			SIM_FMT(row->body));
	}
	size_t task = sim_model_find(of->model, text_of(heard.event, "stage_name"),
		text_of(heard.event, "task_name"));
	for (struct sim_entry *at = judge->all_entries; at; at = at->next) {
		if (at->kind == SIM_MODEL_START_TASK && at->task == task &&
			at->attempt == sim_model_attempt(heard.event) &&
			swm_str_equal(at->instance_id, of->id)) {
			at->answered = true;
		}
	}
	return true;
}

/* A row that is there already, or was, and is put once more. */
static bool put_again(
	struct sim_judge *judge, struct sim_entry *entry, const struct swm_outbox_row *row)
{
	bool same = swm_str_equal(entry->body, row->body);
	bool dead = row->state == SWM_OUTBOX_DEAD;
	if (!swm_str_equal(entry->destination, row->destination) ||
		(entry->event_id.len == 0 && !same && !dead)) {
		return sim_judge_blame(judge, "copies-differ",
			"two messages have the id %.*s: %.*s and %.*s", SIM_FMT(row->id),
			SIM_FMT(entry->body), SIM_FMT(row->body));
	}
	if (dead && !same) {
		return sim_judge_blame(judge, "parked-not-stored",
			"under the id of %.*s stands another message, so that this one is not "
			"kept: %.*s",
			SIM_FMT(entry->body), SIM_FMT(row->body));
	}
	if (entry->state == SIM_GONE) {
		/* An event that is put off by one and then by the other; if it was
		 * published it stays so. */
		entry->body = sim_judge_copy(judge, row->body);
		entry->state = dead ? SIM_PARKED : SIM_OWED;
		memset(entry->told, 0, sizeof(entry->told));
	}
	return true;
}

/* Another message that is the same event, with other bytes, is done with it. */
static void note_put_off(struct sim_judge *judge, const struct swm_outbox_row *row)
{
	struct sim_heard heard;
	sim_judge_hear(
		judge, row->body, (struct swm_str){0}, row->headers, row->header_count, &heard);
	if (heard.event) {
		sim_judge_note_put_off(judge, &heard, row->body);
	}
}

const struct sim_violation *sim_judge_put(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_outbox_row *row)
{
	struct swm_str event_id =
		header_of(row->headers, row->header_count, SWM_STR("swm-event-id"));
	bool given = sim_judge_was_given(judge, orchestrator, event_id, row->body);
	bool dead = row->state == SWM_OUTBOX_DEAD;
	bool good = true;
	if (!swm_str_equal(row->destination, SWM_STR(SIM_WORKFLOW_QUEUE)) ||
		row->instance_id.ptr) {
		good = sim_judge_blame(judge, "put-from-nothing",
			"put aside for the wrong queue, or for an instance: %.*s",
			SIM_FMT(row->body));
	} else if (given) {
		good = dead ? check_parked(judge, row) : check_deferred(judge, row, event_id);
	} else if (!dead && row->delay_ms == 0) {
		good = check_undeliverable(judge, row);
	} else {
		good = sim_judge_blame(judge, dead ? "put-from-nothing" : "deferred-new-id",
			"orchestrator %u put aside, under the id %.*s, what it was not given "
			"so: %.*s",
			orchestrator, SIM_FMT(event_id), SIM_FMT(row->body));
	}
	struct sim_entry *entry = sim_judge_entry(judge, row->id);
	if (good && entry) {
		good = put_again(judge, entry, row);
	} else if (good) {
		(void)sim_judge_add_entry(judge, row, event_id);
	}
	if (good && given) {
		/* For a message without an id the one that was made up counts as well. */
		struct swm_str texts[ASIDE_TEXTS];
		aside(event_id, row->body, texts);
		(void)sim_judge_note(judge, texts, ASIDE_TEXTS);
		aside((struct swm_str){0}, row->body, texts);
		(void)sim_judge_note(judge, texts, ASIDE_TEXTS);
		note_put_off(judge, row);
	}
	return sim_judge_answer(judge);
}

/* The outbox at work. */

/* Several threads of an orchestrator may hold one each, when clocks differ. */
void sim_judge_lease(struct sim_judge *judge, unsigned orchestrator, struct sim_entry *entry,
	int64_t lease_ms)
{
	struct sim_leases *leases = &entry->leases[orchestrator];
	int64_t until_ms = sim_world_now_ms(judge->world) + lease_ms;
	leases->until_ms = until_ms > leases->until_ms ? until_ms : leases->until_ms;
	leases->count++;
}

const struct sim_violation *sim_judge_claimed(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_outbox_row *row, int64_t lease_ms)
{
	struct sim_entry *entry = sim_judge_entry(judge, row->id);
	if (!entry || entry->state != SIM_OWED) {
		(void)sim_judge_blame(judge, "store-differs",
			"the store gives out %.*s, which is not owed", SIM_FMT(row->id));
	} else {
		sim_judge_lease(judge, orchestrator, entry, lease_ms);
	}
	return sim_judge_answer(judge);
}

const struct sim_violation *sim_judge_marked(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_outbox_mark *mark)
{
	struct sim_entry *entry = sim_judge_entry(judge, mark->id);
	if (!entry) {
		(void)sim_judge_blame(judge, "store-differs",
			"a mark was carried out on %.*s, which nobody owed", SIM_FMT(mark->id));
		return sim_judge_answer(judge);
	}
	if (mark->action == SWM_MARK_SENT) {
		if (entry->state == SIM_OWED && !entry->published && !entry->answered) {
			(void)sim_judge_blame(judge, "sent-unpublished",
				"orchestrator %u took %.*s for sent, and no broker has had it",
				orchestrator, SIM_FMT(mark->id));
		}
		entry->state = SIM_GONE;
	} else if (mark->action == SWM_MARK_DEAD) {
		entry->state = SIM_PARKED;
	}
	return sim_judge_answer(judge);
}

static bool check_event_id(struct sim_judge *judge, const struct sim_entry *entry,
	const struct swm_message *message)
{
	struct swm_str wanted = entry->event_id.len > 0 ? entry->event_id : entry->id;
	struct swm_str found =
		header_of(message->headers, message->header_count, SWM_STR("swm-event-id"));
	return !swm_str_equal(message->destination, SWM_STR(SIM_WORKFLOW_QUEUE)) ||
	       swm_str_equal(wanted, found) ||
	       sim_judge_blame(judge, "deferred-new-id",
		       "%.*s went to the workflow queue as event %.*s, not %.*s",
		       SIM_FMT(message->id), SIM_FMT(found), SIM_FMT(wanted));
}

const struct sim_violation *sim_judge_publishing(struct sim_judge *judge, unsigned orchestrator,
	const void *thread, const struct swm_message *message, int64_t until_ms)
{
	struct sim_entry *entry = sim_judge_entry(judge, message->id);
	struct sim_leases *leases = entry ? &entry->leases[orchestrator] : NULL;
	if (!leases) {
		return NULL; /* blamed when a broker takes it */
	}
	if (leases->count == 0) {
		(void)sim_judge_blame(judge, "published-unleased",
			"orchestrator %u publishes %.*s without a lease, or twice under one",
			orchestrator, SIM_FMT(message->id));
	} else if (until_ms > leases->until_ms) {
		(void)sim_judge_blame(judge, "published-unleased",
			"orchestrator %u gives itself until %lld ms to publish %.*s, whose "
			"lease ends at %lld ms",
			orchestrator, (long long)until_ms, SIM_FMT(message->id),
			(long long)leases->until_ms);
	} else if (entry->told[orchestrator] == thread) {
		(void)sim_judge_blame(judge, "sent-again",
			"a thread of orchestrator %u publishes %.*s, and was told before that "
			"a broker has it",
			orchestrator, SIM_FMT(message->id));
	} else {
		leases->count--;
	}
	return sim_judge_answer(judge);
}

void sim_judge_told(struct sim_judge *judge, unsigned orchestrator, const void *thread,
	const struct swm_message *message, swm_status result)
{
	struct sim_entry *entry = sim_judge_entry(judge, message->id);
	if (entry && result == SWM_OK) {
		entry->told[orchestrator] = thread;
		judge->seen[SIM_COUNT_PUBLISHED]++;
	} else if (entry && result != SWM_E_INDOUBT) {
		entry->leases[orchestrator].count++; /* not sent: the lease is not used */
	}
}

const struct sim_violation *sim_judge_published(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_message *message)
{
	struct sim_entry *entry = sim_judge_entry(judge, message->id);
	if (!entry) {
		(void)sim_judge_blame(judge, "published-uncommitted",
			"orchestrator %u published to %.*s what no commit owes: %.*s",
			orchestrator, SIM_FMT(message->destination), SIM_FMT(message->body));
		return sim_judge_answer(judge);
	}
	if (entry->state == SIM_PARKED) {
		(void)sim_judge_blame(judge, "published-uncommitted",
			"orchestrator %u published %.*s, which is parked", orchestrator,
			SIM_FMT(message->id));
	} else if (!swm_str_equal(entry->body, message->body) ||
		   !swm_str_equal(entry->destination, message->destination)) {
		(void)sim_judge_blame(judge, "copies-differ",
			"%.*s was committed as %.*s and published as %.*s",
			SIM_FMT(message->id), SIM_FMT(entry->body), SIM_FMT(message->body));
	} else {
		(void)check_event_id(judge, entry, message);
	}
	entry->published = true;
	return sim_judge_answer(judge);
}

void sim_judge_gone(struct sim_judge *judge, unsigned orchestrator)
{
	for (struct sim_entry *at = judge->all_entries; at; at = at->next) {
		at->leases[orchestrator] = (struct sim_leases){0};
	}
}

/* The instances and their logs are the store's as well, and need no second look. Of the
 * counters it is the difference that counts. */
uint64_t sim_judge_hash(const struct sim_judge *judge)
{
	uint64_t hash = sim_book_digest(&judge->facts);
	for (const struct sim_entry *at = judge->all_entries; at; at = at->next) {
		int64_t numbers[] = {at->state, at->published, at->answered};
		const struct swm_str texts[] = {
			at->id, {(const char *)numbers, sizeof(numbers)}};
		hash += sim_book_hash(texts, sizeof(texts) / sizeof(texts[0]));
	}
	int64_t differences[SIM_COUNTERS] = {0};
	for (size_t i = 0; i < SIM_COUNTERS && !judge->uncounted; i++) {
		differences[i] = judge->claimed[i] - judge->seen[i];
	}
	const struct swm_str text = {(const char *)differences, sizeof(differences)};
	return hash + sim_book_hash(&text, 1);
}

static uint64_t hash_given(const struct sim_judge *judge, unsigned orchestrator)
{
	uint64_t hash = 0;
	for (const struct sim_given_fact *at = judge->given[orchestrator].all; at;
		at = at->next) {
		uint64_t spent = sim_book_find(&judge->recorded_bodies, at->body) != NULL;
		hash += spent ? 0 : at->fact;
	}
	return hash;
}

/* A lease that is used up says nothing, and neither does one that was never given. */
uint64_t sim_judge_hash_of(const struct sim_judge *judge, unsigned orchestrator)
{
	int64_t now_ms = sim_world_now_ms(judge->world);
	uint64_t hash = hash_given(judge, orchestrator);
	for (const struct sim_entry *at = judge->all_entries; at; at = at->next) {
		const struct sim_leases *leases = &at->leases[orchestrator];
		if (leases->count > 0) {
			int64_t numbers[] = {
				leases->until_ms > now_ms ? leases->until_ms - now_ms : 0,
				leases->count};
			const struct swm_str texts[] = {
				at->id, {(const char *)numbers, sizeof(numbers)}};
			hash += sim_book_hash(texts, sizeof(texts) / sizeof(texts[0]));
		}
	}
	return hash;
}

/* Of a row that is gone, and that the orchestrator has no lease of, nothing more is sent
 * without being blamed for that. */
uint64_t sim_judge_hash_thread(
	const struct sim_judge *judge, unsigned orchestrator, const void *thread)
{
	uint64_t hash = 0;
	for (const struct sim_entry *at = judge->all_entries; at; at = at->next) {
		bool over = at->state == SIM_GONE && at->leases[orchestrator].count == 0;
		if (at->told[orchestrator] == thread && !over) {
			hash += sim_book_hash(&at->id, 1);
		}
	}
	return hash;
}
