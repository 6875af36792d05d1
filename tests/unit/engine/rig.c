/* SPDX-License-Identifier: MIT */

/* See rig.h. */

#include "rig.h"

#include "admin.h"
#include "message.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RIG_BATCH 256

static const char template_t[] =
	"{'workflow_name':'Test','component_name':'T','stages':["
	"{'stage_name':'ONE','stage_order':1,'tasks':["
	"{'task_name':'a','task_queue':'q_a'},"
	"{'task_name':'b','task_queue':'q_b','parent_task':['a']}]},"
	"{'stage_name':'TWO','stage_order':2,'tasks':["
	"{'task_name':'c','task_queue':'q_c','business_status':'DONE'}]}]}";

static const char template_r[] =
	"{'workflow_name':'Retry','component_name':'R','stages':["
	"{'stage_name':'ONE','stage_order':1,'tasks':["
	"{'task_name':'r','task_queue':'q_r','timeout':'30s',"
	"'retry':{'max_attempts':2,'backoff':'1s','max_backoff':'1m'}}]}]}";

void world_put_templates(const struct world *world)
{
	fake_store_put_template(world->store, "T", 1, template_t);
	fake_store_put_template(world->store, "R", 1, template_r);
}

static void check(swm_status status, const struct swm_error *err)
{
	if (status != SWM_OK) {
		fail_msg("status %d: %s", status, err->message);
	}
}

static void configure(struct rig *rig)
{
	const struct world *world = &rig->world;
	rig->queues[0] = (struct swm_engine_queue){"main", &fake_queue_ops, world->queue};
	rig->listen[0] = (struct swm_engine_listen){0, SWM_STR(WORKFLOW_QUEUE), 1};
	rig->config = (struct swm_engine_config){
		.env = fake_host_env(world->host),
		.store_ops = &fake_store_ops,
		.store = world->store,
		.queues = rig->queues,
		.queue_count = 1,
		.listen = rig->listen,
		.listen_count = 1,
		.batch = RIG_BATCH,
		.prefetch = RIG_BATCH,
		.lease_ms = RIG_LEASE_MS,
		.cache_bytes = SWM_ENGINE_CACHE_DEFAULT_BYTES,
		.payload = {.data_max_bytes = SWM_DATA_MAX_BYTES},
		.limits = swm_event_limits_default,
	};
}

static void create_shared(struct rig *rig)
{
	struct swm_shared *shared = &rig->shared;
	const struct swm_env *env = rig->config.env;
	struct swm_error err = {0};
	shared->config = &rig->config;
	shared->env = env;
	shared->own_queue = rig->listen[0].source;
	check(env->mutex_create(env->ctx, &shared->mutex, &err), &err);
	check(env->cond_create(env->ctx, &shared->stop, &err), &err);
	check(swm_state_create(&rig->config, 2, &shared->state, &err), &err);
	check(swm_router_create(&rig->config, &shared->router, &err), &err);
	check(swm_templates_create(env, false, &shared->templates, &err), &err);
	check(swm_dispatcher_create(shared, 1, &shared->dispatcher, &err), &err);
}

struct rig *rig_create_in(const struct world *world)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct swm_error err = {0};
	struct swm_str source = SWM_STR(WORKFLOW_QUEUE);
	assert_non_null(rig);
	rig->world = *world;
	configure(rig);
	create_shared(rig);
	swm_link_init(&rig->link, &rig->shared, 0);
	swm_cache_init(&rig->cache, rig->config.env, rig->config.cache_bytes);
	check(swm_sender_init(&rig->sender, &rig->shared, &err), &err);
	struct swm_batch_args args = {
		.shared = &rig->shared,
		.link = &rig->link,
		.cache = &rig->cache,
		.sender = &rig->sender,
		.marks = &rig->marks,
	};
	check(swm_batch_init(&rig->batch, &args, RIG_BATCH, &err), &err);
	check(fake_queue_ops.consumer_open(
		      world->queue, &source, 1, RIG_BATCH, &rig->consumer, &err),
		&err);
	return rig;
}

struct rig *rig_create(void)
{
	struct world world = {.host = fake_host_create_manual()};
	const struct swm_env *env = fake_host_env(world.host);
	world.store = fake_store_create(env);
	world.queue = fake_queue_create(env);
	world_put_templates(&world);
	struct rig *rig = rig_create_in(&world);
	rig->owns_world = true;
	return rig;
}

void rig_destroy(struct rig *rig)
{
	const struct swm_env *env = rig->config.env;
	struct world world = rig->world;
	bool owns_world = rig->owns_world;
	if (owns_world && !rig->odd) {
		check_folds(&world);
	}
	swm_batch_finish(&rig->batch);
	fake_queue_ops.consumer_close(rig->consumer);
	swm_sender_finish(&rig->sender);
	swm_marks_finish(&rig->marks);
	swm_cache_finish(&rig->cache);
	swm_link_close(&rig->link);
	swm_dispatcher_destroy(rig->shared.dispatcher);
	swm_templates_destroy(rig->shared.templates);
	swm_router_destroy(rig->shared.router);
	swm_state_destroy(rig->shared.state);
	env->cond_destroy(env->ctx, rig->shared.stop);
	env->mutex_destroy(env->ctx, rig->shared.mutex);
	free(rig);
	if (owns_world) {
		fake_queue_ops.close(world.queue);
		fake_store_ops.close(world.store);
		fake_host_destroy(world.host);
	}
}

void send_event(const struct world *world, const char *name, const char *component,
	const char *ref, const char *stage, const char *task, const char *event_id)
{
	char body[512];
	int len = snprintf(body, sizeof(body),
		"{'event_name':'%s','component_name':'%s','business_ref_no':'%s'", name,
		component, ref);
	if (stage) {
		len += snprintf(body + len, sizeof(body) - (size_t)len,
			",'stage_name':'%s','task_name':'%s'", stage, task);
	}
	if (event_id) {
		len += snprintf(
			body + len, sizeof(body) - (size_t)len, ",'event_id':'%s'", event_id);
	}
	(void)snprintf(body + len, sizeof(body) - (size_t)len, "}");
	fake_queue_send(world->queue, WORKFLOW_QUEUE, body, NULL, NULL);
}

void send_start(const struct world *world, const char *ref)
{
	char id[64];
	(void)snprintf(id, sizeof(id), "start-%s", ref);
	send_event(world, "StartWorkflow", "T", ref, NULL, NULL, id);
}

void send_completed(
	const struct world *world, const char *ref, const char *stage, const char *task)
{
	char id[64];
	(void)snprintf(id, sizeof(id), "done-%s-%s", ref, task);
	send_event(world, "TaskCompleted", "T", ref, stage, task, id);
}

size_t rig_receive(struct rig *rig, size_t max)
{
	size_t count = 0;
	struct swm_error err = {0};
	swm_status status = fake_queue_ops.consumer_receive(
		rig->consumer, 0, rig->batch.deliveries, max, &count, &err);
	assert_true(status == SWM_OK || status == SWM_E_TIMEOUT);
	if (status == SWM_OK) {
		swm_batch_begin(&rig->batch, count);
	}
	return status == SWM_OK ? count : 0;
}

swm_status rig_round(struct rig *rig)
{
	rig->err = (struct swm_error){0};
	swm_status status = swm_link_open(&rig->link, &rig->err);
	if (status == SWM_OK) {
		status = swm_batch_round(&rig->batch, &rig->err);
	}
	if (status != SWM_OK && status != SWM_E_CONFLICT && status != SWM_E_UNSUPPORTED &&
		status != SWM_E_NOMEM) {
		(void)swm_link_failed(&rig->link, status, &rig->err);
	}
	return status;
}

size_t rig_settle(struct rig *rig)
{
	struct swm_error err = {0};
	size_t count = swm_batch_collect(&rig->batch);
	if (count > 0) {
		check(fake_queue_ops.consumer_settle(
			      rig->consumer, rig->batch.settlements, count, &err),
			&err);
		swm_batch_settled(&rig->batch);
	}
	size_t open = swm_batch_open(&rig->batch);
	if (open == 0) {
		swm_batch_end(&rig->batch);
	}
	return open;
}

void rig_drain(struct rig *rig)
{
	while (rig_receive(rig, RIG_BATCH) > 0) {
		size_t open = 1;
		for (int rounds = 0; open > 0; rounds++) {
			assert_true(rounds < 1000);
			check(rig_round(rig), &rig->err);
			open = rig_settle(rig);
		}
	}
}

int rig_setup(void **state)
{
	*state = rig_create();
	return 0;
}

int rig_teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

size_t rig_published(const struct rig *rig, const char *destination)
{
	return fake_queue_published_count(rig->world.queue, destination);
}

size_t rig_left_on_queue(const struct rig *rig)
{
	return fake_queue_waiting(rig->world.queue, WORKFLOW_QUEUE) +
	       fake_queue_unsettled(rig->world.queue, WORKFLOW_QUEUE);
}

int64_t counter(const struct rig *rig, const char *metric)
{
	return fake_host_counter(rig->world.host, metric);
}

void check_folds(const struct world *world)
{
	struct swm_admin_args args = {
		.env = fake_host_env(world->host),
		.store_ops = &fake_store_ops,
		.store = world->store,
		.limits = swm_event_limits_default,
	};
	struct swm_admin admin;
	struct swm_error err = {0};
	struct swm_set set = {0};
	struct swm_instance_filter filter = {.size = sizeof(filter)};
	struct swm_page page = {.limit = 1000};
	check(swm_admin_open(&args, &admin, &err), &err);
	check(fake_store_ops.instance_list(admin.session, &filter, &page, &set, &err), &err);
	assert_null(set.next.ptr);
	const struct swm_instance_row *rows = set.items;
	for (size_t i = 0; i < set.count; i++) {
		check(swm_admin_instance_verify(&admin, &rows[i], &err), &err);
	}
	swm_set_release(&set);
	swm_admin_close(&admin);
}

const char *header_of(const struct swm_header *headers, size_t count, const char *name)
{
	static char value[256];
	struct swm_str found = swm_header_find(headers, count, swm_str_from(name));
	if (!found.ptr) {
		return NULL;
	}
	(void)snprintf(value, sizeof(value), "%.*s", SWM_FMT(found));
	return value;
}
