/* SPDX-License-Identifier: MIT */

/*
 * See item.h. The instance is changed where it is cached; what the events ask for
 * collects in the round's arena, until all of it is one struct swm_commit.
 */

#include "item.h"

#include "error.h"
#include "json_out.h"
#include "message.h"
#include "text.h"

#include <string.h>

/* Most bodies fit; a larger one is written twice. */
#define BODY_FIRST_BYTES 512

static struct swm_templates_source source_of(const struct swm_workshop *workshop)
{
	return (struct swm_templates_source){workshop->link->ops, workshop->link->session};
}

void swm_item_forget(const struct swm_workshop *workshop, struct swm_item *item)
{
	if (item->cached) {
		swm_cache_drop(workshop->cache, item->cached);
		item->cached = NULL;
	}
	item->changed = false;
}

/* It is to be parked, for the reason in *err. */
static swm_status give_up(
	const struct swm_workshop *workshop, struct swm_inbound *inbound, struct swm_error *err)
{
	char reason[SWM_ERROR_MESSAGE_MAX];
	memcpy(reason, err->message, sizeof(reason));
	return swm_inbound_give_up(inbound, workshop->lasting, swm_str_from(reason), err);
}

static swm_status give_up_all(
	const struct swm_workshop *workshop, struct swm_item *item, struct swm_error *err)
{
	for (struct swm_inbound *at = item->first; at; at = at->next) {
		swm_status status =
			at->state == SWM_INBOUND_OPEN ? give_up(workshop, at, err) : SWM_OK;
		if (status != SWM_OK) {
			return status;
		}
	}
	return SWM_OK;
}

/* Reads the instance that the store has, unless the cached one is the same. */
static swm_status open_instance(const struct swm_workshop *workshop, struct swm_item *item,
	const struct swm_instance_row *row, struct swm_error *err)
{
	if (item->cached && item->cached->version == row->version &&
		item->cached->created_ms == row->created_ms) {
		return SWM_OK;
	}
	swm_item_forget(workshop, item);
	if (!row->body.ptr) {
		return swm_error_set(err, SWM_E_INTERNAL,
			"the store left out the body of %.*s, which is not known here",
			SWM_FMT(row->id));
	}

	struct swm_templates_source source = source_of(workshop);
	const struct swm_compiled *compiled = NULL;
	struct swm_instance *instance = NULL;
	struct swm_error problem = {0};
	swm_status status = swm_templates_get(
		workshop->shared->templates, &source, row->template_id, &compiled, err);
	if (status == SWM_E_NOT_FOUND) {
		(void)swm_error_set(err, status,
			"the instance's template %.*s is not in the store",
			SWM_FMT(row->template_id));
		return give_up_all(workshop, item, err);
	}
	if (status == SWM_OK) {
		status = swm_instance_read(compiled->template, row->body, &instance, &problem);
		if (status != SWM_OK) {
			(void)swm_error_set(err, status, "instance %.*s: %s", SWM_FMT(row->id),
				problem.message);
		}
	}
	if (status == SWM_E_CORRUPT && problem.message[0] != '\0') {
		return give_up_all(workshop, item, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	item->cached = swm_cache_add(
		workshop->cache, item->node.key, instance, row->version, row->created_ms);
	return item->cached ? SWM_OK : swm_error_set(err, SWM_E_NOMEM, "out of memory");
}

static swm_status find_template(const struct swm_workshop *workshop,
	const struct swm_event *event, const struct swm_compiled **out, struct swm_error *err)
{
	struct swm_templates_source source = source_of(workshop);
	struct swm_templates *templates = workshop->shared->templates;
	if (event->template_version == 0) {
		return swm_templates_newest(templates, &source, event->component, out, err);
	}
	char text[SWM_TEMPLATE_ID_MAX + 1];
	struct swm_str id =
		swm_template_id_write(event->component, event->template_version, text);
	swm_status status = swm_templates_get(templates, &source, id, out, err);
	if (status == SWM_E_NOT_FOUND) {
		return swm_error_set(err, status, "no template %s", text);
	}
	return status;
}

/* A StartWorkflow without an instance. *started is false when its template does not
 * exist, and it has been given up. */
static swm_status start_instance(const struct swm_workshop *workshop, struct swm_item *item,
	struct swm_inbound *inbound, bool *started, struct swm_error *err)
{
	const struct swm_compiled *compiled = NULL;
	*started = false;
	swm_status status = find_template(workshop, &inbound->event, &compiled, err);
	if (status == SWM_E_NOT_FOUND) {
		return give_up(workshop, inbound, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	struct swm_instance *instance = swm_instance_create(compiled->template);
	if (instance) {
		item->cached = swm_cache_add(
			workshop->cache, item->node.key, instance, 0, workshop->at_ms);
	}
	if (!item->cached) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	*started = true;
	return SWM_OK;
}

static size_t count_start_tasks(const struct swm_effects *effects)
{
	size_t count = 0;
	for (size_t i = 0; i < effects->owed_count; i++) {
		count += effects->owed[i].kind == SWM_MESSAGE_START_TASK;
	}
	return count;
}

/* The StartTasks from `before` on were caused by this event: they carry its
 * traceparent. False: out of memory. */
static bool trace(const struct swm_workshop *workshop, struct swm_item *item,
	const struct swm_inbound *inbound, size_t before)
{
	const struct swm_delivery *delivery = inbound->delivery;
	struct swm_header header = {
		.name = SWM_STR(SWM_HEADER_TRACEPARENT),
		.value = swm_header_find(delivery->headers, delivery->header_count,
			SWM_STR(SWM_HEADER_TRACEPARENT)),
	};
	size_t count = count_start_tasks(&item->effects);
	if (!header.value.ptr || count == before) {
		return true;
	}
	struct swm_header *traces = swm_arena_take(workshop->round, count * sizeof(*traces));
	if (!traces) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		traces[i] = i >= before             ? header
			    : i < item->trace_count ? item->traces[i]
						    : (struct swm_header){0};
	}
	item->traces = traces;
	item->trace_count = count;
	return true;
}

static void record(const struct swm_workshop *workshop, struct swm_item *item,
	const struct swm_inbound *inbound, const struct swm_verdict *verdict)
{
	const struct swm_event *event = &inbound->event;
	bool applied = verdict->outcome == SWM_APPLIED;
	item->records[item->record_count] = (struct swm_event_row){
		.id = swm_id_str(&inbound->key),
		.source_id = inbound->raw_id,
		.name = swm_event_name(event->kind),
		.stage = event->stage,
		.task = event->task,
		.reason = applied ? event->reason : verdict->reason,
		.actor = event->actor,
		.body = inbound->delivery->body,
		.sequence = item->cached->instance->sequence,
		.at_ms = workshop->at_ms,
		.attempt = event->attempt,
		.outcome = (uint32_t)verdict->outcome,
		.rules = SWM_RULES,
	};
	item->record_count++;
}

/* An event and an instance that is there. */
static swm_status move_instance(const struct swm_workshop *workshop, struct swm_item *item,
	struct swm_inbound *inbound, struct swm_error *err)
{
	struct swm_verdict verdict;
	struct swm_step step = {
		.event = &inbound->event,
		.raw_id = inbound->raw_id,
		.at_ms = workshop->at_ms,
		.options = &workshop->shared->config->payload,
	};
	size_t before = count_start_tasks(&item->effects);
	item->changed = true;
	swm_status status =
		swm_transition(item->cached->instance, &step, &item->effects, &verdict);
	if (status != SWM_OK || !trace(workshop, item, inbound, before)) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	if (verdict.outcome == SWM_UNRECORDED) {
		inbound->fate = SWM_FATE_PASSED;
		return SWM_OK;
	}
	if (item->cached->version == 0 && item->record_count == 0 &&
		verdict.outcome != SWM_APPLIED) {
		/* A StartWorkflow that makes no instance leaves no log to stand in. */
		swm_item_forget(workshop, item);
		return swm_inbound_give_up(inbound, workshop->lasting, verdict.reason, err);
	}
	record(workshop, item, inbound, &verdict);
	inbound->fate = SWM_FATE_RECORDED;
	return SWM_OK;
}

static swm_status apply_event(const struct swm_workshop *workshop, struct swm_item *item,
	struct swm_inbound *inbound, struct swm_error *err)
{
	if (!item->cached) {
		if (inbound->event.kind != SWM_EVENT_START_WORKFLOW) {
			uint32_t count = swm_deferral_count(inbound->delivery);
			inbound->fate = count < SWM_DEFERRALS_MAX ? SWM_FATE_DEFERRED
								  : SWM_FATE_NO_INSTANCE;
			return SWM_OK;
		}
		bool started;
		swm_status status = start_instance(workshop, item, inbound, &started, err);
		if (status != SWM_OK || !started) {
			return status;
		}
	}
	return move_instance(workshop, item, inbound, err);
}

swm_status swm_item_apply(const struct swm_workshop *workshop, struct swm_item *item,
	const struct swm_load *load, struct swm_error *err)
{
	swm_status status = SWM_OK;
	swm_effects_init(&item->effects, workshop->round);
	item->records =
		swm_arena_take(workshop->round, item->event_count * sizeof(*item->records));
	if (!item->records) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}

	if (load->instance) {
		status = open_instance(workshop, item, load->instance, err);
	} else {
		swm_item_forget(workshop, item);
	}
	size_t index = 0;
	for (struct swm_inbound *at = item->first; at && status == SWM_OK; at = at->next) {
		if (load->seen[index]) {
			swm_env_count(workshop->shared->env, "events_seen", 1);
			at->state = SWM_INBOUND_DONE;
		} else if (at->state == SWM_INBOUND_OPEN) {
			status = apply_event(workshop, item, at, err);
		}
		index++;
	}
	if (status == SWM_E_UNSUPPORTED) {
		/* Met before anything was recorded: its events just wait. */
		item->trouble = status;
		swm_item_forget(workshop, item);
		status = SWM_OK;
	}
	return status;
}

static bool write_body(const struct swm_workshop *workshop, const struct swm_instance *instance,
	struct swm_str *out)
{
	struct swm_json_out json = {.len = BODY_FIRST_BYTES};
	do {
		size_t cap = json.len;
		char *buf = swm_arena_take(workshop->round, cap);
		if (!buf) {
			return false;
		}
		swm_json_out_init(&json, buf, cap);
		swm_instance_write(instance, &json);
	} while (!swm_json_out_fits(&json));
	*out = (struct swm_str){json.buf, json.len};
	return true;
}

static bool write_outbox(const struct swm_workshop *workshop, const struct swm_item *item,
	struct swm_commit *out)
{
	const struct swm_effects *effects = &item->effects;
	struct swm_outbox_row *rows =
		swm_arena_take(workshop->round, effects->owed_count * sizeof(*rows));
	if (!rows) {
		return false;
	}
	size_t start_tasks = 0;
	for (size_t i = 0; i < effects->owed_count; i++) {
		const struct swm_owed *owed = &effects->owed[i];
		rows[i] = (struct swm_outbox_row){
			.id = swm_id_str(&owed->id),
			.instance_id = item->node.key,
			.destination = owed->destination.ptr ? owed->destination
							     : workshop->shared->own_queue,
			.key = item->node.key,
			.body = owed->body,
			.delay_ms = owed->delay_ms,
			.state = SWM_OUTBOX_PENDING,
			.attempt = owed->attempt,
			.kind = (uint32_t)owed->kind,
		};
		if (owed->kind == SWM_MESSAGE_START_TASK) {
			if (start_tasks < item->trace_count &&
				item->traces[start_tasks].name.ptr) {
				rows[i].headers = &item->traces[start_tasks];
				rows[i].header_count = 1;
			}
			start_tasks++;
		}
	}
	out->outbox = rows;
	out->outbox_count = effects->owed_count;
	return true;
}

static bool write_cancelled(const struct swm_workshop *workshop, const struct swm_item *item,
	struct swm_commit *out)
{
	const struct swm_effects *effects = &item->effects;
	struct swm_str *ids =
		swm_arena_take(workshop->round, effects->cancelled_count * sizeof(*ids));
	if (!ids) {
		return false;
	}
	for (size_t i = 0; i < effects->cancelled_count; i++) {
		ids[i] = swm_id_str(&effects->cancelled[i]);
	}
	out->cancel = ids;
	out->cancel_count = effects->cancelled_count;
	return true;
}

bool swm_item_commit(const struct swm_workshop *workshop, const struct swm_item *item,
	struct swm_commit *out)
{
	const struct swm_instance *instance = item->cached->instance;
	const struct swm_template *template = instance->template;
	*out = (struct swm_commit){
		.next =
			{
				.id = item->node.key,
				.workflow = template->workflow,
				.component = template->component,
				.business_ref = item->first->event.business_ref,
				.template_id = template->id,
				.stage = swm_instance_stage(instance),
				.business_status = swm_instance_business_status(instance),
				.version = item->cached->version + 1,
				.sequence = instance->sequence,
				.created_ms = item->cached->created_ms,
				.updated_ms = workshop->at_ms,
				.status = (int32_t)swm_instance_status(instance),
			},
		.expected_version = item->cached->version,
		.events = item->records,
		.event_count = item->record_count,
	};
	return write_body(workshop, instance, &out->next.body) &&
	       write_outbox(workshop, item, out) && write_cancelled(workshop, item, out);
}
