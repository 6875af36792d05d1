/* SPDX-License-Identifier: MIT */

/*
 * Publishing: all messages of a call are handed to the library, then its reports awaited.
 * When time is over, what it has not sent yet is taken back from it, so that it is known
 * not to be sent; what is under way is in doubt.
 *
 * While a call goes on, results[i] says where message i stands: SWM_E_TIMEOUT is not
 * sent, SWM_E_INDOUBT handed over and not reported, which is what they are if time runs
 * out.
 *
 * A broker that has not answered an earlier call is not sent more until it is heard, so
 * that one which hangs holds no more than a call's messages in doubt.
 *
 * A broker refuses a batch as a whole, be it for one message or because all together are
 * too much for the topic. What such a batch had in it goes once more, each message by
 * itself, before anything is said of it that is for good.
 *
 * An idempotent producer may fail for good, in librdkafka 2.0.2 after a mere disconnection
 * (#4438). Then another one takes its place, and what has not been reported is sent again:
 * with the same ids, as anything is that is owed.
 *
 * Concurrency: a publisher has its own producer and belongs to one thread; reports come
 * when that thread polls.
 */

#include "producer.h"
#include "status.h"
#include "topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long one poll waits for a report, at most. */
#define POLL_MS 100

/* What is taken back is reported within so long, as it never leaves the process. */
#define TAKE_BACK_MS 200

/* How often in a call another producer is made. */
#define RENEWALS_MAX 2

/* What comes back with a report: the number of the call and that of the message. It is
 * never followed as a pointer. */
union ticket {
	void *ptr;
	uint64_t number;
};
#define TICKET_BITS 32
_Static_assert(sizeof(void *) == sizeof(uint64_t), "a ticket fits a pointer");

struct swm_publisher {
	struct swm_queue *queue;
	struct swm_kafka_producer producer;
	uint32_t call;                 /* its number */
	size_t debts;                  /* messages of earlier calls that are not reported */
	bool fatal;                    /* the producer has failed for good */
	struct publishing *publishing; /* the call that goes on; NULL: none */
};

/* One call. */
struct publishing {
	struct swm_publisher *publisher;
	const struct swm_message *messages;
	size_t count;
	swm_status *results;
	size_t waiting;  /* handed over, and not reported */
	bool heard;      /* a report has come */
	bool doubtful;   /* what is to be sent again may have arrived before */
	bool singly;     /* each message is sent by itself from now on */
	bool over;       /* what the library gives back now is not sent again */
	size_t alone_at; /* the message that was sent by itself, SIZE_MAX: none */
	int64_t until_ms;
	struct swm_error *err;
	size_t refused_at; /* the first message that is refused, SIZE_MAX: none */
	struct swm_error refused;
	swm_status unsent; /* what those have come to that were not sent */
	struct swm_error why_unsent;
};

static void conclude(struct publishing *publishing, size_t message, swm_status result,
	const struct swm_error *why)
{
	publishing->results[message] = result;
	if (result != SWM_OK && message < publishing->refused_at) {
		publishing->refused_at = message;
		publishing->refused = *why;
	}
}

/* Reports. */

/* What a message has come to that was not taken. */
static swm_status judge(const rd_kafka_message_t *message)
{
	swm_status status = swm_kafka_status(message->err);

	if (status != SWM_E_TIMEOUT && status != SWM_E_UNAVAILABLE) {
		return status;
	}
	return rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED
		       ? SWM_E_UNAVAILABLE
		       : SWM_E_INDOUBT;
}

static bool is_given_back(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
	       code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* It was not taken, or not by this producer, and is to be sent again. */
static void note_again(
	struct publishing *publishing, size_t at, const rd_kafka_message_t *message)
{
	publishing->results[at] = SWM_E_TIMEOUT;
	if (rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) {
		publishing->doubtful = true;
	}
}

static void note_report(
	struct publishing *publishing, size_t at, const rd_kafka_message_t *message)
{
	struct swm_publisher *publisher = publishing->publisher;
	struct swm_error why = {0};
	struct swm_str name = publishing->messages[at].destination;
	struct swm_kafka_destination *destination;
	swm_status result;

	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		conclude(publishing, at, SWM_OK, &why);
		return;
	}
	if (is_given_back(message->err)) {
		/* Sent again if there is time, even if it may have arrived. */
		if (!publishing->over ||
			rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED) {
			note_again(publishing, at, message);
		}
		return;
	}
	result = judge(message);
	if ((result == SWM_E_TOO_LARGE || result == SWM_E_INVALID) &&
		at != publishing->alone_at) {
		publishing->singly = true;
		note_again(publishing, at, message);
		return;
	}
	(void)swm_fail(&why, result, (int)message->err, "topic \"%.*s\": %s", (int)name.len,
		name.ptr, rd_kafka_err2str(message->err));
	conclude(publishing, at, result, &why);
	destination = swm_kafka_producer_find(&publisher->producer, name);
	if ((result == SWM_E_NOT_FOUND || result == SWM_E_DENIED) && destination != NULL) {
		/* The library keeps that in mind until it asks for the topic again. */
		destination->status = SWM_E_TIMEOUT;
	}
}

static void take_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	const struct swm_kafka_client *client = opaque;
	struct swm_publisher *publisher = client->owner;
	struct publishing *publishing = publisher->publishing;
	const union ticket ticket = {.ptr = message->_private};

	(void)rk;
	if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
		publisher->fatal = true;
	}
	if (publishing == NULL || ticket.number >> TICKET_BITS != publisher->call) {
		publisher->debts -= publisher->debts != 0 ? 1 : 0;
		if (publishing != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			publishing->heard = true;
		}
		return;
	}
	publishing->heard = true;
	publishing->waiting--;
	note_report(publishing, ticket.number & UINT32_MAX, message);
}

/* The producer. */

static swm_status open_producer(struct swm_publisher *publisher, struct swm_error *err)
{
	swm_status status = swm_kafka_producer_open(
		&publisher->producer, publisher->queue, publisher, take_report, err);

	publisher->fatal = false;
	publisher->debts = 0;
	/* The configuration was good for another one. */
	return status == SWM_E_CONFIG ? SWM_E_UNAVAILABLE : status;
}

static void poll_reports(struct swm_publisher *publisher, int timeout_ms)
{
	(void)rd_kafka_poll(publisher->producer.client->rk, timeout_ms);
	if (rd_kafka_fatal_error(publisher->producer.client->rk, NULL, 0) !=
		RD_KAFKA_RESP_ERR_NO_ERROR) {
		publisher->fatal = true;
	}
}

/* Another one takes its place; what it had not sent is to be sent again. */
static swm_status renew(struct swm_publisher *publisher, struct swm_error *err)
{
	struct swm_kafka_client *client = publisher->producer.client;
	char reason[SWM_ERROR_MESSAGE_MAX] = "";

	(void)rd_kafka_fatal_error(client->rk, reason, sizeof(reason));
	swm_kafka_client_log(
		client, SWM_LOG_WARN, "the producer has failed, and is made anew: %s", reason);
	publisher->queue->host->count(
		publisher->queue->host->ctx, "kafka_producers_renewed_total", 1);
	swm_kafka_producer_close(
		&publisher->producer, swm_kafka_until_ms(publisher->queue->call_timeout_ms));
	return open_producer(publisher, err);
}

void swm_kafka_publisher_close(struct swm_publisher *publisher)
{
	if (publisher == NULL) {
		return;
	}
	swm_kafka_producer_close(
		&publisher->producer, swm_kafka_until_ms(publisher->queue->call_timeout_ms));
	free(publisher);
}

swm_status swm_kafka_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	struct swm_publisher *publisher = calloc(1, sizeof(*publisher));
	int64_t until_ms = swm_kafka_until_ms(queue->call_timeout_ms);
	swm_status status;

	if (publisher == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	publisher->queue = queue;
	status = open_producer(publisher, err);
	if (status == SWM_OK) {
		status = swm_kafka_producer_reach(&publisher->producer, until_ms, err);
	}
	if (status != SWM_OK) {
		swm_kafka_publisher_close(publisher);
		return status;
	}
	*out = publisher;
	return SWM_OK;
}

/* One call. */

static bool is_time_over(const struct publishing *publishing)
{
	return swm_kafka_left_ms(publishing->until_ms) == 0;
}

static int poll_ms(const struct publishing *publishing)
{
	int left_ms = swm_kafka_left_ms(publishing->until_ms);

	return left_ms < POLL_MS ? left_ms : POLL_MS;
}

static void set_unsent(
	struct publishing *publishing, swm_status status, const struct swm_error *why)
{
	publishing->unsent = status;
	publishing->why_unsent = *why;
}

static swm_status check_message(const struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err)
{
	size_t limit = (size_t)publisher->queue->config->message_bytes_max;
	swm_status status = swm_kafka_name_check(message->destination, err);

	if (status == SWM_OK && message->body.len > limit) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"a message to \"%.*s\" has more than the %zu bytes of max_message",
			(int)message->destination.len, message->destination.ptr, limit);
	}
	return status;
}

/* Those that can be sent stay SWM_E_TIMEOUT. */
static void check_messages(struct publishing *publishing)
{
	struct swm_error why = {0};
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		swm_status status =
			check_message(publishing->publisher, &publishing->messages[i], &why);

		if (status != SWM_OK) {
			conclude(publishing, i, status, &why);
		}
	}
}

/* Finds and asks for the topics. False: nothing can be sent. */
static bool find_destinations(struct publishing *publishing)
{
	struct swm_kafka_producer *producer = &publishing->publisher->producer;
	struct swm_error why = {0};
	swm_status status;
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		struct swm_kafka_destination *destination;

		if (publishing->results[i] != SWM_E_TIMEOUT) {
			continue;
		}
		destination =
			swm_kafka_producer_find(producer, publishing->messages[i].destination);
		if (destination == NULL) {
			(void)swm_fail(&why, SWM_E_THROTTLED, 0, "out of memory");
			set_unsent(publishing, SWM_E_THROTTLED, &why);
			return false;
		}
		/* What was not there may be now. */
		if (destination->status != SWM_OK) {
			destination->status = SWM_E_TIMEOUT;
		}
	}
	status = swm_kafka_producer_ask(producer, publishing->until_ms, &why);
	if (status != SWM_OK) {
		set_unsent(publishing, status, &why);
	}
	return status == SWM_OK;
}

/* Waits until the broker is heard, if it owes reports from before. */
static bool is_answering(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;

	poll_reports(publisher, 0);
	while (publisher->debts != 0 && !publishing->heard && !publisher->fatal &&
		!is_time_over(publishing)) {
		poll_reports(publisher, poll_ms(publishing));
	}
	return publisher->debts == 0 || publishing->heard || publisher->fatal;
}

/* False: no more is to be sent for now. */
static bool send_one(struct publishing *publishing, size_t at)
{
	struct swm_publisher *publisher = publishing->publisher;
	const struct swm_message *message = &publishing->messages[at];
	const struct swm_kafka_destination *destination =
		swm_kafka_producer_find(&publisher->producer, message->destination);
	const union ticket ticket = {.number = (uint64_t)publisher->call << TICKET_BITS | at};
	struct swm_error why = {0};
	swm_status status;

	if (destination == NULL) {
		return false;
	}
	if (destination->status != SWM_OK) {
		status = swm_fail(&why, destination->status, (int)destination->code,
			"topic \"%s\": %s", destination->name,
			rd_kafka_err2str(destination->code));
	} else {
		status = swm_kafka_producer_send(
			&publisher->producer, destination, message, ticket.ptr, &why);
	}
	if (status == SWM_OK) {
		publishing->results[at] = SWM_E_INDOUBT;
		publishing->waiting++;
		return true;
	}
	if (why.native == RD_KAFKA_RESP_ERR__FATAL) {
		publisher->fatal = true;
		return false;
	}
	if (status == SWM_E_THROTTLED && why.native == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
		return false;
	}
	conclude(publishing, at, status, &why);
	return true;
}

/* Hands over what is left. False: some still is. */
static bool send_all(struct publishing *publishing)
{
	size_t i;

	for (i = 0; i < publishing->count; i++) {
		if (publishing->results[i] != SWM_E_TIMEOUT) {
			continue;
		}
		if (publishing->singly) {
			if (publishing->waiting != 0) {
				return false;
			}
			publishing->alone_at = i;
		}
		if (!send_one(publishing, i)) {
			return false;
		}
	}
	return true;
}

/* Sends and listens until all is reported, time is over, or the producer has failed. */
static void exchange(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	bool sent = send_all(publishing);

	while (!publisher->fatal && (!sent || publishing->waiting != 0) &&
		!is_time_over(publishing)) {
		poll_reports(publisher, poll_ms(publishing));
		sent = send_all(publishing);
	}
}

/* Has the library give back what it has not sent. */
static void take_back(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	int64_t until_ms = swm_kafka_until_ms(TAKE_BACK_MS);
	size_t before;

	publishing->over = true;
	if (publishing->waiting == 0) {
		return;
	}
	/* Not waited for: a thread of the library's that looks up a name does not answer. */
	(void)rd_kafka_purge(publisher->producer.client->rk,
		RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	do {
		before = publishing->waiting;
		poll_reports(publisher, POLL_MS / 2);
	} while (publishing->waiting != 0 && publishing->waiting != before &&
		 swm_kafka_left_ms(until_ms) != 0);
}

/* Everything of the call with one producer; false: it has failed. */
static bool run(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	struct swm_error why = {0};

	if (!is_answering(publishing)) {
		(void)swm_fail(&why, SWM_E_TIMEOUT, 0,
			"not sent: the broker still owes the answers to what was sent before");
		set_unsent(publishing, SWM_E_TIMEOUT, &why);
		return true;
	}
	if (!publisher->fatal && find_destinations(publishing)) {
		exchange(publishing);
	}
	return !publisher->fatal;
}

/* What the producer that is gone has not reported is to be sent again. */
static void prepare_again(struct publishing *publishing)
{
	size_t i;

	publishing->doubtful = true;
	publishing->waiting = 0;
	for (i = 0; i < publishing->count; i++) {
		if (publishing->results[i] == SWM_E_INDOUBT) {
			publishing->results[i] = SWM_E_TIMEOUT;
		}
	}
}

/* Gives every message its result; the first that is not SWM_OK is returned. */
static swm_status finish(struct publishing *publishing)
{
	struct swm_error doubt = {0};
	swm_status first = SWM_OK;
	size_t i;

	(void)swm_fail(&doubt, SWM_E_INDOUBT, 0, "sent, and not confirmed in time");
	for (i = 0; i < publishing->count; i++) {
		const struct swm_error *why = &publishing->refused;

		if (publishing->results[i] == SWM_E_TIMEOUT && !publishing->doubtful) {
			publishing->results[i] = publishing->unsent;
			why = &publishing->why_unsent;
		} else if (publishing->results[i] == SWM_E_TIMEOUT) {
			publishing->results[i] = SWM_E_INDOUBT;
			why = &doubt;
		} else if (publishing->results[i] == SWM_E_INDOUBT &&
			   i != publishing->refused_at) {
			why = &doubt;
		}
		if (first == SWM_OK && publishing->results[i] != SWM_OK) {
			first = publishing->results[i];
			if (publishing->err != NULL) {
				*publishing->err = *why;
			}
		}
	}
	return first;
}

swm_status swm_kafka_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct publishing publishing = {
		.publisher = publisher,
		.messages = messages,
		.count = count,
		.results = results,
		.alone_at = count == 1 && publisher->debts == 0 ? 0 : SIZE_MAX,
		.until_ms = swm_kafka_until_ms(timeout_ms),
		.err = err,
		.refused_at = SIZE_MAX,
		.unsent = SWM_E_TIMEOUT,
	};
	struct swm_error why = {0};
	int renewals = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		results[i] = SWM_E_TIMEOUT;
	}
	(void)swm_fail(&publishing.why_unsent, SWM_E_TIMEOUT, 0, "not sent in time");
	check_messages(&publishing);
	publisher->call++;
	publisher->publishing = &publishing;
	while (publisher->producer.client != NULL && !run(&publishing) &&
		renewals++ < RENEWALS_MAX && !is_time_over(&publishing)) {
		swm_status status = renew(publisher, &why);

		prepare_again(&publishing);
		if (status != SWM_OK) {
			set_unsent(&publishing, status, &why);
		}
	}
	if (publisher->producer.client != NULL) {
		take_back(&publishing);
	} else {
		(void)swm_fail(&why, SWM_E_UNAVAILABLE, 0, "there is no producer");
		set_unsent(&publishing, SWM_E_UNAVAILABLE, &why);
	}
	publisher->debts += publishing.waiting;
	publisher->publishing = NULL;
	return finish(&publishing);
}
