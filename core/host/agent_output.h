/* SPDX-License-Identifier: MIT */
#ifndef SWM_HOST_AGENT_OUTPUT_H
#define SWM_HOST_AGENT_OUTPUT_H

/*
 * What a command prints: stdout is kept, for it may be the task's data; stderr is
 * passed on line by line, so that commands that run at the same time do not mix
 * within one, and its last line is kept as the reason of a failure.
 */

#include "swm_limits.h"

#include <swm/types.h>

/* A longer line of stderr is passed on in pieces. */
#define SWM_AGENT_LINE_MAX 4096

/* Of stdout; more is no data, and is passed on without being kept. */
struct swm_agent_output {
	char *text;
	size_t len;
	size_t max_bytes;
	bool over; /* there was more: all of it was passed on to stderr */
	bool nomem;
};

struct swm_agent_lines {
	char line[SWM_AGENT_LINE_MAX];
	size_t len;
	char last[SWM_REASON_MAX + 1]; /* the last line that is not blank; terminated */
};

/* Keeps bytes of stdout. */
void swm_agent_output_add(struct swm_agent_output *output, struct swm_str bytes);

/* Passes what was kept on to our stderr: it is no data. */
void swm_agent_output_pass_on(const struct swm_agent_output *output);

/* All zero bits is fine. */
void swm_agent_output_finish(struct swm_agent_output *output);

/* Passes bytes of a stderr on to ours. */
void swm_agent_lines_add(struct swm_agent_lines *lines, struct swm_str bytes);

/* What is left without a newline at the end. */
void swm_agent_lines_end(struct swm_agent_lines *lines);

/* The last line as a reason: UTF-8 without control characters; "" when there is none. */
void swm_agent_lines_reason(
	const struct swm_agent_lines *lines, char reason[SWM_REASON_MAX + 1]);

#endif
