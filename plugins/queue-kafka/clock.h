/* SPDX-License-Identifier: MIT */
#ifndef QUEUE_KAFKA_CLOCK_H
#define QUEUE_KAFKA_CLOCK_H

/*
 * Time as this plugin waits by it: monotonic, in milliseconds. And a wait for another
 * thread that ends by such a time.
 *
 * Concurrency: any thread.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int64_t swm_kafka_now_ms(void);

/* Now and `timeout_ms` more, as far as a clock can say that. */
int64_t swm_kafka_until_ms(int64_t timeout_ms);

/* What is left until then, as the library wants it: 0 when it is over. */
int swm_kafka_left_ms(int64_t until_ms);

/* A thread that is waited for when something is closed, but not for ever: the one that
 * finds `ended` at the end frees what both of them use. */
struct swm_kafka_ending {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool ended;
	bool abandoned;
};

/* False: no memory for it. */
bool swm_kafka_ending_init(struct swm_kafka_ending *ending);
void swm_kafka_ending_finish(struct swm_kafka_ending *ending);

/* The closing thread's: true when the other one has ended; false when time is over, and
 * then the other one is left to clean up. */
bool swm_kafka_ending_wait(struct swm_kafka_ending *ending, int64_t until_ms);

/* The last thing of the other thread. True: nobody waits any more, clean up. */
bool swm_kafka_ending_tell(struct swm_kafka_ending *ending);

#endif
