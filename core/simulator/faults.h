/* SPDX-License-Identifier: MIT */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

/*
 * What can go wrong in a simulated world, by name. Each run draws which of these happen at
 * all (swarm testing): a world with a few kinds of trouble and much of each finds what a
 * world with a little of everything does not.
 */

#include <swm/types.h>

enum sim_fault {
	/* The broker. */
	SIM_FAULT_DUPLICATE,
	SIM_FAULT_REORDER,
	SIM_FAULT_DELAY,
	SIM_FAULT_LOST_ACK,
	SIM_FAULT_QUEUE_LEASE,
	SIM_FAULT_RECEIVE,
	SIM_FAULT_REFUSE,
	SIM_FAULT_HALF,
	SIM_FAULT_PUBLISH_DOUBT,
	SIM_FAULT_UNDELIVERABLE,
	SIM_FAULT_BROKER_AWAY,
	/* The store. */
	SIM_FAULT_COMMIT_DOUBT,
	SIM_FAULT_COMMIT_LATE,
	SIM_FAULT_PUT_DOUBT,
	SIM_FAULT_STORE_AWAY,
	SIM_FAULT_STORE_TIMEOUT,
	SIM_FAULT_DISK_FULL,
	SIM_FAULT_TOO_LARGE,
	SIM_FAULT_CLAIM_LOST,
	/* The orchestrators and their machines. */
	SIM_FAULT_CRASH,
	SIM_FAULT_RESTART,
	SIM_FAULT_STALL,
	SIM_FAULT_SLOW,
	SIM_FAULT_HOST_CLOCK,
	SIM_FAULT_STORE_CLOCK,
	SIM_FAULT_WAKE,
	/* Those who answer, and those who should not. */
	SIM_FAULT_AGENT_FAILS,
	SIM_FAULT_AGENT_LATE,
	SIM_FAULT_AGENT_TWICE,
	SIM_FAULT_AGENT_STALE,
	SIM_FAULT_AGENT_COPIES,
	SIM_FAULT_AGENT_FOREIGN,
	SIM_FAULT_AGENT_ANONYMOUS,
	SIM_FAULT_AGENT_NEVER,
	SIM_FAULT_AGENT_OVERTAKES,
	SIM_FAULT_OPERATOR,
	SIM_FAULT_POISON,
	SIM_FAULTS
};

#define SIM_FAULTS_ALL ((UINT64_C(1) << SIM_FAULTS) - 1)

struct sim_fault_info {
	const char *name; /* as --faults takes it */
	const char *text; /* one line for people */
};

const struct sim_fault_info *sim_fault_info(enum sim_fault fault);

static inline uint64_t sim_fault_bit(enum sim_fault fault)
{
	return UINT64_C(1) << fault;
}

/* Reads names with commas between, "all", "none", and names with '-' before them, which
 * take away. False: *bad is the name that there is none of. */
bool sim_faults_read(const char *list, uint64_t *mask, struct swm_str *bad);

/* Writes the names with commas between, cut when there is no room; "none", "all". */
void sim_faults_write(uint64_t mask, char *out, size_t size);

#endif
