/* SPDX-License-Identifier: MIT */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

/*
 * Sees every effect in a simulated world and says what is wrong, by the names of the
 * invariants. The judge keeps books of its own: what an orchestrator says about itself
 * counts for nothing, and what the store holds is looked at only in the end.
 *
 * Each sim_judge_*() function that tells of an effect is called right after it, and not at
 * all when there was none. It returns NULL, or the violation; then the run is over.
 *
 * Concurrency: belongs to the world's thread.
 */

#include "model.h"
#include "world.h"

struct sim_judge;

/* What is promised. */
struct sim_invariant {
	const char *name;
	const char *text; /* one line */
};

/* All of them; ends with a NULL name. */
const struct sim_invariant *sim_invariants(void);

struct sim_judge *sim_judge_create(struct sim_world *world);
void sim_judge_destroy(struct sim_judge *judge); /* NULL is allowed */

/* What an instance looks like by the reference model; NULL: it has not begun. */
const struct sim_model *sim_judge_model(
	const struct sim_judge *judge, struct swm_str instance_id);

/* The bytes as JSON, read once for everybody, who only look; NULL: they are not. */
json_t *sim_judge_read(struct sim_judge *judge, struct swm_str body);

/* A delivery was handed out to an orchestrator, the first time or again. */
const struct sim_violation *sim_judge_delivered(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_delivery *delivery);

/* An item was applied by the store; its fresh rows are leased for lease_ms. */
const struct sim_violation *sim_judge_committed(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_commit *item, int64_t lease_ms);

/* An item was refused, since somebody else was faster. */
const struct sim_violation *sim_judge_conflicted(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_commit *item);

/* Time has passed, and for so long an orchestrator has been up that nothing hinders. */
const struct sim_violation *sim_judge_waited(struct sim_judge *judge, int64_t fit_ms);

/* A row was put, or was there already. */
const struct sim_violation *sim_judge_put(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_outbox_row *row);

/* A row was leased by a claim. */
const struct sim_violation *sim_judge_claimed(struct sim_judge *judge, unsigned orchestrator,
	const struct swm_outbox_row *row, int64_t lease_ms);

/* A mark was carried out. */
const struct sim_violation *sim_judge_marked(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_outbox_mark *mark);

/* A thread of an orchestrator begins to publish a message, and means to give up at `until_ms`, virtual,
 * by what it knew when it last read the clock. The only call that tells of no effect. */
const struct sim_violation *sim_judge_publishing(struct sim_judge *judge, unsigned orchestrator,
	const void *thread, const struct swm_message *message, int64_t until_ms);

/* A thread of an orchestrator was told what became of the message that it published. */
void sim_judge_told(struct sim_judge *judge, unsigned orchestrator, const void *thread,
	const struct swm_message *message, swm_status result);

/* The broker took a message of an orchestrator's. */
const struct sim_violation *sim_judge_published(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_message *message);

/* The broker took an SWM_ACK of this delivery, as it had been handed out. */
const struct sim_violation *sim_judge_acked(
	struct sim_judge *judge, unsigned orchestrator, const struct swm_delivery *delivery);

/* An orchestrator counts: see engine.h. */
void sim_judge_counted(struct sim_judge *judge, const char *metric, int64_t delta);

/* The orchestrator's memory is gone: crashed or stopped. */
void sim_judge_gone(struct sim_judge *judge, unsigned orchestrator);

/* A hash of all that its answers depend on from now on: what is nobody's, what is an
 * orchestrator's, and what is a thread's of it. Times are those that are left. */
uint64_t sim_judge_hash(const struct sim_judge *judge);
uint64_t sim_judge_hash_of(const struct sim_judge *judge, unsigned orchestrator);
uint64_t sim_judge_hash_thread(
	const struct sim_judge *judge, unsigned orchestrator, const void *thread);

/* Nothing moves any more, or the calm has taken too long. */
const struct sim_violation *sim_judge_at_rest(struct sim_judge *judge);

#endif
