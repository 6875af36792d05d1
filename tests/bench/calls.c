/* SPDX-License-Identifier: MIT */

/* Stands between engine and store; see calls.h. */

#include "calls.h"

#include <stdatomic.h>

static const struct swm_store_ops *inner;
static struct swm_store_ops counting;

static _Atomic int64_t loads;
static _Atomic int64_t commits;
static _Atomic int64_t marks_commits;
static _Atomic int64_t steps;
static _Atomic int64_t unloaded;
static _Atomic int64_t failures;
static _Atomic int64_t loads_since;

static swm_status count_load(struct swm_session *session, struct swm_load *items, size_t count,
	struct swm_set *backing, struct swm_error *err)
{
	swm_status status = inner->load(session, items, count, backing, err);
	atomic_fetch_add(&loads, 1);
	atomic_fetch_add(&loads_since, 1);
	atomic_fetch_add(&failures, status != SWM_OK);
	return status;
}

static swm_status count_commit(struct swm_session *session, struct swm_str owner,
	int64_t lease_ms, struct swm_commit *items, size_t count,
	const struct swm_outbox_mark *marks, size_t mark_count, struct swm_error *err)
{
	swm_status status =
		inner->commit(session, owner, lease_ms, items, count, marks, mark_count, err);
	if (count > 0) {
		atomic_fetch_add(&commits, 1);
		atomic_fetch_add(&unloaded, atomic_exchange(&loads_since, 0) == 0);
	} else {
		atomic_fetch_add(&marks_commits, mark_count > 0);
	}
	atomic_fetch_add(&steps, (int64_t)count);
	atomic_fetch_add(&failures, status != SWM_OK);
	return status;
}

const struct swm_store_ops *calls_count(const struct swm_store_ops *ops)
{
	inner = ops;
	counting = *ops;
	counting.load = count_load;
	counting.commit = count_commit;
	calls_reset();
	return &counting;
}

void calls_reset(void)
{
	atomic_store(&loads, 0);
	atomic_store(&commits, 0);
	atomic_store(&marks_commits, 0);
	atomic_store(&steps, 0);
	atomic_store(&unloaded, 0);
	atomic_store(&failures, 0);
	atomic_store(&loads_since, 0);
}

struct calls calls_now(void)
{
	return (struct calls){
		.loads = atomic_load(&loads),
		.commits = atomic_load(&commits),
		.marks_commits = atomic_load(&marks_commits),
		.steps = atomic_load(&steps),
		.unloaded = atomic_load(&unloaded),
		.failures = atomic_load(&failures),
	};
}
