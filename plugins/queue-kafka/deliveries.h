/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_DELIVERIES_H
#define QUEUE_KAFKA_DELIVERIES_H

/*
 * What a consumer has received and not finished, in two orders: by token, to be settled;
 * and by offset within its partition, since what a group commits is one offset, before
 * which everything is finished.
 *
 * So what is finished out of turn stays as a stub until all before it are. How long that
 * row may get is bounded: one message that is not finished would otherwise make a restart
 * deliver any number again.
 *
 * A partition that goes to another consumer takes its row with it. What is out of it then
 * is lost: its memory stays until it is settled, which changes nothing any more.
 *
 * A token is the number of a slot and a serial number. The serials of each consumer begin
 * somewhere else, so that a token of one is none of another's.
 *
 * Concurrency: belongs to its consumer, under that one's mutex.
 */

#include <swm/queue.h>

enum swm_kafka_state {
	SWM_KAFKA_OUT,  /* handed out */
	SWM_KAFKA_BACK, /* given back, to be handed out again when it is due */
	SWM_KAFKA_DONE  /* finished, and something before it is not */
};

struct swm_kafka_partition;

/* One message. */
struct swm_kafka_delivery {
	struct swm_kafka_delivery *next; /* the next offset of its partition */
	struct swm_kafka_delivery *back_next;
	struct swm_kafka_partition *partition; /* NULL: it was lost */
	int64_t offset;
	struct swm_delivery view;
	void *content; /* what the view points to; NULL once it is done */
	int64_t due_ms;
	enum swm_kafka_state state;
	uint32_t settlement; /* which settle call has seen it last */
};

/* A partition that is assigned to the consumer. */
struct swm_kafka_partition {
	struct swm_kafka_partition *next;
	size_t source; /* which of the consumer's topics */
	int32_t number;
	bool paused;
	int64_t received; /* the offset after the last that came; -1: none has */
	int64_t finished; /* all offsets before are done; -1: none is yet */
	bool advanced;    /* `finished` has not been stored yet */
	size_t count;     /* the row's length */
	struct swm_kafka_delivery *first;
	struct swm_kafka_delivery *last;
};

struct swm_kafka_slot;

struct swm_kafka_deliveries {
	struct swm_kafka_slot *slots;
	uint32_t slot_count;
	uint32_t free_first; /* index + 1 of the first free slot, 0: none */
	uint32_t out;        /* handed out and not settled, lost ones included */
	uint32_t serial;
	struct swm_kafka_partition *partitions;
	struct swm_kafka_delivery *back_first;
	struct swm_kafka_delivery *back_last;
};

/* `number` is another one for each consumer of an adapter. */
void swm_kafka_deliveries_init(struct swm_kafka_deliveries *deliveries, uint32_t number);

/* Frees all that there is. */
void swm_kafka_deliveries_finish(struct swm_kafka_deliveries *deliveries);

/* Makes room for `count` more to be out. SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_kafka_deliveries_reserve(
	struct swm_kafka_deliveries *deliveries, uint32_t count, struct swm_error *err);

/* --- Partitions --- */

/* A new one, with nothing in its row. NULL: out of memory. */
struct swm_kafka_partition *swm_kafka_partition_add(
	struct swm_kafka_deliveries *deliveries, size_t source, int32_t number);

/* NULL: not assigned. */
struct swm_kafka_partition *swm_kafka_partition_find(
	const struct swm_kafka_deliveries *deliveries, size_t source, int32_t number);

/* Forgets all of them, with their rows: what is out is lost. */
void swm_kafka_partitions_drop(struct swm_kafka_deliveries *deliveries);

/* Forgets the row: the log has begun anew, or goes on elsewhere. */
void swm_kafka_partition_restart(
	struct swm_kafka_deliveries *deliveries, struct swm_kafka_partition *partition);

/* --- Deliveries --- */

/* Appends what has just been received, in the state OUT; room has been reserved. Sets and
 * returns its token. */
uint64_t swm_kafka_deliveries_add(struct swm_kafka_deliveries *deliveries,
	struct swm_kafka_partition *partition, struct swm_kafka_delivery *delivery);

/* NULL: not out on this consumer. */
struct swm_kafka_delivery *swm_kafka_deliveries_find(
	const struct swm_kafka_deliveries *deliveries, uint64_t token);

/* Settles it for good: its token ends, and the partition may have advanced. */
void swm_kafka_deliveries_finish_one(
	struct swm_kafka_deliveries *deliveries, struct swm_kafka_delivery *delivery);

/* Its token ends, and it is to be handed out again when it is due. One that is lost is
 * only forgotten. */
void swm_kafka_deliveries_give_back(struct swm_kafka_deliveries *deliveries,
	struct swm_kafka_delivery *delivery, int64_t due_ms);

/* Takes the first that is due at `now_ms`, and gives it a new token; room has been
 * reserved. NULL: none is. */
struct swm_kafka_delivery *swm_kafka_deliveries_take_back(
	struct swm_kafka_deliveries *deliveries, int64_t now_ms);

/* When the first of them will be; INT64_MAX: there is none. */
int64_t swm_kafka_deliveries_due_ms(const struct swm_kafka_deliveries *deliveries);

#endif
