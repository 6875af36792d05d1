/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_CLOCK_H
#define STORE_MONGODB_CLOCK_H

/*
 * The server's time, by which leases and due times go. An update cannot compute with the
 * server's clock without a pipeline, so a session asks for the time now and then and adds
 * what its own monotonic clock says has passed since.
 *
 * The answer took its way, so that the time is known between two bounds. What is given out
 * lasts by the later bound, and what may be taken is looked at by the earlier one: so no
 * lease ends early because of the way.
 *
 * Concurrency: confined to the session's thread.
 */

#include "wire.h"

struct clock {
	int64_t earliest; /* the server's time minus our monotonic one */
	int64_t latest;
	int64_t asked_ms; /* monotonic; 0: never */
};

/* Asks the server if the last answer is old. `answer`, when given, is the handshake, for
 * which it always asks; the caller destroys it after SWM_OK. */
swm_status clock_set(
	struct clock *clock, struct wire *wire, bson_t *answer, struct swm_error *err);

/* Milliseconds since 1970 at the server: not later, or not earlier, than its clock says. */
int64_t clock_earliest_ms(const struct clock *clock);
int64_t clock_latest_ms(const struct clock *clock);

#endif
