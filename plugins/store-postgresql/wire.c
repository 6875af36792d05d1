/* SPDX-License-Identifier: MIT */

/* One connection; see wire.h. Concurrency: confined to one thread. */

#include "wire.h"

#include "status.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	/* How often a statement is run that lost a deadlock. Two sessions can only meet in
	 * one when somebody else's statement is in it, see commit.c. */
	DEADLOCK_TRIES = 3
};

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wire_begin(struct wire *wire)
{
	wire->deadline_ms = clock_ms() + wire->target->timeout_ms;
}

bool wire_is_late(const struct wire *wire)
{
	return clock_ms() >= wire->deadline_ms;
}

/* Waits for the socket; false at the deadline. */
static bool wait_socket(const struct wire *wire, short events)
{
	struct pollfd poller = {.fd = PQsocket(wire->conn), .events = events};

	for (;;) {
		int64_t left_ms = wire->deadline_ms - clock_ms();

		if (left_ms <= 0 || poller.fd < 0) {
			return false;
		}
		int ready = poll(&poller, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
		if (ready > 0) {
			return true;
		}
		if (ready < 0 && errno != EINTR) {
			return false;
		}
	}
}

/* --- What the server says --- */

struct refusal {
	const char *state; /* how the SQLSTATE begins */
	swm_status status;
};

/* The first that fits counts; the codes are those of the documentation's appendix A. */
static const struct refusal refusals[] = {
	{"22021", SWM_E_INVALID}, /* text that is not UTF-8, or has a NUL */
	{"22P05", SWM_E_INVALID},
	{"23", SWM_E_INVALID},        /* a constraint: an id twice */
	{"25006", SWM_E_UNAVAILABLE}, /* read-only: a standby after a failover */
	{"28", SWM_E_DENIED},
	{"3D000", SWM_E_CONFIG},    /* no such database */
	{"3F000", SWM_E_CONFIG},    /* no such schema */
	{"40001", SWM_E_THROTTLED}, /* serialization failure */
	{"40P01", SWM_E_THROTTLED}, /* deadlock */
	{"42501", SWM_E_DENIED},
	{"42P01", SWM_E_CONFIG}, /* no such table: not migrated */
	{"42703", SWM_E_CONFIG}, /* no such column, likewise */
	{"53", SWM_E_THROTTLED}, /* disk full, out of memory or connections */
	{"54000", SWM_E_TOO_LARGE},
	{"55P03", SWM_E_THROTTLED}, /* lock_timeout */
	{"57014", SWM_E_TIMEOUT},   /* cancelled, by statement_timeout or somebody */
	{"57P", SWM_E_UNAVAILABLE}, /* shutdown, crash, starting up */
	{"08", SWM_E_UNAVAILABLE},
	{"58", SWM_E_THROTTLED}, /* an I/O error of the server's */
	{"XX001", SWM_E_CORRUPT},
	{"XX002", SWM_E_CORRUPT},
};

static swm_status status_of(const char *state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (strncmp(state, refusals[i].state, strlen(refusals[i].state)) == 0) {
			return refusals[i].status;
		}
	}
	return SWM_E_INTERNAL;
}

static bool is_deadlock(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state && (strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0);
}

/* Only the primary message: the detail may quote rows. */
static swm_status refused(const struct wire *wire, const PGresult *result, const char *what,
	struct swm_error *err)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	return swm_fail(err, status_of(state ? state : ""), 0,
		"%s: cannot %s: %s (SQLSTATE %s)", wire->target->where, what,
		message ? message : "no reason given", state ? state : "unknown");
}

static swm_status lost_status(enum wire_effect effect, bool deadline)
{
	if (effect == WIRE_COUNTS) {
		return SWM_E_INDOUBT;
	}
	return deadline && effect == WIRE_READS ? SWM_E_TIMEOUT : SWM_E_UNAVAILABLE;
}

static swm_status late(
	struct wire *wire, enum wire_effect effect, const char *what, struct swm_error *err)
{
	wire->lost = true;
	return swm_fail(err, lost_status(effect, true), 0,
		"%s: cannot %s: no answer within %lld ms; the connection is given up",
		wire->target->where, what, (long long)wire->target->timeout_ms);
}

/* `result` may say why the server ended the connection. */
static swm_status lost(struct wire *wire, const PGresult *result, enum wire_effect effect,
	const char *what, struct swm_error *err)
{
	const char *message =
		result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	wire->lost = true;
	return swm_fail(err, lost_status(effect, false), 0,
		"%s: cannot %s: the connection is lost: %s", wire->target->where, what,
		message ? message : PQerrorMessage(wire->conn));
}

/* --- Connecting --- */

/* With PQERRORS_VERBOSE the server's errors are "FATAL:  SQLSTATE: text". */
static swm_status connect_status(const char *message)
{
	const char *at = message;

	while ((at = strstr(at, ":  ")) != NULL) {
		at += 3;
		if (strspn(at, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[5] == ':') {
			swm_status status = status_of(at);

			return status == SWM_E_DENIED || status == SWM_E_CONFIG
				       ? status
				       : SWM_E_UNAVAILABLE;
		}
	}
	return SWM_E_UNAVAILABLE;
}

static swm_status not_connected(const struct wire *wire, struct swm_error *err)
{
	char message[SWM_ERROR_MESSAGE_MAX];

	/* Behind the text of a verbose error stands where in the server it was made. */
	(void)snprintf(message, sizeof(message), "%s", PQerrorMessage(wire->conn));
	char *location = strstr(message, "\nLOCATION");
	if (location) {
		*location = '\0';
	}
	return swm_fail(err, connect_status(message), 0, "%s: cannot connect: %s",
		wire->target->where, message);
}

static swm_status await_connection(struct wire *wire, struct swm_error *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	PQsetErrorVerbosity(wire->conn, PQERRORS_VERBOSE);
	while (state != PGRES_POLLING_OK) {
		if (state == PGRES_POLLING_FAILED || PQstatus(wire->conn) == CONNECTION_BAD) {
			return not_connected(wire, err);
		}
		if (!wait_socket(wire, state == PGRES_POLLING_READING ? POLLIN : POLLOUT)) {
			return swm_fail(err, SWM_E_UNAVAILABLE, 0,
				"%s: cannot connect: no answer within %lld ms",
				wire->target->where, (long long)wire->target->timeout_ms);
		}
		state = PQconnectPoll(wire->conn);
	}
	if (PQsetnonblocking(wire->conn, 1) != 0) {
		return not_connected(wire, err);
	}
	return SWM_OK;
}

/* libpq would print them on stderr. A good-bye that comes between statements is one. */
static void take_notice(void *arg, const PGresult *notice)
{
	struct wire *wire = arg;
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)) {
		wire->lost = true;
	}
}

swm_status wire_open(struct wire *wire, const struct wire_target *target, struct swm_error *err)
{
	*wire = (struct wire){.target = target};
	wire->conn = PQconnectStartParams(target->keywords, target->values, 0);
	if (!wire->conn) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	PQsetNoticeReceiver(wire->conn, take_notice, wire);
	wire_begin(wire);
	swm_status status = await_connection(wire, err);
	if (status != SWM_OK) {
		wire_close(wire);
	}
	return status;
}

void wire_close(struct wire *wire)
{
	PQfinish(wire->conn);
	wire->conn = NULL;
	wire->lost = true;
}

/* --- A statement --- */

static swm_status lost_before(struct wire *wire, const char *what, struct swm_error *err)
{
	wire->lost = true;
	return swm_fail(err, SWM_E_UNAVAILABLE, 0,
		"%s: cannot %s: the connection was lost before", wire->target->where, what);
}

/* Nothing may have come in between statements but notices, or the server's good-bye:
 * then the statement is not even sent, and there is no doubt about it. */
static swm_status begin(struct wire *wire, const char *what, struct swm_error *err)
{
	struct pollfd poller = {.events = POLLIN};

	if (wire->lost) {
		return lost_before(wire, what, err);
	}
	poller.fd = PQsocket(wire->conn);
	while (poll(&poller, 1, 0) != 0) {
		/* PQisBusy() makes libpq read what it has taken. */
		if (PQconsumeInput(wire->conn) == 0 || PQisBusy(wire->conn) || wire->lost ||
			PQstatus(wire->conn) == CONNECTION_BAD) {
			return lost_before(wire, what, err);
		}
	}
	return SWM_OK;
}

/* Waits until a result can be taken without waiting. False: the deadline, or the
 * connection is gone (which PQgetResult then says). */
static bool await_result(struct wire *wire)
{
	int unsent = PQflush(wire->conn);

	while (unsent == 1 || PQisBusy(wire->conn)) {
		/* While sending, too: a server that cannot get rid of its answer reads
		 * nothing. */
		short events = unsent == 1 ? POLLIN | POLLOUT : POLLIN;

		if (!wait_socket(wire, events)) {
			return false;
		}
		if (PQconsumeInput(wire->conn) == 0) {
			return true;
		}
		if (unsent == 1) {
			unsent = PQflush(wire->conn);
		}
	}
	return true;
}

/* Takes all results of what was sent; *last is the last one, or the first that failed.
 * False: the deadline. */
static bool take_results(struct wire *wire, PGresult **last)
{
	for (;;) {
		if (!await_result(wire)) {
			return false;
		}
		PGresult *result = PQgetResult(wire->conn);
		if (!result) {
			return true;
		}
		if (*last && PQresultStatus(*last) == PGRES_FATAL_ERROR) {
			PQclear(result);
		} else {
			PQclear(*last);
			*last = result;
		}
		if (PQstatus(wire->conn) == CONNECTION_BAD) {
			return true;
		}
	}
}

static swm_status conclude(struct wire *wire, PGresult *result, bool in_time,
	enum wire_effect effect, const char *what, struct swm_error *err)
{
	ExecStatusType state = PQresultStatus(result);

	if (!in_time) {
		return late(wire, effect, what, err);
	}
	if (PQstatus(wire->conn) == CONNECTION_BAD || !result) {
		return lost(wire, result, effect, what, err);
	}
	if (state == PGRES_TUPLES_OK || state == PGRES_COMMAND_OK) {
		return SWM_OK;
	}
	swm_status status = refused(wire, result, what, err);
	if (status == SWM_E_UNAVAILABLE) {
		wire->lost = true;
	}
	return status;
}

/* After a statement was handed to libpq (`sent`: it took it). */
static swm_status finish(struct wire *wire, int sent, enum wire_effect effect, const char *what,
	PGresult **out, bool *deadlock, struct swm_error *err)
{
	PGresult *result = NULL;
	bool in_time;
	swm_status status;

	if (!sent) {
		return lost(wire, NULL, WIRE_HARMLESS, what, err);
	}
	in_time = take_results(wire, &result);
	status = conclude(wire, result, in_time, effect, what, err);
	*deadlock = status == SWM_E_THROTTLED && is_deadlock(result);
	if (status == SWM_OK && out) {
		*out = result;
	} else {
		PQclear(result);
	}
	return status;
}

swm_status wire_exec(struct wire *wire, const char *text, enum wire_effect effect,
	const char *what, PGresult **out, struct swm_error *err)
{
	bool deadlock;
	swm_status status = begin(wire, what, err);

	if (status != SWM_OK) {
		return status;
	}
	return finish(wire, PQsendQuery(wire->conn, text), effect, what, out, &deadlock, err);
}

swm_status wire_prepare(
	struct wire *wire, const char *name, const char *text, struct swm_error *err)
{
	bool deadlock;
	swm_status status = begin(wire, "prepare a statement", err);

	if (status != SWM_OK) {
		return status;
	}
	return finish(wire, PQsendPrepare(wire->conn, name, text, 0, NULL), WIRE_READS,
		"prepare a statement", NULL, &deadlock, err);
}

swm_status wire_run(struct wire *wire, const char *name, const struct params *params,
	enum wire_effect effect, const char *what, PGresult **out, struct swm_error *err)
{
	swm_status status = SWM_OK;
	bool deadlock = true;

	for (int i = 0; i < DEADLOCK_TRIES && deadlock; i++) {
		const char *values[PARAMS_MAX];
		int lengths[PARAMS_MAX], formats[PARAMS_MAX];

		status = begin(wire, what, err);
		if (status != SWM_OK) {
			return status;
		}
		params_values(params, values, lengths, formats);
		status = finish(wire,
			PQsendQueryPrepared(
				wire->conn, name, params->count, values, lengths, formats, 1),
			effect, what, out, &deadlock, err);
	}
	return status;
}
