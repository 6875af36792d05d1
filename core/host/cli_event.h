/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_EVENT_H
#define SWM_HOST_CLI_EVENT_H

/*
 * How a command changes an instance: like everybody else, by an event on the
 * workflow queue. There is one way to change state and one audit; a command only
 * waits to see what became of its event.
 *
 * Concurrency: belongs to the main thread.
 */

#include "cli_store.h"
#include "hash.h"

/* One message on its way to the workflow queue. */
struct swm_cli_message {
	struct swm_str body; /* the exact bytes, borrowed */
	struct swm_id id;    /* what identifies it when the body has no event_id */
	struct swm_str key;  /* what the broker keeps together: the instance; may be absent */
};

/* An id that nothing else has. */
void swm_cli_event_id(struct swm_cli *cli, struct swm_id *out);

/*
 * Publishes to the first workflow queue of the configuration and waits for the
 * confirms; the adapters have been made. Prints what went wrong. Returns an enum
 * swm_exit.
 */
int swm_cli_publish(struct swm_cli *cli, const struct swm_cli_message *messages, size_t count);

/* How long to wait for verdicts. */
struct swm_cli_wait {
	bool none; /* --no-wait */
	int64_t timeout_ms;
};

/* The options --no-wait and --timeout; `values_type` has a member `wait`. */
#define SWM_CLI_WAIT_FLAGS(values_type) \
	{ \
		.name = "no-wait", \
		.type = SWM_FLAG_SWITCH, \
		.offset = offsetof(values_type, wait.none), \
		.help = "do not wait until the event is recorded", \
	}, \
	{ \
		.name = "timeout", .type = SWM_FLAG_DURATION, \
		.offset = offsetof(values_type, wait.timeout_ms), .fallback = "5s", .min = 0, \
		.max = INT64_C(86400000), .metavar = "TIME", \
		.help = "how long to wait for the verdict", \
	}

/*
 * Waits until each message is recorded or parked and prints its verdict: one line each.
 * SWM_EXIT_DONE when all were applied, or have not been processed in time;
 * SWM_EXIT_REFUSED when one was a duplicate, ignored, rejected or parked.
 * `store` is not used, and may be NULL, with wait->none.
 */
int swm_cli_verdicts(struct swm_cli *cli, struct swm_cli_store *store,
	const struct swm_cli_message *messages, size_t count, const struct swm_cli_wait *wait);

/* Who did it: `given`, else $SWM_ACTOR, else $USER; NULL when there is none of them. */
const char *swm_cli_actor(const char *given);

#endif
