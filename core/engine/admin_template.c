/* SPDX-License-Identifier: MIT */

/*
 * The part of admin.h about templates.
 */

#include "admin.h"

#include "error.h"
#include "hash.h"
#include "templates.h"
#include "text.h"

#include <assert.h>
#include <string.h>

/* So many others may apply at the same time, each taking the number that we wanted. */
#define APPLY_TRIES 100

swm_status swm_admin_template_get(struct swm_admin *admin, struct swm_str component,
	int64_t version, struct swm_set *out, struct swm_error *err)
{
	struct swm_set set = {0};
	swm_status status;
	if (version > 0 && component.len <= SWM_NAME_MAX) {
		char text[SWM_TEMPLATE_ID_MAX + 1];
		struct swm_str id = swm_template_id_write(component, version, text);
		return admin->store->template_get(admin->session, id, out, err);
	}
	struct swm_page page = {.limit = 1};
	status = admin->store->template_list(admin->session, component, &page, &set, err);
	if (status != SWM_OK) {
		return status;
	}
	if (set.count == 0) {
		swm_set_release(&set);
		return swm_error_set(err, SWM_E_NOT_FOUND,
			"no template with component_name "
			"\"%.*s\"",
			SWM_FMT(component));
	}
	*out = set;
	return SWM_OK;
}

/* The version in force, 0 when there is none, and whether its contents are `text`. */
static swm_status compare_newest(struct swm_admin *admin, struct swm_str component,
	struct swm_str text, int64_t *version, bool *same, struct swm_error *err)
{
	struct swm_set set = {0};
	*version = 0;
	*same = false;
	swm_status status = swm_admin_template_get(admin, component, 0, &set, err);
	if (status == SWM_E_NOT_FOUND) {
		return SWM_OK;
	}
	if (status != SWM_OK) {
		return status;
	}
	const struct swm_template_row *newest = set.items;
	assert(newest);
	*version = newest->version;
	status = swm_template_same(newest->body, text, same);
	swm_set_release(&set);
	if (status == SWM_E_INVALID) {
		/* What is stored cannot be read, and so is something else. */
		return SWM_OK;
	}
	return status == SWM_OK ? status : swm_error_set(err, status, "out of memory");
}

static swm_status put(struct swm_admin *admin, const struct swm_template *template,
	const struct swm_template_apply *apply, int64_t version, struct swm_error *err)
{
	char id[SWM_TEMPLATE_ID_MAX + 1];
	char sha256[65];
	swm_sha256_hex(apply->text, sha256);
	struct swm_template_row row = {
		.id = swm_template_id_write(template->component, version, id),
		.workflow = template->workflow,
		.component = template->component,
		.body = apply->text,
		.author = apply->author,
		.comment = apply->comment,
		.sha256 = {sha256, sizeof(sha256) - 1},
		.version = version,
		.created_ms = swm_env_wall_ms(admin->env),
	};
	return admin->store->template_put(admin->session, &row, err);
}

static swm_status apply_next(struct swm_admin *admin, const struct swm_template *template,
	const struct swm_template_apply *apply, struct swm_template_applied *out,
	struct swm_error *err)
{
	swm_status status = SWM_E_EXISTS;
	for (int tries = 0; tries < APPLY_TRIES && status == SWM_E_EXISTS; tries++) {
		int64_t newest;
		bool same;
		status = compare_newest(
			admin, template->component, apply->text, &newest, &same, err);
		if (status != SWM_OK) {
			return status;
		}
		out->version = same ? newest : newest + 1;
		out->created = !same;
		if (!same) {
			status = put(admin, template, apply, newest + 1, err);
		}
	}
	return status;
}

swm_status swm_admin_template_apply(struct swm_admin *admin,
	const struct swm_template_apply *apply, struct swm_template_applied *out,
	struct swm_findings *findings, struct swm_error *err)
{
	struct swm_template *template = NULL;
	swm_status status = swm_template_read(apply->text, 0, &template, findings);
	if (status == SWM_E_INVALID) {
		return swm_error_set(
			err, status, "the template has %zu errors", findings->errors);
	}
	if (status != SWM_OK) {
		return swm_error_set(err, status, "out of memory");
	}
	struct swm_template_applied applied = {0};
	memcpy(applied.component, template->component.ptr, template->component.len);
	status = apply_next(admin, template, apply, &applied, err);
	swm_template_destroy(template);
	if (status == SWM_OK) {
		*out = applied;
	}
	return status;
}
