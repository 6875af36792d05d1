/* SPDX-License-Identifier: MIT */
#ifndef POWER_CHECK_H
#define POWER_CHECK_H

/*
 * Is a crash image what the ports promise? Opens it with the plugins, reads all of it
 * through the ports and looks for the state among those that the crash left open:
 * what was reported as durable is there, and what was in flight is there or not, as a
 * whole and in order. Then the files must be sound, and (some images) work must go on.
 *
 * What the queue promises of receive and settle: nothing is flushed, so any of the last
 * ones may be undone, but no one before a publish (or another flush of that file) that
 * was reported; and an undone one leaves those before it done.
 *
 * Concurrency: one thread.
 */

#include "model.h"
#include "rig.h"

enum check_verdict {
	CHECK_FINE,
	CHECK_LOST,    /* something that was reported as durable is not there */
	CHECK_MIXED,   /* a state that never was: half of something, or rubbish */
	CHECK_UNSOUND, /* SQLite finds its file damaged */
	CHECK_REFUSED, /* a plugin reports a failure */
	CHECK_VERDICTS
};

struct check {
	struct rig *rig;
	const struct model *model;
	const char *folder;         /* the image; written to */
	size_t at;                  /* the crash point */
	bool thorough;              /* also as the orchestrator, and work goes on in it */
	uint32_t ops[MODEL_PLACES]; /* out, when fine: the states that it holds */
	bool doubtful;  /* out: one of them is of a failed operation, or lost before */
	char why[4096]; /* out, when not: some lines */
	size_t why_len;
};

enum check_verdict check_image(struct check *check);

const char *check_verdict_name(enum check_verdict verdict);

#endif
