/* SPDX-License-Identifier: MIT */

/*
 * The adapter object. It holds no connection: sessions and migrations open their
 * own. What it can hold is the orchestrator's place, a flock on PATH-orchestrator
 * with the holder's process id in the file, for as long as the adapter is open.
 *
 * Concurrency: main thread; between processes the flock decides.
 */

#include "store.h"

#include "lock_file.h"
#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
	/* A holder writes its number right after it got the lock. */
	HOLDER_TRIES = 20,
	HOLDER_PAUSE_NS = 1000000
};

/* The process id in a file whose lock somebody else holds; 0: not there yet. */
static long read_holder(int fd)
{
	char text[24];
	struct timespec pause = {.tv_nsec = HOLDER_PAUSE_NS};

	for (int i = 0; i < HOLDER_TRIES; i++) {
		ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

		if (len > 0) {
			text[len] = '\0';
			return strtol(text, NULL, 10);
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

static swm_status lock_place(
	int fd, const char *path, const char *store_path, struct swm_error *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK) {
			return swm_fail_errno(err, path, "lock");
		}
		return swm_fail(err, SWM_E_EXISTS, 0,
			"%s: the orchestrator with process id %ld uses this store already: "
			"stop it first, or give this one a store of its own",
			store_path, read_holder(fd));
	}
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
		return swm_fail_errno(err, path, "write the process id");
	}
	return SWM_OK;
}

static swm_status take_place(struct swm_store *store, struct swm_error *err)
{
	size_t room = strlen(store->config->path) + sizeof("-orchestrator");
	char *path = malloc(room);
	int fd = -1;

	if (!path) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	(void)snprintf(path, room, "%s-orchestrator", store->config->path);
	swm_status status = swm_lock_file_open(path, &fd, err);
	if (status == SWM_OK) {
		status = lock_place(fd, path, store->config->path, err);
	}
	free(path);
	if (status == SWM_OK) {
		store->orchestrator_fd = fd;
	} else if (fd >= 0) {
		close(fd);
	}
	return status;
}

swm_status store_open(
	const struct swm_open_args *args, struct swm_store **out, struct swm_error *err)
{
	const struct store_config *config = args->config;

	if (!config->path || !config->path[0]) {
		return swm_fail(err, SWM_E_CONFIG, 0, "%s: \"path\" is empty", args->instance);
	}
	struct swm_store *store = calloc(1, sizeof(*store));
	if (!store) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	store->host = args->host;
	store->instance = args->instance;
	store->config = config;
	store->call_timeout_ms = args->call_timeout_ms;
	store->orchestrator_fd = -1;
	if (args->flags & SWM_OPEN_ORCHESTRATOR) {
		swm_status status = take_place(store, err);

		if (status != SWM_OK) {
			free(store);
			return status;
		}
	}
	*out = store;
	return SWM_OK;
}

/* An orderly stop leaves all data in the one file. When that fails, nothing is lost:
 * the next open reads the WAL. */
static void empty_wal(struct swm_store *store)
{
	struct swm_db db = {0};

	if (store_file_check(store, NULL) != SWM_OK) {
		return;
	}
	if (swm_db_open(&db, store->config->path, SWM_DB_FULL, store->call_timeout_ms,
		    STORE_APPLICATION_ID, NULL) == SWM_OK) {
		swm_db_checkpoint(&db, true, NULL);
	}
	swm_db_close(&db);
}

void store_close(struct swm_store *store)
{
	if (!store) {
		return;
	}
	if (store->orchestrator_fd >= 0) {
		empty_wal(store);
		/* The number goes with the lock: nobody is named who is not there. */
		if (ftruncate(store->orchestrator_fd, 0) != 0) {
			store->host->log(store->host->ctx, SWM_LOG_DEBUG, store->instance,
				"%s-orchestrator: cannot be emptied: %s", store->config->path,
				strerror(errno));
		}
		close(store->orchestrator_fd);
	}
	free(store);
}

int64_t store_now_ms(const struct swm_store *store)
{
	return store->host->now_ms(store->host->ctx);
}

int64_t store_due_ms(int64_t now_ms, int64_t delay_ms)
{
	return now_ms > 0 && delay_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + delay_ms;
}
