/* SPDX-License-Identifier: MIT */

/*
 * A queue plugin that does nothing, built many times with one thing wrong each (see
 * meson.build), so that the loader is tried on real shared objects.
 */

#include <swm/queue.h>

#ifndef FIXTURE_NAME
#define FIXTURE_NAME "good"
#endif
#ifndef FIXTURE_MAGIC
#define FIXTURE_MAGIC SWM_PLUGIN_MAGIC
#endif
#ifndef FIXTURE_MAJOR
#define FIXTURE_MAJOR SWM_ABI_MAJOR
#endif
#ifndef FIXTURE_MINOR
#define FIXTURE_MINOR SWM_ABI_MINOR
#endif
#ifndef FIXTURE_SIZE
#define FIXTURE_SIZE sizeof(struct swm_plugin)
#endif
#ifndef FIXTURE_KIND
#define FIXTURE_KIND SWM_PLUGIN_QUEUE
#endif
#ifndef FIXTURE_OPS_SIZE
#define FIXTURE_OPS_SIZE sizeof(struct swm_queue_ops)
#endif
#ifndef FIXTURE_PUBLISH
#define FIXTURE_PUBLISH publish
#endif
#ifndef FIXTURE_OFFSET
#define FIXTURE_OFFSET offsetof(struct config, limit)
#endif
#ifndef FIXTURE_OPTION_SIZE
#define FIXTURE_OPTION_SIZE sizeof(struct swm_option)
#endif
#ifndef FIXTURE_LOAD_STATUS
#define FIXTURE_LOAD_STATUS SWM_OK
#endif
#ifndef FIXTURE_DESCRIPTOR
#define FIXTURE_DESCRIPTOR (&descriptor)
#endif

struct config {
	const char *greeting;
	int64_t limit;
};

/* What a fixture was told, for its counters: the loader's own order is tested. */
static const struct swm_host *told;

static swm_status unsupported(struct swm_error *err)
{
	static const char text[] = "a fixture does nothing";
	if (err) {
		err->status = SWM_E_UNSUPPORTED;
		err->native = 0;
		for (size_t i = 0; i < sizeof(text); i++) {
			err->message[i] = text[i];
		}
	}
	return SWM_E_UNSUPPORTED;
}

/* NOLINTBEGIN(readability-non-const-parameter): the port says what they are */

static swm_status open_queue(
	const struct swm_open_args *args, struct swm_queue **out, struct swm_error *err)
{
	const struct config *config = args->config;
	if (config->limit == 13) {
		return unsupported(err);
	}
	args->host->count(args->host->ctx, "fixture_opens", 1);
	args->host->count(args->host->ctx, "fixture_limit", config->limit);
	*out = NULL;
	return SWM_OK;
}

static void close_queue(struct swm_queue *queue)
{
	(void)queue;
	told->count(told->ctx, "fixture_closes", 1);
}

static swm_status prepare(struct swm_queue *queue, const struct swm_str *names, size_t count,
	struct swm_error *err)
{
	(void)queue;
	(void)names;
	(void)count;
	return unsupported(err);
}

static swm_status consumer_open(struct swm_queue *queue, const struct swm_str *sources,
	size_t count, uint32_t prefetch, struct swm_consumer **out, struct swm_error *err)
{
	(void)queue;
	(void)sources;
	(void)count;
	(void)prefetch;
	(void)out;
	return unsupported(err);
}

static swm_status receive(struct swm_consumer *consumer, int64_t timeout_ms,
	struct swm_delivery *out, size_t max, size_t *count, struct swm_error *err)
{
	(void)consumer;
	(void)timeout_ms;
	(void)out;
	(void)max;
	(void)count;
	return unsupported(err);
}

static swm_status settle(struct swm_consumer *consumer, const struct swm_settlement *items,
	size_t count, struct swm_error *err)
{
	(void)consumer;
	(void)items;
	(void)count;
	return unsupported(err);
}

static void consumer_noop(struct swm_consumer *consumer)
{
	(void)consumer;
}

static swm_status publisher_open(
	struct swm_queue *queue, struct swm_publisher **out, struct swm_error *err)
{
	(void)queue;
	(void)out;
	return unsupported(err);
}

__attribute__((unused)) static swm_status publish(struct swm_publisher *publisher,
	const struct swm_message *messages, size_t count, int64_t timeout_ms,
	swm_status *results, struct swm_error *err)
{
	(void)publisher;
	(void)messages;
	(void)count;
	(void)timeout_ms;
	(void)results;
	return unsupported(err);
}

static void publisher_close(struct swm_publisher *publisher)
{
	(void)publisher;
}

static swm_status depth(
	struct swm_queue *queue, struct swm_str name, int64_t *out, struct swm_error *err)
{
	(void)queue;
	(void)name;
	(void)out;
	return unsupported(err);
}

/* NOLINTEND(readability-non-const-parameter) */

static swm_status load(const struct swm_host *host, struct swm_error *err)
{
	told = host;
	host->count(host->ctx, "fixture_loads", 1);
	const swm_status status = FIXTURE_LOAD_STATUS;
	return status == SWM_OK ? SWM_OK : unsupported(err);
}

static void unload(void)
{
	told->count(told->ctx, "fixture_unloads", 1);
}

static const struct swm_queue_ops ops = {
	.size = FIXTURE_OPS_SIZE,
	.capabilities = SWM_QUEUE_EXTEND,
	.open = open_queue,
	.close = close_queue,
	.prepare = prepare,
	.consumer_open = consumer_open,
	.consumer_receive = receive,
	.consumer_settle = settle,
	.consumer_wake = consumer_noop,
	.consumer_close = consumer_noop,
	.publisher_open = publisher_open,
	.publisher_publish = FIXTURE_PUBLISH,
	.publisher_close = publisher_close,
	.depth = depth,
};

static const struct swm_option options[] = {
	{
		.name = "greeting",
		.type = SWM_OPTION_STRING,
		.offset = SWM_OFFSET(struct config, greeting, const char *),
		.fallback = "hello",
		.doc = "A word.",
	},
	{
		.name = "limit",
		.type = SWM_OPTION_INT,
		.offset = FIXTURE_OFFSET,
		.fallback = "7",
		.min = 1,
		.max = 99,
		.doc = "A number.",
	},
	{0},
};

__attribute__((unused)) static const struct swm_plugin descriptor = {
	.magic = FIXTURE_MAGIC,
	.abi_major = FIXTURE_MAJOR,
	.abi_minor = FIXTURE_MINOR,
	.size = FIXTURE_SIZE,
	.kind = FIXTURE_KIND,
	.name = FIXTURE_NAME,
	.version = "1.2.3",
	.license = "MIT",
	.description = "A fixture of the tests",
	.options = options,
	.option_size = FIXTURE_OPTION_SIZE,
	.config_size = sizeof(struct config),
	.ops = &ops,
	.load = load,
	.unload = unload,
};

#ifndef FIXTURE_NO_ENTRY
SWM_EXPORT const struct swm_plugin *swm_plugin_entry(void);

SWM_EXPORT const struct swm_plugin *swm_plugin_entry(void)
{
	return FIXTURE_DESCRIPTOR;
}
#endif
