/* SPDX-License-Identifier: MIT */

/*
 * Declaring queues; see topology.h. Declarations are sent WINDOW at a time and answered in
 * order. The first that the broker refuses closes the channel, and with it goes what was
 * sent after; so that one is looked at by itself, and the rest is sent anew.
 *
 * Concurrency: as topology.h.
 */

#define _DEFAULT_SOURCE /* reallocarray() */

#include "topology.h"

#include "frames.h"
#include "properties.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 32

/* The broker keeps these names for itself. */
#define RESERVED "amq."

#define TYPE_KEY "x-queue-type"

swm_status swm_rmq_name_check(struct swm_str name, struct swm_error *err)
{
	size_t i;

	if (name.ptr == NULL || name.len == 0 || name.len > SWM_RMQ_NAME_MAX) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"a queue's name has 1 to %d bytes, this one has %zu", SWM_RMQ_NAME_MAX,
			name.len);
	}
	for (i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
			return swm_fail(err, SWM_E_INVALID, 0,
				"byte %zu of a queue's name is a control character: %.*s",
				i + 1, (int)name.len, name.ptr);
		}
	}
	if (name.len >= sizeof(RESERVED) - 1 &&
		memcmp(name.ptr, RESERVED, sizeof(RESERVED) - 1) == 0) {
		return swm_fail(err, SWM_E_INVALID, 0,
			"names that begin with " RESERVED " are the broker's own: %.*s",
			(int)name.len, name.ptr);
	}
	return SWM_OK;
}

/* A value as the broker wants it: it refuses "10" where it expects 10. */
static amqp_field_value_t make_value(const char *text)
{
	amqp_field_value_t value = {0};
	char *end = NULL;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end != text && *end == '\0' && errno == 0) {
		value.kind = AMQP_FIELD_KIND_I64;
		value.value.i64 = number;
	} else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
		value.kind = AMQP_FIELD_KIND_BOOLEAN;
		value.value.boolean = text[0] == 't';
	} else {
		value.kind = AMQP_FIELD_KIND_UTF8;
		value.value.bytes = amqp_cstring_bytes(text);
	}
	return value;
}

swm_status swm_rmq_arguments_make(
	const struct swm_queue_config *config, amqp_table_t *arguments, struct swm_error *err)
{
	static const char *const types[] = {"quorum", "classic"};
	const struct swm_map *map = &config->queue_arguments;
	amqp_table_entry_t *entries = calloc(map->count + 1, sizeof(*entries));
	size_t bytes = 0;

	if (entries == NULL) {
		return swm_fail(err, SWM_E_NOMEM, 0, "out of memory");
	}
	entries[0].key = amqp_cstring_bytes(TYPE_KEY);
	entries[0].value = make_value(types[config->queue_type]);
	for (size_t i = 0; i < map->count; i++) {
		entries[i + 1].key = amqp_cstring_bytes(map->items[i].name);
		entries[i + 1].value = make_value(map->items[i].value);
		bytes += strlen(map->items[i].name) + strlen(map->items[i].value) + 16;
		if (strcmp(map->items[i].name, TYPE_KEY) == 0) {
			free(entries);
			return swm_fail(err, SWM_E_CONFIG, 0,
				"queue_arguments: " TYPE_KEY " is the option queue_type");
		}
	}
	if (bytes > SWM_RMQ_METHOD_BYTES - 2 * SWM_RMQ_NAME_MAX) {
		free(entries);
		return swm_fail(
			err, SWM_E_CONFIG, 0, "queue_arguments: %zu bytes are too many", bytes);
	}
	*arguments = (amqp_table_t){(int)map->count + 1, entries};
	return SWM_OK;
}

swm_status swm_rmq_look_up(struct swm_rmq_link *link, struct swm_str name, int64_t until_ms,
	int64_t *depth, struct swm_error *err)
{
	const amqp_queue_declare_ok_t *ok;
	swm_status status = swm_rmq_link_channel(link, until_ms, err);

	if (status == SWM_OK) {
		status = swm_rmq_link_ask(link, until_ms, err);
	}
	if (status != SWM_OK) {
		return status;
	}
	ok = amqp_queue_declare(link->state, SWM_RMQ_CHANNEL, swm_rmq_bytes(name), 1, 0, 0, 0,
		amqp_empty_table);
	status = swm_rmq_link_answer(
		link, amqp_get_rpc_reply(link->state), "look up a queue", err);
	if (status == SWM_OK && depth != NULL) {
		*depth = ok->message_count;
	}
	if (!link->dead) {
		swm_rmq_link_release(link);
	}
	return status;
}

/* One call of swm_rmq_declare(). */
struct declaring {
	struct swm_rmq_link *link;
	const struct swm_queue *queue;
	const struct swm_str *names;
	size_t count;
	size_t sent;
	size_t answered;
	int64_t until_ms;
};

static swm_status send_declaration(struct declaring *d, struct swm_error *err)
{
	amqp_queue_declare_t declare = {
		.queue = swm_rmq_bytes(d->names[d->sent]),
		.durable = 1,
		.arguments = d->queue->arguments,
	};
	swm_status status = swm_rmq_link_method(
		d->link, AMQP_QUEUE_DECLARE_METHOD, &declare, d->until_ms, err);

	if (status == SWM_OK) {
		d->sent++;
	}
	return status;
}

/* The broker refused the first one that is not answered. If it is because it exists in
 * another form, or because we may not make it though it is there, all is well. */
static swm_status look_closer(
	struct declaring *d, const amqp_channel_close_t *reason, struct swm_error *err)
{
	struct swm_error why = {0};
	swm_status refusal = swm_rmq_link_closed(d->link, reason, &why);
	uint16_t code = reason->reply_code;
	swm_status status;

	if (code == AMQP_PRECONDITION_FAILED || code == AMQP_ACCESS_REFUSED) {
		status =
			swm_rmq_look_up(d->link, d->names[d->answered], d->until_ms, NULL, err);
		if (status == SWM_OK) {
			d->answered++;
			d->sent = d->answered;
			return swm_rmq_link_channel(d->link, d->until_ms, err);
		}
		if (status != SWM_E_NOT_FOUND) {
			return status;
		}
		/* It is not there, so the refusal was about making it: rights or arguments. */
		refusal = SWM_E_DENIED;
		why.status = refusal;
	}
	if (err != NULL) {
		*err = why;
	}
	return refusal;
}

static swm_status read_answer(struct declaring *d, struct swm_error *err)
{
	amqp_frame_t frame;
	swm_status status = swm_rmq_link_read(d->link, &frame, err);

	if (status == SWM_E_TIMEOUT) {
		if (swm_rmq_now_ms() >= d->until_ms) {
			return swm_fail(err, SWM_E_TIMEOUT, 0,
				"%s: queue \"%.*s\" is not declared in time", d->link->name,
				(int)d->names[d->answered].len, d->names[d->answered].ptr);
		}
		swm_rmq_link_wait(d->link, false, -1, d->until_ms);
		return SWM_OK;
	}
	if (status != SWM_OK || frame.frame_type != AMQP_FRAME_METHOD) {
		return status;
	}
	if (frame.payload.method.id == AMQP_QUEUE_DECLARE_OK_METHOD) {
		d->answered++;
	} else if (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
		status = look_closer(d, frame.payload.method.decoded, err);
	}
	swm_rmq_link_release(d->link);
	return status;
}

static swm_status create_all(struct declaring *d, struct swm_error *err)
{
	swm_status status = swm_rmq_link_channel(d->link, d->until_ms, err);

	while (status == SWM_OK && d->answered < d->count) {
		if (d->sent < d->count && d->sent - d->answered < WINDOW) {
			status = send_declaration(d, err);
		} else {
			status = read_answer(d, err);
		}
	}
	if (status != SWM_OK && d->link->channel_open && d->sent > d->answered) {
		/* Late answers could be taken for those of the next call. */
		d->link->dead = true;
	}
	return status;
}

swm_status swm_rmq_declare(struct swm_rmq_link *link, const struct swm_queue *queue,
	const struct swm_str *names, size_t count, int64_t until_ms, struct swm_error *err)
{
	struct declaring declaring = {
		.link = link,
		.queue = queue,
		.names = names,
		.count = count,
		.until_ms = until_ms,
	};
	swm_status status = SWM_OK;
	size_t i;

	for (i = 0; i < count && status == SWM_OK; i++) {
		status = swm_rmq_name_check(names[i], err);
	}
	if (status == SWM_OK && queue->config->create_queues) {
		return create_all(&declaring, err);
	}
	for (i = 0; i < count && status == SWM_OK; i++) {
		status = swm_rmq_look_up(link, names[i], until_ms, NULL, err);
	}
	return status;
}
