/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_LOAD_H
#define SWM_BENCH_LOAD_H

/*
 * The engine under load: the real engine over the real plugins, in this process, with
 * an agent thread that answers every StartTask of the pizza template at once.
 */

#include "count.h"
#include "pair.h"
#include "world.h"

#include "engine.h"
#include "env.h"

#include <pthread.h>
#include <stdatomic.h>

/* StartWorkflow and five tasks. */
#define EVENTS_PER_INSTANCE 6
#define TASKS_PER_INSTANCE 5

struct load {
	struct world world;
	struct swm_env env;
	struct swm_engine *engine;
	struct swm_publisher *starter;
	pthread_t agent;
	_Atomic bool stopping;
	_Atomic bool ready;
	int64_t started; /* instances so far */
};

/* Writes a configuration into the folder, applies the template, starts agent and
 * engine and waits until both hear their queues. Ends the program on failure. */
void load_open(struct load *load, const struct pair *pair, const char *folder,
	const char *template_file);
void load_close(struct load *load);

/* Publishes `count` StartWorkflow messages. */
void load_start(struct load *load, int64_t count);

/* Waits until all that was started is COMPLETED. */
void load_wait(struct load *load);

/* A counter of the engine's. */
int64_t load_counter(const struct load *load, const char *name);

#endif
