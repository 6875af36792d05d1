/* SPDX-License-Identifier: MIT */

/*
 * See templates.h. Two threads that miss the same template both read and compile it;
 * the one that comes second throws its own away.
 */

#include "templates.h"

#include "error.h"
#include "table.h"
#include "text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long "the newest" may be out of date. */
#define NEWEST_MAX_AGE_US INT64_C(1000000)

struct entry {
	struct swm_table_node node; /* by the template's id */
	struct swm_compiled compiled;
	struct swm_template *owned;
	struct entry *next; /* of all */
	char *text;
};

struct newest {
	struct swm_table_node node; /* by component */
	const struct entry *entry;
	int64_t read_us; /* monotonic; when the store was asked */
	struct newest *next;
	char component[];
};

struct swm_templates {
	const struct swm_env *env;
	struct swm_env_mutex *mutex; /* guards everything below */
	struct swm_table by_id;
	struct swm_table by_component;
	struct entry *entries;
	struct newest *newest;
	bool keep_text;
};

swm_status swm_templates_create(const struct swm_env *env, bool keep_text,
	struct swm_templates **out, struct swm_error *err)
{
	struct swm_templates *templates = calloc(1, sizeof(*templates));
	if (!templates) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	templates->env = env;
	templates->keep_text = keep_text;
	env->random(env->ctx, &templates->by_id.seed, sizeof(templates->by_id.seed));
	templates->by_component.seed = templates->by_id.seed;
	swm_status status = env->mutex_create(env->ctx, &templates->mutex, err);
	if (status != SWM_OK) {
		free(templates);
		return status;
	}
	*out = templates;
	return SWM_OK;
}

static void entry_destroy(struct entry *entry)
{
	if (entry) {
		swm_template_destroy(entry->owned);
		free(entry->text);
		free(entry);
	}
}

void swm_templates_destroy(struct swm_templates *templates)
{
	if (!templates) {
		return;
	}
	while (templates->newest) {
		struct newest *next = templates->newest->next;
		free(templates->newest);
		templates->newest = next;
	}
	while (templates->entries) {
		struct entry *next = templates->entries->next;
		entry_destroy(templates->entries);
		templates->entries = next;
	}
	swm_table_finish(&templates->by_id);
	swm_table_finish(&templates->by_component);
	templates->env->mutex_destroy(templates->env->ctx, templates->mutex);
	free(templates);
}

struct swm_str swm_template_id_write(struct swm_str component, int64_t version, char *out)
{
	int len = snprintf(
		out, SWM_TEMPLATE_ID_MAX + 1, "%.*s:%" PRId64, SWM_FMT(component), version);
	return (struct swm_str){out, (size_t)len};
}

static swm_status compile(const struct swm_templates *templates,
	const struct swm_template_row *row, struct entry **out, struct swm_error *err)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	if (!entry) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	struct swm_findings findings = {0};
	swm_status status =
		swm_template_read(row->body, row->version, &entry->owned, &findings);
	if (status == SWM_E_INVALID) {
		status = swm_error_set(err, SWM_E_UNSUPPORTED,
			"template %.*s is in the store, but this release cannot read it: %s; "
			"run the "
			"release that applied it",
			SWM_FMT(row->id), findings.count > 0 ? findings.items[0].message : "");
	} else if (status != SWM_OK) {
		(void)swm_error_set(
			err, status, "out of memory for template %.*s", SWM_FMT(row->id));
	}
	swm_findings_finish(&findings);
	if (status != SWM_OK) {
		goto error_entry;
	}

	if (templates->keep_text) {
		entry->text = malloc(row->body.len + 1);
		if (!entry->text) {
			status = swm_error_set(err, SWM_E_NOMEM, "out of memory");
			goto error_entry;
		}
		memcpy(entry->text, row->body.ptr, row->body.len);
		entry->compiled.text = (struct swm_str){entry->text, row->body.len};
	}
	entry->compiled.template = entry->owned;
	entry->node.key = entry->owned->id;
	*out = entry;
	return SWM_OK;

error_entry:
	entry_destroy(entry);
	return status;
}

/* With the mutex: the entry, or the same one that another thread has put meanwhile. */
static const struct entry *keep(struct swm_templates *templates, struct entry *entry)
{
	struct swm_table_node *there = swm_table_find(&templates->by_id, entry->node.key);
	if (there) {
		entry_destroy(entry);
		return (const struct entry *)there;
	}
	if (!swm_table_insert(&templates->by_id, &entry->node)) {
		entry_destroy(entry);
		return NULL;
	}
	entry->next = templates->entries;
	templates->entries = entry;
	return entry;
}

static const struct entry *find(struct swm_templates *templates, struct swm_str id)
{
	swm_env_lock(templates->env, templates->mutex);
	const struct entry *entry = (const struct entry *)swm_table_find(&templates->by_id, id);
	swm_env_unlock(templates->env, templates->mutex);
	return entry;
}

/* The entry of a row that the store gave, compiled when it is not there yet. */
static swm_status entry_of(struct swm_templates *templates, const struct swm_template_row *row,
	const struct entry **out, struct swm_error *err)
{
	const struct entry *entry = find(templates, row->id);
	if (!entry) {
		struct entry *made = NULL;
		swm_status status = compile(templates, row, &made, err);
		if (status != SWM_OK) {
			return status;
		}
		assert(made);
		swm_env_lock(templates->env, templates->mutex);
		entry = keep(templates, made);
		swm_env_unlock(templates->env, templates->mutex);
	}
	if (!entry) {
		return swm_error_set(err, SWM_E_NOMEM, "out of memory");
	}
	*out = entry;
	return SWM_OK;
}

swm_status swm_templates_get(struct swm_templates *templates,
	const struct swm_templates_source *source, struct swm_str id,
	const struct swm_compiled **out, struct swm_error *err)
{
	const struct entry *entry = find(templates, id);
	if (!entry) {
		struct swm_set set = {0};
		swm_status status = source->ops->template_get(source->session, id, &set, err);
		if (status != SWM_OK) {
			return status;
		}
		status = entry_of(templates, set.items, &entry, err);
		set.release(&set);
		if (status != SWM_OK) {
			return status;
		}
	}
	*out = &entry->compiled;
	return SWM_OK;
}

/* With the mutex. Out of memory only means that the store is asked again. */
static void remember_newest(struct swm_templates *templates, struct swm_str component,
	const struct entry *entry, int64_t read_us)
{
	struct newest *newest =
		(struct newest *)swm_table_find(&templates->by_component, component);
	if (!newest) {
		newest = malloc(sizeof(*newest) + component.len + 1);
		if (!newest) {
			return;
		}
		memcpy(newest->component, component.ptr, component.len);
		newest->component[component.len] = '\0';
		newest->node.key = (struct swm_str){newest->component, component.len};
		if (!swm_table_insert(&templates->by_component, &newest->node)) {
			free(newest);
			return;
		}
		newest->next = templates->newest;
		templates->newest = newest;
	}
	newest->entry = entry;
	newest->read_us = read_us;
}

swm_status swm_templates_newest(struct swm_templates *templates,
	const struct swm_templates_source *source, struct swm_str component,
	const struct swm_compiled **out, struct swm_error *err)
{
	const struct swm_env *env = templates->env;
	int64_t now_us = env->monotonic_us(env->ctx);
	const struct swm_compiled *known = NULL;
	swm_env_lock(env, templates->mutex);
	const struct newest *newest =
		(const struct newest *)swm_table_find(&templates->by_component, component);
	if (newest && now_us - newest->read_us < NEWEST_MAX_AGE_US) {
		known = &newest->entry->compiled;
	}
	swm_env_unlock(env, templates->mutex);
	if (known) {
		*out = known;
		return SWM_OK;
	}

	struct swm_set set = {0};
	struct swm_page page = {.limit = 1};
	swm_status status =
		source->ops->template_list(source->session, component, &page, &set, err);
	if (status != SWM_OK) {
		return status;
	}
	const struct entry *entry = NULL;
	if (set.count == 0) {
		status = swm_error_set(err, SWM_E_NOT_FOUND,
			"no template with component_name \"%.*s\"; apply one with: swm "
			"template "
			"apply FILE",
			SWM_FMT(component));
	} else {
		status = entry_of(templates, set.items, &entry, err);
	}
	if (set.release) {
		set.release(&set);
	}
	if (status != SWM_OK) {
		return status;
	}
	swm_env_lock(env, templates->mutex);
	remember_newest(templates, component, entry, now_us);
	swm_env_unlock(env, templates->mutex);
	*out = &entry->compiled;
	return SWM_OK;
}
