/* SPDX-License-Identifier: MIT */

/*
 * Leases of queues that have them: they end, they can be extended, and who has
 * lost one is told. Of others: EXTEND is refused and settles nothing.
 */

#include "queue_kit.h"

#include <string.h>

/* How long the delivery is leased from now on. */
static int64_t lease_left_ms(struct conform_case *c, const struct swm_delivery *delivery)
{
	int64_t left_ms = delivery->lease_until_ms - queue_wall_ms(c);
	CONFORM_THAT(delivery->lease_until_ms > 0, "a lease runs, yet lease_until_ms is 0");
	CONFORM_THAT(left_ms <= QUEUE_LEASE_MAX_MS,
		"a lease of %lld ms: configure one of at most %d s to test with",
		(long long)left_ms, QUEUE_LEASE_MAX_MS / 1000);
	return left_ms;
}

static void extend(struct conform_case *c, struct queue_consumer *consumer, uint64_t token)
{
	CONFORM_OK(c, queue_settle_one(c->qops, consumer->consumer, token, SWM_EXTEND,
			      CONFORM_PATIENCE_MS, &c->err));
}

/* Two messages are held; one of the leases is extended, the other ends. */
static void ends_or_is_extended(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 2);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	struct swm_delivery lost = queue_next(c, first);
	struct swm_delivery kept = queue_next(c, first);
	(void)lease_left_ms(c, &lost);
	extend(c, first, kept.token);
	extend(c, first, kept.token);

	struct queue_consumer *second = queue_listen(c, &queue, 1, 0);
	struct swm_delivery again = queue_next(c, second);
	CONFORM_THAT(queue_wall_ms(c) >= lost.lease_until_ms - CONFORM_CLOCK_SLACK_MS,
		"delivered to another %lld ms before the lease's end",
		(long long)(lost.lease_until_ms - queue_wall_ms(c)));
	CONFORM_THAT(
		conform_str_is(again.body, lost.body), "the extended one was delivered again");
	CONFORM_THAT((c->qops->capabilities & SWM_QUEUE_ATTEMPTS) == 0 || again.attempt == 2,
		"attempt is %u, must be 2", again.attempt);
	queue_nothing(c, second, QUEUE_QUIET_MS);

	struct swm_settlement items[2] = {{.token = lost.token, .action = SWM_ACK},
		{.token = kept.token, .action = SWM_ACK}};
	CONFORM_IS(c, SWM_E_CONFLICT,
		c->qops->consumer_settle(first->consumer, items, 2, &c->err));
	conform_close_now(c, first);
	queue_nothing(c, second, QUEUE_QUIET_MS);
	queue_ack(c, second, again.token);
	conform_close_now(c, second);
	queue_nothing(c, queue_listen(c, &queue, 1, 0), QUEUE_QUIET_MS);
}

static void extended_in_time(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	struct swm_delivery held = queue_next(c, first);
	struct swm_str body = conform_name(c, "m-0");
	int64_t left_ms = lease_left_ms(c, &held);
	extend(c, first, held.token);
	conform_sleep_ms(left_ms < 0 ? 0 : left_ms + QUEUE_QUIET_MS);
	struct queue_consumer *second = queue_listen(c, &queue, 1, 0);
	queue_nothing(c, second, QUEUE_QUIET_MS);
	CONFORM_THAT(conform_str_is(held.body, body), "the body went with the first lease");
	queue_ack(c, first, held.token);
	queue_nothing(c, second, QUEUE_QUIET_MS);
}

/* An extended delivery that goes back does so at once, not when its lease ends. */
static void extended_goes_back(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 2);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 0);
	struct swm_delivery one = queue_next(c, first);
	struct swm_delivery two = queue_next(c, first);
	struct swm_settlement items[2] = {
		{.token = one.token, .action = SWM_EXTEND, .delay_ms = CONFORM_LONG_LEASE_MS},
		{.token = two.token, .action = SWM_EXTEND, .delay_ms = CONFORM_LONG_LEASE_MS}};
	CONFORM_OK(c, c->qops->consumer_settle(first->consumer, items, 2, &c->err));
	queue_nack(c, first, one.token);
	conform_close_now(c, first);
	queue_drain(c, queue_listen(c, &queue, 1, 0), "m", 2);
}

/* With one place, what was lost holds it until it has been settled once more. */
static void lost_counts(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 1);
	struct queue_consumer *first = queue_listen(c, &queue, 1, 1);
	struct swm_delivery lost = queue_next(c, first);
	(void)lease_left_ms(c, &lost);
	struct queue_consumer *second = queue_listen(c, &queue, 1, 1);
	struct swm_delivery taken = queue_next(c, second);
	extend(c, second, taken.token);
	CONFORM_IS(c, SWM_E_CONFLICT,
		queue_settle_one(c->qops, first->consumer, lost.token, SWM_EXTEND,
			CONFORM_PATIENCE_MS, &c->err));
	queue_fill(c, queue, "n", 1);
	queue_nothing(c, first, QUEUE_QUIET_MS);
	swm_status status =
		queue_settle_one(c->qops, first->consumer, lost.token, SWM_NACK, 0, &c->err);
	CONFORM_IS(c, status == SWM_OK ? SWM_OK : SWM_E_CONFLICT, status);
	queue_drain(c, first, "n", 1);
	queue_ack(c, second, taken.token);
}

static void refused(struct conform_case *c)
{
	struct swm_str queue = queue_new(c, "q");
	queue_fill(c, queue, "m", 2);
	struct queue_consumer *consumer = queue_listen(c, &queue, 1, 0);
	struct swm_delivery one = queue_next(c, consumer);
	struct swm_delivery two = queue_next(c, consumer);
	struct swm_settlement items[2] = {{.token = one.token, .action = SWM_ACK},
		{.token = two.token, .action = SWM_EXTEND, .delay_ms = 1000}};
	CONFORM_IS(c, SWM_E_UNSUPPORTED,
		c->qops->consumer_settle(consumer->consumer, items, 2, &c->err));
	queue_ack(c, consumer, two.token);
	queue_ack(c, consumer, one.token);
	queue_nothing(c, consumer, QUEUE_QUIET_MS);
}

static const struct conform_test tests[] = {
	{CONFORM_PROMISE("queue.lease.ends", ends_or_is_extended,
		 "when a lease ends the message comes to another; who held it is told "
		 "CONFLICT, "
		 "the others are settled"),
		.needs = SWM_QUEUE_EXTEND},
	{CONFORM_PROMISE("queue.lease.extend", extended_in_time,
		 "an extended delivery comes to nobody else and can be acknowledged late"),
		.needs = SWM_QUEUE_EXTEND},
	{CONFORM_PROMISE("queue.lease.back", extended_goes_back,
		 "NACK and close end an extended lease at once"),
		.needs = SWM_QUEUE_EXTEND},
	{CONFORM_PROMISE("queue.lease.counts", lost_counts,
		 "a delivery whose lease is lost counts for the prefetch until it is settled"),
		.needs = SWM_QUEUE_EXTEND},
	{CONFORM_PROMISE("queue.lease.unsupported", refused,
		 "without the capability EXTEND is UNSUPPORTED and settles nothing"),
		.without = SWM_QUEUE_EXTEND},
};

const struct conform_group conform_queue_lease = CONFORM_GROUP(tests);
