/* SPDX-License-Identifier: MIT */
/*
 * Events in any order, twice, late, stale, wrong, or never: thousands of random walks
 * with their invariants checked after each commit.
 *
 *  - a task is SCHEDULED or FAILED only in the active stage, with all parents COMPLETED
 *  - the stages before the active one are COMPLETED, those behind it untouched
 *  - COMPLETED stays; an attempt grows by one at a time, and each has one first StartTask
 *  - exactly those timers are outstanding that an unfinished attempt or a retry needs
 *  - the log folds to the body, which reads back as it was written
 *  - once everybody answers, the workflow completes
 */

#include "support.h"

#define WALKS 1500
#define EVENTS 60
#define TASKS 9
#define TIMERS_MAX 64

static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S0\",\"stage_order\":0},"
	"{\"stage_name\":\"S1\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"timeout\":\"10s\","
	"\"retry\":{\"max_attempts\":3}},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"retry\":{\"max_attempts\":2}},"
	"{\"task_name\":\"c\",\"task_queue\":\"q\",\"parent_task\":[\"a\",\"b\"]},"
	"{\"task_name\":\"d\",\"task_type\":\"HUMAN\",\"parent_task\":[\"a\"]}]},"
	"{\"stage_name\":\"S2\",\"stage_order\":2,\"tasks\":[]},"
	"{\"stage_name\":\"S3\",\"stage_order\":3,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"timeout\":\"1m\"},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"parent_task\":[\"a\"],"
	"\"business_status\":\"B\"}]},"
	"{\"stage_name\":\"S4\",\"stage_order\":4,\"tasks\":["
	"{\"task_name\":\"x\",\"task_type\":\"HUMAN\",\"timeout\":\"1h\","
	"\"retry\":{\"max_attempts\":2}},"
	"{\"task_name\":\"y\",\"task_queue\":\"q\",\"parent_task\":[\"x\"]},"
	"{\"task_name\":\"z\",\"task_queue\":\"q\"}]}]}";

/* A timer of ours that has not fired and was not cancelled. */
struct timer {
	struct swm_id id;
	enum swm_message_kind kind;
	uint16_t task;
	char body[512];
};

struct disorder {
	struct walk walk;
	struct swm_instance *folded;
	struct timer timers[TIMERS_MAX];
	size_t timer_count;
	uint32_t started[TASKS]; /* first StartTasks seen, by task */
	uint64_t noise;
	char messages[EVENTS + TASKS * 4][512];
	size_t sent;
};

static void forget_timer(struct disorder *walk, const struct swm_id *id)
{
	for (size_t i = 0; i < walk->timer_count; i++) {
		if (strcmp(walk->timers[i].id.hex, id->hex) == 0) {
			walk->timers[i] = walk->timers[--walk->timer_count];
			return;
		}
	}
}

/* What the commit owes and cancels. */
static void take_effects(struct disorder *walk)
{
	const struct swm_effects *effects = &walk->walk.effects;

	for (size_t i = 0; i < effects->cancelled_count; i++) {
		forget_timer(walk, &effects->cancelled[i]);
	}
	for (size_t i = 0; i < effects->owed_count; i++) {
		const struct swm_owed *owed = &effects->owed[i];
		if (owed->kind == SWM_MESSAGE_START_TASK) {
			const struct swm_task_state *task =
				&walk->walk.instance->tasks[owed->task];
			assert_int_equal(owed->attempt, task->attempt);
			assert_int_equal(task->status, SWM_TASK_SCHEDULED);
			walk->started[owed->task] += task->resends == 0;
			continue;
		}
		assert_true(walk->timer_count < TIMERS_MAX);
		struct timer *timer = &walk->timers[walk->timer_count++];
		*timer = (struct timer){.id = owed->id, .kind = owed->kind, .task = owed->task};
		assert_true(owed->body.len < sizeof(timer->body));
		memcpy(timer->body, owed->body.ptr, owed->body.len);
		assert_true(owed->delay_ms > 0);
		assert_null(owed->destination.ptr);
	}
}

static size_t timers_of(const struct disorder *walk, uint16_t task, enum swm_message_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < walk->timer_count; i++) {
		count += walk->timers[i].task == task && walk->timers[i].kind == kind;
	}
	return count;
}

static void check_task(const struct disorder *walk, uint16_t at)
{
	const struct swm_instance *instance = walk->walk.instance;
	const struct swm_task *task = &walk->walk.template->tasks[at];
	const struct swm_task_state *state = &instance->tasks[at];
	const bool scheduled = state->status == SWM_TASK_SCHEDULED;
	const bool retry = (state->flags & SWM_TASK_RETRY_OWED) != 0;
	bool parents_done = true;

	for (uint16_t i = 0; i < task->parent_count; i++) {
		parents_done = parents_done &&
			       instance->tasks[task->parents[i]].status == SWM_TASK_COMPLETED;
	}
	if (task->stage < instance->stage) {
		assert_int_equal(state->status, SWM_TASK_COMPLETED);
	} else if (task->stage > instance->stage || !parents_done) {
		assert_int_equal(state->status, SWM_TASK_PENDING);
		assert_int_equal(state->attempt, 0);
	} else {
		assert_int_not_equal(state->status, SWM_TASK_PENDING); /* no step is lost */
	}
	assert_true(!retry || state->status == SWM_TASK_FAILED);
	assert_int_equal(timers_of(walk, at, SWM_MESSAGE_TASK_TIMED_OUT),
		scheduled && task->timeout_ms > 0);
	assert_int_equal(timers_of(walk, at, SWM_MESSAGE_TASK_PENDING), retry);
	if (task->queue.ptr != NULL) {
		assert_int_equal(walk->started[at], state->attempt);
	}
}

static void check_grown(const struct swm_instance *before, const struct swm_instance *after)
{
	for (size_t i = 0; i < TASKS; i++) {
		const struct swm_task_state *old = &before->tasks[i];
		const struct swm_task_state *new = &after->tasks[i];
		assert_true(new->attempt == old->attempt || new->attempt == old->attempt + 1);
		assert_true(old->status != SWM_TASK_COMPLETED ||
			    (new->status == SWM_TASK_COMPLETED &&new->attempt == old->attempt));
	}
	assert_true(after->stage >= before->stage);
}

static void check_fold(struct disorder *walk, const char *message, const char *raw_id)
{
	struct swm_error err = {0};
	const struct swm_record record = {str(raw_id), str(message),
		walk->walk.instance->sequence, walk->walk.at_ms, walk->walk.verdict.outcome,
		SWM_RULES};
	struct swm_instance *read = NULL;
	char body[4096];

	if (walk->walk.verdict.outcome != SWM_UNRECORDED &&
		swm_fold(walk->walk.template, &record, &walk->folded, &err) != SWM_OK) {
		fail_msg("%s: %s", message, err.message);
	}
	snprintf(body, sizeof(body), "%s", walk_body(&walk->walk));
	assert_int_equal(
		swm_instance_read(walk->walk.template, str(body), &read, &err), SWM_OK);
	/* Half of the time it is the one that was read which goes on. */
	if (noise_next(&walk->noise) % 2 == 0) {
		struct swm_instance *kept = walk->walk.instance;
		walk->walk.instance = read;
		read = kept;
	}
	swm_instance_destroy(read);
	assert_string_equal(walk_body(&walk->walk), body);
	struct swm_instance *live = walk->walk.instance;
	walk->walk.instance = walk->folded;
	assert_string_equal(walk_body(&walk->walk), body);
	walk->walk.instance = live;
}

static enum swm_outcome send(struct disorder *walk, const char *message, const char *raw_id)
{
	char fresh[32];
	struct swm_instance *before = swm_instance_copy(walk->walk.instance);

	snprintf(fresh, sizeof(fresh), "raw-%zu", walk->sent++);
	const char *id = raw_id != NULL ? raw_id : fresh;
	const enum swm_outcome outcome = walk_apply(&walk->walk, message, id);
	take_effects(walk);
	check_grown(before, walk->walk.instance);
	if (outcome != SWM_APPLIED) {
		assert_int_equal(walk->walk.effects.owed_count, 0);
		assert_int_equal(walk->walk.effects.cancelled_count, 0);
	}
	for (uint16_t i = 0; i < TASKS; i++) {
		check_task(walk, i);
	}
	check_fold(walk, message, id);
	swm_instance_destroy(before);
	return outcome;
}

/* Our own timer comes, perhaps for the second time. */
static void fire_timer(struct disorder *walk)
{
	const struct timer timer = walk->timers[noise_next(&walk->noise) % walk->timer_count];

	forget_timer(walk, &timer.id); /* it is on its way, not outstanding */
	const enum swm_outcome outcome = send(walk, timer.body, timer.id.hex);
	assert_int_equal(outcome, SWM_APPLIED);
	assert_int_equal(send(walk, timer.body, timer.id.hex), SWM_UNRECORDED);
}

static void random_event(struct disorder *walk)
{
	static const char *const names[] = {"StartWorkflow", "TaskCompleted", "TaskCompleted",
		"TaskFailed", "TaskFailed", "TaskTimedOut", "TaskPending"};
	const struct swm_template *template = walk->walk.template;
	const char *name = names[noise_next(&walk->noise) % COUNT_OF(names)];
	const uint16_t task = (uint16_t)(noise_next(&walk->noise) % TASKS);
	const uint32_t current = walk->walk.instance->tasks[task].attempt;
	const unsigned attempts[] = {0, 0, current, current + 1, current > 1 ? current - 1 : 0};
	const unsigned attempt = attempts[noise_next(&walk->noise) % COUNT_OF(attempts)];
	const bool start = strcmp(name, "StartWorkflow") == 0;
	char stage[8];
	char *message = walk->messages[walk->sent % COUNT_OF(walk->messages)];

	if (walk->timer_count > 0 && noise_next(&walk->noise) % 5 == 0) {
		fire_timer(walk);
		return;
	}
	snprintf(stage, sizeof(stage), "S%d", (int)template->tasks[task].stage);
	const char *task_name = template->tasks[task].name.ptr;
	walk_message(message, sizeof(walk->messages[0]), name, start ? NULL : stage,
		start ? NULL : task_name, start ? 0 : attempt,
		noise_next(&walk->noise) % 3 == 0 ? ",\"data\":{\"k\":1.5},\"reason\":\"r\""
						  : NULL);
	(void)send(walk, message, NULL);
}

/* Everybody answers at last. */
static void answer_all(struct disorder *walk)
{
	char message[512];

	for (int round = 0; round < TASKS * 2; round++) {
		for (uint16_t i = 0; i < TASKS; i++) {
			const enum swm_task_status status =
				walk->walk.instance->tasks[i].status;
			char stage[8];
			if (status != SWM_TASK_SCHEDULED && status != SWM_TASK_FAILED) {
				continue;
			}
			snprintf(stage, sizeof(stage), "S%d",
				(int)walk->walk.template->tasks[i].stage);
			walk_message(message, sizeof(message), "TaskCompleted", stage,
				walk->walk.template->tasks[i].name.ptr, 0, NULL);
			assert_int_equal(send(walk, message, NULL), SWM_APPLIED);
		}
	}
	assert_int_equal(swm_instance_status(walk->walk.instance), SWM_STATUS_COMPLETED);
	assert_int_equal(walk->timer_count, 0);
}

static void test_disorder(void **state)
{
	static struct disorder walk;

	(void)state;
	for (uint64_t seed = 1; seed <= WALKS; seed++) {
		memset(&walk, 0, sizeof(walk));
		walk.noise = seed * UINT64_C(0x9e3779b97f4a7c15);
		walk_init(&walk.walk, template_text);
		assert_int_equal(walk.walk.template->task_count, TASKS);
		assert_int_equal(
			send(&walk,
				"{\"business_ref_no\":\"R-1\",\"component_name\":\"C\","
				"\"event_name\":\"StartWorkflow\"}",
				NULL),
			SWM_APPLIED);
		for (uint64_t i = noise_next(&walk.noise) % EVENTS; i > 0; i--) {
			random_event(&walk);
		}
		answer_all(&walk);
		swm_instance_destroy(walk.folded);
		walk_finish(&walk.walk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disorder),
	};

	return cmocka_run_group_tests_name("disorder", tests, NULL, NULL);
}
