/* SPDX-License-Identifier: MIT */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

/*
 * A whole world in one thread: orchestrators (the engine as it ships) over a broker and a
 * store that misbehave on order, agents and people who answer, one clock that jumps from
 * one thing that happens to the next. A world has three phases:
 *
 *   storm   faults happen, of the kinds that this run has drawn
 *   calm    none any more; all orchestrators run, agents answer, until nothing moves
 *   rest    what was promised has to have come about
 *
 * The judge looks at every effect; the first violation ends the run.
 *
 * Concurrency: belongs to one thread. A world has no globals: several may run in several
 * threads.
 */

#include "choice.h"
#include "faults.h"

#include <jansson.h>
#include <swm/queue.h>
#include <swm/store.h>

struct sim_world;
struct sim_store;
struct sim_queue;
struct sim_stacks;

/* The queue that the orchestrators hear, and the first of its kind: all of ours goes to it.
 * No template's task has a queue of this name, one hopes. */
#define SIM_WORKFLOW_QUEUE "(workflow)"

#define SIM_TEMPLATES_MAX 4
#define SIM_ORCHESTRATORS_MAX 4

/* What is to be simulated. All zero bits: everything is drawn, no fault happens. */
struct sim_plan {
	/* Templates as JSON, terminated; none: one or two are made up. Borrowed. */
	const char *templates[SIM_TEMPLATES_MAX];
	size_t template_count;

	uint64_t faults;  /* those that may happen, 1 << enum sim_fault */
	bool all_faults;  /* all of them do; else each run draws some of them */
	bool no_operator; /* nobody but the agents interferes: for the smallest worlds */

	/* 0: drawn. */
	uint32_t orchestrators;
	uint32_t processors; /* of each */
	uint32_t instances;
	uint32_t batch;
	int64_t lease_ms; /* of fresh outbox rows */

	/* Bounds; 0: the usual ones. Over them the world is a livelock. */
	uint64_t steps_max;   /* switches and calls */
	int64_t storm_ms;     /* how long the storm is at most, virtual */
	int64_t calm_ms;      /* how long the calm may take */
	uint32_t crashes_max; /* 0: drawn, where SIM_FAULT_CRASH may happen */
	uint32_t doubts_max;  /* commits in doubt; 0: no bound */
	uint32_t copies_max;  /* messages that come twice; 0: no bound */

	/* The smallest world: calls take no time and nothing is delayed, threads switch only where
	 * one of them may notice another, and who is killed stays away until the calm, in which
	 * nobody asks who runs next. For those who want to see all of the rest. */
	bool small;

	/* For a small world: every switch point, and a hash that takes orchestrators, times and
	 * all that a thread has ever been told for what they are. To check that the other hash
	 * loses nothing. */
	bool unreduced;

	bool trace; /* keep the lines of struct sim_verdict */

	/* May be NULL. Told each line of the trace as it comes about, kept or not. */
	void (*on_line)(void *ctx, const char *line);
	void *on_line_ctx;

	/* May be NULL. Asked before each choice of who runs next, with a hash of all that the
	 * future depends on, and one of the store alone; true: this state is known, end the
	 * run. */
	bool (*prune)(void *ctx, uint64_t hash, uint64_t store);
	void *prune_ctx;

	/* May be NULL: kept from run to run, they save time. See coroutine.h. */
	struct sim_stacks *stacks;
};

/* What a run came to. */
struct sim_figures {
	uint64_t steps;
	int64_t virtual_ms;
	uint64_t deliveries;
	uint64_t commits; /* items applied */
	uint64_t events;  /* recorded */
	uint64_t conflicts;
	uint64_t published;
	uint64_t crashes;
	uint64_t restarts;
	uint64_t instances;
	uint64_t faults[SIM_FAULTS]; /* how often each happened */
};

#define SIM_INVARIANT_MAX 40
#define SIM_TEXT_MAX 400

struct sim_violation {
	const char *invariant; /* a literal, kebab-case */
	char text[SIM_TEXT_MAX];
};

struct sim_verdict {
	bool good;   /* no violation, and not pruned */
	bool pruned; /* plan->prune said so */
	struct sim_violation violation;
	uint64_t step;   /* of the violation */
	uint64_t drawn;  /* the faults that this run had drawn */
	uint64_t digest; /* of all that happened, in order: equal runs have equal ones */
	char **lines;    /* the trace; owned */
	size_t line_count;
	struct sim_figures figures;
};

/*
 * Runs one world to its end. *out is overwritten, and finished by the caller. The same plan
 * and the same choices give the same verdict.
 */
void sim_world_run(
	const struct sim_plan *plan, struct sim_choice *choice, struct sim_verdict *out);
void sim_verdict_finish(struct sim_verdict *verdict);

/* For those who act in a world. */

struct sim_choice *sim_world_choice(struct sim_world *world);

/* Virtual milliseconds since the world began; and the time that the records of an
 * orchestrator with a good clock would have now. */
int64_t sim_world_now_ms(const struct sim_world *world);
int64_t sim_world_wall_ms(const struct sim_world *world);

/* How long a call takes that nothing slows down, virtual. */
int64_t sim_world_call_us(const struct sim_world *world);

/* This kind of fault has been drawn and the storm is not over. */
bool sim_world_may(const struct sim_world *world, enum sim_fault fault);

/* It is drawn (see above) and happens now, one time of `one_in`; counts it. */
bool sim_world_happens(struct sim_world *world, enum sim_fault fault, uint32_t one_in);

/* The storm is over: no more faults, and agents answer. */
bool sim_world_is_calm(const struct sim_world *world);

/* See struct sim_plan. */
bool sim_world_is_small(const struct sim_world *world);

uint32_t sim_world_instances(const struct sim_world *world);
size_t sim_world_template_count(const struct sim_world *world);
struct swm_str sim_world_template(const struct sim_world *world, size_t index); /* JSON */

/* Gives a message to the broker, which has it after delay_ms; copied. */
void sim_world_send(
	struct sim_world *world, const struct swm_message *message, int64_t delay_ms);

/* The bytes as JSON, read once for the whole world, whose parts only look; NULL: they are
 * not. Belongs to the world: who keeps it longer takes a reference. */
json_t *sim_world_read(struct sim_world *world, struct swm_str text);

struct sim_store *sim_world_store(struct sim_world *world);
struct sim_queue *sim_world_queue(struct sim_world *world);

/* A line of the trace; costs nothing unless traces are kept. */
bool sim_world_traces(const struct sim_world *world);
void sim_world_trace(struct sim_world *world, const char *format, ...) SWM_PRINTF(2, 3);
#define SIM_TRACE(world, ...) \
	do { \
		if (sim_world_traces(world)) { \
			sim_world_trace((world), __VA_ARGS__); \
		} \
	} while (0)

/* Ends the run with this violation; the first one counts. For the kernel's own findings;
 * the judge returns its own. */
void sim_world_fail(struct sim_world *world, const char *invariant, const char *format, ...)
	SWM_PRINTF(3, 4);

/*
 * A hash of all that the future of a small world depends on: what the store and the broker
 * hold, what is under way, what the judge goes by, and for each thread what it knows
 * (recall.c) and a rolling hash of all that its calls have returned since it looked for
 * work, of which its local state is a function.
 *
 * Times are those that are left or have passed: nothing but differences of times is ever
 * compared, and records have no age here. How long nothing has happened is a part of it, so
 * that those who wait in vain do not come to a state that they know.
 *
 * The orchestrators are summed up: two that change places, with all that is theirs (threads,
 * held messages, leases, what the judge knows of them), are the same state. Nothing in a
 * small world goes by the number of an orchestrator, and of the orders in which those who
 * can run are listed every one is gone through.
 */
uint64_t sim_world_hash(const struct sim_world *world);

#endif
