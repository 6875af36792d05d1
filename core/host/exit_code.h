/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_EXIT_CODE_H
#define SWM_HOST_EXIT_CODE_H

/*
 * What a script can tell from how a command ended.
 */

#include <swm/types.h>

enum swm_exit {
	SWM_EXIT_DONE = 0,
	SWM_EXIT_REFUSED = 1, /* refused or invalid */
	SWM_EXIT_USAGE = 2,
	SWM_EXIT_NOT_FOUND = 3,
	SWM_EXIT_UNREACHABLE = 4 /* a store or a broker; worth another try */
};

/* The exit code that a status stands for. */
enum swm_exit swm_exit_code(swm_status status);

#endif
