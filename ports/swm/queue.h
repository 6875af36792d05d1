/* SPDX-License-Identifier: MIT */
#ifndef SWM_QUEUE_H
#define SWM_QUEUE_H

/*
 * The queue port: at-least-once delivery in, confirmed publishing out.
 *
 * What every adapter promises:
 *  - a delivery that is not settled comes back, to this or another consumer
 *    [close.gives-back] [kill.gives-back] [crowd.threads] [crowd.processes];
 *  - publish() reports SWM_OK for a message only when the broker has taken
 *    responsibility for it (publisher confirm, delivery report, 2xx)
 *    [publish.kept] [publish.durable];
 *  - a message may arrive twice, and in any order.
 * What no adapter is asked for: exactly-once, ordering, delays and a
 * dead-letter queue. The core gets these from the store.
 *
 * What stands in brackets is a test of the conformance kit that holds an
 * adapter to the promise before it: swm-conform --list names them all, with
 * "queue." before. A promise without one is about what the kit cannot bring
 * about, such as a broker that does not answer.
 *
 * Threads. A swm_queue is shared: its functions may be called from any thread
 * [crowd.prepare]. A consumer or a publisher is confined: it is opened, used and
 * closed by one thread, and never used by two at once; its deliveries are settled
 * through it [settle.own]. The one exception is consumer_wake(). So an adapter
 * needs no lock around a connection that its client library does not want shared.
 *
 * Memory. What is passed in is borrowed for the call [memory.borrowed]. What a
 * delivery points to belongs to the adapter and stays where it is until the
 * delivery has been settled for good (SWM_EXTEND is not) or the consumer closed
 * [delivery.memory].
 */

#include <swm/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct swm_queue;
struct swm_consumer;
struct swm_publisher;

enum {
	SWM_QUEUE_EXTEND = 1 << 0,  /* a lease runs, and can be extended */
	SWM_QUEUE_ATTEMPTS = 1 << 1 /* swm_delivery.attempt is exact */
};

struct swm_message {
	struct swm_str destination; /* queue or topic */
	struct swm_str id;          /* the same on every attempt */
	struct swm_str key;         /* what to keep together: the instance */
	struct swm_str body;        /* any bytes [body.bytes] [body.large] [body.empty] */
	const struct swm_header *headers;
	size_t header_count;
	uint64_t reserved[2]; /* 0 */
};

/* One message received. `id` is what the publisher gave, or the broker where that
 * is stable over redelivery, else absent [delivery.id]; `key` and headers as
 * published, as far as the broker carries them [publish.round-trip] [headers]. */
struct swm_delivery {
	uint64_t token;        /* names it to settle(), on this consumer */
	struct swm_str source; /* the queue it came from [source.several] */
	struct swm_str id;
	struct swm_str key;
	struct swm_str body;
	const struct swm_header *headers;
	size_t header_count;
	uint32_t attempt;       /* from 1; 0 when the broker cannot say [delivery.attempt] */
	uint32_t redelivered;   /* 1 when known not to be the first */
	int64_t lease_until_ms; /* wall clock; 0: while connected */
	uint64_t reserved[2];
};

enum {
	SWM_ACK = 1,   /* done (or parked in the store): never deliver again [settle.ack] */
	SWM_NACK = 2,  /* not done: deliver again [settle.nack] [lease.back] */
	SWM_EXTEND = 3 /* still at it: delay_ms more [lease.extend] */
};

struct swm_settlement {
	uint64_t token;
	uint32_t action;
	uint32_t reserved;
	int64_t delay_ms; /* SWM_NACK: a wish [settle.nack-delay]; SWM_EXTEND: the lease */
};

/*
 * The operation table. Members marked MUST are never NULL; MAY ones can be, and
 * the core then does without. Each lists the statuses that it may return beyond
 * these, which any may: SWM_E_NOMEM, SWM_E_INTERNAL, SWM_E_INVALID (the caller
 * broke the contract). On failure outputs are untouched and `err`, when given,
 * says why [failure.report]. No call takes longer than
 * swm_open_args.call_timeout_ms beyond the timeout that it is given.
 */
struct swm_queue_ops {
	uint32_t size;
	uint32_t capabilities; /* SWM_QUEUE_*, what the adapter can do at all */

	/* MUST. Makes the adapter ready from its checked configuration; need not
	 * connect. Main thread. SWM_E_CONFIG: the options contradict each other.
	 * SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_CORRUPT: only if it does connect. */
	swm_status (*open)(const struct swm_open_args *args, struct swm_queue **out,
		struct swm_error *err);

	/* MUST. After its consumers and publishers are closed. Main thread. NULL is
	 * allowed [close.null]. */
	void (*close)(struct swm_queue *queue);

	/* MUST. A round trip to the broker: is it there, may we, do these queues
	 * exist? Creates the missing ones when the configuration allows it [prepare].
	 * Any thread, at any time: before the first publish to a new destination, too
	 * [crowd.prepare].
	 * SWM_E_NOT_FOUND: one is missing and may not be created; SWM_E_INVALID: a
	 * name that the broker does not allow; SWM_E_DENIED, SWM_E_UNAVAILABLE,
	 * SWM_E_TIMEOUT. */
	swm_status (*prepare)(struct swm_queue *queue, const struct swm_str *names,
		size_t count, struct swm_error *err);

	/* MUST. Begins to listen to all `sources`, at least one, and to no other
	 * [source.several] [source.many] [source.only]; their names are copied
	 * [memory.borrowed]. `prefetch` bounds how many deliveries are out unsettled
	 * [prefetch]; 0 leaves it to the adapter. The thread that calls owns the
	 * consumer.
	 * SWM_E_NOT_FOUND, SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_TIMEOUT. */
	swm_status (*consumer_open)(struct swm_queue *queue, const struct swm_str *sources,
		size_t count, uint32_t prefetch, struct swm_consumer **out,
		struct swm_error *err);

	/* MUST. Waits until there is something [receive.published]
	 * [receive.published-promptly] [receive.published-process], at most timeout_ms
	 * (0: only look) [receive.timeout], and takes what is there, at most max
	 * [receive.max]: it does not wait to fill `out` [receive.prompt].
	 * SWM_OK means *count >= 1; SWM_E_TIMEOUT: nothing came; SWM_E_INTERRUPTED: a
	 * wake, and no message is lost by it [wake.loss]. max 0 only services the
	 * connection (heartbeats, rebalance) and is SWM_E_TIMEOUT [receive.service].
	 * Who holds a consumer calls this at least every 5 s.
	 * SWM_E_UNAVAILABLE: the consumer is only good for close() from now on, and
	 * its unsettled deliveries are void. SWM_E_DENIED: likewise. */
	swm_status (*consumer_receive)(struct swm_consumer *consumer, int64_t timeout_ms,
		struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err);

	/* MUST. Settles in the order given [settle.batch]; a token twice is
	 * SWM_E_INVALID [settle.twice]. After any failure each of them may come back,
	 * and the caller must not settle them again but after SWM_E_THROTTLED and
	 * SWM_E_TIMEOUT. SWM_EXTEND without
	 * the capability is SWM_E_UNSUPPORTED and settles nothing [lease.unsupported].
	 * SWM_E_CONFLICT: of at least one the lease was lost before; the others are
	 * settled [lease.ends]. A delivery whose SWM_EXTEND was that counts for the
	 * prefetch still: it is to be settled once more, with SWM_NACK, which may be
	 * SWM_E_CONFLICT again [lease.counts].
	 * SWM_E_UNAVAILABLE: as for receive. */
	swm_status (*consumer_settle)(struct swm_consumer *consumer,
		const struct swm_settlement *items, size_t count, struct swm_error *err);

	/* MUST. From any thread, also while the owner is in receive: the receive that
	 * waits [wake.waiting], or else the next one [wake.next], returns
	 * SWM_E_INTERRUPTED at once; of this consumer alone [wake.own]. Wakes do not
	 * add up [wake.next]. */
	void (*consumer_wake)(struct swm_consumer *consumer);

	/* MUST. What is unsettled goes back to the broker [close.gives-back]. NULL is
	 * allowed [close.null]. */
	void (*consumer_close)(struct swm_consumer *consumer);

	/* MUST. The thread that calls owns the publisher [crowd.threads].
	 * SWM_E_DENIED, SWM_E_UNAVAILABLE, SWM_E_TIMEOUT. */
	swm_status (*publisher_open)(
		struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err);

	/* MUST. Sends them all, each to its destination [publish.destinations], waits
	 * for every confirm at most timeout_ms, and says in results[i] what became of
	 * each [publish.results]:
	 *   SWM_OK             the broker has it
	 *   SWM_E_INDOUBT      sent, not answered in time
	 *   SWM_E_NOT_FOUND    no such destination; may heal
	 *   SWM_E_THROTTLED    refused for now; may heal
	 *   SWM_E_TIMEOUT, SWM_E_UNAVAILABLE   not sent; may heal
	 *   SWM_E_DENIED       may heal, by a change of rights
	 *   SWM_E_TOO_LARGE, SWM_E_INVALID     never will be taken
	 * Returns SWM_OK when all are SWM_OK, else the status of the first that is
	 * not, all results being set. SWM_E_UNAVAILABLE: the publisher is only good
	 * for close(). `count` 0 is SWM_OK [publish.none]. */
	swm_status (*publisher_publish)(struct swm_publisher *publisher,
		const struct swm_message *messages, size_t count, int64_t timeout_ms,
		swm_status *results, struct swm_error *err);

	/* MUST. NULL is allowed [close.null]. */
	void (*publisher_close)(struct swm_publisher *publisher);

	/* MAY. How many messages wait in a queue, those out unsettled not counted;
	 * brokers may know it only roughly [depth]. Any thread. SWM_E_NOT_FOUND,
	 * SWM_E_UNAVAILABLE, SWM_E_TIMEOUT, SWM_E_DENIED. */
	swm_status (*depth)(struct swm_queue *queue, struct swm_str name, int64_t *out,
		struct swm_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
