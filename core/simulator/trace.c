/* SPDX-License-Identifier: MIT */

/*
 * What a run leaves behind: the digest of all that happened, the first violation, and the
 * lines of its trace where somebody wants to read them.
 */

#include "kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1000

/* FNV-1a over words of 8 bytes, with a mix so that equal words in other places count. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ (hash >> 29);
}

uint64_t sim_hash(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	hash = mix(hash, size);
	while (size > 0) {
		uint64_t word = 0;
		size_t part = size < sizeof(word) ? size : sizeof(word);
		memcpy(&word, at, part);
		hash = mix(hash, word);
		at += part;
		size -= part;
	}
	return hash;
}

uint64_t sim_hash_str(uint64_t hash, struct swm_str text)
{
	return sim_hash(hash, text.ptr, text.len);
}

void sim_world_note(struct sim_world *world, uint64_t what)
{
	struct sim_verdict *verdict = world->verdict;
	world->noted_us = world->now_us;
	verdict->digest = mix(mix(verdict->digest, (uint64_t)world->now_us), what);
}

bool sim_world_traces(const struct sim_world *world)
{
	return world->plan->trace || world->plan->on_line;
}

void sim_world_trace(struct sim_world *world, const char *format, ...)
{
	struct sim_verdict *verdict = world->verdict;
	const struct sim_flow *flow = world->acting ? NULL : world->current;
	char line[LINE_MAX_BYTES];
	int len = snprintf(line, sizeof(line), "%6lld.%03lld ",
		(long long)(world->now_us / 1000000), (long long)(world->now_us / 1000 % 1000));
	if (flow) {
		len += snprintf(line + len, sizeof(line) - (size_t)len,
			"o%u/%s: ", flow->host->index, flow->name);
	}
	va_list args;
	va_start(args, format);
	(void)vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
	va_end(args);
	if (world->plan->on_line) {
		world->plan->on_line(world->plan->on_line_ctx, line);
	}
	if (world->plan->trace) {
		verdict->lines = sim_must_grow(verdict->lines, &world->line_cap,
			verdict->line_count + 1, sizeof(char *));
		verdict->lines[verdict->line_count] =
			sim_must_copy((struct swm_str){line, strlen(line)});
		verdict->line_count++;
	}
}

void sim_verdict_finish(struct sim_verdict *verdict)
{
	for (size_t i = 0; i < verdict->line_count; i++) {
		free(verdict->lines[i]);
	}
	free(verdict->lines);
	verdict->lines = NULL;
	verdict->line_count = 0;
}

void sim_world_judge(struct sim_world *world, const struct sim_violation *violation)
{
	if (violation && !world->over) {
		sim_world_fail(world, violation->invariant, "%s", violation->text);
	}
}

void sim_world_fail(struct sim_world *world, const char *invariant, const char *format, ...)
{
	struct sim_verdict *verdict = world->verdict;
	if (world->over) {
		return;
	}
	world->over = true;
	verdict->good = false;
	verdict->step = verdict->figures.steps;
	verdict->violation.invariant = invariant;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(verdict->violation.text, sizeof(verdict->violation.text), format, args);
	va_end(args);
	SIM_TRACE(world, "VIOLATION of %s: %s", invariant, verdict->violation.text);
}
