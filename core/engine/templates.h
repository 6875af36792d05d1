/* SPDX-License-Identifier: MIT */
#ifndef SWM_ENGINE_TEMPLATES_H
#define SWM_ENGINE_TEMPLATES_H

/*
 * Templates, read from the store and compiled once. A version never changes, so a
 * compiled one is kept for ever; which version is the newest is asked again after a
 * second, so that an applied template is in force everywhere that soon.
 *
 * Concurrency: shared by all threads; a mutex guards the tables, never a call of the
 * store. Compiled templates are immutable.
 */

#include "env.h"

#include "template.h"

#include <swm/store.h>

struct swm_templates;

/* Through whose session to read what is not there yet. */
struct swm_templates_source {
	const struct swm_store_ops *ops;
	struct swm_session *session;
};

struct swm_compiled {
	const struct swm_template *template;
	struct swm_str text; /* as it was applied; absent unless keep_text */
};

/* SWM_E_NOMEM, SWM_E_INTERNAL. */
swm_status swm_templates_create(const struct swm_env *env, bool keep_text,
	struct swm_templates **out, struct swm_error *err);

/* NULL is allowed. Whoever holds one of its templates must be gone. */
void swm_templates_destroy(struct swm_templates *templates);

/*
 * The template with this id. *out stays good until destroy.
 * SWM_E_NOT_FOUND; SWM_E_UNSUPPORTED: it is there, but this release cannot compile it;
 * else a status of the store's.
 */
swm_status swm_templates_get(struct swm_templates *templates,
	const struct swm_templates_source *source, struct swm_str id,
	const struct swm_compiled **out, struct swm_error *err);

/* The newest of a component. Statuses as above. */
swm_status swm_templates_newest(struct swm_templates *templates,
	const struct swm_templates_source *source, struct swm_str component,
	const struct swm_compiled **out, struct swm_error *err);

/* The id of a version: component ':' version. `out` has room for
 * SWM_TEMPLATE_ID_MAX + 1 bytes. */
#define SWM_TEMPLATE_ID_MAX (SWM_NAME_MAX + 21)
struct swm_str swm_template_id_write(struct swm_str component, int64_t version, char *out);

#endif
