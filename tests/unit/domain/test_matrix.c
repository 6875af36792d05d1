/* SPDX-License-Identifier: MIT */
/*
 * Every event in every state: the table of the message contract, cell by cell. The
 * verdicts below are written from that table, not from the code.
 *
 * A row is an event kind, the place of its task (in an earlier, the active or a later
 * stage) and the task's state; the columns are the attempt that the event names. The
 * task in question stands at attempt 3 unless it was never scheduled, so that there are
 * older and newer ones. Every row is run with a healthy instance and with a FAILED one.
 */

#include "support.h"

enum place {
	EARLIER,
	ACTIVE,
	LATER,
	OVER, /* the instance is COMPLETED */
	PLACES
};

enum attempt {
	ABSENT,
	CURRENT,
	OLDER,
	NEWER,
	ATTEMPTS
};

#define NEVER 0
#define APPLIED SWM_APPLIED
#define DUPL SWM_DUPLICATE
#define IGNORED SWM_IGNORED
#define SILENT SWM_UNRECORDED

struct row {
	enum swm_event_kind kind;
	enum place place;
	enum swm_task_status status;
	bool ours; /* sent under the id of our own timer of that attempt */
	/* ABSENT, CURRENT, OLDER, NEWER; NEVER: there is no such message */
	enum swm_outcome verdict[ATTEMPTS];
};

static const struct row rows[] = {
	/* clang-format off */
	{SWM_EVENT_START_WORKFLOW, EARLIER, SWM_TASK_COMPLETED, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, ACTIVE, SWM_TASK_PENDING, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, ACTIVE, SWM_TASK_SCHEDULED, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, ACTIVE, SWM_TASK_COMPLETED, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, ACTIVE, SWM_TASK_FAILED, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, LATER, SWM_TASK_PENDING, false, {DUPL, NEVER, NEVER, NEVER}},
	{SWM_EVENT_START_WORKFLOW, OVER, SWM_TASK_COMPLETED, false, {DUPL, NEVER, NEVER, NEVER}},

	{SWM_EVENT_TASK_COMPLETED, EARLIER, SWM_TASK_COMPLETED, false, {DUPL, DUPL, DUPL, DUPL}},
	{SWM_EVENT_TASK_COMPLETED, ACTIVE, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_COMPLETED, ACTIVE, SWM_TASK_SCHEDULED, false, {APPLIED, APPLIED, APPLIED, IGNORED}},
	{SWM_EVENT_TASK_COMPLETED, ACTIVE, SWM_TASK_COMPLETED, false, {DUPL, DUPL, DUPL, DUPL}},
	{SWM_EVENT_TASK_COMPLETED, ACTIVE, SWM_TASK_FAILED, false, {APPLIED, APPLIED, APPLIED, IGNORED}},
	{SWM_EVENT_TASK_COMPLETED, LATER, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_COMPLETED, OVER, SWM_TASK_COMPLETED, false, {DUPL, DUPL, DUPL, DUPL}},

	{SWM_EVENT_TASK_FAILED, EARLIER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_FAILED, ACTIVE, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_FAILED, ACTIVE, SWM_TASK_SCHEDULED, false, {APPLIED, APPLIED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_FAILED, ACTIVE, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_FAILED, ACTIVE, SWM_TASK_FAILED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_FAILED, LATER, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_FAILED, OVER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},

	{SWM_EVENT_TASK_TIMED_OUT, EARLIER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_SCHEDULED, false, {APPLIED, APPLIED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_FAILED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, LATER, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_TIMED_OUT, OVER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},

	{SWM_EVENT_TASK_TIMED_OUT, EARLIER, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_SCHEDULED, true, {NEVER, APPLIED, SILENT, NEVER}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},
	{SWM_EVENT_TASK_TIMED_OUT, ACTIVE, SWM_TASK_FAILED, true, {NEVER, SILENT, SILENT, NEVER}},
	{SWM_EVENT_TASK_TIMED_OUT, OVER, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},

	{SWM_EVENT_TASK_PENDING, EARLIER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_SCHEDULED, false, {APPLIED, APPLIED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_FAILED, false, {APPLIED, APPLIED, IGNORED, IGNORED}},
	{SWM_EVENT_TASK_PENDING, LATER, SWM_TASK_PENDING, false, {IGNORED, NEVER, NEVER, IGNORED}},
	{SWM_EVENT_TASK_PENDING, OVER, SWM_TASK_COMPLETED, false, {IGNORED, IGNORED, IGNORED, IGNORED}},

	{SWM_EVENT_TASK_PENDING, EARLIER, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_SCHEDULED, true, {NEVER, APPLIED, SILENT, NEVER}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},
	{SWM_EVENT_TASK_PENDING, ACTIVE, SWM_TASK_FAILED, true, {NEVER, APPLIED, SILENT, NEVER}},
	{SWM_EVENT_TASK_PENDING, OVER, SWM_TASK_COMPLETED, true, {NEVER, SILENT, SILENT, NEVER}},
	/* clang-format on */
};

#define TASK(name, parents, more) \
	"{\"task_name\":\"" name "\",\"task_queue\":\"q_" name "\",\"parent_task\":[" parents \
	"]" more "}"
#define RETRY ",\"retry\":{\"max_attempts\":99,\"backoff\":\"1s\",\"max_backoff\":\"1m\"}"

/* `subject` is the task that the rows are about; `sibling` is there to fail. */
static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S1\",\"stage_order\":1,\"tasks\":[" TASK("subject", "",
		"") "]},"
		    "{\"stage_name\":\"S2\",\"stage_order\":2,\"tasks\":[" TASK(
			    "subject", "", "") "," TASK("retried", "",
			    RETRY) "," TASK("sibling", "", "") "," TASK("child", "\"sibling\"",
			    "") "]},"
				"{\"stage_name\":\"S3\",\"stage_order\":3,\"tasks\":[" TASK(
					"subject", "", "") "]}]}";

/* One cell, as the test's parameter. */
struct cell {
	const struct row *row;
	enum attempt attempt;
	bool failed; /* the instance's status */
	char name[96];
};

static void must(struct walk *walk, const char *event, const char *stage, const char *task)
{
	assert_int_equal(walk_send(walk, event, stage, task, 0, NULL), SWM_APPLIED);
}

/* SCHEDULED at attempt 1 -> SCHEDULED at attempt 3. */
static void to_third_attempt(struct walk *walk, const char *stage, const char *task)
{
	for (int i = 0; i < 2; i++) {
		must(walk, "TaskFailed", stage, task);
		must(walk, "TaskPending", stage, task);
	}
	assert_int_equal(walk_task(walk, stage, task)->attempt, 3);
}

/* Which task a row is about. A FAILED one in a healthy instance has a retry owed. */
static const char *subject_of(const struct cell *cell, const char **stage)
{
	static const char *const stages[PLACES] = {"S1", "S2", "S3", "S2"};

	*stage = stages[cell->row->place];
	if (cell->row->place == ACTIVE && cell->row->status == SWM_TASK_PENDING) {
		return "child";
	}
	if (cell->row->place == ACTIVE && cell->row->status == SWM_TASK_FAILED &&
		!cell->failed) {
		return "retried";
	}
	return "subject";
}

static void finish_all(struct walk *walk)
{
	must(walk, "TaskCompleted", "S2", "subject");
	must(walk, "TaskCompleted", "S2", "retried");
	must(walk, "TaskCompleted", "S2", "sibling");
	must(walk, "TaskCompleted", "S2", "child");
	must(walk, "TaskCompleted", "S3", "subject");
}

/* Brings the walk into the row's state by events alone. */
static void arrange(struct walk *walk, const struct cell *cell)
{
	const struct row *row = cell->row;
	const char *stage;
	const char *task = subject_of(cell, &stage);

	assert_int_equal(walk_send(walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	if (row->place == EARLIER) {
		to_third_attempt(walk, "S1", "subject");
	}
	must(walk, "TaskCompleted", "S1", "subject");
	if (row->place == OVER) {
		to_third_attempt(walk, "S2", "subject");
		finish_all(walk);
	} else if (row->place == ACTIVE && row->status != SWM_TASK_PENDING) {
		to_third_attempt(walk, stage, task);
		if (row->status == SWM_TASK_COMPLETED) {
			must(walk, "TaskCompleted", stage, task);
		} else if (row->status == SWM_TASK_FAILED) {
			must(walk, "TaskFailed", stage, task);
		}
	}
	if (cell->failed) {
		must(walk, "TaskFailed", "S2", "sibling");
	}
	const enum swm_instance_status wanted = row->place == OVER ? SWM_STATUS_COMPLETED
						: cell->failed     ? SWM_STATUS_FAILED
								   : SWM_STATUS_ACTIVE;
	assert_int_equal(swm_instance_status(walk->instance), wanted);
	assert_int_equal(walk_task(walk, stage, task)->status, row->status);
}

static enum swm_message_kind timer_of(enum swm_event_kind kind)
{
	return kind == SWM_EVENT_TASK_TIMED_OUT ? SWM_MESSAGE_TASK_TIMED_OUT
						: SWM_MESSAGE_TASK_PENDING;
}

/* What an applied event must have done to its task. */
static void check_applied(const struct cell *cell, const struct walk *walk,
	const struct swm_task_state *before, const struct swm_task_state *after)
{
	const bool resend = cell->row->kind == SWM_EVENT_TASK_PENDING &&
			    before->status == SWM_TASK_SCHEDULED && cell->attempt == ABSENT;

	if (cell->row->kind == SWM_EVENT_TASK_COMPLETED) {
		assert_int_equal(after->status, SWM_TASK_COMPLETED);
		assert_int_equal(after->attempt, before->attempt);
	} else if (cell->row->kind == SWM_EVENT_TASK_PENDING) {
		assert_int_equal(after->status, SWM_TASK_SCHEDULED);
		assert_int_equal(after->attempt, before->attempt + (resend ? 0 : 1));
		assert_int_equal(after->resends, before->resends + (resend ? 1 : 0));
		assert_int_equal(walk_owed(walk, SWM_MESSAGE_START_TASK), 1);
	} else {
		assert_int_equal(after->status, SWM_TASK_FAILED);
		assert_int_equal(after->attempt, before->attempt);
		assert_int_equal(walk_owed(walk, SWM_MESSAGE_START_TASK), 0);
		if (cell->row->kind == SWM_EVENT_TASK_TIMED_OUT) {
			assert_string_equal(after->reason, "timeout");
		}
	}
}

/* Nothing that did not count may move anything but the sequence. */
static void check_nothing(const struct cell *cell, struct walk *walk, struct walk *before)
{
	const bool recorded = cell->row->verdict[cell->attempt] != SWM_UNRECORDED;

	assert_int_equal(walk->effects.owed_count, 0);
	assert_int_equal(walk->effects.cancelled_count, 0);
	assert_int_equal(walk->instance->sequence, before->instance->sequence + recorded);
	before->instance->sequence = walk->instance->sequence;
	assert_string_equal(walk_body(walk), walk_body(before));
	if (recorded) {
		assert_true(walk->verdict.reason.len > 0);
	}
}

static void test_cell(void **state)
{
	const struct cell *cell = *state;
	const struct row *row = cell->row;
	static struct walk walk;
	static struct walk before;
	char message[512];
	const char *stage;
	const char *task = subject_of(cell, &stage);

	walk_init(&walk, template_text);
	arrange(&walk, cell);
	before = walk;
	before.instance = swm_instance_copy(walk.instance);
	assert_non_null(before.instance);

	const unsigned current = walk_task(&walk, stage, task)->attempt;
	const unsigned attempts[ATTEMPTS] = {0, current, current - 1, current + 1};
	const unsigned attempt = attempts[cell->attempt];
	const struct swm_id id = walk_id(&walk, stage, task, attempt, timer_of(row->kind));
	const bool start = row->kind == SWM_EVENT_START_WORKFLOW;
	char event[32] = {0};
	const struct swm_str name = swm_event_name(row->kind);
	memcpy(event, name.ptr, name.len);
	walk_message(message, sizeof(message), event, start ? NULL : stage, start ? NULL : task,
		attempt, NULL);
	const enum swm_outcome outcome = walk_apply(&walk, message, row->ours ? id.hex : NULL);

	if (outcome != row->verdict[cell->attempt]) {
		fail_msg("outcome %d, not %d (reason: %.*s)", (int)outcome,
			(int)row->verdict[cell->attempt], (int)walk.verdict.reason.len,
			walk.verdict.reason.len > 0 ? walk.verdict.reason.ptr : "");
	}
	if (outcome == SWM_APPLIED) {
		assert_int_equal(walk.instance->sequence, before.instance->sequence + 1);
		check_applied(cell, &walk, walk_task(&before, stage, task),
			walk_task(&walk, stage, task));
	} else {
		check_nothing(cell, &walk, &before);
	}
	swm_instance_destroy(before.instance);
	walk_finish(&walk);
}

/* The instance that is not there: only a StartWorkflow makes one. */
static void test_missing(void **state)
{
	static struct walk walk;
	char message[512];

	(void)state;
	walk_init(&walk, template_text);
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	assert_int_equal(walk.instance->sequence, 1);
	assert_int_equal(walk_owed(&walk, SWM_MESSAGE_START_TASK), 1);
	for (int kind = SWM_EVENT_START_WORKFLOW + 1; kind < (int)SWM_EVENT_KINDS; kind++) {
		struct swm_instance *instance = NULL;
		struct swm_error err = {0};
		char event[32] = {0};
		const struct swm_str name = swm_event_name((enum swm_event_kind)kind);

		memcpy(event, name.ptr, name.len);
		walk_message(message, sizeof(message), event, "S1", "subject", 0, NULL);
		const struct swm_record record = {
			str("x"), str(message), 1, WALK_START_MS, SWM_APPLIED, SWM_RULES};
		assert_int_equal(
			swm_fold(walk.template, &record, &instance, &err), SWM_E_CORRUPT);
		assert_null(instance);
		assert_true(err.message[0] != '\0');
		swm_instance_destroy(instance);
	}
	walk_finish(&walk);
}

/* A stage or a task that the template does not have. */
static void test_unknown(void **state)
{
	static struct walk walk;

	(void)state;
	walk_init(&walk, template_text);
	assert_int_equal(walk_send(&walk, "StartWorkflow", NULL, NULL, 0, NULL), SWM_APPLIED);
	for (int kind = SWM_EVENT_START_WORKFLOW + 1; kind < (int)SWM_EVENT_KINDS; kind++) {
		char event[32] = {0};
		const struct swm_str name = swm_event_name((enum swm_event_kind)kind);

		memcpy(event, name.ptr, name.len);
		const int64_t sequence = walk.instance->sequence;
		assert_int_equal(
			walk_send(&walk, event, "S9", "subject", 0, NULL), SWM_REJECTED);
		assert_true(walk.verdict.reason.len > 0);
		assert_int_equal(
			walk_send(&walk, event, "S1", "nobody", 0, NULL), SWM_REJECTED);
		assert_true(walk.verdict.reason.len > 0);
		assert_int_equal(walk.effects.owed_count, 0);
		assert_int_equal(walk.instance->sequence, sequence + 2);
	}
	walk_finish(&walk);
}

static void cell_name(struct cell *cell)
{
	static const char *const places[PLACES] = {"earlier", "active", "later", "over"};
	static const char *const attempts[ATTEMPTS] = {"absent", "current", "older", "newer"};
	const struct swm_str event = swm_event_name(cell->row->kind);
	const struct swm_str status = swm_task_status_name(cell->row->status);

	snprintf(cell->name, sizeof(cell->name), "%.*s%s, %s stage, %.*s, attempt %s%s",
		(int)event.len, event.ptr, cell->row->ours ? " of ours" : "",
		places[cell->row->place], (int)status.len, status.ptr, attempts[cell->attempt],
		cell->failed ? ", FAILED" : "");
}

int main(void)
{
	static struct cell cells[COUNT_OF(rows) * ATTEMPTS * 2];
	static struct CMUnitTest tests[COUNT_OF(cells) + 2];
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(rows) * ATTEMPTS * 2; i++) {
		const struct row *row = &rows[i / ATTEMPTS / 2];
		struct cell *cell = &cells[count];

		cell->row = row;
		cell->attempt = (enum attempt)(i % ATTEMPTS);
		cell->failed = i / ATTEMPTS % 2 == 1;
		if (row->verdict[cell->attempt] == NEVER ||
			(row->place == OVER && cell->failed)) {
			continue;
		}
		cell_name(cell);
		tests[count] = (struct CMUnitTest){cell->name, test_cell, NULL, NULL, cell};
		count++;
	}
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_missing);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_unknown);
	return _cmocka_run_group_tests("matrix", tests, count, NULL, NULL);
}
