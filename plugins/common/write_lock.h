/* SPDX-License-Identifier: MIT */
#ifndef SWM_COMMON_WRITE_LOCK_H
#define SWM_COMMON_WRITE_LOCK_H

/*
 * The lock that orders the writers of a SQLite file, between threads and between
 * processes: a flock on a file of its own, and a way to wait for it.
 *
 * The flock alone decides who has the lock, so the kernel gives it back when its
 * holder dies. But flock(2) has no time limit, and who tries again and again either
 * burns the CPU or comes too late, for the holder mostly takes it again at once. So the
 * lock file is mapped too: whoever gives the lock back counts a turn in it and wakes
 * the one that has waited longest (a shared futex). The page holds hints only: were it
 * all wrong, a waiter would still try every few milliseconds. It holds a mark as well, for
 * whoever has the lock to leave to the next one.
 *
 * Concurrency: a struct swm_write_lock belongs to one thread at a time. Each has a
 * descriptor of its own, since a flock belongs to the open file description: two of one
 * process exclude each other like two processes do.
 */

#include <swm/types.h>

struct swm_write_lock_page;

struct swm_write_lock {
	const char *path;
	struct swm_write_lock_page *page;
	int fd;
};

/* Opens the lock file `path` (borrowed: must outlive the lock), creating it when it is
 * missing. As swm_lock_file_open(). On failure the lock is closed. */
swm_status swm_write_lock_open(
	struct swm_write_lock *lock, const char *path, struct swm_error *err);

/* Gives the lock back, if need be. A closed one and a zeroed struct are fine. */
void swm_write_lock_close(struct swm_write_lock *lock);

/* SWM_E_TIMEOUT when it was not free within timeout_ms. Not to be taken twice. */
swm_status swm_write_lock_take(
	struct swm_write_lock *lock, int64_t timeout_ms, struct swm_error *err);

/* The mark, false in a new file; only for who has the lock. It lives as long as the
 * machine runs: after a power cut it is either value. */
bool swm_write_lock_is_marked(const struct swm_write_lock *lock);
void swm_write_lock_mark(struct swm_write_lock *lock, bool mark);

/* Harmless when it was not taken. */
void swm_write_lock_give(struct swm_write_lock *lock);

#endif
