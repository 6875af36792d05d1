/* SPDX-License-Identifier: MIT */
#ifndef SWM_FAKE_HOST_H
#define SWM_FAKE_HOST_H

/*
 * The host table and the environment for tests of the engine: counters that can be
 * read, a log that can be searched, and time that a test owns. Two kinds of time:
 *
 *   manual  one thread, the clock stands still but for fake_host_advance() and for
 *           waits, which advance it by their whole time-out at once;
 *   fast    real threads, every clock and wait `speed` times as fast, so that the
 *           seconds of a lease pass in milliseconds.
 *
 * Concurrency: any thread may log, count and read counters.
 */

#include "env.h"

struct fake_host;

struct fake_host *fake_host_create_manual(void);
struct fake_host *fake_host_create_fast(int64_t speed);
void fake_host_destroy(struct fake_host *fake);

const struct swm_env *fake_host_env(struct fake_host *fake);

/* Manual only. */
void fake_host_advance(struct fake_host *fake, int64_t ms);

int64_t fake_host_counter(struct fake_host *fake, const char *metric);

/* How many log lines contain the text. */
size_t fake_host_logged(struct fake_host *fake, const char *text);

/* Waits until the counter has reached `value`, at most 10 real seconds; false: it has
 * not. Fast only. */
bool fake_host_await(struct fake_host *fake, const char *metric, int64_t value);

#endif
