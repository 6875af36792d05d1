/* SPDX-License-Identifier: MIT */
#ifndef STORE_POSTGRESQL_WIRE_H
#define STORE_POSTGRESQL_WIRE_H

/*
 * One connection to the server, with a deadline on everything. libpq's blocking calls
 * have none, and a server that is stopped or unreachable answers nothing at all; so the
 * connection is non-blocking, and this waits for its socket.
 *
 * What the world does, as statuses:
 *  - the server says no: by the SQLSTATE; the connection stays good;
 *  - the server cancels (statement_timeout, a little before our own deadline): nothing
 *    was done, SWM_E_TIMEOUT;
 *  - the connection ends, or our deadline passes: the connection is lost, and what that
 *    means for the statement depends on its effect.
 *
 * Concurrency: confined to one thread. Looking a host's name up cannot be bounded.
 */

#include "params.h"

#include <libpq-fe.h>

/* Where to connect to. */
struct wire_target {
	const char **keywords; /* libpq's parameters, NULL at the end */
	const char **values;
	char *where; /* "HOST:PORT/DATABASE", for messages */
	int64_t timeout_ms;
};

struct wire {
	const struct wire_target *target;
	PGconn *conn;
	int64_t deadline_ms; /* of the call under way, monotonic */
	bool lost;           /* only good for wire_close() */
};                           /* stays where it is while it is open */

/* What it means that a statement was sent and not answered. */
enum wire_effect {
	WIRE_READS,    /* nothing: SWM_E_UNAVAILABLE, or SWM_E_TIMEOUT at the deadline */
	WIRE_HARMLESS, /* it may have been done, which can be repeated: SWM_E_UNAVAILABLE */
	WIRE_COUNTS    /* the caller must know: SWM_E_INDOUBT */
};

/* A call begins: all that follows has to be done within target->timeout_ms. */
void wire_begin(struct wire *wire);

/* Whether that time is over. */
bool wire_is_late(const struct wire *wire);

/* Begins a call. SWM_E_UNAVAILABLE, SWM_E_DENIED, SWM_E_CONFIG, SWM_E_NOMEM. On failure
 * there is nothing to close. */
swm_status wire_open(
	struct wire *wire, const struct wire_target *target, struct swm_error *err);

/* May be repeated, and called on a zeroed struct. */
void wire_close(struct wire *wire);

/* Runs statements without parameters, as one transaction unless they say otherwise.
 * *out, when asked for, is the last one's result, as text; the caller clears it. `what`
 * completes "cannot ...". */
swm_status wire_exec(struct wire *wire, const char *text, enum wire_effect effect,
	const char *what, PGresult **out, struct swm_error *err);

swm_status wire_prepare(
	struct wire *wire, const char *name, const char *text, struct swm_error *err);

/* Runs a prepared statement, which is one transaction; its result is binary. One that the
 * server broke off for another's sake (a deadlock) is tried again. */
swm_status wire_run(struct wire *wire, const char *name, const struct params *params,
	enum wire_effect effect, const char *what, PGresult **out, struct swm_error *err);

#endif
