/* SPDX-License-Identifier: MIT */

/*
 * The keyring; see keys.h.
 *
 * Keys that expire are fetched again when a quarter of their time is left, at the latest
 * 5 minutes before their end. If that fails they are used to their end, and tried again.
 */

#include "keys.h"

#include "queue_sqs.h"
#include "status.h"
#include "web.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define AHEAD_MAX_MS 300000

/* Between two attempts while the old ones are good still. */
#define RETRY_MS 5000

void swm_sqs_wipe(char *secret)
{
	if (secret != NULL) {
		volatile char *at = secret;

		while (*at != '\0') {
			*at++ = '\0';
		}
		free(secret);
	}
}

static void destroy(struct swm_sqs_keys *keys)
{
	if (keys != NULL) {
		swm_sqs_wipe(keys->id);
		swm_sqs_wipe(keys->secret);
		swm_sqs_wipe(keys->token);
		free(keys);
	}
}

struct swm_sqs_keys *swm_sqs_keys_create(
	const char *id, const char *secret, const char *token, int64_t expires_ms)
{
	struct swm_sqs_keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL) {
		return NULL;
	}
	keys->id = strdup(id);
	keys->secret = strdup(secret);
	keys->expires_ms = expires_ms;
	if (token != NULL && *token != '\0') {
		keys->token = strdup(token);
	}
	if (keys->id == NULL || keys->secret == NULL ||
		(keys->token == NULL && token != NULL && *token != '\0')) {
		destroy(keys);
		return NULL;
	}
	return keys;
}

swm_status swm_sqs_keyring_init(struct swm_sqs_keyring *ring, struct swm_error *err)
{
	pthread_condattr_t attributes;

	*ring = (struct swm_sqs_keyring){0};
	if (pthread_mutex_init(&ring->mutex, NULL) != 0) {
		return swm_fail(err, SWM_E_NOMEM, 0, "no mutex to be had");
	}
	if (pthread_condattr_init(&attributes) != 0) {
		(void)pthread_mutex_destroy(&ring->mutex);
		return swm_fail(err, SWM_E_NOMEM, 0, "no condition variable to be had");
	}
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (pthread_cond_init(&ring->fetched, &attributes) != 0) {
		(void)pthread_condattr_destroy(&attributes);
		(void)pthread_mutex_destroy(&ring->mutex);
		return swm_fail(err, SWM_E_NOMEM, 0, "no condition variable to be had");
	}
	(void)pthread_condattr_destroy(&attributes);
	return SWM_OK;
}

void swm_sqs_keyring_finish(struct swm_sqs_keyring *ring)
{
	destroy(ring->keys);
	(void)pthread_cond_destroy(&ring->fetched);
	(void)pthread_mutex_destroy(&ring->mutex);
}

static const struct {
	enum swm_sqs_source source;
	swm_sqs_fetch_keys *fetch;
	const char *name;
} places[] = {
	{SWM_SQS_SOURCE_OPTIONS, swm_sqs_keys_from_options, "the options"},
	{SWM_SQS_SOURCE_ENVIRONMENT, swm_sqs_keys_from_environment, "the environment"},
	{SWM_SQS_SOURCE_WEB_IDENTITY, swm_sqs_keys_from_web_identity, "a web identity"},
	{SWM_SQS_SOURCE_FILES, swm_sqs_keys_from_files, "the shared files"},
	{SWM_SQS_SOURCE_CONTAINER, swm_sqs_keys_from_container, "the container's endpoint"},
	{SWM_SQS_SOURCE_INSTANCE, swm_sqs_keys_from_instance, "the instance's metadata"},
};

static swm_status fetch(struct swm_queue *queue, int64_t until_ms, struct swm_sqs_keys **out,
	size_t *place, struct swm_error *err)
{
	enum swm_sqs_source wanted = (enum swm_sqs_source)queue->config->credentials;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		swm_status status;

		if (wanted != SWM_SQS_SOURCE_AUTO && wanted != places[i].source) {
			continue;
		}
		status = places[i].fetch(queue, until_ms, out, err);
		if (status != SWM_E_NOT_FOUND) {
			*place = i;
			return status;
		}
		if (wanted != SWM_SQS_SOURCE_AUTO) {
			return swm_fail(
				err, SWM_E_DENIED, 0, "no credentials in %s", places[i].name);
		}
	}
	return swm_fail(err, SWM_E_DENIED, 0,
		"no credentials: neither options, environment, web identity, shared files, "
		"container nor instance have any");
}

static int64_t wall_ms(const struct swm_queue *queue)
{
	return queue->host->now_ms(queue->host->ctx);
}

static int64_t ahead_ms(const struct swm_sqs_keys *keys)
{
	int64_t quarter_ms = (keys->expires_ms - keys->fetched_ms) / 4;

	return quarter_ms < AHEAD_MAX_MS ? quarter_ms : AHEAD_MAX_MS;
}

static bool is_good(const struct swm_queue *queue, const struct swm_sqs_keys *keys)
{
	return keys != NULL && wall_ms(queue) < keys->expires_ms;
}

static bool is_due(const struct swm_queue *queue, const struct swm_sqs_keys *keys)
{
	return keys->expires_ms != INT64_MAX &&
	       wall_ms(queue) >= keys->expires_ms - ahead_ms(keys);
}

/* With the mutex: whether this thread is to fetch. */
static bool must_fetch(const struct swm_queue *queue, const struct swm_sqs_keyring *ring)
{
	bool pressing = !is_good(queue, ring->keys) || ring->refused;

	if (ring->fetching) {
		return false;
	}
	if (pressing) {
		return ring->keys == NULL || swm_sqs_now_ms() >= ring->retry_ms;
	}
	return is_due(queue, ring->keys) && swm_sqs_now_ms() >= ring->retry_ms;
}

/* With the mutex, which is given away meanwhile. */
static swm_status fetch_anew(struct swm_queue *queue, int64_t until_ms, struct swm_error *err)
{
	struct swm_sqs_keyring *ring = &queue->keyring;
	struct swm_sqs_keys *keys = NULL;
	struct swm_error why = {0};
	size_t place = 0;
	swm_status status;

	ring->fetching = true;
	(void)pthread_mutex_unlock(&ring->mutex);
	status = fetch(queue, until_ms, &keys, &place, &why);
	(void)pthread_mutex_lock(&ring->mutex);
	ring->fetching = false;
	ring->retry_ms = swm_sqs_now_ms() + RETRY_MS;
	(void)pthread_cond_broadcast(&ring->fetched);
	if (status != SWM_OK) {
		queue->host->log(queue->host->ctx, SWM_LOG_WARN, queue->instance,
			"no new credentials: %s", why.message);
		if (err != NULL) {
			*err = why;
		}
		return status;
	}
	keys->references = 1;
	keys->number = ++ring->numbers;
	keys->fetched_ms = wall_ms(queue);
	if (ring->found != places[place].source) {
		queue->host->log(queue->host->ctx, SWM_LOG_INFO, queue->instance,
			"credentials come from %s", places[place].name);
	}
	ring->found = places[place].source;
	ring->refused = false;
	if (ring->keys != NULL && --ring->keys->references == 0) {
		destroy(ring->keys);
	}
	ring->keys = keys;
	return SWM_OK;
}

/* With the mutex: until the thread that fetches is done. False: time is over. */
static bool wait_for_other(struct swm_sqs_keyring *ring, int64_t until_ms)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};

	return pthread_cond_timedwait(&ring->fetched, &ring->mutex, &until) == 0;
}

swm_status swm_sqs_keys_get(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err)
{
	struct swm_sqs_keyring *ring = &queue->keyring;
	swm_status status = SWM_OK;

	(void)pthread_mutex_lock(&ring->mutex);
	while (ring->fetching && (ring->refused || !is_good(queue, ring->keys)) &&
		status == SWM_OK) {
		if (!wait_for_other(ring, until_ms)) {
			status = swm_fail(err, SWM_E_TIMEOUT, 0, "no credentials came in time");
		}
	}
	if (status == SWM_OK && must_fetch(queue, ring)) {
		status = fetch_anew(queue, until_ms, err);
		/* As long as the old ones may do they are used. */
		status = is_good(queue, ring->keys) ? SWM_OK : status;
	}
	if (status == SWM_OK && !is_good(queue, ring->keys)) {
		status = swm_fail(err, SWM_E_UNAVAILABLE, 0,
			"the credentials have expired, and there are no new ones yet");
	}
	if (status == SWM_OK) {
		ring->keys->references++;
		*out = ring->keys;
	}
	(void)pthread_mutex_unlock(&ring->mutex);
	return status;
}

void swm_sqs_keys_put(struct swm_queue *queue, struct swm_sqs_keys *keys)
{
	bool last;

	(void)pthread_mutex_lock(&queue->keyring.mutex);
	last = --keys->references == 0;
	(void)pthread_mutex_unlock(&queue->keyring.mutex);
	if (last) {
		destroy(keys);
	}
}

void swm_sqs_keys_refuse(struct swm_queue *queue, uint32_t number)
{
	struct swm_sqs_keyring *ring = &queue->keyring;

	(void)pthread_mutex_lock(&ring->mutex);
	if (ring->keys != NULL && ring->keys->number == number) {
		ring->refused = true;
	}
	(void)pthread_mutex_unlock(&ring->mutex);
}
