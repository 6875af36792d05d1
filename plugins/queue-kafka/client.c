/* SPDX-License-Identifier: MIT */

/* See client.h. */

#include "client.h"

#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

void swm_kafka_client_log(
	const struct swm_kafka_client *client, int32_t level, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	client->host->log(client->host->ctx, level, client->instance, "%s", line);
}

/* Nothing of the library's is more than a warning: it tries again by itself. */
static int32_t host_level(int level, const char *facility)
{
	if (strcmp(facility, "CONFWARN") == 0) {
		return SWM_LOG_DEBUG; /* a property of consumers, given to a producer as well */
	}
	if (level <= LOG_WARNING) {
		return SWM_LOG_WARN;
	}
	return level <= LOG_INFO ? SWM_LOG_INFO : SWM_LOG_DEBUG;
}

static void take_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const struct swm_kafka_client *client = rd_kafka_opaque(rk);
	int32_t mapped = host_level(level, facility);

	if (mapped <= client->host->log_level) {
		client->host->log(client->host->ctx, mapped, client->instance,
			"librdkafka: %s: %s", facility, text);
	}
}

static void take_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct swm_kafka_client *client = opaque;
	swm_status status = swm_kafka_status((rd_kafka_resp_err_t)code);

	(void)rk;
	(void)pthread_mutex_lock(&client->mutex);
	/* That no broker is left says less than why one of them is not. */
	if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || client->trouble == SWM_OK) {
		client->trouble = status == SWM_E_DENIED ? status : SWM_E_UNAVAILABLE;
		(void)snprintf(client->reason, sizeof(client->reason), "%s", reason);
	}
	(void)pthread_mutex_unlock(&client->mutex);
}

static void free_client(struct swm_kafka_client *client)
{
	(void)pthread_mutex_destroy(&client->mutex);
	swm_kafka_ending_finish(&client->ending);
	free(client);
}

static struct swm_kafka_client *create(const struct swm_open_args *args, void *owner)
{
	struct swm_kafka_client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		return NULL;
	}
	if (!swm_kafka_ending_init(&client->ending)) {
		free(client);
		return NULL;
	}
	if (pthread_mutex_init(&client->mutex, NULL) != 0) {
		swm_kafka_ending_finish(&client->ending);
		free(client);
		return NULL;
	}
	client->host = args->host;
	client->instance = args->instance;
	client->owner = owner;
	return client;
}

swm_status swm_kafka_client_open(struct swm_kafka_client **out, rd_kafka_type_t type,
	rd_kafka_conf_t *conf, const struct swm_open_args *args, void *owner,
	struct swm_error *err)
{
	struct swm_kafka_client *client = create(args, owner);
	char reason[SWM_ERROR_MESSAGE_MAX];

	if (client == NULL) {
		rd_kafka_conf_destroy(conf);
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	rd_kafka_conf_set_opaque(conf, client);
	rd_kafka_conf_set_log_cb(conf, take_log);
	rd_kafka_conf_set_error_cb(conf, take_error);
	client->rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (client->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		free_client(client);
		return swm_fail(err, SWM_E_CONFIG, 0, "%s", reason);
	}
	*out = client;
	return SWM_OK;
}

void swm_kafka_client_destroy(struct swm_kafka_client *client)
{
	if (client != NULL) {
		rd_kafka_destroy(client->rk);
		free_client(client);
	}
}

static void *destroy(void *arg)
{
	struct swm_kafka_client *client = arg;

	rd_kafka_destroy(client->rk);
	if (swm_kafka_ending_tell(&client->ending)) {
		free_client(client);
	}
	return NULL;
}

void swm_kafka_client_close(struct swm_kafka_client *client, int64_t until_ms)
{
	pthread_t thread;

	if (client == NULL) {
		return;
	}
	if (pthread_create(&thread, NULL, destroy, client) != 0) {
		swm_kafka_client_destroy(client);
		return;
	}
	if (swm_kafka_ending_wait(&client->ending, until_ms)) {
		(void)pthread_join(thread, NULL);
		free_client(client);
		return;
	}
	/* The client may be freed at any moment: nothing of it is looked at any more. */
	(void)pthread_detach(thread);
}

swm_status swm_kafka_status(rd_kafka_resp_err_t code)
{
	/* NOLINTNEXTLINE(clang-diagnostic-switch-enum): the others are all one */
	switch ((int)code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return SWM_OK;
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
		return SWM_E_DENIED;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return SWM_E_NOT_FOUND;
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_INVALID_RECORD:
	case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
		return SWM_E_INVALID;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
		return SWM_E_TOO_LARGE;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
	case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
	case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
		return SWM_E_THROTTLED;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		return SWM_E_TIMEOUT;
	default:
		return SWM_E_UNAVAILABLE;
	}
}

void swm_kafka_client_worked(struct swm_kafka_client *client)
{
	(void)pthread_mutex_lock(&client->mutex);
	client->trouble = SWM_OK;
	client->reason[0] = '\0';
	(void)pthread_mutex_unlock(&client->mutex);
}

swm_status swm_kafka_client_fail(struct swm_kafka_client *client, rd_kafka_resp_err_t code,
	const char *what, struct swm_error *err)
{
	char reason[SWM_ERROR_MESSAGE_MAX];
	swm_status status = swm_kafka_status(code);

	(void)pthread_mutex_lock(&client->mutex);
	(void)snprintf(reason, sizeof(reason), "%s", client->reason);
	if (client->trouble != SWM_OK &&
		(status == SWM_E_TIMEOUT || status == SWM_E_UNAVAILABLE)) {
		status = client->trouble;
	}
	(void)pthread_mutex_unlock(&client->mutex);
	return swm_fail(err, status, (int)code, "cannot %s: %s%s%s", what,
		rd_kafka_err2str(code), reason[0] != '\0' ? "; the last trouble: " : "",
		reason);
}
