/* SPDX-License-Identifier: MIT */

/* The one symbol that the shared object shows. Apart, so that tests can link the rest
 * of several plugins into one program. */

#include "queue_sqlite.h"

SWM_PLUGIN_EXPORT(swm_queue_sqlite);
