/* SPDX-License-Identifier: MIT */
#ifndef SWM_DOMAIN_EFFECTS_H
#define SWM_DOMAIN_EFFECTS_H

/*
 * Collecting what a transition asks for: internal to the domain.
 */

#include "transition.h"

/* Writes the body of `owed` from the instance as it stands now and adds it. A StartTask
 * is written by `plain`, a timer always alike. SWM_E_NOMEM. */
swm_status swm_effects_owe(struct swm_effects *effects, const struct swm_instance *instance,
	struct swm_str business_ref, bool plain, struct swm_owed *owed);

/* A timer has become pointless: taken out when it is owed since this very commit, else
 * named as cancelled. SWM_E_NOMEM. */
swm_status swm_effects_cancel(struct swm_effects *effects, const struct swm_id *id);

#endif
