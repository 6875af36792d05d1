/* SPDX-License-Identifier: MIT */

/*
 * The hot path, step by step: what is committed, published and acknowledged, and in
 * which order, when all goes well and at each place where it can fail.
 */

#include "rig.h"

#include "message.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

static size_t pending(const struct rig *rig)
{
	return fake_store_outbox_count(rig->world.store, SWM_OUTBOX_PENDING);
}

static size_t parked(const struct rig *rig)
{
	return fake_store_outbox_count(rig->world.store, SWM_OUTBOX_DEAD);
}

static void fail_store(struct rig *rig, enum fake_store_op op, swm_status status, bool applied)
{
	fake_store_inject(rig->world.store, &(struct fake_store_fault){.op = op,
						    .after = 1,
						    .times = 1,
						    .status = status,
						    .applied = applied});
}

static void assert_text(struct swm_str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.ptr, expected, text.len);
}

static void publishes_what_is_committed_then_acks(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 1);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(rig_left_on_queue(rig), 0);

	const struct swm_message *message = fake_queue_published(rig->world.queue, "q_a", 0);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, 0);
	assert_non_null(row);
	assert_true(swm_str_equal(message->id, row->id));
	assert_true(swm_str_equal(message->body, row->body));
	assert_text(message->key, "T/1");
	const struct swm_header *headers = message->headers;
	size_t count = message->header_count;
	assert_true(swm_str_equal(
		swm_str_from(header_of(headers, count, "swm-message-id")), message->id));
	assert_string_equal(header_of(headers, count, "swm-attempt"), "1");
	assert_string_equal(header_of(headers, count, "ce-specversion"), "1.0");
	assert_string_equal(header_of(headers, count, "ce-type"), "swm.StartTask");
	assert_string_equal(header_of(headers, count, "ce-subject"), "T/1");
	assert_null(header_of(headers, count, "swm-event-id"));
	assert_null(header_of(headers, count, "traceparent"));
}

static void marks_ride_along_with_the_next_commit(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(rig->marks.count, 1);
	assert_int_equal(pending(rig), 1);
	unsigned commits = fake_store_calls(rig->world.store, FAKE_COMMIT);
	send_completed(&rig->world, "1", "ONE", "a");
	rig_drain(rig);
	assert_int_equal(fake_store_calls(rig->world.store, FAKE_COMMIT), commits + 1);
	/* The StartTask of a is marked, that of b has been sent since. */
	assert_int_equal(pending(rig), 1);
	assert_int_equal(rig->marks.count, 1);
	struct swm_error err = {0};
	assert_int_equal(swm_link_flush(&rig->link, &rig->marks, &err), SWM_OK);
	assert_int_equal(pending(rig), 0);
	assert_int_equal(rig->marks.count, 0);
}

static void marks_of_a_failed_commit_go_into_the_next(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	send_completed(&rig->world, "1", "ONE", "a");
	fail_store(rig, FAKE_COMMIT, SWM_E_UNAVAILABLE, false);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_UNAVAILABLE);
	assert_null(rig->link.session);
	assert_int_equal(rig->marks.count, 1);
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(rig_left_on_queue(rig), 1);
	assert_int_equal(rig_published(rig, "q_b"), 0);

	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(pending(rig), 1);
	assert_int_equal(rig_published(rig, "q_b"), 1);
	assert_int_equal(rig_published(rig, "q_a"), 1);
}

static void folds_events_of_one_instance_into_one_item(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	send_completed(&rig->world, "1", "ONE", "a");
	send_start(&rig->world, "2");
	send_completed(&rig->world, "1", "ONE", "b");
	rig_drain(rig);
	assert_int_equal(counter(rig, "commits"), 2);
	assert_int_equal(counter(rig, "commit_calls"), 1);
	assert_int_equal(counter(rig, "events_recorded"), 4);
	assert_int_equal(rig_published(rig, "q_a"), 2);
	assert_int_equal(rig_published(rig, "q_b"), 1);
	assert_int_equal(rig_published(rig, "q_c"), 1);
	/* The next event finds the instance in the cache. */
	struct swm_cached *cached = swm_cache_find(&rig->cache, SWM_STR("T/1"));
	assert_non_null(cached);
	assert_int_equal(cached->version, 1);
	assert_int_equal(cached->instance->sequence, 3);
}

static void equal_events_of_a_batch_count_once(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	send_start(&rig->world, "1");
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_recorded"), 1);
	assert_int_equal(counter(rig, "events_seen"), 2);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

static void the_same_id_in_two_instances_is_two_events(void **state)
{
	struct rig *rig = *state;
	send_event(&rig->world, "StartWorkflow", "T", "1", NULL, NULL, "same");
	send_event(&rig->world, "StartWorkflow", "T", "2", NULL, NULL, "same");
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_recorded"), 2);
}

static void a_redelivered_event_changes_nothing(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	unsigned commits = fake_store_calls(rig->world.store, FAKE_COMMIT);
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(fake_store_calls(rig->world.store, FAKE_COMMIT), commits);
	assert_int_equal(counter(rig, "events_seen"), 1);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

/* A second orchestrator that gets ahead, once. */
struct competitor {
	struct rig *rig;
	bool done;
};

static void compete(void *ctx)
{
	struct competitor *competitor = ctx;
	if (!competitor->done) {
		competitor->done = true;
		rig_drain(competitor->rig);
	}
}

static void a_conflict_is_computed_again(void **state)
{
	struct rig *rig = *state;
	struct competitor competitor = {.rig = rig_create_in(&rig->world)};
	send_start(&rig->world, "1");
	rig_drain(rig);
	send_completed(&rig->world, "1", "ONE", "a");
	send_start(&rig->world, "2");
	assert_int_equal(rig_receive(rig, 10), 2);
	send_event(&rig->world, "TaskFailed", "T", "1", "ONE", "a", "other");
	fake_store_before_commit(rig->world.store, compete, &competitor);

	assert_int_equal(rig_round(rig), SWM_E_CONFLICT);
	assert_int_equal(rig_published(rig, "q_b"), 0);
	assert_int_equal(rig_settle(rig), 1); /* the other item went through */
	assert_int_equal(counter(rig, "commit_conflicts"), 1);
	assert_null(swm_cache_find(&rig->cache, SWM_STR("T/1")));

	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(rig_published(rig, "q_b"), 1);
	assert_int_equal(counter(rig, "events_recorded"), 4);
	fake_store_before_commit(rig->world.store, NULL, NULL);
	rig_destroy(competitor.rig);
}

static void a_lost_answer_that_was_applied_is_not_repeated(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	fail_store(rig, FAKE_COMMIT, SWM_E_INDOUBT, true);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_INDOUBT);
	assert_int_equal(rig_published(rig, "q_a"), 0);
	assert_null(rig->link.session);
	assert_int_equal(rig_settle(rig), 1);

	unsigned commits = fake_store_calls(rig->world.store, FAKE_COMMIT);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(fake_store_calls(rig->world.store, FAKE_COMMIT), commits);
	assert_int_equal(rig_settle(rig), 0);
	/* What was owed is in the outbox, for the dispatcher. */
	assert_int_equal(rig_published(rig, "q_a"), 0);
	assert_int_equal(pending(rig), 1);
}

static void a_lost_answer_that_was_not_applied_is_repeated(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	fail_store(rig, FAKE_COMMIT, SWM_E_INDOUBT, false);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_INDOUBT);
	assert_int_equal(rig_published(rig, "q_a"), 0);
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(counter(rig, "events_recorded"), 1);
}

static void marks_in_doubt_are_kept(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	send_completed(&rig->world, "1", "ONE", "a");
	fail_store(rig, FAKE_COMMIT, SWM_E_INDOUBT, false);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_INDOUBT);
	assert_int_equal(rig->marks.count, 1);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
}

static void a_store_that_is_away_holds_everything(void **state)
{
	static const enum fake_store_op ops[] = {
		FAKE_SESSION_OPEN, FAKE_LOAD, FAKE_TEMPLATE_LIST, FAKE_COMMIT};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		char ref[8];
		(void)snprintf(ref, sizeof(ref), "%zu", i);
		send_start(&rig->world, ref);
		fake_host_advance(rig->world.host, 2000); /* the newest template is asked for */
		swm_link_close(&rig->link);
		fail_store(rig, ops[i], SWM_E_UNAVAILABLE, false);
		assert_int_equal(rig_receive(rig, 10), 1);
		assert_int_equal(rig_round(rig), SWM_E_UNAVAILABLE);
		assert_int_equal(rig_settle(rig), 1);
		assert_int_equal(rig_published(rig, "q_a"), i);
		assert_int_equal(rig_round(rig), SWM_OK);
		assert_int_equal(rig_settle(rig), 0);
		assert_int_equal(rig_published(rig, "q_a"), i + 1);
	}
	assert_int_equal(fake_host_logged(rig->world.host, "trying again"), 1);
}

static void a_busy_store_keeps_its_session(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	fail_store(rig, FAKE_COMMIT, SWM_E_THROTTLED, false);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_THROTTLED);
	assert_non_null(rig->link.session);
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
}

static void events_too_large_together_are_taken_one_by_one(void **state)
{
	struct rig *rig = *state;
	char body[800];
	(void)snprintf(body, sizeof(body),
		"{'event_name':'TaskFailed','component_name':'T','business_ref_no':'1',"
		"'stage_name':'ONE','task_name':'a','event_id':'big','reason':'%0500d'}",
		1);
	fake_store_set_item_max(rig->world.store, 600);
	send_start(&rig->world, "1");
	send_completed(&rig->world, "1", "ONE", "a");
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, body, NULL, NULL);
	send_completed(&rig->world, "1", "ONE", "b");
	send_start(&rig->world, "2");
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_recorded"), 4);
	assert_int_equal(counter(rig, "events_parked"), 1);
	assert_int_equal(parked(rig), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
	assert_int_equal(rig_published(rig, "q_c"), 1);
	/* The store cannot hold the message either: what fits is kept, and says so. */
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, 0);
	assert_true(row->body.len < 600);
	assert_memory_equal(row->reason.ptr, "cut from ", strlen("cut from "));
}

static void parks_what_is_no_event(void **state)
{
	static const char *const bodies[] = {
		"\x01\x02 not json",
		"{}",
		"{'event_name':'Nonsense','component_name':'T','business_ref_no':'1'}",
		"{'event_name':'StartWorkflow','component_name':'Unknown','business_ref_no':'1'"
		"}",
		"{'event_name':'StartWorkflow','component_name':'T','business_ref_no':'1',"
		"'template_version':7}",
	};
	struct rig *rig = *state;
	size_t count = sizeof(bodies) / sizeof(bodies[0]);
	for (size_t i = 0; i < count; i++) {
		fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, bodies[i], NULL, "the-id");
	}
	rig_drain(rig);
	assert_int_equal(parked(rig), count);
	assert_int_equal(rig_left_on_queue(rig), 0);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, 0);
	assert_null(row->instance_id.ptr);
	assert_text(row->destination, WORKFLOW_QUEUE);
	assert_text(row->body, bodies[0]);
	assert_true(row->reason.len > 0);
	assert_string_equal(
		header_of(row->headers, row->header_count, "swm-event-id"), "the-id");
}

static void parks_a_redelivered_message_once(void **state)
{
	struct rig *rig = *state;
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "garbage", "delivery-1", NULL);
	rig_drain(rig);
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "garbage", "delivery-1", NULL);
	rig_drain(rig);
	assert_int_equal(parked(rig), 1);
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "garbage", "delivery-2", NULL);
	rig_drain(rig);
	assert_int_equal(parked(rig), 2);
}

static void is_not_acked_before_it_is_parked(void **state)
{
	struct rig *rig = *state;
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "garbage", NULL, NULL);
	fail_store(rig, FAKE_OUTBOX_PUT, SWM_E_UNAVAILABLE, false);
	assert_int_equal(rig_receive(rig, 10), 1);
	assert_int_equal(rig_round(rig), SWM_E_UNAVAILABLE);
	assert_int_equal(rig_settle(rig), 1);
	fail_store(rig, FAKE_OUTBOX_PUT, SWM_E_INDOUBT, true);
	assert_int_equal(rig_round(rig), SWM_E_INDOUBT);
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(parked(rig), 1);
}

/* A TaskCompleted for nobody, put off `count` times before. */
static void send_early(struct rig *rig, unsigned count)
{
	char number[12];
	(void)snprintf(number, sizeof(number), "%u", count);
	static const char body[] = "{\"event_name\":\"TaskCompleted\",\"component_name\":\"T\","
				   "\"business_ref_no\":\"9\",\"stage_name\":\"ONE\","
				   "\"task_name\":\"a\",\"event_id\":\"early\"}";
	struct swm_header header = {SWM_STR(SWM_HEADER_DEFERRED), swm_str_from(number)};
	struct swm_message message = {
		.destination = SWM_STR(WORKFLOW_QUEUE),
		.body = SWM_STR(body),
		.headers = &header,
		.header_count = count > 0 ? 1 : 0,
	};
	struct swm_publisher *publisher = NULL;
	swm_status result = SWM_E_INTERNAL;
	assert_int_equal(fake_queue_ops.publisher_open(rig->world.queue, &publisher, NULL), 0);
	assert_int_equal(
		fake_queue_ops.publisher_publish(publisher, &message, 1, 1, &result, NULL), 0);
	fake_queue_ops.publisher_close(publisher);
}

static void puts_off_an_event_without_an_instance(void **state)
{
	struct rig *rig = *state;
	for (unsigned count = 0; count < SWM_DEFERRALS_MAX; count++) {
		char number[12];
		send_early(rig, count);
		rig_drain(rig);
		assert_int_equal(pending(rig), count + 1);
		const struct swm_outbox_row *row =
			fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, count);
		(void)snprintf(number, sizeof(number), "%u", count + 1);
		assert_int_equal(row->delay_ms, 1000 << count);
		assert_null(row->instance_id.ptr);
		assert_text(row->destination, WORKFLOW_QUEUE);
		assert_string_equal(
			header_of(row->headers, row->header_count, "swm-deferred"), number);
		assert_string_equal(
			header_of(row->headers, row->header_count, "swm-event-id"), "early");
	}
	send_early(rig, SWM_DEFERRALS_MAX);
	rig_drain(rig);
	assert_int_equal(parked(rig), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, 0);
	assert_text(row->reason, "no such instance: T/9");
	/* Requeued, it begins anew. */
	assert_null(header_of(row->headers, row->header_count, "swm-deferred"));
}

static void an_event_behind_its_start_in_the_batch_counts(void **state)
{
	struct rig *rig = *state;
	send_completed(&rig->world, "1", "ONE", "b");
	send_start(&rig->world, "1");
	send_completed(&rig->world, "1", "ONE", "a");
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_deferred"), 1);
	assert_int_equal(counter(rig, "events_recorded"), 2);
	assert_int_equal(rig_published(rig, "q_b"), 1);
}

/* An adapter may pass on any bytes of its client's; the event that quotes them has to be
 * JSON all the same. */
static void a_refusal_in_latin_1_can_be_quoted(void **state)
{
	struct rig *rig = *state;
	static const char start_task[] = "{\"business_ref_no\":\"1\",\"component_name\":\"T\","
					 "\"event_name\":\"StartTask\","
					 "\"stage_name\":\"ONE\",\"task_name\":\"a\"}";
	const struct swm_outbox_row row = {
		.id = SWM_STR("id"), .body = SWM_STR(start_task), .attempt = 1};
	struct swm_outbox_row out;
	struct swm_arena arena = {0};
	struct swm_event event;
	struct swm_error err = {0};
	(void)rig;
	assert_int_equal(swm_row_undeliverable(&row, SWM_STR(WORKFLOW_QUEUE),
				 SWM_STR("zu gro\xdf f\xfcr \xc3\xbc"), &arena, &out, &err),
		SWM_OK);
	assert_int_equal(
		swm_event_read(out.body, &swm_event_limits_default, &event, &err), SWM_OK);
	assert_text(event.reason, "undeliverable: zu gro? f?r \xc3\xbc");
	swm_event_finish(&event);
	swm_arena_finish(&arena);
}

/* Two processes may be refused one StartTask with different words: two messages that
 * differ have two ids, and the same one has the same. */
static void a_refusal_in_other_words_is_another_message(void **state)
{
	(void)state;
	static const char start_task[] = "{\"business_ref_no\":\"1\",\"component_name\":\"T\","
					 "\"event_name\":\"StartTask\","
					 "\"stage_name\":\"ONE\",\"task_name\":\"a\"}";
	const struct swm_outbox_row row = {
		.id = SWM_STR("id"), .body = SWM_STR(start_task), .attempt = 1};
	const struct swm_str why[] = {
		SWM_STR("too large"), SWM_STR("too large"), SWM_STR("no way")};
	struct swm_outbox_row out[3];
	struct swm_arena arena = {0};
	for (size_t i = 0; i < 3; i++) {
		struct swm_error err = {0};
		assert_int_equal(swm_row_undeliverable(&row, SWM_STR(WORKFLOW_QUEUE), why[i],
					 &arena, &out[i], &err),
			SWM_OK);
	}
	assert_true(swm_str_equal(out[0].id, out[1].id));
	assert_true(swm_str_equal(out[0].body, out[1].body));
	assert_false(swm_str_equal(out[0].id, out[2].id));
	swm_arena_finish(&arena);
}

static void a_start_task_nobody_takes_becomes_a_task_failed(void **state)
{
	struct rig *rig = *state;
	fake_queue_refuse(rig->world.queue, "q_a", SWM_E_TOO_LARGE);
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(counter(rig, "messages_undeliverable"), 1);
	assert_int_equal(pending(rig), 2);
	assert_int_equal(rig->marks.count, 1);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, 1);
	assert_text(row->destination, WORKFLOW_QUEUE);
	assert_int_equal(row->kind, SWM_ROW_UNDELIVERABLE);
	assert_null(row->instance_id.ptr);

	/* As the dispatcher sends it, it fails the task. */
	struct swm_arena arena = {0};
	struct swm_message message;
	char body[512];
	assert_true(swm_message_of_row(row, true, &arena, &message));
	assert_true(row->body.len < sizeof(body));
	memcpy(body, row->body.ptr, row->body.len);
	body[row->body.len] = '\0';
	assert_non_null(strstr(body, "undeliverable: "));
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, body, NULL,
		header_of(message.headers, message.header_count, "swm-event-id"));
	swm_arena_finish(&arena);
	rig_drain(rig);
	struct swm_cached *cached = swm_cache_find(&rig->cache, SWM_STR("T/1"));
	assert_int_equal(swm_instance_status(cached->instance), SWM_STATUS_FAILED);
}

static void a_refusal_that_may_heal_is_put_off(void **state)
{
	struct rig *rig = *state;
	fake_queue_refuse(rig->world.queue, "q_a", SWM_E_NOT_FOUND);
	send_start(&rig->world, "1");
	send_start(&rig->world, "2");
	rig_drain(rig);
	send_start(&rig->world, "3");
	rig_drain(rig);
	assert_int_equal(counter(rig, "messages_refused"), 3);
	assert_int_equal(fake_host_logged(rig->world.host, "q_a refuses"), 1);
	assert_int_equal(rig->marks.items[0].action, SWM_MARK_RETRY);
	assert_in_range(rig->marks.items[0].delay_ms, 500, 1000);
	assert_int_equal(rig_left_on_queue(rig), 0);

	fake_queue_refuse(rig->world.queue, "q_a", SWM_OK);
	send_start(&rig->world, "4");
	rig_drain(rig);
	assert_int_equal(fake_host_logged(rig->world.host, "q_a: taken again"), 1);
}

static void a_message_in_doubt_keeps_its_row(void **state)
{
	struct rig *rig = *state;
	fake_queue_inject(rig->world.queue,
		&(struct fake_queue_fault){FAKE_PUBLISH, 1, 1, SWM_E_INDOUBT, true});
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(rig->marks.count, 0);
	assert_int_equal(pending(rig), 1);
	assert_int_equal(counter(rig, "messages_in_doubt"), 1);
}

static void a_lost_publisher_is_opened_again(void **state)
{
	struct rig *rig = *state;
	fake_queue_inject(rig->world.queue,
		&(struct fake_queue_fault){FAKE_PUBLISH, 1, 1, SWM_E_UNAVAILABLE, false});
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(counter(rig, "messages_refused"), 1);
	send_start(&rig->world, "2");
	rig_drain(rig); /* not yet: it waits before it tries again */
	assert_int_equal(counter(rig, "messages_refused"), 2);
	assert_int_equal(fake_queue_calls(rig->world.queue, FAKE_PUBLISHER_OPEN), 1);
	fake_host_advance(rig->world.host, 100);
	send_start(&rig->world, "3");
	rig_drain(rig);
	assert_int_equal(counter(rig, "messages_published"), 1);
}

static void use_up_the_lease(void *ctx)
{
	fake_host_advance(ctx, RIG_LEASE_MS - RIG_LEASE_MS / 10);
}

static void does_not_publish_at_the_end_of_a_lease(void **state)
{
	struct rig *rig = *state;
	fake_store_before_commit(rig->world.store, use_up_the_lease, rig->world.host);
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(counter(rig, "messages_left"), 1);
	assert_int_equal(rig_published(rig, "q_a"), 0);
	assert_int_equal(pending(rig), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
	fake_store_before_commit(rig->world.store, NULL, NULL);
}

/* What a thread owes its consumer, and the longest that it was kept from it. */
struct watch {
	struct fake_host *host;
	int64_t last_ms;
	int64_t longest_ms;
};

static void note_duty(void *ctx)
{
	struct watch *watch = ctx;
	int64_t now_ms = swm_env_monotonic_ms(fake_host_env(watch->host));
	if (now_ms - watch->last_ms > watch->longest_ms) {
		watch->longest_ms = now_ms - watch->last_ms;
	}
	watch->last_ms = now_ms;
}

/* A broker that takes its time: what it was not sent in one slice goes into the next, once,
 * and after half a lease it has to wait for another try. */
static void publishes_in_slices_beside_a_duty(void **state)
{
	struct rig *rig = *state;
	struct watch watch = {.host = rig->world.host,
		.last_ms = swm_env_monotonic_ms(fake_host_env(rig->world.host))};
	rig->sender.duty = (struct swm_duty){note_duty, &watch};
	fake_queue_slow(rig->world.queue, 800);
	for (int i = 0; i < 10; i++) {
		char ref[16];
		(void)snprintf(ref, sizeof(ref), "%d", i);
		send_start(&rig->world, ref);
	}
	rig_drain(rig);
	assert_int_equal(watch.longest_ms, 3000);
	assert_int_equal(fake_queue_calls(rig->world.queue, FAKE_PUBLISH), 2);
	assert_int_equal(rig_published(rig, "q_a"), 5); /* three in 3 s, two in 2 s */
	assert_int_equal(counter(rig, "messages_published"), 5);
	assert_int_equal(counter(rig, "messages_refused"), 5);
	for (size_t i = 1; i < 5; i++) {
		assert_false(swm_str_equal(fake_queue_published(rig->world.queue, "q_a", i)->id,
			fake_queue_published(rig->world.queue, "q_a", i - 1)->id));
	}
	fake_queue_slow(rig->world.queue, 0);
}

static void does_not_slice_without_a_duty(void **state)
{
	struct rig *rig = *state;
	fake_queue_slow(rig->world.queue, 4000);
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(fake_queue_calls(rig->world.queue, FAKE_PUBLISH), 1);
	assert_int_equal(counter(rig, "messages_published"), 1);
}

/* An adapter that gives up before its time has its reasons: it is not asked again at once. */
static void does_not_insist_on_an_adapter_that_gives_up(void **state)
{
	struct rig *rig = *state;
	struct watch watch = {.host = rig->world.host};
	rig->sender.duty = (struct swm_duty){note_duty, &watch};
	fake_queue_inject(rig->world.queue,
		&(struct fake_queue_fault){FAKE_PUBLISH, 1, 1, SWM_E_TIMEOUT, false});
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(fake_queue_calls(rig->world.queue, FAKE_PUBLISH), 1);
	assert_int_equal(counter(rig, "messages_refused"), 1);
}

static void timers_are_owed_and_cancelled(void **state)
{
	struct rig *rig = *state;
	send_event(&rig->world, "StartWorkflow", "R", "1", NULL, NULL, "s");
	rig_drain(rig);
	assert_int_equal(pending(rig), 2); /* StartTask, sent; its timeout in 30 s */
	assert_int_equal(rig_published(rig, WORKFLOW_QUEUE), 0);
	send_event(&rig->world, "TaskFailed", "R", "1", "ONE", "r", "f");
	rig_drain(rig);
	assert_int_equal(pending(rig), 1); /* the retry; the timeout is cancelled */
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, 0);
	assert_int_equal(row->kind, SWM_MESSAGE_TASK_PENDING);
	assert_text(row->destination, WORKFLOW_QUEUE);
	assert_in_range(row->delay_ms, 750, 1000);
}

static void a_late_timer_of_ours_is_not_recorded(void **state)
{
	struct rig *rig = *state;
	send_event(&rig->world, "StartWorkflow", "R", "1", NULL, NULL, "s");
	rig_drain(rig);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, 1);
	assert_int_equal(row->kind, SWM_MESSAGE_TASK_TIMED_OUT);
	char id[SWM_ID_LEN + 1] = {0};
	char body[512] = {0};
	memcpy(id, row->id.ptr, row->id.len);
	memcpy(body, row->body.ptr, row->body.len);
	send_event(&rig->world, "TaskCompleted", "R", "1", "ONE", "r", "done");
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, body, NULL, id);
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_unrecorded"), 1);
	assert_int_equal(counter(rig, "events_recorded"), 2);
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, body, NULL, id);
	rig_drain(rig); /* on its own as well */
	assert_int_equal(counter(rig, "events_unrecorded"), 2);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

static void a_trace_goes_on_to_what_it_caused(void **state)
{
	struct rig *rig = *state;
	struct swm_header trace = {SWM_STR("traceparent"), SWM_STR("00-abc-def-01")};
	struct swm_message message = {
		.destination = SWM_STR(WORKFLOW_QUEUE),
		.body = SWM_STR("{\"event_name\":\"TaskCompleted\",\"component_name\":\"T\","
				"\"business_ref_no\":\"1\",\"stage_name\":\"ONE\","
				"\"task_name\":\"a\",\"event_id\":\"traced\"}"),
		.headers = &trace,
		.header_count = 1,
	};
	struct swm_publisher *publisher = NULL;
	swm_status result = SWM_E_INTERNAL;
	send_start(&rig->world, "1");
	assert_int_equal(fake_queue_ops.publisher_open(rig->world.queue, &publisher, NULL), 0);
	assert_int_equal(
		fake_queue_ops.publisher_publish(publisher, &message, 1, 1, &result, NULL), 0);
	fake_queue_ops.publisher_close(publisher);
	rig_drain(rig);
	const struct swm_message *a = fake_queue_published(rig->world.queue, "q_a", 0);
	const struct swm_message *b = fake_queue_published(rig->world.queue, "q_b", 0);
	assert_null(header_of(a->headers, a->header_count, "traceparent"));
	assert_string_equal(
		header_of(b->headers, b->header_count, "traceparent"), "00-abc-def-01");
}

/* An instance with a body that this release did not write. */
static void put_odd_instance(struct rig *rig, const char *body)
{
	struct swm_event_row event = {
		.id = SWM_STR("odd"), .name = SWM_STR("StartWorkflow"), .sequence = 1};
	struct swm_commit item = {
		.next =
			{
				.id = SWM_STR("T/odd"),
				.component = SWM_STR("T"),
				.business_ref = SWM_STR("odd"),
				.template_id = SWM_STR("T:1"),
				.body = swm_str_from(body),
				.version = 1,
				.sequence = 1,
				.status = SWM_STATUS_ACTIVE,
			},
		.events = &event,
		.event_count = 1,
	};
	struct swm_error err = {0};
	rig->odd = true;
	assert_int_equal(swm_link_open(&rig->link, &err), SWM_OK);
	assert_int_equal(fake_store_ops.commit(rig->link.session, swm_link_owner(&rig->link),
				 RIG_LEASE_MS, &item, 1, NULL, 0, &err),
		SWM_OK);
}

static void an_unreadable_instance_parks_its_events(void **state)
{
	struct rig *rig = *state;
	put_odd_instance(rig, "{broken");
	send_completed(&rig->world, "odd", "ONE", "a");
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(parked(rig), 1);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

static void an_instance_of_a_newer_release_waits(void **state)
{
	struct rig *rig = *state;
	put_odd_instance(rig, "{\"f\":99}");
	send_completed(&rig->world, "odd", "ONE", "a");
	send_start(&rig->world, "1");
	assert_int_equal(rig_receive(rig, 10), 2);
	assert_int_equal(rig_round(rig), SWM_E_UNSUPPORTED);
	assert_true(rig->err.message[0] != '\0');
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(parked(rig), 0);
	assert_int_equal(rig_published(rig, "q_a"), 1);
}

static void a_template_applied_since_is_taken_within_a_second(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	fake_store_put_template(rig->world.store, "T", 2,
		"{'workflow_name':'Test','component_name':'T','stages':[{'stage_name':'ONE',"
		"'stage_order':1,'tasks':[{'task_name':'a','task_queue':'q_new'}]}]}");
	fake_host_advance(rig->world.host, 1000);
	send_start(&rig->world, "2");
	rig_drain(rig);
	assert_int_equal(rig_published(rig, "q_new"), 1);
	assert_int_equal(fake_store_calls(rig->world.store, FAKE_TEMPLATE_GET), 0);
}

static void the_cache_saves_the_template_and_the_body(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	rig_drain(rig);
	swm_cache_drop_all(&rig->cache);
	send_completed(&rig->world, "1", "ONE", "a");
	rig_drain(rig);
	assert_int_equal(rig_published(rig, "q_b"), 1);
	rig->cache.max_bytes = 1;
	swm_cache_trim(&rig->cache);
	assert_null(swm_cache_find(&rig->cache, SWM_STR("T/1")));
	send_completed(&rig->world, "1", "ONE", "b");
	rig_drain(rig);
	assert_int_equal(rig_published(rig, "q_c"), 1);
}

static void a_finished_instance_leaves_the_cache(void **state)
{
	struct rig *rig = *state;
	send_start(&rig->world, "1");
	send_completed(&rig->world, "1", "ONE", "a");
	send_completed(&rig->world, "1", "ONE", "b");
	rig_drain(rig);
	assert_non_null(swm_cache_find(&rig->cache, SWM_STR("T/1")));
	send_completed(&rig->world, "1", "TWO", "c");
	rig_drain(rig);
	assert_null(swm_cache_find(&rig->cache, SWM_STR("T/1")));
	send_event(&rig->world, "TaskCompleted", "T", "1", "TWO", "c", "late");
	rig_drain(rig);
	assert_int_equal(counter(rig, "events_recorded"), 5);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(publishes_what_is_committed_then_acks),
		TEST(marks_ride_along_with_the_next_commit),
		TEST(marks_of_a_failed_commit_go_into_the_next),
		TEST(folds_events_of_one_instance_into_one_item),
		TEST(equal_events_of_a_batch_count_once),
		TEST(the_same_id_in_two_instances_is_two_events),
		TEST(a_redelivered_event_changes_nothing),
		TEST(a_conflict_is_computed_again),
		TEST(a_lost_answer_that_was_applied_is_not_repeated),
		TEST(a_lost_answer_that_was_not_applied_is_repeated),
		TEST(marks_in_doubt_are_kept),
		TEST(a_store_that_is_away_holds_everything),
		TEST(a_busy_store_keeps_its_session),
		TEST(events_too_large_together_are_taken_one_by_one),
		TEST(parks_what_is_no_event),
		TEST(parks_a_redelivered_message_once),
		TEST(is_not_acked_before_it_is_parked),
		TEST(puts_off_an_event_without_an_instance),
		TEST(an_event_behind_its_start_in_the_batch_counts),
		TEST(a_refusal_in_latin_1_can_be_quoted),
		TEST(a_start_task_nobody_takes_becomes_a_task_failed),
		TEST(a_refusal_in_other_words_is_another_message),
		TEST(a_refusal_that_may_heal_is_put_off),
		TEST(a_message_in_doubt_keeps_its_row),
		TEST(a_lost_publisher_is_opened_again),
		TEST(does_not_publish_at_the_end_of_a_lease),
		TEST(publishes_in_slices_beside_a_duty),
		TEST(does_not_slice_without_a_duty),
		TEST(does_not_insist_on_an_adapter_that_gives_up),
		TEST(timers_are_owed_and_cancelled),
		TEST(a_late_timer_of_ours_is_not_recorded),
		TEST(a_trace_goes_on_to_what_it_caused),
		TEST(an_unreadable_instance_parks_its_events),
		TEST(an_instance_of_a_newer_release_waits),
		TEST(a_template_applied_since_is_taken_within_a_second),
		TEST(the_cache_saves_the_template_and_the_body),
		TEST(a_finished_instance_leaves_the_cache),
	};
	return cmocka_run_group_tests_name("engine.batch", tests, NULL, NULL);
}
