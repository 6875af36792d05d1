/* SPDX-License-Identifier: MIT */

/* The one symbol that the shared object shows. Apart, so that tests can link the rest
 * into a program. */

#include "queue_sqs.h"

SWM_PLUGIN_EXPORT(swm_queue_sqs);
