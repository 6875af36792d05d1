/* SPDX-License-Identifier: MIT */

/* The one visible symbol of the plugin; apart, since tests link the rest without it.
 * Concurrency: none. */

#include "store.h"

SWM_PLUGIN_EXPORT(store_mongodb_plugin);
