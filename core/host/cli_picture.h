/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_CLI_PICTURE_H
#define SWM_HOST_CLI_PICTURE_H

/* An instance as people see it at a glance: its stages and tasks, line by line. */

#include "admin.h"
#include "out.h"

/* Draws it, in colours and with symbols where the terminal has them. */
void swm_cli_picture(const struct swm_out *out, const struct swm_admin_instance *instance,
	struct swm_str business_ref);

#endif
