/* SPDX-License-Identifier: MIT */

/*
 * See fake_queue.h. Each message is one block of memory, freed when it is settled for
 * good, so that a pointer kept too long is a use after free that the sanitizer sees.
 */

#include "fake_queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_memory.h"

#define FAULTS_MAX 32
#define REFUSED_MAX 8

struct stored {
	struct stored *next;
	struct swm_message message; /* copied */
	struct swm_header *headers;
	char *bytes;
	struct swm_consumer *holder; /* out, with this one; NULL: waiting */
	uint64_t token;
	uint32_t attempt;
};

struct list {
	struct stored *first;
	struct stored **end;
};

struct refusal {
	char destination[200];
	swm_status status;
};

struct swm_queue {
	const struct swm_env *env;
	struct swm_env_mutex *mutex;
	struct swm_env_cond *changed;
	struct list messages;
	struct list published;
	struct fake_queue_fault faults[FAULTS_MAX];
	size_t fault_count;
	struct refusal refused[REFUSED_MAX];
	size_t refused_count;
	unsigned calls[FAKE_QUEUE_OPS];
	void (*on_publish)(void *ctx, const struct swm_message *message);
	void *on_publish_ctx;
	uint64_t next_token;
	unsigned handles;
	unsigned serviced;
	int64_t message_ms;
};

struct swm_consumer {
	struct swm_queue *queue;
	char source[200];
	uint32_t prefetch;
	size_t out;
	bool woken;
	bool broken;
};

struct swm_publisher {
	struct swm_queue *queue;
	bool broken;
};

static bool equal(struct swm_str text, const char *name)
{
	return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

static void append(struct list *list, struct stored *stored)
{
	stored->next = NULL;
	*list->end = stored;
	list->end = &stored->next;
}

static void move_bytes(char **at, struct swm_str *text)
{
	if (text->ptr) {
		if (text->len > 0) {
			memcpy(*at, text->ptr, text->len);
		}
		text->ptr = *at;
		*at += text->len;
	}
}

static struct stored *copy_message(const struct swm_message *message)
{
	size_t total = 1 + message->destination.len + message->id.len + message->key.len +
		       message->body.len;
	for (size_t i = 0; i < message->header_count; i++) {
		total += message->headers[i].name.len + message->headers[i].value.len;
	}
	struct stored *stored = calloc(1, sizeof(*stored));
	assert(stored);
	stored->message = *message;
	stored->bytes = malloc(total);
	stored->headers = calloc(message->header_count + 1, sizeof(*stored->headers));
	assert(stored->bytes && stored->headers);
	char *at = stored->bytes;
	move_bytes(&at, &stored->message.destination);
	move_bytes(&at, &stored->message.id);
	move_bytes(&at, &stored->message.key);
	move_bytes(&at, &stored->message.body);
	for (size_t i = 0; i < message->header_count; i++) {
		stored->headers[i] = message->headers[i];
		move_bytes(&at, &stored->headers[i].name);
		move_bytes(&at, &stored->headers[i].value);
	}
	stored->message.headers = stored->headers;
	return stored;
}

static void free_stored(struct stored *stored)
{
	free(stored->bytes);
	free(stored->headers);
	free(stored);
}

static void free_list(struct list *list)
{
	while (list->first) {
		struct stored *next = list->first->next;
		free_stored(list->first);
		list->first = next;
	}
	list->end = &list->first;
}

struct swm_queue *fake_queue_create(const struct swm_env *env)
{
	struct swm_queue *queue = calloc(1, sizeof(*queue));
	assert(queue);
	queue->env = env;
	queue->messages.end = &queue->messages.first;
	queue->published.end = &queue->published.first;
	swm_status status = env->mutex_create(env->ctx, &queue->mutex, NULL);
	assert(status == SWM_OK);
	status = env->cond_create(env->ctx, &queue->changed, NULL);
	assert(status == SWM_OK);
	(void)status;
	return queue;
}

static void queue_close(struct swm_queue *queue)
{
	if (queue) {
		assert(queue->handles == 0);
		free_list(&queue->messages);
		free_list(&queue->published);
		queue->env->cond_destroy(queue->env->ctx, queue->changed);
		queue->env->mutex_destroy(queue->env->ctx, queue->mutex);
		free(queue);
	}
}

static void lock(struct swm_queue *queue)
{
	swm_env_lock(queue->env, queue->mutex);
}

static void unlock(struct swm_queue *queue)
{
	swm_env_unlock(queue->env, queue->mutex);
}

/* With the mutex. */
static struct fake_queue_fault meet(struct swm_queue *queue, enum fake_queue_op op)
{
	unsigned call = ++queue->calls[op];
	for (size_t i = 0; i < queue->fault_count; i++) {
		const struct fake_queue_fault *fault = &queue->faults[i];
		if (fault->op == op && call >= fault->after &&
			call < fault->after + fault->times) {
			return *fault;
		}
	}
	return (struct fake_queue_fault){.status = SWM_OK};
}

static swm_status fail(swm_status status, struct swm_error *err)
{
	if (err && status != SWM_OK) {
		err->status = status;
		(void)snprintf(
			err->message, sizeof(err->message), "injected failure %d", status);
	}
	return status;
}

/* With the mutex. */
static swm_status refusal_of(const struct swm_queue *queue, struct swm_str destination)
{
	for (size_t i = 0; i < queue->refused_count; i++) {
		if (equal(destination, queue->refused[i].destination)) {
			return queue->refused[i].status;
		}
	}
	return SWM_OK;
}

static swm_status prepare(struct swm_queue *queue, const struct swm_str *names, size_t count,
	struct swm_error *err)
{
	lock(queue);
	swm_status status = meet(queue, FAKE_PREPARE).status;
	for (size_t i = 0; i < count && status == SWM_OK; i++) {
		swm_status refusal = refusal_of(queue, names[i]);
		if (refusal == SWM_E_NOT_FOUND || refusal == SWM_E_INVALID) {
			status = refusal;
		}
	}
	unlock(queue);
	return fail(status, err);
}

/* Consuming. */

static swm_status consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	lock(queue);
	swm_status status = meet(queue, FAKE_CONSUMER_OPEN).status;
	queue->handles += status == SWM_OK;
	unlock(queue);
	if (status != SWM_OK) {
		return fail(status, err);
	}
	assert(count == 1 && sources[0].len < 200);
	struct swm_consumer *consumer = calloc(1, sizeof(*consumer));
	assert(consumer);
	consumer->queue = queue;
	consumer->prefetch = prefetch;
	memcpy(consumer->source, sources[0].ptr, sources[0].len);
	*out = consumer;
	return SWM_OK;
}

/* With the mutex: what waits for the consumer, at most `max`. */
static size_t take(struct swm_consumer *consumer, struct swm_delivery *out, size_t max)
{
	struct swm_queue *queue = consumer->queue;
	size_t count = 0;
	for (struct stored *at = queue->messages.first; at && count < max; at = at->next) {
		if (at->holder || !equal(at->message.destination, consumer->source)) {
			continue;
		}
		at->holder = consumer;
		at->token = ++queue->next_token;
		at->attempt++;
		out[count] = (struct swm_delivery){
			.token = at->token,
			.source = at->message.destination,
			.id = at->message.id,
			.key = at->message.key,
			.body = at->message.body,
			.headers = at->message.headers,
			.header_count = at->message.header_count,
			.attempt = at->attempt,
			.redelivered = at->attempt > 1,
		};
		count++;
	}
	consumer->out += count;
	return count;
}

static swm_status consumer_receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	assert(!consumer->broken);
	int64_t until_ms = swm_env_monotonic_ms(queue->env) + timeout_ms;
	lock(queue);
	queue->serviced += max == 0;
	swm_status status = meet(queue, FAKE_RECEIVE).status;
	while (status == SWM_OK) {
		*count = max > 0 ? take(consumer, out, max) : 0;
		if (*count > 0) {
			break;
		}
		int64_t left_ms = until_ms - swm_env_monotonic_ms(queue->env);
		if (consumer->woken) {
			status = SWM_E_INTERRUPTED;
		} else if (left_ms <= 0 || max == 0) {
			status = SWM_E_TIMEOUT;
		} else {
			queue->env->cond_wait(
				queue->env->ctx, queue->changed, queue->mutex, left_ms);
		}
	}
	if (status == SWM_E_INTERRUPTED) {
		consumer->woken = false;
	}
	consumer->broken = status == SWM_E_UNAVAILABLE || status == SWM_E_DENIED;
	unlock(queue);
	return fail(status, err);
}

/* With the mutex. */
static struct stored **find_token(
	struct swm_queue *queue, const struct swm_consumer *holder, uint64_t token)
{
	struct stored **at = &queue->messages.first;
	while (*at && ((*at)->holder != holder || (*at)->token != token)) {
		at = &(*at)->next;
	}
	assert(*at); /* settled twice, or never received here */
	return at;
}

static void drop(struct list *list, struct stored **at)
{
	struct stored *stored = *at;
	*at = stored->next;
	if (list->end == &stored->next) {
		list->end = at;
	}
	free_stored(stored);
}

static swm_status consumer_settle(struct swm_consumer *consumer,
	const struct swm_settlement *items, size_t count, struct swm_error *err)
{
	struct swm_queue *queue = consumer->queue;
	assert(!consumer->broken && count > 0);
	lock(queue);
	struct fake_queue_fault fault = meet(queue, FAKE_SETTLE);
	if (fault.status == SWM_OK || fault.applied) {
		for (size_t i = 0; i < count; i++) {
			struct stored **at = find_token(queue, consumer, items[i].token);
			consumer->out--;
			if (items[i].action == SWM_ACK) {
				drop(&queue->messages, at);
			} else {
				(*at)->holder = NULL;
			}
		}
	}
	consumer->broken = fault.status == SWM_E_UNAVAILABLE;
	queue->env->cond_signal(queue->env->ctx, queue->changed);
	unlock(queue);
	return fail(fault.status, err);
}

static void consumer_wake(struct swm_consumer *consumer)
{
	lock(consumer->queue);
	consumer->woken = true;
	consumer->queue->env->cond_signal(consumer->queue->env->ctx, consumer->queue->changed);
	unlock(consumer->queue);
}

static void consumer_close(struct swm_consumer *consumer)
{
	if (!consumer) {
		return;
	}
	struct swm_queue *queue = consumer->queue;
	lock(queue);
	for (struct stored *at = queue->messages.first; at; at = at->next) {
		if (at->holder == consumer) {
			at->holder = NULL;
		}
	}
	queue->handles--;
	queue->env->cond_signal(queue->env->ctx, queue->changed);
	unlock(queue);
	free(consumer);
}

/* Publishing. */

static swm_status publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	lock(queue);
	swm_status status = meet(queue, FAKE_PUBLISHER_OPEN).status;
	queue->handles += status == SWM_OK;
	unlock(queue);
	if (status != SWM_OK) {
		return fail(status, err);
	}
	*out = calloc(1, sizeof(**out));
	assert(*out);
	(*out)->queue = queue;
	return SWM_OK;
}

/* With the mutex: lets the time pass that one message takes; false: there is no more. */
static bool take_time(struct swm_queue *queue, int64_t until_ms)
{
	int64_t end_ms = swm_env_monotonic_ms(queue->env) + queue->message_ms;
	bool enough = end_ms <= until_ms;
	end_ms = enough ? end_ms : until_ms;
	int64_t left_ms = 0;
	while ((left_ms = end_ms - swm_env_monotonic_ms(queue->env)) > 0) {
		queue->env->cond_wait(queue->env->ctx, queue->changed, queue->mutex, left_ms);
	}
	return enough;
}

/* With the mutex. */
static swm_status publish_one(struct swm_queue *queue, const struct swm_message *message,
	const struct fake_queue_fault *fault)
{
	append(&queue->published, copy_message(message));
	swm_status status = fault->status != SWM_OK ? fault->status
						    : refusal_of(queue, message->destination);
	if (status == SWM_OK || (fault->status != SWM_OK && fault->applied)) {
		append(&queue->messages, copy_message(message));
	}
	return status;
}

static swm_status publisher_publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	struct swm_queue *queue = publisher->queue;
	swm_status first = SWM_OK;
	assert(!publisher->broken && timeout_ms > 0);
	lock(queue);
	struct fake_queue_fault fault = meet(queue, FAKE_PUBLISH);
	int64_t until_ms = swm_env_monotonic_ms(queue->env) + timeout_ms;
	for (size_t i = 0; i < count; i++) {
		results[i] = take_time(queue, until_ms)
				     ? publish_one(queue, &messages[i], &fault)
				     : SWM_E_TIMEOUT;
		first = first == SWM_OK ? results[i] : first;
	}
	publisher->broken = first == SWM_E_UNAVAILABLE;
	queue->env->cond_signal(queue->env->ctx, queue->changed);
	unlock(queue);
	for (size_t i = 0; i < count && queue->on_publish; i++) {
		if (results[i] == SWM_OK) {
			queue->on_publish(queue->on_publish_ctx, &messages[i]);
		}
	}
	return fail(first, err);
}

static void publisher_close(struct swm_publisher *publisher)
{
	if (publisher) {
		lock(publisher->queue);
		publisher->queue->handles--;
		unlock(publisher->queue);
		free(publisher);
	}
}

static swm_status queue_open(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	(void)args, (void)out;
	return fail(SWM_E_UNSUPPORTED, err); /* fake_queue_create() */
}

const struct swm_queue_ops fake_queue_ops = {
	.size = sizeof(fake_queue_ops),
	.capabilities = SWM_QUEUE_ATTEMPTS,
	.open = queue_open,
	.close = queue_close,
	.prepare = prepare,
	.consumer_open = consumer_open,
	.consumer_receive = consumer_receive,
	.consumer_settle = consumer_settle,
	.consumer_wake = consumer_wake,
	.consumer_close = consumer_close,
	.publisher_open = publisher_open,
	.publisher_publish = publisher_publish,
	.publisher_close = publisher_close,
};

/* For tests. */

void fake_queue_send(struct swm_queue *queue, const char *name, const char *body,
	const char *id, const char *event_id)
{
	char *text = strdup(body);
	assert(text);
	for (char *at = text; *at; at++) {
		if (*at == '\'') {
			*at = '"';
		}
	}
	struct swm_header header = {
		{"swm-event-id", strlen("swm-event-id")},
		{event_id, event_id ? strlen(event_id) : 0},
	};
	struct swm_message message = {
		.destination = {name, strlen(name)},
		.id = {id, id ? strlen(id) : 0},
		.body = {text, strlen(text)},
		.headers = &header,
		.header_count = event_id ? 1 : 0,
	};
	lock(queue);
	append(&queue->messages, copy_message(&message));
	queue->env->cond_signal(queue->env->ctx, queue->changed);
	unlock(queue);
	free(text);
}

void fake_queue_inject(struct swm_queue *queue, const struct fake_queue_fault *fault)
{
	lock(queue);
	assert(queue->fault_count < FAULTS_MAX);
	struct fake_queue_fault *added = &queue->faults[queue->fault_count];
	*added = *fault;
	added->after += queue->calls[fault->op];
	queue->fault_count++;
	unlock(queue);
}

void fake_queue_refuse(struct swm_queue *queue, const char *destination, swm_status status)
{
	lock(queue);
	struct refusal *refusal = NULL;
	for (size_t i = 0; i < queue->refused_count; i++) {
		if (strcmp(queue->refused[i].destination, destination) == 0) {
			refusal = &queue->refused[i];
		}
	}
	if (!refusal) {
		assert(queue->refused_count < REFUSED_MAX);
		refusal = &queue->refused[queue->refused_count++];
		(void)snprintf(
			refusal->destination, sizeof(refusal->destination), "%s", destination);
	}
	refusal->status = status;
	unlock(queue);
}

void fake_queue_slow(struct swm_queue *queue, int64_t message_ms)
{
	lock(queue);
	queue->message_ms = message_ms;
	unlock(queue);
}

unsigned fake_queue_serviced(struct swm_queue *queue)
{
	lock(queue);
	unsigned serviced = queue->serviced;
	unlock(queue);
	return serviced;
}

void fake_queue_on_publish(struct swm_queue *queue,
	void (*hook)(void *ctx, const struct swm_message *message), void *ctx)
{
	queue->on_publish = hook;
	queue->on_publish_ctx = ctx;
}

unsigned fake_queue_calls(struct swm_queue *queue, enum fake_queue_op op)
{
	lock(queue);
	unsigned calls = queue->calls[op];
	unlock(queue);
	return calls;
}

static size_t count_messages(struct swm_queue *queue, const char *name, bool out)
{
	size_t count = 0;
	lock(queue);
	for (const struct stored *at = queue->messages.first; at; at = at->next) {
		count += equal(at->message.destination, name) && (at->holder != NULL) == out;
	}
	unlock(queue);
	return count;
}

size_t fake_queue_waiting(struct swm_queue *queue, const char *name)
{
	return count_messages(queue, name, false);
}

size_t fake_queue_unsettled(struct swm_queue *queue, const char *name)
{
	return count_messages(queue, name, true);
}

size_t fake_queue_published_count(struct swm_queue *queue, const char *destination)
{
	size_t count = 0;
	while (fake_queue_published(queue, destination, count)) {
		count++;
	}
	return count;
}

const struct swm_message *fake_queue_published(
	struct swm_queue *queue, const char *destination, size_t index)
{
	const struct swm_message *found = NULL;
	lock(queue);
	for (const struct stored *at = queue->published.first; at && !found; at = at->next) {
		if (equal(at->message.destination, destination) && index-- == 0) {
			found = &at->message;
		}
	}
	unlock(queue);
	return found;
}
