/* SPDX-License-Identifier: MIT */

/*
 * The plugin's descriptor, its options, and what belongs to the adapter as a whole:
 * open, close, prepare, depth.
 *
 * Concurrency: prepare and depth share one connection under a mutex, for they are
 * rare; nothing on the hot path takes it.
 */

#include "queue_sqlite.h"

#include "layout.h"
#include "status.h"
#include "timed_lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

swm_status swm_queue_unavailable(struct swm_error *err)
{
	if (err != NULL) {
		err->status = SWM_E_UNAVAILABLE;
	}
	return SWM_E_UNAVAILABLE;
}

swm_status swm_queue_failed(swm_status status, struct swm_error *err)
{
	return status == SWM_E_CORRUPT ? swm_queue_unavailable(err) : status;
}

/* Opens the wake file, which lives and dies next to the data file. */
static swm_status open_wake(struct swm_queue *queue, struct swm_error *err)
{
	size_t size = strlen(queue->config->path) + sizeof("-wake");
	char *path = malloc(size);
	swm_status status;

	if (path == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)snprintf(path, size, "%s-wake", queue->config->path);
	status = swm_wake_open(path, &queue->wake, err);
	free(path);
	return status;
}

static swm_status open_control(struct swm_queue *queue, struct swm_error *err)
{
	struct swm_db *db = &queue->control;
	swm_status status = swm_schema_open(
		db, queue->config->path, SWM_DB_FULL, queue->call_timeout_ms, err);

	if (status == SWM_OK) {
		status = swm_catalog_init(&queue->catalog, db, err);
	}
	if (status == SWM_OK) {
		status = swm_db_prepare(db,
			"SELECT published - taken + (SELECT count(*) FROM lease"
			"  WHERE queue = ?1 AND (held = 0 OR due <= ?2))"
			" FROM queue WHERE id = ?1",
			&queue->depth, err);
	}
	return status;
}

static void queue_close(struct swm_queue *queue)
{
	if (queue == NULL) {
		return;
	}
	swm_wake_close(queue->wake);
	swm_db_close(&queue->control);
	(void)pthread_mutex_destroy(&queue->mutex);
	free(queue);
}

static swm_status queue_open(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	struct swm_queue *queue = calloc(1, sizeof(*queue));
	swm_status status;

	if (queue == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	if (pthread_mutex_init(&queue->mutex, NULL) != 0) {
		free(queue);
		return swm_fail(err, SWM_E_NOMEM, 0, "no mutex to be had");
	}
	queue->config = args->config;
	queue->host = args->host;
	queue->instance = args->instance;
	queue->call_timeout_ms = args->call_timeout_ms;
	status = open_control(queue, err);
	if (status == SWM_OK && (args->flags & SWM_OPEN_ORCHESTRATOR)) {
		status = swm_db_check(&queue->control, err);
	}
	if (status == SWM_OK) {
		status = open_wake(queue, err);
	}
	if (status != SWM_OK) {
		queue_close(queue);
		return status;
	}
	*out = queue;
	return SWM_OK;
}

/* Another thread may be waiting for the file's lock with the control connection. */
static swm_status lock_control(struct swm_queue *queue, struct swm_error *err)
{
	return swm_timed_lock(&queue->mutex, queue->call_timeout_ms, queue->config->path, err);
}

static swm_status queue_prepare(struct swm_queue *queue, const struct swm_str *names,
	size_t count, struct swm_error *err)
{
	int64_t *ids = calloc(count == 0 ? 1 : count, sizeof(*ids));
	swm_status status;

	if (ids == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = lock_control(queue, err);
	if (status == SWM_OK) {
		status = swm_queue_failed(swm_catalog_prepare(&queue->catalog, names, count,
						  queue->config->create_queues, ids, err),
			err);
		(void)pthread_mutex_unlock(&queue->mutex);
	}
	free(ids);
	return status;
}

static swm_status read_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	int64_t now_ms = queue->host->now_ms(queue->host->ctx);
	int64_t id = 0;
	swm_status status = swm_catalog_find(&queue->catalog, name, &id, err);
	int rc;

	if (status != SWM_OK) {
		return status;
	}
	(void)sqlite3_bind_int64(queue->depth, 1, id);
	(void)sqlite3_bind_int64(queue->depth, 2, now_ms);
	rc = sqlite3_step(queue->depth);
	if (rc == SQLITE_ROW) {
		*out = sqlite3_column_int64(queue->depth, 0);
	} else {
		status = swm_db_failed(&queue->control, rc, "count a queue", err);
	}
	(void)sqlite3_reset(queue->depth);
	return status;
}

static swm_status queue_depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	swm_status status = swm_queue_name_check(name, err);

	if (status == SWM_OK) {
		status = lock_control(queue, err);
	}
	if (status == SWM_OK) {
		status = swm_queue_failed(read_depth(queue, name, out, err), err);
		(void)pthread_mutex_unlock(&queue->mutex);
	}
	return status;
}

static const struct swm_option options[] = {
	{
		.name = "path",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct swm_queue_config, path, const char *),
		.fallback = "var/swm-queue.db",
		.doc = "The file, on a local file system; PATH-lock, PATH-wake, PATH-wal and "
		       "PATH-shm appear next to it.",
	},
	{
		.name = "lease",
		.type = SWM_OPTION_DURATION,
		.offset = SWM_OFFSET(struct swm_queue_config, lease_ms, int64_t),
		.fallback = "30s",
		.min = 10,
		.max = SWM_DELAY_MAX_MS,
		.doc = "How long a consumer may keep a message before it goes to another one; "
		       "a task service extends it while it works.",
	},
	{
		.name = "create_queues",
		.type = SWM_OPTION_BOOL,
		.offset = SWM_OFFSET(struct swm_queue_config, create_queues, bool),
		.fallback = "true",
		.doc = "Whether a queue that is named but missing is created.",
	},
	{
		.name = "max_message",
		.type = SWM_OPTION_SIZE,
		.offset = SWM_OFFSET(struct swm_queue_config, message_bytes_max, int64_t),
		.fallback = "16MiB",
		.min = 1024,
		.max = INT64_C(512) * 1024 * 1024,
		.doc = "The largest message that is taken: body, key, id and headers together.",
	},
	{.name = NULL},
};

static const struct swm_queue_ops ops = {
	.size = sizeof(ops),
	.capabilities = SWM_QUEUE_EXTEND | SWM_QUEUE_ATTEMPTS,
	.open = queue_open,
	.close = queue_close,
	.prepare = queue_prepare,
	.consumer_open = swm_consumer_open,
	.consumer_receive = swm_consumer_receive,
	.consumer_settle = swm_consumer_settle,
	.consumer_wake = swm_consumer_wake,
	.consumer_close = swm_consumer_close,
	.publisher_open = swm_publisher_open,
	.publisher_publish = swm_publisher_publish,
	.publisher_close = swm_publisher_close,
	.depth = queue_depth,
};

const struct swm_plugin swm_queue_sqlite = {
	.magic = SWM_PLUGIN_MAGIC,
	.abi_major = SWM_ABI_MAJOR,
	.abi_minor = SWM_ABI_MINOR,
	.size = sizeof(swm_queue_sqlite),
	.kind = SWM_PLUGIN_QUEUE,
	.name = "sqlite",
	.version = "0.1.0",
	.license = "MIT",
	.description =
		"A durable queue in a local file, shared by the processes of one machine",
	.options = options,
	.option_size = sizeof(struct swm_option),
	.config_size = sizeof(struct swm_queue_config),
	.ops = &ops,
};
