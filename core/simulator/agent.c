/* SPDX-License-Identifier: MIT */

/*
 * See agent.h.
 */

#include "agent.h"

#include "book.h"
#include "json_out.h"
#include "json_read.h"
#include "must.h"
#include "swm_limits.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REF_BYTES 40
#define ID_BYTES 80
#define HEADERS_MAX 12

/* Longer than any retry of a template that is made up. */
#define PATIENCE_MS 100000

/* A StartTask that has come, or a HUMAN task that nobody sends. */
struct job {
	uint32_t instance;
	json_t *start; /* the body of the StartTask, or the same names; only looked at */
	char *message_id;
	struct swm_str key;
};

/* What is known of a task of an instance. */
struct watched {
	uint32_t begun;  /* the last attempt that a person has begun */
	uint32_t lifted; /* the last attempt that was seen FAILED and looked after */
};

struct customer {
	char ref[REF_BYTES];
	const char *component;
	char id[SWM_INSTANCE_ID_MAX + 1];
	const struct sim_model *model; /* NULL: nothing seen of it */
	struct watched *tasks;
};

struct sim_agents {
	struct sim_world *world;
	struct sim_choice *choice;
	json_t *templates[SIM_TEMPLATES_MAX];
	size_t template_count;
	struct customer *customers;
	uint32_t customer_count;
	struct job *jobs;
	size_t job_count;
	size_t job_cap;
	uint32_t sent; /* makes ids different */
	bool undeliverable;
};

/* Sending. */

/* How a message says who it is. */
enum identity {
	IN_BODY,
	IN_HEADER,
	OF_BROKER,
	NOWHERE
};

struct letter {
	json_t *body; /* owned */
	enum identity identity;
	const char *id; /* unless NOWHERE */
	const struct swm_header *headers;
	size_t header_count;
};

static void set(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value);
}

static void send_text(struct sim_agents *agents, struct swm_str body,
	const struct letter *letter, int64_t delay_ms)
{
	struct swm_header headers[HEADERS_MAX];
	size_t count = letter->header_count < HEADERS_MAX - 1 ? letter->header_count : 0;
	if (count > 0) {
		memcpy(headers, letter->headers, count * sizeof(*headers));
	}
	if (letter->identity == IN_HEADER) {
		headers[count++] =
			(struct swm_header){SWM_STR("swm-event-id"), swm_str_from(letter->id)};
	}
	const struct swm_message message = {
		.destination = SWM_STR(SIM_WORKFLOW_QUEUE),
		.id = swm_str_from(letter->identity == OF_BROKER ? letter->id : NULL),
		.body = body,
		.headers = headers,
		.header_count = count,
	};
	sim_world_send(agents->world, &message, delay_ms);
}

/* Sends it, and maybe once more as it is; the body is used up. */
static void send_letter(struct sim_agents *agents, struct letter *letter, int64_t delay_ms)
{
	if (letter->identity == IN_BODY) {
		set(letter->body, "event_id", json_string(letter->id));
	}
	size_t len = 0;
	char *bytes = swm_json_text(letter->body, &len);
	struct swm_str text = {bytes, len};
	send_text(agents, text, letter, delay_ms);
	if (sim_world_happens(agents->world, SIM_FAULT_AGENT_TWICE, 4)) {
		static const int64_t later_ms[] = {0, 30, 2000, 15000};
		uint32_t which = sim_choose(agents->choice, "agent: second time", 4);
		send_text(agents, text, letter, delay_ms + later_ms[which]);
	}
	free(bytes);
	json_decref(letter->body);
}

/* A new id, made of what it is for. */
static enum identity new_identity(
	struct sim_agents *agents, const char *what, char id[ID_BYTES])
{
	(void)snprintf(id, ID_BYTES, "%s-%u", what, agents->sent++);
	if (sim_world_happens(agents->world, SIM_FAULT_AGENT_ANONYMOUS, 4)) {
		return NOWHERE;
	}
	return (enum identity)sim_choose(agents->choice, "agent: where the id is", 3);
}

static json_t *make_event(const struct customer *customer, const char *name, const char *stage,
	const char *task, uint32_t attempt)
{
	json_t *body = json_object();
	set(body, "business_ref_no", json_string(customer->ref));
	set(body, "component_name", json_string(customer->component));
	set(body, "event_name", json_string(name));
	if (stage) {
		set(body, "stage_name", json_string(stage));
		set(body, "task_name", json_string(task));
	}
	if (attempt > 0) {
		set(body, "attempt", json_integer(attempt));
	}
	return body;
}

static void send_event(struct sim_agents *agents, json_t *body, int64_t delay_ms)
{
	char id[ID_BYTES];
	struct letter letter = {.body = body, .id = id};
	letter.identity = new_identity(agents, "event", id);
	send_letter(agents, &letter, delay_ms);
}

/* Starting. */

static void start(struct sim_agents *agents, const struct customer *customer, int64_t delay_ms)
{
	json_t *body = make_event(customer, "StartWorkflow", NULL, NULL, 0);
	switch (sim_choose(agents->choice, "agent: data of the start", 3)) {
	case 1:
		set(body, "data", json_pack("{s:s,s:f}", "size", "large", "price", 19.99));
		break;
	case 2:
		set(body, "template_version", json_integer(1));
		break;
	default:
		break;
	}
	send_event(agents, body, delay_ms);
}

/* Any task of the template, by its text. */
static const json_t *any_task(
	struct sim_agents *agents, uint32_t instance, const char **stage_name)
{
	const json_t *stages =
		json_object_get(agents->templates[instance % agents->template_count], "stages");
	uint32_t at =
		sim_choose(agents->choice, "agent: stage", (uint32_t)json_array_size(stages));
	const json_t *stage = json_array_get(stages, at);
	const json_t *tasks = json_object_get(stage, "tasks");
	*stage_name = json_string_value(json_object_get(stage, "stage_name"));
	size_t count = json_array_size(tasks);
	return count == 0 ? NULL
			  : json_array_get(tasks,
				    sim_choose(agents->choice, "agent: task", (uint32_t)count));
}

/* Something about any task, at any time: nobody but a person would. */
static void interfere(struct sim_agents *agents, uint32_t instance, int64_t delay_ms)
{
	static const char *const names[] = {
		"TaskPending", "TaskCompleted", "TaskFailed", "TaskTimedOut", "StartWorkflow"};
	const struct customer *customer = &agents->customers[instance];
	const char *name = names[sim_choose(agents->choice, "agent: interferes", 5)];
	const char *stage = NULL;
	const json_t *task = any_task(agents, instance, &stage);
	const char *task_name = json_string_value(json_object_get(task, "task_name"));
	uint32_t attempt = sim_choose(agents->choice, "agent: attempt", 4);
	if (strcmp(name, "StartWorkflow") == 0) {
		start(agents, customer, delay_ms);
	} else {
		send_event(agents,
			make_event(customer, name, stage, task ? task_name : "no such task",
				attempt),
			delay_ms);
	}
}

static void poison(struct sim_agents *agents, const struct customer *customer)
{
	static const char *const texts[] = {
		"{",
		"",
		"[]",
		"\xff\xfe{}",
		"{\"event_name\":\"TaskCompleted\"}",
		"null",
		("{\"event_name\":\"StartWorkflow\",\"component_name\":\"NOBODY\","
		 "\"business_ref_no\":\"1\"}"),
	};
	uint32_t kind = sim_choose(agents->choice, "agent: poison", 12);
	int64_t delay_ms = (int64_t)sim_choose(agents->choice, "agent: poison delay", 3) * 700;
	char id[ID_BYTES];
	struct letter letter = {.id = id};
	letter.identity = new_identity(agents, "poison", id);
	if (sim_choose(agents->choice, "agent: an id of others", 3) == 1) {
		(void)snprintf(id, sizeof(id), "poison");
	}
	if (kind < sizeof(texts) / sizeof(texts[0])) {
		if (letter.identity == IN_BODY) {
			letter.identity = OF_BROKER;
		}
		send_text(agents, swm_str_from(texts[kind]), &letter, delay_ms);
		return;
	}
	letter.body = make_event(customer, "TaskCompleted", "S0", "t0", 0);
	switch (kind) {
	case 7:
		set(letter.body, "event_name", json_string("TaskExploded"));
		break;
	case 8:
		set(letter.body, "attempt", json_string("first"));
		break;
	case 9:
		set(letter.body, "event_name", json_string("StartWorkflow"));
		set(letter.body, "template_version", json_integer(77));
		break;
	case 10:
		(void)json_object_del(letter.body, "task_name");
		break;
	default: /* an instance that never will be */
		set(letter.body, "business_ref_no", json_string("GHOST"));
		break;
	}
	send_letter(agents, &letter, delay_ms);
}

void sim_agents_begin(struct sim_agents *agents)
{
	static const int64_t delays_ms[] = {0, 20, 400, 3000};
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		const struct customer *customer = &agents->customers[i];
		int64_t delay_ms = delays_ms[sim_choose(agents->choice, "agent: start", 4)];
		if (sim_world_happens(agents->world, SIM_FAULT_AGENT_OVERTAKES, 2)) {
			const char *stage = NULL;
			const json_t *task = any_task(agents, i, &stage);
			if (task) {
				send_event(agents,
					make_event(customer, "TaskCompleted", stage,
						json_string_value(
							json_object_get(task, "task_name")),
						sim_choose(
							agents->choice, "agent: attempt", 2)),
					delay_ms);
				delay_ms += delay_ms + 100;
			}
		}
		start(agents, customer, delay_ms);
		while (sim_world_happens(agents->world, SIM_FAULT_POISON, 2)) {
			poison(agents, customer);
		}
	}
}

/* Answering. */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool is_calm(const struct sim_agents *agents)
{
	return sim_world_is_calm(agents->world);
}

static json_t *make_answer(struct sim_agents *agents, const struct job *job, const char *name)
{
	const char *task = text_of(job->start, "task_name");
	uint32_t attempt = sim_model_attempt(job->start);
	if (attempt > 1 && sim_world_happens(agents->world, SIM_FAULT_AGENT_STALE, 3)) {
		attempt--;
	}
	json_t *body = make_event(&agents->customers[job->instance], name,
		text_of(job->start, "stage_name"), task, attempt);
	if (sim_choose(agents->choice, "agent: data of the answer", 4) == 1) {
		json_t *data = json_object();
		set(data, task, json_integer(attempt));
		set(data, "last", json_string(task));
		set(body, "data", data);
	}
	if (sim_world_happens(agents->world, SIM_FAULT_AGENT_FOREIGN, 3)) {
		set(body, "foreign", json_pack("{s:[i,f]}", "values", 1, 0.5));
		set(body, "reason", json_string("who knows \xe2\x80\xa6"));
		set(body, "actor", json_string("agent 7"));
	}
	return body;
}

/* One answer to a job, in one of the ways that answers are written. */
static void answer_once(
	struct sim_agents *agents, const struct job *job, const char *name, int64_t delay_ms)
{
	char id[ID_BYTES];
	struct letter letter = {.id = id};
	if (job->message_id && sim_world_happens(agents->world, SIM_FAULT_AGENT_COPIES, 3)) {
		const struct swm_header headers[] = {
			{SWM_STR("swm-message-id"), swm_str_from(job->message_id)},
			{SWM_STR("ce-type"), SWM_STR("swm.StartTask")},
		};
		letter.body = json_deep_copy(job->start);
		set(letter.body, "event_name", json_string(name));
		letter.identity = OF_BROKER;
		letter.id = job->message_id;
		letter.headers = headers;
		letter.header_count = sizeof(headers) / sizeof(headers[0]);
		send_letter(agents, &letter, delay_ms);
		return;
	}
	letter.body = make_answer(agents, job, name);
	letter.identity = new_identity(agents, "answer", id);
	if (sim_world_is_small(agents->world)) {
		/* Which of two tasks was answered first does not show. */
		(void)snprintf(id, sizeof(id), "answer-%s-%" PRIu32,
			text_of(job->start, "task_name"), sim_model_attempt(job->start));
	}
	if (letter.identity == NOWHERE) {
		(void)json_object_del(letter.body, "attempt");
	}
	send_letter(agents, &letter, delay_ms);
}

/* Something about an attempt that is over, from somebody who does not know that it is. */
static void dig_up(struct sim_agents *agents, const struct job *job)
{
	static const char *const names[] = {
		"TaskTimedOut", "TaskPending", "TaskFailed", "TaskCompleted"};
	static const int64_t delays_ms[] = {0, 20, 400};
	uint32_t attempt = sim_model_attempt(job->start);
	if (attempt > 1 && sim_world_happens(agents->world, SIM_FAULT_AGENT_STALE, 2)) {
		const char *name = names[sim_choose(agents->choice, "agent: digs up", 4)];
		uint32_t old = 1 + sim_choose(agents->choice, "agent: which", attempt - 1);
		send_event(agents,
			make_event(&agents->customers[job->instance], name,
				text_of(job->start, "stage_name"),
				text_of(job->start, "task_name"), old),
			delays_ms[sim_choose(agents->choice, "agent: when", 3)]);
	}
}

static void answer(struct sim_agents *agents, const struct job *job)
{
	static const int64_t delays_ms[] = {5, 1, 60, 350};
	static const int64_t late_ms[] = {1500, 8000, 25000, 70000};
	struct sim_world *world = agents->world;
	int64_t delay_ms = delays_ms[sim_choose(agents->choice, "agent: works", 4)];
	if (is_calm(agents)) {
		answer_once(agents, job, "TaskCompleted", delays_ms[1]);
		return;
	}
	dig_up(agents, job);
	if (sim_world_happens(world, SIM_FAULT_AGENT_NEVER, 4)) {
		return;
	}
	if (sim_world_happens(world, SIM_FAULT_AGENT_LATE, 4)) {
		delay_ms = late_ms[sim_choose(agents->choice, "agent: is late", 4)];
	}
	bool fails = sim_world_happens(world, SIM_FAULT_AGENT_FAILS, 3);
	answer_once(agents, job, fails ? "TaskFailed" : "TaskCompleted", delay_ms);
	if (sim_world_happens(world, SIM_FAULT_AGENT_TWICE, 6)) {
		/* Another message about the same job, the other way round maybe. */
		fails = sim_choose(agents->choice, "agent: changes its mind", 2);
		answer_once(agents, job, fails ? "TaskFailed" : "TaskCompleted",
			delay_ms + (int64_t)sim_choose(agents->choice, "agent: again", 3) * 40);
	}
}

static struct customer *find_customer(struct sim_agents *agents, struct swm_str id)
{
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		if (swm_str_equal(swm_str_from(agents->customers[i].id), id)) {
			return &agents->customers[i];
		}
	}
	return NULL;
}

static struct job *add_job(struct sim_agents *agents)
{
	SIM_MUST_GROW(agents->jobs, agents->job_cap, agents->job_count + 1);
	agents->jobs[agents->job_count] = (struct job){0};
	return &agents->jobs[agents->job_count++];
}

void sim_agents_got(struct sim_agents *agents, const struct swm_message *message)
{
	const struct customer *customer = find_customer(agents, message->key);
	json_t *body = customer ? sim_world_read(agents->world, message->body) : NULL;
	if (!body) {
		return; /* the judge has seen it, too */
	}
	for (size_t i = 0; i < agents->job_count; i++) {
		const struct job *job = &agents->jobs[i];
		if (job->message_id &&
			swm_str_equal(swm_str_from(job->message_id), message->id)) {
			return; /* known by its id: done before */
		}
	}
	struct job *job = add_job(agents);
	job->instance = (uint32_t)(customer - agents->customers);
	job->start = json_incref(body);
	job->message_id = sim_must_copy(message->id);
	answer(agents, job);
}

/* Watching. */

/* Nothing is sent for this task: a person sees it in a list. */
static void begin_by_hand(struct sim_agents *agents, uint32_t instance, size_t at)
{
	const struct customer *customer = &agents->customers[instance];
	const struct sim_model_task *task = &customer->model->tasks[at];
	struct job *job = add_job(agents);
	job->instance = instance;
	job->start = make_event(customer, "StartTask", task->stage, task->name, task->attempt);
	answer(agents, job);
}

/* A task has failed and nothing of ours will lift it: somebody looks into it. */
static void lift(struct sim_agents *agents, uint32_t instance, size_t at)
{
	const struct customer *customer = &agents->customers[instance];
	const struct sim_model_task *task = &customer->model->tasks[at];
	bool done = sim_choose(agents->choice, "agent: has done it", 2);
	send_event(agents,
		make_event(customer, done ? "TaskCompleted" : "TaskPending", task->stage,
			task->name,
			sim_choose(agents->choice, "agent: says which", 2) ? task->attempt : 0),
		10);
}

/* A retry that comes so late that somebody asks for it before. */
static bool will_not_wait(const struct customer *customer, size_t at)
{
	return sim_model_delay_ms(customer->model, at, SIM_MODEL_RETRY) > PATIENCE_MS;
}

static void look_after(struct sim_agents *agents, uint32_t instance, size_t at)
{
	struct customer *customer = &agents->customers[instance];
	const struct sim_model_task *task = &customer->model->tasks[at];
	struct watched *watched = &customer->tasks[at];
	if (task->status == SIM_MODEL_SCHEDULED && !task->queue &&
		watched->begun < task->attempt) {
		watched->begun = task->attempt;
		begin_by_hand(agents, instance, at);
	}
	bool stuck = task->status == SIM_MODEL_FAILED &&
		     (!task->retry_owed || (is_calm(agents) && will_not_wait(customer, at)));
	if (stuck && watched->lifted < task->attempt &&
		(is_calm(agents) || sim_world_happens(agents->world, SIM_FAULT_OPERATOR, 2))) {
		watched->lifted = task->attempt;
		lift(agents, instance, at);
	}
}

void sim_agents_saw(
	struct sim_agents *agents, struct swm_str instance_id, const struct sim_model *model)
{
	struct customer *customer = find_customer(agents, instance_id);
	if (!customer) {
		return;
	}
	if (!customer->model) {
		customer->model = model;
		customer->tasks = sim_must_alloc(model->task_count * sizeof(*customer->tasks));
	}
	uint32_t instance = (uint32_t)(customer - agents->customers);
	for (size_t i = 0; i < model->task_count; i++) {
		look_after(agents, instance, i);
	}
	if (sim_world_happens(agents->world, SIM_FAULT_OPERATOR, 8)) {
		static const int64_t delays_ms[] = {0, 100, 5000};
		interfere(agents, instance,
			delays_ms[sim_choose(agents->choice, "agent: when", 3)]);
	}
}

/* The calm. */

static bool has_job(const struct sim_agents *agents, const struct job *wanted,
	const struct sim_model_task *task)
{
	return wanted->instance < agents->customer_count &&
	       strcmp(text_of(wanted->start, "stage_name"), task->stage) == 0 &&
	       strcmp(text_of(wanted->start, "task_name"), task->name) == 0 &&
	       sim_model_attempt(wanted->start) == task->attempt;
}

/* Does what has been left lying about this task. */
static void catch_up(struct sim_agents *agents, uint32_t instance, size_t at)
{
	const struct customer *customer = &agents->customers[instance];
	const struct sim_model_task *task = &customer->model->tasks[at];
	if (task->status != SIM_MODEL_SCHEDULED) {
		return;
	}
	for (size_t i = 0; i < agents->job_count; i++) {
		if (agents->jobs[i].instance == instance &&
			has_job(agents, &agents->jobs[i], task)) {
			answer(agents, &agents->jobs[i]);
			return;
		}
	}
	if (agents->undeliverable) {
		/* Its StartTask may have been refused, and the news of that as well. */
		send_event(agents,
			make_event(customer, "TaskPending", task->stage, task->name, 0), 10);
	}
}

void sim_agents_calm(struct sim_agents *agents)
{
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		struct customer *customer = &agents->customers[i];
		if (!customer->model) {
			start(agents, customer, 0);
			continue;
		}
		for (size_t at = 0; at < customer->model->task_count; at++) {
			catch_up(agents, i, at);
			customer->tasks[at].lifted = 0;
			look_after(agents, i, at);
		}
	}
}

/* Texts that hang together, and numbers, as one hash. */
static uint64_t mix(uint64_t hash, const char *text, uint64_t number)
{
	char digits[48];
	(void)snprintf(digits, sizeof(digits), "%" PRIx64 " %" PRIx64, hash, number);
	const struct swm_str texts[] = {swm_str_from(digits), swm_str_from(text)};
	return sim_book_hash(texts, sizeof(texts) / sizeof(texts[0]));
}

/* In a small world: what has come, in whatever order. */
uint64_t sim_agents_hash(const struct sim_agents *agents)
{
	uint64_t hash = agents->sent;
	for (size_t i = 0; i < agents->job_count; i++) {
		const struct job *job = &agents->jobs[i];
		uint64_t one = mix(1, text_of(job->start, "stage_name"), job->instance);
		hash += mix(
			one, text_of(job->start, "task_name"), sim_model_attempt(job->start));
	}
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		const struct customer *customer = &agents->customers[i];
		size_t count = customer->model ? customer->model->task_count : 0;
		for (size_t at = 0; at < count; at++) {
			const struct watched *watched = &customer->tasks[at];
			hash = mix(
				hash, NULL, (uint64_t)watched->begun << 32 | watched->lifted);
		}
	}
	return hash;
}

/* Life. */

static void write_escaped(char *out, size_t size, const char *text)
{
	size_t at = 0;
	for (; *text && at + 4 < size; text++) {
		if (*text == '%' || *text == '/') {
			at += (size_t)snprintf(out + at, size - at, "%%%02X", (unsigned)*text);
		} else {
			out[at++] = *text;
		}
	}
	out[at] = '\0';
}

struct sim_agents *sim_agents_create(struct sim_world *world)
{
	struct sim_agents *agents = sim_must_alloc(sizeof(*agents));
	agents->world = world;
	agents->choice = sim_world_choice(world);
	agents->undeliverable = sim_world_may(world, SIM_FAULT_UNDELIVERABLE);
	agents->template_count = sim_world_template_count(world);
	assert(agents->template_count > 0);
	for (size_t i = 0; i < agents->template_count; i++) {
		agents->templates[i] =
			json_incref(sim_world_read(world, sim_world_template(world, i)));
		if (!agents->templates[i]) {
			abort(); /* it was linted */
		}
	}
	agents->customer_count = sim_world_instances(world);
	agents->customers = sim_must_alloc(agents->customer_count * sizeof(*agents->customers));
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		struct customer *customer = &agents->customers[i];
		char component[SWM_INSTANCE_ID_MAX - REF_BYTES];
		customer->component = text_of(
			agents->templates[i % agents->template_count], "component_name");
		(void)snprintf(customer->ref, sizeof(customer->ref), "REF-%u", i);
		write_escaped(component, sizeof(component), customer->component);
		(void)snprintf(
			customer->id, sizeof(customer->id), "%s/%s", component, customer->ref);
	}
	return agents;
}

void sim_agents_destroy(struct sim_agents *agents)
{
	if (!agents) {
		return;
	}
	for (size_t i = 0; i < agents->job_count; i++) {
		json_decref(agents->jobs[i].start);
		free(agents->jobs[i].message_id);
	}
	free(agents->jobs);
	for (uint32_t i = 0; i < agents->customer_count; i++) {
		free(agents->customers[i].tasks);
	}
	free(agents->customers);
	for (size_t i = 0; i < agents->template_count; i++) {
		json_decref(agents->templates[i]);
	}
	free(agents);
}
