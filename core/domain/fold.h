/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_FOLD_H
#define SWM_DOMAIN_FOLD_H

/*
 * The log folded over the pinned template gives the state: the proof that nothing
 * moved an instance but its recorded events, and the way to show how it stood at
 * any sequence.
 */

#include "transition.h"

/* One record of the log, as the store gives it back; borrowed. */
struct swm_record {
	struct swm_str raw_id;
	struct swm_str body;
	int64_t sequence;
	int64_t at_ms;
	enum swm_outcome outcome;
	uint32_t rules; /* of StartWorkflow's record */
};

/*
 * Applies the next record to *instance, which is NULL before the first and is
 * created then; the caller destroys it.
 * What was recorded as duplicate, ignored or rejected moves nothing but the sequence,
 * since a limit may have been set differently then.
 * SWM_E_CORRUPT: a gap in the sequence, a body that cannot be read, or a record that
 * says "applied" and does not apply. SWM_E_UNSUPPORTED: rules of another release.
 * SWM_E_NOMEM: an instance that was there is of no use any more.
 */
swm_status swm_fold(const struct swm_template *template, const struct swm_record *record,
	struct swm_instance **instance, struct swm_error *err);

#endif
