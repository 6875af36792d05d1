/* SPDX-License-Identifier: MIT */

/* Commands and their failures; see wire.h. Concurrency: confined to one thread. */

#include "wire.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t wire_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wire_begin(struct wire *wire)
{
	wire->begun_ms = wire_now_ms();
	wire->sent = false;
}

bool wire_is_late(const struct wire *wire)
{
	return (wire_now_ms() - wire->begun_ms) * WIRE_PARTS >=
	       wire->timeout_ms * WIRE_COMMAND_PARTS;
}

/* --- What the server says --- */

/* The codes of its error_codes.yml. One that comes for the second of the library's two tries
 * says nothing of the first, whose answer may have been lost. */
static const struct {
	uint32_t code;
	swm_status status;
	bool done; /* some of it may have been */
} refusals[] = {
	{2, SWM_E_CONFIG, false},         /* BadValue: j without a journal */
	{13, SWM_E_DENIED, false},        /* Unauthorized */
	{18, SWM_E_DENIED, false},        /* AuthenticationFailed */
	{8000, SWM_E_DENIED, false},      /* the same, of Atlas */
	{59, SWM_E_CONFIG, false},        /* CommandNotFound: too old a server */
	{79, SWM_E_CONFIG, true},         /* UnknownReplWriteConcern */
	{10107, SWM_E_UNAVAILABLE, true}, /* NotWritablePrimary */
	{13435, SWM_E_UNAVAILABLE, true}, /* NotPrimaryNoSecondaryOk */
	{10058, SWM_E_UNAVAILABLE, true}, /* the same, of old servers */
	{6, SWM_E_UNAVAILABLE, true},     /* HostUnreachable */
	{7, SWM_E_UNAVAILABLE, true},     /* HostNotFound */
	{89, SWM_E_UNAVAILABLE, true},    /* NetworkTimeout */
	{91, SWM_E_UNAVAILABLE, true},    /* ShutdownInProgress */
	{189, SWM_E_UNAVAILABLE, true},   /* PrimarySteppedDown */
	{9001, SWM_E_UNAVAILABLE, true},  /* SocketException */
	{11600, SWM_E_UNAVAILABLE, true}, /* InterruptedAtShutdown */
	{11602, SWM_E_UNAVAILABLE, true}, /* InterruptedDueToReplStateChange */
	{13436, SWM_E_UNAVAILABLE, true}, /* NotPrimaryOrSecondary */
	{50, SWM_E_TIMEOUT, true},        /* MaxTimeMSExpired */
	{262, SWM_E_TIMEOUT, true},       /* ExceededTimeLimit */
	{43, SWM_E_THROTTLED, true},      /* CursorNotFound */
	{112, SWM_E_THROTTLED, true},     /* WriteConflict */
	{134, SWM_E_THROTTLED, false},    /* ReadConcernMajorityNotAvailableYet */
	{146, SWM_E_THROTTLED, true},     /* ExceededMemoryLimit */
	{202, SWM_E_THROTTLED, true},     /* NetworkInterfaceExceededTimeLimit */
	{11601, SWM_E_THROTTLED, true},   /* Interrupted */
	{14031, SWM_E_THROTTLED, true},   /* OutOfDiskSpace */
	{10334, SWM_E_TOO_LARGE, false},  /* BSONObjectTooLarge */
};

static swm_status status_of(uint32_t code, bool *done)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (refusals[i].code == code) {
			*done = refusals[i].done;
			return refusals[i].status;
		}
	}
	*done = true;
	return SWM_E_INTERNAL;
}

static swm_status refused_status(
	const struct wire *wire, enum wire_effect effect, uint32_t code)
{
	bool done = true;
	swm_status status = status_of(code, &done);

	if (effect == WIRE_COUNTS && (done || wire->sent)) {
		return SWM_E_INDOUBT;
	}
	return status;
}

static swm_status lost_status(const struct wire *wire, enum wire_effect effect)
{
	if (effect == WIRE_COUNTS) {
		return SWM_E_INDOUBT;
	}
	bool slow = wire_is_late(wire);

	return slow && effect == WIRE_READS && !wire->sent ? SWM_E_TIMEOUT : SWM_E_UNAVAILABLE;
}

/* Nothing was sent of this command; of the call something may have been. */
static swm_status unsent_status(
	const struct wire *wire, enum wire_effect effect, swm_status status)
{
	return effect == WIRE_COUNTS && wire->sent ? SWM_E_INDOUBT : status;
}

swm_status wire_failed(struct wire *wire, enum wire_effect effect, const bson_error_t *error,
	const char *what, struct swm_error *err)
{
	swm_status status = SWM_E_INTERNAL;

	if (error->domain == MONGOC_ERROR_SERVER_SELECTION) {
		wire->lost = true;
		status = unsent_status(wire, effect, SWM_E_UNAVAILABLE);
	} else if (error->domain == MONGOC_ERROR_CLIENT &&
		   error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) {
		wire->lost = true;
		status = unsent_status(wire, effect, SWM_E_DENIED);
	} else if (error->domain == MONGOC_ERROR_STREAM ||
		   error->domain == MONGOC_ERROR_PROTOCOL) {
		/* After a reply that is none the library closes the connection as well. */
		status = lost_status(wire, effect);
		wire->lost = true;
	} else if (error->domain == MONGOC_ERROR_SERVER) {
		status = refused_status(wire, effect, error->code);
	} else if (error->domain == MONGOC_ERROR_BSON) {
		status = SWM_E_TOO_LARGE;
	} else if (error->domain == MONGOC_ERROR_WRITE_CONCERN) {
		status = effect == WIRE_COUNTS ? SWM_E_INDOUBT : SWM_E_UNAVAILABLE;
	}
	if (status == SWM_E_UNAVAILABLE) {
		wire->lost = true;
	}
	return swm_fail(err, status, (int)error->code, "%s: cannot %s: %s", wire->where, what,
		error->message);
}

/* --- Commands --- */

/* Before anything is sent. */
static swm_status begin(
	struct wire *wire, enum wire_effect effect, const char *what, struct swm_error *err)
{
	if (wire->lost) {
		return swm_fail(err, unsent_status(wire, effect, SWM_E_UNAVAILABLE), 0,
			"%s: cannot %s: the connection was lost before", wire->where, what);
	}
	if (wire_is_late(wire)) {
		return swm_fail(err, unsent_status(wire, effect, SWM_E_TIMEOUT), 0,
			"%s: cannot %s: the server is too slow for %lld ms", wire->where, what,
			(long long)wire->timeout_ms);
	}
	return SWM_OK;
}

void docs_finish(struct docs *docs)
{
	for (size_t i = 0; i < docs->count; i++) {
		bson_destroy(docs->items[i]);
	}
	free(docs->items);
	*docs = (struct docs){0};
}

static bool docs_add(struct docs *docs, const bson_t *doc)
{
	if (docs->count == docs->room) {
		size_t room = docs->room > 0 ? docs->room * 2 : 16;
		bson_t **items = realloc(docs->items, room * sizeof(void *));

		if (!items) {
			return false;
		}
		docs->items = items;
		docs->room = room;
	}
	docs->items[docs->count++] = bson_copy(doc);
	return true;
}

/* Whether the answer has further parts for which there is no time. */
static bool is_endless(const struct wire *wire, const mongoc_cursor_t *cursor)
{
	return mongoc_cursor_get_id(cursor) != 0 &&
	       (wire_now_ms() - wire->begun_ms) * WIRE_PARTS >=
		       wire->timeout_ms * (WIRE_PARTS - WIRE_COMMAND_PARTS);
}

swm_status wire_find(struct wire *wire, mongoc_collection_t *collection, const bson_t *filter,
	const bson_t *opts, const char *what, struct docs *out, struct swm_error *err)
{
	const bson_t *doc = NULL;
	bson_error_t error;
	swm_status status = begin(wire, WIRE_READS, what, err);

	if (status != SWM_OK) {
		return status;
	}
	mongoc_cursor_t *cursor =
		mongoc_collection_find_with_opts(collection, filter, opts, NULL);
	while (status == SWM_OK && mongoc_cursor_next(cursor, &doc)) {
		if (!docs_add(out, doc)) {
			status = swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
		} else if (is_endless(wire, cursor)) {
			status = swm_fail(err, SWM_E_TIMEOUT, 0,
				"%s: cannot %s: there is more than comes within %lld ms",
				wire->where, what, (long long)wire->timeout_ms);
		}
	}
	if (status == SWM_OK && mongoc_cursor_error(cursor, &error)) {
		status = wire_failed(wire, WIRE_READS, &error, what, err);
	}
	mongoc_cursor_destroy(cursor);
	return status;
}

static bool find_array(const bson_t *reply, const char *name, bson_iter_t *out)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, reply, name) && BSON_ITER_HOLDS_ARRAY(&iter) &&
	       bson_iter_recurse(&iter, out);
}

static bool has_any(const bson_t *reply, const char *name)
{
	bson_iter_t iter;

	return find_array(reply, name, &iter) && bson_iter_next(&iter);
}

static int64_t count_of(const bson_t *reply, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, reply, name) ? bson_iter_as_int64(&iter) : 0;
}

swm_status wire_write(struct wire *wire, mongoc_bulk_operation_t *bulk, enum wire_effect effect,
	const char *what, struct written *out, struct swm_error *err)
{
	bson_error_t error = {0};
	bson_t reply;
	swm_status status = begin(wire, effect, what, err);

	*out = (struct written){.reply = NULL};
	if (status != SWM_OK) {
		return status;
	}
	bool ok = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
	out->matched = count_of(&reply, "nMatched");
	out->removed = count_of(&reply, "nRemoved");
	out->undurable = has_any(&reply, "writeConcernErrors");
	bool answered = error.domain != MONGOC_ERROR_STREAM &&
			error.domain != MONGOC_ERROR_SERVER_SELECTION &&
			error.domain != MONGOC_ERROR_PROTOCOL;
	bool carried_out =
		ok || (answered && (out->undurable || has_any(&reply, "writeErrors")));
	if (carried_out) {
		out->reply = bson_copy(&reply);
	}
	bson_destroy(&reply);
	if (!carried_out) {
		return wire_failed(wire, effect, &error, what, err);
	}
	wire->sent = true;
	if (out->undurable && effect != WIRE_COUNTS) {
		return wire_failed(wire, effect, &error, what, err);
	}
	return SWM_OK;
}

void written_finish(struct written *written)
{
	bson_destroy(written->reply);
	*written = (struct written){.reply = NULL};
}

/* The code of an error that the server gives for one write; 0: none. */
static uint32_t code_at(const struct written *written, size_t index, const char **message)
{
	bson_iter_t errors, error, field;

	if (!find_array(written->reply, "writeErrors", &errors)) {
		return 0;
	}
	while (bson_iter_next(&errors)) {
		if (!BSON_ITER_HOLDS_DOCUMENT(&errors) || !bson_iter_recurse(&errors, &error) ||
			!bson_iter_find(&error, "index") ||
			bson_iter_as_int64(&error) != (int64_t)index ||
			!bson_iter_recurse(&errors, &field) ||
			!bson_iter_find(&field, "code")) {
			continue;
		}
		if (message && bson_iter_recurse(&errors, &error) &&
			bson_iter_find(&error, "errmsg") && BSON_ITER_HOLDS_UTF8(&error)) {
			*message = bson_iter_utf8(&error, NULL);
		}
		return (uint32_t)bson_iter_as_int64(&field);
	}
	return 0;
}

static enum write_fate fate_of(uint32_t code)
{
	switch (code) {
	case 0:
		return WRITE_DONE;
	case 11000:
	case 11001:
	case 12582:
		return WRITE_DUPLICATE;
	case 112: /* WriteConflict */
		return WRITE_CONFLICT;
	case 10334: /* BSONObjectTooLarge */
	case 17419: /* the document after an update */
	case 17420:
	case 17280: /* KeyTooLong */
		return WRITE_TOO_LARGE;
	default:
		return WRITE_REFUSED;
	}
}

enum write_fate written_fate(const struct written *written, size_t index)
{
	return fate_of(code_at(written, index, NULL));
}

swm_status written_check(const struct wire *wire, const struct written *written,
	const char *what, struct swm_error *err)
{
	bson_iter_t errors;

	if (!find_array(written->reply, "writeErrors", &errors)) {
		return SWM_OK;
	}
	while (bson_iter_next(&errors)) {
		const char *message = "no reason given";
		bson_iter_t error;
		uint32_t code = 0;

		if (!bson_iter_recurse(&errors, &error)) {
			continue;
		}
		while (bson_iter_next(&error)) {
			if (strcmp(bson_iter_key(&error), "code") == 0) {
				code = (uint32_t)bson_iter_as_int64(&error);
			} else if (strcmp(bson_iter_key(&error), "errmsg") == 0 &&
				   BSON_ITER_HOLDS_UTF8(&error)) {
				message = bson_iter_utf8(&error, NULL);
			}
		}
		if (fate_of(code) != WRITE_DUPLICATE) {
			return swm_fail(err,
				fate_of(code) == WRITE_TOO_LARGE  ? SWM_E_TOO_LARGE
				: fate_of(code) == WRITE_CONFLICT ? SWM_E_THROTTLED
								  : SWM_E_INTERNAL,
				(int)code, "%s: cannot %s: %s", wire->where, what, message);
		}
	}
	return SWM_OK;
}

swm_status wire_command(struct wire *wire, const char *database, const bson_t *command,
	enum wire_effect effect, const char *what, bson_t *reply, struct swm_error *err)
{
	bson_error_t error;
	swm_status status = begin(wire, effect, what, err);

	if (status != SWM_OK) {
		bson_init(reply);
		return status;
	}
	/* As it is: the server refuses `hello` with the read concern of the client. */
	bool ok = effect == WIRE_READS ? mongoc_client_command_simple(wire->client, database,
						 command, NULL, reply, &error)
				       : mongoc_client_write_command_with_opts(wire->client,
						 database, command, NULL, reply, &error);
	return ok ? SWM_OK : wire_failed(wire, effect, &error, what, err);
}
