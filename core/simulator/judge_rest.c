/* SPDX-License-Identifier: MIT */

/*
 * See judge.h: what has to have come about when nothing moves any more, and the list of
 * all that is promised.
 */

#include "judge.h"

#include "judge_parts.h"
#include "sim_queue.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const struct sim_invariant invariants[] = {
	{"version-gap",
		"the versions of an instance are 1, 2, ..., each made of the one before"},
	{"sequence-gap", "its records are 1, 2, ..., and it holds the number of the last"},
	{"identity-changed", "it keeps the template it was made of, and its birthday"},
	{"record-from-nothing",
		"what is recorded was delivered to who records it, with that id"},
	{"key-twice", "the same event stands at most once in a log"},
	{"isolation", "an event, a row or a cancellation of one instance is not another's"},
	{"outcome-differs", "each record has the outcome that the model gives it"},
	{"stale-event-counts",
		"what is about another attempt than the current one moves nothing"},
	{"timer-recorded", "our own timers are not recorded when their attempt is over"},
	{"fold-differs",
		"the log, folded over the template, is the stored body, byte for byte"},
	{"scheduled-before-parents", "a task begins after all of its parents are COMPLETED"},
	{"two-stages-active", "tasks begin in the active stage only"},
	{"stage-too-early", "a stage opens after all before it are COMPLETED"},
	{"attempt-gap", "attempts are 1, 2, ..., with one StartTask each, and one per resend"},
	{"model-differs", "tasks, stage, status and data are those of the reference model"},
	{"row-twice", "the id of a message belongs to one message"},
	{"dispatch-uncalled", "nothing is owed that no event asked for"},
	{"dispatch-missing", "each attempt of a task with a queue owes its StartTask"},
	{"retry-over-limit", "no retry is owed beyond max_attempts"},
	{"payload-differs", "a message says what template, data and attempt say, and when"},
	{"timer-missing", "timeouts and retries are owed with the attempt that they end"},
	{"timer-kept", "timers are cancelled by the commit that makes them pointless"},
	{"cancelled-wrongly", "nothing else is cancelled"},
	{"published-uncommitted", "what is published is a row that was committed, or put"},
	{"copies-differ", "messages of one id are the same bytes for the same queue"},
	{"published-unleased",
		"who publishes holds the lease of the row for as long, and uses it once"},
	{"sent-again",
		"a thread that was told of a message that it is sent does not send it again"},
	{"sent-unpublished", "a row is taken for sent after a broker has had it"},
	{"tried-too-often", "an event meets at most eight conflicts at an orchestrator"},
	{"taken-over-late",
		"what is due and leased to nobody is claimed in a second by who is up"},
	{"acked-before-commit", "an event is acknowledged after it is in the store"},
	{"parked-not-stored", "what nobody can use is acknowledged after it is in the store"},
	{"parked-without-reason", "only what nobody can use is parked"},
	{"put-from-nothing", "what is put aside was delivered, or tells of a refusal"},
	{"deferred-wrongly", "an event is put off 1, 2, 4 ... 32 s, and six times"},
	{"deferred-new-id", "what is put off or parked keeps the id that it had"},
	{"store-differs", "the store holds what was committed, put and marked, and no more"},
	{"parked-lost", "what is parked is kept"},
	{"message-left", "at rest: every message is settled"},
	{"outbox-not-drained", "at rest: nothing is owed any more"},
	{"not-completed", "at rest: every instance whose agents answer is COMPLETED"},
	{"counter-differs", "at rest: the metrics are what has happened"},
	{"never-quiet", "at rest: the world comes to it in time"},
	{"livelock", "it does in a bounded number of steps"},
	{"deadlock", "threads do not wait for each other without end"},
	{"contract", "the engine keeps its side of both ports"},
	{NULL, NULL},
};

const struct sim_invariant *sim_invariants(void)
{
	return invariants;
}

/* A dispatcher looks every second, and sends what it claims: some calls each. */
#define TAKE_OVER_MAX_MS 1000
#define TAKE_OVER_MAX_CALLS 200

const struct sim_violation *sim_judge_waited(struct sim_judge *judge, int64_t fit_ms)
{
	const struct sim_store *store = sim_world_store(judge->world);
	int64_t now_ms = sim_store_now_ms(store);
	int64_t max_ms =
		TAKE_OVER_MAX_MS + TAKE_OVER_MAX_CALLS * sim_world_call_us(judge->world) / 1000;
	for (size_t i = 0; fit_ms > max_ms && i < sim_store_row_count(store); i++) {
		const struct swm_outbox_row *row = &sim_store_row(store, i)->row;
		int64_t since_ms =
			row->due_ms > row->lease_until_ms ? row->due_ms : row->lease_until_ms;
		int64_t waits_ms = now_ms - since_ms;
		if (row->state == SWM_OUTBOX_PENDING && waits_ms > max_ms) {
			(void)sim_judge_blame(judge, "taken-over-late",
				"%.*s has been due for %" PRId64
				" ms, and nobody claims it: %.*s",
				SIM_FMT(row->id), waits_ms, SIM_FMT(row->body));
		}
	}
	return sim_judge_answer(judge);
}

static bool check_queue(struct sim_judge *judge)
{
	const struct sim_queue *queue = sim_world_queue(judge->world);
	if (sim_queue_count(queue) == 0) {
		return true;
	}
	const struct sim_message *message = sim_queue_message(queue, 0);
	return sim_judge_blame(judge, "message-left",
		"%zu messages are left, the first of them %s after %u deliveries: %.*s",
		sim_queue_count(queue), message->holder ? "held" : "waiting", message->attempt,
		SIM_FMT(message->message.body));
}

static bool check_stored_row(struct sim_judge *judge, const struct swm_outbox_row *row)
{
	const struct sim_entry *entry = sim_judge_entry(judge, row->id);
	if (!entry || !swm_str_equal(entry->body, row->body) || entry->state == SIM_GONE) {
		return sim_judge_blame(judge, "store-differs",
			"the store has a row that it should not have: %.*s",
			SIM_FMT(row->body));
	}
	return row->state != SWM_OUTBOX_PENDING ||
	       sim_judge_blame(judge, "outbox-not-drained",
		       "%.*s is still owed to %.*s after %" PRId64 " claims: %.*s",
		       SIM_FMT(row->id), SIM_FMT(row->destination), row->claims,
		       SIM_FMT(row->body));
}

static bool check_entry(struct sim_judge *judge, const struct sim_entry *entry)
{
	const struct sim_row *row =
		sim_store_find_row(sim_world_store(judge->world), entry->id);
	if (entry->state == SIM_PARKED && (!row || row->row.state != SWM_OUTBOX_DEAD)) {
		return sim_judge_blame(judge, "parked-lost", "it was parked and is gone: %.*s",
			SIM_FMT(entry->body));
	}
	return entry->state != SIM_OWED || row ||
	       sim_judge_blame(judge, "store-differs", "the store has lost what it owed: %.*s",
		       SIM_FMT(entry->body));
}

static bool check_case(struct sim_judge *judge, const struct sim_case *of)
{
	const struct sim_instance *stored =
		sim_store_find_instance(sim_world_store(judge->world), of->id);
	if (!stored || stored->row.version != of->version ||
		stored->event_count != (size_t)of->sequence) {
		return sim_judge_blame(judge, "store-differs",
			"the store does not have %.*s as it was committed", SIM_FMT(of->id));
	}
	if (of->model->stage == HUGE_VAL) {
		return true;
	}
	for (size_t i = 0; i < of->model->task_count; i++) {
		const struct sim_model_task *task = &of->model->tasks[i];
		if (task->status != SIM_MODEL_COMPLETED && task->status != SIM_MODEL_PENDING) {
			return sim_judge_blame(judge, "not-completed",
				"%.*s hangs at task %s/%s, which is %s at attempt %u%s",
				SIM_FMT(of->id), task->stage, task->name,
				task->status == SIM_MODEL_FAILED ? "FAILED" : "SCHEDULED",
				task->attempt, task->retry_owed ? ", its retry owed" : "");
		}
	}
	return sim_judge_blame(judge, "not-completed", "%.*s hangs", SIM_FMT(of->id));
}

static const char *const counters[SIM_COUNTERS] = {
	[SIM_COUNT_RECEIVED] = "events_received",
	[SIM_COUNT_RECORDED] = "events_recorded",
	[SIM_COUNT_COMMITS] = "commits",
	[SIM_COUNT_PUBLISHED] = "messages_published",
};

void sim_judge_counted(struct sim_judge *judge, const char *metric, int64_t delta)
{
	for (size_t i = 0; i < SIM_COUNTERS; i++) {
		if (strcmp(counters[i], metric) == 0) {
			judge->claimed[i] += delta;
		}
	}
}

static bool check_counters(struct sim_judge *judge)
{
	for (size_t i = 0; i < SIM_COUNTERS && !judge->uncounted; i++) {
		if (judge->claimed[i] != judge->seen[i]) {
			return sim_judge_blame(judge, "counter-differs",
				"%s: %" PRId64 " are counted, %" PRId64 " there were",
				counters[i], judge->claimed[i], judge->seen[i]);
		}
	}
	return true;
}

const struct sim_violation *sim_judge_at_rest(struct sim_judge *judge)
{
	const struct sim_store *store = sim_world_store(judge->world);
	size_t cases = 0;
	bool good = check_queue(judge);
	for (size_t i = 0; good && i < sim_store_row_count(store); i++) {
		good = check_stored_row(judge, &sim_store_row(store, i)->row);
	}
	for (const struct sim_entry *at = judge->all_entries; good && at; at = at->next) {
		good = check_entry(judge, at);
	}
	for (const struct sim_case *at = judge->all_cases; good && at; at = at->next) {
		good = check_case(judge, at);
		cases++;
	}
	if (good && cases != sim_world_instances(judge->world)) {
		(void)sim_judge_blame(judge, "not-completed",
			"%zu instances have begun, %u were started", cases,
			sim_world_instances(judge->world));
	} else if (good && cases != sim_store_instance_count(store)) {
		(void)sim_judge_blame(judge, "store-differs",
			"the store has instances that nobody committed");
	} else if (good) {
		(void)check_counters(judge);
	}
	return sim_judge_answer(judge);
}
