/* SPDX-License-Identifier: MIT */
#ifndef STORE_MONGODB_WIRE_H
#define STORE_MONGODB_WIRE_H

/*
 * What is asked of the server, and what its answers and failures mean to the core.
 *
 *  - No server is to be had: nothing was sent, SWM_E_UNAVAILABLE.
 *  - The connection ends, or no answer comes within a share of the call's time: what that
 *    means depends on the effect of what was sent.
 *  - The server says no: by its error code. A write that it has done but that is not on
 *    the disks of a majority (a write concern error) is in doubt.
 *  - It says no to single writes of many: that is for the caller to read (struct written).
 *
 * The client library retries a write once by itself where the server has sessions, that is
 * on a replica set; the server then knows it again.
 *
 * Concurrency: a wire is one client of the pool and confined to one thread.
 */

#include <mongoc/mongoc.h>

#include <swm/types.h>

struct wire {
	mongoc_client_t *client;
	const char *where; /* the hosts, for messages */
	int64_t timeout_ms;
	int64_t begun_ms; /* of the call under way, monotonic */
	bool sent;        /* something of this call may have been done */
	bool lost;        /* only good to be closed */
};

/* What it means that something was sent and not answered. */
enum wire_effect {
	WIRE_READS,    /* nothing: SWM_E_UNAVAILABLE, or SWM_E_TIMEOUT when it was slow */
	WIRE_HARMLESS, /* it may have been done, which can be repeated: SWM_E_UNAVAILABLE */
	WIRE_COUNTS    /* the caller must know: SWM_E_INDOUBT */
};

enum {
	/* A call is several commands. Each gets this many of eight parts of its time at most,
	 * and the last begins before as many are over; the rest is for finding a server. */
	WIRE_PARTS = 8,
	WIRE_COMMAND_PARTS = 3
};

int64_t wire_now_ms(void);

/* A call begins. */
void wire_begin(struct wire *wire);

/* Whether no further command fits into the call's time. */
bool wire_is_late(const struct wire *wire);

/* Documents that were found, in memory of their own. */
struct docs {
	bson_t **items;
	size_t count;
	size_t room;
};

void docs_finish(struct docs *docs);

/* Adds what is found to *out, which may hold documents before. `what` completes
 * "cannot ...". */
swm_status wire_find(struct wire *wire, mongoc_collection_t *collection, const bson_t *filter,
	const bson_t *opts, const char *what, struct docs *out, struct swm_error *err);

/* The answer to many writes of one kind; written_finish() in any case. */
struct written {
	bson_t *reply;   /* NULL: there was none */
	int64_t matched; /* by updates */
	int64_t removed;
	bool undurable; /* done, and perhaps lost again in a failover */
};

/* Runs the writes, one command: of at most WIRE_WRITES_MAX and WIRE_BYTES_MAX. Single ones
 * may have failed after SWM_OK. */
swm_status wire_write(struct wire *wire, mongoc_bulk_operation_t *bulk, enum wire_effect effect,
	const char *what, struct written *out, struct swm_error *err);
void written_finish(struct written *written);

enum {
	/* Every server takes as many; the message may have 48 MB. */
	WIRE_WRITES_MAX = 1000,
	WIRE_BYTES_MAX = 24 * 1024 * 1024
};

/* What became of one write. */
enum write_fate {
	WRITE_DONE,
	WRITE_DUPLICATE, /* the key is there */
	WRITE_TOO_LARGE,
	WRITE_CONFLICT, /* another one was faster */
	WRITE_REFUSED
};

/* Of the write that was added as number `index`. */
enum write_fate written_fate(const struct written *written, size_t index);

/* SWM_E_INTERNAL with the server's words when any write was refused for another reason than
 * a duplicate key; else SWM_OK. */
swm_status written_check(const struct wire *wire, const struct written *written,
	const char *what, struct swm_error *err);

/* Runs a command on a database. *reply is initialised in any case. */
swm_status wire_command(struct wire *wire, const char *database, const bson_t *command,
	enum wire_effect effect, const char *what, bson_t *reply, struct swm_error *err);

/* The status for an error, which wire_find() and the like have applied. */
swm_status wire_failed(struct wire *wire, enum wire_effect effect, const bson_error_t *error,
	const char *what, struct swm_error *err);

#endif
