/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQLITE_WAKE_H
#define QUEUE_SQLITE_WAKE_H

/*
 * How one process tells the others that a queue has something new.
 *
 * Every process maps the same small file. It holds one 32-bit counter that all
 * waiters sleep on (a shared futex) and one counter per slot; a queue belongs to
 * the slot that its id falls on. Who has committed adds one to the counters of
 * the slots it touched, then to the common one, and wakes the sleepers whose
 * mask has one of these slots (FUTEX_WAKE_BITSET). So a consumer of several
 * queues sleeps on a single word, a publish does not stir the consumers of other
 * queues, and who is stirred for nothing learns so without asking the database.
 *
 * The file carries hints only. If it is lost, or a process dies between its commit
 * and its signal, a waiter notices one look later.
 *
 * Concurrency: everything here may be called from any thread; the words are
 * atomics. Order: slots first, then the common counter; a waiter reads them the
 * other way round, so it sees every slot that belongs to the common value it saw.
 */

#include <swm/types.h>

struct swm_wake;

/* Which sleepers a signal concerns: a bit per slot. */
typedef uint32_t swm_wake_mask;

/* Opens and maps the file at `path`, creating it when it is missing. Free with
 * swm_wake_close(). SWM_E_UNAVAILABLE, SWM_E_DENIED, SWM_E_THROTTLED (disk full), SWM_E_NOMEM. */
SWM_NODISCARD swm_status swm_wake_open(
	const char *path, struct swm_wake **out, struct swm_error *err);

/* NULL is allowed. Nobody may wait any more. */
void swm_wake_close(struct swm_wake *wake);

/* The slot of a queue. */
swm_wake_mask swm_wake_queue_mask(int64_t queue_id);

/* A slot no queue belongs to, to wake one consumer by; a few consumers can share
 * it. Differs from call to call. */
swm_wake_mask swm_wake_private_mask(struct swm_wake *wake);

/* Wakes whoever waits on one of the slots in `mask`, in every process. */
void swm_wake_signal(struct swm_wake *wake, swm_wake_mask mask);

/* The value to wait on; read it before looking whether there is anything. */
uint32_t swm_wake_value(struct swm_wake *wake);

/* Grows whenever one of the slots in `mask` was signalled; only good for a
 * comparison with the previous answer. */
uint32_t swm_wake_news(struct swm_wake *wake, swm_wake_mask mask);

/* Sleeps until a signal for `mask`, until the value is another than `seen`, or for
 * timeout_ms (monotonic), whichever comes first; may return early. */
void swm_wake_wait(
	struct swm_wake *wake, swm_wake_mask mask, uint32_t seen, int64_t timeout_ms);

#endif
