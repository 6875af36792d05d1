/* SPDX-License-Identifier: MIT */

/*
 * The verdict over a store after a storm:
 *
 *   crash-judge CONFIG INSTANCES AGENT-LOG KILL-LOG|-
 *
 * - every instance is COMPLETED, and there are as many as were started;
 * - the log folds to the stored body, sequences have no gap, no dedupe key twice;
 * - every StartTask that an agent saw had been committed, with these very bytes, and
 *   every one that was committed was seen;
 * - a StartTask came from the broker as a new message more than once only when the
 *   orchestrator was killed after its commit (KILL-LOG: wall clock milliseconds a line; with `-`, for
 *   storms over the servers themselves, repeats are counted and not judged);
 * - nothing is owed and nothing parked.
 *
 * Prints what is wrong, at most 20 lines, and a summary; exit 1 when anything is.
 */

#include "fold.h"
#include "payload.h"
#include "text.h"
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 200
#define FAULTS_SHOWN 20

/* A StartTask, owed by a commit or seen by an agent. */
struct sighting {
	char id[SWM_ID_LEN + 1];
	char hash[65];
	int64_t at_ms;    /* wall clock: of the commit, of the delivery */
	uint32_t attempt; /* of delivery; of an owed one 0 */
};

struct list {
	struct sighting *items;
	size_t count;
	size_t cap;
};

struct judge {
	struct world world;
	struct swm_session *session;
	struct swm_template *template; /* the newest looked up */
	struct list owed;
	struct list seen;
	int64_t *kills;
	size_t kill_count;
	bool any_repeat; /* is explained */
	size_t instances;
	size_t events;
	size_t repeats;
	size_t faults;
};

SWM_PRINTF(2, 3) static void fault(struct judge *judge, const char *fmt, ...)
{
	if (judge->faults++ < FAULTS_SHOWN) {
		va_list args;
		va_start(args, fmt);
		(void)printf("FAULT ");
		(void)vprintf(fmt, args);
		(void)printf("\n");
		va_end(args);
	}
}

static struct sighting *add(struct list *list)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 1024;
		list->items = realloc(list->items, list->cap * sizeof(*list->items));
		if (!list->items) {
			abort();
		}
	}
	struct sighting *item = &list->items[list->count++];
	*item = (struct sighting){0};
	return item;
}

static int by_id_and_time(const void *a, const void *b)
{
	const struct sighting *first = a;
	const struct sighting *second = b;
	int order = strcmp(first->id, second->id);
	return order ? order : (first->at_ms > second->at_ms) - (first->at_ms < second->at_ms);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void release(struct swm_set *set)
{
	if (set->release) {
		set->release(set);
	}
}

/* Reads the sightings of agents. A line that a kill cut short does not exist: each is
 * one write. */
static void read_agent_log(struct judge *judge, const char *path)
{
	FILE *file = fopen(path, "re");
	struct sighting line;
	if (!file) {
		perror(path);
		exit(1);
	}
	while (fscanf(file, "%" SCNd64 " %" SCNu32 " %32s %64s", &line.at_ms, &line.attempt,
		       line.id, line.hash) == 4) {
		*add(&judge->seen) = line;
	}
	(void)fclose(file);
}

static void read_kill_log(struct judge *judge, const char *path)
{
	FILE *file = fopen(path, "re");
	int64_t at_ms;
	if (!file) {
		perror(path);
		exit(1);
	}
	while (fscanf(file, "%" SCNd64, &at_ms) == 1) {
		judge->kills =
			realloc(judge->kills, (judge->kill_count + 1) * sizeof(*judge->kills));
		if (!judge->kills) {
			abort();
		}
		judge->kills[judge->kill_count++] = at_ms;
	}
	(void)fclose(file);
}

static const struct swm_template *template_of(
	struct judge *judge, const struct swm_instance_row *row)
{
	struct swm_set set = {0};
	struct swm_error err = {0};
	struct swm_findings findings = {0};
	if (judge->template && swm_str_equal(judge->template->id, row->template_id)) {
		return judge->template;
	}
	world_check(judge->world.store->ops->template_get(
			    judge->session, row->template_id, &set, &err),
		&err, "template");
	const struct swm_template_row *stored = set.items;
	swm_template_destroy(judge->template);
	judge->template = NULL;
	world_check(
		swm_template_read(stored->body, stored->version, &judge->template, &findings),
		&err, "compile");
	swm_findings_finish(&findings);
	release(&set);
	return judge->template;
}

/* Applies one record to what was folded so far and keeps what it owed. */
static void replay(struct judge *judge, struct swm_instance *instance,
	const struct swm_event_row *row, struct swm_arena *arena)
{
	const struct swm_payload_options options = {.data_max_bytes = SIZE_MAX};
	const struct swm_event_limits limits = {SIZE_MAX, SIZE_MAX};
	struct swm_error err = {0};
	struct swm_event event;
	struct swm_effects effects;
	struct swm_verdict verdict;

	world_check(swm_event_read(row->body, &limits, &event, &err), &err, "record");
	const struct swm_step step = {.event = &event,
		.raw_id = row->source_id,
		.at_ms = row->at_ms,
		.options = &options};
	swm_effects_init(&effects, arena);
	world_check(swm_transition(instance, &step, &effects, &verdict), &err, "transition");
	for (size_t i = 0; i < effects.owed_count; i++) {
		if (effects.owed[i].kind == SWM_MESSAGE_START_TASK) {
			struct sighting *owed = add(&judge->owed);
			memcpy(owed->id, effects.owed[i].id.hex, sizeof(owed->id));
			swm_sha256_hex(effects.owed[i].body, owed->hash);
			owed->at_ms = row->at_ms;
		}
	}
	if ((uint32_t)verdict.outcome != row->outcome) {
		fault(judge, "record %" PRId64 " says outcome %" PRIu32 ", its replay %d",
			row->sequence, row->outcome, (int)verdict.outcome);
	}
	swm_event_finish(&event);
}

static void check_keys(struct judge *judge, const struct swm_instance_row *row,
	char (*keys)[SWM_ID_LEN + 1], size_t count)
{
	qsort(keys, count, sizeof(*keys), by_text);
	for (size_t i = 1; i < count; i++) {
		if (strcmp(keys[i - 1], keys[i]) == 0) {
			fault(judge, "%.*s: key %s is recorded twice", (int)row->id.len,
				row->id.ptr, keys[i]);
		}
	}
}

static void judge_log(struct judge *judge, const struct swm_instance_row *row,
	struct swm_instance *instance, struct swm_arena *arena)
{
	char keys[PAGE][SWM_ID_LEN + 1];
	const struct swm_page page = {.limit = PAGE};
	struct swm_set set = {0};
	struct swm_error err = {0};

	world_check(
		judge->world.store->ops->event_list(judge->session, row->id, &page, &set, &err),
		&err, "events");
	const struct swm_event_row *events = set.items;
	if (set.next.ptr || (int64_t)set.count != row->sequence) {
		fault(judge, "%.*s: %zu records, sequence %" PRId64, (int)row->id.len,
			row->id.ptr, set.count, row->sequence);
	}
	for (size_t i = 0; i < set.count; i++) {
		if (events[i].sequence != (int64_t)i + 1) {
			fault(judge, "%.*s: record %zu has sequence %" PRId64, (int)row->id.len,
				row->id.ptr, i + 1, events[i].sequence);
		}
		(void)snprintf(keys[i], sizeof(keys[i]), "%.*s", (int)events[i].id.len,
			events[i].id.ptr);
		replay(judge, instance, &events[i], arena);
	}
	check_keys(judge, row, keys, set.count);
	judge->events += set.count;
	release(&set);
}

static void judge_instance(struct judge *judge, const struct swm_instance_row *row)
{
	struct swm_arena arena = {0};
	struct swm_instance *instance = swm_instance_create(template_of(judge, row));
	if (!instance) {
		abort();
	}
	judge_log(judge, row, instance, &arena);

	struct swm_json_out out;
	size_t cap = row->body.len + 1;
	char *body = swm_arena_take(&arena, cap);
	swm_json_out_init(&out, body, cap);
	swm_instance_write(instance, &out);
	if (!swm_str_equal((struct swm_str){body, out.len < cap ? out.len : cap}, row->body)) {
		fault(judge, "%.*s: the log folds to %.*s, stored is %.*s", (int)row->id.len,
			row->id.ptr, (int)out.len, body, (int)row->body.len, row->body.ptr);
	}
	if (row->status != SWM_STATUS_COMPLETED) {
		fault(judge, "%.*s: status %d in stage %.*s", (int)row->id.len, row->id.ptr,
			row->status, (int)row->stage.len, row->stage.ptr);
	}
	judge->instances++;
	swm_instance_destroy(instance);
	swm_arena_finish(&arena);
}

static void judge_instances(struct judge *judge)
{
	const struct swm_instance_filter filter = {.size = sizeof(filter)};
	struct swm_set set = {0};
	struct swm_set last = {0};
	struct swm_error err = {0};
	bool more = true;

	while (more) {
		const struct swm_page page = {.after = set.next, .limit = PAGE};
		last = set;
		world_check(judge->world.store->ops->instance_list(
				    judge->session, &filter, &page, &set, &err),
			&err, "instances");
		release(&last);
		const struct swm_instance_row *rows = set.items;
		for (size_t i = 0; i < set.count; i++) {
			judge_instance(judge, &rows[i]);
		}
		more = set.next.ptr != NULL;
	}
	release(&set);
}

static bool is_explained(const struct judge *judge, int64_t from_ms, int64_t to_ms)
{
	if (judge->any_repeat) {
		return true;
	}
	for (size_t i = 0; i < judge->kill_count; i++) {
		if (judge->kills[i] >= from_ms && judge->kills[i] <= to_ms) {
			return true;
		}
	}
	return false;
}

/* The sightings of one id, in the order of time. */
static void judge_sightings(struct judge *judge, const struct sighting *owed,
	const struct sighting *seen, size_t count)
{
	size_t news = 0;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(seen[i].hash, owed->hash) != 0) {
			fault(judge, "StartTask %s: an agent saw other bytes", seen[i].id);
		}
		if (seen[i].attempt != 1 || news++ == 0) {
			continue;
		}
		judge->repeats++;
		if (!is_explained(judge, owed->at_ms, seen[i].at_ms)) {
			fault(judge, "StartTask %s was sent again without a kill", seen[i].id);
		}
	}
}

static void judge_messages(struct judge *judge)
{
	size_t at = 0;
	qsort(judge->owed.items, judge->owed.count, sizeof(struct sighting), by_id_and_time);
	qsort(judge->seen.items, judge->seen.count, sizeof(struct sighting), by_id_and_time);
	for (size_t i = 0; i < judge->owed.count; i++) {
		const struct sighting *owed = &judge->owed.items[i];
		while (at < judge->seen.count &&
			strcmp(judge->seen.items[at].id, owed->id) < 0) {
			fault(judge, "StartTask %s was never committed",
				judge->seen.items[at].id);
			at++;
		}
		size_t from = at;
		while (at < judge->seen.count &&
			strcmp(judge->seen.items[at].id, owed->id) == 0) {
			at++;
		}
		if (from == at) {
			fault(judge, "StartTask %s was committed and never seen", owed->id);
		}
		judge_sightings(judge, owed, &judge->seen.items[from], at - from);
	}
	for (; at < judge->seen.count; at++) {
		fault(judge, "StartTask %s was never committed", judge->seen.items[at].id);
	}
}

static void judge_outbox(struct judge *judge)
{
	const struct swm_page page = {.limit = PAGE};
	struct swm_set set = {0};
	struct swm_error err = {0};
	world_check(
		judge->world.store->ops->outbox_list(judge->session, false, &page, &set, &err),
		&err, "outbox");
	const struct swm_outbox_row *rows = set.items;
	for (size_t i = 0; i < set.count; i++) {
		fault(judge, "still in the outbox: %.*s to %.*s, state %" PRIu32 ": %.*s",
			(int)rows[i].id.len, rows[i].id.ptr, (int)rows[i].destination.len,
			rows[i].destination.ptr, rows[i].state, (int)rows[i].reason.len,
			rows[i].reason.ptr);
	}
	release(&set);
}

int main(int argc, char **argv)
{
	struct judge judge = {0};
	struct swm_error err = {0};
	if (argc != 5) {
		(void)fputs(
			"usage: crash-judge CONFIG INSTANCES AGENT-LOG KILL-LOG|-\n", stderr);
		return 2;
	}
	size_t expected = strtoul(argv[2], NULL, 10);
	read_agent_log(&judge, argv[3]);
	judge.any_repeat = strcmp(argv[4], "-") == 0;
	if (!judge.any_repeat) {
		read_kill_log(&judge, argv[4]);
	}
	world_open(&judge.world, argv[1], 0);
	world_store(&judge.world);
	world_check(judge.world.store->ops->session_open(
			    judge.world.store->store, &judge.session, &err),
		&err, "session");

	judge_instances(&judge);
	judge_messages(&judge);
	judge_outbox(&judge);
	if (judge.instances != expected) {
		fault(&judge, "%zu instances, %zu were started", judge.instances, expected);
	}
	(void)printf("%zu instances COMPLETED, %zu events folded, %zu StartTasks committed, "
		     "%zu deliveries seen, %zu sent again after a kill, %zu faults\n",
		judge.instances, judge.events, judge.owed.count, judge.seen.count,
		judge.repeats, judge.faults);

	judge.world.store->ops->session_close(judge.session);
	swm_template_destroy(judge.template);
	world_close(&judge.world);
	free(judge.owed.items);
	free(judge.seen.items);
	free(judge.kills);
	return judge.faults ? 1 : 0;
}
