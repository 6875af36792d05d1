/* SPDX-License-Identifier: MIT */
#ifndef SWM_BENCH_PAIR_H
#define SWM_BENCH_PAIR_H

/*
 * Which adapters are measured: the configuration of tests/bench/run, in which {folder}
 * and {round} stand for the place of each round, so that every round has a store of its
 * own.
 */

#include <stdbool.h>
#include <stddef.h>

#define PAIR_TEXT_BYTES 4096

struct pair {
	char text[PAIR_TEXT_BYTES];
	bool rabbitmq;   /* the queue; else kafka, or sqlite */
	bool kafka;      /* likewise */
	bool postgresql; /* the store; else sqlite */
	bool served;     /* one of them is a server */
};

/* Ends the program when the file cannot be used. */
void pair_read(struct pair *pair, const char *file);

/* Writes FOLDER/swm.json; the last part of the folder's name is the round. */
void pair_write_config(const struct pair *pair, const char *folder);

#endif
