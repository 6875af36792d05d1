/* SPDX-License-Identifier: MIT */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

/*
 * What the files of the simulator share: the world and its parts, who runs when, and what
 * every call of a port has in common. Those who act in a world see world.h alone.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "coroutine.h"
#include "judge.h"
#include "must.h"
#include "sim_queue.h"
#include "sim_store.h"
#include "world.h"

#include "agent.h"
#include "engine.h"

struct sim_host;

#define SIM_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* Flows: the threads of the orchestrators. */

enum sim_flow_state {
	SIM_FLOW_READY,
	SIM_FLOW_WAITING,
	SIM_FLOW_DONE
};

/* What a thread of an engine still knows of the work that it has done: see recall.c. */
struct sim_recall {
	int64_t version;   /* of the cached instance; 0: none */
	uint64_t marks;    /* a sum over what is sent and not marked; 0: nothing */
	int64_t marked_us; /* virtual: since when the first of them waits */
};

struct sim_flow {
	struct sim_flow *next_ended;
	struct sim_world *world;
	struct sim_host *host;
	struct sim_coroutine *coroutine;
	const char *name; /* a literal */
	void (*run)(void *arg);
	void *arg;
	enum sim_flow_state state;
	const void *waits_for; /* WAITING: what may wake it */
	int64_t until_us;      /* WAITING: virtual; INT64_MAX: no end */
	uint64_t history;      /* of all that its calls have returned, */
	int64_t since_us;      /* virtual: since then */
	int64_t read_us;       /* virtual: when it last read the clock */
	struct sim_recall recall;
};

/* Begins a flow; it runs when its turn comes. */
struct sim_flow *sim_flow_start(
	struct sim_host *host, const char *name, void (*run)(void *arg), void *arg);

/* Lets others run, if the choice falls on one of them. */
void sim_flow_yield(struct sim_world *world);

/* Waits until somebody wakes `what`, `until_us` has come, or the host is dead. The caller
 * looks at its condition again. */
void sim_flow_wait(struct sim_world *world, const void *what, int64_t until_us);
void sim_flow_wake(struct sim_world *world, const void *what);

/* Runs flows until the world is over: by the thread's own coroutine. */
void sim_flow_run_all(struct sim_world *world);

/* Runs the flows of a dead host, and nothing else, until they have ended. */
void sim_flow_bury(struct sim_host *host);

/* What comes at a time of its own. */
struct sim_due {
	int64_t at_us; /* virtual */
	void (*act)(struct sim_world *world, void *arg);
	void *arg;
};
void sim_world_plan(struct sim_world *world, int64_t at_us,
	void (*act)(struct sim_world *world, void *arg), void *arg);

/* Hosts: orchestrators, one process each. */

struct swm_store {
	struct sim_host *host;
};

struct swm_queue {
	struct sim_host *host;
};

struct sim_host {
	struct sim_world *world;
	unsigned index;
	unsigned lives;
	bool running;  /* its flow is there */
	bool planned;  /* it is to start later */
	bool stopping; /* asked to end */
	bool dead;     /* cut off: nothing that it does has an effect any more */
	struct sim_flow *flow;
	uint64_t chance;
	int64_t clock_ms;   /* what its clock is ahead */
	int64_t started_us; /* virtual */
	int64_t stop_us;    /* virtual: when it was asked to stop */
	int64_t stalled_us; /* virtual: it stands still until then */
	struct swm_env env;
	struct swm_host table;
	struct swm_store store;
	struct swm_queue queue;
	struct swm_engine_queue adapter;
	struct swm_engine_listen listen;
	struct swm_engine_config config;
};

void sim_host_init(struct sim_host *host, struct sim_world *world, unsigned index);

/* Starts it now, unless it runs. */
void sim_host_start(struct sim_host *host);

/* Cuts it off and runs its flows to their ends. By one of them or by the world's. */
void sim_host_crash(struct sim_host *host);

/* Fills in env and table (sim_env.c). */
void sim_env_init(struct sim_host *host);

/* Calls of the ports. */

struct sim_call {
	struct sim_host *host;
	const char *name; /* a literal */
	bool crash_after;
	int64_t sleep_after_us;
};

/* Begins a call: others may run, and what can happen to a process at any call may happen
 * to this one. False: it is dead, the call is to fail with SWM_E_UNAVAILABLE and to have no
 * effect. */
bool sim_call_begin(struct sim_call *call, struct sim_host *host, const char *name);

/* Ends it, after its effect; `result` tells its answers apart. False as above. */
bool sim_call_end(struct sim_call *call, uint64_t result);

/* Sets the error and returns the status; for SWM_OK, too, which sets none. */
swm_status sim_fail(swm_status status, struct swm_error *err, const char *what);
#define SIM_CUT(err) sim_fail(SWM_E_UNAVAILABLE, (err), "this orchestrator is dead")

/* What a thread knows, for the hash of a small world; in any other one nothing happens. */

/* It looks for new work: what it did before is over. */
void sim_recall_begin(struct sim_host *host);
void sim_recall_loaded(struct sim_host *host, const struct swm_load *item);
void sim_recall_committed(struct sim_host *host, const struct swm_commit *item);
void sim_recall_published(struct sim_host *host, struct swm_str id);

/* `status`: of the commit that took the marks along. */
void sim_recall_marked(struct sim_host *host, const struct swm_outbox_mark *marks, size_t count,
	swm_status status);
uint64_t sim_recall_hash(const struct sim_flow *flow);

/* The world. */

enum sim_phase {
	SIM_STORM,
	SIM_CALM
};

struct sim_world {
	const struct sim_plan *plan;
	struct sim_choice *choice;
	struct sim_verdict *verdict;
	struct sim_stacks *stacks;
	struct sim_stacks *own_stacks; /* NULL: the plan's are used */
	struct sim_store *store;
	struct sim_queue *queue;
	struct sim_agents *agents;
	struct sim_judge *judge;

	struct sim_host hosts[SIM_ORCHESTRATORS_MAX];
	unsigned host_count;
	char *templates[SIM_TEMPLATES_MAX];
	size_t template_count;
	uint32_t instances;

	/* Drawn for this run. */
	uint64_t faults;
	uint32_t rate;        /* a call fails one time of so many */
	uint32_t crash_rate;  /* likewise */
	uint32_t switch_rate; /* a flow goes on all but one time of so many */
	uint32_t crashes_left;
	uint32_t doubts_left;
	uint32_t copies_left;
	int64_t call_us;
	int64_t calm_us; /* when the storm ends */
	int64_t end_us;  /* when the calm has lasted too long */
	uint64_t steps_max;

	enum sim_phase phase;
	bool over;
	int64_t now_us;
	int64_t noted_us;         /* when something last happened */
	struct sim_flow *current; /* NULL: the thread's own coroutine */
	struct sim_flow **flows;
	size_t flow_count;
	size_t flow_cap;
	struct sim_flow *ended;
	struct sim_host *burying;
	uint64_t burial_steps;
	struct sim_due *dues;
	int64_t due_us; /* of the earliest; INT64_MAX: there is none */
	size_t due_count;
	size_t due_cap;
	size_t line_cap;
	bool acting; /* the world itself, not the current flow */
};

/* Adds to the digest of all that happened. */
void sim_world_note(struct sim_world *world, uint64_t what);
uint64_t sim_hash(uint64_t hash, const void *bytes, size_t size);
uint64_t sim_hash_str(uint64_t hash, struct swm_str text);

/* The judge's answer; anything but NULL ends the run. */
void sim_world_judge(struct sim_world *world, const struct sim_violation *violation);

/* Turns the phase. */
void sim_world_calm_down(struct sim_world *world);

/* When no flow can run: if nothing is under way any more, the storm ends early, or the world
 * does. True: something has changed. */
bool sim_world_rest(struct sim_world *world);

/* For how long an orchestrator has been up that nothing hinders in its work; 0: none. */
int64_t sim_world_fit_ms(const struct sim_world *world);

/* A choice of some lengths of time, from short to long. */
int64_t sim_world_pick_ms(
	struct sim_world *world, const char *what, const int64_t *from_ms, uint32_t count);

/* The store and the broker. */

extern const struct swm_store_ops sim_store_ops;
struct sim_store *sim_store_create(struct sim_world *world);
void sim_store_destroy(struct sim_store *store);
void sim_store_put_template(struct sim_store *store, struct swm_str component, int64_t version,
	struct swm_str id, struct swm_str text);
bool sim_store_owes(const struct sim_store *store); /* PENDING rows */
void sim_store_calm(struct sim_store *store);
void sim_store_jump(struct sim_store *store, int64_t ms);
int64_t sim_store_version(const struct sim_store *store); /* of the only instance; 0: none */
uint64_t sim_store_hash(const struct sim_store *store);

extern const struct swm_queue_ops sim_queue_ops;
struct sim_queue *sim_queue_create(struct sim_world *world);
void sim_queue_destroy(struct sim_queue *queue);
void sim_queue_send(
	struct sim_queue *queue, const struct swm_message *message, int64_t delay_ms);
void sim_queue_crashed(struct sim_queue *queue, const struct sim_host *host);
void sim_queue_calm(struct sim_queue *queue);
int64_t sim_queue_next_us(const struct sim_queue *queue); /* a message reaches an agent */
void sim_queue_deliver(struct sim_queue *queue);          /* those that have */
uint64_t sim_queue_hash(const struct sim_queue *queue);
uint64_t sim_queue_hash_of(const struct sim_queue *queue, const struct sim_host *host);

#endif
