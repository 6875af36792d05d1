/* SPDX-License-Identifier: MIT */

/*
 * See faults.h.
 */

#include "faults.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct sim_fault_info infos[SIM_FAULTS] = {
	[SIM_FAULT_DUPLICATE] = {"duplicate", "the broker delivers a message twice"},
	[SIM_FAULT_REORDER] = {"reorder", "messages arrive in another order"},
	[SIM_FAULT_DELAY] = {"delay", "a message takes its time"},
	[SIM_FAULT_LOST_ACK] = {"lost-ack", "an acknowledgement is lost, the message comes "
					    "again"},
	[SIM_FAULT_QUEUE_LEASE] = {"queue-lease", "the lease of a delivery ends while it is "
						  "worked on"},
	[SIM_FAULT_RECEIVE] = {"receive", "opening, receiving or preparing fails once"},
	[SIM_FAULT_REFUSE] = {"refuse", "the broker refuses a message for now"},
	[SIM_FAULT_HALF] = {"half", "the broker takes a part of what is published"},
	[SIM_FAULT_PUBLISH_DOUBT] = {"publish-doubt",
		"publishing is not answered, done or not"},
	[SIM_FAULT_UNDELIVERABLE] = {"undeliverable", "the broker will never take a message"},
	[SIM_FAULT_BROKER_AWAY] = {"broker-away", "the broker is away for a while"},
	[SIM_FAULT_COMMIT_DOUBT] = {"commit-doubt", "a commit is not answered, applied or not"},
	[SIM_FAULT_COMMIT_LATE] = {"commit-late",
		"a commit that was not answered is applied after a while"},
	[SIM_FAULT_PUT_DOUBT] = {"put-doubt",
		"storing a message aside is not answered, done or "
		"not"},
	[SIM_FAULT_STORE_AWAY] = {"store-away", "the store is away, for a call or a while"},
	[SIM_FAULT_STORE_TIMEOUT] = {"store-timeout",
		"a call of the store is not done in time"},
	[SIM_FAULT_DISK_FULL] = {"disk-full", "the store can write nothing for a while"},
	[SIM_FAULT_TOO_LARGE] = {"too-large",
		"the store takes only one event of an instance at "
		"a time"},
	[SIM_FAULT_CLAIM_LOST] = {"claim-lost", "the answer to a claim is lost, the rows stay "
						"leased"},
	[SIM_FAULT_CRASH] = {"crash", "an orchestrator is killed before or after any call"},
	[SIM_FAULT_RESTART] = {"restart", "an orchestrator is stopped and started again"},
	[SIM_FAULT_STALL] = {"stall", "an orchestrator stands still for a while"},
	[SIM_FAULT_SLOW] = {"slow", "a call takes long, before or after its effect"},
	[SIM_FAULT_HOST_CLOCK] = {"host-clock", "an orchestrator's clock jumps"},
	[SIM_FAULT_STORE_CLOCK] = {"store-clock", "the store's clock differs, and jumps"},
	[SIM_FAULT_WAKE] = {"wake", "a wait ends without a reason"},
	[SIM_FAULT_AGENT_FAILS] = {"agent-fails", "an agent answers TaskFailed"},
	[SIM_FAULT_AGENT_LATE] = {"agent-late", "an agent answers late"},
	[SIM_FAULT_AGENT_TWICE] = {"agent-twice", "an agent answers twice"},
	[SIM_FAULT_AGENT_STALE] = {"agent-stale", "an agent answers with an old attempt"},
	[SIM_FAULT_AGENT_COPIES] = {"agent-copies", "an agent copies the properties of what it "
						    "answers"},
	[SIM_FAULT_AGENT_FOREIGN] = {"agent-foreign", "an agent adds fields of its own"},
	[SIM_FAULT_AGENT_ANONYMOUS] = {"agent-anonymous",
		"an agent gives no id and no attempt"},
	[SIM_FAULT_AGENT_NEVER] = {"agent-never", "an agent does not answer"},
	[SIM_FAULT_AGENT_OVERTAKES] = {"agent-overtakes", "an answer overtakes the "
							  "StartWorkflow"},
	[SIM_FAULT_OPERATOR] = {"operator", "a person interferes"},
	[SIM_FAULT_POISON] = {"poison", "messages that nobody can use"},
};

static_assert(SIM_FAULTS < 64, "a mask has 64 bits");

const struct sim_fault_info *sim_fault_info(enum sim_fault fault)
{
	return &infos[fault];
}

static bool is_word(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

/* The bits of one name; 0: there is none. "none" is for its caller. */
static uint64_t bits_of(const char *word, size_t len)
{
	if (is_word(word, len, "all")) {
		return SIM_FAULTS_ALL;
	}
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		if (is_word(word, len, infos[i].name)) {
			return UINT64_C(1) << i;
		}
	}
	return 0;
}

bool sim_faults_read(const char *list, uint64_t *mask, struct swm_str *bad)
{
	uint64_t found = list[0] == '-' ? SIM_FAULTS_ALL : 0;
	while (*list) {
		size_t len = strcspn(list, ",");
		bool minus = list[0] == '-';
		const char *word = list + minus;
		uint64_t bits = bits_of(word, len - minus);
		if (bits == 0 && !is_word(word, len - minus, "none")) {
			*bad = (struct swm_str){word, len - minus};
			return false;
		}
		found = minus ? found & ~bits : found | bits;
		list += len + (list[len] == ',');
	}
	*mask = found;
	return true;
}

void sim_faults_write(uint64_t mask, char *out, size_t size)
{
	assert(size > 0);
	out[0] = '\0';
	if (mask == 0 || mask == SIM_FAULTS_ALL) {
		(void)snprintf(out, size, "%s", mask == 0 ? "none" : "all");
		return;
	}
	size_t len = 0;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		if (!(mask & (UINT64_C(1) << i))) {
			continue;
		}
		int added = snprintf(
			out + len, size - len, "%s%s", len > 0 ? "," : "", infos[i].name);
		if (added < 0 || (size_t)added >= size - len) {
			out[len] = '\0';
			return;
		}
		len += (size_t)added;
	}
}
