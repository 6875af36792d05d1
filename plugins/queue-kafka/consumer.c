/* SPDX-License-Identifier: MIT */

/*
 * A consumer's life, and how its owner takes messages: what was given back and is due
 * first, then what the library has fetched; and if there is nothing, it waits for the
 * eventfd, to which the library writes when its queue is no longer empty.
 *
 * Concurrency: as consumer.h.
 */

#include "consumer.h"

#include "message.h"
#include "settings.h"
#include "status.h"
#include "topics.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFETCH_FALLBACK 256

/* How many of a partition may be received after one that is not finished. */
#define ROW_MAX 4096

/* The library tells only of a queue that was empty: it is looked into that often, too. */
#define LOOK_MS 1000

#define MEMBERS_MAX 64

static void release_member(struct swm_queue *queue, int member)
{
	if (member != SWM_KAFKA_NO_MEMBER) {
		(void)pthread_mutex_lock(&queue->mutex);
		queue->members &= ~(UINT64_C(1) << member);
		(void)pthread_mutex_unlock(&queue->mutex);
	}
}

/* The adapter may be closed already: nothing of it is touched. */
void swm_kafka_consumer_free(struct swm_consumer *consumer)
{
	swm_kafka_deliveries_finish(&consumer->deliveries);
	if (consumer->wake_fd >= 0) {
		(void)close(consumer->wake_fd);
	}
	(void)pthread_mutex_destroy(&consumer->mutex);
	swm_kafka_ending_finish(&consumer->ending);
	free(consumer->sources);
	free(consumer);
}

/* Opening. */

static struct swm_consumer *create(struct swm_queue *queue, uint32_t prefetch)
{
	struct swm_consumer *consumer = calloc(1, sizeof(*consumer));

	if (consumer == NULL) {
		return NULL;
	}
	if (!swm_kafka_ending_init(&consumer->ending)) {
		free(consumer);
		return NULL;
	}
	if (pthread_mutex_init(&consumer->mutex, NULL) != 0) {
		swm_kafka_ending_finish(&consumer->ending);
		free(consumer);
		return NULL;
	}
	consumer->queue = queue;
	consumer->prefetch = prefetch == 0 ? PREFETCH_FALLBACK : prefetch;
	consumer->member = SWM_KAFKA_NO_MEMBER;
	consumer->wake_fd = -1;
	atomic_init(&consumer->woken, false);
	atomic_init(&consumer->closing, false);
	atomic_init(&consumer->seen_ms, swm_kafka_now_ms());
	swm_kafka_deliveries_init(
		&consumer->deliveries, atomic_fetch_add(&queue->consumer_count, 1));
	return consumer;
}

/* One block for the sources and, behind them, their names. */
static swm_status copy_sources(struct swm_consumer *consumer, const struct swm_str *sources,
	size_t count, struct swm_error *err)
{
	size_t size = count * sizeof(*consumer->sources);
	char *names;
	size_t i;

	for (i = 0; i < count; i++) {
		size += sources[i].len + 1;
	}
	consumer->sources = malloc(size);
	if (consumer->sources == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	names = (char *)(consumer->sources + count);
	for (i = 0; i < count; i++) {
		memcpy(names, sources[i].ptr, sources[i].len);
		names[sources[i].len] = '\0';
		consumer->sources[i] = (struct swm_str){names, sources[i].len};
		names += sources[i].len + 1;
	}
	consumer->source_count = count;
	return SWM_OK;
}

/* FNV-1a of the topics' names, with the zero bytes between them. */
static uint32_t digest_sources(const struct swm_consumer *consumer)
{
	uint32_t digest = UINT32_C(2166136261);
	size_t i;
	size_t j;

	for (i = 0; i < consumer->source_count; i++) {
		for (j = 0; j <= consumer->sources[i].len; j++) {
			digest ^= (unsigned char)consumer->sources[i].ptr[j];
			digest *= UINT32_C(16777619);
		}
	}
	return digest;
}

/* The lowest number that no other consumer of this adapter has, so that one which is
 * opened after another was closed is the same member. */
static swm_status choose_member(
	struct swm_consumer *consumer, rd_kafka_conf_t *conf, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	int number = 0;

	if (queue->config->group_instance_id == NULL) {
		return SWM_OK;
	}
	(void)pthread_mutex_lock(&queue->mutex);
	while (number < MEMBERS_MAX && (queue->members & UINT64_C(1) << number) != 0) {
		number++;
	}
	if (number < MEMBERS_MAX) {
		queue->members |= UINT64_C(1) << number;
		consumer->member = number;
	}
	(void)pthread_mutex_unlock(&queue->mutex);
	if (number == MEMBERS_MAX) {
		return swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"group_instance_id is for at most %d consumers", MEMBERS_MAX);
	}
	return swm_kafka_settings_set_member(
		queue->config, conf, (unsigned)number, digest_sources(consumer), err);
}

static swm_status open_client(struct swm_consumer *consumer, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	const struct swm_open_args args = {
		.size = sizeof(args),
		.host = queue->host,
		.instance = queue->instance,
	};
	rd_kafka_conf_t *conf = NULL;
	swm_status status =
		swm_kafka_settings_make(queue->config, SWM_KAFKA_CONSUMER, &conf, err);

	if (status != SWM_OK) {
		return status;
	}
	status = choose_member(consumer, conf, err);
	if (status != SWM_OK) {
		rd_kafka_conf_destroy(conf);
		return status;
	}
	rd_kafka_conf_set_rebalance_cb(conf, swm_kafka_group_rebalance);
	return swm_kafka_client_open(
		&consumer->client, RD_KAFKA_CONSUMER, conf, &args, consumer, err);
}

static swm_status subscribe(struct swm_consumer *consumer, struct swm_error *err)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)consumer->source_count);
	rd_kafka_resp_err_t code;
	size_t i;

	for (i = 0; i < consumer->source_count; i++) {
		(void)rd_kafka_topic_partition_list_add(
			list, consumer->sources[i].ptr, RD_KAFKA_PARTITION_UA);
	}
	code = rd_kafka_subscribe(consumer->client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR
		       ? SWM_OK
		       : swm_kafka_client_fail(consumer->client, code, "subscribe", err);
}

/* The library's queues, and its thread of ours. */
static swm_status begin(struct swm_consumer *consumer, struct swm_error *err)
{
	static const uint64_t one = 1;
	rd_kafka_t *rk = consumer->client->rk;
	swm_status status;

	(void)rd_kafka_poll_set_consumer(rk);
	consumer->messages = rd_kafka_queue_new(rk);
	consumer->affairs = rd_kafka_queue_get_consumer(rk);
	rd_kafka_queue_io_event_enable(
		consumer->messages, consumer->wake_fd, &one, sizeof(one));
	status = subscribe(consumer, err);
	if (status == SWM_OK &&
		pthread_create(&consumer->thread, NULL, swm_kafka_group_serve, consumer) != 0) {
		status = swm_fail(err, SWM_E_NOMEM, 0, "no thread to be had");
	}
	if (status != SWM_OK) {
		rd_kafka_queue_destroy(consumer->affairs);
		rd_kafka_queue_destroy(consumer->messages);
	}
	return status;
}

swm_status swm_kafka_consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	int64_t until_ms = swm_kafka_until_ms(queue->call_timeout_ms);
	struct swm_consumer *consumer;
	swm_status status;

	if (count == 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a consumer needs a topic to listen to");
	}
	consumer = create(queue, prefetch);
	if (consumer == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = swm_kafka_topics_prepare(queue, sources, count, until_ms, err);
	if (status == SWM_OK) {
		consumer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		status = consumer->wake_fd >= 0
				 ? copy_sources(consumer, sources, count, err)
				 : swm_fail(err, SWM_E_NOMEM, errno, "no eventfd to be had");
	}
	if (status == SWM_OK) {
		status = open_client(consumer, err);
	}
	if (status == SWM_OK) {
		status = begin(consumer, err);
	}
	if (status != SWM_OK) {
		swm_kafka_client_destroy(consumer->client);
		release_member(queue, consumer->member);
		swm_kafka_consumer_free(consumer);
		return status;
	}
	*out = consumer;
	return SWM_OK;
}

void swm_kafka_consumer_close(struct swm_consumer *consumer)
{
	struct swm_queue *queue;
	int member;

	if (consumer == NULL) {
		return;
	}
	queue = consumer->queue;
	member = consumer->member;
	/* Under the mutex, since the thread ends the queue as soon as it sees it. */
	(void)pthread_mutex_lock(&consumer->mutex);
	atomic_store(&consumer->closing, true);
	rd_kafka_queue_yield(consumer->affairs);
	(void)pthread_mutex_unlock(&consumer->mutex);
	if (swm_kafka_ending_wait(
		    &consumer->ending, swm_kafka_until_ms(queue->call_timeout_ms))) {
		(void)pthread_join(consumer->thread, NULL);
		swm_kafka_consumer_free(consumer);
		release_member(queue, member);
		return;
	}
	/* The thread frees it, now or later: nothing of it is looked at any more. */
	queue->host->log(queue->host->ctx, SWM_LOG_WARN, queue->instance,
		"a consumer does not leave its group in time: it is left to itself");
	release_member(queue, member);
}

/* Receiving. */

void swm_kafka_consumer_wake(struct swm_consumer *consumer)
{
	atomic_store(&consumer->woken, true);
	(void)eventfd_write(consumer->wake_fd, 1);
}

swm_status swm_kafka_consumer_check(const struct swm_consumer *consumer, struct swm_error *err)
{
	return consumer->failed == SWM_OK
		       ? SWM_OK
		       : swm_fail(err, consumer->failed, 0, "%s", consumer->reason);
}

static void set_pause(
	struct swm_consumer *consumer, struct swm_kafka_partition *partition, bool pause)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	(void)rd_kafka_topic_partition_list_add(
		list, consumer->sources[partition->source].ptr, partition->number);
	code = pause ? rd_kafka_pause_partitions(consumer->client->rk, list)
		     : rd_kafka_resume_partitions(consumer->client->rk, list);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		partition->paused = pause;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

void swm_kafka_consumer_unbound(struct swm_consumer *consumer)
{
	struct swm_kafka_partition *partition = consumer->deliveries.partitions;

	for (; partition != NULL; partition = partition->next) {
		if (partition->paused) {
			set_pause(consumer, partition, false);
		}
	}
}

void swm_kafka_consumer_bound(
	struct swm_consumer *consumer, struct swm_kafka_partition *partition)
{
	if (!partition->paused && partition->count >= ROW_MAX) {
		set_pause(consumer, partition, true);
	} else if (partition->paused && partition->count <= ROW_MAX / 2) {
		set_pause(consumer, partition, false);
	}
}

size_t swm_kafka_consumer_source(const struct swm_consumer *consumer, const char *name)
{
	size_t i = 0;

	while (i < consumer->source_count && strcmp(consumer->sources[i].ptr, name) != 0) {
		i++;
	}
	return i;
}

/* Registers a message. NULL: it is of a partition that is no longer ours, or there is no
 * memory for it, which is as if it had not come: the consumer fails. */
static const struct swm_delivery *take_in(
	struct swm_consumer *consumer, const rd_kafka_message_t *message)
{
	struct swm_kafka_partition *partition = swm_kafka_partition_find(&consumer->deliveries,
		swm_kafka_consumer_source(consumer, rd_kafka_topic_name(message->rkt)),
		message->partition);
	struct swm_kafka_delivery *delivery;

	if (partition == NULL) {
		return NULL;
	}
	delivery = swm_kafka_delivery_create(message, consumer->sources[partition->source]);
	if (delivery == NULL) {
		swm_kafka_group_note(consumer, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE,
			"out of memory for a message");
		return NULL;
	}
	if (message->offset < partition->received) {
		/* The log was cut, or begun anew: what is out of it is not there any more. */
		swm_kafka_partition_restart(&consumer->deliveries, partition);
	}
	(void)swm_kafka_deliveries_add(&consumer->deliveries, partition, delivery);
	swm_kafka_consumer_bound(consumer, partition);
	return &delivery->view;
}

/* The next that the library has; false: it has none. */
static bool read_next(struct swm_consumer *consumer, const struct swm_delivery **view)
{
	rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->messages, 0);

	*view = NULL;
	if (message == NULL) {
		return false;
	}
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		swm_kafka_group_note(consumer, message->err, rd_kafka_message_errstr(message));
	} else {
		*view = take_in(consumer, message);
	}
	rd_kafka_message_destroy(message);
	return true;
}

/* What there is, without waiting; SWM_OK with *count 0 is nothing. */
static swm_status hand_out(struct swm_consumer *consumer, struct swm_delivery *out, size_t max,
	size_t *count, struct swm_error *err)
{
	struct swm_kafka_deliveries *deliveries = &consumer->deliveries;
	size_t room =
		consumer->prefetch > deliveries->out ? consumer->prefetch - deliveries->out : 0;
	const struct swm_kafka_delivery *again;
	const struct swm_delivery *view;
	int64_t now_ms = swm_kafka_now_ms();
	size_t taken = 0;
	swm_status status;

	room = max < room ? max : room;
	status = swm_kafka_deliveries_reserve(deliveries, (uint32_t)room, err);
	if (status != SWM_OK) {
		return status;
	}
	while (taken < room &&
		(again = swm_kafka_deliveries_take_back(deliveries, now_ms)) != NULL) {
		out[taken++] = again->view;
	}
	while (taken < room && consumer->failed == SWM_OK && read_next(consumer, &view)) {
		if (view != NULL) {
			out[taken++] = *view;
		}
	}
	if (taken == 0) {
		return swm_kafka_consumer_check(consumer, err);
	}
	*count = taken;
	return SWM_OK;
}

/* Until something may have come, somebody wakes, or what was given back is due. */
static void wait_for_more(const struct swm_consumer *consumer, int64_t until_ms)
{
	struct pollfd wake = {consumer->wake_fd, POLLIN, 0};
	int left_ms = swm_kafka_left_ms(until_ms);

	(void)poll(&wake, 1, left_ms < LOOK_MS ? left_ms : LOOK_MS);
}

/* When something may be handed out that was given back; there has to be room for it. */
static int64_t find_due_ms(const struct swm_consumer *consumer)
{
	return consumer->deliveries.out < consumer->prefetch
		       ? swm_kafka_deliveries_due_ms(&consumer->deliveries)
		       : INT64_MAX;
}

/* One look. SWM_E_TIMEOUT: nothing is there, and *due_ms says when something will be. */
static swm_status look(struct swm_consumer *consumer, struct swm_delivery *out, size_t max,
	size_t *count, int64_t *due_ms, struct swm_error *err)
{
	size_t taken = 0;
	swm_status status;

	(void)pthread_mutex_lock(&consumer->mutex);
	status = swm_kafka_consumer_check(consumer, err);
	if (status == SWM_OK && max != 0) {
		status = hand_out(consumer, out, max, &taken, err);
	}
	*due_ms = find_due_ms(consumer);
	(void)pthread_mutex_unlock(&consumer->mutex);
	if (status != SWM_OK) {
		return status;
	}
	if (taken == 0) {
		return SWM_E_TIMEOUT;
	}
	*count = taken;
	return SWM_OK;
}

swm_status swm_kafka_consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	int64_t until_ms = swm_kafka_until_ms(timeout_ms);
	int64_t due_ms = 0;
	swm_status status;

	if (timeout_ms < 0) {
		return swm_fail(err, SWM_E_INVALID, 0, "a negative timeout");
	}
	if (max == 0) {
		until_ms = 0;
	}
	for (;;) {
		eventfd_t value = 0;

		(void)eventfd_read(consumer->wake_fd, &value);
		atomic_store(&consumer->seen_ms, swm_kafka_now_ms());
		if (max != 0 && atomic_exchange(&consumer->woken, false)) {
			return swm_fail(err, SWM_E_INTERRUPTED, 0, "woken");
		}
		status = look(consumer, out, max, count, &due_ms, err);
		if (status != SWM_E_TIMEOUT) {
			return status;
		}
		if (swm_kafka_left_ms(until_ms) == 0) {
			return swm_fail(err, SWM_E_TIMEOUT, 0, "nothing came");
		}
		wait_for_more(consumer, due_ms < until_ms ? due_ms : until_ms);
	}
}
