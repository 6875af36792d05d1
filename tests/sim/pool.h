/* SPDX-License-Identifier: MIT */
#ifndef SIM_POOL_H
#define SIM_POOL_H

/*
 * Memory for jansson's many small values, which are most of what a world allocates: blocks
 * of few sizes that are kept for the next value of that size. Not where a sanitizer is to
 * see each of them.
 *
 * Concurrency: of the whole process, which has one thread.
 */

/* Before anything is read. */
void pool_use(void);

#endif
