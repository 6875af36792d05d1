/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_TEMPLATE_H
#define SWM_DOMAIN_TEMPLATE_H

/*
 * A workflow's template, checked and compiled: stages in order, tasks by position
 * with their parents and children, and the part of each StartTask that never
 * changes already written as text. A compiled template is immutable and holds no
 * jansson value, so that any number of threads may read it.
 *
 * Tasks are numbered over the whole template, stage after stage, in the order of
 * the document within a stage; this number is the task's place in an instance's
 * body, for ever.
 */

#include "arena.h"
#include "swm_limits.h"

#include <swm/types.h>

enum swm_task_type {
	SWM_TASK_SERVICE,
	SWM_TASK_HUMAN
};

struct swm_task {
	struct swm_str name;
	struct swm_str queue;           /* absent: a HUMAN task that just waits */
	struct swm_str business_status; /* absent: leaves the instance's as it is */
	struct swm_str assigned_to;     /* absent: nobody in particular */
	struct swm_str fragment;        /* the StartTask from ,"component_name" up to `data` */
	const uint16_t *parents;
	const uint16_t *children;
	uint16_t parent_count;
	uint16_t child_count;
	uint16_t stage; /* position of its stage */
	enum swm_task_type type;
	uint32_t max_attempts; /* 1: no retry */
	int64_t backoff_ms;
	int64_t max_backoff_ms;
	int64_t timeout_ms; /* 0: none */
};

struct swm_stage {
	struct swm_str name;
	double order; /* as in the document */
	uint16_t first_task;
	uint16_t task_count; /* may be 0 */
};

struct swm_template {
	struct swm_str id; /* component ':' version */
	struct swm_str component;
	struct swm_str workflow;
	int64_t version; /* 0: not yet one */
	const struct swm_stage *stages;
	const struct swm_task *tasks;
	uint16_t stage_count;
	uint16_t task_count;
	struct swm_arena arena; /* holds all of the above, and this */
};

/* One mistake in a template, or one thing worth a second look. */
struct swm_finding {
	char pointer[160]; /* JSON pointer, cut with "..." when longer */
	int32_t line;      /* from 1; 0: unknown */
	bool warning;      /* true: allowed, but probably not meant */
	char message[300];
};

struct swm_findings {
	struct swm_finding *items;
	size_t count;
	size_t errors; /* of count */
};

void swm_findings_finish(struct swm_findings *findings);

/*
 * Reads and checks a template's text. Says *all* that is wrong in `findings`,
 * which the caller finishes in any case (at most SWM_FINDINGS_MAX are kept).
 * With `out`, and no errors, compiles it as the given version; the caller
 * destroys *out. SWM_E_INVALID: there are errors; SWM_E_NOMEM.
 */
#define SWM_FINDINGS_MAX 200
swm_status swm_template_read(struct swm_str text, int64_t version, struct swm_template **out,
	struct swm_findings *findings);

/* NULL is allowed. */
void swm_template_destroy(struct swm_template *template);

/* Both texts are JSON of the same value: applying the one over the other makes no
 * new version. SWM_E_INVALID when one cannot be read; SWM_E_NOMEM. */
swm_status swm_template_same(struct swm_str a, struct swm_str b, bool *same);

/* The position, or -1. */
int32_t swm_template_stage(const struct swm_template *template, struct swm_str name);
int32_t swm_template_task(
	const struct swm_template *template, int32_t stage, struct swm_str name);

#endif
