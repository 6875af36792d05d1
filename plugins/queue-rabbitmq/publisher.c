/* SPDX-License-Identifier: MIT */

/*
 * Publishing: all messages of a call are sent, then their confirms awaited; both at once,
 * since the broker answers while it still takes. Everything waits in one place, at most
 * until the call's end.
 *
 * Messages go through the default exchange to the queue of their destination's name, and
 * are mandatory: without that queue they come back before they are confirmed.
 *
 * While a call goes on, results[i] says where message i stands: SWM_E_TIMEOUT is not
 * sent, SWM_E_INDOUBT sent and not answered, which is what they are if time runs out.
 *
 * A broker that has not answered an earlier call is not sent more until it is heard, so
 * that one which hangs holds no more than a call's messages in doubt.
 *
 * Concurrency: a publisher has its own connection and belongs to one thread. Nobody
 * services it between calls, so it has no heartbeats: the kernel notices (link.c).
 */

#include "confirms.h"
#include "frames.h"
#include "properties.h"
#include "queue_rabbitmq.h"
#include "status.h"
#include "topology.h"

#include <stdlib.h>
#include <string.h>

/* Small enough that one always fits into a socket's buffer. */
#define FRAME_MAX_BYTES (32 * 1024)

/* A broker that has not answered for so long is given up. */
#define SILENCE_MAX_MS 10000

/* After so many messages it is looked for answers, lest they pile up. */
#define SEND_MAX 64

/* What has come back, until the frames that follow have been read. */
struct returning {
	bool pending;
	bool matched;
	char destination[SWM_RMQ_NAME_MAX];
	size_t destination_len;
	uint64_t body_left;
};

struct swm_publisher {
	struct swm_queue *queue;
	struct swm_rmq_link link;
	bool confirming; /* the channel has been told to */
	bool failed;
	int64_t answered_ms; /* monotonic: the last answer, or the first call without one */
	struct swm_rmq_confirms confirms;
	struct returning returning;
	struct swm_rmq_outbound outbound;
};

/* One call. */
struct publishing {
	struct swm_publisher *publisher;
	const struct swm_message *messages;
	size_t count;
	swm_status *results;
	size_t next; /* to be sent */
	bool silent; /* earlier messages wait for their answers still */
	int64_t until_ms;
	size_t refused_at; /* the first message refused for itself, SIZE_MAX: none */
	struct swm_error refused;
	struct swm_error failed; /* what befell the connection, and so all others */
};

static swm_status open_link(
	struct swm_publisher *publisher, int64_t until_ms, struct swm_error *err)
{
	const struct swm_rmq_purpose purpose = {
		.title = "swm publisher",
		.frame_max = FRAME_MAX_BYTES,
	};

	return swm_rmq_link_open(
		&publisher->link, &publisher->queue->address, &purpose, until_ms, err);
}

/* The channel may be new: then the tags begin anew, and what was not answered never is. */
static swm_status ready_channel(
	struct swm_publisher *publisher, int64_t until_ms, struct swm_error *err)
{
	struct swm_rmq_link *link = &publisher->link;
	swm_status status;

	if (link->channel_open && publisher->confirming) {
		return SWM_OK;
	}
	status = swm_rmq_link_channel(link, until_ms, err);
	if (status == SWM_OK) {
		status = swm_rmq_link_ask(link, until_ms, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	(void)amqp_confirm_select(link->state, SWM_RMQ_CHANNEL);
	status = swm_rmq_link_answer(
		link, amqp_get_rpc_reply(link->state), "ask for confirms", err);
	publisher->confirming = status == SWM_OK;
	publisher->returning.pending = false;
	swm_rmq_confirms_init(&publisher->confirms);
	return status;
}

void swm_rmq_publisher_close(struct swm_publisher *publisher)
{
	if (publisher == NULL) {
		return;
	}
	swm_rmq_link_close(
		&publisher->link, swm_rmq_until_ms(publisher->queue->call_timeout_ms));
	free(publisher);
}

swm_status swm_rmq_publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	struct swm_publisher *publisher = calloc(1, sizeof(*publisher));
	int64_t until_ms = swm_rmq_until_ms(queue->call_timeout_ms);
	swm_status status;

	if (publisher == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	publisher->queue = queue;
	status = open_link(publisher, until_ms, err);
	if (status == SWM_OK) {
		status = ready_channel(publisher, until_ms, err);
	}
	if (status != SWM_OK) {
		swm_rmq_publisher_close(publisher);
		return status;
	}
	*out = publisher;
	return SWM_OK;
}

static void conclude(struct publishing *publishing, size_t message, swm_status result,
	const struct swm_error *why)
{
	publishing->results[message] = result;
	if (result != SWM_OK && message < publishing->refused_at) {
		publishing->refused_at = message;
		publishing->refused = *why;
	}
}

/* Answers. */

static void answer(struct publishing *publishing, struct swm_rmq_confirm *confirm, bool taken)
{
	struct swm_publisher *publisher = publishing->publisher;
	size_t message = confirm->message;
	struct swm_error why = {0};
	swm_status result = SWM_OK;

	publisher->answered_ms = swm_rmq_now_ms();
	publishing->silent = false;
	if (message != SWM_RMQ_NO_MESSAGE) {
		struct swm_str name = publishing->messages[message].destination;

		if (confirm->returned) {
			result = swm_fail(&why, SWM_E_NOT_FOUND, AMQP_NO_ROUTE,
				"%s: there is no queue \"%.*s\"", publisher->link.name,
				(int)name.len, name.ptr);
		} else if (!taken) {
			result = swm_fail(&why, SWM_E_THROTTLED, 0,
				"%s: queue \"%.*s\" does not take the message now",
				publisher->link.name, (int)name.len, name.ptr);
		}
		conclude(publishing, message, result, &why);
	}
	swm_rmq_confirms_remove(&publisher->confirms, confirm);
}

static void hear_answer(struct publishing *publishing, uint64_t tag, bool multiple, bool taken)
{
	struct swm_rmq_confirms *confirms = &publishing->publisher->confirms;
	struct swm_rmq_confirm *confirm;
	uint64_t from = multiple ? confirms->first : tag;

	for (; from <= tag && from < confirms->next; from++) {
		confirm = swm_rmq_confirms_find(confirms, from);
		if (confirm != NULL) {
			answer(publishing, confirm, taken);
		}
	}
}

/* Which of ours came back is not said. Of those to that queue with that id it is the
 * first: they come back in the order in which they were sent. */
static void match_returned(struct publishing *publishing, const amqp_basic_properties_t *got)
{
	struct swm_publisher *publisher = publishing->publisher;
	const struct returning *returning = &publisher->returning;
	struct swm_rmq_confirms *confirms = &publisher->confirms;
	struct swm_str id = {0};
	uint64_t tag;

	if ((got->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0) {
		id = swm_rmq_str(got->message_id);
	}
	for (tag = confirms->first; tag < confirms->next; tag++) {
		struct swm_rmq_confirm *confirm = swm_rmq_confirms_find(confirms, tag);
		const struct swm_message *message;

		if (confirm == NULL || confirm->returned ||
			confirm->message == SWM_RMQ_NO_MESSAGE) {
			continue;
		}
		message = &publishing->messages[confirm->message];
		if (message->destination.len == returning->destination_len &&
			memcmp(message->destination.ptr, returning->destination,
				returning->destination_len) == 0 &&
			message->id.len == id.len &&
			(id.len == 0 || memcmp(message->id.ptr, id.ptr, id.len) == 0)) {
			confirm->returned = true;
			return;
		}
	}
}

static void hear_return(struct swm_publisher *publisher, const amqp_basic_return_t *back)
{
	struct returning *returning = &publisher->returning;
	size_t len = back->routing_key.len;

	returning->pending = true;
	returning->matched = false;
	returning->destination_len = len < SWM_RMQ_NAME_MAX ? len : SWM_RMQ_NAME_MAX;
	if (returning->destination_len != 0) {
		memcpy(returning->destination, back->routing_key.bytes,
			returning->destination_len);
	}
}

/* The broker closes the channel over one of the messages that it has not answered, and
 * does not say which. What it refuses for its size is the largest. */
static void hear_close(struct publishing *publishing, const amqp_channel_close_t *reason)
{
	struct swm_publisher *publisher = publishing->publisher;
	struct swm_rmq_confirms *confirms = &publisher->confirms;
	struct swm_error why = {0};
	swm_status status = swm_rmq_link_closed(&publisher->link, reason, &why);
	size_t largest = SWM_RMQ_NO_MESSAGE;
	uint64_t tag;

	publisher->confirming = false;
	for (tag = confirms->first; tag < confirms->next; tag++) {
		struct swm_rmq_confirm *confirm = swm_rmq_confirms_find(confirms, tag);

		if (confirm == NULL || confirm->message == SWM_RMQ_NO_MESSAGE) {
			continue;
		}
		if (status == SWM_E_DENIED) {
			conclude(publishing, confirm->message, status, &why);
		}
		if (largest == SWM_RMQ_NO_MESSAGE ||
			publishing->messages[confirm->message].body.len >
				publishing->messages[largest].body.len) {
			largest = confirm->message;
		}
	}
	if (largest != SWM_RMQ_NO_MESSAGE &&
		(reason->reply_code == AMQP_PRECONDITION_FAILED || status == SWM_E_TOO_LARGE)) {
		why.status = SWM_E_TOO_LARGE;
		conclude(publishing, largest, SWM_E_TOO_LARGE, &why);
	}
	publishing->failed = why;
	publishing->failed.status = status == SWM_E_DENIED ? status : SWM_E_INDOUBT;
	swm_rmq_confirms_init(confirms);
}

static void hear_method(struct publishing *publishing, const amqp_method_t *method)
{
	const amqp_basic_ack_t *ack = method->decoded;
	const amqp_basic_nack_t *nack = method->decoded;

	switch (method->id) {
	case AMQP_BASIC_ACK_METHOD:
		hear_answer(publishing, ack->delivery_tag, ack->multiple != 0, true);
		break;
	case AMQP_BASIC_NACK_METHOD:
		hear_answer(publishing, nack->delivery_tag, nack->multiple != 0, false);
		break;
	case AMQP_BASIC_RETURN_METHOD:
		hear_return(publishing->publisher, method->decoded);
		break;
	case AMQP_CHANNEL_CLOSE_METHOD:
		hear_close(publishing, method->decoded);
		break;
	default:
		break;
	}
}

static void hear(struct publishing *publishing, const amqp_frame_t *frame)
{
	struct returning *returning = &publishing->publisher->returning;

	if (frame->frame_type == AMQP_FRAME_METHOD) {
		hear_method(publishing, &frame->payload.method);
	} else if (frame->frame_type == AMQP_FRAME_HEADER && returning->pending) {
		/* The body that follows is our own: it is passed over. */
		returning->pending = false;
		match_returned(publishing, frame->payload.properties.decoded);
	}
}

/* Reads what is there. False: the connection is lost. */
static bool listen_to(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	swm_status status;

	do {
		amqp_frame_t frame;

		status = swm_rmq_link_read(&publisher->link, &frame, &publishing->failed);
		if (status == SWM_OK) {
			hear(publishing, &frame);
			swm_rmq_link_release(&publisher->link);
		}
	} while (status == SWM_OK);
	publisher->failed = status != SWM_E_TIMEOUT;
	return !publisher->failed;
}

/* Sending. */

static swm_status send_body(struct swm_publisher *publisher, struct swm_str body,
	int64_t until_ms, struct swm_error *err)
{
	size_t most = publisher->link.frame_max - SWM_RMQ_FRAME_OVERHEAD;
	swm_status status = SWM_OK;
	size_t sent = 0;

	while (sent < body.len && status == SWM_OK) {
		size_t part = body.len - sent < most ? body.len - sent : most;
		amqp_frame_t frame = {
			.frame_type = AMQP_FRAME_BODY,
			.channel = SWM_RMQ_CHANNEL,
			.payload.body_fragment =
				swm_rmq_bytes((struct swm_str){body.ptr + sent, part}),
		};

		status = swm_rmq_link_send(
			&publisher->link, &frame, part + SWM_RMQ_FRAME_OVERHEAD, until_ms, err);
		sent += part;
	}
	return status;
}

/* *begun: some of it has been sent, when not all could be. */
static swm_status send_message(struct swm_publisher *publisher,
	const struct swm_message *message, int64_t until_ms, bool *begun, struct swm_error *err)
{
	amqp_basic_publish_t publish = {
		.routing_key = swm_rmq_bytes(message->destination),
		.mandatory = 1,
	};
	amqp_frame_t header = {
		.frame_type = AMQP_FRAME_HEADER,
		.channel = SWM_RMQ_CHANNEL,
		.payload.properties = {.class_id = AMQP_BASIC_CLASS,
			.body_size = message->body.len,
			.decoded = &publisher->outbound.properties},
	};
	swm_status status = swm_rmq_link_method(
		&publisher->link, AMQP_BASIC_PUBLISH_METHOD, &publish, until_ms, err);

	*begun = status == SWM_OK;
	if (status == SWM_OK) {
		status = swm_rmq_link_send(&publisher->link, &header,
			publisher->outbound.bytes + SWM_RMQ_FRAME_OVERHEAD, until_ms, err);
	}
	return status == SWM_OK ? send_body(publisher, message->body, until_ms, err) : status;
}

/* Sends the next one. False: no more can be sent for now, or ever. */
static bool send_next(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	const struct swm_message *message = &publishing->messages[publishing->next];
	struct swm_error why = {0};
	bool begun = false;
	swm_status status = swm_rmq_outbound_fill(
		&publisher->outbound, message, publisher->queue->config->content_type, &why);

	if (status == SWM_OK && publisher->outbound.bytes + SWM_RMQ_FRAME_OVERHEAD >
					publisher->link.frame_max) {
		status = swm_fail(&why, SWM_E_TOO_LARGE, 0,
			"the headers of message %.*s do not fit a frame of %zu bytes",
			(int)message->id.len, message->id.ptr, publisher->link.frame_max);
	}
	if (status != SWM_OK) {
		conclude(publishing, publishing->next++, status, &why);
		return true;
	}
	status = send_message(publisher, message, publishing->until_ms, &begun, &why);
	if (status == SWM_OK) {
		publishing->results[publishing->next] = SWM_E_INDOUBT;
		swm_rmq_confirms_add(&publisher->confirms, publishing->next);
		publishing->next++;
		return true;
	}
	/* Half a message is none, but nothing else can be said on that connection. */
	publisher->failed = begun || status != SWM_E_TIMEOUT;
	publisher->link.dead = publisher->failed;
	publishing->failed = why;
	return false;
}

/* Skips what was refused before it was sent. False: nothing is left to send. */
static bool find_next(struct publishing *publishing)
{
	while (publishing->next < publishing->count &&
		publishing->results[publishing->next] != SWM_E_TIMEOUT) {
		publishing->next++;
	}
	return publishing->next < publishing->count;
}

static bool may_send(const struct publishing *publishing)
{
	const struct swm_publisher *publisher = publishing->publisher;

	return publisher->confirming && !publishing->silent && !publisher->link.blocked &&
	       !publisher->failed && !swm_rmq_confirms_full(&publisher->confirms);
}

static void send_some(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	size_t sent = 0;

	swm_rmq_link_cork(&publisher->link, true);
	while (sent < SEND_MAX && find_next(publishing) && may_send(publishing) &&
		send_next(publishing)) {
		sent++;
	}
	swm_rmq_link_cork(&publisher->link, false);
}

/* Sends and listens until all is answered, time is over, or it cannot go on. */
static void exchange(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;

	while (listen_to(publishing) && publisher->confirming) {
		bool more;

		send_some(publishing);
		more = find_next(publishing);
		if (publisher->failed || (!more && publisher->confirms.mine == 0) ||
			(publisher->link.blocked && publisher->confirms.mine == 0) ||
			swm_rmq_now_ms() >= publishing->until_ms) {
			return;
		}
		if (!more || !may_send(publishing)) {
			swm_rmq_link_wait(&publisher->link, false, -1, publishing->until_ms);
		}
	}
}

/* Before and after. */

static swm_status check_message(const struct swm_publisher *publisher,
	const struct swm_message *message, struct swm_error *err)
{
	size_t limit = (size_t)publisher->queue->config->message_bytes_max;
	swm_status status = swm_rmq_name_check(message->destination, err);

	if (status == SWM_OK && message->body.len > limit) {
		return swm_fail(err, SWM_E_TOO_LARGE, 0,
			"a message to \"%.*s\" has more than the %zu bytes of max_message",
			(int)message->destination.len, message->destination.ptr, limit);
	}
	return status;
}

/* Whether the broker still owes answers from before, and for too long. */
static void look_back(struct publishing *publishing)
{
	struct swm_publisher *publisher = publishing->publisher;
	int64_t now_ms = swm_rmq_now_ms();

	publishing->silent = !swm_rmq_confirms_empty(&publisher->confirms);
	if (!publishing->silent) {
		publisher->answered_ms = now_ms;
	} else if (now_ms - publisher->answered_ms > SILENCE_MAX_MS && listen_to(publishing) &&
		   publishing->silent && !publisher->link.blocked) {
		publisher->failed = true;
		(void)swm_fail(&publishing->failed, SWM_E_UNAVAILABLE, 0,
			"%s: the broker has not confirmed anything for %lld s",
			publisher->link.name,
			(long long)((now_ms - publisher->answered_ms) / 1000));
	}
}

/* What those that were not sent have come to, and why. */
static swm_status unsent_result(const struct publishing *publishing, struct swm_error *why)
{
	const struct swm_publisher *publisher = publishing->publisher;
	const char *name = publisher->link.name;

	if (publisher->failed) {
		*why = publishing->failed;
		why->status = why->status == SWM_E_DENIED ? SWM_E_DENIED : SWM_E_UNAVAILABLE;
		return why->status;
	}
	if (!publisher->confirming && publishing->failed.status == SWM_E_DENIED) {
		*why = publishing->failed;
		return SWM_E_DENIED;
	}
	if (publisher->link.blocked) {
		return swm_fail(why, SWM_E_THROTTLED, 0,
			"%s: the broker has no memory or disk left and blocks publishers",
			name);
	}
	return swm_fail(
		why, SWM_E_TIMEOUT, 0, "%s: the broker did not take the message in time", name);
}

/* Gives every message its result; the first that is not SWM_OK is returned. */
static swm_status finish(struct publishing *publishing, struct swm_error *err)
{
	struct swm_error unsent = {0};
	struct swm_error doubt = {0};
	swm_status unsent_status = unsent_result(publishing, &unsent);
	swm_status first = SWM_OK;
	size_t i;

	(void)swm_fail(&doubt, SWM_E_INDOUBT, 0, "%s: not confirmed%s%s",
		publishing->publisher->link.name,
		publishing->failed.message[0] == '\0' ? " in time" : ": ",
		publishing->failed.message);
	for (i = 0; i < publishing->count; i++) {
		const struct swm_error *why = &publishing->refused;

		if (publishing->results[i] == SWM_E_TIMEOUT) {
			publishing->results[i] = unsent_status;
			why = &unsent;
		} else if (publishing->results[i] == SWM_E_INDOUBT) {
			why = &doubt;
		}
		if (first == SWM_OK && publishing->results[i] != SWM_OK) {
			first = publishing->results[i];
			if (err != NULL) {
				*err = *why;
			}
		}
	}
	return first;
}

swm_status swm_rmq_publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct publishing publishing = {
		.publisher = publisher,
		.messages = messages,
		.count = count,
		.results = results,
		.until_ms = swm_rmq_until_ms(timeout_ms),
		.refused_at = SIZE_MAX,
	};
	struct swm_error why = {0};
	swm_status status;
	size_t i;

	for (i = 0; i < count; i++) {
		status = check_message(publisher, &messages[i], &why);
		results[i] = SWM_E_TIMEOUT;
		if (status != SWM_OK) {
			conclude(&publishing, i, status, &why);
		}
	}
	if (!find_next(&publishing)) {
		return finish(&publishing, err);
	}
	if (publisher->failed) {
		(void)swm_fail(&publishing.failed, SWM_E_UNAVAILABLE, 0,
			"%s: this publisher failed before: open another one",
			publisher->queue->address.name);
		return finish(&publishing, err);
	}
	status = ready_channel(publisher, publishing.until_ms, &publishing.failed);
	publisher->failed = publisher->link.dead;
	if (status == SWM_OK) {
		look_back(&publishing);
		exchange(&publishing);
		swm_rmq_confirms_forget(&publisher->confirms);
	}
	return finish(&publishing, err);
}
