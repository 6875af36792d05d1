/* SPDX-License-Identifier: MIT */

/*
 * The flock and the line before it; see write_lock.h for the idea and the threads.
 *
 * Why no wake-up is lost: a waiter reads the turn, then tries the flock, then sleeps
 * unless the turn has changed; who gives back releases the flock, then changes the
 * turn, then wakes. Only the death of a holder changes no turn.
 *
 * The one that is woken has no right to the lock: somebody running may be faster, and
 * it sleeps again. So a busy writer is not held up by a waiter that must first be
 * scheduled.
 */

#define _DEFAULT_SOURCE /* syscall() */

#include "write_lock.h"

#include "lock_file.h"
#include "status.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE_BYTES = 4096,
	/* How late the death of a holder is noticed. */
	RETRY_US = 10000
};

/* The contents of the lock file. */
struct swm_write_lock_page {
	_Atomic uint32_t turn; /* how often the lock was given back */
	_Atomic uint32_t mark; /* 0: not set */
};

static_assert(sizeof(struct swm_write_lock_page) <= PAGE_BYTES, "fits the file");

static int64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

swm_status swm_write_lock_open(
	struct swm_write_lock *lock, const char *path, struct swm_error *err)
{
	swm_status status;
	void *page = NULL;

	*lock = (struct swm_write_lock){.path = path, .fd = -1};
	status = swm_lock_file_open(path, &lock->fd, err);
	if (status != SWM_OK) {
		return status;
	}
	status = swm_lock_file_map(lock->fd, path, PAGE_BYTES, &page, err);
	if (status != SWM_OK) {
		swm_write_lock_close(lock);
		return status;
	}
	lock->page = page;
	return SWM_OK;
}

void swm_write_lock_close(struct swm_write_lock *lock)
{
	if (!lock->path) {
		return;
	}
	if (lock->page) {
		munmap(lock->page, PAGE_BYTES);
	}
	if (lock->fd >= 0) {
		close(lock->fd);
	}
	*lock = (struct swm_write_lock){.fd = -1};
}

static void wait_for_turn(struct swm_write_lock *lock, uint32_t seen, int64_t us)
{
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	syscall(SYS_futex, &lock->page->turn, FUTEX_WAIT, seen, &pause, NULL, 0);
}

swm_status swm_write_lock_take(
	struct swm_write_lock *lock, int64_t timeout_ms, struct swm_error *err)
{
	int64_t end_us = 0;

	for (;;) {
		uint32_t seen = atomic_load(&lock->page->turn);

		if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0) {
			return SWM_OK;
		}
		if (errno != EWOULDBLOCK && errno != EINTR) {
			return swm_fail_errno(err, lock->path, "lock");
		}
		int64_t now_us = monotonic_us();
		if (end_us == 0) {
			end_us = now_us + timeout_ms * 1000;
		}
		if (now_us >= end_us) {
			return swm_fail(err, SWM_E_TIMEOUT, 0,
				"%s: another process or thread kept the write lock for %lld ms",
				lock->path, (long long)timeout_ms);
		}
		wait_for_turn(
			lock, seen, end_us - now_us < RETRY_US ? end_us - now_us : RETRY_US);
	}
}

bool swm_write_lock_is_marked(const struct swm_write_lock *lock)
{
	return atomic_load(&lock->page->mark) != 0;
}

void swm_write_lock_mark(struct swm_write_lock *lock, bool mark)
{
	atomic_store(&lock->page->mark, mark ? 1 : 0);
}

void swm_write_lock_give(struct swm_write_lock *lock)
{
	flock(lock->fd, LOCK_UN);
	atomic_fetch_add(&lock->page->turn, 1);
	syscall(SYS_futex, &lock->page->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}
