/* SPDX-License-Identifier: MIT */

/* See exit_code.h. */

#include "exit_code.h"

enum swm_exit swm_exit_code(swm_status status)
{
	switch (status) {
	case SWM_OK:
	case SWM_E_DUPLICATE:
		return SWM_EXIT_DONE;
	case SWM_E_NOT_FOUND:
		return SWM_EXIT_NOT_FOUND;
	case SWM_E_UNAVAILABLE:
	case SWM_E_TIMEOUT:
	case SWM_E_THROTTLED:
	case SWM_E_INDOUBT:
		return SWM_EXIT_UNREACHABLE;
	default:
		return SWM_EXIT_REFUSED;
	}
}
