/* SPDX-License-Identifier: MIT */

/*
 * See link.h.
 */

#include "link.h"

#define REOPEN_FIRST_MS 50
#define REOPEN_MAX_MS 5000

void swm_link_init(struct swm_link *link, struct swm_shared *shared, size_t slot)
{
	*link = (struct swm_link){
		.shared = shared,
		.ops = shared->config->store_ops,
		.retry = {.first_ms = REOPEN_FIRST_MS, .max_ms = REOPEN_MAX_MS},
		.slot = slot,
	};
	(void)swm_chance_id(shared->env, link->owner);
}

void swm_link_close(struct swm_link *link)
{
	if (link->session) {
		link->ops->session_close(link->session);
		link->session = NULL;
	}
}

swm_status swm_link_open(struct swm_link *link, struct swm_error *err)
{
	if (link->session) {
		return SWM_OK;
	}
	return link->ops->session_open(link->shared->config->store, &link->session, err);
}

/* The session is as good as before, by the contract of the store. */
static bool is_passing(swm_status status)
{
	return status == SWM_E_THROTTLED || status == SWM_E_TIMEOUT || status == SWM_E_NOMEM;
}

int64_t swm_link_failed(struct swm_link *link, swm_status status, const struct swm_error *err)
{
	if (!is_passing(status)) {
		swm_link_close(link);
	}
	swm_env_count(link->shared->env, "store_failures", 1);
	swm_state_set(link->shared->state, link->slot, "store", err);
	return swm_retry_next_ms(&link->retry, link->shared->env);
}

void swm_link_worked(struct swm_link *link)
{
	swm_retry_reset(&link->retry);
	swm_state_set(link->shared->state, link->slot, "store", NULL);
}

struct swm_str swm_link_owner(const struct swm_link *link)
{
	return (struct swm_str){link->owner, SWM_CHANCE_LEN};
}

swm_status swm_link_flush(struct swm_link *link, struct swm_marks *marks, struct swm_error *err)
{
	if (marks->count == 0) {
		return SWM_OK;
	}
	swm_env_count(link->shared->env, "commit_calls", 1);
	swm_status status = link->ops->commit(link->session, swm_link_owner(link),
		link->shared->config->lease_ms, NULL, 0, marks->items, marks->count, err);
	if (status == SWM_OK) {
		swm_marks_clear(marks);
	}
	return status;
}
