/* SPDX-License-Identifier: MIT */

/*
 * See admin.h: the part about instances, parked messages and events. Templates are in
 * admin_template.c.
 */

#include "admin.h"

#include "error.h"
#include "json_out.h"
#include "message.h"
#include "templates.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows asked for at once. */
#define PAGE_ROWS 500

/* How often a wait looks, and every how many looks among the parked ones too. */
#define WAIT_POLL_MS 20
#define WAIT_PARKED_POLLS 10

swm_status swm_admin_open(
	const struct swm_admin_args *args, struct swm_admin *out, struct swm_error *err)
{
	struct swm_admin admin = {
		.env = args->env,
		.store = args->store_ops,
		.payload = args->payload,
		.limits = args->limits,
	};
	swm_status status = swm_templates_create(args->env, true, &admin.templates, err);
	if (status != SWM_OK) {
		return status;
	}
	status = args->store_ops->session_open(args->store, &admin.session, err);
	if (status != SWM_OK) {
		swm_templates_destroy(admin.templates);
		return status;
	}
	*out = admin;
	return SWM_OK;
}

void swm_admin_close(struct swm_admin *admin)
{
	if (!admin) {
		return;
	}
	if (admin->session) {
		admin->store->session_close(admin->session);
	}
	swm_templates_destroy(admin->templates);
	*admin = (struct swm_admin){0};
}

void swm_set_release(struct swm_set *set)
{
	if (set->release) {
		set->release(set);
	}
	*set = (struct swm_set){0};
}

/* Where a listing of many pages stands. */
struct pager {
	struct swm_page page;
	char *after; /* owned: outlives the set that it came from */
};

/* Releases the set and turns the page. SWM_E_NOT_FOUND: it was the last one. */
static swm_status turn_page(struct pager *pager, struct swm_set *set)
{
	char *after = NULL;
	swm_status status = SWM_E_NOT_FOUND;
	if (set->next.ptr) {
		after = malloc(set->next.len + 1);
		status = after ? SWM_OK : SWM_E_NOMEM;
	}
	if (after) {
		memcpy(after, set->next.ptr, set->next.len);
		pager->page.after = (struct swm_str){after, set->next.len};
	}
	free(pager->after);
	pager->after = after;
	swm_set_release(set);
	return status;
}

/* Instances. */

void swm_admin_instance_finish(struct swm_admin_instance *instance)
{
	if (instance) {
		swm_instance_destroy(instance->instance);
		*instance = (struct swm_admin_instance){0};
	}
}

static swm_status find_template(struct swm_admin *admin, struct swm_str id,
	const struct swm_compiled **out, struct swm_error *err)
{
	struct swm_templates_source source = {admin->store, admin->session};
	swm_status status = swm_templates_get(admin->templates, &source, id, out, err);
	if (status == SWM_E_NOT_FOUND) {
		return swm_error_set(err, SWM_E_CORRUPT,
			"the instance's template %.*s is not in the store", SWM_FMT(id));
	}
	return status;
}

swm_status swm_admin_instance_read(struct swm_admin *admin, const struct swm_instance_row *row,
	struct swm_admin_instance *out, struct swm_error *err)
{
	const struct swm_compiled *compiled = NULL;
	struct swm_instance *instance = NULL;
	swm_status status = find_template(admin, row->template_id, &compiled, err);
	if (status == SWM_OK) {
		status = swm_instance_read(compiled->template, row->body, &instance, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	*out = (struct swm_admin_instance){
		.instance = instance,
		.template = compiled->template,
		.template_text = compiled->text,
		.sequence = row->sequence,
		.created_ms = row->created_ms,
		.updated_ms = row->updated_ms,
	};
	return SWM_OK;
}

/* Loads one row; the caller releases the set after success. */
static swm_status load_row(struct swm_admin *admin, struct swm_str id,
	const struct swm_instance_row **row, struct swm_set *backing, struct swm_error *err)
{
	struct swm_load load = {.id = id};
	swm_status status = admin->store->load(admin->session, &load, 1, backing, err);
	if (status != SWM_OK) {
		return status;
	}
	if (!load.instance) {
		swm_set_release(backing);
		return swm_error_set(err, SWM_E_NOT_FOUND, "no instance %.*s", SWM_FMT(id));
	}
	*row = load.instance;
	return SWM_OK;
}

static swm_status instance_id(struct swm_str component, struct swm_str business_ref,
	char out[SWM_INSTANCE_ID_MAX + 1], struct swm_str *id, struct swm_error *err)
{
	size_t len = 0;
	if (!swm_instance_id_write(component, business_ref, out, &len)) {
		return swm_error_set(err, SWM_E_INVALID,
			"component and reference are longer than %d bytes together",
			SWM_INSTANCE_ID_MAX);
	}
	*id = (struct swm_str){out, len};
	return SWM_OK;
}

swm_status swm_admin_instance_get(struct swm_admin *admin, struct swm_str component,
	struct swm_str business_ref, struct swm_admin_instance *out, struct swm_error *err)
{
	char text[SWM_INSTANCE_ID_MAX + 1];
	struct swm_str id = {0};
	struct swm_set backing = {0};
	const struct swm_instance_row *row = NULL;
	swm_status status = instance_id(component, business_ref, text, &id, err);
	if (status == SWM_OK) {
		status = load_row(admin, id, &row, &backing, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	assert(row);
	status = swm_admin_instance_read(admin, row, out, err);
	swm_set_release(&backing);
	return status;
}

/* A log on its way into an instance. */
struct folding {
	const struct swm_template *template;
	struct swm_instance *instance; /* NULL: before the first record */
	int64_t until;                 /* the last sequence wanted */
	int64_t at_ms;                 /* of the last record folded */
};

static swm_status fold_page(
	struct folding *folding, const struct swm_set *set, struct swm_error *err)
{
	const struct swm_event_row *rows = set->items;
	swm_status status = SWM_OK;
	assert(rows || set->count == 0);
	for (size_t i = 0; i < set->count && status == SWM_OK; i++) {
		struct swm_record record = {
			.raw_id = rows[i].source_id,
			.body = rows[i].body,
			.sequence = rows[i].sequence,
			.at_ms = rows[i].at_ms,
			.outcome = (enum swm_outcome)rows[i].outcome,
			.rules = rows[i].rules,
		};
		if (record.sequence > folding->until) {
			break;
		}
		status = swm_fold(folding->template, &record, &folding->instance, err);
		folding->at_ms = record.at_ms;
	}
	return status;
}

static int64_t folded(const struct folding *folding)
{
	return folding->instance ? folding->instance->sequence : 0;
}

/* Folds up to folding->until, or to the end of the log. */
static swm_status fold_log(struct swm_admin *admin, struct swm_str id, struct folding *folding,
	struct swm_error *err)
{
	struct pager pager = {.page.limit = PAGE_ROWS};
	swm_status status = SWM_OK;
	while (status == SWM_OK && folded(folding) < folding->until) {
		struct swm_set set = {0};
		status = admin->store->event_list(admin->session, id, &pager.page, &set, err);
		if (status != SWM_OK) {
			break;
		}
		status = fold_page(folding, &set, err);
		if (status != SWM_OK) {
			swm_set_release(&set);
			break;
		}
		status = turn_page(&pager, &set);
	}
	free(pager.after);
	if (status == SWM_E_NOMEM) {
		return swm_error_set(err, status, "out of memory");
	}
	return status == SWM_E_NOT_FOUND ? SWM_OK : status;
}

swm_status swm_admin_instance_at(struct swm_admin *admin, struct swm_str component,
	struct swm_str business_ref, int64_t sequence, struct swm_admin_instance *out,
	struct swm_error *err)
{
	char text[SWM_INSTANCE_ID_MAX + 1];
	struct swm_str id = {0};
	struct swm_set backing = {0};
	const struct swm_instance_row *row = NULL;
	const struct swm_compiled *compiled = NULL;
	swm_status status = instance_id(component, business_ref, text, &id, err);
	if (status == SWM_OK) {
		status = load_row(admin, id, &row, &backing, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	assert(row);
	status = find_template(admin, row->template_id, &compiled, err);
	int64_t created_ms = row->created_ms;
	swm_set_release(&backing);
	if (status != SWM_OK) {
		return status;
	}

	struct folding folding = {.template = compiled->template, .until = sequence};
	status = fold_log(admin, id, &folding, err);
	if (status == SWM_OK && (sequence < 1 || folded(&folding) < sequence)) {
		status = swm_error_set(err, SWM_E_NOT_FOUND,
			"%s has records 1 to %" PRId64 " only", text, folded(&folding));
	}
	if (status != SWM_OK) {
		swm_instance_destroy(folding.instance);
		return status;
	}
	*out = (struct swm_admin_instance){
		.instance = folding.instance,
		.template = compiled->template,
		.template_text = compiled->text,
		.sequence = sequence,
		.created_ms = created_ms,
		.updated_ms = folding.at_ms,
	};
	return SWM_OK;
}

/* The first thing in which row and fold differ; NULL: nothing. */
static const char *difference(const struct swm_instance_row *row,
	const struct swm_instance *instance, struct swm_str body)
{
	if (!swm_str_equal(row->body, body)) {
		return "body";
	}
	if (row->status != (int32_t)swm_instance_status(instance)) {
		return "status";
	}
	if (!swm_str_equal(row->stage, swm_instance_stage(instance))) {
		return "stage";
	}
	if (!swm_str_equal(row->business_status, swm_instance_business_status(instance))) {
		return "business_status";
	}
	return NULL;
}

static swm_status compare(const struct swm_instance_row *row,
	const struct swm_instance *instance, struct swm_error *err)
{
	struct swm_json_out json;
	swm_json_out_init(&json, NULL, 0);
	swm_instance_write(instance, &json);
	size_t len = json.len;
	char *body = malloc(len);
	if (!body) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	swm_json_out_init(&json, body, len);
	swm_instance_write(instance, &json);
	const char *differs = difference(row, instance, (struct swm_str){body, len});
	free(body);
	if (differs) {
		return swm_error_set(err, SWM_E_CORRUPT,
			"%.*s: the %s that is stored is not what its log of %" PRId64
			" records folds to",
			SWM_FMT(row->id), differs, row->sequence);
	}
	return SWM_OK;
}

swm_status swm_admin_instance_verify(
	struct swm_admin *admin, const struct swm_instance_row *row, struct swm_error *err)
{
	const struct swm_compiled *compiled = NULL;
	swm_status status = find_template(admin, row->template_id, &compiled, err);
	if (status != SWM_OK) {
		return status;
	}
	struct folding folding = {.template = compiled->template, .until = INT64_MAX};
	struct swm_error problem = {0};
	status = fold_log(admin, row->id, &folding, &problem);
	if (status != SWM_OK) {
		(void)swm_error_set(err, status, "%.*s: %s", SWM_FMT(row->id), problem.message);
	} else if (folded(&folding) > row->sequence) {
		status = swm_error_set(err, SWM_E_CONFLICT,
			"%.*s has moved meanwhile; read it again", SWM_FMT(row->id));
	} else if (folded(&folding) < row->sequence || !folding.instance) {
		status = swm_error_set(err, SWM_E_CORRUPT,
			"%.*s: its log has %" PRId64 " records, and should have %" PRId64,
			SWM_FMT(row->id), folded(&folding), row->sequence);
	} else {
		status = compare(row, folding.instance, err);
	}
	swm_instance_destroy(folding.instance);
	return status;
}

/* Parked messages. */

/* What find_parked() looks for: the row with this id, or else with this event id. */
struct parked_query {
	struct swm_str row_id;
	struct swm_str event_id;
};

static bool parked_matches(const struct swm_outbox_row *row, const struct parked_query *query)
{
	if (query->row_id.ptr) {
		return swm_str_equal(row->id, query->row_id);
	}
	struct swm_str event_id =
		swm_header_find(row->headers, row->header_count, SWM_STR(SWM_HEADER_EVENT_ID));
	return event_id.ptr && swm_str_equal(event_id, query->event_id);
}

static const struct swm_outbox_row *match_parked(
	const struct swm_set *set, const struct parked_query *query)
{
	const struct swm_outbox_row *rows = set->items;
	for (size_t i = 0; i < set->count; i++) {
		if (parked_matches(&rows[i], query)) {
			return &rows[i];
		}
	}
	return NULL;
}

static swm_status find_parked(struct swm_admin *admin, const struct parked_query *query,
	struct swm_set *out, const struct swm_outbox_row **row, struct swm_error *err)
{
	struct pager pager = {.page.limit = PAGE_ROWS};
	swm_status status = SWM_OK;
	while (status == SWM_OK) {
		struct swm_set set = {0};
		status =
			admin->store->outbox_list(admin->session, true, &pager.page, &set, err);
		if (status != SWM_OK) {
			break;
		}
		const struct swm_outbox_row *found = match_parked(&set, query);
		if (found) {
			*out = set;
			*row = found;
			break;
		}
		status = turn_page(&pager, &set);
		if (status != SWM_OK) {
			(void)swm_error_set(err, status, "%s %.*s",
				status == SWM_E_NOMEM ? "no memory to find"
						      : "no parked message",
				SWM_FMT(query->row_id));
		}
	}
	free(pager.after);
	return status;
}

swm_status swm_admin_parked_get(struct swm_admin *admin, struct swm_str id, struct swm_set *out,
	const struct swm_outbox_row **row, struct swm_error *err)
{
	struct parked_query query = {.row_id = id};
	return find_parked(admin, &query, out, row, err);
}

/* Events. */

struct waiting {
	struct swm_str instance_id;
	struct swm_str raw_id;
	struct swm_id key;
};

static void copy_reason(struct swm_str reason, struct swm_admin_verdict *out)
{
	size_t len = swm_str_cut(reason, sizeof(out->reason) - 1);
	if (len > 0) {
		memcpy(out->reason, reason.ptr, len);
	}
	out->reason[len] = '\0';
}

static bool read_record(
	const struct swm_set *set, const struct waiting *waiting, struct swm_admin_verdict *out)
{
	const struct swm_event_row *rows = set->items;
	for (size_t i = 0; i < set->count; i++) {
		if (swm_str_equal(rows[i].id, swm_id_str(&waiting->key))) {
			out->outcome = rows[i].outcome;
			out->sequence = rows[i].sequence;
			copy_reason(rows[i].reason, out);
			return true;
		}
	}
	return false;
}

/* Finds the record in the log, where it is known to be. */
static swm_status find_record(struct swm_admin *admin, const struct waiting *waiting,
	struct swm_admin_verdict *out, struct swm_error *err)
{
	struct pager pager = {.page.limit = PAGE_ROWS};
	swm_status status = SWM_OK;
	while (status == SWM_OK) {
		struct swm_set set = {0};
		status = admin->store->event_list(
			admin->session, waiting->instance_id, &pager.page, &set, err);
		if (status != SWM_OK) {
			break;
		}
		if (read_record(&set, waiting, out)) {
			swm_set_release(&set);
			break;
		}
		status = turn_page(&pager, &set);
		if (status == SWM_E_NOMEM) {
			(void)swm_error_set(err, status, "out of memory");
		} else if (status == SWM_E_NOT_FOUND) {
			status = swm_error_set(err, SWM_E_CORRUPT,
				"the store knows the event, but its record is missing");
		}
	}
	free(pager.after);
	return status;
}

/* SWM_E_NOT_FOUND: not yet. */
static swm_status look_in_log(struct swm_admin *admin, const struct waiting *waiting,
	struct swm_admin_verdict *out, struct swm_error *err)
{
	struct swm_str key = swm_id_str(&waiting->key);
	uint8_t seen = 0;
	struct swm_load load = {
		.id = waiting->instance_id,
		.event_ids = &key,
		.seen = &seen,
		.event_count = 1,
	};
	struct swm_set backing = {0};
	swm_status status = admin->store->load(admin->session, &load, 1, &backing, err);
	if (status != SWM_OK) {
		return status;
	}
	swm_set_release(&backing);
	return seen ? find_record(admin, waiting, out, err) : SWM_E_NOT_FOUND;
}

/* SWM_E_NOT_FOUND: not there. */
static swm_status look_among_parked(struct swm_admin *admin, const struct waiting *waiting,
	struct swm_admin_verdict *out, struct swm_error *err)
{
	struct parked_query query = {.event_id = waiting->raw_id};
	struct swm_set set = {0};
	const struct swm_outbox_row *row = NULL;
	swm_status status = find_parked(admin, &query, &set, &row, err);
	if (status == SWM_OK) {
		out->outcome = 0;
		out->sequence = 0;
		copy_reason(row->reason, out);
		swm_set_release(&set);
	}
	return status;
}

static swm_status wait_for(struct swm_admin *admin, const struct waiting *waiting,
	int64_t timeout_ms, struct swm_admin_verdict *out, struct swm_error *err)
{
	const struct swm_env *env = admin->env;
	struct swm_env_mutex *mutex = NULL;
	struct swm_env_cond *cond = NULL;
	int64_t until_ms = swm_env_monotonic_ms(env) + timeout_ms;
	swm_status status = env->mutex_create(env->ctx, &mutex, err);
	if (status == SWM_OK) {
		status = env->cond_create(env->ctx, &cond, err);
	}
	for (unsigned polls = 0; status == SWM_OK; polls++) {
		int64_t left_ms = until_ms - swm_env_monotonic_ms(env);
		status = look_in_log(admin, waiting, out, err);
		if (status == SWM_E_NOT_FOUND &&
			(polls % WAIT_PARKED_POLLS == WAIT_PARKED_POLLS - 1 || left_ms <= 0)) {
			status = look_among_parked(admin, waiting, out, err);
		}
		if (status != SWM_E_NOT_FOUND) {
			break;
		}
		if (left_ms <= 0) {
			status = swm_error_set(err, SWM_E_TIMEOUT, "sent, not yet processed");
			break;
		}
		status = SWM_OK;
		swm_env_lock(env, mutex);
		env->cond_wait(
			env->ctx, cond, mutex, left_ms < WAIT_POLL_MS ? left_ms : WAIT_POLL_MS);
		swm_env_unlock(env, mutex);
	}
	env->cond_destroy(env->ctx, cond);
	env->mutex_destroy(env->ctx, mutex);
	return status;
}

swm_status swm_admin_event_wait(struct swm_admin *admin, struct swm_str body,
	struct swm_str raw_id, int64_t timeout_ms, struct swm_admin_verdict *out,
	struct swm_error *err)
{
	struct swm_event event = {0};
	struct swm_error problem = {0};
	swm_status status = swm_event_read(body, &admin->limits, &event, &problem);
	if (status != SWM_OK) {
		return swm_error_set(err, status == SWM_E_NOMEM ? SWM_E_NOMEM : SWM_E_INVALID,
			"%s", problem.message);
	}
	char text[SWM_INSTANCE_ID_MAX + 1];
	struct waiting waiting = {.raw_id = event.event_id.len > 0 ? event.event_id : raw_id};
	status = instance_id(
		event.component, event.business_ref, text, &waiting.instance_id, err);
	if (status == SWM_OK && waiting.raw_id.len == 0) {
		status = swm_error_set(err, SWM_E_INVALID,
			"an event without an id cannot be waited for; give it an \"event_id\"");
	}
	if (status == SWM_OK) {
		struct swm_admin_verdict verdict = {0};
		swm_event_key(&event, waiting.raw_id, &waiting.key);
		status = wait_for(admin, &waiting, timeout_ms, &verdict, err);
		if (status == SWM_OK) {
			*out = verdict;
		}
	}
	swm_event_finish(&event);
	return status;
}
