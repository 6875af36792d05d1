/* SPDX-License-Identifier: MIT */
#ifndef SIM_CHOICE_H
#define SIM_CHOICE_H

/*
 * The only source of nondeterminism of a simulated world. Whatever could come out one
 * way or another (who runs next, whether a call fails, what an agent answers) is asked
 * of it, so that a run is nothing but the list of its choices: a seed gives one list,
 * and the same list gives the same run, on any machine and with any compiler.
 *
 * 0 is always the boring answer: no fault, go on as before. So a run can be made simpler by
 * turning choices to 0. Questions of one name are counted apart from all others, and a list
 * says "the third `crash` is 1": what one answer takes away of other questions does not
 * shift the answers to those that are left.
 *
 * Concurrency: belongs to one thread.
 */

#include <swm/types.h>

enum sim_source {
	SIM_SEEDED,   /* chance from a seed */
	SIM_REPLAYED, /* a list; 0 beyond its end */
	SIM_ASKED     /* somebody else knows: tests/sim/exhaustive.c, every answer */
};

/* One choice that was made. */
struct sim_chosen {
	const char *what; /* a literal */
	uint32_t n;
	uint32_t value;
};

/* An answer that is not 0, by its question. */
struct sim_given {
	const char *what;
	uint32_t index; /* among the questions of this name */
	uint32_t value;
};

/* SIM_REPLAYED: the questions of one name. */
struct sim_stream {
	const char *what;
	uint32_t asked;
	size_t next; /* the first given answer that is still to come */
};

struct sim_choice {
	enum sim_source source;
	uint64_t state[4];                                        /* SIM_SEEDED */
	const struct sim_given *given;                            /* SIM_REPLAYED; borrowed */
	uint32_t (*ask)(void *ctx, const char *what, uint32_t n); /* SIM_ASKED */
	void *ask_ctx;
	size_t given_count;
	struct sim_stream *streams; /* owned */
	size_t stream_count;
	size_t stream_cap;
	struct sim_chosen *made; /* in order; owned */
	size_t made_count;
	size_t made_cap;
};

/* None of these fails: out of memory ends the process, here and in the whole simulator,
 * which is a tool that runs, and not part of an orchestrator. */
void sim_choice_seed(struct sim_choice *choice, uint64_t seed);

/* The answers, those of one name by their index, stay where they are as long as the choice
 * is used; all others are 0. What is out of a question's range counts as 0. */
void sim_choice_replay(struct sim_choice *choice, const struct sim_given *given, size_t count);

/* The answers of a run that are not 0, for a replay of it. The caller frees. */
struct sim_given *sim_choice_given(const struct sim_choice *choice, size_t *count);

/* `ask` gives one of 0 ... n - 1 each time. */
void sim_choice_ask(struct sim_choice *choice,
	uint32_t (*ask)(void *ctx, const char *what, uint32_t n), void *ctx);

/* Forgets the recorded choices, keeps the memory; a seeded one goes on with its chance. */
void sim_choice_clear(struct sim_choice *choice);

/* All zero bits is fine. */
void sim_choice_finish(struct sim_choice *choice);

/* One of 0 ... n - 1, each equally likely of a seeded source. `what` is a literal that names
 * the question in traces. n 1 is no choice: 0, and not recorded. */
uint32_t sim_choose(struct sim_choice *choice, const char *what, uint32_t n);

/* 1 of `one_in` times true; a choice of two. one_in 0: never, and no choice. */
bool sim_rarely(struct sim_choice *choice, const char *what, uint32_t one_in);

#endif
