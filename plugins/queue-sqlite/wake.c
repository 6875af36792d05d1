/* SPDX-License-Identifier: MIT */

/*
 * The mapped counters and the futex calls. See wake.h for the idea; futex(2) for
 * FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET. The futex is a shared one (no
 * FUTEX_PRIVATE_FLAG): the kernel finds it by the file's page, whatever address each
 * process mapped it at.
 */

#define _DEFAULT_SOURCE /* syscall() */

#include "wake.h"

#include "lock_file.h"
#include "status.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A futex bitset has 32 bits. Most are for queues; a few are left to wake single
 * consumers by, so that this stirs an eighth of the others at most. */
enum {
	QUEUE_SLOTS = 24,
	PRIVATE_SLOTS = 8,
	SLOTS = QUEUE_SLOTS + PRIVATE_SLOTS
};

/* The file's contents. Its size is part of the format: every version maps all. */
struct wake_page {
	_Atomic uint32_t value;
	_Atomic uint32_t slots[SLOTS];
};

enum {
	PAGE_BYTES = 4096
};

static_assert(sizeof(struct wake_page) <= PAGE_BYTES, "the counters fit the file");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "a lock would not be shared with other processes");

struct swm_wake {
	struct wake_page *page;
	_Atomic uint32_t private_next;
};

static swm_status map_file(const char *path, struct wake_page **out, struct swm_error *err)
{
	void *page = NULL;
	int fd = -1;
	swm_status status = swm_lock_file_open(path, &fd, err);

	if (status != SWM_OK) {
		return status;
	}
	status = swm_lock_file_map(fd, path, PAGE_BYTES, &page, err);
	if (status == SWM_OK) {
		*out = page;
	}
	(void)close(fd);
	return status;
}

swm_status swm_wake_open(const char *path, struct swm_wake **out, struct swm_error *err)
{
	struct swm_wake *wake = calloc(1, sizeof(*wake));
	swm_status status;

	if (wake == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	status = map_file(path, &wake->page, err);
	if (status != SWM_OK) {
		free(wake);
		return status;
	}
	/* Processes begin at different slots, or their first consumers would share one. */
	atomic_init(&wake->private_next, (uint32_t)getpid());
	*out = wake;
	return SWM_OK;
}

void swm_wake_close(struct swm_wake *wake)
{
	if (wake == NULL) {
		return;
	}
	(void)munmap(wake->page, PAGE_BYTES);
	free(wake);
}

swm_wake_mask swm_wake_queue_mask(int64_t queue_id)
{
	return UINT32_C(1) << ((uint64_t)queue_id % QUEUE_SLOTS);
}

swm_wake_mask swm_wake_private_mask(struct swm_wake *wake)
{
	uint32_t n = atomic_fetch_add_explicit(&wake->private_next, 1, memory_order_relaxed);

	return UINT32_C(1) << (QUEUE_SLOTS + n % PRIVATE_SLOTS);
}

void swm_wake_signal(struct swm_wake *wake, swm_wake_mask mask)
{
	uint32_t slot;

	if (mask == 0) {
		return;
	}
	for (slot = 0; slot < SLOTS; slot++) {
		if ((mask & (UINT32_C(1) << slot)) != 0) {
			atomic_fetch_add(&wake->page->slots[slot], 1);
		}
	}
	atomic_fetch_add(&wake->page->value, 1);
	/* Fails only on a bad argument. */
	(void)syscall(
		SYS_futex, &wake->page->value, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, mask);
}

uint32_t swm_wake_value(struct swm_wake *wake)
{
	return atomic_load(&wake->page->value);
}

uint32_t swm_wake_news(struct swm_wake *wake, swm_wake_mask mask)
{
	uint32_t sum = 0;
	uint32_t slot;

	for (slot = 0; slot < SLOTS; slot++) {
		if ((mask & (UINT32_C(1) << slot)) != 0) {
			sum += atomic_load(&wake->page->slots[slot]);
		}
	}
	return sum;
}

void swm_wake_wait(struct swm_wake *wake, swm_wake_mask mask, uint32_t seen, int64_t timeout_ms)
{
	struct timespec until;

	if (timeout_ms <= 0) {
		return;
	}
	/* FUTEX_WAIT_BITSET takes a point in time, of the monotonic clock. */
	if (clock_gettime(CLOCK_MONOTONIC, &until) != 0) {
		return;
	}
	until.tv_sec += (time_t)(timeout_ms / 1000);
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	/* Woken, another value already, a signal handler, the time: all mean "look". */
	(void)syscall(
		SYS_futex, &wake->page->value, FUTEX_WAIT_BITSET, seen, &until, NULL, mask);
}
