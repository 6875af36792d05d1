/* SPDX-License-Identifier: MIT */

/*
 * The thread that keeps a consumer in its group: it polls the library for the group's
 * affairs, and nothing else, so a rebalance never waits for the owner, and a task that
 * takes hours costs no assignment. It polls only as long as the owner shows itself, as
 * the port demands: the partitions of one that hangs go to others.
 *
 * When partitions are taken away, nothing more is handed out of them; what is finished is
 * stored and committed, and only then they are let go. Whatever was out comes to who
 * has them next, and is lost here: to finish it changes nothing any more.
 *
 * Concurrency: all functions but swm_kafka_group_note() run in this thread. The client is
 * destroyed by it as well, since leaving a group may take longer than anybody waits.
 */

#include "consumer.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

/* How long one poll is, at the least often that `closing` is looked at. */
#define POLL_MS 500

/* An owner that has not been here for so long hangs: it is to come every 5 s. */
#define SILENCE_MAX_MS 60000

/* How long the broker has to take the offsets of partitions that are taken away. */
#define COMMIT_MAX_MS 3000

static void tell_owner(const struct swm_consumer *consumer)
{
	(void)eventfd_write(consumer->wake_fd, 1);
}

static void fail(struct swm_consumer *consumer, swm_status status, const char *reason)
{
	if (consumer->failed == SWM_OK) {
		consumer->failed = status;
		(void)snprintf(consumer->reason, sizeof(consumer->reason), "%s", reason);
		tell_owner(consumer);
	}
}

/* Whether the group does not let us in as we are. */
static bool keeps_out(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
	       code == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT ||
	       code == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL ||
	       code == RD_KAFKA_RESP_ERR_INVALID_GROUP_ID ||
	       code == RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED;
}

/* Connections that fail and leaders that move are the library's own affair. */
void swm_kafka_group_note(
	struct swm_consumer *consumer, rd_kafka_resp_err_t code, const char *reason)
{
	swm_status status = swm_kafka_status(code);

	if (status == SWM_E_DENIED) {
		fail(consumer, SWM_E_DENIED, reason);
	} else if (status == SWM_E_NOT_FOUND || code == RD_KAFKA_RESP_ERR__FATAL ||
		   code == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE || keeps_out(code)) {
		fail(consumer, SWM_E_UNAVAILABLE, reason);
	} else {
		swm_kafka_client_log(consumer->client, SWM_LOG_DEBUG, "%s", reason);
	}
}

/* Rebalancing. */

/* From now on its messages come to the owner's queue. Before it is assigned, so that none
 * comes to another one. */
static void forward(struct swm_consumer *consumer, const rd_kafka_topic_partition_t *partition)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(
		consumer->client->rk, partition->topic, partition->partition);

	if (queue != NULL) {
		rd_kafka_queue_forward(queue, consumer->messages);
		rd_kafka_queue_destroy(queue);
	}
}

static void assign(struct swm_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
	rd_kafka_resp_err_t code;
	const char *wrong = NULL;
	int i;

	(void)pthread_mutex_lock(&consumer->mutex);
	swm_kafka_partitions_drop(&consumer->deliveries);
	for (i = 0; i < partitions->cnt; i++) {
		const rd_kafka_topic_partition_t *partition = &partitions->elems[i];
		size_t source = swm_kafka_consumer_source(consumer, partition->topic);

		forward(consumer, partition);
		if (source == consumer->source_count) {
			wrong = "the group assigns a topic that is not listened to";
		} else if (swm_kafka_partition_add(&consumer->deliveries, source,
				   partition->partition) == NULL) {
			wrong = "out of memory for the partitions";
		}
	}
	code = rd_kafka_assign(consumer->client->rk, partitions);
	consumer->assigned = code == RD_KAFKA_RESP_ERR_NO_ERROR;
	if (wrong != NULL) {
		fail(consumer, SWM_E_UNAVAILABLE, wrong);
	} else if (!consumer->assigned) {
		fail(consumer, SWM_E_UNAVAILABLE, rd_kafka_err2str(code));
	}
	(void)pthread_mutex_unlock(&consumer->mutex);
	swm_kafka_client_log(
		consumer->client, SWM_LOG_DEBUG, "%d partitions are assigned", partitions->cnt);
}

/* What has been stored, as far as the broker takes it in time. */
static void commit(struct swm_consumer *consumer)
{
	rd_kafka_t *rk = consumer->client->rk;
	rd_kafka_queue_t *answers = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event = NULL;

	if (rd_kafka_commit_queue(rk, NULL, answers, NULL, NULL) ==
		RD_KAFKA_RESP_ERR_NO_ERROR) {
		event = rd_kafka_queue_poll(answers, COMMIT_MAX_MS);
	}
	if (event != NULL) {
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(answers);
}

static void revoke(struct swm_consumer *consumer)
{
	rd_kafka_t *rk = consumer->client->rk;
	bool lost = rd_kafka_assignment_lost(rk) != 0;

	(void)pthread_mutex_lock(&consumer->mutex);
	if (!lost) {
		swm_kafka_settle_store(consumer);
	}
	swm_kafka_consumer_unbound(consumer);
	consumer->assigned = false;
	swm_kafka_partitions_drop(&consumer->deliveries);
	(void)pthread_mutex_unlock(&consumer->mutex);
	if (!lost) {
		commit(consumer);
	}
	(void)rd_kafka_assign(rk, NULL);
	swm_kafka_client_log(consumer->client, lost ? SWM_LOG_WARN : SWM_LOG_DEBUG,
		lost ? "the group has given the partitions to others: it had not heard of us"
		     : "the partitions are given back, to be assigned anew");
	tell_owner(consumer);
}

void swm_kafka_group_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
	rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
	const struct swm_kafka_client *client = opaque;
	struct swm_consumer *consumer = client->owner;

	(void)rk;
	if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		assign(consumer, partitions);
	} else {
		revoke(consumer);
	}
}

/* The thread. */

static bool is_owner_there(const struct swm_consumer *consumer)
{
	return swm_kafka_now_ms() - atomic_load(&consumer->seen_ms) < SILENCE_MAX_MS;
}

static void poll_once(struct swm_consumer *consumer)
{
	const struct timespec pause = {0, POLL_MS * 1000000L};
	rd_kafka_message_t *message;

	if (!is_owner_there(consumer)) {
		(void)nanosleep(&pause, NULL);
		return;
	}
	message = rd_kafka_consumer_poll(consumer->client->rk, POLL_MS);
	if (message == NULL) {
		return;
	}
	(void)pthread_mutex_lock(&consumer->mutex);
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		swm_kafka_group_note(consumer, message->err, rd_kafka_message_errstr(message));
	} else {
		/* It has come past the owner's queue, and may not be passed over. */
		fail(consumer, SWM_E_UNAVAILABLE, "a message came another way");
	}
	(void)pthread_mutex_unlock(&consumer->mutex);
	rd_kafka_message_destroy(message);
}

/* Leaves the group: what is finished is committed by it, if only the broker listens. */
static void leave(struct swm_consumer *consumer)
{
	(void)pthread_mutex_lock(&consumer->mutex); /* close() has spoken to it */
	rd_kafka_queue_destroy(consumer->affairs);
	(void)pthread_mutex_unlock(&consumer->mutex);
	(void)rd_kafka_consumer_close(consumer->client->rk);
	rd_kafka_queue_io_event_enable(consumer->messages, -1, NULL, 0);
	rd_kafka_queue_destroy(consumer->messages);
	swm_kafka_client_destroy(consumer->client);
	consumer->client = NULL;
}

void *swm_kafka_group_serve(void *arg)
{
	struct swm_consumer *consumer = arg;

	while (!atomic_load(&consumer->closing)) {
		poll_once(consumer);
	}
	leave(consumer);
	if (swm_kafka_ending_tell(&consumer->ending)) {
		(void)pthread_detach(pthread_self());
		swm_kafka_consumer_free(consumer);
	}
	return NULL;
}
