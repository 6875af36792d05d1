/* SPDX-License-Identifier: MIT */
#ifndef SWM_CONFORM_STORE_KIT_H
#define SWM_CONFORM_STORE_KIT_H

/*
 * Rows and steps for the store's tests. What makes a step neither allocates nor
 * checks, so that threads and helper processes use it as well; what takes a case
 * checks, and belongs to the test's thread.
 */

#include "conform.h"

#define STORE_STEP_MAX 8

/* A commit item with room for what it points to. It must not move. */
struct store_step {
	struct swm_commit commit;
	struct swm_event_row events[STORE_STEP_MAX];
	struct swm_outbox_row outbox[STORE_STEP_MAX];
	struct swm_str cancel[STORE_STEP_MAX];
};

/* The step from `expected` to `expected` + 1, its columns filled with something
 * plain. All strings of these functions are borrowed. */
void store_step_init(struct store_step *step, struct swm_str id, int64_t expected);

/* An event with the next sequence of the step. */
struct swm_event_row *store_step_event(struct store_step *step, struct swm_str id);
struct swm_outbox_row *store_step_owe(
	struct store_step *step, struct swm_str id, int64_t delay_ms);
void store_step_cancel(struct store_step *step, struct swm_str id);
struct swm_outbox_row store_row(struct swm_str id, int64_t delay_ms);
struct swm_outbox_mark store_mark(struct swm_str id, struct swm_str instance, uint32_t action);

/* Commits the steps by value and copies the results back. */
swm_status store_commit(const struct swm_store_ops *ops, struct swm_session *session,
	struct swm_str owner, int64_t lease_ms, struct store_step *steps, size_t count,
	const struct swm_outbox_mark *marks, size_t mark_count, struct swm_error *err);

/* The version in the store, 0 when there is none, -1 when it cannot be read; and
 * whether one event is in its log (may be absent). */
int64_t store_version(const struct swm_store_ops *ops, struct swm_session *session,
	struct swm_str id, struct swm_str event_id, bool *seen, struct swm_error *err);

/* --- With a case: anything but success ends the test --- */

struct store_step *store_new_step(struct conform_case *c, struct swm_str id, int64_t expected);
struct swm_session *store_session(struct conform_case *c);

/* Commits one step as "owner" with a lease that lasts. */
void store_apply(struct conform_case *c, struct store_step *step);
void store_settle(struct conform_case *c, const char *owner, struct swm_outbox_mark mark);
void store_put(struct conform_case *c, const struct swm_outbox_row *row);

/* The instance as a session sees it, NULL when there is none; lives as long as
 * the case. */
const struct swm_instance_row *store_get(
	struct conform_case *c, struct swm_session *session, struct swm_str id);
bool store_has_seen(struct conform_case *c, struct swm_str id, struct swm_str event_id);

/* The outbox row of that id, wherever it stands in the list; NULL: there is none. */
const struct swm_outbox_row *store_find(
	struct conform_case *c, struct swm_str id, bool dead_only);

/* Claims until nothing is left or `max` rows of this case have come; others are
 * left to their lease. Rows live as long as the case. */
size_t store_claim(struct conform_case *c, const char *owner, int64_t lease_ms,
	struct swm_outbox_row *rows, size_t max);

/* Claims again and again until a row of this case comes. */
struct swm_outbox_row store_await_claim(
	struct conform_case *c, const char *owner, int64_t lease_ms);

/* Keeps a set until the case ends. */
void store_keep(struct conform_case *c, const struct swm_set *set);

/* Another process puts an outbox row and a template of this id, and is killed as soon as
 * both have been reported as done. */
void store_put_and_kill(struct conform_case *c, struct swm_str id);

/* The events of an instance, all pages; lives as long as the case. */
size_t store_events(struct conform_case *c, struct swm_str id, struct swm_event_row *rows,
	size_t max, uint32_t page_limit);

#endif
