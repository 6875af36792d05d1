/* SPDX-License-Identifier: MIT */

/* Engine, agent and starter of the benchmark. */

#include "load.h"

#include "admin.h"
#include "calls.h"
#include "env_posix.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256
#define TIMEOUT_MS 10000
#define BODY_BYTES 512
#define PATH_BYTES 512

/* An agent waits no longer for its stop. */
#define RECEIVE_MS 200

static const char *const task_queues[TASKS_PER_INSTANCE] = {"confirm_order_queue",
	"make_food_queue", "assign_executive_queue", "confirm_delivery_queue",
	"deliver_food_queue"};

static void apply_template(struct load *load, const char *template_file)
{
	static char text[64 * 1024];
	struct swm_admin admin;
	struct swm_error err = {0};
	struct swm_findings findings = {0};
	struct swm_template_applied applied;
	FILE *file = fopen(template_file, "re");
	if (!file) {
		perror(template_file);
		exit(1);
	}
	size_t len = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	const struct swm_admin_args args = {.env = &load->env,
		.store_ops = load->world.store->ops,
		.store = load->world.store->store,
		.payload = {.data_max_bytes = SWM_DATA_MAX_BYTES},
		.limits = swm_event_limits_default};
	const struct swm_template_apply apply = {.text = {text, len}};
	world_check(swm_admin_open(&args, &admin, &err), &err, "admin");
	world_check(swm_admin_template_apply(&admin, &apply, &applied, &findings, &err), &err,
		"template");
	swm_findings_finish(&findings);
	swm_admin_close(&admin);
}

/* The answer to a StartTask: the same message under another event's name. */
static size_t write_answer(const struct swm_delivery *delivery, char *out)
{
	static const char name[] = "\"StartTask\"";
	static const char answer[] = "\"TaskCompleted\"";
	const char *at = memmem(delivery->body.ptr, delivery->body.len, name, strlen(name));
	if (!at || delivery->body.len + 8 > BODY_BYTES) {
		(void)fprintf(stderr, "not a StartTask of this benchmark\n");
		exit(1);
	}
	size_t before = (size_t)(at - delivery->body.ptr);
	size_t behind = delivery->body.len - before - strlen(name);
	memcpy(out, delivery->body.ptr, before);
	memcpy(out + before, answer, strlen(answer));
	memcpy(out + before + strlen(answer), at + strlen(name), behind);
	return before + strlen(answer) + behind;
}

struct answers {
	struct swm_delivery deliveries[BATCH];
	struct swm_message messages[BATCH];
	struct swm_settlement settlements[BATCH];
	swm_status results[BATCH];
	char bodies[BATCH][BODY_BYTES];
	char ids[BATCH][64];
};

static void answer_all(struct load *load, struct answers *answers, size_t count,
	struct swm_consumer *consumer, struct swm_publisher *publisher)
{
	const struct swm_queue_ops *ops = load->world.queue->ops;
	struct swm_error err = {0};
	for (size_t i = 0; i < count; i++) {
		const struct swm_delivery *delivery = &answers->deliveries[i];
		size_t len = write_answer(delivery, answers->bodies[i]);
		(void)snprintf(answers->ids[i], sizeof(answers->ids[i]), "a-%.*s",
			(int)delivery->id.len, delivery->id.ptr);
		answers->messages[i] =
			(struct swm_message){.destination = world_source(&load->world),
				.id = swm_str_from(answers->ids[i]),
				.key = delivery->key,
				.body = {answers->bodies[i], len}};
		answers->settlements[i] =
			(struct swm_settlement){.token = delivery->token, .action = SWM_ACK};
	}
	world_check(ops->publisher_publish(publisher, answers->messages, count, TIMEOUT_MS,
			    answers->results, &err),
		&err, "answer");
	world_check(ops->consumer_settle(consumer, answers->settlements, count, &err), &err,
		"settle");
}

static void *run_agent(void *arg)
{
	struct load *load = arg;
	const struct swm_queue_ops *ops = load->world.queue->ops;
	struct swm_consumer *consumer = NULL;
	struct swm_publisher *publisher = NULL;
	struct swm_str sources[TASKS_PER_INSTANCE];
	struct swm_error err = {0};
	struct answers *answers = calloc(1, sizeof(*answers));
	if (!answers) {
		abort();
	}
	for (size_t i = 0; i < TASKS_PER_INSTANCE; i++) {
		sources[i] = swm_str_from(task_queues[i]);
	}
	world_check(ops->prepare(load->world.queue->queue, sources, TASKS_PER_INSTANCE, &err),
		&err, "prepare");
	world_check(ops->consumer_open(load->world.queue->queue, sources, TASKS_PER_INSTANCE, 0,
			    &consumer, &err),
		&err, "consumer");
	world_check(ops->publisher_open(load->world.queue->queue, &publisher, &err), &err,
		"publisher");
	while (!atomic_load(&load->stopping)) {
		size_t count = 0;
		swm_status status = ops->consumer_receive(
			consumer, RECEIVE_MS, answers->deliveries, BATCH, &count, &err);
		if (status == SWM_OK) {
			answer_all(load, answers, count, consumer, publisher);
		} else if (status != SWM_E_TIMEOUT && status != SWM_E_INTERRUPTED) {
			world_check(status, &err, "receive");
		}
	}
	ops->consumer_close(consumer);
	ops->publisher_close(publisher);
	free(answers);
	return NULL;
}

static void on_state(void *ctx, const struct swm_engine_state *state)
{
	struct load *load = ctx;
	atomic_store(&load->ready, state->ready);
}

static void pause_us(long us)
{
	const struct timespec time = {.tv_nsec = us * 1000};
	(void)nanosleep(&time, NULL);
}

static void start_engine(struct load *load)
{
	struct swm_error err = {0};
	const struct swm_config *config = load->world.config;
	/* Borrowed for as long as the engine runs. */
	static struct swm_engine_queue queue;
	static struct swm_engine_listen listen;
	queue = (struct swm_engine_queue){.name = load->world.queue->name,
		.ops = load->world.queue->ops,
		.queue = load->world.queue->queue};
	listen = (struct swm_engine_listen){
		.source = world_source(&load->world), .processors = 1};
	const struct swm_engine_config engine = {.env = &load->env,
		.store_ops = calls_count(load->world.store->ops),
		.store = load->world.store->store,
		.queues = &queue,
		.queue_count = 1,
		.listen = &listen,
		.listen_count = 1,
		.batch = (uint32_t)config->workflow.batch,
		.prefetch = (uint32_t)config->workflow.prefetch,
		.lease_ms = config->workflow.lease_ms,
		.cache_bytes = (size_t)config->workflow.cache_bytes,
		.payload = {.data_max_bytes = (size_t)config->limits.data_bytes},
		.limits = swm_event_limits_default,
		.on_state = on_state,
		.on_state_ctx = load};
	world_check(swm_engine_start(&engine, &load->engine, &err), &err, "engine");
	while (!atomic_load(&load->ready)) {
		pause_us(100);
	}
}

void load_open(struct load *load, const struct pair *pair, const char *folder,
	const char *template_file)
{
	char config[PATH_BYTES];
	struct swm_error err = {0};
	*load = (struct load){0};
	(void)snprintf(config, sizeof(config), "%s/swm.json", folder);
	pair_write_config(pair, folder);
	world_open(&load->world, config, SWM_OPEN_ORCHESTRATOR);
	swm_env_posix_init(&load->env, &load->world.services.host);
	world_store(&load->world);
	world_queue(&load->world);
	apply_template(load, template_file);
	world_check(load->world.queue->ops->publisher_open(
			    load->world.queue->queue, &load->starter, &err),
		&err, "publisher");
	if (pthread_create(&load->agent, NULL, run_agent, load) != 0) {
		abort();
	}
	start_engine(load);
}

void load_close(struct load *load)
{
	swm_engine_stop(load->engine);
	atomic_store(&load->stopping, true);
	(void)pthread_join(load->agent, NULL);
	load->world.queue->ops->publisher_close(load->starter);
	world_close(&load->world);
}

void load_start(struct load *load, int64_t count)
{
	char bodies[BATCH][BODY_BYTES];
	char ids[BATCH][64];
	struct swm_message messages[BATCH];
	swm_status results[BATCH];
	struct swm_error err = {0};
	while (count > 0) {
		size_t now = count < BATCH ? (size_t)count : BATCH;
		for (size_t i = 0; i < now; i++) {
			int64_t number = ++load->started;
			(void)snprintf(bodies[i], sizeof(bodies[i]),
				"{\"business_ref_no\": \"ORDER-%09" PRId64
				"\", \"component_name\": \"ITALIAN\", "
				"\"event_name\": \"StartWorkflow\"}",
				number);
			(void)snprintf(ids[i], sizeof(ids[i]), "start-%" PRId64, number);
			messages[i] =
				(struct swm_message){.destination = world_source(&load->world),
					.id = swm_str_from(ids[i]),
					.body = swm_str_from(bodies[i])};
		}
		world_check(load->world.queue->ops->publisher_publish(
				    load->starter, messages, now, TIMEOUT_MS, results, &err),
			&err, "start");
		count -= (int64_t)now;
	}
}

int64_t load_counter(const struct load *load, const char *name)
{
	return swm_metrics_get(&load->world.services.metrics, name);
}

void load_wait(struct load *load)
{
	int64_t expected = load->started * EVENTS_PER_INSTANCE;
	while (load_counter(load, "events_recorded") < expected) {
		pause_us(50);
	}
}
