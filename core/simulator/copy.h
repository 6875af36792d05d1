/* SPDX-License-Identifier: MIT */
#ifndef SIM_COPY_H
#define SIM_COPY_H

/*
 * Copies of rows and messages, each with all that it points to in one block of memory, so
 * that a pointer which is kept too long is a use after free that a sanitizer sees. Each
 * makes the members of *what point into the block that it returns, which the caller frees.
 *
 * Concurrency: none of its own.
 */

#include <swm/queue.h>
#include <swm/store.h>

char *sim_copy_message(struct swm_message *message);
char *sim_copy_instance(struct swm_instance_row *row);
char *sim_copy_event(struct swm_event_row *row);
char *sim_copy_outbox(struct swm_outbox_row *row);
char *sim_copy_template(struct swm_template_row *row);

bool sim_str_equal(struct swm_str a, struct swm_str b);

#endif
