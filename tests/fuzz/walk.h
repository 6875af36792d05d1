/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_FUZZ_WALK_H
#define SWM_TESTS_FUZZ_WALK_H

/*
 * The parts of target_walk.c: an instance that bytes lead through a template, and all
 * that is known of it from outside, for the invariants.
 */

#include "fuzz.h"
#include "fuzz_instance.h"

#define WALK_STEPS_MAX 64
#define WALK_MESSAGES_MAX 600

#define WALK_COMPONENT "C"
#define WALK_REFERENCE "R-1"

/* A message that a commit owed, and what became of it. */
struct walk_message {
	struct swm_id id;
	enum swm_message_kind kind;
	uint16_t task;
	uint32_t attempt;
	uint32_t resend;
	char *body;
	bool cancelled;
	bool heard; /* the walk has sent it at least once */
};

struct walk {
	struct fuzz_bytes bytes;
	char *template_text;
	struct swm_template *template;
	struct swm_payload_options options;
	struct swm_event_limits limits;
	struct swm_instance *instance;
	struct swm_instance *folded;
	struct swm_task_state
		*before;        /* of each task, before the event; reasons are not kept */
	struct swm_arena arena; /* of the commit, with its effects */
	struct swm_effects effects;
	struct walk_message *messages;
	size_t message_count;
	int64_t at_ms;
	int64_t records;
	int32_t business_status; /* the last completed task that has one; -1 */
	json_t *data;            /* all that was merged; NULL */
	size_t step;
};

/* An event on its way in. */
struct walk_event {
	char *body;
	char raw_id[64];
	bool same_commit;
	bool reread; /* no event: the instance is read back from its body */
};

/* The text of a template: some bytes of the input, or made of them. From malloc. */
char *walk_template(struct fuzz_bytes *bytes);

/* The next event that the bytes ask for; the caller frees the body. */
void walk_next(struct walk *walk, struct walk_event *out);

/* The commit is over: its messages are owed, its cancelled timers are gone. */
void walk_commit(struct walk *walk);

/* After each event: what holds of one step, and what holds of every state. */
void walk_check_step(struct walk *walk, const struct swm_event *event,
	const struct swm_verdict *verdict, const char *body_before);
void walk_check_state(const struct walk *walk);

/* After each commit: timers and messages are those that the state needs. */
void walk_check_messages(const struct walk *walk);

#endif
