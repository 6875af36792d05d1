/* SPDX-License-Identifier: MIT */

/*
 * To hear of it when a queue is gone. Before version 4, a channel that learns of the end of
 * a queue it listens to first tries to listen to one of the same name, as if a mirror had
 * been promoted. If somebody has declared the queue again by then, that succeeds, and
 * the client is told nothing. And then the channel forgets the queue, the new one: of a
 * quorum queue it drops whatever arrives, which stays unacknowledged there for as long as
 * the channel lives.
 *
 * A quorum queue refuses a channel that has a prefetch for all its consumers together, but
 * does not heed one that is set later. So it is set when all consumers are there, and the
 * taking over fails: the channel says basic.cancel. (Of a classic queue it succeeds, and
 * loses nothing.)
 *
 * Concurrency: confined to the consumer's thread.
 */

#include "consumer.h"
#include "properties.h"

#include <string.h>

#define VERSION_KEY "version"

/* The first one whose channels do not try. */
#define VERSION_SAFE 4

/* A bound that binds nobody; each consumer has a prefetch of its own. */
#define PREFETCH_ALL UINT16_MAX

static bool is_version(amqp_bytes_t key)
{
	return key.len == sizeof(VERSION_KEY) - 1 &&
	       memcmp(key.bytes, VERSION_KEY, key.len) == 0;
}

bool swm_rmq_guard_is_needed(const struct swm_rmq_link *link)
{
	const amqp_table_t *properties = amqp_get_server_properties(link->state);

	for (int i = 0; i < properties->num_entries; i++) {
		const amqp_field_value_t *value = &properties->entries[i].value;

		if (is_version(properties->entries[i].key) &&
			value->kind == AMQP_FIELD_KIND_UTF8) {
			struct swm_str version = swm_rmq_str(value->value.bytes);

			return version.len > 1 && version.ptr[1] == '.' &&
			       version.ptr[0] < '0' + VERSION_SAFE;
		}
	}
	return false;
}

swm_status swm_rmq_guard_set(
	struct swm_consumer *consumer, bool up, int64_t until_ms, struct swm_error *err)
{
	amqp_basic_qos_t qos = {.prefetch_count = up ? PREFETCH_ALL : 0, .global = 1};

	if (!consumer->guarded) {
		return SWM_OK;
	}
	return swm_rmq_link_method(&consumer->link, AMQP_BASIC_QOS_METHOD, &qos, until_ms, err);
}
