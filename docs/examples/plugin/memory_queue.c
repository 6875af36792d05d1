/* SPDX-License-Identifier: MIT */

/*
 * A queue plugin in one file: messages in the memory of one process. It is of no use
 * in production, and that is its point: with no broker in the way, all that is left is
 * what the port asks for. Read it from top to bottom, with swm/queue.h beside it.
 *
 * Build and try it (README.md has more):
 *
 *   cc -std=c11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden \
 *      -Wl,-z,defs,-z,nodelete,-z,relro,-z,now $(pkg-config --cflags swm) \
 *      memory_queue.c -o queue-memory.so -pthread
 *   SWM_PLUGIN_PATH=$PWD swm plugin describe memory
 *
 * Concurrency: one mutex and one condition guard everything that hangs on a swm_queue.
 * Consumers and publishers belong to one thread each, as the port promises, but what
 * they touch is shared. A delivery is read by its owner without the mutex: nobody else
 * has the message until it is settled.
 */

#define _POSIX_C_SOURCE 200809L

#include <swm/queue.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the options fill; see the table at the end. */
struct config {
	int64_t messages_max;
	int64_t message_max_bytes;
	bool create_queues;
};

/* A message and all that it points to, in one block. It is in one list at a time: of
 * the channel where it waits, or of the consumer that holds it. */
struct message {
	struct message *next;
	struct channel *channel;
	uint64_t token;   /* of the delivery that is out */
	uint32_t attempt; /* how often it has been handed out */
	struct swm_str id;
	struct swm_str key;
	struct swm_str body;
	struct swm_header *headers;
	size_t header_count;
};

/* A list that is taken from in front and added to at the end. */
struct list {
	struct message *first;
	struct message **end; /* where the next one is hung in */
	size_t count;
};

/* One named queue. */
struct channel {
	struct channel *next;
	struct list waiting;
	size_t name_len;
	char name[];
};

struct swm_queue {
	struct config config;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* something to receive, or a wake */
	struct channel *channels;
	size_t message_count; /* waiting and held */
	uint64_t next_token;
};

struct swm_consumer {
	struct swm_queue *queue;
	struct channel **sources;
	size_t source_count;
	size_t next_source; /* who is looked at first, in turn */
	size_t prefetch;    /* 0: no bound */
	struct list held;
	bool woken;
};

struct swm_publisher {
	struct swm_queue *queue;
};

/* Fills the caller's error; a failure is one statement then. */
__attribute__((format(printf, 3, 4))) static swm_status fail(
	struct swm_error *err, swm_status status, const char *fmt, ...)
{
	if (err) {
		va_list args;
		va_start(args, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, args);
		va_end(args);
		err->status = status;
		err->native = 0;
	}
	return status;
}

static void list_init(struct list *list)
{
	list->first = NULL;
	list->end = &list->first;
	list->count = 0;
}

static void list_append(struct list *list, struct message *message)
{
	message->next = NULL;
	*list->end = message;
	list->end = &message->next;
	list->count++;
}

/* Takes the one that `link` points to out of the list. */
static struct message *list_remove(struct list *list, struct message **link)
{
	struct message *message = *link;

	*link = message->next;
	if (list->end == &message->next) {
		list->end = link;
	}
	list->count--;
	return message;
}

static void list_free(struct list *list)
{
	while (list->first) {
		free(list_remove(list, &list->first));
	}
}

/* Copies bytes to *place and moves it on; an absent string stays absent. */
static struct swm_str copy_str(char **place, struct swm_str from)
{
	struct swm_str to = {NULL, 0};

	if (from.ptr) {
		to.ptr = *place;
		to.len = from.len;
		memcpy(*place, from.ptr, from.len);
		*place += from.len;
	}
	return to;
}

static size_t message_bytes(const struct swm_message *message)
{
	size_t bytes = message->id.len + message->key.len + message->body.len;

	for (size_t i = 0; i < message->header_count; i++) {
		bytes += message->headers[i].name.len + message->headers[i].value.len;
	}
	return bytes;
}

/* What is passed in is borrowed for the call, so all of it is copied. */
static struct message *message_create(const struct swm_message *from)
{
	size_t headers_size = from->header_count * sizeof(struct swm_header);
	struct message *message =
		malloc(sizeof(*message) + headers_size + message_bytes(from) + 1);

	if (!message) {
		return NULL;
	}
	char *place = (char *)(message + 1) + headers_size;

	memset(message, 0, sizeof(*message));
	message->id = copy_str(&place, from->id);
	message->key = copy_str(&place, from->key);
	message->body = copy_str(&place, from->body);
	message->headers = (struct swm_header *)(message + 1);
	message->header_count = from->header_count;
	for (size_t i = 0; i < from->header_count; i++) {
		message->headers[i].name = copy_str(&place, from->headers[i].name);
		message->headers[i].value = copy_str(&place, from->headers[i].value);
	}
	return message;
}

/* With the mutex. NULL when there is none of that name. */
static struct channel *channel_find(const struct swm_queue *queue, struct swm_str name)
{
	for (struct channel *channel = queue->channels; channel; channel = channel->next) {
		if (channel->name_len == name.len &&
			memcmp(channel->name, name.ptr, name.len) == 0) {
			return channel;
		}
	}
	return NULL;
}

/* With the mutex. The one of that name, made when that is allowed. */
static swm_status channel_get(struct swm_queue *queue, struct swm_str name,
	struct channel **out, struct swm_error *err)
{
	struct channel *channel = channel_find(queue, name);

	if (channel) {
		*out = channel;
		return SWM_OK;
	}
	if (name.len == 0) {
		return fail(err, SWM_E_INVALID, "the name of a queue is empty");
	}
	if (!queue->config.create_queues) {
		return fail(err, SWM_E_NOT_FOUND, "there is no queue %.*s", (int)name.len,
			name.ptr);
	}
	channel = malloc(sizeof(*channel) + name.len);
	if (!channel) {
		return fail(err, SWM_E_NOMEM, "out of memory");
	}
	list_init(&channel->waiting);
	channel->name_len = name.len;
	memcpy(channel->name, name.ptr, name.len);
	channel->next = queue->channels;
	queue->channels = channel;
	*out = channel;
	return SWM_OK;
}

/* The adapter. */

static swm_status queue_open(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	struct swm_queue *queue = calloc(1, sizeof(*queue));
	pthread_condattr_t clock;

	if (!queue) {
		return fail(err, SWM_E_NOMEM, "out of memory");
	}
	/* The options are checked and filled in before open: just take them. */
	memcpy(&queue->config, args->config, sizeof(queue->config));
	pthread_mutex_init(&queue->mutex, NULL);
	/* Waiting must not depend on the wall clock, which jumps. */
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->changed, &clock);
	pthread_condattr_destroy(&clock);
	args->host->log(args->host->ctx, SWM_LOG_DEBUG, args->instance,
		"keeps at most %lld messages in memory", (long long)queue->config.messages_max);
	*out = queue;
	return SWM_OK;
}

static void queue_close(struct swm_queue *queue)
{
	if (!queue) {
		return;
	}
	while (queue->channels) {
		struct channel *channel = queue->channels;

		queue->channels = channel->next;
		list_free(&channel->waiting);
		free(channel);
	}
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->mutex);
	free(queue);
}

static swm_status queue_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;

	pthread_mutex_lock(&queue->mutex);
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		struct channel *channel = NULL;

		status = channel_get(queue, names[i], &channel, err);
	}
	pthread_mutex_unlock(&queue->mutex);
	return status;
}

static swm_status queue_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	swm_status status = SWM_OK;

	pthread_mutex_lock(&queue->mutex);
	const struct channel *channel = channel_find(queue, name);
	if (channel) {
		*out = (int64_t)channel->waiting.count;
	} else {
		status = fail(err, SWM_E_NOT_FOUND, "there is no queue %.*s", (int)name.len,
			name.ptr);
	}
	pthread_mutex_unlock(&queue->mutex);
	return status;
}

/* Consumers. */

static void consumer_free(struct swm_consumer *consumer)
{
	free(consumer->sources);
	free(consumer);
}

static swm_status consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	struct swm_consumer *consumer = calloc(1, sizeof(*consumer));
	struct channel **channels = calloc(count, sizeof(*channels));
	swm_status status = SWM_OK;

	if (!consumer || !channels) {
		free(consumer);
		free(channels);
		return fail(err, SWM_E_NOMEM, "out of memory");
	}
	consumer->queue = queue;
	consumer->sources = channels;
	consumer->source_count = count;
	consumer->prefetch = prefetch;
	list_init(&consumer->held);
	pthread_mutex_lock(&queue->mutex);
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = channel_get(queue, sources[i], &channels[i], err);
	}
	pthread_mutex_unlock(&queue->mutex);
	if (status != SWM_OK) {
		consumer_free(consumer);
		return status;
	}
	*out = consumer;
	return SWM_OK;
}

/* With the mutex. Moves the next message to those that the consumer holds, looking at
 * its sources in turn. */
static struct message *take(struct swm_consumer *consumer)
{
	for (size_t i = 0; i < consumer->source_count; i++) {
		struct channel *channel =
			consumer->sources[consumer->next_source++ % consumer->source_count];

		if (channel->waiting.first) {
			struct message *message =
				list_remove(&channel->waiting, &channel->waiting.first);

			message->channel = channel;
			message->token = ++consumer->queue->next_token;
			message->attempt++;
			list_append(&consumer->held, message);
			return message;
		}
	}
	return NULL;
}

/* What a delivery points to is the message itself, which stays until it is settled. */
static struct swm_delivery delivery_of(const struct message *message)
{
	const struct channel *channel = message->channel;

	return (struct swm_delivery){
		.token = message->token,
		.source = {channel->name, channel->name_len},
		.id = message->id,
		.key = message->key,
		.body = message->body,
		.headers = message->headers,
		.header_count = message->header_count,
		.attempt = message->attempt,
		.redelivered = message->attempt > 1,
		.lease_until_ms = 0, /* held for as long as the consumer is open */
	};
}

static struct timespec deadline_in(int64_t timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += timeout_ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

static swm_status consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	const struct timespec deadline = deadline_in(timeout_ms);
	size_t taken = 0;
	int waited = 0;
	bool woken = false;

	if (max == 0) {
		return fail(err, SWM_E_TIMEOUT, "nothing was asked for");
	}
	pthread_mutex_lock(&queue->mutex);
	while (!consumer->woken && taken == 0 && waited != ETIMEDOUT) {
		while (taken < max && (consumer->prefetch == 0 ||
					      consumer->held.count < consumer->prefetch)) {
			const struct message *message = take(consumer);

			if (!message) {
				break;
			}
			out[taken++] = delivery_of(message);
		}
		if (taken == 0) {
			waited = pthread_cond_timedwait(
				&queue->changed, &queue->mutex, &deadline);
		}
	}
	if (taken == 0) {
		woken = consumer->woken;
		consumer->woken = false;
	}
	pthread_mutex_unlock(&queue->mutex);
	if (taken == 0) {
		return woken ? fail(err, SWM_E_INTERRUPTED, "woken")
			     : fail(err, SWM_E_TIMEOUT, "nothing came");
	}
	*count = taken;
	return SWM_OK;
}

static void give_back(struct swm_queue *queue, struct message *message)
{
	list_append(&message->channel->waiting, message);
	pthread_cond_broadcast(&queue->changed);
}

/* With the mutex. */
static swm_status settle_one(
	struct swm_consumer *consumer, const struct swm_settlement *item, struct swm_error *err)
{
	struct message **link = &consumer->held.first;

	while (*link && (*link)->token != item->token) {
		link = &(*link)->next;
	}
	if (!*link) {
		return fail(err, SWM_E_INVALID, "token %llu is not out",
			(unsigned long long)item->token);
	}
	struct message *message = list_remove(&consumer->held, link);

	if (item->action == SWM_NACK) {
		give_back(consumer->queue, message); /* its delay is only a wish */
	} else {
		consumer->queue->message_count--;
		free(message);
	}
	return SWM_OK;
}

static swm_status consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	swm_status status = SWM_OK;

	for (size_t i = 0; i < count; i++) {
		if (items[i].action == SWM_EXTEND) {
			return fail(err, SWM_E_UNSUPPORTED, "there is no lease to extend");
		}
		if (items[i].action != SWM_ACK && items[i].action != SWM_NACK) {
			return fail(err, SWM_E_INVALID, "there is no action %u",
				(unsigned)items[i].action);
		}
	}
	pthread_mutex_lock(&consumer->queue->mutex);
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		status = settle_one(consumer, &items[i], err);
	}
	pthread_mutex_unlock(&consumer->queue->mutex);
	return status;
}

/* From any thread. The flag is for a receive that has not begun yet. */
static void consumer_wake(struct swm_consumer *consumer)
{
	pthread_mutex_lock(&consumer->queue->mutex);
	consumer->woken = true;
	pthread_cond_broadcast(&consumer->queue->changed);
	pthread_mutex_unlock(&consumer->queue->mutex);
}

static void consumer_close(struct swm_consumer *consumer)
{
	if (!consumer) {
		return;
	}
	pthread_mutex_lock(&consumer->queue->mutex);
	while (consumer->held.first) {
		give_back(consumer->queue, list_remove(&consumer->held, &consumer->held.first));
	}
	pthread_mutex_unlock(&consumer->queue->mutex);
	consumer_free(consumer);
}

/* Publishers. */

static swm_status publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	struct swm_publisher *publisher = malloc(sizeof(*publisher));

	if (!publisher) {
		return fail(err, SWM_E_NOMEM, "out of memory");
	}
	publisher->queue = queue;
	*out = publisher;
	return SWM_OK;
}

/* With the mutex. */
static swm_status publish_one(
	struct swm_queue *queue, const struct swm_message *from, struct swm_error *err)
{
	struct channel *channel = NULL;
	swm_status status = channel_get(queue, from->destination, &channel, err);

	if (status != SWM_OK) {
		return status;
	}
	if (message_bytes(from) > (uint64_t)queue->config.message_max_bytes) {
		return fail(err, SWM_E_TOO_LARGE, "a message of %zu bytes is over the limit",
			message_bytes(from));
	}
	if (queue->message_count >= (uint64_t)queue->config.messages_max) {
		return fail(err, SWM_E_THROTTLED, "%zu messages are kept already",
			queue->message_count);
	}
	struct message *message = message_create(from);

	if (!message) {
		return fail(err, SWM_E_NOMEM, "out of memory");
	}
	list_append(&channel->waiting, message);
	queue->message_count++;
	return SWM_OK;
}

/* Each message has a result of its own; the first that failed is the call's. */
static swm_status publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct swm_queue *queue = publisher->queue;
	swm_status first = SWM_OK;

	(void)timeout_ms; /* nothing here waits */
	pthread_mutex_lock(&queue->mutex);
	for (size_t i = 0; i < count; i++) {
		results[i] = publish_one(queue, &messages[i], first == SWM_OK ? err : NULL);
		if (first == SWM_OK) {
			first = results[i];
		}
	}
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->mutex);
	return first;
}

static void publisher_close(struct swm_publisher *publisher)
{
	free(publisher);
}

/* What the host sees: the operations, the options, and the descriptor of both. */

static const struct swm_queue_ops ops = {
	.size = sizeof(ops),
	.capabilities = SWM_QUEUE_ATTEMPTS,
	.open = queue_open,
	.close = queue_close,
	.prepare = queue_prepare,
	.consumer_open = consumer_open,
	.consumer_receive = consumer_receive,
	.consumer_settle = consumer_settle,
	.consumer_wake = consumer_wake,
	.consumer_close = consumer_close,
	.publisher_open = publisher_open,
	.publisher_publish = publisher_publish,
	.publisher_close = publisher_close,
	.depth = queue_depth,
};

static const struct swm_option options[] = {
	{
		.name = "max_messages",
		.type = SWM_OPTION_INT,
		.offset = SWM_OFFSET(struct config, messages_max, int64_t),
		.fallback = "100000",
		.min = 1,
		.max = 100000000,
		.doc = "How many messages are kept; more are refused for now.",
	},
	{
		.name = "max_message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct config, message_max_bytes, int64_t),
		.fallback = "1MiB",
		.min = 1,
		.max = INT64_C(1) << 30,
		.doc = "The largest message: body, key, id and headers together.",
	},
	{
		.name = "create_queues",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct config, create_queues, bool),
		.fallback = "true",
		.doc = "Whether a queue that is named but missing is created.",
	},
	{.name = NULL},
};

static const struct swm_plugin plugin = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(plugin),
	.kind = SWM_PLUGIN_QUEUE,
	.name = "memory", /* the file is queue-memory.so */
	.version = "1.0",
	.license = "MIT",
	.description = "Messages in the memory of one process, as an example",
	.options = options,
	.option_size = sizeof(options[0]),
	.config_size = sizeof(struct config),
	.ops = &ops,
};

SWM_PLUGIN_EXPORT(plugin);
