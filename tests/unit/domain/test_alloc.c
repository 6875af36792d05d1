/* SPDX-License-Identifier: MIT */
/*
 * Out of memory is a status. Each scenario is run with its k-th allocation failing, for
 * k = 1, 2, ... until one run needs fewer, and then with all allocations from the k-th
 * on failing. A failure must be SWM_E_NOMEM, leave the outputs alone and leak nothing;
 * the same call must succeed right after.
 *
 * The linker sends the archive's malloc and its kin here (--wrap); jansson, which is a
 * shared library, gets these through json_set_alloc_funcs(). What is taken from an arena
 * comes here as well: seldom does one have to ask malloc, but any time it may.
 */

#include "support.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);
void *__real_swm_arena_take(struct swm_arena *arena, size_t size);
bool __real_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out);
void *__wrap_swm_arena_take(struct swm_arena *arena, size_t size);
bool __wrap_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out);

static struct {
	unsigned long count;   /* allocations of this run */
	unsigned long fail_at; /* 0: none fails */
	bool all_from;         /* all from fail_at on, not only that one */
	unsigned long failed;
	long live;
} heap;

static bool heap_refuses(void)
{
	heap.count++;
	const bool refuse = heap.fail_at != 0 && (heap.all_from ? heap.count >= heap.fail_at
								: heap.count == heap.fail_at);
	heap.failed += refuse;
	return refuse;
}

void *__wrap_malloc(size_t size)
{
	void *block = heap_refuses() ? NULL : __real_malloc(size);

	heap.live += block != NULL;
	return block;
}

void *__wrap_calloc(size_t count, size_t size)
{
	void *block = heap_refuses() ? NULL : __real_calloc(count, size);

	heap.live += block != NULL;
	return block;
}

void *__wrap_realloc(void *old, size_t size)
{
	void *block = heap_refuses() ? NULL : __real_realloc(old, size);

	heap.live += block != NULL && old == NULL;
	return block;
}

char *__wrap_strdup(const char *text)
{
	const size_t size = strlen(text) + 1;
	char *copy = __wrap_malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void __wrap_free(void *block)
{
	heap.live -= block != NULL;
	__real_free(block);
}

void *__wrap_swm_arena_take(struct swm_arena *arena, size_t size)
{
	return heap_refuses() ? NULL : __real_swm_arena_take(arena, size);
}

bool __wrap_swm_arena_copy(struct swm_arena *arena, struct swm_str text, struct swm_str *out)
{
	return !heap_refuses() && __real_swm_arena_copy(arena, text, out);
}

static const char template_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S1\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"timeout\":\"30s\",\"price\":[0.1,{}],"
	"\"retry\":{\"max_attempts\":5},\"business_status\":\"A\"},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"parent_task\":[\"a\"]},"
	"{\"task_name\":\"c\",\"task_queue\":\"q\",\"parent_task\":[\"a\"]},"
	"{\"task_name\":\"d\",\"task_type\":\"HUMAN\",\"parent_task\":[\"b\",\"c\"]}]}]}";

static const char broken_text[] =
	"{\"workflow_name\":7,\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S1\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"parent_task\":[\"b\"]},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"parent_task\":[\"a\",\"aa\"]},"
	"{\"task_name\":\"b\",\"timeout\":\"x\",\"data\":1}]}]}";

static const char body_text[] =
	"{\"f\":1,\"seq\":7,\"stage\":0,\"bs\":0,\"data\":{\"n\":[0.1,{\"k\":\"v\"}]},"
	"\"tasks\":[[2,2,5],[3,1,6,0,0,0,\"no\"],[1,1,5],[0]]}";

static const char completed_text[] =
	"{\"business_ref_no\":\"R-1\",\"component_name\":\"C\",\"event_name\":"
	"\"TaskCompleted\",\"stage_name\":\"S1\",\"task_name\":\"a\",\"data\":{\"n\":"
	"[1,2,{\"o\":0.1}],\"m\":\"text\"}}";

/* What the scenarios work on; made while nothing fails. */
static struct walk shared;
static char *pizza;
static json_t *value;

static swm_status run_arena(void)
{
	struct swm_arena arena = {0};
	struct swm_str copy = {(const char *)&arena, 1};
	swm_status status = SWM_OK;

	for (size_t size = 1; status == SWM_OK && size < 300000; size *= 3) {
		status = swm_arena_take(&arena, size) != NULL ? SWM_OK : SWM_E_NOMEM;
	}
	if (status == SWM_OK && !swm_arena_copy(&arena, str(template_text), &copy)) {
		status = SWM_E_NOMEM;
		assert_ptr_equal(copy.ptr, &arena);
	}
	swm_arena_finish(&arena);
	return status;
}

static swm_status run_json_read(void)
{
	json_t *out = (json_t *)&heap;
	struct swm_error err = {0};
	const swm_status status = swm_json_read(str(template_text), 4096, &out, &err);

	if (status == SWM_OK) {
		json_decref(out);
	} else {
		assert_ptr_equal(out, &heap);
	}
	return status;
}

/* The bad news must not change its kind because memory is short, unless it says so. */
static swm_status run_json_refused(void)
{
	json_t *out = (json_t *)&heap;
	struct swm_error err = {0};
	const swm_status status =
		swm_json_read(str("{\"a\":[1,{\"b\":9223372036854775808}]}"), 4096, &out, &err);

	assert_ptr_equal(out, &heap);
	assert_int_not_equal(status, SWM_OK);
	return status == SWM_E_INVALID ? SWM_OK : status;
}

static swm_status run_json_text(void)
{
	size_t len = 0;
	char *text = swm_json_text(value, &len);

	if (text == NULL) {
		return SWM_E_NOMEM;
	}
	assert_string_equal(text, completed_text);
	free(text);
	return SWM_OK;
}

static swm_status run_template(void)
{
	struct swm_template *out = (struct swm_template *)&heap;
	struct swm_findings findings;
	const swm_status status = swm_template_read(str(template_text), 1, &out, &findings);

	if (status == SWM_OK) {
		swm_template_destroy(out);
	} else {
		assert_ptr_equal(out, &heap);
	}
	swm_findings_finish(&findings);
	return status;
}

static swm_status run_template_broken(void)
{
	struct swm_findings findings;
	const swm_status status = swm_template_read(str(broken_text), 1, NULL, &findings);

	assert_int_not_equal(status, SWM_OK);
	if (status == SWM_E_INVALID) {
		assert_true(findings.errors >= 6);
	}
	swm_findings_finish(&findings);
	return status == SWM_E_INVALID ? SWM_OK : status;
}

static swm_status run_template_same(void)
{
	bool same = false;
	const swm_status status =
		swm_template_same(str(template_text), str(template_text), &same);

	assert_int_equal(same, status == SWM_OK);
	return status;
}

static swm_status run_event(void)
{
	struct swm_event event;
	struct swm_event before;
	struct swm_error err = {0};

	memset(&event, 0x5a, sizeof(event));
	before = event;
	const swm_status status =
		swm_event_read(str(completed_text), &swm_event_limits_default, &event, &err);
	if (status == SWM_OK) {
		swm_event_finish(&event);
	} else {
		assert_memory_equal(&event, &before, sizeof(event));
	}
	return status;
}

static swm_status run_instance(void)
{
	struct swm_instance *out = (struct swm_instance *)&heap;
	struct swm_error err = {0};
	const swm_status status =
		swm_instance_read(shared.template, str(body_text), &out, &err);

	if (status != SWM_OK) {
		assert_ptr_equal(out, &heap);
		return status;
	}
	struct swm_instance *copy = swm_instance_copy(out);
	swm_instance_destroy(out);
	if (copy == NULL) {
		return SWM_E_NOMEM;
	}
	char body[4096];
	struct swm_json_out json;
	swm_json_out_init(&json, body, sizeof(body));
	swm_instance_write(copy, &json);
	assert_int_equal(json.len, strlen(body_text));
	assert_memory_equal(body, body_text, json.len);
	swm_instance_destroy(copy);
	return SWM_OK;
}

static swm_status run_document(void)
{
	json_t *out = (json_t *)&heap;
	struct swm_error err = {0};
	const swm_status status =
		swm_document(shared.instance, str(template_text), str("R-1"), 5, &out, &err);

	if (status == SWM_OK) {
		json_decref(out);
	} else {
		assert_ptr_equal(out, &heap);
	}
	return status;
}

/* All that moves: a pizza with data, a failure and a retry, from the template's text
 * to the fold. What fails is tried again from the stored body, as the engine does. */
static const char *const pizza_walk[] = {
	"\"event_name\":\"StartWorkflow\",\"data\":{\"price\":19.99,\"tags\":[\"a\",{\"b\":1}]"
	"}",
	"\"event_name\":\"TaskFailed\",\"stage_name\":\"ORDER\",\"task_name\":"
	"\"confirm_order\",\"reason\":\"no dough\"",
	"\"event_name\":\"TaskPending\",\"stage_name\":\"ORDER\",\"task_name\":"
	"\"confirm_order\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"ORDER\",\"task_name\":"
	"\"confirm_order\",\"data\":{\"price\":21.5,\"oven\":null}",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"ORDER\",\"task_name\":"
	"\"confirm_order\"",
	"\"event_name\":\"TaskPending\",\"stage_name\":\"PREPARE\",\"task_name\":"
	"\"make_food\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":\"nobody\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":"
	"\"make_food\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":"
	"\"assign_executive\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"PREPARE\",\"task_name\":"
	"\"confirm_delivery\"",
	"\"event_name\":\"TaskCompleted\",\"stage_name\":\"DELIVER\",\"task_name\":"
	"\"deliver_food\"",
};

#define PIZZA_EVENTS COUNT_OF(pizza_walk)

static char pizza_messages[PIZZA_EVENTS][512];
static char pizza_bodies[PIZZA_EVENTS][2048];
static enum swm_outcome pizza_outcomes[PIZZA_EVENTS];
static size_t pizza_owed[PIZZA_EVENTS];

/* One event on a fresh read of the stored body; the body after it goes to `out`. */
static swm_status pizza_event(const struct swm_template *template, size_t at,
	const char *stored, char *out, size_t cap)
{
	const struct swm_payload_options options = {.data_max_bytes = SWM_DATA_MAX_BYTES};
	struct swm_instance *instance = NULL;
	struct swm_event event = {0};
	struct swm_arena arena = {0};
	struct swm_effects effects;
	struct swm_verdict verdict = {0};
	swm_status status = SWM_OK;

	if (stored == NULL) {
		instance = swm_instance_create(template);
		status = instance != NULL ? SWM_OK : SWM_E_NOMEM;
	} else {
		status = swm_instance_read(template, str(stored), &instance, NULL);
	}
	if (status == SWM_OK) {
		status = swm_event_read(
			str(pizza_messages[at]), &swm_event_limits_default, &event, NULL);
	}
	if (status == SWM_OK) {
		const struct swm_step step = {&event, str("raw"), (int64_t)at + 1, &options};
		swm_effects_init(&effects, &arena);
		status = swm_transition(instance, &step, &effects, &verdict);
	}
	if (status == SWM_OK) {
		struct swm_json_out json;
		swm_json_out_init(&json, out, cap - 1);
		swm_instance_write(instance, &json);
		assert_true(swm_json_out_fits(&json));
		out[json.len] = '\0';
		pizza_outcomes[at] = verdict.outcome;
		pizza_owed[at] = effects.owed_count;
	}
	swm_event_finish(&event);
	swm_instance_destroy(instance);
	swm_arena_finish(&arena);
	return status;
}

static swm_status pizza_fold(const struct swm_template *template)
{
	struct swm_instance *instance = NULL;
	swm_status status = SWM_OK;

	for (size_t at = 0; status == SWM_OK && at < PIZZA_EVENTS; at++) {
		const struct swm_record record = {str("raw"), str(pizza_messages[at]),
			(int64_t)at + 1, (int64_t)at + 1, pizza_outcomes[at], SWM_RULES};
		status = swm_fold(template, &record, &instance, NULL);
		if (status == SWM_OK) {
			char body[2048];
			struct swm_json_out json;
			swm_json_out_init(&json, body, sizeof(body) - 1);
			swm_instance_write(instance, &json);
			body[json.len] = '\0';
			assert_string_equal(body, pizza_bodies[at]);
		}
	}
	swm_instance_destroy(instance);
	return status;
}

static swm_status run_pizza(void)
{
	struct swm_template *template = NULL;
	struct swm_findings findings;
	const char *stored = NULL;
	swm_status failure = SWM_OK;
	swm_status status = swm_template_read(str(pizza), 1, &template, &findings);

	swm_findings_finish(&findings);
	for (size_t at = 0; status == SWM_OK && at < PIZZA_EVENTS; at++) {
		char body[2048];
		status = pizza_event(template, at, stored, body, sizeof(body));
		if (status == SWM_E_NOMEM && !heap.all_from) {
			failure = status; /* lifted: the same event again */
			status = pizza_event(template, at, stored, body, sizeof(body));
		}
		if (status == SWM_OK) {
			assert_string_equal(body, pizza_bodies[at]);
			stored = pizza_bodies[at];
		}
	}
	if (status == SWM_OK) {
		status = pizza_fold(template);
	}
	swm_template_destroy(template);
	return status == SWM_OK ? failure : status;
}

/* Timers owed and cancelled, in commits of their own and in one: more of them than a list
 * has room for at first. */
static const char timers_text[] =
	"{\"workflow_name\":\"W\",\"component_name\":\"C\",\"stages\":["
	"{\"stage_name\":\"S\",\"stage_order\":1,\"tasks\":["
	"{\"task_name\":\"a\",\"task_queue\":\"q\",\"timeout\":\"5s\","
	"\"retry\":{\"max_attempts\":3}},"
	"{\"task_name\":\"b\",\"task_queue\":\"q\",\"timeout\":\"5s\"},"
	"{\"task_name\":\"c\",\"task_queue\":\"q\",\"timeout\":\"5s\"},"
	"{\"task_name\":\"d\",\"task_queue\":\"q\",\"timeout\":\"5s\"},"
	"{\"task_name\":\"e\",\"task_queue\":\"q\",\"timeout\":\"5s\"}]}]}";

static const struct {
	const char *event;
	const char *task;
	size_t cancelled;
} timers_walk[] = {{"StartWorkflow", NULL, 0}, {"TaskFailed", "a", 1}, {"TaskPending", "a", 1},
	{"TaskTimedOut", "a", 1}, {"TaskCompleted", "a", 1}, {"TaskCompleted", "b", 1}};

static swm_status timers_event(
	struct swm_instance *instance, size_t at, struct swm_effects *effects)
{
	const struct swm_payload_options options = {.data_max_bytes = SWM_DATA_MAX_BYTES};
	struct swm_event event = {0};
	struct swm_verdict verdict = {0};
	char message[512];

	walk_message(message, sizeof(message), timers_walk[at].event,
		timers_walk[at].task != NULL ? "S" : NULL, timers_walk[at].task, 0, NULL);
	swm_status status =
		swm_event_read(str(message), &swm_event_limits_default, &event, NULL);
	if (status == SWM_OK) {
		const struct swm_step step = {&event, str("raw"), (int64_t)at + 1, &options};
		status = swm_transition(instance, &step, effects, &verdict);
		if (status == SWM_OK) {
			assert_int_equal(verdict.outcome, SWM_APPLIED);
		}
	}
	swm_event_finish(&event);
	return status;
}

static swm_status run_timers(void)
{
	struct swm_template *template = NULL;
	struct swm_instance *instance = NULL;
	struct swm_findings findings;
	struct swm_arena arena = {0};
	struct swm_effects effects;
	swm_status status = swm_template_read(str(timers_text), 1, &template, &findings);

	swm_findings_finish(&findings);
	if (status == SWM_OK) {
		instance = swm_instance_create(template);
		status = instance != NULL ? SWM_OK : SWM_E_NOMEM;
	}
	for (size_t at = 0; status == SWM_OK && at < COUNT_OF(timers_walk); at++) {
		swm_arena_reset(&arena);
		swm_effects_init(&effects, &arena);
		status = timers_event(instance, at, &effects);
		if (status == SWM_OK) {
			assert_int_equal(effects.cancelled_count, timers_walk[at].cancelled);
		}
	}
	swm_arena_finish(&arena);
	swm_instance_destroy(instance);
	swm_template_destroy(template);
	return status;
}

static swm_status run_json_long(void)
{
	json_t *out = NULL;
	const swm_status status = swm_json_read(
		str("[\"a\\n\\u00e9\",{\"k\\t\":0."
		    "1000000000000000000000000000000000000000000000000000000000000000000000"
		    "1}]"),
		4096, &out, NULL);

	if (status == SWM_OK) {
		assert_string_equal(json_string_value(json_array_get(out, 0)), "a\n\xc3\xa9");
		json_decref(out);
	}
	return status;
}

struct scenario {
	const char *name;
	swm_status (*run)(void);
};

static swm_status run_once(const struct scenario *scenario, unsigned long k, bool all_from)
{
	const long live = heap.live;

	heap.count = 0;
	heap.failed = 0;
	heap.all_from = all_from;
	heap.fail_at = k;
	const swm_status status = scenario->run();
	heap.fail_at = 0;
	if (heap.live != live) {
		fail_msg("%s: %ld blocks leaked when allocation %lu fails", scenario->name,
			heap.live - live, k);
	}
	return status;
}

static void torture(const struct scenario *scenario, bool all_from)
{
	unsigned long k = 1;

	for (;; k++) {
		const swm_status status = run_once(scenario, k, all_from);
		if (heap.failed == 0) {
			assert_int_equal(status, SWM_OK);
			break;
		}
		if (status != SWM_E_NOMEM) {
			fail_msg("%s: status %d when allocation %lu fails", scenario->name,
				(int)status, k);
		}
		assert_int_equal(run_once(scenario, 0, false), SWM_OK);
	}
	assert_true(k > 1);
}

static void test_scenario(void **state)
{
	const struct scenario *scenario = *state;

	assert_int_equal(run_once(scenario, 0, false), SWM_OK);
	torture(scenario, false);
	torture(scenario, true);
}

static int setup(void **state)
{
	const char *stored = NULL;

	(void)state;
	json_set_alloc_funcs(__wrap_malloc, __wrap_free);
	walk_init(&shared, template_text);
	assert_int_equal(
		walk_send(&shared, "StartWorkflow", NULL, NULL, 0, ",\"data\":{\"n\":1}"),
		SWM_APPLIED);
	pizza = file_read(PIZZA);
	value = json_loads(completed_text, 0, NULL);
	assert_non_null(value);
	for (size_t at = 0; at < PIZZA_EVENTS; at++) {
		snprintf(pizza_messages[at], sizeof(pizza_messages[at]),
			"{\"business_ref_no\":\"ORDER-001\",\"component_name\":\"ITALIAN\",%s}",
			pizza_walk[at]);
	}
	struct swm_template *template = NULL;
	struct swm_findings findings;
	assert_int_equal(swm_template_read(str(pizza), 1, &template, &findings), SWM_OK);
	swm_findings_finish(&findings);
	for (size_t at = 0; at < PIZZA_EVENTS; at++) {
		assert_int_equal(pizza_event(template, at, stored, pizza_bodies[at],
					 sizeof(pizza_bodies[at])),
			SWM_OK);
		stored = pizza_bodies[at];
	}
	swm_template_destroy(template);
	assert_non_null(strstr(stored, "\"stage\":4"));
	assert_int_equal(pizza_owed[0], 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	walk_finish(&shared);
	free(pizza);
	json_decref(value);
	assert_int_equal(heap.live, 0);
	return 0;
}

int main(void)
{
	static struct scenario scenarios[] = {
		{"arena", run_arena},
		{"json_read", run_json_read},
		{"json_read of what is refused", run_json_refused},
		{"json_read of escapes and long numbers", run_json_long},
		{"json_text", run_json_text},
		{"template_read", run_template},
		{"template_read of what is broken", run_template_broken},
		{"template_same", run_template_same},
		{"event_read", run_event},
		{"instance_read and _copy", run_instance},
		{"document", run_document},
		{"a pizza walk and its fold", run_pizza},
		{"timers, owed and cancelled", run_timers},
	};
	struct CMUnitTest tests[COUNT_OF(scenarios)];

	for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
		tests[i] = (struct CMUnitTest){
			scenarios[i].name, test_scenario, NULL, NULL, &scenarios[i]};
	}
	return cmocka_run_group_tests_name("alloc", tests, setup, teardown);
}
