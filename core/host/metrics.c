/* SPDX-License-Identifier: MIT */

/*
 * See metrics.h. An open-addressed table that only grows: a slot is claimed once,
 * by exchanging its NULL name, and never given back.
 */

#include "metrics.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a: spreads short names well, and that is all it is for. */
static uint32_t hash(const char *name)
{
	uint32_t value = UINT32_C(2166136261);
	for (; *name != '\0'; name++) {
		value = (value ^ (unsigned char)*name) * UINT32_C(16777619);
	}
	return value;
}

void swm_metrics_add(struct swm_metrics *metrics, const char *name, int64_t delta)
{
	uint32_t start = hash(name);
	for (uint32_t i = 0; i < SWM_METRICS_MAX; i++) {
		struct swm_metric_slot *slot = &metrics->slots[(start + i) % SWM_METRICS_MAX];
		const char *found = atomic_load_explicit(&slot->name, memory_order_acquire);
		if (found == NULL &&
			atomic_compare_exchange_strong_explicit(&slot->name, &found, name,
				memory_order_acq_rel, memory_order_acquire)) {
			found = name;
		}
		if (found == name || strcmp(found, name) == 0) {
			atomic_fetch_add_explicit(&slot->value, delta, memory_order_relaxed);
			return;
		}
	}
	atomic_fetch_add_explicit(&metrics->lost, 1, memory_order_relaxed);
}

int64_t swm_metrics_get(const struct swm_metrics *metrics, const char *name)
{
	uint32_t start = hash(name);
	for (uint32_t i = 0; i < SWM_METRICS_MAX; i++) {
		const struct swm_metric_slot *slot =
			&metrics->slots[(start + i) % SWM_METRICS_MAX];
		const char *found = atomic_load_explicit(&slot->name, memory_order_acquire);
		if (found == NULL) {
			return 0;
		}
		if (strcmp(found, name) == 0) {
			return atomic_load_explicit(&slot->value, memory_order_relaxed);
		}
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct swm_metric *left = a;
	const struct swm_metric *right = b;
	return strcmp(left->name, right->name);
}

size_t swm_metrics_snapshot(
	const struct swm_metrics *metrics, struct swm_metric out[SWM_METRICS_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < SWM_METRICS_MAX; i++) {
		const struct swm_metric_slot *slot = &metrics->slots[i];
		const char *name = atomic_load_explicit(&slot->name, memory_order_acquire);
		if (name != NULL) {
			out[count].name = name;
			out[count].value =
				atomic_load_explicit(&slot->value, memory_order_relaxed);
			count++;
		}
	}
	qsort(out, count, sizeof(out[0]), by_name);
	return count;
}

int64_t swm_metrics_lost(const struct swm_metrics *metrics)
{
	return atomic_load_explicit(&metrics->lost, memory_order_relaxed);
}
