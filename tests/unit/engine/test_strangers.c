/* SPDX-License-Identifier: MIT */

/*
 * What comes from outside as it pleases: ids without an end, words that are not UTF-8,
 * headers of somebody else's, rows and templates that no engine of this release has
 * written. Whatever it is, it must not stop what stands behind it.
 */

#include "rig.h"

#include "message.h"
#include "text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct swm_outbox_row *parked(const struct rig *rig)
{
	assert_int_equal(fake_store_outbox_count(rig->world.store, SWM_OUTBOX_DEAD), 1);
	return fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, 0);
}

/* As a store with checked text would take it: UTF-8, one line; and it says so. */
static void assert_reason(struct swm_str reason, const char *says)
{
	char text[SWM_ERROR_MESSAGE_MAX];
	assert_in_range(reason.len, 1, sizeof(text) - 1);
	memcpy(text, reason.ptr, reason.len);
	text[reason.len] = '\0';
	json_t *string = json_string(text);
	if (!string || strchr(text, '\n') || !strstr(text, says)) {
		fail_msg("\"%s\" is to be UTF-8 and to say \"%s\"", text, says);
	}
	json_decref(string);
}

/* A message with headers, which only a publisher can send. */
static void send_with(struct rig *rig, const char *body, const struct swm_header *headers,
	size_t header_count)
{
	struct swm_message message = {
		.destination = SWM_STR(WORKFLOW_QUEUE),
		.body = swm_str_from(body),
		.headers = headers,
		.header_count = header_count,
	};
	struct swm_publisher *publisher = NULL;
	swm_status result = SWM_E_INTERNAL;
	assert_int_equal(fake_queue_ops.publisher_open(rig->world.queue, &publisher, NULL), 0);
	assert_int_equal(
		fake_queue_ops.publisher_publish(publisher, &message, 1, 1, &result, NULL), 0);
	assert_int_equal(result, SWM_OK);
	fake_queue_ops.publisher_close(publisher);
}

#define COMPLETED(ref, task) \
	"{\"event_name\":\"TaskCompleted\",\"component_name\":\"T\",\"business_ref_no\":" \
	"\"" ref "\",\"stage_name\":\"ONE\",\"task_name\":\"" task "\"}"

static void the_reason_for_no_instance_is_cut_at_a_letter(void **state)
{
	struct rig *rig = *state;
	const struct swm_header often = {SWM_STR("swm-deferred"), SWM_STR("6")};
	char body[1024];
	for (size_t shift = 0; shift < 2; shift++) {
		char ref[256] = "x";
		for (size_t i = shift; i + 2 < sizeof(ref); i += 2) {
			memcpy(ref + i, "\xc3\xa9", 3);
		}
		(void)snprintf(body, sizeof(body),
			"{\"event_name\":\"TaskCompleted\",\"component_name\":\"T\","
			"\"business_ref_no\":\"%s\",\"stage_name\":\"S\",\"task_name\":\"t\"}",
			ref);
		send_with(rig, body, &often, 1);
		rig_drain(rig);
		assert_reason(
			fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, shift)->reason,
			"no such instance: T/");
	}
	assert_int_equal(rig_left_on_queue(rig), 0);
}

/* The header that counts deferrals may be anybody's. */
static void a_count_that_is_none_begins_anew(void **state)
{
	struct rig *rig = *state;
	static const char *const counts[] = {"", "-1", "five", "5x", "99999999999999999999"};
	struct swm_delivery delivery = {.header_count = 1};
	(void)rig;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct swm_header header = {
			SWM_STR(SWM_HEADER_DEFERRED), swm_str_from(counts[i])};
		delivery.headers = &header;
		if (i < 4) {
			assert_int_equal(swm_deferral_count(&delivery), 0);
		} else {
			assert_true(swm_deferral_count(&delivery) > SWM_DEFERRALS_MAX);
		}
	}
}

static void a_deferred_message_keeps_the_headers_of_its_sender(void **state)
{
	struct rig *rig = *state;
	const struct swm_header headers[] = {
		{SWM_STR("x-tenant"), SWM_STR("north")},
		{SWM_STR("swm-event-id"), SWM_STR("early")},
		{SWM_STR("swm-deferred"), SWM_STR("2")},
	};
	send_with(rig, COMPLETED("9", "a"), headers, 3);
	rig_drain(rig);
	const struct swm_outbox_row *row =
		fake_store_outbox(rig->world.store, SWM_OUTBOX_PENDING, 0);
	assert_int_equal(row->kind, SWM_ROW_DEFERRED);
	assert_int_equal(row->header_count, 3);
	assert_string_equal(header_of(row->headers, 3, "x-tenant"), "north");
	assert_string_equal(header_of(row->headers, 3, "swm-event-id"), "early");
	assert_string_equal(header_of(row->headers, 3, "swm-deferred"), "3");
	assert_int_equal(row->delay_ms, 4000);
}

static void an_id_without_end_is_parked(void **state)
{
	struct rig *rig = *state;
	static char id[SWM_RAW_ID_MAX + 2];
	memset(id, 'i', sizeof(id) - 1);
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, COMPLETED("1", "a"), NULL, id);
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_reason(parked(rig)->reason, "the id of the event is over its limit");
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

static void fail_put(struct rig *rig, unsigned after, unsigned times, swm_status status)
{
	fake_store_inject(rig->world.store,
		&(struct fake_store_fault){FAKE_OUTBOX_PUT, after, times, status, false});
}

/* A message that the store cannot hold is parked cut, with a reason that is cut, too. */
static void what_is_too_large_to_park_is_cut(void **state)
{
	struct rig *rig = *state;
	static const char name[] = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
	for (size_t shift = 0; shift < 2; shift++) {
		char body[1024] = "{\"event_name\":\"";
		if (shift == 1) {
			(void)strcat(body, "x");
		}
		for (size_t i = 0; i < 9; i++) {
			(void)strcat(body, name);
		}
		(void)strcat(body, "\",\"more\":1}");
		fail_put(rig, 1, 2, SWM_E_TOO_LARGE); /* the batch of one, and the one */
		fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, body, NULL, NULL);
		rig_drain(rig);
		const struct swm_outbox_row *row =
			fake_store_outbox(rig->world.store, SWM_OUTBOX_DEAD, shift);
		assert_reason(row->reason, "cut from ");
		assert_reason(row->reason, "unknown event_name");
		assert_int_equal(row->body.len, strlen(body) / 2);
		assert_memory_equal(row->body.ptr, body, row->body.len);
	}
	assert_int_equal(rig_left_on_queue(rig), 0);
}

/* One of two is too large, and the store goes away over the other. */
static void nothing_is_acked_while_parking_fails(void **state)
{
	struct rig *rig = *state;
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "[1]", NULL, NULL);
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, "[2]", NULL, NULL);
	fail_put(rig, 1, 1, SWM_E_TOO_LARGE);
	fail_put(rig, 3, 1, SWM_E_UNAVAILABLE);
	assert_int_equal(rig_receive(rig, 10), 2);
	assert_int_equal(rig_round(rig), SWM_E_UNAVAILABLE);
	assert_int_equal(rig_settle(rig), 2);
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(fake_store_outbox_count(rig->world.store, SWM_OUTBOX_DEAD), 2);
}

/* An instance as another release, or a person, may have put it into the store. */
static void put_instance(struct rig *rig, const char *template_id, const char *body)
{
	struct swm_event_row event = {
		.id = SWM_STR("odd"), .name = SWM_STR("StartWorkflow"), .sequence = 1};
	struct swm_commit item = {
		.next =
			{
				.id = SWM_STR("T/odd"),
				.component = SWM_STR("T"),
				.business_ref = SWM_STR("odd"),
				.template_id = swm_str_from(template_id),
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

static void an_instance_without_its_template_parks_its_events(void **state)
{
	struct rig *rig = *state;
	put_instance(rig, "T:9", "{\"f\":1,\"seq\":1,\"stage\":0,\"tasks\":[[1,1,5],[0],[0]]}");
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE, COMPLETED("odd", "a"), NULL, "one");
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_reason(parked(rig)->reason, "template T:9 is not in the store");
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(rig_left_on_queue(rig), 0);
}

/* Written by a release that knew more: it waits for that one, and stops nobody. */
static void a_template_of_another_release_waits(void **state)
{
	struct rig *rig = *state;
	fake_store_put_template(rig->world.store, "N", 1,
		"{'workflow_name':'New','component_name':'N','stages':[{'stage_name':'ONE',"
		"'stage_order':1,'tasks':[{'task_name':'a','task_type':'MACHINE'}]}]}");
	send_event(&rig->world, "StartWorkflow", "N", "1", NULL, NULL, "new");
	send_start(&rig->world, "1");
	assert_int_equal(rig_receive(rig, 10), 2);
	assert_int_equal(rig_round(rig), SWM_E_UNSUPPORTED);
	assert_reason(swm_str_from(rig->err.message), "this release cannot read it");
	assert_int_equal(rig_settle(rig), 1);
	assert_int_equal(rig_published(rig, "q_a"), 1);
	assert_int_equal(fake_store_outbox_count(rig->world.store, SWM_OUTBOX_DEAD), 0);
}

/* A store may leave out the bodies that were asked for "unless version"; of what is not
 * in the cache it must not. */
static swm_status load_without_bodies(struct swm_session *session, struct swm_load *loads,
	size_t count, struct swm_set *backing, struct swm_error *err)
{
	static struct swm_instance_row row;
	swm_status status = fake_store_ops.load(session, loads, count, backing, err);
	if (status == SWM_OK && loads[0].instance) {
		row = *loads[0].instance;
		row.body = (struct swm_str){0};
		loads[0].instance = &row;
	}
	return status;
}

static void a_body_left_out_is_a_fault_of_the_store(void **state)
{
	struct rig *rig = *state;
	struct swm_store_ops ops = fake_store_ops;
	ops.load = load_without_bodies;
	send_start(&rig->world, "1");
	rig_drain(rig);
	rig->link.ops = &ops;
	send_completed(&rig->world, "1", "ONE", "a");
	rig_drain(rig); /* the cache has it */
	assert_int_equal(rig_published(rig, "q_b"), 1);
	swm_cache_drop_all(&rig->cache);
	send_completed(&rig->world, "1", "ONE", "b");
	assert_int_equal(rig_receive(rig, 1), 1);
	assert_int_equal(rig_round(rig), SWM_E_INTERNAL);
	assert_reason(swm_str_from(rig->err.message), "the store left out the body of T/1");
	assert_int_equal(rig_settle(rig), 1);
	rig->link.ops = &fake_store_ops;
	assert_int_equal(rig_round(rig), SWM_OK);
	assert_int_equal(rig_settle(rig), 0);
	assert_int_equal(rig_published(rig, "q_c"), 1);
}

static void each_cause_hands_on_its_own_trace(void **state)
{
	struct rig *rig = *state;
	const struct swm_header first = {SWM_STR("traceparent"), SWM_STR("00-1")};
	const struct swm_header second = {SWM_STR("traceparent"), SWM_STR("00-2")};
	send_with(rig,
		"{\"event_name\":\"StartWorkflow\",\"component_name\":\"T\","
		"\"business_ref_no\":\"1\"}",
		&first, 1);
	send_completed(&rig->world, "1", "ONE", "a");
	send_with(rig, COMPLETED("1", "b"), &second, 1);
	send_with(rig, COMPLETED("1", "nobody"), &second, 1); /* causes nothing */
	rig_drain(rig);
	const struct swm_message *a = fake_queue_published(rig->world.queue, "q_a", 0);
	const struct swm_message *b = fake_queue_published(rig->world.queue, "q_b", 0);
	const struct swm_message *c = fake_queue_published(rig->world.queue, "q_c", 0);
	assert_string_equal(header_of(a->headers, a->header_count, "traceparent"), "00-1");
	assert_null(header_of(b->headers, b->header_count, "traceparent"));
	assert_string_equal(header_of(c->headers, c->header_count, "traceparent"), "00-2");
}

/* Between reading and starting the limits may differ; no instance must come of it. */
static void a_start_that_is_rejected_makes_no_instance(void **state)
{
	struct rig *rig = *state;
	rig->config.payload.data_max_bytes = 4;
	fake_queue_send(rig->world.queue, WORKFLOW_QUEUE,
		"{'event_name':'StartWorkflow','component_name':'T','business_ref_no':'1',"
		"'data':{'key':'value'}}",
		NULL, "big");
	rig_drain(rig);
	assert_reason(parked(rig)->reason, "data would be over its limit of 4 bytes");
	assert_null(swm_cache_find(&rig->cache, SWM_STR("T/1")));
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(rig_published(rig, "q_a"), 1);
}

static void a_large_body_is_kept_whole(void **state)
{
	struct rig *rig = *state;
	char body[3000];
	int len = snprintf(body, sizeof(body),
		"{\"event_name\":\"StartWorkflow\",\"component_name\":\"T\","
		"\"business_ref_no\":\"1\",\"data\":{\"text\":\"");
	memset(body + len, 'x', 2000);
	(void)snprintf(body + len + 2000, sizeof(body) - (size_t)len - 2000, "\"}}");
	send_with(rig, body, NULL, 0);
	rig_drain(rig);
	swm_cache_drop_all(&rig->cache);
	send_completed(&rig->world, "1", "ONE", "a");
	rig_drain(rig);
	const struct swm_cached *cached = swm_cache_find(&rig->cache, SWM_STR("T/1"));
	assert_int_equal(cached->instance->data_len, 2000 + strlen("{\"text\":\"\"}"));
}

/* Sends one row of the outbox, as the dispatcher would. */
static void send_row(struct rig *rig, uint32_t kind, const char *destination, const char *body)
{
	const struct swm_outbox_row row = {
		.id = SWM_STR("row-1"),
		.destination = swm_str_from(destination),
		.body = swm_str_from(body),
		.kind = kind,
		.attempt = 1,
	};
	const struct swm_outbox_row *rows[] = {&row};
	struct swm_error err = {0};
	assert_int_equal(swm_link_open(&rig->link, &err), SWM_OK);
	assert_int_equal(swm_sender_send(&rig->sender, &rig->link, rows, 1,
				 swm_env_monotonic_ms(rig->config.env), &rig->marks, &err),
		SWM_OK);
}

/* A timer that our own queue will never take cannot become a TaskFailed. */
static void a_timer_nobody_takes_is_parked(void **state)
{
	struct rig *rig = *state;
	fake_queue_refuse(rig->world.queue, WORKFLOW_QUEUE, SWM_E_TOO_LARGE);
	send_row(rig, SWM_MESSAGE_TASK_TIMED_OUT, WORKFLOW_QUEUE, "{}");
	assert_int_equal(rig->marks.count, 1);
	assert_int_equal(rig->marks.items[0].action, SWM_MARK_DEAD);
	assert_int_equal(fake_host_logged(rig->world.host, "cannot be delivered"), 1);
}

static void a_start_task_that_names_nothing_is_parked(void **state)
{
	static const char *const bodies[] = {"", "no JSON", "[]", "{\"component_name\":\"T\"}",
		"{\"component_name\":\"T\",\"business_ref_no\":\"1\"}",
		"{\"component_name\":\"T\",\"business_ref_no\":\"1\",\"stage_name\":\"ONE\"}"};
	struct rig *rig = *state;
	fake_queue_refuse(rig->world.queue, "q_a", SWM_E_TOO_LARGE);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		send_row(rig, SWM_MESSAGE_START_TASK, "q_a", bodies[i]);
		assert_int_equal(rig->marks.count, i + 1);
		assert_int_equal(rig->marks.items[i].action, SWM_MARK_DEAD);
	}
	assert_int_equal(fake_store_calls(rig->world.store, FAKE_OUTBOX_PUT), 0);
}

/* A client's words, in whatever its server's locale speaks. */
static swm_status publish_in_latin_1(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	(void)publisher, (void)messages, (void)timeout_ms;
	for (size_t i = 0; i < count; i++) {
		results[i] = SWM_E_NOT_FOUND;
	}
	*err = (struct swm_error){
		.status = SWM_E_NOT_FOUND, .message = "Warteschlange\nf\xfcr q_a fehlt"};
	return SWM_OK;
}

static void the_words_of_an_adapter_are_made_text(void **state)
{
	struct rig *rig = *state;
	struct swm_queue_ops ops = fake_queue_ops;
	ops.publisher_publish = publish_in_latin_1;
	rig->queues[0].ops = &ops;
	send_start(&rig->world, "1");
	rig_drain(rig);
	assert_int_equal(rig->marks.count, 1);
	assert_int_equal(rig->marks.items[0].action, SWM_MARK_RETRY);
	assert_reason(rig->marks.items[0].reason, "Warteschlange?f?r q_a fehlt");
	rig->queues[0].ops = &fake_queue_ops;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_reason_for_no_instance_is_cut_at_a_letter),
		TEST(a_count_that_is_none_begins_anew),
		TEST(a_deferred_message_keeps_the_headers_of_its_sender),
		TEST(an_id_without_end_is_parked),
		TEST(what_is_too_large_to_park_is_cut),
		TEST(nothing_is_acked_while_parking_fails),
		TEST(an_instance_without_its_template_parks_its_events),
		TEST(a_template_of_another_release_waits),
		TEST(a_body_left_out_is_a_fault_of_the_store),
		TEST(each_cause_hands_on_its_own_trace),
		TEST(a_start_that_is_rejected_makes_no_instance),
		TEST(a_large_body_is_kept_whole),
		TEST(a_timer_nobody_takes_is_parked),
		TEST(a_start_task_that_names_nothing_is_parked),
		TEST(the_words_of_an_adapter_are_made_text),
	};
	return cmocka_run_group_tests_name("engine.strangers", tests, NULL, NULL);
}
