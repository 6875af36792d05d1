/* SPDX-License-Identifier: MIT */

/*
 * The program's own malloc and fsync come before libc's for every shared object of
 * the process, so each call is seen once, here, and handed on.
 */

#include "count.h"

#include "world.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STAND_IN __attribute__((visibility("default")))

static _Atomic int64_t allocations;
static _Atomic int64_t syncs;

/* glibc's own names of what is stood in for. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

STAND_IN void *malloc(size_t size)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __libc_malloc(size);
}

STAND_IN void *calloc(size_t count, size_t size)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __libc_calloc(count, size);
}

STAND_IN void *realloc(void *old, size_t size)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __libc_realloc(old, size);
}

STAND_IN int fsync(int fd)
{
	atomic_fetch_add_explicit(&syncs, 1, memory_order_relaxed);
	return (int)syscall(SYS_fsync, fd);
}

STAND_IN int fdatasync(int fd)
{
	atomic_fetch_add_explicit(&syncs, 1, memory_order_relaxed);
	return (int)syscall(SYS_fdatasync, fd);
}

struct count count_now(void)
{
	struct timespec cpu;
	struct rusage usage;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	(void)getrusage(RUSAGE_SELF, &usage);
	return (struct count){
		.wall_ns = world_monotonic_ns(),
		.cpu_ns = (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec,
		.allocations = atomic_load(&allocations),
		.syncs = atomic_load(&syncs),
		.voluntary_switches = usage.ru_nvcsw,
	};
}

struct count count_since(const struct count *earlier)
{
	struct count now = count_now();
	return (struct count){
		.wall_ns = now.wall_ns - earlier->wall_ns,
		.cpu_ns = now.cpu_ns - earlier->cpu_ns,
		.allocations = now.allocations - earlier->allocations,
		.syncs = now.syncs - earlier->syncs,
		.voluntary_switches = now.voluntary_switches - earlier->voluntary_switches,
	};
}

int64_t count_peak_rss_bytes(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (int64_t)usage.ru_maxrss * 1024;
}
