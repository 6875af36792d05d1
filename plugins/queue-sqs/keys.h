/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_SQS_KEYS_H
#define QUEUE_SQS_KEYS_H

/*
 * The keys that requests are signed with, from wherever they come, and how long they are
 * good for. One thread fetches them again some time before they expire, within a call of
 * its own; meanwhile the others go on with those that they have.
 *
 * Concurrency: a keyring is shared by all threads of an adapter; its mutex is never held
 * while anything is waited for but the fetch of another thread, and that in time.
 */

#include <pthread.h>
#include <swm/plugin.h>

struct swm_queue;

/* Where keys are looked for; in this order when it is AUTO. */
enum swm_sqs_source {
	SWM_SQS_SOURCE_AUTO,
	SWM_SQS_SOURCE_OPTIONS,
	SWM_SQS_SOURCE_ENVIRONMENT,
	SWM_SQS_SOURCE_WEB_IDENTITY,
	SWM_SQS_SOURCE_FILES,
	SWM_SQS_SOURCE_CONTAINER,
	SWM_SQS_SOURCE_INSTANCE
};

/* One set, constant once it is on the ring. */
struct swm_sqs_keys {
	char *id;
	char *secret;
	char *token;        /* NULL: none */
	int64_t fetched_ms; /* wall clock */
	int64_t expires_ms; /* wall clock; INT64_MAX: never */
	uint32_t references;
	uint32_t number; /* another for each set of a ring */
};

struct swm_sqs_keyring {
	pthread_mutex_t mutex;
	pthread_cond_t fetched;
	struct swm_sqs_keys *keys; /* NULL: none yet */
	bool fetching;
	bool refused;     /* the server does not take them */
	int64_t retry_ms; /* monotonic: not fetched again before */
	uint32_t numbers;
	enum swm_sqs_source found; /* where the last came from */
};

SWM_NODISCARD swm_status swm_sqs_keyring_init(
	struct swm_sqs_keyring *ring, struct swm_error *err);
void swm_sqs_keyring_finish(struct swm_sqs_keyring *ring);

/* The keys to sign with now, to be given back; fetches them if need be, at most until
 * `until_ms` (monotonic). SWM_E_DENIED: there are none; SWM_E_UNAVAILABLE, SWM_E_TIMEOUT:
 * who has them does not answer. */
SWM_NODISCARD swm_status swm_sqs_keys_get(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err);
void swm_sqs_keys_put(struct swm_queue *queue, struct swm_sqs_keys *keys);

/* The server does not take the set of that number: the next get fetches anew. */
void swm_sqs_keys_refuse(struct swm_queue *queue, uint32_t number);

/* A set, for those who fetch; copies. NULL: no memory. `token` may be NULL or empty. */
struct swm_sqs_keys *swm_sqs_keys_create(
	const char *id, const char *secret, const char *token, int64_t expires_ms);

/* Overwrites and frees a string that may be NULL. */
void swm_sqs_wipe(char *secret);

/*
 * The places, each in a file of its own. SWM_E_NOT_FOUND: this one does not apply here, the
 * next may; any other failure ends the search.
 */
typedef swm_status swm_sqs_fetch_keys(struct swm_queue *queue, int64_t until_ms,
	struct swm_sqs_keys **out, struct swm_error *err);

swm_sqs_fetch_keys swm_sqs_keys_from_options;
swm_sqs_fetch_keys swm_sqs_keys_from_environment;
swm_sqs_fetch_keys swm_sqs_keys_from_files;
swm_sqs_fetch_keys swm_sqs_keys_from_container;
swm_sqs_fetch_keys swm_sqs_keys_from_instance;
swm_sqs_fetch_keys swm_sqs_keys_from_web_identity;

/* What the shared files say beside the keys: the region, to be freed; NULL: nothing. */
char *swm_sqs_region_from_files(const char *profile);

#endif
