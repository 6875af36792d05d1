/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_DOMAIN_SUPPORT_H
#define SWM_TESTS_DOMAIN_SUPPORT_H

/*
 * What the domain's tests share: cmocka in its order of headers, texts as bytes,
 * and a walk, that is an instance which events are sent to one by one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "document.h"
#include "duration.h"
#include "event.h"
#include "fold.h"
#include "hash.h"
#include "instance.h"
#include "json_out.h"
#include "json_read.h"
#include "payload.h"
#include "swm_limits.h"
#include "template.h"
#include "text.h"
#include "transition.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define WALK_BODY_MAX 65536
#define WALK_START_MS INT64_C(1561718741000)

/* A repeatable source of noise (xorshift64*); the seed is not 0. */
uint64_t noise_next(uint64_t *state);

struct swm_str str(const char *text);
void assert_str(struct swm_str actual, const char *expected);

/* The whole file as terminated text, from malloc. */
char *file_read(const char *path);

struct walk {
	struct swm_template *template;
	struct swm_instance *instance;
	struct swm_arena arena;
	struct swm_effects effects; /* of the last event */
	struct swm_verdict verdict; /* of the last event */
	struct swm_payload_options options;
	int64_t at_ms; /* of the last event; the next one is a second later */
	unsigned sent;
	char body[WALK_BODY_MAX];
};

/* A fresh instance of (the template's component, "R-1"), not started. */
void walk_init(struct walk *walk, const char *template_text);
void walk_finish(struct walk *walk);

/* The message for the walk's instance: a StartWorkflow without stage and task,
 * `attempt` 0 leaves it out, `more` is members with a comma before them, or NULL. */
void walk_message(char *out, size_t cap, const char *event, const char *stage, const char *task,
	unsigned attempt, const char *more);

/* Applies the bytes under the raw id (NULL: a new one) and says the outcome. */
enum swm_outcome walk_apply(struct walk *walk, const char *message, const char *raw_id);

/* walk_message and walk_apply. */
enum swm_outcome walk_send(struct walk *walk, const char *event, const char *stage,
	const char *task, unsigned attempt, const char *more);

/* The instance's body, in the walk. */
const char *walk_body(struct walk *walk);

/* The state of a task by its names. */
const struct swm_task_state *walk_task(
	const struct walk *walk, const char *stage, const char *task);

/* The id of the message that the attempt of the task has. */
struct swm_id walk_id(const struct walk *walk, const char *stage, const char *task,
	unsigned attempt, enum swm_message_kind kind);

/* How many messages of the kind the last event owes. */
size_t walk_owed(const struct walk *walk, enum swm_message_kind kind);

#endif
