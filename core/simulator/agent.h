/* SPDX-License-Identifier: MIT */
#ifndef SIM_AGENT_H
#define SIM_AGENT_H

/*
 * Everybody in a simulated world who is not an orchestrator: who starts workflows, the
 * services that answer StartTasks, the people who do HUMAN tasks and interfere, and
 * strangers who send what nobody can use. In the storm they do as the drawn faults say;
 * in the calm every one of them does their work.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "model.h"
#include "world.h"

struct sim_agents;

/* Templates and the number of instances are fixed by now. Instance i runs by template
 * i % template count. */
struct sim_agents *sim_agents_create(struct sim_world *world);
void sim_agents_destroy(struct sim_agents *agents); /* NULL is allowed */

/* Sends the StartWorkflows, and what overtakes them. */
void sim_agents_begin(struct sim_agents *agents);

/* A message has reached a task's queue, be it the first copy or not. */
void sim_agents_got(struct sim_agents *agents, const struct swm_message *message);

/* An instance has moved: who watches it may act. */
void sim_agents_saw(
	struct sim_agents *agents, struct swm_str instance_id, const struct sim_model *model);

/* A hash of all that they do depends on from now on. */
uint64_t sim_agents_hash(const struct sim_agents *agents);

/* The storm is over: what is unanswered is answered. */
void sim_agents_calm(struct sim_agents *agents);

#endif
