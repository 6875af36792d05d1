/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_SERVICES_H
#define SWM_HOST_SERVICES_H

/*
 * What the process gives to its plugins: the log, the clock and the counters,
 * behind the table of swm/plugin.h.
 */

#include "log.h"
#include "metrics.h"

struct swm_services {
	struct swm_log log;
	struct swm_metrics metrics;
	struct swm_host host; /* what plugins see; its ctx is this struct */
};

/* Sets up all of it, logging to `fd`. The struct must stay where it is, longer than
 * any plugin. Main thread, before any other starts. */
void swm_services_init(
	struct swm_services *services, int fd, int32_t level, enum swm_log_format format);

/* Changes level and format; before other threads start. */
void swm_services_set_log(
	struct swm_services *services, int32_t level, enum swm_log_format format);

#endif
