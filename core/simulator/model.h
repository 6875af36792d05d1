/* SPDX-License-Identifier: MIT */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

/*
 * The reference model: what a workflow does, written a second time, from the pages of
 * the documentation, as short as it gets. It reads a template's JSON and the events
 * of one instance, in their order, and knows nothing of the domain (tests/arch): what
 * both say is hardly a mistake of one.
 *
 * Concurrency: belongs to one thread.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_model_status {
	SIM_MODEL_PENDING,
	SIM_MODEL_SCHEDULED,
	SIM_MODEL_COMPLETED,
	SIM_MODEL_FAILED
};

enum sim_model_outcome {
	SIM_MODEL_APPLIED = 1,
	SIM_MODEL_DUPLICATE = 2,
	SIM_MODEL_IGNORED = 3,
	SIM_MODEL_REJECTED = 4
};

/* What a step makes an instance owe. */
enum sim_model_kind {
	SIM_MODEL_START_TASK = 1, /* to the task's queue, at once */
	SIM_MODEL_TIME_OUT = 2,   /* a TaskTimedOut for this attempt, after `timeout` */
	SIM_MODEL_RETRY = 3       /* a TaskPending for this attempt, after a backoff */
};

struct sim_model_task {
	const char *name;
	const char *queue; /* NULL: nothing is sent */
	const char *stage;
	double order; /* of its stage */
	json_t *object;
	enum sim_model_status status;
	bool retry_owed;
	uint32_t attempt;
	uint32_t base; /* attempts before the retry budget last began */
	uint32_t resends;
};

struct sim_model_listener;

/* An instance. Strings are the template's. */
struct sim_model {
	json_t *template;
	double stage; /* the order of the active one; HUGE_VAL: COMPLETED, -HUGE_VAL: not begun */
	const char *business_status; /* NULL: none yet */
	json_t *data;
	struct sim_model_task *tasks; /* in the order of the template's text */
	size_t task_count;
	const struct sim_model_listener *listener; /* of the step under way; NULL: none */
};

/* Told what a step makes the instance owe, while data and attempt are those to send. */
struct sim_model_listener {
	void *ctx;
	void (*owed)(void *ctx, const struct sim_model *model, size_t task,
		enum sim_model_kind kind);
};

/* Nothing has happened yet. `template` is one that lint accepts; a reference is kept. */
struct sim_model *sim_model_create(json_t *template);
void sim_model_destroy(struct sim_model *model); /* NULL is allowed */

/* One more event; `listener` may be NULL. */
enum sim_model_outcome sim_model_step(struct sim_model *model, const json_t *event,
	const struct sim_model_listener *listener);

/* The position of a task; task_count: there is none. */
size_t sim_model_find(const struct sim_model *model, const char *stage, const char *task);

/* The number that the event gives as its attempt; 0: none. */
uint32_t sim_model_attempt(const json_t *event);

/* Whether the instance waits for a timer of the task's current attempt. */
bool sim_model_awaits(const struct sim_model *model, size_t task, enum sim_model_kind kind);

/* How long after its cause the timer comes; of a retry up to a quarter less. */
double sim_model_delay_ms(const struct sim_model *model, size_t task, enum sim_model_kind kind);

/* A task has failed and nothing of ours will lift it. */
bool sim_model_is_failed(const struct sim_model *model);

#endif
